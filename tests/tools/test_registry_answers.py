"""A registry that answers as real ones do on a bad day: no answer is taken for another."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import pytest

from sealift.errors import OutsideError, RefusedError
from sealift.model.names import Digest, Repository, Tag
from sealift.oci.documents import INDEX, MANIFEST
from sealift.services.ports import free_ports
from sealift.tools import http_limits, registry_referrers
from sealift.tools.http_limits import LIMIT
from sealift.tools.registry import ImmutableTagError, Registry
from sealift.tools.registry_bundle import BUNDLE_TYPE, PREDICATE_ANNOTATION
from sealift.tools.registry_http import NotThereError
from tests.tools.scripted import Asked, Reply, Script, Server, serving, told

pytestmark = pytest.mark.programs

BODY = b'{"schemaVersion":2,"layers":[]}'
DIGEST = Digest.of(BODY)
OTHER = Digest.of(b"other")
HERE = Reply(headers={"Content-Type": MANIFEST, "Docker-Content-Digest": DIGEST}, body=BODY)
NOTHING = Reply(status=404, body=b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown"}]}')
API, TAG = f"/v2/app/referrers/{DIGEST}", f"/v2/app/manifests/sha256-{DIGEST.hex}"

Start = Callable[[Script], tuple[Registry, Repository, Server]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a registry that answers by a script."""
    with ExitStack() as stack:

        def one(script: Script) -> tuple[Registry, Repository, Server]:
            server = stack.enter_context(serving(script))
            registry = Registry(plain_http=(server.host,), env={})
            return registry, Repository(f"{server.host}/app"), server

        yield one


def by_path(answers: Mapping[str, Reply], otherwise: Reply = NOTHING) -> Script:
    return lambda asked: answers.get(asked.path, otherwise)


def index(*found: Mapping[str, Any], kind: str = INDEX, **headers: str) -> Reply:
    return told({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(found)}, kind, **headers)


def listed(digest: str, artifact_type: str = BUNDLE_TYPE, **annotations: str) -> dict[str, Any]:
    return {
        "mediaType": MANIFEST,
        "digest": digest,
        "size": 1,
        "artifactType": artifact_type,
        "annotations": annotations,
    }


ASKING: dict[str, Callable[[Registry, Repository], object]] = {
    "head": lambda r, at: r.head(at.at(DIGEST)),
    "manifest": lambda r, at: r.manifest(at.at(DIGEST)),
    "blob": lambda r, at: r.blob(at, DIGEST),
    "has_blob": lambda r, at: r.has_blob(at, DIGEST),
    "tags": lambda r, at: r.tags(at),
    "referrers": lambda r, at: r.referrers(at, DIGEST),
    "attach": lambda r, at: r.attach(at, DIGEST, b"bundle", "type"),
    "put_tag": lambda r, at: r.put_tag(at, Tag("1"), DIGEST),
}
asking = pytest.mark.parametrize("ask", ASKING.values(), ids=list(ASKING))


@pytest.mark.parametrize("status", [401, 403, 405, 409])
@asking
def test_a_plain_refusal_is_no_answer_and_stays_one(
    start: Start, ask: Callable[[Registry, Repository], object], status: int
) -> None:
    registry, at, server = start(lambda _: Reply(status=status))
    with pytest.raises(OutsideError, match=f"answered {status}") as caught:
        ask(registry, at)
    # Without the Referrers API the tag in its place is looked for.
    asked = 2 if (ask, status) == (ASKING["referrers"], 405) else 1
    assert (caught.value.again, len(server.asked)) == (False, asked)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
@asking
def test_a_failure_that_may_pass_is_no_answer_and_is_not_asked_twice_here(
    start: Start, ask: Callable[[Registry, Repository], object], status: int
) -> None:
    registry, at, server = start(lambda _: Reply(status=status, headers={"Retry-After": "7"}))
    with pytest.raises(OutsideError, match=f"answered {status}") as caught:
        ask(registry, at)
    assert (caught.value.again, caught.value.retry_after, len(server.asked)) == (True, 7.0, 1)


SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nContent-Type: application/json\r\n\r\n{"
BROKEN = {
    "nothing": b"",
    "garbage": b"\x16\x03\x01 not HTTP at all\r\n\r\n",
    "half a header": b"HTTP/1.1 200 OK\r\nContent-Le",
}


@pytest.mark.parametrize("raw", [*BROKEN.values(), SHORT], ids=[*BROKEN, "a short body"])
@asking
def test_what_breaks_on_the_way_is_no_answer(
    start: Start, ask: Callable[[Registry, Repository], object], raw: bytes
) -> None:
    registry, at, _ = start(lambda a: Reply(raw=BROKEN["nothing"] if a.method == "HEAD" else raw))
    with pytest.raises(OutsideError, match="did not answer as it should") as caught:
        ask(registry, at)
    assert caught.value.again


@asking
def test_nobody_there_is_no_answer(ask: Callable[[Registry, Repository], object]) -> None:
    (port,) = free_ports(1).release()
    registry = Registry(plain_http=(f"localhost:{port}",), env={})
    with pytest.raises(OutsideError, match="refused") as caught:
        ask(registry, Repository(f"localhost:{port}/app"))
    assert caught.value.again


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"errors":[]}', b'{"tags":[1]}', b'{"tags":["a b"]}'])
def test_json_that_is_none_is_no_list(start: Start, body: bytes) -> None:
    registry, at, _ = start(lambda _: Reply(headers={"Content-Type": INDEX}, body=body))
    for ask in (ASKING["tags"], ASKING["referrers"]):
        with pytest.raises(OutsideError, match="not the JSON that was expected") as caught:
            ask(registry, at)
        assert caught.value.again


def test_nothing_there_is_an_answer(start: Start) -> None:
    registry, at, _ = start(lambda _: NOTHING)
    assert registry.head(at.at(DIGEST)) is None
    assert registry.head(at.tagged(Tag("1"))) is None
    assert registry.tags(at) == ()
    assert registry.referrers(at, DIGEST) == ()
    assert not registry.has_blob(at, DIGEST)
    for ask in (ASKING["manifest"], ASKING["blob"], ASKING["put_tag"], ASKING["attach"]):
        with pytest.raises(NotThereError, match="it is not there") as caught:
            ask(registry, at)
        assert not caught.value.again


def test_a_date_says_how_long_to_wait(start: Start) -> None:
    later = formatdate(time.time() + 3000, usegmt=True)
    registry, at, _ = start(lambda _: Reply(status=503, headers={"Retry-After": later}))
    with pytest.raises(OutsideError) as caught:
        registry.tags(at)
    assert 2700 < (caught.value.retry_after or 0) <= 3000


def test_what_is_read_by_a_digest_is_hashed(start: Start) -> None:
    changed = Reply(headers={"Content-Type": MANIFEST, "Docker-Content-Digest": DIGEST}, body=BODY + b" ")
    registry, at, _ = start(lambda _: changed)
    for ask in (ASKING["manifest"], ASKING["blob"], ASKING["put_tag"], ASKING["attach"]):
        with pytest.raises(RefusedError, match="other bytes than its name says"):
            ask(registry, at)


@pytest.mark.parametrize("ask", ["manifest", "blob", "head"])
def test_a_page_for_people_is_no_other_manifest(start: Start, ask: str) -> None:
    page = Reply(headers={"Content-Type": "text/html; charset=utf-8"}, body=b"<html>sign in</html>")
    registry, at, _ = start(lambda _: page)
    with pytest.raises(OutsideError, match="a page for people") as caught:
        ASKING[ask](registry, at)
    assert caught.value.again


@pytest.mark.parametrize("begun", ["/v2/app/blobs/uploads/cut-o", None])
def test_an_upload_that_the_registry_forgot_is_begun_again(start: Start, begun: str | None) -> None:
    def script(asked: Asked) -> Reply:
        if asked.method == "POST":
            return Reply(status=202, headers={"Location": begun} if begun else {})
        return HERE if asked.method == "GET" and "/manifests/" in asked.path else NOTHING

    registry, at, _ = start(script)
    with pytest.raises(OutsideError, match="could not be put") as caught:
        registry.attach(at, DIGEST, b"bundle", "type")
    assert caught.value.again


def test_a_head_that_names_another_digest_is_refused(start: Start) -> None:
    registry, at, _ = start(lambda _: Reply(headers={"Docker-Content-Digest": OTHER}))
    with pytest.raises(RefusedError, match="other bytes"):
        registry.head(at.at(DIGEST))
    assert registry.head(at.tagged(Tag("1"))) == OTHER


