"""Copies by regctl: how it is asked, and what its words mean."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sealift.errors import OutsideError, RefusedError
from sealift.process import Completed
from sealift.tools import regctl

FROM, TO = "localhost:5000/app@sha256:" + "a" * 64, "ghcr.io/owner/app:1"


def says(monkeypatch: pytest.MonkeyPatch, code: int, out: str, err: str) -> list[Sequence[str]]:
    """Have regctl say something, and return what it is asked."""
    asked: list[Sequence[str]] = []

    def run(argv: Sequence[str], **_rest: object) -> Completed:
        asked.append(argv)
        return Completed(argv=tuple(argv), returncode=code, stdout=out, stderr=err)

    monkeypatch.setattr(regctl, "run", run)
    return asked


def test_plain_http_is_declared_host_by_host_and_all_below_is_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = says(monkeypatch, 0, "", "")
    regctl.copy(FROM, TO, plain_http=("localhost:5000",))
    plain = ["--host", "reg=localhost:5000,tls=disabled"]
    assert asked == [["regctl", *plain, "image", "copy", "--force-recursive", FROM, TO]]


@pytest.mark.parametrize(
    ("said", "again"),
    [
        ("failed to get manifest: request failed: not found [http 404]: unknown", False),
        ("request failed: unauthorized [http 401]", False),
        ("request failed: rate limited [http 429]", True),
        ("request failed: internal [http 500]", True),
        ("dial tcp 127.0.0.1:1: connect: connection refused", True),
        ("warning: not found [http 404], then: bad gateway [http 502]", True),
        ("failed to send blob (chunk), ref host/name: http status: Bad Request [http 400]", True),
        ("failed to send blob (chunk), ref host/name: unauthorized [http 401], then [http 400]", False),
        ("failed to send blob (chunk), ref host/name: [http 404]\nrequest failed: denied [http 403]", False),
        ("failed to send blob (put), ref host/name: http status: Bad Request [http 400]", False),
    ],
)
def test_a_copy_that_failed_says_whether_asking_again_may_help(
    monkeypatch: pytest.MonkeyPatch, said: str, again: bool
) -> None:
    says(monkeypatch, 1, "", said)
    with pytest.raises(OutsideError, match="could not be copied") as caught:
        regctl.copy(FROM, TO)
    assert (caught.value.again, caught.value.means) == (again, said)


def test_other_bytes_are_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, 1, "", "digest mismatch, expected sha256:aa, received sha256:bb")
    with pytest.raises(RefusedError, match="other bytes than its name says"):
        regctl.copy(FROM, TO)


@pytest.mark.parametrize(("code", "out"), [(1, ""), (0, ""), (0, "no digest")])
def test_a_layout_that_names_nothing_is_an_error(
    monkeypatch: pytest.MonkeyPatch, code: int, out: str
) -> None:
    says(monkeypatch, code, out, "")
    with pytest.raises(OutsideError, match="could not be read"):
        regctl.layout_head("ocidir:///folder:base")
