"""The workflows keep the laws: every pin, every right and every step is looked at, and spoilt once."""

from __future__ import annotations

import collections
import itertools
import os
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nox.registry
import pytest
import yaml

from sealift import production
from sealift.line import AFTER_BUILD, STATIONS
from sealift.rehearsal import apt

JSON = dict[str, Any]

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
FILES = sorted([*GITHUB.glob("workflows/*.yml"), *GITHUB.glob("actions/*/action.yml")])
CI, RELEASE = GITHUB / "workflows" / "ci.yml", GITHUB / "workflows" / "release.yml"
SETUP = GITHUB / "actions" / "setup" / "action.yml"

READ = {"contents": "read"}
TRIGGERS = {"ci.yml": {"pull_request", "push"}, "release.yml": {"push"}}
# Who may do what: another line here is a decision.
RIGHTS: dict[str, dict[str, dict[str, str]]] = {
    "ci.yml": {
        **dict.fromkeys(("lint", "types", "unit", "tools", "service"), READ),
        **dict.fromkeys(("rehearsal", "attacks", "docker"), READ),
        "ci": {},
    },
    "release.yml": {
        "identity": READ | {"id-token": "write"},
        "build": READ,
        "push": READ | {"packages": "write"},
        "sign": READ | {"id-token": "write", "packages": "write"},
        "verify": READ | {"packages": "read"},
        "draft": {"contents": "write"},
        "promote": {"contents": "write", "packages": "write"},
        "report": READ,
    },
}
# What runs other people's code or reads other people's bytes: never beside a secret or a right to write.
BUILDS = {"base", "compile", "prove", "image", "smoke", "scan", "sbom"}