@pytest.mark.parametrize("header", [{}, {"Docker-Content-Digest": "sha512:" + "0" * 128}])
def test_a_head_without_a_digest_is_hashed_from_the_bytes(start: Start, header: dict[str, str]) -> None:
    registry, at, server = start(lambda _: Reply(headers=header, body=BODY))
    assert registry.head(at.tagged(Tag("1"))) == DIGEST
    assert server.words == ["HEAD /v2/app/manifests/1", "GET /v2/app/manifests/1"]


def test_all_kinds_of_manifest_are_asked_for(start: Start) -> None:
    registry, at, server = start(lambda _: HERE)
    registry.manifest(at.tagged(Tag("1")))
    accepted = server.asked[0].headers["accept"]
    assert all(kind in accepted for kind in (INDEX, MANIFEST, "docker.distribution.manifest.list.v2+json"))


def test_more_than_we_want_to_hold_is_not_read(start: Start) -> None:
    registry, at, _ = start(lambda _: Reply(headers={"Content-Type": INDEX}, body=b" " * (LIMIT + 1)))
    with pytest.raises(OutsideError, match="more than 32 MiB") as caught:
        registry.referrers(at, DIGEST)
    assert not caught.value.again


def test_an_answer_that_does_not_end_is_not_waited_for(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_limits, "WHOLE", 0.2)
    registry, at, _ = start(lambda _: replace(told({"tags": ["a" * 100]}), pace=0.05))
    with pytest.raises(OutsideError, match=r"did not end within 0.2 s") as caught:
        registry.tags(at)
    assert caught.value.again


# Pages.


def test_tags_are_read_to_the_last_page(start: Start) -> None:
    pages = {
        "/v2/app/tags/list": told({"tags": ["a", "b"]}, Link='</v2/app/tags/list?n=2&last=b>; rel="next"'),
        "/v2/app/tags/list?n=2&last=b": told({"tags": ["c"]}, Link='<tags/list?last=c>; rel="next"'),
        "/v2/app/tags/tags/list?last=c": told({"tags": None}),
    }
    registry, at, _ = start(by_path(pages))
    assert registry.tags(at) == ("a", "b", "c")


def test_a_later_page_that_is_lost_is_not_the_end(start: Start) -> None:
    first = told({"tags": ["a"]}, Link='</v2/app/tags/list?last=a>; rel="next"')
    registry, at, _ = start(by_path({"/v2/app/tags/list": first}))
    with pytest.raises(OutsideError, match=r"page 2 .* could not be read: .*404"):
        registry.tags(at)


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("/v2/app/tags/list", "does not end"),
        ("https://elsewhere.example/v2/app/tags/list", "goes on at https://elsewhere.example/v2/app/tags"),
    ],
)
def test_pages_that_lead_in_a_circle_or_away_end_in_an_error(start: Start, where: str, words: str) -> None:
    registry, at, server = start(lambda _: told({"tags": ["a"]}, Link=f'<{where}>; rel="next"'))
    with pytest.raises(OutsideError, match=words) as caught:
        registry.tags(at)
    assert (caught.value.again, len(server.asked)) == (False, 1)


@pytest.mark.parametrize(
    ("ask", "cut"),
    [
        ("tags", told({"tags": ["a"]}, Link='<http://[>; rel="next"')),
        ("referrers", index(Link='<http://[::1>; rel="next"')),
        ("blob", Reply(status=307, headers={"Location": "http://["})),
        ("blob", Reply(status=401, headers={"WWW-Authenticate": 'Bearer realm="http://["'})),
        ("attach", Reply(status=202, headers={"Location": "http://["})),
    ],
)
def test_an_address_that_came_cut_off_may_come_whole_the_next_time(
    start: Start, ask: str, cut: Reply
) -> None:
    def script(asked: Asked) -> Reply:
        if ask != "attach" or asked.method == "POST":
            return cut
        return HERE if "/manifests/" in asked.path else NOTHING

    registry, at, _ = start(script)
    with pytest.raises(OutsideError, match="address that is none") as caught:
        ASKING[ask](registry, at)
    assert caught.value.again


