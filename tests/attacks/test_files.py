"""The run folder between jobs, in the hands of one who may write all of it."""

from __future__ import annotations

import functools
import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sealift.commands.station import hand_on
from sealift.errors import SealiftError
from sealift.line import AFTER_BUILD, STATIONS, Line
from sealift.model.names import Digest, Platform
from sealift.model.plan import Cell
from sealift.model.run import RunFolder
from sealift.model.statements import PredicateType
from sealift.model.status import Status
from sealift.oci.documents import INDEX
from sealift.rehearsal.oci_writer import LayerTar
from sealift.resume import LOOKING, remaining
from sealift.stations.assets import CHECKSUMS, names
from sealift.stations.plan import plan as make_plan
from sealift.stations.policy import CONFIG
from sealift.stations.verify import Expected
from tests.attacks.catalogue import Attack, Kind, each
from tests.attacks.small import again, play, replace_file, rewrite, small, to_the_end
from tests.conftest import ROOT
from tests.relinked import relink
from tests.tools.checkouts import Checkout
from tests.unit.stations import listed
from tests.unit.stations.things import plan
from tests.unit.stations.whole import Street, say, whole

JSON = dict[str, Any]
Damage = Callable[[Line], None]
CELL = Cell("static", Platform("linux/amd64"))
SECRET = b'{"auths": {"registry.example": {"auth": "c2VjcmV0"}}}'


def damage(
    sample: str, do: Damage, words: str, *, stage: str, code: int = 3, kind: Kind = Kind.FILES
) -> Attack[Damage]:
    return Attack(kind=kind, sample=sample, artefact=do, stage=stage, words=words, exit_code=code)


push, sign, draft, promote = (
    functools.partial(damage, stage=s) for s in ("push", "sign", "draft", "promote")
)


@pytest.fixture
def built(tmp_path: Path) -> Line:
    """Build a release up to push."""
    return small(tmp_path)


def blocked(line: Line, attack: Attack[Damage]) -> SealiftError:
    """Come to the stage, let the folder be changed, and give it to another job."""
    before = AFTER_BUILD[: AFTER_BUILD.index(attack.stage)]
    # A draft does not wait for signatures.
    play(line, *(before if attack.stage != "draft" else ("push",)))
    attack.artefact(line)
    with pytest.raises(SealiftError) as caught:
        play(again(line, sealed=line.sealed), attack.stage)
    return caught.value


def outside(line: Line) -> tuple[int, ...]:
    """Count what is outside: images, signatures, tags, files of the release."""
    held, release = line.clients.registry, line.clients.github().find_release("v1.2.3")
    return len(held.bodies), len(held.kinds), len(held.tagged), len(release.assets) if release else 0  # type: ignore[attr-defined]


def test_what_nobody_changed_comes_to_its_end_in_one_job_and_in_many(built: Line, tmp_path: Path) -> None:
    sealed = built.chain().seal()
    for number, station in enumerate(AFTER_BUILD):
        job = again(built, tmp_path / str(number), sealed)
        play(job, station)
        built = job
    to_the_end(again(built, sealed=sealed))


def test_a_station_that_ran_again_has_the_whole_release_run_again(built: Line) -> None:
    """A scan may look again at what is out; the evidence after it was not made from that."""
    to_the_end(built)
    assert remaining(again(built)) == LOOKING
    rewrite(evidence(built, "scan"), database_updated="later")
    assert remaining(again(built)) == STATIONS


def test_build_may_be_a_link_to_a_larger_disk(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "build").symlink_to(tmp_path / "disk")
    run = RunFolder.open(tmp_path, plan())
    assert RunFolder.open(tmp_path, plan()).read_plan() == plan()
    assert RunFolder(tmp_path / "build" / "release" / "latest").read_plan() == plan()
    assert (tmp_path / "disk" / "release" / "1.2.3" / "plan.json").samefile(run.plan_file)


# Evidence that was changed, and nothing else.


def evidence(line: Line, station: str, subject: str = str(CELL)) -> Path:
    return line.run.evidence_file(station, subject)


def verdict(word: str, station: str = "smoke") -> Damage:
    def do(line: Line) -> None:
        path = evidence(line, station)
        gates: list[JSON] = json.loads(path.read_bytes())["gates"]
        rewrite(path, gates=[gate | {"verdict": word} for gate in gates])
        relink(line)

    return do