PINNED = re.compile(r"[\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
DOOR = re.compile(r"\.venv/bin/nox -s ([a-z]+)( -- --production)?")
SECRET = re.compile(r"\bsecrets\b|github\.token|docker/login-action")


def problems(file: str, text: str) -> list[str]:
    """Say what is wrong with a workflow or an action, by the name of its file."""
    content: JSON = yaml.safe_load(text)
    jobs: JSON = content["jobs"] if "jobs" in content else {"": content["runs"]}
    steps = [step for job in jobs.values() for step in _steps(job)]
    found = list(_unpinned(text, uses=sum("uses" in step for step in steps)))
    if "runs" in content:
        return found + [f"runs {s['run']}" for s in steps if s.get("run", "make venv") != "make venv"]
    # YAML 1.1 reads the word `on` as a truth value.
    if set(content[True]) != TRIGGERS[file]:  # type: ignore[index]
        found.append(f"starts on {', '.join(content[True])}")  # type: ignore[index]
    if content.get("permissions") != {}:
        found.append("grants rights to every job")
    if set(jobs) != set(RIGHTS[file]):
        found.append(f"has the jobs {', '.join(jobs)}")
    for name, job in jobs.items():
        found += [f"{name} {p}" for p in _wrong(job, RIGHTS[file].get(name, {}))]
    return found


def _wrong(job: JSON, rights: JSON) -> Iterator[str]:
    if job.get("permissions") != rights:
        yield f"has the rights {job.get('permissions')}"
    if "timeout-minutes" not in job or "latest" in job["runs-on"]:
        yield "has no end, or a runner that changes"
    if "continue-on-error" in str(job) or any("run" in s and "if" in s for s in _steps(job)):
        yield "may pass over a door"
    for step in _steps(job):
        if "run" in step and not DOOR.fullmatch(step["run"]):
            yield f"runs {step['run']}"
        if "checkout" in step.get("uses", "") and step["with"].get("persist-credentials") is not False:
            yield "leaves its credentials in the checkout"
    doors, granted = set(_doors(job)), job.get("permissions") or {}
    if doors & BUILDS and (granted != READ or SECRET.search(str(job))):
        yield "builds or scans beside a secret"
    if "id-token" in granted and doors not in ({"sign"}, {"identity"}):
        yield f"signs and does {', '.join(sorted(doors))}"
    if granted in ({}, READ) and SECRET.search(str(job)):
        yield "uses a token that it has no right for"


def _unpinned(text: str, *, uses: int) -> Iterator[str]:
    lines = re.findall(r"^\s*(?:- )?uses:\s*(.+?)\s*$", text, re.MULTILINE)
    if len(lines) != uses:
        yield "uses something on no line of its own"
    for used in lines:
        if not used.startswith("./.github/actions/") and not PINNED.fullmatch(used):
            yield f"uses {used}"


def _steps(job: JSON) -> list[JSON]:
    steps: list[JSON] = job["steps"]
    return steps


def _doors(job: JSON) -> list[str]:
    return [m[1] for s in _steps(job) if (m := DOOR.fullmatch(s.get("run", "")))]


def _load(path: Path) -> JSON:
    content: JSON = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def _jobs(path: Path) -> JSON:
    jobs: JSON = _load(path)["jobs"]
    return jobs


def _step(job: JSON, word: str) -> JSON:
    """Find the one step that uses an action."""
    (step,) = [s for s in _steps(job) if word in s.get("uses", "")]
    return step


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(GITHUB)))
def test_nothing_is_wrong_with_a_workflow(path: Path) -> None:
    assert problems(path.name, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("path", "old", "new", "problem"),
    [
        (CI, "@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1", "@v7", "uses actions/checkout@v7"),
        (CI, "      - name: Lint\n", "      - {uses: a/b@main}\n      - name: Lint\n", "no line of its own"),
        (CI, " # v7.0.1", "", "uses actions/checkout@3d3c"),
        (SETUP, "5fda3b95a4ea91299a34e894583c3862153e4b97", "main", "uses actions/setup-python@main"),
        (SETUP, "make venv", "pip install nox", "runs pip install nox"),
        (CI, "  pull_request:", "  pull_request_target:", "starts on pull_request_target"),
        (RELEASE, "on:\n", "on:\n  workflow_run:\n    workflows: [ci]\n", "starts on workflow_run"),
        (CI, "permissions: {}\n\nconcurrency", "permissions: read-all\n\nconcurrency", "rights to every job"),
        (CI, "      contents: read", "      contents: write", "lint has the rights"),
        (RELEASE, "    permissions:\n      contents: read # check out\n    steps", "    steps", "build has"),
        (RELEASE, "write # be", "write\n      actions: read # be", "sign has the rights .*actions"),
        (RELEASE, "nox -s identity -- --", "nox -s compile -- --", "identity signs and does compile"),
        (RELEASE, "write # ask", "write\n      pages: write # ask", "identity has the rights .*pages"),
        (CI, "persist-credentials: false", "persist-credentials: true", "lint leaves its credentials"),
        (CI, "          persist-credentials: false", "          clean: true", "lint leaves its credentials"),
        (CI, "nox -s lint", "nox -s ${{ github.head_ref }}", "lint runs .*head_ref"),
        (CI, "run: .venv/bin/nox -s unit", "run: .venv/bin/nox -s unit && echo ok", "unit runs"),
        (CI, "nox -s types", "nox -s types unit", "types runs"),
        (RELEASE, "nox -s sign -- --production", "nox -s image -- --production", "sign builds or scans"),
        (RELEASE, "nox -s sign -- --production", "nox -s push -- --production", "sign signs and does push"),
        (RELEASE, "BUILDX_BUILDER: sealift", "TOKEN: ${{ github.token }}", "build builds or scans beside"),
        (CI, "programs: lint", "programs: ${{ secrets.PROGRAMS }}", "lint uses a token"),
        (CI, "    timeout-minutes: 30\n", "", "lint has no end"),
        (CI, "runs-on: ubuntu-24.04", "runs-on: ubuntu-latest", "lint has no end, or a runner"),
        (RELEASE, "      - name: Scan\n", "      - name: Scan\n        if: false\n", "may pass over"),
        (
            RELEASE,
            "    needs: [build, sign]\n",
            "    needs: [build, sign]\n    continue-on-error: true\n",
            "may pass over",
        ),
        (RELEASE, "  report:\n    name: report", "  extra:\n    name: report", "has the jobs .*extra"),
    ],
)  # fmt: skip
def test_a_spoilt_workflow_is_noticed(path: Path, old: str, new: str, problem: str) -> None:
    text = path.read_text(encoding="utf-8")
    spoilt = text.replace(old, new, 1)
    assert spoilt != text
    assert re.search(problem, "\n".join(problems(path.name, spoilt)))