def test_referrers_are_read_to_the_last_page(start: Start) -> None:
    pages = {
        API: index(listed(DIGEST, sort="one"), Link=f'<{API}?p=2>; rel="next"'),
        f"{API}?p=2": index(listed(OTHER), listed(DIGEST, "application/else")),
    }
    registry, at, _ = start(by_path(pages))
    found = registry.referrers(at, DIGEST)
    assert [(r.digest, dict(r.annotations)) for r in found] == [(DIGEST, {"sort": "one"}), (OTHER, {})]


# The Referrers API, and the tag in its place.


@pytest.mark.parametrize("status", [400, 404, 406])
def test_without_the_api_the_tag_is_read(start: Start, status: int) -> None:
    answers = {API: Reply(status=status), TAG: index(listed(OTHER))}
    registry, at, _ = start(by_path(answers))
    assert [r.digest for r in registry.referrers(at, DIGEST)] == [OTHER]


@pytest.mark.parametrize("status", [403, 429, 500])
def test_an_api_that_fails_is_not_absent(start: Start, status: int) -> None:
    registry, at, _ = start(by_path({API: Reply(status=status)}))
    with pytest.raises(OutsideError, match="could not be read") as caught:
        registry.referrers(at, DIGEST)
    assert "not the same as unsigned" in caught.value.means


@pytest.mark.parametrize("status", [400, 404, 406])
def test_an_api_that_has_answered_before_is_not_absent(start: Start, status: int) -> None:
    answers = {API: index(listed(OTHER))}
    registry, at, _ = start(by_path(answers))
    assert [r.digest for r in registry.referrers(at, DIGEST)] == [OTHER]
    answers[API] = Reply(status=status)
    with pytest.raises(OutsideError, match=f"answered {status}, and had answered") as caught:
        registry.referrers(at, DIGEST)
    assert caught.value.again


@pytest.mark.parametrize("kind", ["text/html", "application/json", ""])
def test_what_is_not_called_a_list_is_none(start: Start, kind: str) -> None:
    registry, at, _ = start(by_path({API: index(kind=kind)}))
    with pytest.raises(OutsideError, match="not the JSON that was expected") as caught:
        registry.referrers(at, DIGEST)
    assert caught.value.again


def test_a_tag_that_fails_is_not_empty(start: Start) -> None:
    registry, at, _ = start(by_path({TAG: Reply(status=500)}))
    with pytest.raises(OutsideError, match="could not be read") as caught:
        registry.referrers(at, DIGEST)
    assert caught.value.again


def test_another_image_under_the_tag_is_no_list(start: Start) -> None:
    another = Reply(headers={"Content-Type": MANIFEST}, body=BODY + b"\n")
    registry, at, _ = start(by_path({TAG: another}))
    with pytest.raises(OutsideError, match="is no index") as caught:
        registry.referrers(at, DIGEST)
    assert not caught.value.again


def test_what_a_stranger_lists_does_not_hide_the_rest(start: Start) -> None:
    strange = [{}, {"artifactType": BUNDLE_TYPE}, listed("sha512:" + "0" * 128), {"digest": OTHER}]
    registry, at, _ = start(by_path({API: index(*strange, {**listed(OTHER), "annotations": 1})}))
    assert [r.digest for r in registry.referrers(at, DIGEST)] == [OTHER]


def artifact(**layer: Any) -> tuple[Digest, Reply]:
    reply = told({"layers": [layer]}, MANIFEST)
    return Digest.of(reply.body), reply


def test_a_good_bundle_counts_beside_one_that_is_lost_and_ones_that_are_none(start: Start) -> None:
    good, good_reply = artifact(mediaType=BUNDLE_TYPE, digest=Digest.of(b"good"), size=4)
    large, large_reply = artifact(mediaType=BUNDLE_TYPE, digest=OTHER, size=LIMIT + 1)
    image, image_reply = artifact(mediaType="application/x", digest=OTHER, size=1)
    odd, odd_reply = artifact(digest=1)
    answers = {
        API: index(*(listed(d) for d in (OTHER, large, image, odd, good))),
        f"/v2/app/blobs/{Digest.of(b'good')}": Reply(body=b"good"),
        **{
            f"/v2/app/manifests/{digest}": reply
            for digest, reply in (
                (good, good_reply),
                (large, large_reply),
                (image, image_reply),
                (odd, odd_reply),
            )
        },
    }
    registry, at, _ = start(by_path(answers))
    found = dict(registry.bundles(at, DIGEST))
    assert found.pop(good) == b"good"
    said = {digest: str(error) for digest, error in found.items()}
    assert all(isinstance(error, RefusedError) for error in found.values())
    assert "it is not there" in said[OTHER]
    assert "cannot be read" in said[large]
    assert "should hold one layer" in said[image]
    assert "is no manifest" in said[odd]