def change(station: str, subject: str = str(CELL), *, fits: bool = False, **members: object) -> Damage:
    """Change members of one piece of evidence; with ``fits`` all hashes are made to fit it."""

    def do(line: Line) -> None:
        rewrite(evidence(line, station, subject), **members)
        if fits:
            relink(line)

    return do


def refuse_beside(line: Line) -> None:
    path = evidence(line, "scan")
    shutil.copy(path, path.with_suffix(".refused.json"))


def tell_of_another_gate(line: Line) -> None:
    gates: list[JSON] = json.loads(evidence(line, "smoke").read_bytes())["gates"]
    rewrite(evidence(line, "smoke"), gates=[gate | {"station": "scan"} for gate in gates])
    relink(line)


def another_plan(line: Line) -> None:
    rewrite(line.run.plan_file, commit="d" * 40)


def another_runs(station: str) -> Damage:
    """Put the evidence of another version's run, which fits that run, in the place of this one's."""

    def do(line: Line) -> None:
        path = evidence(line, station)
        true = json.loads(path.read_bytes())
        other = Digest.of(b"the plan of 1.2.2")
        rewrite(path, made_from=[{**f, "sha256": other} for f in true["made_from"]])

    return do


def lose(station: str, subject: str = str(CELL)) -> Damage:
    return lambda line: evidence(line, station, subject).unlink()


ZERO = f"sha256:{'0' * 64}"
LINK_WORDS = "was made from"


@each(
    push(
        "evidence of a refusal",
        verdict("refused"),
        "smoke/static-linux-amd64.json says refused",
    ),
    push(
        "evidence of a gate that could not look",
        verdict("not-checked"),
        "says not-checked",
    ),
    push("a scan that could not look", verdict("not-checked", "scan"), "says not-checked"),
    push(
        "evidence of a gate that looked at nothing",
        change("smoke", fits=True, gates=[]),
        "says of nothing that it was looked at",
    ),
    push("evidence of another gate", tell_of_another_gate, "tells of scan"),
    push("a refusal beside evidence", refuse_beside, "lies beside a refusal"),
    push("evidence with another digest", change("image", "static", digest=ZERO), LINK_WORDS),
    push("evidence of a binary with another hash", change("prove", sha256=ZERO), LINK_WORDS),
    push(
        "evidence that names nothing it was made from", change("sbom", made_from=[]), LINK_WORDS, stage="push"
    ),
    push("evidence of another version", another_runs("scan"), "was made from plan.json"),
    push("a plan of another commit", another_plan, "was made from plan.json"),
    push(
        "evidence with a path that climbs",
        change("image", "static", fits=True, layout="../../images/static"),
        "'../../images/static' is not a path below the run folder",
        code=2,
    ),
    *(
        damage(f"no evidence of {station}", lose(station, subject), "is not there", stage="push", code=2)
        for station, subject in (
            *(("base", "static"), ("compile", str(CELL)), ("prove", str(CELL)), ("image", "static")),
            *(("smoke", str(CELL)), ("scan", str(CELL)), ("sbom", str(CELL))),
        )
    ),
)
def test_nothing_leaves_on_evidence_that_was_changed(built: Line, attack: Attack[Damage]) -> None:
    attack.assert_blocked_by(blocked(built, attack))
    assert outside(built) == (0, 0, 0, 0)


# Files that evidence vouches for, and evidence that was made to fit them.


def listing(line: Line, form: str = "spdx") -> Path:
    return line.run.root / "sbom" / f"{CELL.slug}.{form}.json"


def swap_list(line: Line, form: str = "spdx") -> None:
    other = Cell(CELL.variant, Platform("linux/arm64"))
    replace_file(listing(line, form), (line.run.root / "sbom" / f"{other.slug}.{form}.json").read_bytes())


def fitting(do: Damage) -> Damage:
    """Have the evidence fit what was changed."""

    def both(line: Line) -> None:
        do(line)
        relink(line)

    return both


def lack_a_module(form: str) -> Damage:
    def do(line: Line) -> None:
        path = listing(line, form)
        members = "packages" if form == "spdx" else "components"
        rewrite(path, **{members: json.loads(path.read_bytes())[members][:-1]})

    return do


