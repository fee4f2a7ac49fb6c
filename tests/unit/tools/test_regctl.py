from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pytest

from sealift.errors import OutsideError, RefusedError
from sealift.model.names import Digest, Repository, Tag
from sealift.process import Completed
from sealift.tools import regctl
from sealift.tools.regctl import BUNDLE_TYPE, Registry

REPOSITORY = Repository("localhost:5000/app")
BODY = b'{"layers": []}'
DIGEST = Digest("sha256:" + hashlib.sha256(BODY).hexdigest())
REFERRERS = f"http://localhost:5000/v2/app/referrers/{DIGEST}"
FALLBACK = f"http://localhost:5000/v2/app/manifests/sha256-{DIGEST.hex}"
SECRET = "Bearer do-not-show-this"


class Says:
    """A regctl that gives prepared answers and remembers what it was asked."""

    def __init__(self, *answers: tuple[int, str, str]) -> None:
        self.answers = list(answers)
        self.asked: list[Sequence[str]] = []

    def __call__(self, argv: Sequence[str], **_rest: object) -> Completed:
        self.asked.append(argv)
        code, out, err = self.answers.pop(0)
        return Completed(argv=tuple(argv), returncode=code, stdout=out, stderr=err)


def says(monkeypatch: pytest.MonkeyPatch, *answers: tuple[int, str, str]) -> Says:
    told = Says(*answers)
    monkeypatch.setattr(regctl, "run", told)
    return told


def trace(*requests: tuple[str, str]) -> str:
    lines: list[dict[str, Any]] = [
        {
            "level": "DEBUG-4",
            "req-method": "GET",
            "req-url": url,
            "resp-status": status,
            "req-headers": SECRET,
        }
        for url, status in requests
    ]
    return "\n".join(json.dumps(line) for line in lines)


def listing(*types: str) -> str:
    found = [{"digest": DIGEST, "artifactType": kind, "mediaType": "x", "size": 1} for kind in types]
    return json.dumps({"schemaVersion": 2, "manifests": found or None})


def test_plain_http_is_declared_host_by_host(monkeypatch: pytest.MonkeyPatch) -> None:
    told = says(monkeypatch, (0, DIGEST, ""))
    Registry(plain_http=("localhost:5000",)).head("localhost:5000/app:1")
    assert list(told.asked[0][:3]) == ["regctl", "--host", "reg=localhost:5000,tls=disabled"]


def test_nothing_there_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, (1, "", "failed to request manifest head x: request failed: not found [http 404]: "))
    assert Registry().head("localhost:5000/app:1") is None


@pytest.mark.parametrize("words", ["unexpected [http 500]", "connection refused", "[http 403]"])
def test_unreadable_is_no_answer(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    says(monkeypatch, (1, "", words), (1, "", words), (1, "", words))
    with pytest.raises(OutsideError):
        Registry().head("localhost:5000/app:1")
    with pytest.raises(OutsideError):
        Registry().tags(REPOSITORY)
    with pytest.raises(OutsideError):
        Registry().manifest("localhost:5000/app:1")


def test_a_manifest_is_hashed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, (0, BODY.decode(), ""), (0, BODY.decode() + " ", ""))
    assert Registry().manifest(REPOSITORY.at(DIGEST)) == BODY
    with pytest.raises(RefusedError, match="other bytes"):
        Registry().manifest(REPOSITORY.at(DIGEST))


@pytest.mark.parametrize("status", ["500 Internal Server Error", "429 Too Many", "403 Forbidden", ""])
def test_referrers_that_cannot_be_read_are_not_none(monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    """regctl itself ends with 0 here, because the fallback tag is not there."""
    said = trace((REFERRERS, status), (FALLBACK, "404 Not Found"))
    says(monkeypatch, (0, listing(), said))
    with pytest.raises(OutsideError, match="could not be read") as caught:
        Registry().referrers(REPOSITORY, DIGEST)
    assert SECRET not in str(caught.value)


def test_a_trace_without_the_question_is_not_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, (0, listing(), trace((FALLBACK, "404 Not Found"))))
    with pytest.raises(OutsideError):
        Registry().referrers(REPOSITORY, DIGEST)


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "406 Not Acceptable"])
def test_referrers_with_the_api_and_without(monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    said = trace((REFERRERS, status), (FALLBACK, "200 OK"))
    says(monkeypatch, (0, listing(BUNDLE_TYPE, "application/other"), said), (0, listing(), said))
    found = Registry().referrers(REPOSITORY, DIGEST)
    assert [r.artifact_type for r in found] == [BUNDLE_TYPE]
    assert Registry().referrers(REPOSITORY, DIGEST) == ()


def test_a_later_answer_replaces_an_earlier_one(monkeypatch: pytest.MonkeyPatch) -> None:
    said = trace((REFERRERS, "500 Internal Server Error"), (REFERRERS, "200 OK"))
    says(monkeypatch, (0, listing(), said))
    assert Registry().referrers(REPOSITORY, DIGEST) == ()


def test_a_tag_that_is_elsewhere_afterwards_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    other = "sha256:" + "0" * 64
    says(monkeypatch, (0, "", ""), (0, other, ""), (0, DIGEST, ""))
    with pytest.raises(OutsideError):
        Registry().put_tag(REPOSITORY, Tag("1.2.3"), DIGEST)


def test_a_referrer_with_other_layers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, (0, BODY.decode(), ""))
    with pytest.raises(RefusedError, match="one layer"):
        Registry().artifact_get(REPOSITORY, DIGEST)