def writing(asked: Asked) -> Reply:
    """Take what is written, without a Referrers API and with one stranger in the list already."""
    match asked.method, asked.path:
        case "POST", _:
            return Reply(status=202, headers={"Location": "/v2/app/blobs/uploads/7?state=a%2Fb"})
        case "PUT", _:
            return Reply(status=201)
        case "GET", path if path == f"/v2/app/manifests/{DIGEST}":
            return HERE
        case "GET", path if path == TAG:
            kept = {**listed("sha256:" + "f" * 64, "application/else"), "platform": {"os": "any"}}
            return told({"schemaVersion": 2, "mediaType": INDEX, "manifests": [kept], "more": 1}, INDEX)
        case _:
            return NOTHING


def test_a_bundle_is_attached_as_cosign_does_it(start: Start) -> None:
    registry, at, server = start(writing)
    put = registry.attach(at, DIGEST, b"bundle", "https://type")
    *blobs, manifest, tag = [a for a in server.asked if a.method == "PUT"]
    assert [a.path for a in blobs] == [
        f"/v2/app/blobs/uploads/7?state=a%2Fb&digest=sha256%3A{Digest.of(body).hex}"
        for body in (b"{}", b"bundle")
    ]
    assert (Digest.of(manifest.body), manifest.path) == (put, f"/v2/app/manifests/{put}")
    said = json.loads(manifest.body)
    assert said["subject"] == {"mediaType": MANIFEST, "digest": DIGEST, "size": len(BODY)}
    assert said["layers"] == [{"mediaType": BUNDLE_TYPE, "digest": Digest.of(b"bundle"), "size": 6}]
    assert said["artifactType"] == BUNDLE_TYPE
    assert (tag.path, tag.headers["content-type"]) == (TAG, INDEX)
    now = json.loads(tag.body)
    assert now["more"] == 1
    ours, theirs = sorted(now["manifests"], key=lambda d: bool(d.get("platform")))
    assert theirs["platform"] == {"os": "any"}
    assert (ours["digest"], ours["size"], ours["artifactType"]) == (put, len(manifest.body), BUNDLE_TYPE)
    assert ours["annotations"] == said["annotations"]
    assert ours["annotations"][PREDICATE_ANNOTATION] == "https://type"
    assert [d["digest"] for d in now["manifests"]] == sorted(d["digest"] for d in now["manifests"])


def test_what_is_listed_already_is_not_listed_twice(start: Start) -> None:
    registry, at, _ = start(writing)
    put = registry.attach(at, DIGEST, b"bundle", "https://type")

    def script(asked: Asked) -> Reply:
        return index(listed(put)) if (asked.method, asked.path) == ("GET", TAG) else writing(asked)

    registry, at, server = start(script)
    assert registry.attach(at, DIGEST, b"bundle", "https://type") == put
    assert f"PUT {TAG}" not in server.words


def test_a_registry_that_lists_by_itself_gets_no_tag(start: Start) -> None:
    def script(asked: Asked) -> Reply:
        if asked.method == "PUT" and "/manifests/" in asked.path:
            return Reply(status=201, headers={"OCI-Subject": DIGEST})
        return writing(asked)

    registry, at, server = start(script)
    registry.attach(at, DIGEST, b"bundle", "https://type")
    assert not any("referrers" in a.path or a.path == TAG for a in server.asked)


@pytest.mark.parametrize("status", [403, 500])
def test_a_tag_that_cannot_be_read_is_not_written(start: Start, status: int) -> None:
    def script(asked: Asked) -> Reply:
        return Reply(status=status) if asked.path == TAG else writing(asked)

    registry, at, server = start(script)
    with pytest.raises(OutsideError, match=f"answered {status}"):
        registry.attach(at, DIGEST, b"bundle", "https://type")
    assert f"PUT {TAG}" not in server.words


