"""What an answer that is no success means, and what is not repeated of it."""

from __future__ import annotations

import pytest

from sealift.tools.http import Answer, refusal


def answer(status: int, body: bytes) -> Answer:
    url = "https://user:pass@r.example/v2/app/blobs/1?signature=abc"
    return Answer(url=url, status=status, headers={}, body=body, secret="the-token")


@pytest.mark.parametrize("status", [200, 202, 307, 400, 401, 403, 404, 405, 408, 425, 429, 500, 503, 599])
def test_whether_asking_again_may_help(status: int) -> None:
    assert refusal(answer(status, b""), "it").again is (status in {200, 202, 408, 425, 429, 500, 503, 599})


def test_what_a_registry_says_is_shown_without_what_we_sent() -> None:
    body = (
        b'{"errors":[{"code":"DENIED","message":"Bearer the-token may not","detail":{"more":"the-token"}}]}'
    )
    said = str(refusal(answer(403, body), "the tags could not be read"))
    assert "the tags could not be read: r.example answered 403 DENIED: Bearer *** may not" in said
    assert not any(secret in said for secret in ("the-token", "pass", "abc"))


@pytest.mark.parametrize("body", [b"", b"<html>the page</html>", b'{"errors":1}', b"\xff"])
def test_what_is_no_error_of_a_registry_is_left_out(body: bytes) -> None:
    assert "r.example answered 502\n" in str(refusal(answer(502, body), "it"))
