"""Make a list of contents say the same, byte for byte, each time it is made of the same image.

Trivy writes the time, random UUIDs, and the address it read the image at. What follows from the image
and the release alone takes their places, so that a list can be an asset, be signed, and be made again.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec

from sealift.model.codec import decode
from sealift.model.names import Digest

JSON = dict[str, Any]
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b")


def settled(raw: bytes, *, digest: Digest, time: int, names: Mapping[str, str]) -> bytes:
    """Return an SPDX or CycloneDX document whose bytes follow from its content.

    ``time`` is the release's, in seconds since 1970; ``names`` says what takes an address' place.
    """
    document: JSON = decode(_renamed(raw.decode(), names), JSON)
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