def test_a_tag_that_is_elsewhere_afterwards_is_seen(start: Start) -> None:
    def script(asked: Asked) -> Reply:
        if asked.method == "HEAD":
            return Reply(headers={"Docker-Content-Digest": OTHER})
        return Reply(status=201) if asked.method == "PUT" else HERE

    registry, at, server = start(script)
    with pytest.raises(OutsideError, match=f"names {OTHER} after {DIGEST} was put there"):
        registry.put_tag(at, Tag("1.2.3"), DIGEST)
    (put,) = [a for a in server.asked if a.method == "PUT"]
    assert (put.path, put.body, put.headers["content-type"]) == ("/v2/app/manifests/1.2.3", BODY, MANIFEST)


# Registries that answer otherwise than the specification says, as users have met them.


@pytest.mark.parametrize("kind", ["br", "zstd", "gzip, br", "compress"])
def test_an_encoding_that_cannot_be_unpacked_is_named(start: Start, kind: str) -> None:
    packed = Reply(headers={"Content-Type": MANIFEST, "Content-Encoding": kind}, body=b"\x0b\x02\x80{}\x03")
    registry, at, _ = start(lambda _: packed)
    for reference in (at.at(DIGEST), at.tagged(Tag("1"))):
        with pytest.raises(OutsideError, match=f"in the encoding {kind.rsplit(maxsplit=1)[-1]}") as caught:
            registry.manifest(reference)
        assert not caught.value.again


@pytest.mark.parametrize("kind", ["gzip", "GZIP", "x-gzip", "identity", "deflate"])
def test_an_answer_that_can_be_unpacked_is_read(start: Start, kind: str) -> None:
    body = {"identity": BODY, "deflate": zlib.compress(BODY)}.get(kind, gzip.compress(BODY))
    registry, at, _ = start(lambda _: Reply(headers={"Content-Encoding": kind}, body=body))
    assert registry.manifest(at.at(DIGEST)) == BODY


def test_a_registry_that_reads_the_tag_as_the_digest_lists_no_referrers(start: Start) -> None:
    """GitLab's does; for an index, its platforms would be taken for referrers."""
    registry, at, _ = start(by_path({TAG: HERE}))
    assert registry.referrers(at, DIGEST) == ()


@pytest.mark.parametrize("itself", [True, False], ids=["the subject", "another image"])
def test_platforms_under_the_tag_are_neither_listed_nor_kept(start: Start, itself: bool) -> None:
    child = {"mediaType": MANIFEST, "digest": OTHER, "size": 1, "platform": {"os": "linux"}}
    image = index(child)
    subject = Digest.of(image.body) if itself else DIGEST
    tag, kept = f"/v2/app/manifests/sha256-{subject.hex}", listed("sha256:" + "f" * 64)
    shown = image if itself else index(child, kept)

    def script(asked: Asked) -> Reply:
        if asked.method in ("POST", "PUT"):
            return writing(asked)
        held = image if itself else HERE
        answers = {tag: shown, f"/v2/app/manifests/{subject}": held}
        return answers.get(asked.path, NOTHING)

    registry, at, server = start(script)
    assert [r.digest for r in registry.referrers(at, subject)] == ([] if itself else [kept["digest"]])
    put = registry.attach(at, subject, b"bundle", "type")
    (written,) = [a for a in server.asked if (a.method, a.path) == ("PUT", tag)]
    names = [d["digest"] for d in json.loads(written.body)["manifests"]]
    assert names == sorted([put] if itself else [put, kept["digest"]])
    assert b"platform" not in written.body


NO_API = {
    "a page": Reply(headers={"Content-Type": "text/html"}, body=b"<!doctype html><title>not found"),
    "nothing": Reply(),
    "405": Reply(status=405),
    "501": Reply(status=501),
    "unsupported": Reply(status=403, body=b'{"errors":[{"code":"UNSUPPORTED","message":"no"}]}'),
}


