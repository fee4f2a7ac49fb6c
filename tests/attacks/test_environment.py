"""A user's environment that would make another program, verdict or image of a release: none of it counts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from sealift.environment import PASS, without_effect
from sealift.errors import SealiftError
from sealift.model.names import Digest, Platform, Repository
from sealift.model.statements import Identity, Subject
from sealift.process import run
from sealift.provision import debian
from sealift.services.service import Service, TcpReady
from sealift.tools import buildx, cosign, docker_login, engine, go, govulncheck, regctl, trivy
from tests.attacks.catalogue import Attack, Kind, each
from tests.conftest import ROOT

pytestmark = pytest.mark.programs

AMD64 = Platform("linux/amd64")
SUBJECT = Subject(repository=Repository("registry.example/a"), digest=Digest(f"sha256:{'a' * 64}"))
# It writes down what it was given, and where; what it would do is no matter here.
RECORDER = """#!/bin/sh
env > "$(dirname "$0")/given"
pwd > "$(dirname "$0")/where"
"""
Start = Callable[[Path], object]


def _cosign(_: Path) -> None:
    who = Identity(
        san="https://github.com/o/n/.github/workflows/release.yml@refs/tags/v1", issuer="https://i"
    )
    cosign.Cosign(trusted_root=None, identity=who).verify(SUBJECT)


def _trivy(folder: Path) -> None:
    for name in ("trivy.db", "metadata.json"):
        (folder / "db").mkdir(exist_ok=True)
        (folder / "db" / name).touch()
    trivy.scan(str(SUBJECT), AMD64, cache_dir=folder)


def _govulncheck(folder: Path) -> None:
    (folder / "index").mkdir()
    (folder / "index" / "modules.json").touch()
    govulncheck.scan(folder / "binary", folder)


def _docker(folder: Path) -> None:
    engine._docker(folder).call("version")


def _podman(folder: Path) -> None:
    replace(engine._podman(folder, folder / "store"), command=("podman",)).call("version")


def _buildx(folder: Path) -> None:
    request = buildx.BuildRequest(
        builder="b", dockerfile=folder / "Dockerfile", context=folder, contexts={}, arguments={},
        platforms=[AMD64], labels={}, name="n", epoch=1, output=folder / "out",
    )  # fmt: skip
    buildx.build(request, env=os.environ)


def _helper(folder: Path) -> None:
    (folder / "config.json").write_text('{"credsStore": "recorder"}')
    docker_login.credentials("registry.example", {**os.environ, "DOCKER_CONFIG": str(folder)})


def _buildkitd(_: Path) -> None:
    service = Service(name="b", argv=("buildkitd",), ready=TcpReady(1), log=Path(os.devnull))
    run(service.argv, env=service.environment)


STARTS: Mapping[str, Start] = {
    "apt-get": lambda _: debian._apt((), ["x"]),
    "buildkitd": _buildkitd,
    "cosign": _cosign,
    "docker": _docker,
    "docker-buildx": _buildx,
    "docker-credential-recorder": _helper,
    "go": lambda folder: go.version(folder.parent / "bin" / "go"),
    "govulncheck": _govulncheck,
    "podman": _podman,
    "regctl": lambda _: regctl.regctl("version"),
    "trivy": _trivy,
}


@dataclass(frozen=True, kw_only=True)
class Set:
    """Variables that are set before a program is started; ``stays`` is our own value of one of them."""

    program: str
    variables: Mapping[str, str]
    stays: Mapping[str, str] = field(default_factory=dict)


def given(
    sample: str, program: str, *names: str, stays: Mapping[str, str] | None = None, **values: str
) -> Attack[Set]:
    return Attack(
        kind=Kind.ENVIRONMENT,
        sample=sample,
        artefact=Set(
            program=program,
            variables=dict.fromkeys(names, "/nonexistent/hostile") | values,
            stays=stays or {},
        ),
        stage="no program gets it",
        words="PATH=/",
        exit_code=0,
    )


@each(
    given("TRIVY_SEVERITY", "trivy", TRIVY_SEVERITY="UNKNOWN"),
    given("TRIVY_IGNOREFILE and TRIVY_CONFIG", "trivy", "TRIVY_IGNOREFILE", "TRIVY_CONFIG"),
    given("TRIVY_SKIP_FILES and TRIVY_SKIP_DIRS", "trivy", TRIVY_SKIP_FILES="/app", TRIVY_SKIP_DIRS="/"),
    given("TRIVY_DB_REPOSITORY and TRIVY_INSECURE", "trivy", "TRIVY_DB_REPOSITORY", TRIVY_INSECURE="true"),
    given("XDG_CONFIG_HOME for a scanner", "trivy", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"),
    given("GOVULNDB and GOFLAGS", "govulncheck", "GOVULNDB", "GOFLAGS"),
    given("COSIGN_REPOSITORY", "cosign", "COSIGN_REPOSITORY", "COSIGN_EXPERIMENTAL"),
    given(
        "SIGSTORE_ROOT_FILE and SIGSTORE_REKOR_PUBLIC_KEY",
        "cosign",
        "SIGSTORE_ROOT_FILE",
        "SIGSTORE_REKOR_PUBLIC_KEY",
    ),
    given("TUF_MIRROR and TUF_ROOT_JSON", "cosign", "TUF_MIRROR", "TUF_ROOT_JSON"),
    given("a token of the job, for cosign", "cosign", "GITHUB_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
    given("LD_PRELOAD", "docker", "LD_PRELOAD"),
    given("LD_AUDIT and LD_LIBRARY_PATH", "apt-get", "LD_AUDIT", "LD_LIBRARY_PATH"),
    given("GLIBC_TUNABLES", "podman", "GLIBC_TUNABLES"),
    given("GODEBUG and GOCOVERDIR", "regctl", "GODEBUG", "GOCOVERDIR"),
    given(
        "GOROOT, GOFLAGS and GOEXPERIMENT",
        "go",
        "GOFLAGS",
        "GOEXPERIMENT",
        "GOROOT",
        stays={"GOROOT": "", "GOEXPERIMENT": ""},
    ),
    given(
        "OTEL_EXPORTER_OTLP_ENDPOINT", "docker-buildx", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_EXPORTER"
    ),
    given(
        "OTEL_EXPORTER_OTLP_ENDPOINT for the daemon",
        "buildkitd",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "BUILDKIT_DEBUG",
    ),
    given("EXPERIMENTAL_BUILDKIT_SOURCE_POLICY", "docker-buildx", "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"),
    given("SOURCE_DATE_EPOCH", "docker-buildx", "SOURCE_DATE_EPOCH", stays={"SOURCE_DATE_EPOCH": "1"}),
    given(
        "BUILDX_METADATA_PROVENANCE and BUILDX_GIT_LABELS",
        "docker-buildx",
        "BUILDX_METADATA_PROVENANCE",
        "BUILDX_GIT_LABELS",
        stays={"BUILDX_GIT_LABELS": "false"},
    ),
    given("BUILDKIT_HOST and BUILDKIT_SYNTAX", "docker-buildx", "BUILDKIT_HOST", "BUILDKIT_SYNTAX"),
    given("DOCKER_DEFAULT_PLATFORM", "docker", DOCKER_DEFAULT_PLATFORM="linux/arm64"),
    given(
        "DOCKER_CLI_PLUGIN_EXTRA_DIRS and DOCKER_BUILDKIT",
        "docker",
        "DOCKER_CLI_PLUGIN_EXTRA_DIRS",
        "DOCKER_BUILDKIT",
    ),
    given(
        "CONTAINERS_CONF and CONTAINERS_CONF_OVERRIDE",
        "podman",
        "CONTAINERS_CONF",
        "CONTAINERS_CONF_OVERRIDE",
    ),
    given("CONTAINER_HOST, an engine elsewhere", "podman", "CONTAINER_HOST", "CONTAINER_CONNECTION"),
    given("a store with layers of its own", "podman", "CONTAINERS_STORAGE_CONF", "STORAGE_OPTS"),
    given("REGCTL_CONFIG with a mirror", "regctl", "REGCTL_CONFIG", stays={"REGCTL_CONFIG": os.devnull}),
    given("APT_CONFIG", "apt-get", "APT_CONFIG", "DEBCONF_DB_REPLACE"),
    given("PYTHONPATH for a credential helper", "docker-credential-recorder", "PYTHONPATH", "PYTHONSTARTUP"),
    given(
        "SEALIFT_PASS that names what changes a verdict",
        "cosign",
        "LD_PRELOAD",
        "COSIGN_REPOSITORY",
        "GITHUB_TOKEN",
        SEALIFT_PASS="LD_PRELOAD,COSIGN_*,GITHUB_*,SEALIFT_PASS",
    ),
)
def test_a_variable_reaches_no_program(
    attack: Attack[Set], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, folder, hostile = (
        tmp_path / "bin" / attack.artefact.program,
        tmp_path / "work",
        tmp_path / "here",
    )
    for made in (program.parent, folder, hostile):
        made.mkdir()
    program.write_text(RECORDER)
    program.chmod(0o755)
    # What lies about where the user is.
    (hostile / "trivy.yaml").write_text("severity: [UNKNOWN]\n")
    (hostile / ".trivyignore").write_text("CVE-2024-1\n")
    monkeypatch.chdir(hostile)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    for name, value in attack.artefact.variables.items():
        monkeypatch.setenv(name, value)
    with suppress(SealiftError, FileNotFoundError):
        STARTS[attack.artefact.program](folder)
    got = (program.parent / "given").read_text()
    seen = dict(line.partition("=")[::2] for line in got.splitlines())
    assert {k: seen[k] for k in attack.artefact.variables if k in seen and k != PASS} == attack.artefact.stays
    assert PASS not in seen
    if attack.artefact.program in ("cosign", "regctl", "trivy", "govulncheck"):
        assert (program.parent / "where").read_text().strip() != str(hostile)
    attack.assert_ended(0, got)


def test_a_variable_without_effect_is_named() -> None:
    told = {"TRIVY_SEVERITY": "UNKNOWN", "COSIGN_REPOSITORY": "x", "HOME": "/"}
    assert without_effect(told) == ("COSIGN_REPOSITORY", "TRIVY_SEVERITY")


@dataclass(frozen=True, kw_only=True)
class Begun:
    """How sealift itself is started: with which variables, files beside it, and words of Python."""

    variables: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    python: tuple[str, ...] = ("-m", "sealift")


PLANTED = "import pathlib; pathlib.Path('PLANTED').touch(); raise SystemExit('planted')\n"


def begun(sample: str, artefact: Begun, words: str = "debian", exit_code: int = 0) -> Attack[Begun]:
    return Attack(
        kind=Kind.ENVIRONMENT,
        sample=sample,
        artefact=artefact,
        stage="start",
        words=words,
        exit_code=exit_code,
    )


@each(
    begun(
        "a yaml.py and a msgspec.py in the repository",
        Begun(files={"yaml.py": PLANTED, "msgspec.py": PLANTED}),
    ),
    begun(
        "PYTHONPATH with a typer.py", Begun(variables={"PYTHONPATH": "lib"}, files={"lib/typer.py": PLANTED})
    ),
    begun("PYTHONWARNINGS=error", Begun(variables={"PYTHONWARNINGS": "error"})),
    begun(
        "PYTHONOPTIMIZE with a yaml.py",
        Begun(variables={"PYTHONOPTIMIZE": "2", "PYTHONPATH": "."}, files={"yaml.py": PLANTED}),
    ),
    begun(
        "PYTHONSTARTUP and PYTHONINSPECT",
        Begun(variables={"PYTHONSTARTUP": "a.py", "PYTHONINSPECT": "1"}, files={"a.py": PLANTED}),
    ),
    begun("python -O", Begun(python=("-O", "-m", "sealift"))),
    begun(
        "a git in the repository, found by PATH",
        Begun(variables={"PATH": ".:"}, files={"git": "#!/bin/sh\n: > PLANTED\n"}),
    ),
    begun(
        "TMPDIR that is missing",
        Begun(variables={"TMPDIR": "/nonexistent/tmp"}),
        "there is no such folder",
        2,
    ),
    begun(
        "TMPDIR relative to the repository", Begun(variables={"TMPDIR": "ci"}), "its own working folder", 2
    ),
    begun("TMPDIR that every user can change", Begun(variables={"TMPDIR": "OPEN"}), "sticky bit", 2),
)
def test_another_program_is_not_made_of_sealift(attack: Attack[Begun], tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / "ci").mkdir(parents=True)
    shutil.copyfile(ROOT / "ci" / "release.yaml", checkout / "ci" / "release.yaml")
    opened = tmp_path / "open"
    opened.mkdir()
    opened.chmod(0o777)
    subprocess.run(["git", "init", "--quiet", checkout], check=True)
    for name, text in attack.artefact.files.items():
        (checkout / name).parent.mkdir(exist_ok=True)
        (checkout / name).write_text(text)
        (checkout / name).chmod(0o755)
    env = dict(os.environ)
    for name, value in attack.artefact.variables.items():
        env[name] = f"{value}{env['PATH']}" if name == "PATH" else value.replace("OPEN", str(opened))
    argv = [sys.executable, *attack.artefact.python, "suite"]
    done = subprocess.run(
        argv, check=False, cwd=checkout, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert not (checkout / "PLANTED").exists()
    attack.assert_ended(done.returncode, done.stdout + done.stderr)


UMASK = """
import os
from sealift import __main__, cli
__main__._isolate = lambda: None
cli.app = lambda **_: print(oct(os.umask(0)))
__main__.main()
"""


@each(begun("a umask that lets every user write", Begun(), "0o22"))
def test_no_other_user_may_write_what_is_made(attack: Attack[Begun]) -> None:
    argv = ["sh", "-c", 'umask 000; exec "$0" "$@"', sys.executable, "-c", UMASK]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    attack.assert_ended(done.returncode, done.stdout + done.stderr)
