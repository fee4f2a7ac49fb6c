"""What the comparison of what ships costs, on the images of a release.

``python -m benchmarks.speed.gates RUN_FOLDER BASES_FOLDER`` prints the seconds of comparing each variant with
the plan, and of comparing what the engine shows and unpacks of each cell.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from sealift.elf.rootfs import Rootfs
from sealift.model import evidence as ev
from sealift.model.codec import from_json
from sealift.model.names import Digest, Repository
from sealift.model.plan import Cell, Plan
from sealift.model.run import RunFolder
from sealift.model.statements import Identity
from sealift.model.world import Base
from sealift.places import linked
from sealift.process import run
from sealift.provision import debian
from sealift.provision.root import root_prefix
from sealift.stations.gate import Looks
from sealift.stations.image import inspect
from sealift.stations.readings import look_files, look_settings
from sealift.tools.engine import Engine, find
from sealift.tools.layout import Layout


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of comparing each variant with the plan, and each cell with what an engine makes of it."""

    image: dict[str, float]
    engine: dict[str, float]

    @property
    def seconds(self) -> float:
        """Return what a chain of nodes pays at most: cells and variants are compared side by side."""
        return max(self.image[cell.partition("/")[0]] + spent for cell, spent in self.engine.items())


def compare_images(plan: Plan, folder: RunFolder, bases: Path) -> dict[str, float]:
    """Compare each variant as the image stage does; return the seconds."""
    seconds = {}
    for variant in plan.config.variants:
        layout = Layout(bases / plan.variant(variant).base)
        base = Base(
            trusted_root=None,
            name=plan.variant(variant).base,
            digest=layout.index(),
            layout=layout.root,
            # Who signed it is another stage's.
            source=Repository("localhost/none"),
            signer=Identity(san="", issuer=""),
        )
        proven = {cell: folder.read("prove", str(cell), ev.Proven) for cell in plan.cells_of(variant)}
        for cell in proven:
            # A release has read the base before, to prove the binaries on it.
            Rootfs.from_layout(layout, layout.platforms(base.digest)[cell.platform])
        begin = time.monotonic()
        inspect(variant, plan, proven, Layout(folder.images / variant), base, {})
        seconds[variant] = time.monotonic() - begin
    return seconds


def compare_engine(plan: Plan, folder: RunFolder, engine: Engine) -> dict[str, float]:
    """Compare what the engine shows and unpacks for each cell; return the seconds, without pull and start."""
    return {str(cell): _compare_cell(plan, folder, engine, cell) for cell in plan.cells}


def _compare_cell(plan: Plan, folder: RunFolder, engine: Engine, cell: Cell) -> float:
    layout = Layout(folder.images / cell.variant)
    ours = (layout, Digest(layout.platforms(layout.index())[cell.platform]))
    looks, name = Looks("smoke", str(cell)), f"sealift-bench-{secrets.token_hex(4)}"
    with linked(layout.root) as link:
        platform = f"--platform={cell.platform}"
        image = engine.call("pull", "--quiet", platform, f"oci:{link}").stdout.split()[-1]
    engine.call("create", f"--name={name}", platform, *engine.run_options, image)
    begin = time.monotonic()
    look_settings(looks, plan, cell.platform, engine, image, ours)
    look_files(looks, engine, name, ours)
    seconds = time.monotonic() - begin
    run(engine.removal(name))
    looks.done(means="the engine reads the image differently", next_step="nox -s smoke")
    return seconds


def main() -> int:
    """Measure one release's images; podman takes them out of a folder, without a registry."""
    debian.ensure(["podman"])
    root, bases = map(Path, sys.argv[1:])
    folder = RunFolder(root)
    plan = from_json((root / "plan.json").read_bytes(), Plan, source="plan.json")
    with tempfile.TemporaryDirectory(prefix="bench-") as store:
        try:
            engine = find(Path(store) / "locks", store=Path(store))
            costs = Costs(
                image=compare_images(plan, folder, bases), engine=compare_engine(plan, folder, engine)
            )
        finally:
            run([*(root_prefix() or ()), "rm", "-rf", "--one-file-system", Path(store) / "storage"])
    sys.stdout.write(msgspec.json.encode(costs).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
