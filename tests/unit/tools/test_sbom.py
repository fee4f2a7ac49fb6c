"""A list of contents says the same, byte for byte, however often and wherever it was made."""

from __future__ import annotations

import random
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packageurl import PackageURL

from sealift.model.modules import GoModule
from sealift.model.names import Digest
from sealift.tools.sbom import go_module, go_modules, purl, settled

JSON = dict[str, Any]
DIGEST, OTHER = Digest("sha256:" + "1" * 64), Digest("sha256:" + "2" * 64)
TIME = 1_700_000_000
MOMENT = "2023-11-14T22:13:20Z"
# As Trivy writes it: the slash is escaped, the port's colon is not.
PURL = f"pkg:oci/static@{DIGEST}?arch=amd64&repository_url=localhost:1%2Fstatic"
NAMES = {"localhost:1/static": "ghcr.io/owner/app"}

names = st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), unique=True, max_size=6)


def settle(document: JSON, digest: Digest = DIGEST) -> bytes:
    return settled(msgspec.json.encode(document), digest=digest, time=TIME, names=NAMES)


def cyclonedx(packages: list[str], seed: int) -> JSON:
    """Write a list as Trivy does: another order and other random names each time."""
    order = random.Random(seed)  # noqa: S311 - no secret is made of it
    refs = {name: str(uuid.UUID(int=order.getrandbits(128), version=4)) for name in packages}
    root = str(uuid.UUID(int=order.getrandbits(128), version=4))
    components = [{"bom-ref": refs[n], "type": "library", "name": n, "version": "1"} for n in packages]
    needs = [{"ref": refs[n], "dependsOn": []} for n in packages]
    needs.append({"ref": root, "dependsOn": order.sample(list(refs.values()), len(refs))})
    order.shuffle(components)
    order.shuffle(needs)
    return {
        "bomFormat": "CycloneDX",
        "serialNumber": f"urn:uuid:{uuid.UUID(int=order.getrandbits(128), version=4)}",
        "metadata": {
            "timestamp": f"2026-01-01T00:00:{seed % 60:02}Z",
            "component": {"bom-ref": root, "name": f"localhost:1/static@{DIGEST}", "purl": PURL},
        },
        "components": components,
        "dependencies": needs,
    }


def spdx(seed: int) -> JSON:
    order = random.Random(seed)  # noqa: S311 - no secret is made of it
    unique = uuid.UUID(int=order.getrandbits(128), version=4)
    moment = f"2026-01-01T00:00:{seed % 60:02}Z"
    annotation = {"annotationDate": moment, "comment": "PkgType: debian"}
    return {
        "spdxVersion": "SPDX-2.3",
        "documentNamespace": f"http://trivy.dev/container_image/localhost:1/static@{DIGEST}-{unique}",
        "creationInfo": {"created": moment, "creators": ["Tool: trivy"]},
        "packages": [
            {
                "name": f"localhost:1/static@{DIGEST}",
                "externalRefs": [{"referenceType": "purl", "referenceLocator": PURL}],
                "annotations": [annotation],
            },
            {"name": "tzdata"},
        ],
    }


@given(names, st.integers(0, 2**32), st.integers(0, 2**32))
def test_cyclonedx_follows_from_its_content(packages: list[str], one: int, other: int) -> None:
    first = settle(cyclonedx(packages, one))
    assert first == settle(cyclonedx(packages, other))
    document = msgspec.json.decode(first)
    assert document["metadata"]["timestamp"] == MOMENT
    assert [c["name"] for c in document["components"]] == sorted(packages)
    root = document["metadata"]["component"]["bom-ref"]
    needs = {need["ref"]: need["dependsOn"] for need in document["dependencies"]}
    refs = sorted(c["bom-ref"] for c in document["components"])
    assert needs == {root: refs} | {ref: [] for ref in refs}, "what referred to each other still does"


@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_spdx_follows_from_its_content(one: int, other: int) -> None:
    first = settle(spdx(one))
    assert first == settle(spdx(other))
    document = msgspec.json.decode(first)
    assert document["creationInfo"]["created"] == MOMENT
    assert document["packages"][0]["annotations"][0]["annotationDate"] == MOMENT


@given(names, st.integers(0, 2**32))
def test_settling_twice_changes_nothing(packages: list[str], seed: int) -> None:
    for document in (cyclonedx(packages, seed), spdx(seed)):
        once = settle(document)
        assert settled(once, digest=DIGEST, time=TIME, names=NAMES) == once


def test_where_it_was_read_is_nobodys_business() -> None:
    for document in (cyclonedx(["a"], 1), spdx(1)):
        text = settle(document).decode()
        assert "localhost" not in text
        assert "static" not in text
        assert f"ghcr.io/owner/app@{DIGEST}" in text
        assert f"pkg:oci/app@{DIGEST}?arch=amd64&repository_url=ghcr.io%2Fowner%2Fapp" in text


