"""A plan, a world, and a registry, a signer and a verifier that live in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from sealift.errors import OutsideError, RefusedError
from sealift.model import config
from sealift.model.claims import Certified, of_token
from sealift.model.evidence import Built, BuiltPlatform
from sealift.model.names import Digest, Platform, Repository, RunPath, Tag, Version
from sealift.model.plan import Plan
from sealift.model.statements import JSON, Claims, Identity, Statement, Subject
from sealift.model.world import Base, GitHubWorld, SigstoreWorld, World
from sealift.rehearsal.issuer import github_claims
from sealift.stations.statements import provenance_of
from sealift.tools.attested import Attested
from sealift.tools.registry import Registry
from sealift.tools.registry_readback import Readback
from sealift.tools.sigstore_client import BundleVerifier

ROOT = Path(__file__).parents[3]
COMMIT = "c" * 40
AMD64, ARM64 = Platform("linux/amd64"), Platform("linux/arm64")
REPOSITORY = Repository("registry.example/health-caretaker")
OURS = Identity(
    san="https://github.com/sealift/sealift/.github/workflows/release.yml@refs/tags/v1.2.3",
    issuer="https://i",
)


# What a certificate of our own run tells.
CERTIFIED: Certified = of_token(
    github_claims("sealift/sealift", COMMIT, Version.parse("1.2.3")) | {"iss": OURS.issuer},
    "https://github.com",
)


def digest_of(text: str | bytes) -> Digest:
    data = text.encode() if isinstance(text, str) else text
    return Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")


def plan(version: str = "1.2.3", **changed: object) -> Plan:
    """Plan this repository's own release."""
    chosen = Version.parse(version)
    made = Plan(
        version=chosen,
        commit=COMMIT,
        time=1_700_000_000,
        modified=False,
        left_out=(),
        config=config.load(ROOT / "ci" / "release.yaml"),
        moving_tags=chosen.moving_tags,
    )
    return msgspec.structs.replace(made, **changed)


def built(variant: str) -> Built:
    """Give an image of two platforms."""
    return Built(
        layout=RunPath(f"images/{variant}"),
        digest=digest_of(f"index of {variant}"),
        platforms={
            p: BuiltPlatform(digest=digest_of(f"{variant} {p}"), binary_sha256="0" * 64, compressed_bytes=1)
            for p in (AMD64, ARM64)
        },
        base_digest=digest_of("base"),
        programs={"buildkitd@v1": digest_of("buildkitd")},
    )


def world(folder: Path) -> World:
    """Give a world in which nothing answers."""
    return World(
        name="rehearsal",
        patience_seconds=0,
        registry=REPOSITORY.host,
        plain_http=False,
        layouts="localhost:1",
        builder="nobody",
        env={},
        sigstore=SigstoreWorld(
            trusted_root=None, trust_config=None, identity=OURS, claims=Claims(commit=COMMIT), token_env={}
        ),
        github=GitHubWorld(api="http://127.0.0.1:1", token_file=None, between_requests=0, between_writes=0),
        bases={
            kind: Base(
                trusted_root=None,
                name=f"gcr.io/distroless/{kind}-debian12:nonroot",
                digest=digest_of("base"),
                layout=folder,
                source=Repository(f"gcr.io/distroless/{kind}-debian12"),
                signer=OURS,
            )
            for kind in ("static", "base")
        },
        advisories=folder,
        go_advisories=folder,
        advisory_max_age_days=None,
        stand_ins=(),
        cannot_show=(),
    )


