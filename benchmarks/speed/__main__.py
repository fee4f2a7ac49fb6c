"""``nox -s bench``: measure every figure, or those that are named, and write them down.

python -m benchmarks.speed                  everything but what is named below
python -m benchmarks.speed chain sign       these figures
python -m benchmarks.speed first            the first run: half an hour and more
python -m benchmarks.speed endpoints endpoints-full --rounds 3     the service: twenty minutes
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from benchmarks.speed import endpoints, first, many, page, services
from benchmarks.speed.catalog import FIGURES, NOT_UNASKED
from benchmarks.speed.desk import Argv, timed
from benchmarks.speed.machine import RESULTS, ROOT, measured
from benchmarks.speed.rounds import PARTS, Rounds, lists_of
from benchmarks.speed.values import Figure, Measured
from sealift.console import result, say
from sealift.errors import ManyErrors, SealiftError
from sealift.model.codec import publish, to_json

PAGE = ROOT / "docs" / "performance.md"
Maker = Callable[[], Measured]


def measure_help(count: int) -> tuple[Figure, ...]:
    """Ask for the help, ``count`` times after once to warm up."""
    argv: Argv = [Path(sys.executable).with_name("sealift"), "--help"]
    ran = [timed(argv, cwd=ROOT, log="help") for _ in range(count + 1)]
    return (Figure(name="help", samples=tuple(r.seconds for r in ran[1:]), made_of="the installed command"),)


def measure_rounds(figures: Sequence[str], count: int) -> Measured:
    """Measure what is taken out of the same rounds; raise what failed only when nothing went through."""
    rounds = Rounds(figures)
    rounds.play(count)
    made = rounds.figures_of()
    if not made:
        raise ManyErrors(rounds.failures)
    return measured(made, lists_of(figures, rounds.rounds))


def makers(figures: Sequence[str], count: int) -> Iterator[tuple[str, Maker]]:
    """Name each measurement that these figures need, and how it is made."""
    alone: dict[str, Maker] = {
        "services": lambda: measured(services.measure(count)),
        "many": lambda: measured(many.measure(count)),
        "help": lambda: measured(measure_help(count)),
        "first": lambda: measured(*first.measure()),
        "endpoints": lambda: measured(endpoints.measure(count)),
        "endpoints-full": lambda: measured(endpoints.measure_full(count)),
    }
    together = [f for f in figures if f in PARTS]
    if together:
        yield "-".join(together), lambda: measure_rounds(together, count)
    yield from ((f, alone[f]) for f in figures if f in alone)


def write_down(name: str, made: Measured, to: Path) -> None:
    """Keep every sample, write the table, and print its new rows."""
    publish(RESULTS / f"{name}.json", to_json(made))
    page.update(to, made)
    for figure in made.figures:
        result(page.row_of(figure, made))


def main() -> int:
    """Measure and write down one after the other: an interrupted run keeps what it has."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=", ".join(FIGURES))
    parser.add_argument("--rounds", type=int, default=5, help="how many samples, after one to warm up")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page whose table is written")
    chosen = parser.parse_args()
    if unknown := set(chosen.figures) - set(FIGURES):
        parser.error(f"there is no figure {', '.join(sorted(unknown))}; use some of {', '.join(FIGURES)}")
    figures = list(dict.fromkeys(chosen.figures)) or [f for f in FIGURES if f not in NOT_UNASKED]
    done = set()
    for name, make in makers(figures, chosen.rounds):
        try:
            made = make()
        except SealiftError as error:
            say(f"bench: {error}")
        else:
            write_down(name, made, chosen.page)
            done |= {figure.row.figure for figure in made.figures}
    say(f"bench: the table is in {chosen.page}, every sample in {RESULTS}")
    if missing := [figure for figure in figures if figure not in done]:
        say(f"bench: not measured, see above: {', '.join(missing)}")
    return 1 if missing else 0


def _ended(_number: int, _frame: FrameType | None) -> None:
    """End as Ctrl-C does: worlds are forgotten and their services ended on the way out."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _ended)
    sys.exit(main())
