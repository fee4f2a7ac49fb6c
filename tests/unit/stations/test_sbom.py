"""Package URLs of both forms of a list, and what an image itself says it holds."""

from __future__ import annotations

import pytest
from packageurl import PackageURL

from sealift.elf.rootfs import Rootfs
from sealift.model.modules import GoModule
from sealift.rehearsal.oci_writer import LayerTar
from sealift.stations.gate import Looks
from sealift.stations.sbom import (
    _compare,
    _deb,
    _with_capitals,
    cyclonedx_purls,
    debian_packages,
    spdx_purls,
)
from sealift.tools.sbom import go_module

DIGESTS = "Package: sums\nVersion: 1\n"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("pkg:golang/stdlib@v1.26.8", "stdlib@v1.26.8"),
        ("pkg:golang/golang.org/x/sys@v0.48.0", "golang.org/x/sys@v0.48.0"),
        ("pkg:golang/github.com/cespare/xxhash/v2@v2.3.0", "github.com/cespare/xxhash/v2@v2.3.0"),
        ("pkg:golang/github.com/owner/name@v1.0.0#sub/folder", "github.com/owner/name/sub/folder@v1.0.0"),
        ("pkg:golang/github.com/sealift/health-caretaker", "github.com/sealift/health-caretaker@"),
        (
            "pkg:golang/example.com/m@v0.0.0-20191010083416-a7dc8b61c822",
            "example.com/m@v0.0.0-20191010083416-a7dc8b61c822",
        ),
    ],
)
def test_a_go_module(url: str, name: str) -> None:
    assert str(go_module(PackageURL.from_string(url))) == name


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("pkg:deb/debian/tzdata@2026f-0%2Bdeb12u1?arch=all&distro=debian-12.15", "tzdata@2026f-0+deb12u1"),
        ("pkg:deb/debian/netbase@6.4?arch=all", "netbase@6.4"),
        ("pkg:deb/debian/extra@2.0-1?arch=amd64&epoch=1", "extra@1:2.0-1"),
        ("pkg:deb/debian/libssl3@3.0.22-1~deb12u2", "libssl3@3.0.22-1~deb12u2"),
    ],
)
def test_a_debian_package(url: str, name: str) -> None:
    assert _deb(PackageURL.from_string(url)) == name


def test_spdx_names_what_it_has_a_url_for() -> None:
    document = {
        "packages": [
            {"name": "none"},
            {"name": "others", "externalRefs": [{"referenceType": "cpe23Type", "referenceLocator": "cpe:"}]},
            {"name": "one", "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:deb/a@1"}]},
        ]
    }
    assert list(spdx_purls(document)) == ["pkg:deb/a@1"]
    with pytest.raises(KeyError):
        list(spdx_purls({}))


def test_cyclonedx_names_what_it_has_a_url_for() -> None:
    assert list(cyclonedx_purls({"components": [{"name": "x"}, {"purl": "pkg:deb/a@1"}]})) == ["pkg:deb/a@1"]
    assert list(cyclonedx_purls({"bomFormat": "CycloneDX"})) == []


def test_an_image_says_what_packages_it_has() -> None:
    status = "var/lib/dpkg/status.d"
    tree = (
        LayerTar()
        .file(f"{status}/tzdata", b"Package: tzdata\nVersion: 1:2\nDescription: time\n longer: words\n")
        .file(f"{status}/tzdata.md5sums", DIGESTS.encode())
        .file("var/lib/dpkg/status", DIGESTS.encode())
    )
    assert debian_packages(Rootfs([tree.pack().blob], "image")) == {"tzdata@1:2"}


def test_an_image_without_packages_says_so() -> None:
    assert debian_packages(Rootfs([LayerTar().file("a", b"").pack().blob], "image")) == frozenset()


@pytest.mark.parametrize(
    ("there", "listed", "words"),
    [
        ({"a", "b"}, {"a", "b"}, ["pass: packages: all 2, and no other"]),
        ({"a", "b", "c"}, {"b"}, ["refused: packages in the image and not listed: a, c"]),
        ({"a"}, {"a", "x"}, ["refused: packages listed and not in the image: x"]),
        (
            {"a"},
            {"x"},
            [
                "refused: packages in the image and not listed: a",
                "refused: packages listed and not in the image: x",
            ],
        ),
        (set(), set(), ["refused: packages: none found"]),
    ],
)
def test_both_directions_are_compared(there: set[str], listed: set[str], words: list[str]) -> None:
    looks = Looks("sbom", "static")
    _compare(looks, "packages", frozenset(there), listed)
    assert [f"{g.verdict}: {g.detail}" for g in looks.gates] == words


UPPER, LOWER = (
    GoModule("github.com/Sirupsen/logrus", "v1.0.0"),
    GoModule("github.com/sirupsen/logrus", "v1.0.0"),
)
OTHER = GoModule("github.com/SirupSen/logrus", "v1.0.0")


@pytest.mark.parametrize(
    ("listed", "there", "meant"),
    [
        ({LOWER}, {UPPER}, {UPPER}),
        ({LOWER}, {LOWER}, {LOWER}),
        ({LOWER, UPPER}, {LOWER, UPPER}, {LOWER, UPPER}),
        ({LOWER}, {LOWER, UPPER}, {LOWER}),
        # Which of the two is listed cannot be told, so it is neither.
        ({LOWER}, {UPPER, OTHER}, {LOWER}),
        # A list that has capitals means them.
        ({UPPER}, {OTHER}, {UPPER}),
        ({GoModule(LOWER.path, "v1.1.0")}, {UPPER}, {GoModule(LOWER.path, "v1.1.0")}),
    ],
)
def test_a_package_url_alone_has_no_capitals(
    listed: set[GoModule], there: set[GoModule], meant: set[GoModule]
) -> None:
    assert _with_capitals(listed, there) == meant