def test_an_action_is_the_same_commit_everywhere() -> None:
    used = collections.defaultdict(set)
    for path in FILES:
        for repository, pin in re.findall(r"uses: ([\w-]+/[\w-]+)\S*@(.+)", path.read_text()):
            used[repository].add(pin)
    assert {name: pins for name, pins in used.items() if len(pins) != 1} == {}


@pytest.fixture
def noxfile(monkeypatch: pytest.MonkeyPatch) -> JSON:
    """Run the noxfile; its sessions are then in nox' registry."""
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setattr(nox.registry, "_REGISTRY", collections.OrderedDict())
    return runpy.run_path(str(ROOT / "noxfile.py"))


def test_every_step_is_a_door_of_the_noxfile(noxfile: JSON) -> None:
    named = {door for path in (CI, RELEASE) for job in _jobs(path).values() for door in _doors(job)}
    assert noxfile
    assert named - set(nox.registry.get()) == set()


def test_what_make_test_runs_is_what_ci_runs(noxfile: JSON) -> None:
    assert sorted(door for job in _jobs(CI).values() for door in _doors(job)) == sorted(noxfile["TESTS"])


def test_every_job_that_assembles_bases_is_told_debians_mirror() -> None:
    told = {name for name, job in _jobs(CI).items() if apt.VARIABLE in job.get("env", {})}
    assert told == {"tools", "rehearsal", "attacks", "docker"}
    assert {str(_jobs(CI)[name]["env"]) for name in told} == {
        str({apt.VARIABLE: "${{ vars.DEBIAN_MIRROR }}"})
    }


def test_every_job_that_plans_has_the_tags_and_the_history() -> None:
    planning = {name: _jobs(CI)[name] for name in ("rehearsal", "attacks", "docker")} | _jobs(RELEASE)
    checkouts = {name: _step(job, "actions/checkout")["with"] for name, job in planning.items()}
    assert {name for name, told in checkouts.items() if told.get("fetch-depth") != 0} == set()


def test_the_release_is_the_whole_line_in_its_order() -> None:
    assert [door for job in _jobs(RELEASE).values() for door in _doors(job)] == [
        *("identity", "plan", *STATIONS, "report")
    ]
    runs = [s["run"] for job in _jobs(RELEASE).values() for s in _steps(job) if "run" in s]
    assert [run for run in runs if not run.endswith("-- --production")] == []
    assert "--production" not in CI.read_text()


def test_each_job_of_the_release_waits_for_the_one_whose_run_folder_it_takes() -> None:
    jobs = _jobs(RELEASE)
    first, *names = jobs
    for before, name in itertools.pairwise(names):
        told = jobs[name]["needs"]
        assert told in (before, ["build", before])
        assert _step(jobs[name], "actions/setup")["with"]["run-of"] == before
        assert "if" not in jobs[name]
        assert _step(jobs[before], "actions/hand-on")["uses"] == "./.github/actions/hand-on"
    assert (first, "needs" in jobs[first], jobs["build"]["needs"]) == ("identity", False, "identity")


