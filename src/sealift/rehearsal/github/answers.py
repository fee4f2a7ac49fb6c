"""A request, an answer, and GitHub's way of saying no."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sealift.model.codec import enc_hook

DOCS = "https://docs.github.com/rest"


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request. Headers have lower-case names; ``complete`` is false when the body broke off."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = True

    def number(self, name: str, default: int, most: int) -> int:
        """Read a number from the query, as leniently as GitHub does."""
        text = self.query.get(name, "")
        return min(int(text), most) if text.isdecimal() and int(text) > 0 else default


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer."""

    status: int
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


class ProblemError(Exception):
    """A request that GitHub would not grant."""

    def __init__(self, status: int, message: str, *errors: Mapping[str, str]) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors

    def answer(self) -> Answer:
        """Say so in GitHub's form."""
        body: dict[str, Any] = {"message": self.message}
        if self.errors:
            body["errors"] = self.errors
        return shown(body | {"documentation_url": DOCS, "status": str(self.status)}, status=self.status)


def shown(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with a value as JSON."""
    return Answer(status=status, body=msgspec.json.encode(value, enc_hook=enc_hook), headers=headers or {})


def invalid(resource: str, field_name: str, code: str, message: str = "") -> ProblemError:
    """Refuse one field (https://docs.github.com/rest/using-the-rest-api/troubleshooting-the-rest-api)."""
    error = {"resource": resource, "code": code, "field": field_name}
    if message:
        error["message"] = message
    return ProblemError(422, "Validation Failed", error)


def not_found() -> ProblemError:
    """Say what GitHub says of everything that is not there or not ours to see."""
    return ProblemError(404, "Not Found")
