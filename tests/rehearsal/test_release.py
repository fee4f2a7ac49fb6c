"""What a rehearsed release leaves behind."""

from __future__ import annotations

import hashlib
import json
import re
import urllib.request

import pytest

from sealift.line import STATIONS
from tests.conftest import ROOT
from tests.rehearsal.conftest import PROXIES
from tests.rehearsal.playing import Played

pytestmark = pytest.mark.programs


def test_the_report_tells_what_was_released(public: Played) -> None:
    report = public.report
    assert (report["version"], report["world"], report["outcome"]) == ("0.1.0", "rehearsal", "rehearsed")
    assert report["commit"] == public.desk.git("rev-parse", "HEAD").strip()
    assert set(report["images"]) == {"static", "base"}
    for image in report["images"].values():
        assert image["tags"] == ["0.1.0", "0.1", "0", "latest"]
        assert set(image["platforms"]) == {"linux/amd64", "linux/arm64"}
    assert {gate["verdict"] for gate in report["gates"]} == {"pass", "excused"}
    assert report["stand_ins"]


def test_what_ships_is_what_was_proven(public: Played) -> None:
    for variant, image in public.report["images"].items():
        for platform, built in image["platforms"].items():
            binary = public.desk.latest / "dist" / variant / platform / "health-caretaker"
            assert hashlib.sha256(binary.read_bytes()).hexdigest() == built["binary_sha256"]


def test_every_world_and_clone_makes_the_same_digests(everyone: dict[str, Played]) -> None:
    digests = [
        {v: (i["digest"], i["platforms"]) for v, i in one.report["images"].items()}
        for one in everyone.values()
    ]
    assert digests[0] == digests[1] == digests[2]


def test_a_proxy_that_is_closed_stops_nothing_on_this_machine(everyone: dict[str, Played]) -> None:
    assert set(PROXIES) < set(everyone)
    for name in PROXIES:
        assert everyone[name].report["outcome"] == "rehearsed"
        assert "proxy" not in everyone[name].said.stderr


def test_the_timeline_has_every_station(public: Played) -> None:
    rows = json.loads((public.desk.latest / "timeline.json").read_text(encoding="utf-8"))
    assert {row["station"] for row in rows} == set(STATIONS)
    assert len(rows) == 2 + 4 * 2 + 2 + 4 * 3 + 2 + 4
    for row in rows:
        assert 0 <= row["ready"] <= row["start"] <= row["end"]
    compiled = next(row for row in rows if row["station"] == "compile")
    assert {"go"} == {program["argv0"] for program in compiled["programs"]}
    assert max(program["max_rss_bytes"] for program in compiled["programs"]) > 1_000_000


def test_everything_is_signed_and_was_made_now(played: Played) -> None:
    signatures = played.report["signatures"]
    assert len(signatures) == 2 * 2 + 4 * 5
    assert all(entry["made"] for entry in signatures)


def test_github_holds_the_published_release_with_its_assets(public: Played) -> None:
    token = next(public.desk.folder.glob("build/rehearsal/*/github.token")).read_text(encoding="utf-8")
    asked = urllib.request.Request(  # noqa: S310 - loopback
        f"{public.env['SEALIFT_GITHUB']}/repos/sealift/sealift/releases/latest",
        headers={"Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310 - loopback
        release = json.load(answer)
    assert (release["tag_name"], release["draft"]) == ("v0.1.0", False)
    names = {asset["name"] for asset in release["assets"]}
    assert "SHA256SUMS" in names
    assert len(names) == 4 * 3 + 1


def test_no_secret_is_in_what_was_said_or_written(public: Played) -> None:
    world = next(public.desk.folder.glob("build/rehearsal/*/sigstore"))
    secrets = [
        (world / "keys" / "issuer.token").read_text(encoding="utf-8"),
        (world / "keys" / "email-issuer.token").read_text(encoding="utf-8"),
        (world.parent / "github.token").read_text(encoding="utf-8"),
    ]
    told = [public.said.stdout, public.said.stderr]
    told += [
        path.read_text(encoding="utf-8", errors="replace")
        for path in public.desk.latest.rglob("*")
        if path.is_file() and path.suffix in (".json", ".md")
    ]
    for secret in secrets:
        assert len(secret) > 20
        assert not any(secret in text for text in told)
    assert not any(re.search(r"eyJ[\w-]+\.eyJ[\w-]+\.", text) for text in told)


def test_env_prints_what_a_shell_can_take(public: Played) -> None:
    lines = public.desk.sealift("rehearse", "env").stdout.splitlines()
    assert all(line.startswith("export ") for line in lines)
    assert {line.split()[1].partition("=")[0] for line in lines} == {
        *("SEALIFT_REGISTRY", "SEALIFT_TRUSTED_ROOT", "SEALIFT_SIGNING_CONFIG", "SEALIFT_TRUST_CONFIG"),
        *("SEALIFT_IDENTITY", "SEALIFT_ISSUER", "SEALIFT_GITHUB", "GITHUB_ACTIONS", "PATH"),
        *("ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
    }


def test_doctor_knows_every_program(public: Played) -> None:
    rows = json.loads(public.desk.sealift("doctor", "--json").stdout)
    built = [row for row in rows if row["origin"] == "built here"]
    assert {row["state"] for row in built} == {"locked"}
    assert all(row["sha256"] and row["version"] for row in built)


@pytest.mark.parametrize(
    ("variant", "words"), [("static", "it would start."), ("base", "no such file or directory")]
)
def test_explain_takes_the_image_that_the_readme_names(public: Played, variant: str, words: str) -> None:
    binary = public.desk.latest / "dist" / variant / "linux" / "amd64" / "health-caretaker"
    (base,) = re.findall(r"sealift explain BINARY --base (\S+)`", (ROOT / "README.md").read_text("utf-8"))
    said = public.desk.sealift("explain", str(binary), f"--base={base}")
    assert said.status == (0 if variant == "static" else 3), said.stderr
    assert words in said.stdout


def test_bases_are_locked_only_when_their_maker_signed_them(public: Played) -> None:
    (folder,) = public.desk.folder.glob("build/rehearsal/*/sigstore")
    port = json.loads((folder / "ports.json").read_text(encoding="utf-8"))["email_issuer"]
    maker = "keyless@distroless.iam.gserviceaccount.com"
    update = (
        *("bases", "update", f"--upstream={public.env['SEALIFT_REGISTRY']}/distroless"),
        *(f"--trusted-root={public.env['SEALIFT_TRUSTED_ROOT']}", f"--issuer=http://localhost:{port}"),
    )
    lock = public.desk.folder / "ci" / "bases.lock.yaml"
    empty = lock.read_bytes()
    assert public.desk.sealift(*update, "--identity=somebody@example.test").status == 3
    assert lock.read_bytes() == empty
    said = public.desk.sealift(*update, f"--identity={maker}")
    assert said.status == 0, said.stderr
    digests = set(re.findall(r"sha256:[0-9a-f]{64}", lock.read_text(encoding="utf-8")))
    assert digests == set(re.findall(r"sha256:[0-9a-f]{64}", " ".join(public.report["stand_ins"])))
    lock.write_bytes(empty)