def test_every_job_after_the_build_is_told_what_the_build_handed_on() -> None:
    jobs = _jobs(RELEASE)
    (last,) = [s for s in _steps(jobs["build"]) if "id" in s]
    assert last["run"].startswith(".venv/bin/nox -s sbom ")
    assert jobs["build"]["outputs"] == {"evidence": f"${{{{ steps.{last['id']}.outputs.evidence }}}}"}
    for name in AFTER_BUILD:
        assert "build" in jobs[name]["needs"]
        (step,) = [s for s in _steps(jobs[name]) if s.get("run", "").startswith(f".venv/bin/nox -s {name} ")]
        assert step["env"][production.EVIDENCE] == "${{ needs.build.outputs.evidence }}"


def test_the_last_gate_waits_for_every_job_and_fails_for_whatever_is_no_success() -> None:
    jobs = _jobs(CI)
    gate = jobs.pop("ci")
    (step,) = _steps(gate)
    assert set(gate["needs"]) == set(jobs)
    assert gate["if"] == "${{ always() }}"
    assert set(re.findall(r"contains\(needs\.\*\.result, '(\w+)'\)", step["if"])) == {
        "failure", "cancelled", "skipped",
    }  # fmt: skip
    assert "core.setFailed" in step["with"]["script"]


def test_signatures_will_carry_the_identity_that_is_verified() -> None:
    assert ROOT / production.WORKFLOW == RELEASE
    assert _load(RELEASE)["name"] == RELEASE.stem


def test_the_registry_that_is_logged_in_to_is_the_one_that_is_pushed_to() -> None:
    host = str(_load(ROOT / "ci" / "release.yaml")["registry"]).partition("/")[0]
    logins = [s for job in _jobs(RELEASE).values() for s in _steps(job) if "login" in s.get("uses", "")]
    assert [s["with"]["registry"] for s in logins] == [host] * 4


def test_the_go_of_the_workflows_is_one_whose_programs_are_locked() -> None:
    (go,) = [s["with"]["go-version"] for s in _steps(_load(SETUP)["runs"]) if "setup-go" in s.get("uses", "")]
    lock = _load(ROOT / "ci" / "tools.lock")
    assert {name for name, hashes in lock.items() if f"linux/amd64 go{go}" not in hashes} - {"go"} == set()


def test_production_builds_with_the_buildkit_that_rehearses() -> None:
    build = _jobs(RELEASE)["build"]
    builder = _step(build, "setup-buildx-action")["with"]
    locked = re.search(r"moby/buildkit (v\S+)", (ROOT / "ci/tools/buildkitd/go.mod").read_text())
    assert locked is not None
    assert re.search(rf"moby/buildkit:{locked[1]}@sha256:[0-9a-f]{{64}}$", builder["driver-opts"])
    assert re.search(r"@sha256:[0-9a-f]{64}$", _step(build, "setup-qemu-action")["with"]["image"])
    assert [s["env"]["BUILDX_BUILDER"] for s in _steps(build) if "env" in s] == [builder["name"]]


def test_every_pin_has_somebody_who_moves_it() -> None:
    updates = _load(GITHUB / "dependabot.yml")["updates"]
    watched = {
        (update["package-ecosystem"], place.strip("/"))
        for update in updates
        for pattern in update.get("directories", [update.get("directory")])
        for place in _places(pattern)
    }
    modules = [p.parent for where in ("ci/tools/*", "src/*") for p in ROOT.glob(f"{where}/go.mod")]
    assert {("gomod", str(m.relative_to(ROOT))) for m in modules} - watched == set()
    assert {("pip", "ci"), ("github-actions", ""), ("github-actions", ".github/actions/setup")} <= watched
    assert [u for u in updates if u["cooldown"]["default-days"] < 7] == []


def _places(pattern: str) -> list[str]:
    inside = pattern.strip("/")
    return [str(p.relative_to(ROOT)) for p in ROOT.glob(inside)] if inside else [""]
