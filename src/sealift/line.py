"""The line: which station needs which, for which subject.

Each row binds one station to the files it reads and writes; what a station does is in its own file.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from sealift import process
from sealift.clients import Clients
from sealift.elf.rootfs import Rootfs
from sealift.errors import DefectError, RefusedError, SealiftError
from sealift.model import evidence as ev
from sealift.model.exceptions import Exception_
from sealift.model.names import Digest
from sealift.model.plan import Cell, Plan
from sealift.model.run import RunFolder
from sealift.model.statements import Statement
from sealift.model.world import World
from sealift.patience import Patience, persist
from sealift.schedule import Node
from sealift.services.supervised import Supervised
from sealift.stations import assets as gathering
from sealift.stations import contents
from sealift.stations import draft as drafting
from sealift.stations import promote as promoting
from sealift.stations import sign as signing
from sealift.stations import statements as saying
from sealift.stations import verify as verifying
from sealift.stations.base import base
from sealift.stations.chain import Chain
from sealift.stations.compile import compile_cell
from sealift.stations.gate import Looks
from sealift.stations.image import image
from sealift.stations.prove import prove
from sealift.stations.push import push
from sealift.stations.sbom import sbom
from sealift.stations.scan import scan
from sealift.stations.smoke import smoke
from sealift.tools.engine import Engine
from sealift.tools.layout import Layout

STATIONS = (
    *("base", "compile", "prove", "image", "smoke", "scan", "sbom"),
    *("push", "sign", "verify", "draft", "promote"),
)
BUILD, AFTER_BUILD = STATIONS[: STATIONS.index("push")], STATIONS[STATIONS.index("push") :]
# Law 1: what must have passed, for every platform of every variant, before anything leaves the machine.
GATES_BEFORE_PUSH: Mapping[str, type[ev.Smoked | ev.Scanned | ev.Listed]] = {
    "smoke": ev.Smoked,
    "scan": ev.Scanned,
    "sbom": ev.Listed,
}

# The programs of ci/tools that a station runs, and what a rehearsal's outside runs.
PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "base": ("olareg", "regctl", "cosign"),
    "prove": ("olareg", "regctl"),
    "image": ("olareg", "regctl", "docker-buildx"),
    "smoke": ("olareg",),
    "scan": ("olareg", "trivy", "govulncheck"),
    "sbom": ("olareg", "trivy"),
    "push": ("olareg", "regctl"),
    "verify": ("cosign",),
    "promote": ("cosign",),
}
REHEARSAL_PROGRAMS = (
    *("olareg", "buildkitd", "docker-buildx", "ctlog", "fulcio", "rekor1", "rekor-server", "tsa"),
    *("regctl", "cosign", "crane"),
)


def programs_of(stations: Collection[str], *, rehearsed: bool) -> frozenset[str]:
    """Return the programs that some stations need."""
    own = {program for station in stations for program in PROGRAMS.get(station, ())}
    return frozenset(own | set(REHEARSAL_PROGRAMS) if rehearsed else own)


@dataclass(kw_only=True)
class Line:
    """One release on its way: the plan, the outside, and the programs of this machine.

    ``again`` is the command that goes on where this run ends; ``guard`` outlives us, and clears away;
    ``outside`` waits until the world is there, which ``base`` needs first, and all after it. ``sealed`` is
    the hash of the evidence that the builder's job handed on, told where no job after it can write.
    """

    plan: Plan
    run: RunFolder
    world: World
    source: Path
    go: Path
    cache: Path
    engine: Callable[[], Engine]
    guard: Supervised
    exceptions: Sequence[Exception_]
    programs: Mapping[str, Digest]
    again: str
    outside: Callable[[], None] = field(default=lambda: None)
    sealed: Digest | None = None
    verified: verifying.Verified | None = field(default=None, init=False)
    state: drafting.DraftState | None = field(default=None, init=False)
    # What this run has added outside, also by tries that broke off later.
    _attached: set[Digest] = field(default_factory=set, init=False)
    _added: drafting.Added = field(default_factory=drafting.Added, init=False)
    _put: dict[str, None] = field(default_factory=dict, init=False)
    _failed: threading.Event = field(default_factory=threading.Event, init=False)
    _known: dict[Digest, contents.Held] = field(default_factory=dict, init=False)

    @functools.cached_property
    def clients(self) -> Clients:
        """Whoever speaks to the outside for this release."""
        return Clients(world=self.world, source=self.plan.config.source)

    def nodes(self, stations: Collection[str] = STATIONS) -> list[Node]:
        """Return the graph of the stations that are asked for; what others made is read from files."""
        self._failed.clear()
        rows = [row for row in self._rows() if row.station in stations]
        names = {row.name for row in rows}
        return [
            Node(
                station=row.station,
                subject=row.subject,
                needs=tuple(n for n in row.needs if n in names),
                action=row.action,
            )
            for row in rows
        ]

    def _rows(self) -> Iterator[Node]:
        plan, release = self.plan, str(self.plan.version)
        # Of nodes that could start, with as many standing on them, the first here starts first: the longest.
        for cell in plan.cells:
            yield self._node("compile", str(cell), (), functools.partial(self._compile, cell))
        for name in self._bases():
            yield self._node("base", name, (), functools.partial(self._base, name), first=self.outside)
        for cell in plan.cells:
            needs = (f"compile:{cell}", f"base:{plan.variant(cell.variant).base}")
            yield self._node("prove", str(cell), needs, functools.partial(self._prove, cell))
        for name in plan.config.variants:
            proofs = tuple(f"prove:{cell}" for cell in plan.cells_of(name))
            yield self._node("image", name, proofs, functools.partial(self._image, name))
        for station, look in (("smoke", self._smoke), ("sbom", self._sbom), ("scan", self._scan)):
            for cell in plan.cells:
                built = (f"image:{cell.variant}",)
                yield self._node(station, str(cell), built, functools.partial(look, cell))
        gates = tuple(f"{station}:{cell}" for station in GATES_BEFORE_PUSH for cell in plan.cells)
        for name in plan.config.variants:
            yield self._node("push", name, gates, functools.partial(self._push, name))
        pushed = tuple(f"push:{name}" for name in plan.config.variants)
        yield self._node("sign", release, pushed, self._sign)
        yield self._node("verify", release, (f"sign:{release}",), self._verify)
        # Nobody sees a draft, so it need not wait for the signatures.
        yield self._node("draft", release, pushed, self._draft)
        yield self._node("promote", release, (f"verify:{release}", f"draft:{release}"), self._promote)

    def _node(
        self,
        station: str,
        subject: str,
        needs: tuple[str, ...],
        work: Callable[[], ev.Evidence],
        *,
        first: Callable[[], None] = lambda: None,
    ) -> Node:
        """Bind a station's work to its place in the graph; what comes ``first`` is not tried again."""

        def action() -> None:
            try:
                first()
                sealed = self.sealed if station in AFTER_BUILD else None
                made_from = self.chain().check(f"{station}:{subject}", needs, sealed)
                # Every station asks the outside first: to run it again is to go on.
                done = persist(
                    work,
                    doing=f"{station} {subject}",
                    patience=Patience(seconds=self.world.patience_seconds),
                    next_step=self.again,
                    in_vain=self._failed.is_set,
                    pause=functools.partial(process.pause, in_vain=self._failed.is_set),
                )
                self.run.write(station, subject, done, made_from)
            except SealiftError as error:
                self._failed.set()
                # Only a gate that looked has refused; what failed on the way was not checked.
                verdict: ev.Outcome = "refused" if error.is_refusal else "not-checked"
                gates = getattr(error, "gates", None) or (
                    ev.Gate(station=station, subject=subject, verdict=verdict, detail=error.happened),
                )
                self.run.refuse(station, subject, gates)
                raise

        return Node(station=station, subject=subject, needs=needs, action=action)

    def chain(self) -> Chain:
        """Follow the evidence of the run folder as it is now."""
        unchecked = ("scan",) if self.plan.config.gates.not_checked == "allow" else ()
        needs = {row.name: row.needs for row in self._rows()}
        return Chain(run=self.run, needs=needs, may_not_check=unchecked)

    # What each station reads, from files, and gives.

    def _bases(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(v.base for v in self.plan.config.variants.values()))

    def _base(self, name: str) -> ev.BaseLooked:
        found = self.world.bases[name]
        return base(
            name,
            self.plan,
            found,
            self.exceptions,
            cosign=self.clients.cosign_of(found),
            registry=self.clients.registry,
        )

    def _compile(self, cell: Cell) -> ev.Compiled:
        return compile_cell(cell, self.plan, source=self.source, go=self.go, cache=self.cache, run=self.run)

    def _prove(self, cell: Cell) -> ev.Proven:
        compiled = self.run.read("compile", str(cell), ev.Compiled)
        below = self.world.bases[self.plan.variant(cell.variant).base]
        layout = Layout(below.layout)
        rootfs = Rootfs.from_layout(layout, layout.platforms(below.digest).of(cell.platform), below.name)
        return prove(cell, self.plan, compiled, rootfs, self.run, source=self.source)

    def _image(self, variant: str) -> ev.Built:
        return image(
            variant,
            self.plan,
            {c: self.run.read("prove", str(c), ev.Proven) for c in self.plan.cells_of(variant)},
            source=self.source,
            base=self.world.bases[self.plan.variant(variant).base],
            builder=self.world.builder,
            env=self.world.env,
            programs=self.programs,
            run=self.run,
        )

    def _smoke(self, cell: Cell) -> ev.Smoked:
        built = self.built(cell.variant)
        return smoke(
            cell,
            self.plan,
            built,
            layout=Layout(self.run.root / built.layout),
            layouts=self.world.layouts,
            base=self.world.bases[self.plan.variant(cell.variant).base],
            engine=self.engine(),
            guard=self.guard,
        )

    def _scan(self, cell: Cell) -> ev.Scanned:
        return scan(
            cell, self.plan, self.built(cell.variant), self.exceptions, world=self.world, run=self.run
        )

    def _sbom(self, cell: Cell) -> ev.Listed:
        proven = self.run.read("prove", str(cell), ev.Proven)
        listed = sbom(cell, self.plan, self.built(cell.variant), proven, world=self.world, run=self.run)
        # Sign and draft need it, which all wait for; smoke, beside us, takes longer.
        self._images(cell.variant).held_of(cell)
        return listed

    def _push(self, variant: str) -> ev.Pushed:
        below = {name: self.run.read("base", name, ev.BaseLooked).digest for name in self._bases()}
        gated = {
            (station, cell): self.run.read(station, str(cell), kind).digest
            for station, kind in GATES_BEFORE_PUSH.items()
            for cell in self.plan.cells
        }
        return push(
            variant,
            self.built(variant),
            {(s, c.platform): digest for (s, c), digest in gated.items() if c.variant == variant},
            base=below[self.plan.variant(variant).base],
            layout=self.world.layout_repository(variant),
            target=self.world.repository(self.plan.variant(variant).repository),
            registry=self.clients.registry,
        )

    def _sign(self) -> ev.SignedAll:
        looks, statements = Looks("sign", str(self.plan.version)), self.statements()
        self._images().check(looks, statements)
        signed = signing.sign(
            statements,
            registry=self.clients.registry,
            signer=self.clients.signer,
            verifier=self.clients.verifier(),
            made=self._attached,
        )
        return msgspec.structs.replace(signing.evidence(signed), gates=tuple(looks.gates))

    def _images(self, *variants: str) -> contents.Images:
        """Name images, or all, by what their builder said, to be read from the run folder's layouts."""
        built = {variant: self.built(variant) for variant in variants or self.plan.config.variants}
        blobs = {v: Layout(self.run.folder(b.layout, "sealift image")).read for v, b in built.items()}
        return contents.Images(plan=self.plan, world=self.world, built=built, blobs=blobs, known=self._known)

    def statements(self) -> tuple[Statement, ...]:
        """Say of every image what is to be signed of it."""
        plan = self.plan
        return saying.statements(
            plan,
            {v: self.built(v) for v in plan.config.variants},
            {c: self.run.read("scan", str(c), ev.Scanned) for c in plan.cells},
            self._lists(),
            world=self.world,
            run=self.run,
        )

    def _verify(self) -> ev.VerifiedAll:
        self.verified = self._look()
        return self.verified.evidence()

    def _look(self) -> verifying.Verified:
        """Verify in this process: a claim in a file is no proof."""
        recorded = self.run.read("sign", str(self.plan.version), ev.SignedAll)
        wanted, claims = verifying.signed_as(self.statements(), recorded)
        clients = self.clients
        return verifying.verify(
            wanted,
            registry=clients.registry,
            verifier=clients.verifier(),
            cosign=clients.cosign(),
            claims=claims,
        )

    def _draft(self) -> ev.Drafted:
        self.state = self._make_draft(Looks("draft", str(self.plan.version)))
        return ev.Drafted(
            gates=(
                ev.Gate(
                    station="draft",
                    subject=str(self.plan.version),
                    verdict="pass",
                    detail=f"{len(self.state.assets)} assets downloaded again and compared",
                ),
            ),
            release_id=self.state.release_id,
            assets=self.state.assets,
            uploaded=self.state.uploaded,
        )

    def _make_draft(self, looks: Looks) -> drafting.DraftState:
        images = {v: self.built(v) for v in self.plan.config.variants}
        files = gathering.assets(self.plan, self._lists(), self.run)
        self._check_assets(looks, {name: Digest.of_file(path) for name, path in files.items()})
        return drafting.draft(
            self.clients.github(),
            tag=self.plan.version.git_tag,
            commit=self.plan.commit,
            title=f"{self.plan.config.service} {self.plan.version}",
            notes=gathering.notes(self.plan, images, self.world),
            prerelease=self.plan.version.prerelease,
            assets=files,
            added=self._added,
        )

    def _check_assets(self, looks: Looks, assets: Mapping[str, Digest]) -> None:
        """Compare the release's files with the images, and with what is signed of them."""
        images, statements = self._images(), self.statements()
        images.check(looks, statements)
        lists = gathering.read_lists(self.plan, self._lists(), self.run)
        contents.check_assets(looks, self.plan, images.held(), assets, lists, statements)
        looks.done(means=contents.NOT_OF_THE_IMAGE, next_step=contents.RELEASE)

    def _lists(self) -> dict[Cell, ev.Listed]:
        return {c: self.run.read("sbom", str(c), ev.Listed) for c in self.plan.cells}

    def _promote(self) -> ev.Promoted:
        verified = self.verified or self._look()
        github = self.clients.github()
        images = {
            name: (self.world.repository(variant.repository), self.built(name).digest)
            for name, variant in self.plan.config.variants.items()
        }
        state = self.state

        def ready(looks: Looks) -> None:
            nonlocal state
            if state is None:
                state = self._make_draft(looks)
            else:
                drafting.look(github, state)
                self._check_assets(looks, state.assets)

        def publish() -> drafting.PublishedRelease:
            if state is None:
                raise DefectError("a release was published before its draft was looked at")
            return drafting.publish(github, state, self._added, latest=self.plan.config.github_latest)

        return promoting.promote(
            self.plan,
            verified,
            images,
            registry=self.clients.registry,
            ready=ready,
            publish=publish,
            done=self._put,
        )

    def built(self, variant: str) -> ev.Built:
        """Read which image was built of a variant."""
        found = self.run.read("image", variant, ev.Built)
        if missing := set(self.plan.config.platforms) - set(found.platforms):
            raise RefusedError(
                f"the evidence of {variant} tells of no image for {', '.join(sorted(missing))}",
                means="it is of another plan, or was changed",
                next_step="sealift image",
            )
        return found
