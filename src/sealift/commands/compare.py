"""``sealift compare``: the images beside the same service on fuller systems, measured in one run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sealift import console
from sealift.commands.opening import Asked, JsonOption, checkout, opened

if TYPE_CHECKING:
    from sealift.compare.values import Comparison
    from sealift.model.run import RunFolder
    from sealift.tools.engine import Engine

# The line as far as its images.
STATIONS = ("base", "compile", "prove", "image")
PROGRAMS = ("olareg", "regctl", "trivy")
# The page that shows the comparison in docs/compare.
PAGE = Path("docs", "distroless.md")


def command(
    *,
    starts: Annotated[int, typer.Option("--starts", min=1, help="How often each kind is started.")] = 20,
    out: Annotated[
        Path | None, typer.Option("--out", help="A folder, instead of docs/compare of this checkout.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Write the table and the picture again from the JSON.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure static, base and a full Debian; write a table, JSON and a picture to docs/compare.

    Our images are the last release's where that was of this commit; else they are built first.
    """
    from sealift.model.codec import to_json

    root = checkout()
    shown = root / PAGE if out is None else None
    out = out or root / "docs" / "compare"
    compared = _read(out) if again else _measured(root, starts)
    _write(compared, out)
    if shown and shown.exists():
        _show(compared, shown)
    console.result(to_json(compared).decode() if as_json else _table(compared))


def _measured(root: Path, starts: int) -> Comparison:
    from sealift.compare.measure import LOOKS, Bench, compare, this_platform
    from sealift.provision.cache import cache_folder
    from sealift.provision.everything import provide_all

    cache, run = cache_folder(), _built(root)
    provide_all(PROGRAMS, cache=cache, debian_programs=("mmdebstrap",))
    folder = root / "build" / "compare"
    bench = Bench(
        folder=folder,
        platform=this_platform(),
        engine=_engine(cache / "locks"),
        database=folder / "trivy",
        starts=starts,
        looks=min(LOOKS, starts),
    )
    return compare(root, run.read_plan(), run.images, bench, cache=cache)


def _built(root: Path) -> RunFolder:
    """Return the run folder with the images of HEAD: the last release's where it is HEAD's, else made now."""
    from sealift.model.run import RunFolder
    from sealift.tools import git

    latest, commit = RunFolder(root / "build" / "release" / "latest"), git.head(root)
    if not _holds_images(latest, commit):
        console.say(f"the images of {commit[:12]} are not here; building them")
        _build()
    return latest


def _holds_images(run: RunFolder, commit: str) -> bool:
    """Tell whether a folder has every image of a commit, as it was committed."""
    if not run.plan_file.is_file():
        return False
    plan = run.read_plan()
    return (plan.commit, plan.modified) == (commit, False) and all(
        run.has("image", variant) and (run.images / variant / "index.json").is_file()
        for variant in plan.config.variants
    )


def _build() -> None:
    """Run the line in its rehearsal up to the images; nothing is pushed or signed."""
    from sealift.commands.working import work

    began = time.monotonic()
    with opened(Asked(), STATIONS) as release:
        work(release, STATIONS, began)


def _engine(locks: Path) -> Engine:
    """Take the engine that is here; where none answers, install podman."""
    from sealift.errors import MissingProgramError
    from sealift.provision import debian
    from sealift.tools import engine

    try:
        found = engine.find(locks)
    except MissingProgramError:
        debian.ensure(("podman",))
        found = engine.find(locks)
    if found.name == "podman":
        debian.ensure(("runc",))
    return found


def _read(out: Path) -> Comparison:
    from sealift.compare.measure import with_claims_judged
    from sealift.compare.values import Comparison
    from sealift.model.codec import from_json

    file = out / "comparison.json"
    return with_claims_judged(from_json(file.read_bytes(), Comparison, source=str(file)))


def _write(compared: Comparison, out: Path) -> None:
    from sealift.compare.picture import svg
    from sealift.model.codec import publish, to_json

    publish(out / "comparison.json", to_json(compared))
    publish(out / "comparison.md", _table(compared).encode())
    publish(out / "comparison.svg", svg(compared).encode())
    console.say(f"wrote {out}/comparison.json, .md and .svg")


def _show(compared: Comparison, page: Path) -> None:
    from sealift.compare.table import into_page
    from sealift.model.codec import publish

    publish(page, into_page(page.read_text(encoding="utf-8"), _table(compared)).encode())


def _table(compared: Comparison) -> str:
    from sealift.compare.table import markdown

    return markdown(compared)
