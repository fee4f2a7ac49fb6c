"""What a registry's 401 offers, read as RFC 9110 writes it."""

from __future__ import annotations

import pytest

from sealift.tools.registry_auth import Scope, challenges

GHCR = 'Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:owner/name:pull,push"'


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", []),
        ('Basic realm="a registry"', [("basic", {"realm": "a registry"})]),
        ("BASIC", [("basic", {})]),
        (
            GHCR,
            [
                (
                    "bearer",
                    {
                        "realm": "https://ghcr.io/token",
                        "service": "ghcr.io",
                        "scope": "repository:owner/name:pull,push",
                    },
                )
            ],
        ),
        (
            'Basic realm="one, two", Bearer Realm = "https://a/t" , service=plain',
            [("basic", {"realm": "one, two"}), ("bearer", {"realm": "https://a/t", "service": "plain"})],
        ),
        (r'Bearer realm="a \"quoted\" word"', [("bearer", {"realm": 'a "quoted" word'})]),
        ('realm="nobody\'s"', []),
    ],
)
def test_a_challenge_is_read(header: str, found: list[tuple[str, dict[str, str]]]) -> None:
    assert [(c.scheme, c.told) for c in challenges(header)] == found


def test_writing_needs_another_token_than_reading() -> None:
    reads, writes = (Scope("ghcr.io", "owner/name", writes) for writes in (False, True))
    assert reads.asked == "repository:owner/name:pull"
    assert writes.asked == "repository:owner/name:pull,push"
