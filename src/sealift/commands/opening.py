"""What every verb of the line begins with: the checkout, its plan, its run folder, programs and world."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import shlex
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from sealift import console
from sealift.environment import without_effect
from sealift.errors import UsageError
from sealift.model.names import Digest
from sealift.model.plan import Plan
from sealift.model.run import RunFolder
from sealift.places import plainly, readable
from sealift.stations.plan import plan as make_plan
from sealift.tools import git

if TYPE_CHECKING:
    from sealift.line import Line
    from sealift.model.world import World
    from sealift.provision.everything import Provided
    from sealift.rehearsal.world import Stage

T = TypeVar("T")

VersionOption = Annotated[
    str | None, typer.Option("--version", help="The version, instead of the one that comes next.")
]
DirtyOption = Annotated[bool, typer.Option("--dirty", help="Take the working tree instead of HEAD.")]
ProductionOption = Annotated[
    bool, typer.Option("--production", help="The real outside: in GitHub Actions, or to look with status.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

# Which stations look at the images or their bases; a rehearsal's other stations need its services too.
_LOOK_AT_IMAGES = frozenset({"base", "prove", "image", "smoke", "scan", "sbom", "push"})
# What signing, verifying, GitHub and the report import, most of a second, in the order of need.
AHEAD = ("sigstore.sign", "sigstore.verify", "github", "sealift.report.terminal")
_NEED_NOTHING = frozenset({"compile", "prove"})


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the verbs of the line share; each field is an option of theirs."""

    version: VersionOption = None
    dirty: DirtyOption = False
    production: ProductionOption = False
    signing_profile: Annotated[
        str, typer.Option("--signing-profile", help="public (Rekor v1 with a timestamp authority), or v2.")
    ] = "public"
    world_name: Annotated[
        str | None, typer.Option("--world-name", help="Play in the rehearsal's world of this name.")
    ] = None
    referrers_api: Annotated[
        bool,
        typer.Option("--referrers-api/--no-referrers-api", help="Whether the rehearsal's registry has it."),
    ] = True
    patience: Annotated[
        float | None,
        typer.Option(
            "--patience",
            min=0,
            metavar="SECONDS",
            help="How long one station is tried again while the outside fails.",
        ),
    ] = None


