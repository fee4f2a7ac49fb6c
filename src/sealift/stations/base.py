"""Base: what every image stands on is signed by its makers, and still supported by them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime

from sealift.errors import OutsideError, RefusedError, UsageError
from sealift.model.bases import MAKERS, LockedBase
from sealift.model.evidence import BaseLooked
from sealift.model.exceptions import Exception_, holding
from sealift.model.names import Platform
from sealift.model.plan import Plan
from sealift.model.statements import Subject
from sealift.model.world import Base
from sealift.stations.gate import Looks
from sealift.tools.cosign import ANY_SIGNATURE, Cosign
from sealift.tools.layout import Layout
from sealift.tools.registry import Registry

# The day after which nobody repairs a suite's images any more.
# https://github.com/GoogleContainerTools/distroless/blob/main/SUPPORT_POLICY.md
SUPPORT_ENDS: Mapping[str, date] = {"debian12": date(2026, 9, 30)}


def base(
    name: str,
    plan: Plan,
    found: Base,
    exceptions: Collection[Exception_],
    *,
    cosign: Cosign,
    registry: Registry,
) -> BaseLooked:
    """Look at one base before anything is put on top of it.

    Raises GateRefusedError when something is wrong, and NotCheckedError when nothing is but its signature
    could not be looked at.
    """
    looks = Looks("base", name)
    layout = Layout(found.layout)
    looks.equal("index in the layout", expected=found.digest, got=layout.index())
    look_blobs(looks, layout, plan.config.platforms)
    _look_signature(looks, found, cosign, registry)
    today = datetime.now(UTC).date()
    _look_signer(looks, plan.bases.get(name), exceptions, today)
    _look_support(looks, plan.config.suite, exceptions, today)
    gates = looks.done(
        means="nobody answers for what the image would stand on",
        next_step="sealift bases update, or another suite in ci/release.yaml",
    )
    return BaseLooked(gates=gates, digest=found.digest)


def look_blobs(looks: Looks, layout: Layout, platforms: Collection[Platform]) -> None:
    """Hash all that is read of the base here; what BuildKit reads of it is compared in the image."""
    try:
        number = sum(1 for _ in layout.blobs(only=platforms))
    except (RefusedError, UsageError) as error:
        looks.refused(error.happened)
    except (KeyError, TypeError) as error:
        looks.refused(f"a manifest in {layout.root} is none: {error!r}")
    else:
        looks.passed(f"{number} blobs have their hashes")


def _look_signature(looks: Looks, found: Base, cosign: Cosign, registry: Registry) -> None:
    subject = Subject(repository=found.source, digest=found.digest)
    try:
        _accept(subject, cosign, registry)
    except OutsideError as err:
        looks.not_checked(f"signature of {subject}: {err}", err)
    except RefusedError as err:
        looks.refused(f"signature of {subject}: {err}")
    else:
        looks.passed(f"{subject} is signed by {found.signer.san} ({found.signer.issuer})")


def _accept(subject: Subject, cosign: Cosign, registry: Registry) -> None:
    # Whoever fails says it more plainly to us, and for how long it wants to be left alone.
    registry.referrers(subject.repository, subject.digest)
    try:
        cosign.verify(subject, ANY_SIGNATURE)
    except RefusedError:
        # cosign takes a registry that fails for one without signatures, so its no is asked for twice.
        registry.referrers(subject.repository, subject.digest)
        cosign.verify(subject, ANY_SIGNATURE)


def _look_signer(
    looks: Looks, locked: LockedBase | None, exceptions: Collection[Exception_], today: date
) -> None:
    """Look who is to sign a base: whoever changes the lock could name a signer of their own."""
    if locked is None or locked.signer in MAKERS:
        return
    signer = f"{locked.identity} {locked.issuer}"
    words = f"ci/bases.lock.yaml takes a base signed by {signer}, which is not its maker"
    looks.unless_waived(words, holding(exceptions, "signer", signer, today))


def _look_support(looks: Looks, suite: str, exceptions: Collection[Exception_], today: date) -> None:
    end = SUPPORT_ENDS.get(suite)
    if end is None or today <= end:
        looks.passed(f"{suite} is supported{f' until {end}' if end else ''}")
        return
    looks.unless_waived(f"{suite} lost its support on {end}", holding(exceptions, "base", suite, today))
