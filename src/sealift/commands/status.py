"""``sealift status``: how one version stands outside. It only looks: a rehearsal or production."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from sealift import console
from sealift.clients import Clients
from sealift.commands.opening import Asked, JsonOption, asking, checkout, planned
from sealift.errors import OutsideError, UsageError
from sealift.model.codec import to_json
from sealift.model.names import Version
from sealift.model.plan import Plan
from sealift.model.run import RunFolder
from sealift.model.status import Finding, Status
from sealift.model.world import World
from sealift.patience import Patience, persist
from sealift.report.status import lines
from sealift.stations.plan import at_tag
from sealift.stations.repair import Place, repair
from sealift.tools import git

PROGRAMS = ("cosign",)
SERVED = ("olareg",)


@asking
def command(
    *,
    asked: Asked,
    released: Annotated[
        str | None, typer.Argument(metavar="VERSION", help="The version; the one of HEAD without it.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Look at everything that a version consists of, and say what agrees, what does not, and what repairs it.

    Nothing is made, signed or moved. The status is 0 when all agree, 3 when anything is missing or
    differs, 4 when something could not be looked at.
    """
    asked = one_version(asked, released)
    root = checkout()
    plan, commit = versioned(root, asked)
    run = RunFolder(root / "build" / "release" / str(plan.version))
    place = _place(root, asked, plan)
    with _world(root, plan, asked, place) as world:
        findings = patiently(asked.patience or 0, lambda: _look(plan, commit, world, run))
    means, command = repair(findings, place)
    status = Status(version=plan.version, world=world.name, findings=findings, means=means, repair=command)
    console.result(to_json(status).decode().rstrip() if as_json else "\n".join(lines(status)))
    raise typer.Exit(status.exit_code)


def versioned(root: Path, asked: Asked) -> tuple[Plan, str | None]:
    """Plan the version that is asked for, at the commit that this checkout knows it by; None knows none."""
    if asked.version is None:
        plan = planned(root, replace(asked, production=False))
        return plan, plan.commit
    version = Version.parse(asked.version)
    named = git.tag_commit(root, version.git_tag)
    if named not in (None, git.head(root)):
        return at_tag(root, version, str(named)), named
    plan = planned(root, replace(asked, production=False))
    if named is None and asked.world_name is not None:
        return _played(root, plan)
    return plan, plan.commit if named or not asked.production else None


def _played(root: Path, plan: Plan) -> tuple[Plan, str | None]:
    """In a world with a name several commits are played: take the one that this version was played from."""
    try:
        before = RunFolder(root / "build" / "release" / str(plan.version)).read_plan()
    except UsageError:
        return plan, None
    return before, before.commit


def one_version(asked: Asked, released: str | None) -> Asked:
    """Take the version from either place where it may be named."""
    if released is None:
        return asked
    if asked.version not in (None, released):
        raise UsageError(f"{released} and --version={asked.version} are two versions", next_step="name one")
    return replace(asked, version=released)


@contextmanager
def _world(root: Path, plan: Plan, asked: Asked, place: Place) -> Iterator[World]:
    from sealift.provision.cache import cache_folder
    from sealift.provision.everything import provide_all

    if asked.production:
        from sealift.production import outside

        provide_all(PROGRAMS, cache=cache_folder())
        if not os.environ.get("GITHUB_TOKEN"):
            console.say("without GITHUB_TOKEN only what is public is seen: a draft is not")
        yield outside(plan)
        return
    from sealift.rehearsal.looking import looking, played

    changed = git.changed(root) if plan.modified else ()
    name = asked.world_name or git.fingerprint(root, plan.commit, changed)
    folder = root / "build" / "rehearsal" / name
    if not played(folder):
        raise UsageError(
            f"{plan.version} at {plan.commit[:12]} was not rehearsed here: there is no world {name}",
            means="it was never released here, or sealift rehearse reset has removed it",
            next_step=place.released_again(),
        )
    provide_all((*PROGRAMS, *SERVED), cache=cache_folder())
    with looking(plan, folder, referrers_api=asked.referrers_api) as world:
        yield world


def _look(plan: Plan, commit: str | None, world: World, run: RunFolder) -> tuple[Finding, ...]:
    from sealift.stations import status as looking

    clients = Clients(world=world, source=plan.config.source)

    def verifying(at: str) -> looking.Verifiers:
        claims = replace(world.sigstore.claims, commit=at)
        mine = Clients(
            world=replace(world, sigstore=replace(world.sigstore, claims=claims)), source=plan.config.source
        )
        return mine.verifier(), mine.cosign()

    return looking.look(
        plan,
        commit,
        world,
        looking.Remembered.read(run, plan, world),
        github=clients.github(public=True),
        registry=clients.registry,
        verifiers=verifying,
    )


def patiently(seconds: float, look: Callable[[], tuple[Finding, ...]]) -> tuple[Finding, ...]:
    """Look again while something could not be looked at, as long as patience lasts."""
    found: tuple[Finding, ...] = ()

    def once() -> None:
        nonlocal found
        found = look()
        if any(f.verdict == "not checked" for f in found):
            raise OutsideError("not everything could be looked at")

    try:
        persist(once, doing="status", patience=Patience(seconds=seconds), next_step="sealift status")
    except OutsideError:
        return found
    return found


def _place(root: Path, asked: Asked, plan: Plan) -> Place:
    given = {
        "--dirty": asked.dirty,
        f"--signing-profile={asked.signing_profile}": asked.signing_profile != Asked.signing_profile,
        f"--world-name={shlex.quote(asked.world_name or '')}": asked.world_name is not None,
        "--no-referrers-api": not asked.referrers_api,
    }
    elsewhere = plan.commit != git.head(root)
    tagged = elsewhere and git.tag_commit(root, plan.version.git_tag) == plan.commit
    return Place(
        world="production" if asked.production else "rehearsal",
        version=plan.version,
        checkout="" if not elsewhere else plan.version.git_tag if tagged else plan.commit,
        asked=asked.version is not None,
        options=" ".join(option for option, there in given.items() if there),
    )
