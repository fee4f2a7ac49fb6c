"""References and pages, taken apart without a registry."""

from __future__ import annotations

import pytest

from sealift.errors import OutsideError, UsageError
from sealift.tools import regctl
from sealift.tools.http import Answer
from sealift.tools.registry import Registry, parsed
from sealift.tools.registry_http import next_page

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("reference", "repository", "name"),
    [
        ("ghcr.io/owner/name:1.2.3", "ghcr.io/owner/name", "1.2.3"),
        (f"ghcr.io/owner/name@{DIGEST}", "ghcr.io/owner/name", DIGEST),
        (f"localhost:5000/app:1.2@{DIGEST}", "localhost:5000/app", DIGEST),
        ("localhost:5000/app:latest", "localhost:5000/app", "latest"),
    ],
)
def test_a_reference_is_taken_apart(reference: str, repository: str, name: str) -> None:
    assert parsed(reference) == (repository, name)


@pytest.mark.parametrize(
    "reference",
    [
        "localhost:5000/app",
        "app:1",
        "ghcr.io/App:1",
        "ghcr.io/app@sha256:12",
        "ghcr.io/app@",
        "ghcr.io/a:b:c",
    ],
)
def test_what_names_nothing_is_refused(reference: str) -> None:
    with pytest.raises(UsageError):
        parsed(reference)


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ("", None),
        ('</v2/app/tags/list?last=b>; rel="next"', "https://r.example/v2/app/tags/list?last=b"),
        ("<?last=b>; rel=next", "https://r.example/v2/app/tags/list?last=b"),
        ('<https://r.example/x>; rel="prev", <https://r.example/y>; rel="next"', "https://r.example/y"),
        ('</v2/>; rel="prev"', None),
    ],
)
def test_the_next_page(link: str, url: str | None) -> None:
    asked = "https://r.example/v2/app/tags/list"
    assert next_page(Answer(url=asked, status=200, headers={"Link": link}, body=b"")) == url


@pytest.mark.parametrize(
    ("said", "denied"),
    [
        ("failed to send blob post [http 403]: denied", True),
        ("failed to request manifest head r.example/app:1: no credentials available: unauthorized", True),
        ("failed to copy: unauthorized", True),
        ("failed to request manifest head r.example/app:1: empty challenge header", True),
        ("repository name not known to registry [http 404]", True),
        ("failed to request auth token [http 503]: unauthorized", False),
        ("failed to request auth token: dial tcp: connection refused: unauthorized", False),
        ("failed to send blob post [http 500]", False),
    ],
)
def test_a_copy_that_is_denied_is_not_tried_again_and_says_what_to_check(
    monkeypatch: pytest.MonkeyPatch, said: str, denied: bool
) -> None:
    def copy(*_: str, **_more: object) -> None:
        raise OutsideError("could not be copied", means=said, next_step="run again")

    monkeypatch.setattr(regctl, "copy", copy)
    with pytest.raises(OutsideError) as caught:
        Registry(plain_http=("r.example",), env={}).copy(
            f"localhost:1/app@{DIGEST}", f"r.example/app@{DIGEST}"
        )
    assert caught.value.again is not denied
    assert ("docker login r.example; check that r.example/app exists" in caught.value.next_step) is denied
