"""``sealift schema``: the JSON schema of each file that sealift reads or writes."""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec
import typer

from sealift import console
from sealift.errors import UsageError
from sealift.model import evidence
from sealift.model.config import Config
from sealift.model.exceptions import Exception_
from sealift.model.names import Text
from sealift.model.plan import Plan
from sealift.report.collect import Report

FILES: dict[str, Any] = {
    "ci/release.yaml": Config,
    "ci/exceptions.yaml": tuple[Exception_, ...],
    "plan.json": Plan,
    "report.json": Report,
    "evidence/base": evidence.Evidence,
    "evidence/compile": evidence.Compiled,
    "evidence/prove": evidence.Proven,
    "evidence/image": evidence.Built,
    "evidence/smoke": evidence.Smoked,
    "evidence/scan": evidence.Scanned,
    "evidence/sbom": evidence.Listed,
    "evidence/push": evidence.Pushed,
    "evidence/sign": evidence.SignedAll,
    "evidence/verify": evidence.VerifiedAll,
    "evidence/draft": evidence.Drafted,
    "evidence/promote": evidence.Promoted,
}


def command(
    name: Annotated[str | None, typer.Argument(help="One file; all of them without it.")] = None,
) -> None:
    """Print the JSON schema of the files that sealift reads and writes."""
    if name is not None and name not in FILES:
        raise UsageError(f"there is no schema of {name!r}", next_step=f"one of {', '.join(FILES)}")
    schemas = {
        n: msgspec.json.schema(kind, schema_hook=_text) for n, kind in FILES.items() if name in (None, n)
    }
    console.result(json.dumps(schemas if name is None else schemas[name], indent=2))


def _text(kind: type) -> dict[str, Any]:
    # Digest, Version and their like are written as text.
    said = {"type": "string"}
    if issubclass(kind, Text):
        said["description"] = f"a {kind.kind}; for example {kind.example}"
    return said