def asking(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of ``Asked``; it takes them as one value, ``asked``."""
    own = inspect.signature(command, eval_str=True).parameters
    shared = inspect.signature(Asked, eval_str=True).parameters

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        asked = Asked(**{name: given.pop(name) for name in shared})
        command(asked=asked, **given)

    options = {name: p for name, p in {**own, **shared}.items() if name != "asked"}
    # What typer reads.
    wrapped.__annotations__ = {name: p.annotation for name, p in options.items()}
    wrapped.__signature__ = inspect.Signature([_by_name(p) for p in options.values()])  # type: ignore[attr-defined]
    return wrapped


def _by_name(option: inspect.Parameter) -> inspect.Parameter:
    return option.replace(kind=inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A release that can be worked on; ``stage`` is the rehearsal's, None in production."""

    line: Line
    provided: Provided
    stage: Stage | None


def checkout() -> Path:
    """Return the checkout that this was started in."""
    return readable(git.top(Path.cwd()), "a checkout")


def planned(root: Path, asked: Asked) -> Plan:
    """Compute the plan that the options ask for; nothing is written."""
    by_workflow = asked.production or os.environ.get("GITHUB_ACTIONS") == "true"
    return make_plan(
        root,
        version=asked.version,
        dirty=asked.dirty,
        tagged=asked.production,
        ref=(os.environ.get("GITHUB_REF") or None) if by_workflow else None,
    )


@contextmanager
def opened(asked: Asked, stations: Collection[str], *, started: bool = True) -> Iterator[Opened]:
    """Open a checkout's release for some stations.

    Programs come first, then the world; its services end with this block. Who does not want them
    ``started`` does it himself.
    """
    from sealift.line import AFTER_BUILD, BUILD, Line, programs_of
    from sealift.production import handed_on
    from sealift.provision.cache import cache_folder
    from sealift.provision.everything import provide_all
    from sealift.services.supervised import Supervised
    from sealift.tools import engine, podman_store

    built_elsewhere = bool({*stations} & {*AFTER_BUILD}) and not {*BUILD} <= {*stations}
    sealed = handed_on(os.environ, needed=asked.production and built_elsewhere)
    root, cache = checkout(), cache_folder()
    if dropped := without_effect():
        console.say(f"set here, and passed to no program (docs/environment.md): {', '.join(dropped)}")
    plan = planned(root, asked)
    if "promote" in stations:
        import_in_background("sealift.production" if asked.production else "sealift.rehearsal.world", *AHEAD)
    if asked.production:
        from sealift.production import only_in_actions

        only_in_actions(plan, os.environ)
    with ExitStack() as stack:
        run = stack.enter_context(RunFolder.opened(root, plan, sealed=sealed is not None))
        cloned = _begun(stack, stack.enter_context(_source(root, plan, run)))
        provided = provide_all(
            programs_of(stations, rehearsed=not asked.production),
            cache=cache,
            debian_programs=() if asked.production else _debian(stations),
            emulate="smoke" in stations and any(p.arch == "arm64" for p in plan.config.platforms),
        )
        world, stage = _world(stack, asked, plan, root, cache, run, set(stations))
        if started and stage is not None and set(stations) - _NEED_NOTHING:
            stage.start()
        source = cloned()
        # Before what removes containers in it, and so recorded after.
        store = stack.enter_context(podman_store.kept_store(cache.resolve() / "podman"))

        def find_engine() -> engine.Engine:
            store.check()
            return engine.find(cache / "locks", store=store.folder)

        line = Line(
            plan=plan,
            run=run,
            world=_patient(world, asked),
            source=source,
            go=provided.go.path,
            cache=compile_cache(run, cache, production=asked.production),
            engine=find_engine if "smoke" not in stations else _begun(stack, find_engine),
            guard=stack.enter_context(Supervised(log=cache / "logs" / "guard.log")),
            exceptions=plan.waivers,
            programs={
                f"{name}@{p.version}": Digest(f"sha256:{p.sha256}")
                for name, p in provided.programs.items()
                if name in ("buildkitd", "docker-buildx")
            },
            again=again(asked, os.environ),
            sealed=sealed,
        )
        yield Opened(line=line, provided=provided, stage=stage)


def compile_cache(run: RunFolder, cache: Path, *, production: bool) -> Path:
    """Return where compilers keep things: in production a folder of this run, which begins without any."""
    return (run.work if production else cache) / "compile"


def import_in_background(*names: str) -> threading.Thread:
    """Load what stages import, while programs are hashed and the source is cloned.

    The interpreter waits for the thread at its end. A daemon thread would be cut off there, and inside of an
    extension that is written in C++ that aborts the process ("exception not rethrown").
    """

    def load() -> None:
        for name in names:
            importlib.import_module(name)

    thread = threading.Thread(target=load, name="imports")
    thread.start()
    return thread


def again(asked: Asked, env: Mapping[str, str]) -> str:
    """Name the command that goes on where this run ends."""
    if asked.production and (run := env.get("GITHUB_RUN_ID")):
        return f"gh run rerun {run} --failed"
    return shlex.join(["sealift", *sys.argv[1:]])


def _patient(world: World, asked: Asked) -> World:
    return world if asked.patience is None else replace(world, patience_seconds=asked.patience)


def _world(
    stack: ExitStack, asked: Asked, plan: Plan, root: Path, cache: Path, run: RunFolder, stations: set[str]
) -> tuple[World, Stage | None]:
    if asked.production:
        return stack.enter_context(_production(asked, plan, cache, run, stations)), None
    from sealift.rehearsal.sigstore_trust import Profile
    from sealift.rehearsal.world import Wanted, rehearsal

    try:
        profile = Profile(asked.signing_profile)
    except ValueError as error:
        raise UsageError(
            f"{asked.signing_profile!r} is not a signing profile", next_step=f"one of {', '.join(Profile)}"
        ) from error
    wanted = Wanted(profile=profile, name=asked.world_name, referrers_api=asked.referrers_api)
    fingerprint = git.fingerprint(root, plan.commit, git.changed(root) if plan.modified else ())
    stage = stack.enter_context(
        rehearsal(plan, root, wanted, cache=cache, images=run.images, fingerprint=fingerprint)
    )
    return stage.world, stage


def _production(
    asked: Asked, plan: Plan, cache: Path, run: RunFolder, stations: set[str]
) -> AbstractContextManager[World]:
    from sealift.patience import Patience, persist
    from sealift.production import PATIENCE_SECONDS, download_advisories, production

    patience = Patience(seconds=PATIENCE_SECONDS if asked.patience is None else asked.patience)

    def fetched(work: Callable[[], None], doing: str) -> None:
        persist(work, doing=doing, patience=patience, next_step=again(asked, os.environ))

    if "scan" in stations:
        fetched(lambda: download_advisories(cache), "fetching the advisories")
    served = bool(stations & _LOOK_AT_IMAGES)
    return production(plan, cache=cache, images=run.images, served=served, patiently=fetched)


def _debian(stations: Collection[str]) -> tuple[str, ...]:
    needed = []
    if "image" in stations:
        needed.append("runc")
    if "smoke" in stations:
        needed.append("podman")
    return tuple(needed)


@contextmanager
def _source(root: Path, plan: Plan, run: RunFolder) -> Iterator[Callable[[], Path]]:
    """Give what makes a clean clone of the commit, with the changed files over it when the tree is played.

    Compilers meet it, and not every one can read every path.
    """
    from sealift.provision.cache import remove_tree

    def clone(work: Path) -> Path:
        run.work.mkdir(parents=True, exist_ok=True)
        overlay = git.changed(root) if plan.modified else ()
        git.clone(root, plan.commit, work / "source", overlay=overlay, module=plan.config.go.module)
        return work / "source"

    with suppress(OSError):
        remove_tree(run.work)
    try:
        with plainly(run.work) as work:
            yield functools.partial(clone, work)
    finally:
        with suppress(OSError):
            remove_tree(run.work)


def _begun(stack: ExitStack, work: Callable[[], T]) -> Callable[[], T]:
    """Begin some work beside us, and return what waits for it; the stack does, too, at its end."""
    beside = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="beside"))
    return beside.submit(work).result
