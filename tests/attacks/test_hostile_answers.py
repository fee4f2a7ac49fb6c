"""Answers that do not end, unpack to gigabytes, or lead in circles: given up, in bounded memory and time."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from sealift.tools import http_limits
from tests.attacks.catalogue import Attack, each
from tests.attacks.hostile import (
    KIND,
    Read,
    attack,
    bomb,
    find_release,
    github,
    pages,
    refused,
    registry,
    tags,
    told,
)
from tests.fuzz.readers import DIGEST, HOST
from tests.fuzz.wire import answer

pytestmark = pytest.mark.programs

SECOND = 1.0
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PACKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\n"
# gzip's own head, then blocks of deflate with nothing in them.
EMPTY = gzip.compress(b"")[:10]
NOTHING = b"5\r\n\0\0\0\xff\xff\r\n"
LATE = "did not end within 1 s"
SELF = {
    "ref": "refs/tags/v1.2.3",
    "url": "http://x",
    "object": {"type": "tag", "sha": "c" * 40, "url": "http://x"},
}
LOOP = '</v2/owner/app/tags/list>; rel="next"'
TWICE = gzip.compress(bomb(100 << 20), mtime=0)


def same_page() -> Read:
    other = [{"id": 1, "url": "http://x", "tag_name": "v0.0.1"}]
    page = answer(
        json.dumps(other).encode(),
        **KIND,
        Link='<http://api.github.test/repositories/1/releases?page=2>; rel="next"',
    )
    return told(find_release, page)


@each(
    attack(
        "a registry's answer of 100 KB that unpacks to 100 MB",
        "promote",
        4,
        "holds more than 32 MiB",
        told(tags, answer(bomb(100 << 20), Content_Encoding="gzip")),
    ),
    attack(
        "a registry's answer that is packed twice",
        "promote",
        4,
        "holds more than 32 MiB",
        told(tags, answer(TWICE, Content_Encoding="gzip, gzip")),
    ),
    attack(
        "GitHub's answer of 100 KB that unpacks to 100 MB",
        "draft",
        4,
        "holds more than 32 MiB",
        told(find_release, answer(bomb(100 << 20), **KIND, Content_Encoding="gzip")),
    ),
    attack(
        "a token of 64 MB",
        "push",
        4,
        "holds more than 32 MiB",
        told(
            tags,
            answer(status="401 No", WWW_Authenticate='Bearer realm="http://registry.test/t"'),
            answer(bomb(64 << 20), Content_Encoding="gzip"),
        ),
    ),
    attack(
        "an answer without an end",
        "promote",
        4,
        "holds more than 32 MiB",
        told(tags, CHUNKED, drop=b"10000\r\n" + bytes(1 << 16) + b"\r\n"),
    ),
    attack(
        "a byte of an answer every 50 ms",
        "promote",
        4,
        LATE,
        told(tags, CHUNKED, drop=b"1\r\n \r\n", pause=0.05),
    ),
    attack(
        "a byte of GitHub's answer every 50 ms",
        "draft",
        4,
        LATE,
        told(find_release, CHUNKED, drop=b"1\r\n \r\n", pause=0.05),
    ),
    attack(
        "a byte of a header every 50 ms", "promote", 4, LATE, told(tags, HEAD + b"A: ", drop=b"a", pause=0.05)
    ),
    attack(
        "'100 Continue' for ever",
        "promote",
        4,
        LATE,
        told(tags, b"", drop=b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.01),
    ),
    attack(
        "gzip with nothing in it, for ever",
        "promote",
        4,
        LATE,
        told(tags, PACKED + b"a\r\n" + EMPTY + b"\r\n", drop=NOTHING, pause=0.01),
    ),
    attack(
        "1,000 headers",
        "promote",
        4,
        "got more than 100 headers",
        told(tags, HEAD + b"A: a\r\n" * 1000 + b"\r\n"),
    ),
    attack(
        "a header of 100 KB",
        "promote",
        4,
        "got more than 65536 bytes",
        told(tags, HEAD + b"A: " + b"a" * 100_000),
    ),
    attack(
        "a page of tags that names itself as the next",
        "promote",
        4,
        "does not end",
        told(tags, answer(b'{"tags":[]}', Link=LOOP)),
    ),
    attack(
        "pages of tags without an end", "promote", 4, "does not end: after 100 pages", pages(b'{"tags":[]}')
    ),
    attack(
        "pages of 100 KB that sum up to gigabytes",
        "promote",
        4,
        "does not end",
        pages(b'{"tags":[]}'.ljust(100_000)),
    ),
    attack(
        "pages of GitHub's releases without an end", "draft", 4, "there are more than 100 pages", same_page()
    ),
    attack(
        "a tag on GitHub that names a tag, and so on",
        "promote",
        4,
        "names a tag that names a tag",
        told(lambda: github().tag_commit("v1.2.3"), answer(json.dumps(SELF).encode(), **KIND)),
    ),
    attack(
        "redirects in a circle",
        "push",
        4,
        "redirects more than 5 times",
        told(
            lambda: registry().manifest(HOST.at(DIGEST)),
            *(answer(status="307 There", Location=f"/{h}") for h in "abababab"),
        ),
    ),
)
def test_an_answer_that_does_not_end_is_given_up(
    attack: Attack[Read], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if LATE in attack.words:
        monkeypatch.setattr(http_limits, "HEAD", SECOND)
        monkeypatch.setattr(http_limits, "WHOLE", SECOND)
    monkeypatch.setattr("sealift.tools.registry_http.PAGES", 100)
    monkeypatch.setattr("sealift.tools.registry_http.PAGES_SIZE", 4 << 20)
    refused(attack, tmp_path)