@dataclass(frozen=True, kw_only=True)
class Shelves(Registry):
    """A registry in memory: what is attached to each manifest, and as what.

    ``late`` counts the listings in which nothing that was attached is shown yet.
    """

    tagged: dict[str, Digest] = field(default_factory=dict)
    attached: dict[str, list[bytes]] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)
    bodies: dict[Digest, bytes] = field(default_factory=dict)
    blobs: set[Digest] = field(default_factory=set)
    copied: list[tuple[str, str]] = field(default_factory=list)
    late: list[int] = field(default_factory=lambda: [0])
    broken: list[OutsideError] = field(default_factory=list)

    def head(self, reference: str) -> Digest | None:
        digest = reference.partition("@")[2]
        if digest:
            return Digest(digest) if Digest(digest) in self.bodies else None
        return self.tagged.get(reference)

    def tags(self, repository: Repository) -> tuple[Tag, ...]:
        held = [name.removeprefix(f"{repository}:") for name in self.tagged]
        return tuple(Tag(tag) for tag in held if "/" not in tag)

    def put_tag(self, repository: Repository, tag: Tag, digest: Digest) -> None:
        self.tagged[repository.tagged(tag)] = digest

    def check_movable(self, repository: Repository, tag: Tag, digest: Digest) -> None:
        assert self.tagged[repository.tagged(tag)] == digest

    def copy(self, source: str, target: str) -> Digest:
        self.copied.append((source, target))
        return Digest(target.partition("@")[2])

    def manifest(self, reference: str) -> bytes:
        return self.bodies.get(Digest(reference.partition("@")[2]), b"{}")

    def blob(self, repository: Repository, digest: Digest) -> bytes:
        return self.bodies[digest] if repository else b""

    def layer(self, repository: Repository, digest: Digest) -> bytes:
        return self.blob(repository, digest)

    def put_labelled(
        self, repository: Repository, tag: str, labels: dict[str, str], kind: str = "index"
    ) -> Digest:
        """Hold an image with these labels under a tag; as an index, after what BuildKit attests of it."""
        config = json.dumps({"config": {"Labels": labels}}).encode()
        body = json.dumps({"config": {"digest": digest_of(config)}}).encode()
        index = {
            "manifests": [
                {"digest": digest_of("attestation"), "platform": {"os": "unknown"}},
                {"digest": digest_of(body), "platform": {"os": "linux"}},
            ]
        }
        whole = json.dumps(index).encode() if kind == "index" else body
        self.bodies.update({digest_of(data): data for data in (config, body, whole)})
        self.put_tag(repository, Tag(tag), digest_of(whole))
        return digest_of(whole)

    def listing_problems(self, repository: Repository, digest: Digest) -> tuple[str, ...]:  # noqa: ARG002
        return ()

    def readback(self, repository: Repository, names: Mapping[str, Digest], *, blobs: bool) -> Readback:
        del blobs
        found = {
            name: Digest(name) if Digest.accepts(name) else self.head(f"{repository}:{name}")
            for name in names
        }
        wrong = tuple(f"{name} is {found[name]}" for name, digest in names.items() if found[name] != digest)
        return Readback(problems=wrong, public=True, requests=len(names))

    def has_blob(self, repository: Repository, digest: Digest) -> bool:
        return bool(repository) and digest in self.blobs

    def bundles(
        self, repository: Repository, digest: Digest
    ) -> tuple[tuple[Digest, bytes | RefusedError], ...]:
        if self.broken:
            raise self.broken.pop()
        if self.late[0]:
            self.late[0] -= 1
            return ()
        return tuple((digest_of(b), b) for b in self.attached.get(repository.at(digest), []))

    def attach(self, repository: Repository, digest: Digest, bundle: bytes, predicate_type: str) -> Digest:
        self.attached.setdefault(repository.at(digest), []).append(bundle)
        self.kinds.append(predicate_type)
        return digest_of(bundle)


@dataclass
class Pen:
    """A signer that remembers what it signed; each bundle is another, as real ones are."""

    batches: list[list[Statement]] = field(default_factory=list)
    by: str = "us"
    claims: dict[str, str] = field(default_factory=dict)

    def sign_batch(self, statements: Sequence[Statement]) -> list[bytes]:
        self.batches.append(list(statements))
        first = 100 * len(self.batches)
        return [bundle(s, by=self.by, number=first + n, **self.claims) for n, s in enumerate(statements)]


def made() -> JSON:
    """Say how the static variant was made."""
    return provenance_of("static", plan(), built("static"), world(Path()))


def bundle(statement: Statement, *, by: str = "us", number: int = 0, **claims: str) -> bytes:
    """Write what ``Glass`` reads; with other claims than those of our own run."""
    told = {
        "by": by,
        "digest": statement.subject.digest,
        "type": statement.predicate_type,
        "predicate": statement.predicate,
        "number": number,
        "certified": {**CERTIFIED, **claims},
    }
    return json.dumps(told).encode()


class Glass(BundleVerifier):
    """A verifier that believes whatever says that we said it."""

    def __init__(self) -> None:
        self.identity = OURS
        self.claims = Claims(commit=COMMIT)

    def read(self, bundle: bytes, subject: Subject, _manifest: bytes | None = None) -> Attested:
        said = json.loads(bundle)
        if said["by"] != "us" or said["digest"] != subject.digest:
            raise RefusedError(f"by {said['by']} of {said['digest']}")
        return Attested(predicate_type=said["type"], predicate=said["predicate"], certified=said["certified"])
