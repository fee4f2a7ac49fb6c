"""Make a list of contents say the same, byte for byte, each time it is made of the same image.

Trivy writes the time, random UUIDs, and the address it read the image at. What follows from the image
and the release alone takes their places, so that a list can be an asset, be signed, and be made again.
"""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec
from packageurl import PackageURL

from sealift.errors import OutsideError
from sealift.model.codec import decode
from sealift.model.modules import GoModule
from sealift.model.names import Digest

JSON = dict[str, Any]
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b")


def settled(
    raw: bytes,
    *,
    digest: Digest,
    time: int,
    names: Mapping[str, str],
    modules: Mapping[str, GoModule] | None = None,
) -> bytes:
    """Return an SPDX or CycloneDX document whose bytes follow from its content.

    ``time`` is the release's, in seconds since 1970; ``names`` says what takes an address' place, and
    ``modules`` which Go module Trivy lists under a name.
    """
    with as_trivy_writes():
        return _settled(raw.decode(), digest, time, names, modules or {})


@contextmanager
def as_trivy_writes() -> Iterator[None]:
    """Raise OutsideError where a document has not the form in which Trivy writes it."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError) as err:
        raise OutsideError(
            f"Trivy wrote something else than expected: {type(err).__name__}: {str(err)[:200]}",
            means="it may be another version than the one this was written for",
            next_step="sealift doctor",
            again=False,
        ) from err


def _settled(
    text: str, digest: Digest, time: int, names: Mapping[str, str], modules: Mapping[str, GoModule]
) -> bytes:
    document: JSON = decode(_renamed(text, names), JSON)
    _name_modules(document, modules)
    moment = datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if "spdxVersion" in document:
        document["creationInfo"]["created"] = moment
        for holder in (document, *document.get("packages", []), *document.get("files", [])):
            for annotation in holder.get("annotations", []):
                annotation["annotationDate"] = moment
    else:
        document["metadata"]["timestamp"] = moment
        document["components"] = sorted(document.get("components", []), key=_component_order)
    document = decode(_renumber(msgspec.json.encode(document).decode(), digest), JSON)
    if "dependencies" in document:
        document["dependencies"] = sorted(map(_sorted_needs, document["dependencies"]), key=_ref)
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def purl(module: GoModule) -> str:
    """Write a module's package URL, in which Go's capitals are lost.

    https://github.com/package-url/purl-spec/blob/main/types-doc/golang-definition.md
    """
    namespace, _, name = module.path.lower().rpartition("/")
    return PackageURL("golang", namespace, name, module.version or None).to_string()


def go_modules(document: JSON) -> Iterator[GoModule]:
    """Yield each Go module of a list; its name has the capitals that its package URL has not."""
    for entry in _entries(document):
        for url in map(PackageURL.from_string, purls(entry)):
            if url.type == "golang":
                yield go_module(url, _name(entry))


def go_module(url: PackageURL, name: str = "") -> GoModule:
    """Read a package URL; a folder of a module, which can be a module too, is its subpath."""
    path = "/".join(part for part in (url.namespace, url.name, url.subpath) if part)
    module, named = GoModule.of(path, url.version), GoModule.of(name)
    return GoModule(named.path, module.version) if named.path.lower() == module.path.lower() else module


def purls(entry: JSON) -> Iterator[str]:
    """Yield the package URLs of one entry of either form."""
    if "purl" in entry:
        yield entry["purl"]
    for reference in entry.get("externalRefs", ()):
        if reference["referenceType"] == "purl":
            yield reference["referenceLocator"]


def _entries(document: JSON) -> list[JSON]:
    return list(document.get("packages" if "spdxVersion" in document else "components", ()))


def _name(entry: JSON) -> str:
    """Return an entry's name; CycloneDX may keep all but its last part apart."""
    return "/".join(filter(None, (entry.get("group"), entry.get("name"))))


def _name_modules(document: JSON, modules: Mapping[str, GoModule]) -> None:
    """Give the entries of some modules their own name and version, where Trivy could not know them.

    A name that is listed twice stays: one of both is another program's, and the gate must see it.
    """
    entries = _entries(document)
    counts = Counter(map(_name, entries))
    renamed = {}
    for entry in entries:
        module = modules.get(_name(entry))
        if module is None or counts[_name(entry)] != 1:
            continue
        before, after = entry.get("bom-ref"), purl(module)
        if before is not None and before in purls(entry):
            renamed[before] = entry["bom-ref"] = after
        entry.pop("group", None)
        entry["name"] = module.path
        if "SPDXID" in entry:
            others = [r for r in entry.get("externalRefs", ()) if r["referenceType"] != "purl"]
            own = {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": after}
            entry |= {"versionInfo": module.version, "externalRefs": [*others, own]}
            for note in entry.get("annotations", ()):
                if note["comment"].startswith("PkgID: "):
                    note["comment"] = f"PkgID: {module}"
        else:
            entry |= {"version": module.version, "purl": after}
            for note in entry.get("properties", ()):
                if note["name"] == "aquasecurity:trivy:PkgID":
                    note["value"] = str(module)
    for needs in document.get("dependencies", ()):
        needs["ref"] = renamed.get(needs["ref"], needs["ref"])
        needs["dependsOn"] = [renamed.get(ref, ref) for ref in needs.get("dependsOn", ())]


def _renamed(text: str, names: Mapping[str, str]) -> str:
    for old, new in names.items():
        text = text.replace(old, new)
        # A package URL escapes the slash of its repository, not the port's colon, and repeats the last part.
        text = text.replace(quote(old, safe=":"), quote(new, safe=":"))
        text = text.replace(f"pkg:oci/{_last(old)}@", f"pkg:oci/{_last(new)}@")
    return text


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _component_order(component: JSON) -> tuple[str, ...]:
    return tuple(str(component.get(key, "")) for key in ("type", "name", "version", "purl"))


def _renumber(text: str, digest: Digest) -> str:
    """Replace the random UUIDs by others that follow from the image and their order."""
    known: dict[str, str] = {}

    def same(found: re.Match[str]) -> str:
        fresh = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{digest}#{len(known)}"))
        return known.setdefault(found.group(), fresh)

    return _UUID.sub(same, text)


def _sorted_needs(entry: JSON) -> JSON:
    return {**entry, "dependsOn": sorted(entry.get("dependsOn", []))}


def _ref(entry: JSON) -> str:
    return str(entry["ref"])
