"""Status: how one version stands outside, read from there alone; nothing is made, signed or moved.

    remembered = Remembered.read(run, plan, world)
    look(plan, commit, world, remembered, github=github, registry=registry, verifiers=verifiers)

What a run of this checkout pushed is a hint where to look while the version tag is withheld, never a proof.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sealift.errors import UsageError
from sealift.model.evidence import Drafted, Gate, Pushed
from sealift.model.names import Digest
from sealift.model.plan import Cell, Plan
from sealift.model.run import RunFolder
from sealift.model.statements import JSON, PredicateType
from sealift.model.status import Finding, Verdict, compared
from sealift.model.world import World
from sealift.stations import verify as verifying
from sealift.stations.assets import names, noted
from sealift.stations.contents import Reader
from sealift.stations.provenance import Known
from sealift.stations.status_contents import look_binaries, read_images
from sealift.stations.status_images import Image, look_image
from sealift.stations.status_release import Page, answer, look_release, look_tag
from sealift.stations.together import together
from sealift.stations.verify import Expected
from sealift.tools.cosign import Cosign
from sealift.tools.github import GitHub
from sealift.tools.registry import Registry
from sealift.tools.sigstore_client import BundleVerifier

# Both clients that verify.
Verifiers = tuple[BundleVerifier, Cosign]
ACCEPTED = "accepted by the sigstore library and by cosign"
_MISSING = re.compile(r"missing, accepted types: [^;]*")


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """What an earlier run of this checkout put into this world: images by variant, a release's files."""

    pushed: Mapping[str, Digest] = field(default_factory=dict)
    drafted: Drafted | None = None

    @classmethod
    def read(cls, run: RunFolder, plan: Plan, world: World) -> Remembered:
        """Read a run folder; what it says of another commit or another registry is left out."""
        try:
            before = run.read_plan()
        except UsageError:
            return cls()
        if (before.version, before.commit) != (plan.version, plan.commit):
            return cls()
        pushed = {v: d for v in plan.config.variants if (d := _pushed(run, v, plan, world))}
        whole = set(pushed) == set(plan.config.variants)
        return cls(pushed=pushed, drafted=_drafted(run, plan) if whole else None)

    def uploaded(self, release: int) -> Mapping[str, Digest]:
        """Return what was uploaded to a release, by the files' names."""
        return self.drafted.assets if self.drafted and self.drafted.release_id == release else {}


def look(
    plan: Plan,
    commit: str | None,
    world: World,
    remembered: Remembered,
    *,
    github: GitHub,
    registry: Registry,
    verifiers: Callable[[str], Verifiers],
) -> tuple[Finding, ...]:
    """Look at everything that a version consists of.

    ``commit`` is the one that this checkout knows the version by; None where it knows none. ``verifiers``
    makes both clients for the commit that certificates must carry.
    """
    named, tag = look_tag(github, plan, commit)
    page = look_release(github, plan, remembered.uploaded)

    def one(variant: str) -> Image:
        return look_image(
            plan,
            world.repository(plan.variant(variant).repository),
            registry,
            pushed=remembered.pushed.get(variant),
            noted=noted(page.body or "", variant, plan, world),
        )

    variants = tuple(plan.config.variants)
    images = dict(zip(variants, together(one, variants), strict=True))
    readers = {
        variant: Reader(known=Known(plan=plan, variant=variant, whole=commit is not None), registry=registry)
        for variant in variants
    }
    held, unread = read_images(plan, images, readers)
    said = _look_statements(
        plan, images, page, held, registry, readers, lambda: verifiers(commit or named or plan.commit)
    )
    return (
        *tag,
        *look_binaries(plan, page, held),
        *_look_page(plan, world, page, images),
        *(finding for image in images.values() for finding in image.findings),
        *unread,
        *said,
    )


def _pushed(run: RunFolder, variant: str, plan: Plan, world: World) -> Digest | None:
    try:
        pushed = run.read("push", variant, Pushed)
    except UsageError:
        return None
    target = world.repository(plan.variant(variant).repository)
    return pushed.digest if pushed.repository == target else None


def _drafted(run: RunFolder, plan: Plan) -> Drafted | None:
    try:
        return run.read("draft", str(plan.version), Drafted)
    except UsageError:
        return None


