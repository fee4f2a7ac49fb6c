"""What the gates of a release let through: what is weaker than the default, and what has changed.

before, now = policy(old, ...), policy(new, ...)
for change in changes(before, now):
    print(change.key, change.before, change.now)
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from sealift.model.bases import MAKERS, Lock
from sealift.model.config import Config, Strict
from sealift.model.exceptions import Exception_, concerning

_RANKS = ("LOW", "MEDIUM", "HIGH", "CRITICAL")
_WORDS = {True: "true", False: "false", None: "not set"}
Policy = Mapping[str, str]


class Weaker(Strict, frozen=True, kw_only=True):
    """A setting that lets more through than its default does."""

    key: str
    value: str
    default: str
    why: str

    def __str__(self) -> str:
        return f"{self.key}: {self.value} (default {self.default}): {self.why}"


class Change(Strict, frozen=True, kw_only=True):
    """A part of the policy that is not what it was; None where there was, or is, no such thing."""

    key: str
    before: str | None
    now: str | None
    verdict: Literal["changed", "unknown"] = "changed"

    def __str__(self) -> str:
        if self.verdict == "unknown":
            return f"{self.key}: could not be compared: {self.before}"
        if self.before is None:
            return f"{self.key}: added: {self.now}"
        return (
            f"{self.key}: {self.before} -> {self.now}" if self.now else f"{self.key}: removed: {self.before}"
        )


class Changes(Strict, frozen=True, kw_only=True):
    """What has changed since a version was tagged; without one, this is the first release."""

    since: str | None = None
    changes: tuple[Change, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """Describe it for people."""
        if self.since is None and not self.changes:
            return ("this is the first release: there is no earlier policy to compare with",)
        return tuple(map(str, self.changes)) or (f"nothing has changed since {self.since}",)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A setting of ci/release.yaml that decides what is let through, and when it lets through more."""

    key: str
    default: str = ""
    weaker: Callable[[Config], bool] | None = None
    why: str = ""

    def value(self, config: Config) -> str:
        """Write the value as the file has it."""
        found = operator.attrgetter(self.key)(config)
        if isinstance(found, tuple):
            return ", ".join(map(str, found))
        if isinstance(found, float):
            return f"{found:g}"
        return _WORDS[found] if found is None or isinstance(found, bool) else str(found)


# Every setting of ci/release.yaml is here or in OTHERS: a test compares both with the type.
SETTINGS = (
    Setting(
        key="image.user",
        default="65532:65532",
        weaker=lambda c: c.image.user.is_root,
        why="the service runs with the rights of root, or of its group",
    ),
    Setting(
        key="gates.severities",
        default="HIGH, CRITICAL",
        weaker=lambda c: min(map(_RANKS.index, c.gates.severities)) > _RANKS.index("HIGH"),
        why="a finding of severity HIGH does not block",
    ),
    Setting(
        key="gates.not_checked",
        default="refuse",
        weaker=lambda c: c.gates.not_checked != "refuse",
        why="what could not be checked does not block",
    ),
    Setting(
        key="gates.start_seconds",
        default="30",
        weaker=lambda c: c.gates.start_seconds > 30,  # noqa: PLR2004 - the default
        why="a service that starts later passes",
    ),
    Setting(
        key="gates.stop_seconds",
        default="10",
        weaker=lambda c: c.gates.stop_seconds > 10,  # noqa: PLR2004 - what container engines wait before they kill
        why="a service passes that an engine would kill before it has stopped",
    ),
    Setting(
        key="issuer",
        default="that of the GitHub host",
        weaker=lambda c: not f"{c.token_issuer}/".startswith(f"{c.host.issuer}/"),
        why="the certificates of a release may come from another token issuer",
    ),
    Setting(
        key="signer.self_hosted",
        default="false",
        weaker=lambda c: c.signer.self_hosted,
        why="a machine that is not GitHub's may sign",
    ),
    Setting(
        key="signer.workflow",
        default="not set",
        weaker=lambda c: c.signer.workflow is not None,
        why="the workflow that signs is not of this repository's commit",
    ),
    Setting(key="signer.repository_id"),
    Setting(key="signer.owner_id"),
    Setting(key="signer.visibility"),
    Setting(key="gates.require_fix"),
    Setting(key="suite"),
    Setting(key="source"),
    Setting(key="registry"),
    Setting(key="github"),
    Setting(key="platforms"),
)
# What is built, not what is let through.
OTHERS = frozenset(
    [
        *("service", "moving_tags", "github_latest"),
        *("go.module", "go.package", "go.version_variable"),
        *("image.title", "image.description", "image.licenses"),
    ]
)
# Of each variant.
OF_VARIANTS = ("repository", "base", "linkage")


def weaker(config: Config, waivers: Iterable[Exception_], lock: Lock) -> tuple[Weaker, ...]:
    """List everything that lets more through than the defaults do, the waivers too."""
    return (
        *(
            Weaker(key=s.key, value=s.value(config), default=s.default, why=s.why)
            for s in SETTINGS
            if s.weaker is not None and s.weaker(config)
        ),
        *(
            Weaker(
                key=f"ci/exceptions.yaml: {one.kind} {one.id}",
                value=f"until {one.until}",
                default="no waiver",
                why=f"{one.reason} ({one.owner})",
            )
            for one in concerning(waivers, config.suite)
        ),
        *(
            Weaker(
                key=f"ci/bases.lock.yaml: {config.suite}.{name}",
                value=f"{base.identity} {base.issuer}",
                default=", ".join(f"{maker.san} {maker.issuer}" for maker in MAKERS),
                why="another signer than distroless' own answers for the base image",
            )
            for name, base in lock.get(config.suite, {}).items()
            if base.signer not in MAKERS
        ),
    )


def of_config(config: Config) -> Policy:
    """Write down what ci/release.yaml decides."""
    found = {setting.key: setting.value(config) for setting in SETTINGS}
    for name, variant in config.variants.items():
        found |= {f"variants.{name}.{key}": str(getattr(variant, key)) for key in OF_VARIANTS}
    return found


def of_waivers(waivers: Iterable[Exception_]) -> Policy:
    """Write down what ci/exceptions.yaml lets through."""
    return {
        " ".join(filter(None, ["ci/exceptions.yaml:", one.kind, one.id, one.package])): (
            f"until {one.until}, {one.owner}: {one.reason}"
        )
        for one in waivers
    }


def of_lock(lock: Lock) -> Policy:
    """Write down the base images and who must have signed them."""
    return {
        f"ci/bases.lock.yaml: {suite}.{name}": f"{base.digest}, signed by {base.identity} ({base.issuer})"
        for suite, bases in lock.items()
        for name, base in bases.items()
    }


def changes(before: Policy, now: Policy) -> Iterator[Change]:
    """Compare two policies, key by key."""
    for key in dict.fromkeys((*now, *before)):
        if before.get(key) != now.get(key):
            yield Change(key=key, before=before.get(key), now=now.get(key))