def test_another_image_has_other_identifiers() -> None:
    assert settle(cyclonedx(["a"], 1)) != settle(cyclonedx(["a"], 1), OTHER)


@given(names, st.integers(0, 2**32))
def test_what_is_listed_stays(packages: list[str], seed: int) -> None:
    assert settle(cyclonedx(packages, seed)) != settle(cyclonedx([*packages, "another-one"], seed))


OWN = GoModule("github.com/MyOrg/svc", "v1.2.3")
LIB = GoModule("example.com/Lib", "v0.1.0")
MODULES = {OWN.path: OWN, "../lib": LIB}
STAMP = "v0.0.0-20261130094826-da7103e2f959"
STAMPED = f"pkg:golang/github.com/myorg/svc@{STAMP}"


def go_list(form: str, *more: JSON) -> JSON:
    """Write a list of a Go program as Trivy does: a folder has no URL, the service what Go stamped."""
    if form == "cyclonedx":
        kind = {"name": "aquasecurity:trivy:PkgType", "value": "gobinary"}
        components = [
            {"bom-ref": "the-folder", "type": "library", "name": "../lib", "properties": [kind]},
            {
                "bom-ref": STAMPED,
                "type": "library",
                "name": OWN.path,
                "version": STAMP,
                "purl": STAMPED,
                "properties": [{"name": "aquasecurity:trivy:PkgID", "value": f"{OWN.path}@{STAMP}"}, kind],
            },
            *more,
        ]
        needs = [{"ref": "root", "dependsOn": [STAMPED, "the-folder"]}, {"ref": STAMPED, "dependsOn": []}]
        return {"metadata": {"timestamp": ""}, "components": components, "dependencies": needs}
    note = {"annotationDate": "", "comment": f"PkgID: {OWN.path}@{STAMP}"}
    reference = {"referenceType": "purl", "referenceLocator": STAMPED}
    packages = [
        {"name": "../lib", "SPDXID": "SPDXRef-1"},
        {
            "name": OWN.path,
            "SPDXID": "SPDXRef-2",
            "versionInfo": STAMP,
            "externalRefs": [reference],
            "annotations": [note],
        },
        *more,
    ]
    return {"spdxVersion": "SPDX-2.3", "creationInfo": {"created": ""}, "packages": packages}


def named(document: JSON) -> JSON:
    raw = settled(msgspec.json.encode(document), digest=DIGEST, time=TIME, names=NAMES, modules=MODULES)
    again = settled(raw, digest=DIGEST, time=TIME, names=NAMES, modules=MODULES)
    assert raw == again
    found: JSON = msgspec.json.decode(raw)
    return found


@pytest.mark.parametrize("form", ["cyclonedx", "spdx"])
def test_the_service_has_its_version_and_a_folder_its_modules_name(form: str) -> None:
    document = named(go_list(form))
    assert set(go_modules(document)) == {OWN, LIB}
    text = msgspec.json.encode(document).decode()
    assert STAMP not in text
    assert "../lib" not in text
    if form == "cyclonedx":
        root = next(d for d in document["dependencies"] if d["ref"] == "root")
        assert root["dependsOn"] == ["pkg:golang/github.com/myorg/svc@v1.2.3", "the-folder"]


@pytest.mark.parametrize("form", ["cyclonedx", "spdx"])
def test_a_second_program_of_the_same_module_stays_as_it_is(form: str) -> None:
    """The gate must see that one of both is not the service that was built."""
    other: JSON = {"name": OWN.path, "version": "v1.0.0", "type": "library", "bom-ref": "x", "SPDXID": "x"}
    document = named(go_list(form, other))
    assert OWN not in set(go_modules(document))


def test_a_list_that_keeps_the_group_apart_has_the_same_names() -> None:
    entry = {
        "group": "github.com/BurntSushi",
        "name": "toml",
        "purl": "pkg:golang/github.com/burntsushi/toml@v1.5.0",
    }
    assert list(go_modules({"components": [entry]})) == [GoModule("github.com/BurntSushi/toml", "v1.5.0")]


@pytest.mark.parametrize(
    ("module", "url"),
    [
        (OWN, "pkg:golang/github.com/myorg/svc@v1.2.3"),
        (
            GoModule("github.com/a/b", "v2.0.0+incompatible"),
            "pkg:golang/github.com/a/b@v2.0.0%2Bincompatible",
        ),
        (GoModule("github.com/A/b/v2"), "pkg:golang/github.com/a/b/v2"),
        (GoModule("stdlib", "v1.26.8"), "pkg:golang/stdlib@v1.26.8"),
    ],
)
def test_a_package_url_is_written_as_the_specification_says(module: GoModule, url: str) -> None:
    assert purl(module) == url
    assert go_module(PackageURL.from_string(url), module.path) == module