def list_more(form: str) -> Damage:
    def do(line: Line) -> None:
        path, url = listing(line, form), "pkg:npm/left-pad@1.0.0"
        members = "packages" if form == "spdx" else "components"
        reference = {"referenceType": "purl", "referenceLocator": url}
        more = {"name": "left-pad", "purl": url, "type": "library", "externalRefs": [reference]}
        rewrite(path, **{members: [*json.loads(path.read_bytes())[members], more]})

    return do


def put_a_secret(line: Line) -> None:
    replace_file(listing(line), SECRET)


def link_hard_to_a_secret(line: Line) -> None:
    secret = line.run.root.parent / "config.json"
    secret.write_bytes(SECRET)
    listing(line).unlink()
    listing(line).hardlink_to(secret)


def rescan(**changed: object) -> Damage:
    def do(line: Line) -> None:
        path = line.run.root / "scan" / f"{CELL.slug}.vuln.json"
        scanner = json.loads(path.read_bytes())["scanner"]
        rewrite(path, scanner=scanner | {"result": scanner["result"] | changed})

    return do


def swap_platforms(line: Line) -> None:
    path = evidence(line, "image", "static")
    amd64, arm64 = json.loads(path.read_bytes())["platforms"].values()
    rewrite(path, platforms={"linux/amd64": arm64, "linux/arm64": amd64})
    relink(line)


def take_the_other_variant(line: Line) -> None:
    """Have layout and evidence of one variant be the other's."""
    shutil.rmtree(line.run.images / "static")
    shutil.copytree(line.run.images / "base", line.run.images / "static")
    told = json.loads(evidence(line, "image", "base").read_bytes())
    rewrite(evidence(line, "image", "static"), digest=told["digest"], platforms=told["platforms"])
    relink(line)


def implant(line: Line) -> None:
    """Put another program into layout, dist and evidence together; only the lists are the old ones."""
    program = listed.program(b"an implant")
    parts, child = listed.blobs(CELL.platform, program, line.plan)
    path = evidence(line, "image", "static")
    told = json.loads(path.read_bytes())
    blobs = line.run.images / "static" / "blobs" / "sha256"
    for digest, data in parts.items():
        (blobs / digest.hex).write_bytes(data)
    before = json.loads((blobs / Digest(told["digest"]).hex).read_bytes())["manifests"]
    index = listed.index([child, *before[1:]])
    (blobs / Digest.of(index).hex).write_bytes(index)
    top = listed.index([listed.descriptor(index, INDEX)])
    replace_file(line.run.images / "static" / "index.json", top)
    of_cell = {"digest": child["digest"], "binary_sha256": Digest.of(program).hex, "compressed_bytes": 1}
    rewrite(path, digest=Digest.of(index), platforms=told["platforms"] | {CELL.platform: of_cell})
    replace_file(binary(line), program)
    relink(line)


def binary(line: Line) -> Path:
    return line.run.root / line.run.binary(CELL, line.plan.config.service)


def swap_binary(line: Line) -> None:
    replace_file(binary(line), b"another program")


def damage_a_blob(line: Line) -> None:
    (blob, *_) = sorted((line.run.images / "static" / "blobs" / "sha256").iterdir())
    replace_file(blob, b"{}")


IN_THE_IMAGE = "Go modules in the image and not listed: stdlib@v1.26.8"


