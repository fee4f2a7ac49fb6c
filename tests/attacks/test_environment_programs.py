"""The real scanners and registry clients, in an environment that would have them look elsewhere, or away."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sealift.errors import OutsideError
from sealift.line import Line
from sealift.model.names import Digest, Repository
from sealift.model.plan import Cell
from sealift.model.run import RunFolder
from sealift.model.statements import Identity, Subject
from sealift.process import run
from sealift.provision.everything import Provided
from sealift.rehearsal import advisories
from sealift.rehearsal.advisories import DebianAdvisory, Suite
from sealift.rehearsal.world import Stage
from sealift.stations.gate import GateRefusedError
from sealift.stations.scan import scan
from sealift.tools.cosign import Cosign
from sealift.tools.regctl import regctl
from tests.attacks.catalogue import Attack, Kind, each
from tests.attacks.forging import AMD64
from tests.tools.scripted import Reply, serving

pytestmark = pytest.mark.programs

WEAK = DebianAdvisory(
    cve="CVE-2099-0001",
    package="tzdata",
    severity="HIGH",
    summary="made up: every clock is wrong",
    sources=("https://example.test",),
    suites=(Suite(suite="debian12", fixed="9999a-1"),),
)
DIGEST = Digest(f"sha256:{'a' * 64}")
WHO = Identity(san="https://github.com/o/n/.github/workflows/release.yml@refs/tags/v1", issuer="https://i")


@dataclass(frozen=True, kw_only=True)
class Around:
    """What surrounds a program: variables, and files below the folder that is both home and current."""

    variables: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


def around(sample: str, stage: str, words: str, exit_code: int, artefact: Around) -> Attack[Around]:
    return Attack(
        kind=Kind.ENVIRONMENT,
        sample=sample,
        artefact=artefact,
        stage=stage,
        words=words,
        exit_code=exit_code,
    )


def hidden(sample: str, artefact: Around) -> Attack[Around]:
    return around(sample, "scan", "HIGH CVE-2099-0001 in tzdata", 3, artefact)


def enter(attack: Attack[Around], folder: Path, monkeypatch: pytest.MonkeyPatch, server: str = "") -> None:
    """Make the surroundings, and go there."""
    for name, text in attack.artefact.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.replace("SERVER", server))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    for name, value in attack.artefact.variables.items():
        monkeypatch.setenv(name, value.replace("HERE", str(folder)))


@each(
    hidden(
        "a severity, an ignore file and skipped files, by variables",
        Around(
            variables={
                "TRIVY_SEVERITY": "CRITICAL",
                "TRIVY_IGNOREFILE": "HERE/ignored",
                "TRIVY_SKIP_DIRS": "/var",
                "TRIVY_SKIP_FILES": "/var/lib/dpkg/status.d/tzdata",
                "TRIVY_IGNORE_UNFIXED": "true",
            },
            files={"ignored": "CVE-2099-0001\n"},
        ),
    ),
    hidden(
        "a trivy.yaml and a .trivyignore in the current folder",
        Around(
            files={
                "trivy.yaml": "severity: [CRITICAL]\nscan:\n  skip-dirs: [/var]\n",
                ".trivyignore": "CVE-2099-0001\n",
                ".trivyignore.yaml": "vulnerabilities:\n  - id: CVE-2099-0001\n",
            }
        ),
    ),
    hidden(
        "another package kind and another database, by variables",
        Around(variables={"TRIVY_PKG_TYPES": "library", "TRIVY_CACHE_DIR": "HERE", "TRIVY_VEX": "HERE/vex"}),
    ),
)
def test_no_surroundings_hide_a_finding(
    attack: Attack[Around],
    line: Line,
    stage: Stage,
    beside: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = advisories.load(stage.ci / "advisories.yaml")
    advisories.write_trivy_database(known.plus(WEAK), tmp_path / "trivy", datetime.now(UTC))
    world = replace(line.world, advisories=tmp_path / "trivy")
    (tmp_path / "around").mkdir()
    enter(attack, tmp_path / "around", monkeypatch)
    with pytest.raises(GateRefusedError) as refused:
        scan(Cell("static", AMD64), line.plan, line.built("static"), (), world=world, run=beside)
    attack.assert_blocked_by(refused.value)


@each(
    around(
        "keys of another instance in ~/.sigstore",
        "cosign",
        "cosign verify could not look at",
        4,
        Around(files={".sigstore/root/remote.json": '{"mirror": "http://SERVER"}'}),
    ),
    around(
        "keys of another instance in the current folder, by TUF_ROOT",
        "cosign",
        "cosign verify could not look at",
        4,
        Around(
            variables={"TUF_ROOT": "HERE/keys"},
            files={"keys/remote.json": '{"mirror": "http://SERVER"}'},
        ),
    ),
)
def test_no_surroundings_give_other_keys(
    attack: Attack[Around], provided: Provided, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "cosign" in provided.programs
    subject = Subject(repository=Repository("registry.invalid/a"), digest=DIGEST)
    with serving(lambda _: Reply(status=404)) as server:
        enter(attack, tmp_path, monkeypatch, server.host)
        with pytest.raises(OutsideError) as away:
            Cosign(trusted_root=None, identity=WHO, timeout=60).verify(subject)
        assert not server.asked
    # What cosign says of an instance that is named there, and whose keys it lacks.
    assert "cached root" not in str(away.value)
    attack.assert_blocked_by(away.value)


PLAIN = {"tls": "disabled"}
MIRROR = json.dumps(
    {
        "hosts": {
            "HOST": {**PLAIN, "hostname": "HOST", "mirrors": ["SERVER"], "priority": 9},
            "SERVER": {**PLAIN, "hostname": "SERVER"},
        }
    }
)


@each(
    around(
        "a registry's mirror in ~/.regctl",
        "regctl",
        "404",
        1,
        Around(files={".regctl/config.json": MIRROR}),
    ),
    around(
        "a registry's mirror, by REGCTL_CONFIG",
        "regctl",
        "404",
        1,
        Around(variables={"REGCTL_CONFIG": "HERE/c.json"}, files={"c.json": MIRROR}),
    ),
)
def test_no_surroundings_lead_to_another_registry(
    attack: Attack[Around], provided: Provided, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "regctl" in provided.programs
    with serving(lambda _: Reply(status=404)) as meant, serving(lambda _: Reply(status=404)) as evil:
        files = {k: v.replace("HOST", meant.host) for k, v in attack.artefact.files.items()}
        told = replace(attack, artefact=replace(attack.artefact, files=files))
        enter(told, tmp_path, monkeypatch, evil.host)
        done = regctl("manifest", "head", f"{meant.host}/a:1", plain_http=[meant.host])
        assert meant.asked
        assert not evil.asked
        read = {"HOME": str(tmp_path), "PATH": str(provided.folder), **attack.artefact.variables}
        read = {name: value.replace("HERE", str(tmp_path)) for name, value in read.items()}
        run(["regctl", "manifest", "head", f"{meant.host}/a:1"], env=read, check=False)
        assert evil.asked, "regctl by itself goes there"
    attack.assert_ended(done.returncode, done.stdout + done.stderr)