def _look_page(plan: Plan, world: World, page: Page, images: Mapping[str, Image]) -> Iterator[Finding]:
    """Look whether the release's page tells people to pull what the registry holds."""
    if page.body is None:
        return
    for variant, image in images.items():
        if image.index is not None:
            name = f"{plan.version.git_tag}: {image.index.repository}"
            told = noted(page.body, variant, plan, world)
            yield compared("release page", name, expected=image.index.digest, got=told)


def _look_statements(
    plan: Plan,
    images: Mapping[str, Image],
    page: Page,
    held: Collection[Cell],
    registry: Registry,
    readers: Mapping[str, Reader],
    verifiers: Callable[[], Verifiers],
) -> tuple[Finding, ...]:
    """Verify as a stranger would; lists must say what the files of the release and the image say."""
    wanted = [
        e for variant, image in images.items() for e in _wanted(plan, variant, image, page, readers[variant])
    ]
    if not wanted:
        return ()
    made, failed = answer("signature", "every signature and attestation", ACCEPTED, verifiers)
    if made is None:
        return failed
    verifier, cosign = made
    gates = verifying.look(wanted, registry=registry, verifier=verifier, cosign=cosign)
    # What cannot be read is told once, of the platform.
    lost = {
        subject
        for variant, image in images.items()
        for platform, subject in image.platforms.items()
        if Cell(variant, platform) not in held
    }
    return (*_signer(gates), *(judged(e, gates) for e in wanted if e.subject not in lost))


def _signer(gates: Sequence[Gate]) -> Iterator[Finding]:
    """Show who signed, for the reader: what names do not tell must only be the same everywhere."""
    for gate in gates:
        if gate.verdict == "pass" and gate.detail.startswith(verifying.SIGNED_BY):
            who = gate.detail.removeprefix(verifying.SIGNED_BY)
            yield compared("signer", "every signature and attestation", expected=who, got=who)


def _wanted(plan: Plan, variant: str, image: Image, page: Page, reader: Reader) -> Iterator[Expected]:
    if image.index is None:
        return
    cells = {s: Cell(variant, p) for p, s in image.platforms.items()}
    for found in verifying.expected(image.index, tuple(image.platforms.values())):
        wanted = replace(found, known=reader.known)
        cell = cells.get(wanted.subject)
        yield (
            wanted
            if cell is None
            else replace(
                wanted,
                predicate=_listed(plan, cell, wanted.predicate_type, page),
                problems=functools.partial(reader.problems, wanted.subject),
            )
        )


def _listed(plan: Plan, cell: Cell, kind: PredicateType, page: Page) -> JSON | None:
    """Return the list that the release has as a file, where that file is as it should be."""
    _, spdx, cyclonedx = names(plan, cell)
    name = {PredicateType.SPDX: spdx, PredicateType.CYCLONEDX: cyclonedx}.get(kind)
    if name is None or name not in page.files:
        return None
    try:
        predicate = json.loads(page.files[name])
    except (ValueError, RecursionError):
        return None
    return predicate if isinstance(predicate, dict) else None


def judged(wanted: Expected, gates: Sequence[Gate]) -> Finding:
    """Say of one statement what both clients' gates come to."""
    mine = [g for g in gates if g.subject == str(wanted.subject)]
    about = [g for g in mine if g.detail.startswith(str(wanted.predicate_type))]
    bad = [g for g in about or mine if g.verdict != "pass"]
    verdict: Verdict = "agrees" if about and not bad else "not checked"
    if refused := [g for g in bad if g.verdict == "refused"]:
        words = refused[0].detail.partition(": ")[2]
        verdict = "missing" if _MISSING.fullmatch(words) else "differs"
    signature = wanted.predicate_type is PredicateType.SIGNATURE
    kind = "" if signature else f" {wanted.predicate_type.alias}"
    got = "; ".join(" ".join(g.detail.split()) for g in bad)
    return Finding(
        what="signature" if signature else "attestation",
        subject=f"{wanted.subject}{kind}",
        verdict=verdict,
        expected=ACCEPTED,
        got=got or (ACCEPTED if verdict == "agrees" else "nothing"),
    )
