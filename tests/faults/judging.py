"""One case, played and judged: what it promised is held against what is outside afterwards."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

import pytest

from sealift.cli import VERBS
from sealift.errors import ManyErrors, OutsideError, RefusedError, SealiftError
from sealift.line import Line
from sealift.model import evidence as ev
from sealift.model.names import Digest
from sealift.model.statements import ON_INDEX, ON_PLATFORM
from sealift.stations import assets as gathering
from sealift.tools import github, http, sigstore_outside, sigstore_token
from tests.faults import found
from tests.faults.fault import Kind, Request
from tests.faults.matrix import Case
from tests.faults.proxy import Met, Proxy
from tests.faults.stand import ENOUGH, Ran, Stand, play
from tests.faults.words import few, plain

PATIENCE = 1.5
TIMEOUT = 5
# What a station may take, in seconds: its budget, its own work, and the tries of regctl and of buildx, which
# nobody counts. It is less than the minute for which an answer is waited for where nobody hurries.
LIMIT, LIMIT_BUILDX = 55.0, 75.0
# The service does what it was asked, and whoever looks again finds it: each try comes a step further.
DONE_ALL_THE_SAME = frozenset({Kind.LOST, Kind.TRUNCATED})
# How the libraries in this process call themselves; every other name is another program's.
OURS = ("python", "sealift", "sigstore-python", "PyGithub")
# One image is enough where every image is treated alike; a tag of one and not of the other is not.
ONE = ("static",)
EVERY_VARIANT = frozenset({("registry", "base"), ("registry", "promote"), ("builder", "image")})
# A registry that says "not there" has said no to whoever looks for a signature.
LOOKING = frozenset({"base", "verify"})


@dataclass(frozen=True, kw_only=True)
class Result:
    """One cell of the table; ``problems`` is empty when everything held."""

    case: Case
    met: int
    code: int
    said: str
    after: int
    problems: tuple[str, ...]
    seconds: float

    @property
    def verdict(self) -> str:
        """One or a few words for the table."""
        if not self.met:
            return "not met"
        return "; ".join(self.problems) or "held"


def judge(case: Case, stand: Stand) -> Result:
    """Play a case: the station with the fault, then without it."""
    # A connection that is kept has the timeout with which it was opened: here, where push comes before sign.
    with _hurried():
        line = stand.line(
            case.station,
            patience=ENOUGH if case.passes else PATIENCE,
            variants=() if (case.outside.name, case.station) in EVERY_VARIANT else ONE,
        )
    if case.fault.kind is Kind.WRONG:
        # Who has not seen the draft itself downloads it.
        line.state = None
    proxy, heard = stand.proxies[case.outside.service], len(stand.overheard())
    with _hurried(), proxy.failing(case.fault) as met:
        ran = play(line, [case.station])
    told = f"{ran.error} {ran.told} {stand.overheard()[heard:]}"
    problems = [*_ended(case, ran, line), *_waited(case, ran, met, proxy), *_withheld(case, ran, line, stand)]
    if ran.code == 0:
        problems += _done(case.station, line, stand)
    resumed = stand.again(line)
    if case.outside.name != "GitHub":
        resumed.state = line.state
    after = play(resumed, [case.station])
    if after.error is not None:
        problems.append(f"afterwards: {few(after.error)}")
    else:
        problems += _done(case.station, line, stand)
    return Result(
        case=case,
        met=_met(case, met, told, ran.seconds),
        code=ran.code,
        said=few(ran.error) if ran.error else _lived_through(ran.told, met),
        after=after.code,
        problems=tuple(dict.fromkeys(problems)),
        seconds=ran.seconds,
    )


@contextlib.contextmanager
def _hurried() -> Iterator[None]:
    """Wait a few seconds for each answer, not a minute: what is played is the timeout, not its length."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http, "READ", TIMEOUT)
        patch.setattr(sigstore_outside, "READ", TIMEOUT)
        patch.setattr(sigstore_token, "SECONDS", TIMEOUT)
        patch.setattr(github, "TIMEOUT", TIMEOUT)
        yield


