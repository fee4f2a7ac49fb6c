"""``sealift release``: the whole line, rehearsed at a desk or for real in GitHub Actions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from sealift import console
from sealift.commands.opening import Asked, JsonOption, Opened, asking, opened

if TYPE_CHECKING:
    from sealift.report.collect import Report


@asking
def command(
    *,
    asked: Asked,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the rehearsal's services up.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Rehearse the release of HEAD: build, prove, sign, verify, promote. --production does it for real."""
    from sealift.line import STATIONS

    began = time.monotonic()
    with opened(asked, STATIONS, started=False) as release:
        _tell(release)
        _run(release, _remaining(release, keep=keep), began, as_json=as_json)
        if keep and release.stage is not None:
            release.stage.keep()
            console.say('the services stay up. To look: eval "$(sealift rehearse env)"')
            console.say("to end them: sealift rehearse stop")


def _remaining(release: Opened, *, keep: bool) -> tuple[str, ...]:
    """Start the services that what is left to do needs, and return the stations that do it."""
    from sealift.line import STATIONS
    from sealift.resume import may_be_out, remaining

    stage, line = release.stage, release.line
    if stage is not None and may_be_out(line):
        stage.start_looking()
    stations = remaining(line)
    if stations != STATIONS:
        console.say("it is out, with what is proven here; is it still as it was?")
        if stage is not None and keep:
            stage.start()
    elif stage is not None:
        # The compiler needs none of them.
        line.outside = stage.begin()
    return stations


def _tell(release: Opened) -> None:
    plan, world = release.line.plan, release.line.world
    console.say(
        f"{plan.config.service} {plan.version}, commit {plan.commit[:12]}: "
        f"{len(plan.config.variants)} variants x {len(plan.config.platforms)} platforms, {world.name}"
    )
    if plan.left_out:
        console.say(f"left out, because the release is the commit: {', '.join(plan.left_out)}")
    if plan.modified:
        console.say("the working tree is played (--dirty): these are not the bytes of any commit")


def _run(release: Opened, stations: tuple[str, ...], began: float, *, as_json: bool) -> None:
    from sealift.commands.working import ending, report, work

    ended = "released" if release.stage is None else "rehearsed"
    try:
        work(release, stations, began)
    except BaseException as error:
        ended = ending(error)
        raise
    finally:
        _show(release, report(release, ended, began), as_json=as_json)


def _show(release: Opened, gathered: Report, *, as_json: bool) -> None:
    from sealift.report import collect, terminal

    if as_json:
        console.result(collect.as_json(gathered).decode().rstrip())
    else:
        terminal.show(gathered)
    console.say(f"everything is in {release.line.run.root}")