@each(
    sign("an SPDX of another platform", swap_list, "vouches for"),
    sign("a CycloneDX of another platform", lambda r: swap_list(r, "cdx"), "vouches for"),
    sign("an SPDX of another platform, and its hash", fitting(swap_list), "it is of"),
    sign("an SPDX that lacks a module", fitting(lack_a_module("spdx")), IN_THE_IMAGE),
    sign("a CycloneDX that lacks a module", fitting(lack_a_module("cdx")), IN_THE_IMAGE),
    sign(
        "an SPDX with one package more",
        fitting(list_more("spdx")),
        "not in the image: left-pad",
    ),
    sign(
        "a CycloneDX with one package more",
        fitting(list_more("cdx")),
        "not in the image: left-pad",
    ),
    sign(
        "a scan of another image",
        fitting(rescan(ArtifactName="evil.example/image")),
        "scan: image: expected",
    ),
    sign(
        "a scan that looked at another image",
        fitting(rescan(Metadata={"ImageID": ZERO, "RepoDigests": ["evil.example/image"]})),
        "scan: digests: expected",
    ),
    sign(
        "a scan that looked at no package",
        fitting(rescan(Results=[])),
        "scan: Debian packages",
    ),
    sign(
        "a scan without its results",
        fitting(rescan(Results="none")),
        "not in the form of Trivy's",
    ),
    sign(
        "evidence of another base",
        change("image", "static", fits=True, base_digest=ZERO),
        "static: base: expected",
    ),
    sign("evidence with two platforms exchanged", swap_platforms, "platforms of the index"),
    sign("layout and evidence of the other variant", take_the_other_variant, "SPDX: it is of"),
    sign("layout, binary and evidence with an implant", implant, "SPDX: it is of"),
    sign("a blob with other bytes", damage_a_blob, "has other bytes"),
    draft("a binary swapped before the draft", swap_binary, f"{names(plan(), CELL)[0]}: expected"),
    draft("an SPDX swapped before the draft", fitting(swap_list), "it is of"),
    draft(
        "a CycloneDX that lacks a module before the draft",
        lack_a_module("cdx"),
        "vouches for",
    ),
    draft("an implant before the draft", implant, "SPDX: it is of"),
)
def test_nothing_is_signed_or_published_that_is_not_of_the_image(built: Line, attack: Attack[Damage]) -> None:
    attack.assert_blocked_by(blocked(built, attack))
    assert outside(built)[1:] == (0, 0, 0)


@each(
    sign("a docker login in an SBOM's place", fitting(put_a_secret), "no list that can be read"),
    sign(
        "a docker login under an SBOM's name, as a hard link",
        fitting(link_hard_to_a_secret),
        "no list that can be read",
    ),
    sign(
        "evidence that names a docker login by its absolute path",
        change("sbom", fits=True, spdx="/root/.docker/config.json"),
        "'/root/.docker/config.json' is not a path below the run folder",
        code=2,
    ),
    sign(
        "evidence that vouches for a file outside",
        change("sbom", files=[{"path": "../../../config.json", "sha256": ZERO}]),
        "'../../../config.json' is not a path below the run folder",
        code=2,
    ),
)
def test_no_secret_is_signed(built: Line, attack: Attack[Damage]) -> None:
    attack.assert_blocked_by(blocked(built, attack))
    assert outside(built)[1] == 0


@each(
    promote("a binary swapped after the draft", swap_binary, f"{names(plan(), CELL)[0]}: "),
    promote("an SPDX swapped, and not its hash", swap_list, "vouches for"),
    damage("an SPDX swapped after it was signed", fitting(swap_list), "not the expected one", stage="verify"),
)
def test_no_tag_moves_for_what_was_swapped_since(built: Line, attack: Attack[Damage]) -> None:
    attack.assert_blocked_by(blocked(built, attack))
    assert outside(built)[2] == 0


@each(
    promote("an SPDX swapped after it was verified", fitting(swap_list), "SPDX: it is of"),
    promote("a scan swapped after it was verified", fitting(rescan(Results=[])), "scan: Debian"),
    promote(
        "evidence that lost its platforms",
        fitting(change("image", "static", platforms={})),
        "tells of no image for linux/amd64",
    ),
)
def test_no_tag_moves_for_what_was_swapped_since_it_was_verified(built: Line, attack: Attack[Damage]) -> None:
    """Draft and verification are this job's own, and not the folder."""
    job = again(built)
    play(job, *AFTER_BUILD[:-1])
    attack.artefact(job)
    job.run._published.clear()
    with pytest.raises(SealiftError) as caught:
        play(job, "promote")
    attack.assert_blocked_by(caught.value)
    assert outside(built)[2] == 0


# All of it made to fit: what the job that built has told its successors past the folder.


@each(
    *(
        damage(
            f"an implant that all evidence fits, before {station}",
            implant,
            "the builder handed on",
            stage=station,
        )
        for station in AFTER_BUILD
    ),
    push("a refusal that became an exception", verdict("excused"), "the builder handed on"),
)
def test_evidence_is_what_the_builder_handed_on(built: Line, attack: Attack[Damage]) -> None:
    job = again(built, sealed=built.chain().seal())
    attack.assert_blocked_by(blocked(job, attack))


