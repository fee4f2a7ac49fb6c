"""The bases of a rehearsal: equals of Google's, put into the world's registry and signed as Google's are."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from sealift import records
from sealift.console import say
from sealift.errors import OutsideError, RefusedError, UsageError
from sealift.model.bases import TAG, UPSTREAM
from sealift.model.codec import from_json, publish, to_json
from sealift.model.names import Digest, Platform, Repository
from sealift.model.plan import Plan
from sealift.model.statements import Identity, PredicateType, Subject, signature
from sealift.model.world import Base
from sealift.rehearsal.bases import assemble_all
from sealift.rehearsal.distroless import KINDS
from sealift.rehearsal.sigstore import LocalSigstore
from sealift.tools.cosign import ANY_SIGNATURE, Cosign
from sealift.tools.layout import Layout
from sealift.tools.registry import Registry
from sealift.tools.sigstore_client import SigstoreSigner
from sealift.tools.upstream import fetch, locked_bases

# What a world was made with, in a file of its folder.
CHOICE, LOCKED, EQUAL = "bases.chosen", b"locked\n", b"equal\n"
# Which equals those are, and the folder that they lie in.
EQUALS, LAYOUTS = "equals.record", "bases"


class _Equals(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a world's equals were assembled for, and the digest of each by its kind."""

    suite: str
    platforms: tuple[Platform, ...]
    digests: dict[str, Digest]

    def are_in(self, layouts: Path) -> bool:
        """Tell whether all of them are there and whole."""
        return {str(kind): Layout(layouts / kind).whole() for kind in KINDS} == self.digests


def world_bases(
    plan: Plan,
    folder: Path,
    sigstore: LocalSigstore,
    *,
    cache: Path,
    host: str,
    env: Mapping[str, str],
) -> dict[str, Base]:
    """Return a world's bases: the locked ones, where they were reached when it was made, or else equals.

    It keeps to what it was made with: other bases are other digests, and an outage is no reason for them.
    """
    chosen, registry = folder / CHOICE, Registry(env=env)
    locked = _locked(plan, cache)
    if not chosen.exists():
        publish(chosen, LOCKED if locked and _reached(locked.values(), registry, env) else EQUAL)
    if locked and chosen.read_bytes() == LOCKED:
        fetch(locked.values(), registry)
        return locked
    return assemble_bases(plan, cache, folder, host, sigstore)


def _locked(plan: Plan, cache: Path) -> dict[str, Base]:
    """Name the plan's bases as production does; none where not all of them are locked."""
    wanted = {str(variant.base) for variant in plan.config.variants.values()}
    return locked_bases(plan, cache) if wanted <= set(plan.bases) else {}


def _reached(bases: Iterable[Base], registry: Registry, env: Mapping[str, str]) -> bool:
    """Look whether the bases can be had, and their makers' keys."""
    try:
        absent = [base.name for base in bases if registry.head(base.source.at(base.digest)) is None]
        if not absent:
            fetch(bases, registry)
            for base in bases:
                _look_at_signature(base, env)
            return True
        why = f"{', '.join(absent)}: not there any more with the digest in ci/bases.lock.yaml"
    except OutsideError as error:
        why = error.happened
    say(f"the locked bases cannot be had, so equals stand in for them in this world: {why}")
    return False


def _look_at_signature(base: Base, env: Mapping[str, str]) -> None:
    cosign = Cosign(trusted_root=base.trusted_root, identity=base.signer, env=env)
    # A signature that is wrong is the base station's to refuse.
    with suppress(RefusedError):
        cosign.verify(Subject(repository=base.source, digest=base.digest), ANY_SIGNATURE)


def assemble_bases(
    plan: Plan, cache: Path, folder: Path, host: str, sigstore: LocalSigstore
) -> dict[str, Base]:
    """Assemble every base of the plan's suite, or take those of the world; its registry will find them."""
    bases, digests = {}, _equals(plan, cache, folder)
    for kind in map(str, KINDS):
        name, layout, digest = f"{kind}-{plan.config.suite}", folder / LAYOUTS / kind, digests[kind]
        _offer(layout, digest, folder / "registry" / "distroless" / name)
        bases[kind] = Base(
            name=f"{UPSTREAM}/{name}:{TAG}",
            digest=digest,
            layout=layout,
            source=Repository(f"{host}/distroless/{name}"),
            signer=Identity(san=sigstore.email, issuer=sigstore.email_issuer),
            trusted_root=sigstore.trusted_root,
        )
    return bases


def _equals(plan: Plan, cache: Path, folder: Path) -> dict[str, Digest]:
    """Return each equal's digest: those that the world was made with, while they are whole.

    Debian's packages change while a world lasts, and other bases are other digests.
    """
    wanted = (plan.config.suite, tuple(sorted({Platform(p) for p in plan.config.platforms})))
    record, name = folder / EQUALS, "equals of a world"
    known = _remembered(record, name)
    if known and (known.suite, known.platforms) == wanted and known.are_in(folder / LAYOUTS):
        return known.digests
    made = assemble_all(*wanted, cache, folder / LAYOUTS)
    digests = {str(kind): base.digest for kind, base in made.items()}
    records.write(record, name, to_json(_Equals(suite=wanted[0], platforms=wanted[1], digests=digests)))
    return digests


def _remembered(file: Path, name: str) -> _Equals | None:
    found = records.read(file, name)
    try:
        return from_json(found, _Equals, source=str(file)) if found else None
    except UsageError:
        return None


def sign_bases(bases: Iterable[Base], sigstore: LocalSigstore, registry: Registry) -> None:
    """Sign each equal that is not signed yet, by the email identity that stands in for Google's."""
    subjects = [Subject(repository=b.source, digest=b.digest) for b in bases]
    unsigned = [s for s in subjects if not registry.referrers(s.repository, s.digest)]
    if not unsigned:
        return
    signer = SigstoreSigner(trust_config=sigstore.trust_config, token=sigstore.email_token)
    for subject, bundle in zip(unsigned, signer.sign_batch([signature(s) for s in unsigned]), strict=True):
        registry.attach(subject.repository, subject.digest, bundle, PredicateType.SIGNATURE)


def _offer(layout: Path, digest: Digest, repository: Path) -> None:
    """Put a layout into the registry's folder; one that is there keeps what was attached to it."""
    if (repository / "blobs" / "sha256" / digest.hex).exists():
        return
    fresh = repository.with_name(f".{repository.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(layout, fresh)
    shutil.rmtree(repository, ignore_errors=True)
    fresh.rename(repository)
