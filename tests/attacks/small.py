"""A small release that has come to its end: a whole run folder, and registry and GitHub in memory."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sealift.clients import Clients
from sealift.line import BUILD, STATIONS, Line
from sealift.model import evidence as ev
from sealift.model.codec import to_json
from sealift.model.names import Digest, Repository, RunPath
from sealift.model.plan import Cell
from sealift.model.run import RunFolder
from sealift.oci.documents import INDEX
from sealift.tools.layout import Layout
from tests.unit.stations import listed
from tests.unit.stations.resuming import FakeGitHub, FakeRegistry
from tests.unit.stations.things import COMMIT, OURS, Glass, Pen, digest_of, plan, world
from tests.unit.stations.whole import Nods, program

JSON = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Outside(Clients):
    """A registry, a signer, both verifiers and a GitHub in memory."""

    held: FakeRegistry
    hub: FakeGitHub

    @property
    def registry(self) -> FakeRegistry:
        return self.held

    @property
    def signer(self) -> Pen:  # type: ignore[override]
        return Pen()

    def verifier(self) -> Glass:
        return Glass()

    def cosign(self) -> Nods:
        return Nods(trusted_root=None, identity=OURS, shelves=self.held)

    def github(self, *, public: bool = False) -> FakeGitHub:  # noqa: ARG002
        return self.hub


def small(folder: Path) -> Line:
    """Build a release of two variants on two platforms, with all evidence up to the gates before push."""
    hub = FakeGitHub(None, {})
    hub.commit = COMMIT
    nothing: Any = None
    line = Line(
        plan=plan(),
        run=RunFolder(folder / "run"),
        world=world(folder),
        source=folder,
        go=folder,
        cache=folder,
        engine=nothing,
        guard=nothing,
        exceptions=(),
        programs={},
        again="sealift release",
    )
    line.run.write_plan(line.plan)
    made = {v: build(line, v) for v in line.plan.config.variants}
    stock = {
        Digest(f"sha256:{path.name}"): path.read_bytes() for path in line.run.images.glob("*/blobs/sha256/*")
    }
    registry = FakeRegistry(stock=stock, stored={*stock})
    line.__dict__["clients"] = Outside(
        world=line.world, source=line.plan.config.source, held=registry, hub=hub
    )
    said = {node.name: of_node(line, made, node.station, node.subject) for node in line.nodes(BUILD)}
    for node in line.nodes(BUILD):
        needs = next(row.needs for row in line._rows() if row.name == node.name)
        line.run.write(node.station, node.subject, said[node.name], line.chain().check(node.name, needs))
    return line


def again(line: Line, root: Path | None = None, sealed: Digest | None = None) -> Line:
    """Give the release to another job: the folder, copied or not, and nothing of what was in memory."""
    run = RunFolder(root or line.run.root)
    if root is not None:
        shutil.copytree(line.run.root, root)
    other = replace(line, run=run, sealed=sealed)
    other.__dict__["clients"] = line.clients
    return other


def play(line: Line, *stations: str) -> None:
    """Run some stations to their end."""
    for station in stations:
        for node in line.nodes([station]):
            node.action()


def to_the_end(line: Line) -> None:
    """Run every station after the build."""
    play(line, *STATIONS[len(BUILD) :])


def build(line: Line, variant: str) -> ev.Built:
    """Write a variant's binaries and its layout."""
    root, platforms, children = line.run.images / variant / "blobs" / "sha256", {}, []
    root.mkdir(parents=True)
    for cell in line.plan.cells_of(variant):
        binary = program(cell)
        line.run.publish(line.run.binary(cell, line.plan.config.service), binary)
        parts, child = listed.blobs(cell.platform, binary, line.plan)
        for digest, data in parts.items():
            (root / digest.hex).write_bytes(data)
        children.append(child)
        platforms[str(cell.platform)] = ev.BuiltPlatform(
            digest=Digest(child["digest"]), binary_sha256=Digest.of(binary).hex, compressed_bytes=1
        )
    index = listed.index(children)
    (root / Digest.of(index).hex).write_bytes(index)
    top = listed.index([listed.descriptor(index, INDEX)])
    (root.parents[1] / "index.json").write_bytes(top)
    return ev.Built(
        layout=RunPath(f"images/{variant}"),
        digest=Digest.of(index),
        platforms=platforms,
        base_digest=line.world.bases[line.plan.variant(variant).base].digest,
        programs={"buildkitd@v1": digest_of("buildkitd")},
        gates=(ev.Gate(station="image", subject=variant, verdict="pass", detail="as planned"),),
    )


def of_node(  # noqa: PLR0911
    line: Line, made: dict[str, ev.Built], station: str, subject: str
) -> ev.Evidence:
    """Give what a station of the build says of its subject, and write the files that it vouches for."""
    gates = (ev.Gate(station=station, subject=subject, verdict="pass", detail="as it should be"),)
    if station == "base":
        return ev.BaseLooked(gates=gates, digest=line.world.bases[subject].digest)
    if station == "image":
        return made[subject]
    cell = next(c for c in line.plan.cells if str(c) == subject)
    built, binary = made[cell.variant].platforms[cell.platform], program(cell)
    image = listed.contents_of(built.digest, repository(line, cell))
    match station:
        case "compile":
            name = line.run.binary(cell, line.plan.config.service)
            return ev.Compiled(path=name, sha256=Digest.of(binary), go_version=listed.GO, command=())
        case "smoke":
            return ev.Smoked(
                gates=gates,
                digest=built.digest,
                runtime="",
                version_output="",
                start_seconds=1,
                stop_seconds=1,
            )
        case "scan":
            layout = Layout(line.run.root / made[cell.variant].layout)
            predicate = listed.scanned(image, listed.config_of(layout.read(built.digest)))
            files = publish(line, f"scan/{cell.slug}", {"json": {}, "vuln.json": predicate})
            return ev.Scanned(
                gates=gates,
                files=files,
                digest=built.digest,
                platform=cell.platform,
                report=files[0].path,
                predicate=files[1].path,
                database_updated="",
            )
        case "sbom":
            forms = {"spdx.json": "SPDX", "cdx.json": "CycloneDX"}
            lists = {name: listed.document(form, image) for name, form in forms.items()}
            files = publish(line, f"sbom/{cell.slug}", lists)
            return ev.Listed(
                gates=gates,
                files=files,
                digest=built.digest,
                spdx=files[0].path,
                cyclonedx=files[1].path,
                go_modules=2,
                debian_packages=1,
            )
        case _:
            return ev.Proven(
                gates=gates,
                sha256=Digest.of(binary),
                linkage="static",
                interpreter=None,
                libraries=(),
                go_version=listed.GO,
                modules=(str(listed.LIB),),
                main_module=listed.MAIN,
                revision=COMMIT,
                modified=False,
            )


def publish(line: Line, stem: str, files: dict[str, JSON]) -> tuple[ev.File, ...]:
    return tuple(line.run.publish(RunPath(f"{stem}.{name}"), to_json(data)) for name, data in files.items())


def repository(line: Line, cell: Cell) -> Repository:
    return line.world.repository(line.plan.variant(cell.variant).repository)


def rewrite(path: Path, **changed: object) -> None:
    """Change members of a JSON file; a file that others share is replaced, not written into."""
    said: JSON = json.loads(path.read_bytes())
    replace_file(path, json.dumps(said | changed).encode())


def replace_file(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)