@each(
    sign(
        "a list that changes while a release runs",
        fitting(swap_list),
        "since this run wrote it",
    )
)
def test_what_this_run_wrote_is_what_it_reads(built: Line, attack: Attack[Damage]) -> None:
    play(built, "push")
    attack.artefact(built)
    with pytest.raises(SealiftError) as caught:
        play(built, "sign")
    attack.assert_blocked_by(caught.value)


# Links, and what is no file.


def link(name: str) -> Damage:
    """Move a file or a folder out of the run folder, and leave a link."""

    def do(line: Line) -> None:
        path, target = line.run.root / name, line.run.root.parent / "elsewhere" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            path.rename(target)
        else:
            target.mkdir()
        path.symlink_to(target)

    return do


def special(make: Callable[[Path], None], name: str = f"sbom/{CELL.slug}.spdx.json") -> Damage:
    def do(line: Line) -> None:
        (line.run.root / name).unlink()
        make(line.run.root / name)

    return do


def put_a_socket(path: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o600)


LINKS = {
    "plan.json": "push",
    "evidence": "push",
    "evidence/smoke": "push",
    f"evidence/smoke/{CELL.slug}.json": "push",
    "sbom": "sign",
    f"sbom/{CELL.slug}.spdx.json": "sign",
    f"scan/{CELL.slug}.vuln.json": "sign",
    "images": "sign",
    "images/static": "sign",
    "images/static/index.json": "sign",
    "images/static/blobs": "sign",
    "dist": "draft",
    f"dist/static/linux/amd64/{listed.SERVICE}": "draft",
    "assets": "draft",
    "evidence/draft": "draft",
}


@each(
    *(damage(f"{name} as a link", link(name), "is a link", stage=stage) for name, stage in LINKS.items()),
    sign("a FIFO in a list's place", special(os.mkfifo), "is a FIFO"),
    sign("a socket in a list's place", special(put_a_socket), "is a socket"),
    sign("a folder in a list's place", special(Path.mkdir), "is a folder"),
)
def test_no_link_is_followed(built: Line, tmp_path: Path, attack: Attack[Damage]) -> None:
    attack.assert_blocked_by(blocked(built, attack))
    written = [p for p in (tmp_path / "elsewhere").rglob("*") if p.name in (CHECKSUMS, "1.2.3.json")]
    assert written == [], "nothing is written through a link either"


def link_inside(run: Path) -> None:
    (run / "images" / "static").mkdir(parents=True)
    (run / "images" / "static" / "index.json").symlink_to("/etc/passwd")


def fifo_inside(run: Path) -> None:
    os.mkfifo(run / "report.json")


def link_itself(run: Path) -> None:
    run.rename(run.parents[2] / "elsewhere")
    run.symlink_to(run.parents[2] / "elsewhere")


@each(
    Attack(
        kind=Kind.FILES,
        sample="a link to a file of this machine",
        artefact=link_inside,
        stage="every",
        words="is a link",
    ),
    Attack(
        kind=Kind.FILES,
        sample="a FIFO in the run folder",
        artefact=fifo_inside,
        stage="every",
        words="is a FIFO",
    ),
    Attack(
        kind=Kind.FILES,
        sample="a run folder that is a link",
        artefact=link_itself,
        stage="every",
        words="is a link",
        exit_code=2,
    ),
)
def test_no_job_opens_such_a_folder(tmp_path: Path, attack: Attack[Callable[[Path], None]]) -> None:
    run = RunFolder.open(tmp_path, plan())
    attack.artefact(run.root)
    with pytest.raises(SealiftError) as caught:
        RunFolder.open(tmp_path, plan())
    attack.assert_blocked_by(caught.value)


def test_a_link_in_the_place_of_unfinished_work_is_removed_and_not_followed(tmp_path: Path) -> None:
    run = RunFolder.open(tmp_path, plan())
    (tmp_path / "elsewhere").mkdir()
    (kept := tmp_path / "elsewhere" / "kept").touch()
    run.work.symlink_to(tmp_path / "elsewhere")
    RunFolder.open(tmp_path, plan())
    assert kept.exists()
    assert not run.work.is_symlink()


