"""Registries that say one thing and hold another: whatever other clients get is compared before tags move."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sealift.errors import SealiftError
from sealift.model.evidence import BuiltPlatform, Promoted, Pushed
from sealift.model.names import Digest, Repository, Tag
from sealift.model.statements import PredicateType, Subject, signature
from sealift.oci.documents import INDEX, MANIFEST
from sealift.stations.draft import PublishedRelease
from sealift.stations.image import labels
from sealift.stations.promote import promote
from sealift.stations.push import push
from sealift.stations.verify import Verified, verify
from sealift.tools.cosign import Cosign
from sealift.tools.registry import Registry
from sealift.tools.registry_bundle import BUNDLE_TYPE
from tests.attacks.catalogue import Attack, Kind, each
from tests.attacks.lying import Access, Lie, Shop, is_stranger, shop, with_header
from tests.attacks.signing import wanting
from tests.tools.scripted import Asked, Reply
from tests.unit.stations.things import AMD64, ARM64, OURS, Glass, built, bundle, plan

pytestmark = pytest.mark.programs

Open = Callable[..., Shop]
PLAN = plan("1.2.3")
PAGE = PublishedRelease(tag="v1.2.3", release_id=1, url="https://page", immutable=True, made=True)
MISSING = Reply(status=404, body=b"{}")


@pytest.fixture
def opening(tmp_path: Path) -> Iterator[Open]:
    with ExitStack() as stack:
        yield lambda lie, **told: stack.enter_context(shop(tmp_path, lie, labels=labels(PLAN), **told))


def pushed(at: Shop, registry: Registry | None = None) -> Pushed:
    """Push what the registry says that it has already."""
    digests = dict(zip((AMD64, ARM64), at.platforms, strict=True))
    image = msgspec.structs.replace(
        built("static"),
        digest=at.index,
        platforms={
            p: BuiltPlatform(digest=d, binary_sha256="0" * 64, compressed_bytes=1) for p, d in digests.items()
        },
    )
    return push(
        "static",
        image,
        {("scan", platform): digest for platform, digest in digests.items()},
        base=image.base_digest,
        layout=Repository("localhost:1/static"),
        target=at.repository,
        registry=registry or at.registry,
    )


class Accepting(Cosign):
    """A cosign that accepts what the library accepts: here registries are attacked, not signatures."""

    def accepted(self, _subject: Subject) -> frozenset[str]:
        return frozenset(PredicateType)


def verified(at: Shop, *images: Subject) -> Verified:
    """Attach a signature to each image, and verify it, while the registry is honest."""
    at.lies = False
    images = images or tuple(
        Subject(repository=at.repository, digest=digest) for digest in (at.index, *at.platforms)
    )
    for image in images:
        said = signature(image)
        at.registry.attach(image.repository, image.digest, bundle(said), said.predicate_type)
    cosign = Accepting(trusted_root=None, identity=OURS)
    # Glass reads the bundles that it is given.
    found = verify(
        [one for image in images for one in wanting(image)],
        registry=at.registry,
        verifier=Glass(),
        cosign=cosign,
    )
    at.lies = True
    return found


def promoted(at: Shop) -> Promoted:
    return promote(
        PLAN,
        verified(at),
        {"static": (at.repository, at.index)},
        registry=at.registry,
        ready=lambda _: None,
        publish=lambda: PAGE,
        done={},
    )


def manifest(asked: Asked) -> str:
    """Return the name of the manifest that is read, a tag or a digest."""
    reads = asked.method in ("GET", "HEAD") and "/manifests/" in asked.path
    return asked.path.rpartition("/")[2] if reads else ""


def by_accept(*kinds: str) -> Callable[[Asked], bool]:
    """Match the client whose Accept header is this."""
    return lambda asked: asked.headers.get("accept", "").replace(" ", "").split(",") == list(kinds)


def accepting(first: str, count: int) -> Callable[[Asked], bool]:
    """Match a client by how many types it accepts, and which one first."""

    def matches(asked: Asked) -> bool:
        kinds = [kind.strip() for kind in asked.headers.get("accept", "").split(",")]
        return kinds[0] == first and len(kinds) == count

    return matches


V2 = "application/vnd.docker.distribution.manifest."
CLIENTS: Mapping[str, Callable[[Asked], bool]] = {
    "podman": accepting(MANIFEST, 6),
    "docker": accepting(f"{V2}list.v2+json", 6),
    "containerd": accepting(f"{V2}v2+json", 5),
    "crane": accepting(f"{V2}v1+json", 6),
    "a client of one type": by_accept(INDEX),
}


def other_for(client: Callable[[Asked], bool], name: str) -> Lie:
    """Give one client another manifest, in header and body alike."""

    def lie(at: Shop, asked: Asked, reply: Reply) -> Reply:
        meant = {"index": at.index}.get(name, name)
        return at.shown(at.other) if manifest(asked) == meant and client(asked) else reply

    return lie


def changed(reads: str, change: Callable[[Shop, Reply], Reply], method: str = "GET") -> Lie:
    """Change the answer about one name, for one method."""

    def lie(at: Shop, asked: Asked, reply: Reply) -> Reply:
        meant = {"index": at.index, "platform": at.platforms[0]}.get(reads, reads)
        there = reply.status == 200
        return change(at, reply) if manifest(asked) == meant and asked.method == method and there else reply

    return lie


def blob(change: Callable[[bytes], bytes], when: Callable[[Asked], bool] = lambda _: True) -> Lie:
    """Change the bytes of every layer."""

    def lie(_at: Shop, asked: Asked, reply: Reply) -> Reply:
        read = asked.method == "GET" and "/blobs/" in asked.path and not reply.body.startswith(b"{")
        return replace(reply, body=change(reply.body)) if read and when(asked) else reply

    return lie


def lying(sample: str, artefact: Any, words: str, stage: str = "push", exit_code: int = 3) -> Attack[Any]:
    return Attack(
        kind=Kind.SERVICES,
        sample=sample,
        artefact=artefact,
        stage=stage,
        words=words,
        exit_code=exit_code,
    )


OTHER_HEADER = changed("index", lambda at, reply: with_header(reply, Docker_Content_Digest=at.other))
OTHER_HEADER_OF_HEAD = changed(
    "index", lambda at, reply: with_header(reply, Docker_Content_Digest=at.other), "HEAD"
)
AS_IMAGE = lambda _at, reply: with_header(reply, Content_Type=MANIFEST)  # noqa: E731 - one answer
NOT_THERE = lambda _at, _reply: MISSING  # noqa: E731 - one answer


def only(client: str, lie: Lie) -> Lie:
    return lambda at, asked, reply: lie(at, asked, reply) if CLIENTS[client](asked) else reply


@each(
    *(
        lying(f"another index for {name}", other_for(client, "index"), f"as {name}: ")
        for name, client in CLIENTS.items()
    ),
    lying("a digest header that is not the body's", OTHER_HEADER, "header Docker-Content-Digest says"),
    lying("a digest header of HEAD alone", OTHER_HEADER_OF_HEAD, "Docker-Content-Digest is"),
    lying("an index that the header calls an image", changed("index", AS_IMAGE), "Content-Type says"),
    lying("the same for HEAD alone", changed("index", AS_IMAGE, "HEAD"), "Content-Type is"),
    lying(
        "a length in HEAD that is not the body's",
        changed("platform", lambda _, reply: with_header(reply, Content_Length="9"), "HEAD"),
        "Content-Length is 9, expected",
    ),
    lying(
        "a manifest that HEAD has and GET has not, for one client",
        only("docker", changed("index", NOT_THERE)),
        "as docker: answered 404",
    ),
    lying(
        "a manifest that GET has and HEAD has not, for one client",
        only("containerd", changed("platform", NOT_THERE, "HEAD")),
        "as containerd: answered 404",
    ),
    lying("a layer with other bytes", blob(lambda body: body[::-1]), "body is "),
    lying("a layer with bytes after it", blob(lambda body: body + b"\0"), "expected "),
    lying("half a layer", blob(lambda body: body[: len(body) // 2]), "bytes of sha256:"),
)
def test_push_rejects_registry_that_contradicts_itself(opening: Open, attack: Attack[Lie]) -> None:
    at = opening(attack.artefact)
    with pytest.raises(SealiftError) as caught:
        pushed(at)
    attack.assert_blocked_by(caught.value)


def strangers(lie: Lie) -> Lie:
    return lambda at, asked, reply: lie(at, asked, reply) if is_stranger(asked) else reply


@each(
    lying(
        "another index for strangers",
        strangers(other_for(lambda _: True, "platform")),
        "expected",
    ),
    lying("a platform that only a login reads", strangers(changed("platform", NOT_THERE)), "answered 404"),
    lying("another layer for strangers", blob(lambda body: body[::-1], is_stranger), "body is "),
)
def test_push_rejects_registry_that_shows_strangers_something_else(
    opening: Open, attack: Attack[Lie]
) -> None:
    lie = attack.artefact
    if "another index" in attack.sample:
        lie = strangers(changed("platform", lambda at, _: at.shown(at.other)))
    at = opening(lie, access=Access.TOKEN)
    with pytest.raises(SealiftError) as caught:
        pushed(at)
    attack.assert_blocked_by(caught.value)


def tag_of(asked: Asked) -> str:
    return manifest(asked) if not Digest.accepts(manifest(asked)) else ""


def keeps_no_tag(_at: Shop, asked: Asked, reply: Reply) -> Reply:
    """Say to HEAD what was put, and give nothing."""
    return MISSING if tag_of(asked) and asked.method == "GET" else reply


def forgets_tags(_at: Shop, asked: Asked, reply: Reply) -> Reply:
    return MISSING if tag_of(asked) else reply


def lists(change: Callable[[list[str]], list[str]]) -> Lie:
    def lie(_at: Shop, asked: Asked, reply: Reply) -> Reply:
        if not asked.path.endswith("/tags/list"):
            return reply
        listed = json.loads(reply.body)
        return replace(reply, body=json.dumps({**listed, "tags": change(listed["tags"])}).encode())

    return lie


def promoting(sample: str, artefact: Any, words: str, exit_code: int = 3) -> Attack[Any]:
    return lying(sample, artefact, words, stage="promote", exit_code=exit_code)


def platform_for(client: str) -> Lie:
    """Show one client the image of one platform under a tag."""

    def lie(at: Shop, asked: Asked, reply: Reply) -> Reply:
        there = tag_of(asked) == "latest" and CLIENTS[client](asked) and reply.status == 200
        return at.shown(at.platforms[0]) if there else reply

    return lie


@each(
    promoting("a tag that is kept for HEAD and not for GET", keeps_no_tag, "answered 404"),
    promoting("a tag that is not kept at all", forgets_tags, "names nothing after", exit_code=4),
    *(
        promoting(
            f"a version tag with another index for {name}",
            other_for(client, "1.2.3"),
            f"1.2.3 as {name}: ",
        )
        for name, client in CLIENTS.items()
    ),
    promoting("a moving tag of one platform for podman", platform_for("podman"), "latest as podman: "),
    promoting(
        "another body under a tag, with the right header",
        changed("1.2.3", lambda at, reply: replace(reply, body=at.held.manifests[at.other][0])),
        "body is ",
    ),
    promoting(
        "another header under a tag, with the right body",
        changed("1.2.3", lambda at, reply: with_header(reply, Docker_Content_Digest=at.other)),
        "Docker-Content-Digest is",
    ),
    promoting("a tag that the header calls an image", changed("1.2", AS_IMAGE), "Content-Type is"),
    promoting(
        "a list that lacks a tag that was just put",
        lists(lambda tags: [tag for tag in tags if tag != "1.2.3"]),
        "lists lack 1.2.3, which names",
        exit_code=4,
    ),
    promoting("an empty list of tags", lists(lambda _: []), "lists lack", exit_code=4),
)
def test_promote_rejects_tags_that_differ_between_clients(opening: Open, attack: Attack[Lie]) -> None:
    at = opening(attack.artefact)
    with pytest.raises(SealiftError) as caught:
        promoted(at)
    attack.assert_blocked_by(caught.value)


@each(
    promoting(
        "another image under a moving tag for strangers",
        strangers(changed("latest", lambda at, _: at.shown(at.other))),
        "latest as podman: ",
    ),
    promoting("a tag that only a login reads", strangers(changed("1", NOT_THERE)), "answered 404"),
)
def test_promote_rejects_tags_that_differ_for_strangers(opening: Open, attack: Attack[Lie]) -> None:
    at = opening(attack.artefact, access=Access.TOKEN)
    with pytest.raises(SealiftError) as caught:
        promoted(at)
    attack.assert_blocked_by(caught.value)


@each(
    promoting(
        "a list without the newest version",
        lists(lambda tags: [tag for tag in tags if tag != "2.0.0"]),
        "lists lack 2.0.0, which names",
        exit_code=4,
    )
)
def test_promote_moves_no_tag_back_by_a_stale_list(opening: Open, attack: Attack[Lie]) -> None:
    at = opening(attack.artefact)
    newer = labels(plan("2.0.0"))
    digest, _ = at.held.image("a newer release", newer)
    at.held.tags |= dict.fromkeys(["2.0.0", "2.0", "2", "latest"], digest)
    with pytest.raises(SealiftError) as caught:
        promoted(at)
    attack.assert_blocked_by(caught.value)
    assert at.held.tags["latest"] == digest
    assert "1.2.3" not in at.held.tags


def referrers(change: Callable[[Shop, list[dict[str, Any]]], object], when: Any = lambda _: True) -> Lie:
    def lie(at: Shop, asked: Asked, reply: Reply) -> Reply:
        if "/referrers/" not in asked.path or not when(asked):
            return reply
        index = json.loads(reply.body)
        change(at, index["manifests"])
        return replace(reply, body=json.dumps(index).encode())

    return lie


def about_another(at: Shop, listed: list[dict[str, Any]]) -> None:
    """List a signature of another image."""
    other = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": BUNDLE_TYPE}
    body = json.dumps(other | {"subject": {"digest": at.other}}).encode()
    at.held.put(body, MANIFEST)
    digest = Digest.of(body)
    listed.append({"mediaType": MANIFEST, "digest": digest, "size": len(body), "artifactType": BUNDLE_TYPE})


@each(
    promoting(
        "signatures that are listed only with a login",
        referrers(lambda _, listed: listed.clear(), is_stranger),
        "only with a login",
    ),
    promoting(
        "a signature that is listed only for strangers", referrers(about_another, is_stranger), "only without"
    ),
    promoting(
        "a list with another size of a signature",
        referrers(lambda _, listed: listed[0].update(size=1)),
        "another size or type than it has",
    ),
    promoting(
        "a list with another type of a signature",
        referrers(lambda _, listed: listed[0].update(mediaType=INDEX)),
        "another size or type than it has",
    ),
    promoting("a list with another image's signature", referrers(about_another), "and is about sha256:"),
    promoting(
        "a list with a signature that is not there",
        referrers(lambda at, listed: listed.append({**listed[0], "digest": Digest.of(at.index.encode())})),
        "is listed for",
    ),
)
def test_promote_rejects_false_list_of_signatures(opening: Open, attack: Attack[Lie]) -> None:
    at = opening(attack.artefact, access=Access.TOKEN)
    with pytest.raises(SealiftError) as caught:
        promoted(at)
    attack.assert_blocked_by(caught.value)
    assert at.held.tags == {}


def answers_put(part: str) -> Lie:
    """Accept what is put, and say that it was something else."""

    def lie(at: Shop, asked: Asked, reply: Reply) -> Reply:
        put = asked.method == "PUT" and part in asked.path
        return with_header(reply, Docker_Content_Digest=at.other) if put else reply

    return lie


@each(
    lying("a blob that is accepted as another", answers_put("/blobs/"), "what was put as", stage="sign"),
    lying(
        "a manifest that is accepted as another", answers_put("/manifests/"), "what was put as", stage="sign"
    ),
)
def test_attach_rejects_answer_that_names_other_bytes(opening: Open, attack: Attack[Lie]) -> None:
    at = opening(attack.artefact)
    with pytest.raises(SealiftError) as caught:
        at.registry.attach(at.repository, at.index, b"a bundle", PredicateType.SIGNATURE)
    attack.assert_blocked_by(caught.value)


@pytest.mark.parametrize("access", Access)
def test_promote_accepts_honest_registry_and_reports_who_read(opening: Open, access: Access) -> None:
    """New repositories of many registries are private: then the login reads, and the evidence says so."""
    at = opening(lambda _at, _asked, reply: reply, access=access)
    private = "it cannot be read without one" if access is Access.PRIVATE else "read without a login"
    assert private in pushed(at).gates[-1].detail
    done = promoted(at)
    assert done.tags == {at.repository: ("1.2.3", "1.2", "1", "latest")}
    assert [g for g in done.gates if g.verdict != "pass"] == []
    assert any(private in gate.detail for gate in done.gates)


def test_promote_accepts_registry_that_omits_headers(opening: Open) -> None:
    """The digest's header is not promised, and may be of another algorithm; a type may have parameters."""

    def sparse(_at: Shop, asked: Asked, reply: Reply) -> Reply:
        if not manifest(asked) or reply.status != 200:
            return reply
        kind = reply.headers["Content-Type"] + "; charset=utf-8"
        digest = {} if asked.method == "HEAD" else {"Docker-Content-Digest": "sha512:" + "0" * 128}
        return replace(reply, headers={"Content-Type": kind, **digest})

    at = opening(sparse)
    pushed(at)
    assert promoted(at).put == tuple(f"{at.repository}:{tag}" for tag in ("1.2.3", "1.2", "1", "latest"))


def test_push_reads_with_login_where_strangers_are_limited(opening: Open) -> None:
    asked_by_strangers = []

    def limited(_at: Shop, asked: Asked, reply: Reply) -> Reply:
        if is_stranger(asked) and "/manifests/" in asked.path and asked.method == "GET":
            asked_by_strangers.append(asked)
            if len(asked_by_strangers) > 10:
                return Reply(status=429, headers={"Retry-After": "3600"})
        return reply

    at = opening(limited, access=Access.TOKEN)
    assert pushed(at).digest == at.index
    assert len(asked_by_strangers) > 10


def test_promote_moves_tag_of_version_that_was_withdrawn(opening: Open) -> None:
    """Its tag was deleted, and ``latest`` still names it: list and tag agree, so nothing is stale."""
    at = opening(lambda _at, _asked, reply: reply)
    digest, _ = at.held.image("withdrawn", labels(plan("2.0.0")))
    at.held.tags["latest"] = digest
    assert Tag("latest") in promoted(at).tags[at.repository]