def _met(case: Case, met: Met, told: str, seconds: float) -> int:
    """Count the requests that it hit; nobody can count those at a port where nobody listens."""
    if case.fault.kind is not Kind.REFUSED:
        return met.count
    # buildx says nothing, but builds nothing without its builder either.
    outlasted = case.outside.on_a_socket and 0 < (case.fault.lasts or 0) < seconds
    return int(
        outlasted or any(words in told for words in ("refused", "NewConnectionError", "cannot be reached"))
    )


def _ended(case: Case, ran: Ran, line: Line) -> Iterator[str]:
    """A fault that passes is survived; every other one ends with the outside's code, in time."""
    allowed = {0} if case.passes else {OutsideError.exit_code}
    if case.fault.kind is Kind.WRONG:
        allowed = {RefusedError.exit_code, OutsideError.exit_code}
        # The bit may be one that nobody reads; every bundle is verified below all the same.
        allowed |= set() if case.outside.service in ("registry", "github") else {0}
    if case.fault.kind in DONE_ALL_THE_SAME and not case.passes:
        allowed = {0, OutsideError.exit_code}
    if case.fault.code == HTTPStatus.NOT_FOUND and case.station in LOOKING:
        allowed = {RefusedError.exit_code, OutsideError.exit_code}
    if ran.code not in allowed:
        yield f"exit {ran.code}, expected {' or '.join(map(str, sorted(allowed)))}"
    if ran.seconds > (LIMIT_BUILDX if case.outside.on_a_socket else LIMIT):
        yield f"took {ran.seconds:.0f} s with a budget of {line.world.patience_seconds:g} s"
    for error in _each(ran.error):
        yield from _next_step(error)


def _each(error: SealiftError | None) -> tuple[SealiftError, ...]:
    """Return every error that must name a next step: several have one together, or each its own."""
    if isinstance(error, ManyErrors) and not error.next_step:
        return tuple(leaf for one in error.errors for leaf in _each(one))
    return () if error is None else (error,)


def _next_step(error: SealiftError) -> Iterator[str]:
    if not error.next_step:
        yield "no next step"
    for verb in re.findall(r"sealift ([a-z]+)", error.next_step):
        if verb not in VERBS:
            yield f"the next step names sealift {verb}, which there is not"


def _waited(case: Case, ran: Ran, met: Met, proxy: Proxy) -> Iterator[str]:
    """What is tried again is told, and the service was left alone for as long as it asked for.

    What other threads had begun is brought to its end first.
    """
    if by_itself(met) or case.outside.on_a_socket:
        return
    slow = case.fault.kind in (Kind.SLOW_FIRST, Kind.SLOW_BODY)
    if case.passes and not slow and ran.code == 0 and "again in" not in ran.told:
        yield "tried again without a word"
    if case.fault.retry_after is None or not met.hits:
        return
    first, later = met.hits[0], [seen for seen in proxy.seen if seen.at > met.hits[0].at]
    pauses = [b - a for a, b in itertools.pairwise([first.at, *(seen.at for seen in later)])]
    same = [seen.at - first.at for seen in later if _same(seen.request, first.request)]
    waited = max([*pauses, *same[:1]], default=0)
    if ran.code == 0 and waited < case.fault.retry_after:
        yield f"waited for {waited:.1f} s, Retry-After: {case.fault.retry_after}"


def _same(one: Request, other: Request) -> bool:
    return (one.method, one.path) == (other.method, other.path)


def by_itself(met: Met) -> str:
    """Name the program that was hit, where it is not ours: it tries again as it will, and says nothing."""
    if any(not hit.request.method for hit in met.hits):
        return "buildx"
    agents = [hit.request.headers.get("user-agent", "") for hit in met.hits[:1]]
    return "".join(agent.partition("/")[0] for agent in agents if not agent.startswith(OURS))


def _lived_through(told: str, met: Met) -> str:
    waits = [line.strip() for line in told.splitlines() if "again in" in line]
    if waits:
        return plain(waits[0])
    return f"{by_itself(met)} tries again by itself" if by_itself(met) else ""