@pytest.mark.parametrize("answer", NO_API.values(), ids=list(NO_API))
def test_what_is_said_in_place_of_the_api_is_no_list_and_the_tag_is_read(start: Start, answer: Reply) -> None:
    registry, at, _ = start(by_path({API: answer, TAG: index(listed(OTHER))}))
    assert [r.digest for r in registry.referrers(at, DIGEST)] == [OTHER]

    registry, at, server = start(lambda asked: answer if asked.path == API else writing(asked))
    registry.attach(at, DIGEST, b"bundle", "type")
    assert f"PUT {TAG}" in server.words


@pytest.mark.parametrize("name", ["405", "501", "unsupported"])
def test_a_registry_that_says_that_it_has_no_api_has_no_referrers_without_the_tag(
    start: Start, name: str
) -> None:
    registry, at, _ = start(by_path({API: NO_API[name]}))
    assert registry.referrers(at, DIGEST) == ()


@pytest.mark.parametrize("name", ["a page", "nothing"])
def test_a_page_in_place_of_the_api_is_no_answer_until_it_stays(
    start: Start, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, at, _ = start(by_path({API: NO_API[name]}))
    for _ in range(2):
        with pytest.raises(OutsideError, match="not the JSON that was expected") as caught:
            registry.referrers(at, DIGEST)
        assert caught.value.again
    monkeypatch.setattr(registry_referrers, "STAYS", 0.0)
    assert registry.referrers(at, DIGEST) == ()


def test_a_page_that_comes_from_the_way_does_not_hide_a_list(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {API: index(listed(OTHER))}
    registry, at, _ = start(by_path(answers))
    assert [r.digest for r in registry.referrers(at, DIGEST)] == [OTHER]
    answers[API] = NO_API["a page"]
    monkeypatch.setattr(registry_referrers, "STAYS", 0.0)
    for _ in range(2):
        with pytest.raises(OutsideError, match="not the JSON that was expected") as caught:
            registry.referrers(at, DIGEST)
        assert caught.value.again, "it has an API: it answered before"


EMPTY_CONFIG, IMAGE_CONFIG = (f"application/vnd.oci.{kind}+json" for kind in ("empty.v1", "image.config.v1"))
OLD_BUNDLE = "application/vnd.dev.sigstore.bundle+json;version=0.3"


@pytest.mark.parametrize("kind", [EMPTY_CONFIG, IMAGE_CONFIG, OLD_BUNDLE, "", None])
@pytest.mark.parametrize("layer", [BUNDLE_TYPE, OLD_BUNDLE])
@pytest.mark.parametrize("where", [API, TAG], ids=["API", "tag"])
def test_a_bundle_that_is_listed_as_something_else_is_found(
    start: Start, kind: str | None, layer: str, where: str
) -> None:
    """cosign lists its bundles as the empty configuration under the fallback tag, and finds them."""
    about = {PREDICATE_ANNOTATION: "https://type"}
    held = told(
        {"annotations": about, "layers": [{"mediaType": layer, "digest": Digest.of(b"it"), "size": 2}]},
        MANIFEST,
    )
    digest = Digest.of(held.body)
    entry = {"mediaType": MANIFEST, "digest": digest, "size": 1}
    answers = {
        where: index(entry if kind is None else {**entry, "artifactType": kind}),
        f"/v2/app/manifests/{digest}": held,
        f"/v2/app/blobs/{Digest.of(b'it')}": Reply(body=b"it"),
    }
    registry, at, _ = start(by_path(answers))
    assert registry.bundles(at, DIGEST) == ((digest, b"it"),)
    (found,) = registry.referrers(at, DIGEST)
    assert (found.artifact_type, found.annotations) == (BUNDLE_TYPE, about)


def test_what_is_listed_as_something_else_and_is_no_bundle_is_passed_over(start: Start) -> None:
    sbom, sbom_reply = artifact(mediaType="text/spdx+json", digest=OTHER, size=1)
    answers = {API: index(listed(sbom, "text/spdx+json"), listed(OTHER, EMPTY_CONFIG))}
    registry, at, _ = start(by_path({**answers, f"/v2/app/manifests/{sbom}": sbom_reply}))
    assert registry.bundles(at, DIGEST) == ()
    registry, at, _ = start(by_path({**answers, f"/v2/app/manifests/{sbom}": Reply(status=503)}))
    with pytest.raises(OutsideError, match="answered 503"):
        registry.bundles(at, DIGEST)


def test_a_list_that_was_filtered_without_being_asked_to_is_read_as_it_is(start: Start) -> None:
    answer = index(listed(OTHER), listed(DIGEST, "application/else"), OCI_Filters_Applied="artifactType")
    registry, at, server = start(by_path({API: answer}))
    assert [r.digest for r in registry.referrers(at, DIGEST)] == [OTHER]
    assert server.words[0] == f"GET {API}", "no filter is asked for, so none can be applied wrongly"


@pytest.mark.parametrize("status", [401, 403])
@asking
def test_an_access_that_is_denied_may_be_to_what_does_not_exist_yet(
    start: Start, ask: Callable[[Registry, Repository], object], status: int
) -> None:
    registry, at, _ = start(lambda _: Reply(status=status, body=b'{"errors": [{"code": "DENIED"}]}'))
    with pytest.raises(OutsideError, match="does not exist yet") as caught:
        ask(registry, at)
    assert caught.value.exit_code == 4
    assert f"docker login {at.host}" in caught.value.next_step
    assert str(at) in caught.value.next_step


IMMUTABLE = {
    "ECR": (400, "TAG_INVALID", "The image tag '1' already exists and cannot be overwritten"),
    "Harbor": (412, "PRECONDITION", "Failed to process request due to 'app:1' configured as immutable."),
    "Azure": (405, "UNSUPPORTED", "The operation is disallowed on this registry, repository or image."),
    "Artifactory": (403, "DENIED", "Not enough permissions to delete/overwrite artifact"),
    "Quay": (409, "TAG_IMMUTABLE", "tag is immutable"),
}


def immutable(name: str, held: Digest | None) -> Script:
    status, code, message = IMMUTABLE[name]
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()

    def script(asked: Asked) -> Reply:
        if asked.method == "PUT":
            return Reply(status=status, body=body)
        if asked.path == "/v2/app/manifests/1":
            return Reply(headers={"Docker-Content-Digest": held}) if held else NOTHING
        return HERE

    return script


@pytest.mark.parametrize("name", list(IMMUTABLE))
def test_a_tag_that_cannot_be_moved_is_told_with_the_setting_that_helps(start: Start, name: str) -> None:
    registry, at, _ = start(immutable(name, OTHER))
    for ask in (registry.put_tag, registry.check_movable):
        with pytest.raises(ImmutableTagError, match="does not let the tag") as caught:
            ask(at, Tag("1"), DIGEST)
        assert not caught.value.again
        assert "`moving_tags: []` in ci/release.yaml" in caught.value.next_step
        assert IMMUTABLE[name][2] in str(caught.value)


@pytest.mark.parametrize("name", list(IMMUTABLE))
def test_a_tag_that_is_right_already_need_not_be_put_again(start: Start, name: str) -> None:
    registry, at, _ = start(immutable(name, DIGEST))
    registry.put_tag(at, Tag("1"), DIGEST)


def test_a_new_tag_that_is_refused_is_not_called_immutable(start: Start) -> None:
    registry, at, _ = start(immutable("ECR", None))
    with pytest.raises(OutsideError, match=r"could not be put: .* answered 400") as caught:
        registry.put_tag(at, Tag("1"), DIGEST)
    assert not isinstance(caught.value, ImmutableTagError)


@pytest.mark.parametrize("status", [401, 429, 503])
def test_what_is_no_word_about_the_tag_is_told_as_it_is(start: Start, status: int) -> None:
    registry, at, _ = start(lambda a: Reply(status=status) if a.method == "PUT" else HERE)
    for ask in (registry.put_tag, registry.check_movable):
        with pytest.raises(OutsideError, match=f"answered {status}") as caught:
            ask(at, Tag("1"), DIGEST)
        assert not isinstance(caught.value, ImmutableTagError)
        assert caught.value.again is (status != 401)


def test_a_tag_that_can_be_moved_is_put_where_it_is(start: Start) -> None:
    registry, at, server = start(lambda a: Reply(status=201) if a.method == "PUT" else HERE)
    registry.check_movable(at, Tag("1"), DIGEST)
    (put,) = [a for a in server.asked if a.method == "PUT"]
    assert (put.path, put.body) == ("/v2/app/manifests/1", BODY)
