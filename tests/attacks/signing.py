"""Small images in a real registry, and people who sign them: the release itself, and others."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sigstore import dsse
from sigstore.models import ClientTrustConfig
from sigstore.sign import SigningContext

from sealift.model.names import Digest, Platform, Repository
from sealift.model.statements import Claims, Identity, PredicateType, Statement, Subject, provenance
from sealift.rehearsal.issuer import github_identity
from sealift.rehearsal.oci_writer import LayerTar, writing
from sealift.rehearsal.world import Stage
from sealift.stations.verify import Expected, Verified, verify
from sealift.tools.cosign import Cosign
from sealift.tools.layout import Layout
from sealift.tools.registry import Registry
from sealift.tools.sigstore_client import BundleVerifier, SigstoreSigner
from sealift.tools.sigstore_token import ambient_token, identity_token
from tests.unit.stations import listed

JSON = dict[str, Any]
ANY = Claims()


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """A registry with small images, and the means to sign and to verify what lies there.

    ``kept`` is where the registry keeps them, ``folder`` where they are made.
    """

    stage: Stage
    host: str
    kept: Path
    folder: Path

    @property
    def registry(self) -> Registry:
        return Registry(plain_http=(self.host,), env=self.stage.world.env)

    @property
    def verifier(self) -> BundleVerifier:
        """The library, asking for what a release asks for."""
        sigstore = self.stage.world.sigstore
        return self.verifier_of(sigstore.identity, sigstore.claims)

    @property
    def cosign(self) -> Cosign:
        """cosign, asking for what a release asks for."""
        sigstore = self.stage.world.sigstore
        return self.cosign_of(sigstore.identity, sigstore.claims)

    def verifier_of(self, identity: Identity, claims: Claims = ANY) -> BundleVerifier:
        """The library, asking for somebody else."""
        root = self.stage.world.sigstore.trusted_root
        return BundleVerifier(trusted_root=root, identity=identity, claims=claims)

    def cosign_of(self, identity: Identity, claims: Claims = ANY) -> Cosign:
        """cosign, asking for somebody else."""
        world = self.stage.world
        root = world.sigstore.trusted_root
        return Cosign(trusted_root=root, identity=identity, claims=claims, env=world.env)

    def verify(
        self,
        wanted: Sequence[Expected],
        *,
        verifier: BundleVerifier | None = None,
        cosign: Cosign | None = None,
        claims: Mapping[str, str] | None = None,
    ) -> Verified:
        """Verify as a release does, or with a client that asks for somebody else."""
        return verify(
            wanted,
            registry=self.registry,
            verifier=verifier or self.verifier,
            cosign=cosign or self.cosign,
            claims=claims,
        )

    def stranger(self, **changed: Any) -> BundleVerifier:
        """The library, asking for what a reader knows who was not there: no numbers and no run."""
        sigstore = self.stage.world.sigstore
        unknown: JSON = dict.fromkeys(("repository_id", "owner_id", "run_id", "visibility"))
        return self.verifier_of(sigstore.identity, replace(sigstore.claims, **unknown, **changed))

    def service(self) -> Subject:
        """Put the image of a small service on the shelf, with nothing attached."""
        name = secrets.token_hex(6)
        with writing(self.folder / name) as new:
            platform = listed.write(new, self.stage.plan, Platform("linux/amd64"), salt=name.encode())
            index = new.index([platform], name)
        repository = Repository(f"{self.host}/small/{name}")
        self.registry.copy(f"ocidir://{self.folder / name}@{index}", repository.at(index))
        return Subject(repository=repository, digest=Digest(platform["digest"]))

    def image(self) -> Subject:
        """Put an image that nobody has seen before on the shelf, with nothing attached."""
        return self.index()[1][0]

    def index(self, platforms: int = 1) -> tuple[Subject, tuple[Subject, ...]]:
        """Put an index of some images on the shelf; return it and them."""
        name = secrets.token_hex(6)
        layout = small_index(self.folder / name, platforms)
        repository = Repository(f"{self.host}/small/{name}")
        index = layout.index()
        self.registry.copy(f"ocidir://{layout.root}@{index}", repository.at(index))
        found = layout.platforms(index).values()
        return (
            Subject(repository=repository, digest=index),
            tuple(Subject(repository=repository, digest=d) for d in found),
        )

    def spoil(self, repository: Repository, digest: Digest) -> None:
        """Change a manifest or a blob behind the registry's back."""
        path = self.kept / repository.path / "blobs" / "sha256" / digest.hex
        path.write_bytes(path.read_bytes() + b" ")

    def sign(self, *statements: Statement) -> list[bytes]:
        """Sign as the release does."""
        sigstore = self.stage.world.sigstore
        signer = SigstoreSigner(
            trust_config=sigstore.trust_config, token=lambda: ambient_token(sigstore.token_env)
        )
        return signer.sign_batch(statements)

    def sign_raw(self, *payloads: bytes) -> list[bytes]:
        """Sign statements that no value of ours can be, as the release would."""
        sigstore = self.stage.world.sigstore
        assert sigstore.trust_config is not None
        config = ClientTrustConfig.from_json(sigstore.trust_config.read_text(encoding="utf-8"))
        token = identity_token(ambient_token(sigstore.token_env))
        with SigningContext.from_trust_config(config).signer(token) as signer:
            return [signer.sign_dsse(dsse.Statement(p)).to_json().encode() for p in payloads]

    def sign_by_email(self, *statements: Statement) -> list[bytes]:
        """Sign as the makers of the bases do."""
        local = self.stage.sigstore
        return SigstoreSigner(trust_config=local.trust_config, token=local.email_token).sign_batch(statements)

    def attach(self, subject: Subject, bundles: Sequence[bytes], kind: str = PredicateType.SIGNATURE) -> None:
        """Attach bundles, whatever they say."""
        for bundle in bundles:
            self.registry.attach(subject.repository, subject.digest, bundle, kind)

    def say(self, *statements: Statement) -> None:
        """Sign statements and attach each to its subject."""
        for statement, bundle in zip(statements, self.sign(*statements), strict=True):
            self.attach(statement.subject, [bundle], statement.predicate_type)

    def provenance(self, subject: Subject, **changed: str) -> Statement:
        """Say how an image was made, or something else than that."""
        plan, sigstore = self.stage.plan, self.stage.world.sigstore
        told = {"builder": sigstore.identity.san, "commit": plan.commit} | changed
        predicate = provenance(
            source=plan.config.source_url,
            commit=told["commit"],
            ref=f"refs/tags/{plan.version.git_tag}",
            version=plan.version,
            service=plan.config.service,
            variant="static",
            platforms=plan.config.platforms,
            time=plan.time,
            base="gcr.io/distroless/static-debian12:nonroot",
            base_digests=[subject.digest],
            programs={"buildkitd@v1": subject.digest},
            builder=told["builder"],
        )
        return Statement(subject=subject, predicate_type=PredicateType.PROVENANCE, predicate=predicate)

    @contextmanager
    def claiming(self, **changed: str) -> Iterator[Identity]:
        """Let the issuer mint another workflow's tokens; the certificates that follow carry it."""
        path = self.stage.sigstore.folder / "claims.json"
        true = path.read_text(encoding="utf-8")
        told = json.loads(true) | changed
        try:
            path.write_text(json.dumps(told), encoding="utf-8")
            yield replace(self.stage.world.sigstore.identity, san=github_identity(told))
        finally:
            path.write_text(true, encoding="utf-8")


def small_index(folder: Path, platforms: int = 1) -> Layout:
    """Write an index of images that hold one random file each."""
    arches = ("amd64", "arm64", "s390x")[:platforms]
    with writing(folder) as new:
        images = [
            new.image(
                Platform(f"linux/{arch}"),
                [LayerTar().file("file", secrets.token_bytes(16)).pack()],
                config={"Entrypoint": ["/file"]},
                annotations={},
            )
            for arch in arches
        ]
        new.index(images, "small")
    return Layout(folder)


def wanting(subject: Subject, *kinds: PredicateType) -> tuple[Expected, ...]:
    """Expect some statements about one image; its signature, when none are named."""
    return tuple(
        Expected(subject=subject, predicate_type=kind) for kind in kinds or (PredicateType.SIGNATURE,)
    )