# A file of the checkout that git was told not to look at.


@pytest.mark.programs
@each(
    *(
        Attack(
            kind=Kind.CONFIGURATION,
            sample=f"release.yaml on disk that git was told to pass over ({flag})",
            artefact=flag,
            stage="plan",
            words=f"the tree has changes: {CONFIG}",
            exit_code=2,
        )
        for flag in ("--assume-unchanged", "--skip-worktree")
    )
)
def test_a_release_is_planned_from_the_commit(tmp_path: Path, attack: Attack[str]) -> None:
    text = (ROOT / CONFIG).read_text(encoding="utf-8")
    checkout = Checkout.made(tmp_path / "checkout", {CONFIG: text})
    checkout.git("tag", "v1.2.3")
    checkout.git("update-index", attack.artefact, CONFIG)
    checkout.write({CONFIG: text.replace("service: ", "service: other-")})
    assert make_plan(checkout.folder).config.service == "health-caretaker"
    with pytest.raises(SealiftError) as caught:
        make_plan(checkout.folder, tagged=True)
    attack.assert_blocked_by(caught.value)


# What status finds outside, whatever the folder remembers.


def upload(street: Street, name: str, data: bytes) -> None:
    """Change a file of the release together with its checksum, and have this checkout remember both."""
    sums = street.hub.files[CHECKSUMS].decode()
    before, after = (Digest.of(d).hex for d in (street.hub.files[name], data))
    street.hub.upload_again({name: data, CHECKSUMS: sums.replace(before, after).encode()})
    street.remember()


def another_binary(street: Street) -> None:
    upload(street, names(street.plan, CELL)[0], b"another program")


def another_list(kind: PredicateType) -> Callable[[Street], None]:
    """Sign and upload a list of another platform, as one does who swapped it before sign."""

    def do(street: Street) -> None:
        number = 1 if kind is PredicateType.SPDX else 2
        other = Cell(CELL.variant, Platform("linux/arm64"))
        told = street.hub.files[names(street.plan, other)[number]]
        upload(street, names(street.plan, CELL)[number], told)
        attached = street.shelves.attached[str(street.platform())]
        attached[:] = [b for b in attached if json.loads(b)["type"] != kind]
        say(street.shelves, Expected(subject=street.platform(), predicate_type=kind), json.loads(told))

    return do


def another_layer(street: Street) -> None:
    """Have the registry hold another layer under the digest of the program's."""
    manifest = json.loads(street.shelves.bodies[street.platform().digest])
    packed = LayerTar().file(listed.SERVICE, b"another program", 0o755).pack()
    street.shelves.bodies[Digest(manifest["layers"][-1]["digest"])] = packed.blob


@each(
    *(
        Attack(kind=Kind.FILES, sample=sample, artefact=do, stage="status", words=words)
        for sample, do, words in (
            ("a binary and its checksum", another_binary, f"asset {names(plan(), CELL)[0]} differs"),
            ("an SPDX swapped before sign", another_list(PredicateType.SPDX), "attestation"),
            ("a CycloneDX swapped before sign", another_list(PredicateType.CYCLONEDX), "attestation"),
            ("a layer with another program", another_layer, "its configuration says"),
        )
    )
)
def test_status_looks_into_the_images(tmp_path: Path, attack: Attack[Callable[[Street], None]]) -> None:
    street = whole(tmp_path)
    attack.artefact(street)
    found = street.wrong()
    status = Status(
        version=street.plan.version, world="rehearsal", findings=tuple(found), means="", repair=""
    )
    words = "\n".join(f"{f.what} {f.subject} {f.verdict}: {f.got}" for f in found)
    assert len(found) == 1
    attack.assert_ended(status.exit_code, words)


def test_the_builder_hands_on_once_all_of_it_is_there(built: Line, tmp_path: Path) -> None:
    output = tmp_path / "output"
    path = evidence(built, "sbom")
    kept = path.read_bytes()
    path.unlink()
    hand_on(built, output)
    assert not output.exists()
    path.write_bytes(kept)
    hand_on(built, output)
    assert output.read_text() == f"evidence={built.chain().seal()}\n"