def _withheld(case: Case, ran: Ran, line: Line, stand: Stand) -> Iterator[str]:
    """Whoever fails has no evidence, and no tag names what is not whole."""
    if ran.code == 0:
        return
    for refused in (line.run.root / "evidence" / case.station).glob("*.refused.json"):
        if (passed := refused.with_name(refused.name.replace(".refused", ""))).exists():
            yield f"{passed.name} is evidence, after a failure"
    if case.station == "image":
        return
    tags, released = found.tags(line, stand.registry), found.releases(stand.github)
    version = str(line.plan.version)
    published = [release for release in released if not release.draft]
    moved = {name for name, named in tags.items() if set(named) - {version}}
    if moved and not published:
        yield f"moving tags of {', '.join(sorted(moved))} before the release was published"
    if published and any(version not in named for named in tags.values()):
        yield "published before every version tag"
    yield from _right(tags, line)


def _right(tags: dict[str, dict[str, str]], line: Line) -> Iterator[str]:
    for name, (_, built) in found.images(line).items():
        for tag, digest in tags[name].items():
            if digest != built.digest:
                yield f"{name}:{tag} names {digest}"


def _done(station: str, line: Line, stand: Stand) -> Iterator[str]:
    """Look at what a station that ended well has left outside."""
    match station:
        case "push":
            yield from _pushed(line, stand)
        case "sign":
            yield from _signed(line, stand)
        case "draft":
            yield from _released(line, stand, draft=True)
        case "promote":
            yield from _released(line, stand, draft=False)
            yield from _tagged(line, stand)
        case "image":
            yield from _built(line, stand)
        case _:
            return


def _pushed(line: Line, stand: Stand) -> Iterator[str]:
    for name, (repository, built) in found.images(line).items():
        for digest in (built.digest, *(p.digest for p in built.platforms.values())):
            if stand.registry.digest(repository, digest) != digest:
                yield f"{name}: {digest} is not in the registry"
    if any(found.tags(line, stand.registry).values()):
        yield "pushed with a tag"


def _signed(line: Line, stand: Stand) -> Iterator[str]:
    there = found.statements(line, stand.registry)
    wanted = {
        (digest, str(kind))
        for _, built in found.images(line).values()
        for digest, kinds in (
            (built.digest, ON_INDEX),
            *((p.digest, ON_PLATFORM) for p in built.platforms.values()),
        )
        for kind in kinds
    }
    if missing := wanted - set(there):
        yield f"{len(missing)} statements are missing"
    if odd := {kind for _, kind in set(there) - wanted}:
        yield f"attached and not wanted: {', '.join(sorted(odd))}"
    if twice := [key for key in wanted if there[key] > 1]:
        yield f"{len(twice)} statements are there {max(there[key] for key in twice)} times"


def _released(line: Line, stand: Stand, *, draft: bool) -> Iterator[str]:
    there = found.releases(stand.github)
    if [release.draft for release in there] != [draft]:
        yield f"releases (draft or not): {[release.draft for release in there]}"
    cells = {c: line.run.read("sbom", str(c), ev.Listed) for c in line.plan.cells}
    files = gathering.assets(line.plan, cells, line.run)
    wanted = {f"{name}@{Digest.of_file(path)}": 1 for name, path in files.items()}
    for assets in there.values():
        if dict(assets) != wanted:
            yield f"assets: {len(wanted)} wanted, {sum(assets.values())} there"


def _tagged(line: Line, stand: Stand) -> Iterator[str]:
    tags = found.tags(line, stand.registry)
    wanted = {line.plan.version.version_tag, *line.plan.version.moving_tags}
    for name, named in tags.items():
        if set(named) != wanted:
            yield f"{name} has the tags {', '.join(sorted(named))}"
    yield from _right(tags, line)


def _built(line: Line, stand: Stand) -> Iterator[str]:
    for name, (_, built) in found.images(line).items():
        if built.digest != stand.release.line.run.read("image", name, ev.Built).digest:
            yield f"{name} has another digest"
