"""How a version stands outside: one whole version in memory, and everything that can be wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from sealift.errors import OutsideError
from sealift.model.evidence import Drafted, Gate, Pushed
from sealift.model.names import Digest, Repository, Tag
from sealift.model.run import RunFolder
from sealift.model.statements import PredicateType, signature
from sealift.rehearsal.oci_writer import LayerTar
from sealift.stations.assets import CHECKSUMS, noted, notes
from sealift.stations.image import labels
from sealift.stations.repair import Place, repair
from sealift.stations.status import ACCEPTED, Remembered, judged
from sealift.stations.status_release import checksums
from sealift.stations.verify import Expected
from sealift.tools.github import Asset
from tests.unit.stations.things import COMMIT, built, bundle, digest_of, plan, world
from tests.unit.stations.whole import VARIANTS, Street, say, whole

OTHER = "d" * 40


@pytest.fixture
def street(tmp_path: Path) -> Street:
    return whole(tmp_path)


def test_a_whole_release_agrees_in_everything(street: Street) -> None:
    findings = street.look()
    assert street.wrong() == []
    counts = {what: sum(f.what == what for f in findings) for what in {f.what for f in findings}}
    assert counts == {
        "git tag": 1,
        "GitHub release": 1,
        "release page": 2,
        "asset": 4 * 3 + 1,
        "version tag": 2,
        "index": 2,
        "platform": 4,
        "signature": 2 + 4,
        "attestation": 2 + 4 * 4,
        "signer": 1,
        "moving tag": 2 * 3,
    }


def test_tags_that_the_plan_does_not_move_are_not_missed(street: Street) -> None:
    street.plan = msgspec.structs.replace(street.plan, moving_tags=(Tag("1.2"),))
    for reference in [r for r in street.shelves.tagged if r.endswith((":1", ":latest"))]:
        del street.shelves.tagged[reference]
    assert street.wrong() == []


Damage = Callable[[Street], object]


def no_release(street: Street) -> None:
    street.hub.release = None


def no_signature(street: Street) -> None:
    street.shelves.attached[str(street.platform())].pop(0)


def another_list(street: Street) -> None:
    attached = street.shelves.attached[str(street.platform())]
    (spdx,) = [b for b in attached if json.loads(b)["type"] == PredicateType.SPDX]
    attached.remove(spdx)
    say(street.shelves, Expected(subject=street.platform(), predicate_type=PredicateType.SPDX), {"is": "x"})


def moved_back(street: Street) -> None:
    street.shelves.tagged[street.tag("1.2.2")] = digest_of("older")
    street.shelves.tagged[street.tag("latest")] = digest_of("older")


def other_image(street: Street) -> None:
    street.shelves.tagged[street.tag("1.2.3")] = street.platform().digest


def a_newer_one(street: Street) -> None:
    street.shelves.tagged[street.tag("1.3.0")] = digest_of("newer")
    street.shelves.tagged[street.tag("1")] = digest_of("newer")


def strange_file(street: Street) -> None:
    assert street.hub.release is not None
    stray = Asset(id=99, name="stray.txt", size=1, uploaded=True)
    street.hub.put(assets=(*street.hub.release.assets, stray), draft=True)


BINARY = "health-caretaker-1.2.3-static-linux-amd64"
AGAIN, NEW = "sealift release", "release a new version: sealift release --version=1.2.4"
PUSH = "sealift push"


@pytest.mark.parametrize(
    ("damage", "what", "verdict", "got", "command"),
    [
        (lambda s: setattr(s.hub, "commit", OTHER), "git tag", "differs", OTHER, NEW),
        (lambda s: setattr(s.hub, "commit", None), "git tag", "missing", "nothing", AGAIN),
        (no_release, "GitHub release", "missing", "nothing", AGAIN),
        (lambda s: s.hub.put(draft=True), "GitHub release", "differs", "a draft", AGAIN),
        (lambda s: s.hub.put(prerelease=True), "GitHub release", "differs", "published as a pre", NEW),
        (lambda s: s.hub.put(body=""), "release page", "missing", "nothing", NEW),
        (lambda s: s.hub.drop(BINARY), "asset", "missing", "nothing", NEW),
        (lambda s: s.hub.files.update({BINARY: b"x"}), "asset", "differs", digest_of("x"), NEW),
        (strange_file, "other asset", "differs", "a file", "sealift rehearse reset"),
        (lambda s: s.shelves.tagged.pop(s.tag("1.2.3")), "version tag", "missing", "is withheld", AGAIN),
        (other_image, "version tag", "differs", "sha256:", NEW),
        (
            lambda s: s.shelves.bodies.pop(s.platform().digest),
            "platform",
            "missing",
            "nothing",
            "sealift push",
        ),
        (
            lambda s: s.shelves.blobs.clear(),
            "platform",
            "missing",
            "the manifest without blob",
            "sealift push",
        ),
        (no_signature, "signature", "missing", "by the sigstore library: missing", AGAIN),
        (another_list, "attestation", "differs", "its content is not the expected one", AGAIN),
        (moved_back, "moving tag", "differs", "1.2.2", "sealift promote"),
        (lambda s: s.shelves.tagged.pop(s.tag("1.2")), "moving tag", "missing", "nothing", "sealift promote"),
        (a_newer_one, "moving tag", "differs", "1.2.3", "sealift promote --version=1.3.0"),
    ],
)
def test_what_is_wrong_is_named_with_the_command(
    street: Street, damage: Damage, what: str, verdict: str, got: str, command: str
) -> None:
    if what == "version tag" and verdict == "differs":
        street.remember()
    damage(street)
    findings = street.look()
    (named, *_) = [f for f in findings if f.what == what and f.verdict != "agrees"]
    assert named.verdict == verdict
    assert got in named.got
    assert repair(findings, Place(world="rehearsal", version=street.plan.version))[1] == command


def test_foreign_tags_are_no_versions_that_moving_tags_should_name(street: Street) -> None:
    repository, index = street.index().repository, street.index().digest
    street.shelves.put_labelled(repository, "99.0.0", labels(plan("1.2.2")))
    street.shelves.put_labelled(repository, "1.99.0", {})
    for tag in ("20260801", "v3.0.0", "2026.08.01", "1.2.3-amd64"):
        street.shelves.tagged[street.tag(tag)] = index
    assert street.wrong() == []


def test_a_copy_of_the_release_under_a_greater_version_is_foreign(street: Street) -> None:
    repository = street.index().repository
    digest = street.shelves.put_labelled(repository, "99.0.0", labels(plan("1.2.3")))
    for tag in ("1.2.3", "1.2", "1", "latest"):
        street.shelves.tagged[street.tag(tag)] = digest
    moving = [f for f in street.look() if f.what == "moving tag"]
    assert {(f.verdict, f.got) for f in moving} == {("agrees", "1.2.3")}


def test_a_deleted_platform_is_one_finding_and_not_six(street: Street) -> None:
    del street.shelves.bodies[street.platform().digest]
    assert [(f.what, f.verdict) for f in street.wrong()] == [("platform", "missing")]


def test_a_stray_bundle_beside_a_missing_signature_is_told(street: Street) -> None:
    no_signature(street)
    street.shelves.attached[str(street.platform())].append(bundle(signature(street.platform()), by="them"))
    (named,) = street.wrong()
    assert (named.what, named.verdict) == ("signature", "differs")
    assert "by them" in named.got


def test_before_anything_is_there_nothing_else_is_looked_for(street: Street) -> None:
    street.hub.release = None
    street.shelves.tagged.clear()
    assert [(f.what, f.verdict) for f in street.wrong()] == [
        ("GitHub release", "missing"),
        *[("version tag", "missing"), *[("moving tag", "missing")] * 3] * 2,
    ]


def test_what_this_checkout_pushed_is_looked_at_while_the_tags_are_withheld(street: Street) -> None:
    street.remember()
    street.hub.release = None
    street.shelves.tagged.clear()
    no_signature(street)
    findings = street.look()
    assert sum(f.what in ("signature", "attestation") for f in findings) == 24
    tag = next(f for f in findings if f.what == "version tag")
    assert (tag.expected, tag.got) == (street.index().digest, "nothing: the tag is withheld")
    assert [f.what for f in findings if f.verdict == "missing" and f.what == "signature"] == ["signature"]


def test_an_outside_that_does_not_answer_is_not_one_that_has_nothing(street: Street) -> None:
    street.hub.broken = OutsideError("GitHub answered 503")
    street.shelves.broken.extend([OutsideError("the registry answered 500")])
    wrong = street.wrong()
    assert {f.verdict for f in wrong} == {"not checked"}
    assert {f.what for f in wrong} >= {"GitHub release"}
    assert [f for f in wrong if "500" in f.got]


def test_a_commit_that_nobody_here_knows_is_not_compared(street: Street) -> None:
    street.commit = None
    (named,) = street.wrong()
    assert (named.what, named.verdict, named.got) == ("git tag", "not checked", COMMIT)


def test_a_prerelease_has_no_moving_tags(street: Street) -> None:
    street.plan = plan("1.2.3-rc.1")
    street.hub.tag = "v1.2.3-rc.1"
    assert not [f for f in street.look() if f.what == "moving tag"]


@pytest.mark.parametrize("other", ["commit", "registry", "nothing"])
def test_a_run_of_something_else_is_not_remembered(tmp_path: Path, other: str) -> None:
    planned, outside, run = plan(), world(tmp_path), RunFolder(tmp_path / "run")
    if other != "nothing":
        run.write_plan(plan(commit=OTHER) if other == "commit" else planned)
        for variant in VARIANTS:
            name = planned.variant(variant).repository
            host = "localhost:1" if other == "registry" else "registry.example"
            pushed = Pushed(repository=Repository(f"{host}/{name}"), digest=digest_of(variant))
            run.write("push", variant, pushed)
        run.write("draft", "1.2.3", Drafted(release_id=7, assets={"a": digest_of("a")}))
    assert Remembered.read(run, planned, outside) == Remembered()


def test_what_this_checkout_put_there_is_remembered(tmp_path: Path) -> None:
    planned, outside, run = plan(), world(tmp_path), RunFolder(tmp_path / "run")
    run.write_plan(planned)
    for variant in VARIANTS:
        target = outside.repository(planned.variant(variant).repository)
        run.write("push", variant, Pushed(repository=target, digest=digest_of(variant)))
    run.write("draft", "1.2.3", Drafted(release_id=7, assets={"a": digest_of("a")}))
    remembered = Remembered.read(run, planned, outside)
    assert remembered.pushed == {variant: digest_of(variant) for variant in VARIANTS}
    assert remembered.uploaded(7) == {"a": digest_of("a")}
    assert remembered.uploaded(8) == {}


def test_files_that_were_changed_together_with_their_checksums_are_noticed(street: Street) -> None:
    street.remember()
    sums = street.hub.files[CHECKSUMS].decode()
    before, after = Digest.of(street.hub.files[BINARY]).hex, digest_of("x").hex
    street.hub.files.update({BINARY: b"x", CHECKSUMS: sums.replace(before, after).encode()})
    assert {f.subject for f in street.wrong()} == {BINARY, CHECKSUMS}


def test_a_binary_with_its_checksum_that_is_not_the_images_is_noticed_by_all(street: Street) -> None:
    sums = street.hub.files[CHECKSUMS].decode()
    true, other = Digest.of(street.hub.files[BINARY]), digest_of("x")
    street.hub.upload_again({BINARY: b"x", CHECKSUMS: sums.replace(true.hex, other.hex).encode()})
    (wrong,) = street.wrong()
    assert (wrong.what, wrong.subject, wrong.verdict) == ("asset", BINARY, "differs")
    assert (wrong.expected, wrong.got) == (true, other)
    # Nor does it help to have the folder of this checkout remember it.
    street.remember()
    assert street.wrong() == [wrong]


@pytest.mark.parametrize("form", ["spdx", "cdx"])
def test_a_signed_list_that_lacks_a_module_is_noticed_by_all(street: Street, form: str) -> None:
    name = f"{BINARY}.{form}.json"
    kind = PredicateType.SPDX if form == "spdx" else PredicateType.CYCLONEDX
    told = json.loads(street.hub.files[name])
    told["packages" if form == "spdx" else "components"].pop()
    sums = street.hub.files[CHECKSUMS].decode()
    before, after = (Digest.of(d).hex for d in (street.hub.files[name], json.dumps(told).encode()))
    changed = {name: json.dumps(told).encode(), CHECKSUMS: sums.replace(before, after).encode()}
    street.hub.upload_again(changed)
    attached = street.shelves.attached[str(street.platform())]
    attached[:] = [b for b in attached if json.loads(b)["type"] != kind]
    say(street.shelves, Expected(subject=street.platform(), predicate_type=kind), told)
    (wrong,) = street.wrong()
    assert (wrong.what, wrong.verdict) == ("attestation", "differs")
    assert "Go modules in the image and not listed" in wrong.got


def test_a_layer_with_other_bytes_is_no_reason_to_agree(street: Street) -> None:
    manifest = json.loads(street.shelves.bodies[street.platform().digest])
    digest = Digest(manifest["layers"][-1]["digest"])
    street.shelves.bodies[digest] = LayerTar().file("health-caretaker", b"x", 0o755).pack().blob
    (wrong,) = street.wrong()
    assert (wrong.what, wrong.verdict) == ("platform", "differs")
    assert "its configuration says" in wrong.got


def test_checksums_that_leave_a_file_out_differ(street: Street) -> None:
    lines = street.hub.files[CHECKSUMS].decode().splitlines(keepends=True)
    street.hub.files[CHECKSUMS] = "".join(line for line in lines if not line.endswith(f"{BINARY}\n")).encode()
    assert {(f.subject, f.verdict) for f in street.wrong()} == {
        (CHECKSUMS, "differs"),
        (BINARY, "not checked"),
    }


def test_only_lines_of_the_right_form_are_checksums() -> None:
    digest = digest_of("a")
    assert checksums(f"{digest.hex}  a\n{digest.hex} b\nnothing\n") == {"a": digest}


def test_a_page_gives_back_what_was_written_on_it(tmp_path: Path) -> None:
    page = notes(plan(), {v: built(v) for v in VARIANTS}, world(tmp_path))
    for variant in VARIANTS:
        assert noted(page, variant, plan(), world(tmp_path)) == built(variant).digest
        assert noted(page, variant, plan("1.2.4"), world(tmp_path)) is None


def test_a_statement_agrees_only_when_both_clients_say_so(street: Street) -> None:
    wanted = Expected(subject=street.index(), predicate_type=PredicateType.SIGNATURE)

    def gate(detail: str, verdict: str) -> Gate:
        return Gate(station="verify", subject=str(wanted.subject), verdict=verdict, detail=detail)  # type: ignore[arg-type]

    kind = str(wanted.predicate_type)
    library = gate(f"{kind} by the sigstore library: accepted", "pass")
    cosign = gate(f"{kind} by cosign: accepted", "pass")
    assert judged(wanted, [library, cosign]).got == ACCEPTED
    refused = judged(wanted, [library, gate(f"{kind} by cosign: no match", "refused")])
    assert (refused.verdict, refused.got) == ("differs", f"{kind} by cosign: no match")
    failed = judged(wanted, [gate(f"{kind}: the registry answered 500", "not-checked")])
    assert failed.verdict == "not checked"
    whole = judged(wanted, [gate("it has other bytes than its name says", "refused")])
    assert (whole.verdict, whole.got) == ("differs", "it has other bytes than its name says")
    assert judged(wanted, []).verdict == "not checked"
