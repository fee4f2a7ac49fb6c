"""Lists of both forms, their package URLs, and what an image itself says it holds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from packageurl import PackageURL

from sealift.elf.rootfs import Rootfs
from sealift.model.modules import GoModule
from sealift.model.names import Version
from sealift.rehearsal.oci_writer import LayerTar
from sealift.stations.sbom import (
    Contents,
    _compare,
    _deb,
    _with_capitals,
    debian_packages,
    differences,
)
from sealift.tools.sbom import go_module
from tests.unit.stations import listed
from tests.unit.stations.listed import document
from tests.unit.stations.things import REPOSITORY, digest_of

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
    ("there", "told", "words"),
    [
        ({"a", "b"}, {"a", "b"}, []),
        ({"a", "b", "c"}, {"b"}, ["packages in the image and not listed: a, c"]),
        ({"a"}, {"a", "x"}, ["packages listed and not in the image: x"]),
        (
            {"a"},
            {"x"},
            ["packages in the image and not listed: a", "packages listed and not in the image: x"],
        ),
        (set(), set(), ["packages: none found"]),
    ],
)
def test_both_directions_are_compared(there: set[str], told: set[str], words: list[str]) -> None:
    assert list(_compare("packages", frozenset(there), told)) == words


UPPER, LOWER = (
    GoModule("github.com/Sirupsen/logrus", "v1.0.0"),
    GoModule("github.com/sirupsen/logrus", "v1.0.0"),
)
OTHER = GoModule("github.com/SirupSen/logrus", "v1.0.0")


@pytest.mark.parametrize(
    ("told", "there", "meant"),
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
    told: set[GoModule], there: set[GoModule], meant: set[GoModule]
) -> None:
    assert _with_capitals(told, there) == meant


IMAGE = Contents.of(
    Rootfs([listed.base().pack().blob], "image"),
    repository=REPOSITORY,
    digest=digest_of("linux/amd64"),
    service=listed.SERVICE,
    version=Version.parse("1.2.3"),
    main=listed.MAIN,
    go_version=listed.GO,
    modules=[listed.LIB],
)
NAME = REPOSITORY.at(IMAGE.digest)
ENTRIES, ROOT = listed.entries(IMAGE), listed.root(IMAGE)
UNREADABLE = (
    'it is no list that can be read: ValueError purl is missing the required "pkg" scheme component: '
    "'no package URL'."
)


def test_an_image_says_what_it_holds() -> None:
    assert listed.contents_of(IMAGE.digest, REPOSITORY) == IMAGE


FORMS = pytest.mark.parametrize("form", ["SPDX", "CycloneDX"])


@FORMS
def test_a_list_of_exactly_this_image_differs_in_nothing(form: str) -> None:
    assert differences(document(form, IMAGE), IMAGE) == []
    lower = [(k, n.lower(), v, u) for k, n, v, u in ENTRIES]
    assert differences(document(form, IMAGE, lower), IMAGE) == [], "a package URL alone has no capitals"


@FORMS
@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (
            [e for e in ENTRIES if e != listed.TZDATA],
            "Debian packages in the image and not listed: tzdata@1:2",
        ),
        ([e for e in ENTRIES if "Owner" not in e[1]], "github.com/Owner/service is missing"),
        (
            [e for e in ENTRIES if "Lib" not in e[1]],
            "Go modules in the image and not listed: example.com/Lib@v0.1.0",
        ),
        (
            [*ENTRIES, ("LIBRARY", "evil", "1", "pkg:golang/evil@v1")],
            "Go modules listed and not in the image: evil@v1",
        ),
        ([*ENTRIES, ("LIBRARY", "evil", "1", "pkg:npm/evil@1")], "listed and not in the image: evil"),
        ([*ENTRIES, ("LIBRARY", "evil", "1", "")], "listed and not in the image: evil"),
        ([*ENTRIES, ("FILE", "evil", "1", "")], "listed and not in the image: evil"),
        ([*ENTRIES, ("APPLICATION", "opt/evil", "", "")], "another program: opt/evil"),
        (
            [*ENTRIES, ("APPLICATION", "opt/evil", "", "pkg:npm/evil@1")],
            "listed and not in the image: opt/evil",
        ),
        (
            [*ENTRIES, ("OPERATING-SYSTEM", "debian", "13.1", "")],
            "system: expected debian 12, got debian 13.1",
        ),
        ([*ENTRIES, ("OPERATING-SYSTEM", "alpine", "12", "")], "system: expected debian 12, got alpine 12"),
        (
            [*ENTRIES, ("LIBRARY", "evil", "1", "no package URL")],
            UNREADABLE,
        ),
    ],
)
def test_a_list_with_one_thing_else_differs(form: str, entries: list[listed.Entry], words: str) -> None:
    assert differences(document(form, IMAGE, entries), IMAGE) == [words]


@FORMS
@pytest.mark.parametrize(
    "name", [f"{REPOSITORY}@{digest_of('other')}", f"registry.example/other@{IMAGE.digest}", "debian"]
)
def test_a_list_of_another_image_differs(form: str, name: str) -> None:
    assert f"it is of {name}, not of {NAME}" in differences(document(form, IMAGE, name=name), IMAGE)


@FORMS
@pytest.mark.parametrize(
    "change",
    [
        lambda url: url.replace(IMAGE.digest, digest_of("other")),
        lambda url: url.replace("registry.example", "evil.example"),
        lambda url: url.replace("pkg:oci", "pkg:docker"),
        lambda url: url.partition("?")[0],
    ],
)
def test_a_list_whose_package_url_is_of_another_image_differs(
    form: str, change: Callable[[str], str]
) -> None:
    found = differences(document(form, IMAGE, url=change(ROOT)), IMAGE)
    assert [words.partition(" is of ")[0] for words in found] == ["its package URL"]


def test_a_list_must_say_that_it_is_of_an_image() -> None:
    cyclonedx = document("CycloneDX", IMAGE)
    cyclonedx["metadata"]["component"]["type"] = "application"
    assert differences(cyclonedx, IMAGE) == ["it is of a application, not of an image"]
    spdx = document("SPDX", IMAGE)
    spdx["relationships"][0]["relatedSpdxElement"] = "SPDXRef-1"
    assert differences(spdx, IMAGE) == ["it describes SPDXRef-1, not the image"]
    spdx = document("SPDX", IMAGE)
    spdx["packages"] = spdx["packages"][1:]
    assert differences(spdx, IMAGE) == [
        "it describes SPDXRef-0, not the image",
        f"it is of nothing, not of {NAME}",
    ]


@pytest.mark.parametrize(
    "odd",
    [{}, {"spdxVersion": "SPDX-2.3"}, {"components": {}}, {"components": [1]}, {"components": [{"purl": 1}]}],
)
def test_what_is_no_list_differs(odd: listed.JSON) -> None:
    assert differences(odd, IMAGE)[-1].startswith("it is no list that can be read: ")
