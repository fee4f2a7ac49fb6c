"""What a release is measured beside: a careful shell script, and GoReleaser, at the very same services."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.speed.desk import Argv, Desk, timed
from benchmarks.speed.machine import RESULTS, ROOT
from sealift.process import resolve
from sealift.provision.cache import cache_folder
from sealift.provision.programs import provide
from sealift.rehearsal.sigstore import EMAIL
from sealift.rehearsal.sigstore_trust import url
from sealift.tools.layout import Layout

HERE = ROOT / "benchmarks"
# Not what the line releases: a version is one release for ever, in the world's GitHub as well.
SCRIPT_VERSION, GORELEASER_VERSION = "7.0.0", "8.0.0"


class Stage(msgspec.Struct, frozen=True):
    """One line that release.sh prints."""

    stage: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Scripted:
    """One run of release.sh: the seconds of each of its stages."""

    stages: Mapping[str, float]

    @property
    def seconds(self) -> float:
        """Everything but its clone, which the line's own seconds leave out as well."""
        return sum(s for name, s in self.stages.items() if name != "clone")


def script(desk: Desk, world: Path, env: Mapping[str, str]) -> Scripted:
    """Run release.sh against a world whose services are up."""
    work = _fresh("script")
    told = {
        "SOURCE": str(desk.folder),
        "COMMIT": desk.git("rev-parse", "HEAD").strip(),
        "VERSION": SCRIPT_VERSION,
        "WORK": str(work),
    }
    ran = timed([HERE / "release.sh"], cwd=work, env=outside(world, env, "script/") | told, log="script")
    stages = [msgspec.json.decode(line, type=Stage) for line in ran.stdout.splitlines()]
    return Scripted(stages={s.stage: s.seconds for s in stages})


def goreleaser(program: Path, world: Path, env: Mapping[str, str]) -> float:
    """Run GoReleaser in a clone with a tag, against the same services; return its seconds."""
    desk = Desk.set_up("goreleaser")
    desk.git("tag", f"v{GORELEASER_VERSION}")
    told = outside(world, env, "goreleaser/")
    told |= {
        "BASE_STATIC": _base(world, "static"),
        "BASE_BASE": _base(world, "base"),
        "GOCACHE": f"{told['CACHE']}/go-build",
        "GOMODCACHE": f"{told['CACHE']}/go-mod",
        "ZIG_GLOBAL_CACHE_DIR": f"{told['CACHE']}/zig",
        "ZIG_LOCAL_CACHE_DIR": f"{told['CACHE']}/zig",
        "GOENV": "off",
        "GOFLAGS": "-mod=readonly",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    argv: Argv = [program, "release", "--clean", "--config", HERE / "goreleaser.yaml"]
    return timed(argv, cwd=desk.folder, env=told, log="goreleaser").seconds


def provide_goreleaser() -> Path:
    """Build GoReleaser from benchmarks/tools once: no release needs it, so it is not in ci/tools."""
    return provide(["goreleaser"], cache=cache_folder(), ci=HERE)["goreleaser"].path


def outside(world: Path, env: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Return the whole environment of somebody who releases by hand; ``prefix`` keeps repositories apart."""
    home = world / "home"
    docker = _docker_settings(env["PATH"])
    ports = msgspec.json.decode((world / "sigstore" / "ports.json").read_bytes(), type=dict[str, int])
    (builder,) = (p.name for p in (home / "buildx" / "instances").iterdir())
    return {
        **env,
        "HOME": str(home),
        "DOCKER_CONFIG": str(docker),
        "REGCTL_CONFIG": str(home / "regctl.json"),
        "BUILDX_CONFIG": str(home / "buildx"),
        "BUILDX_BUILDER": builder,
        "NO_PROXY": "localhost,127.0.0.1",
        "PREFIX": prefix,
        "BASES": str(world / "bases"),
        "BASE_REPOSITORY": f"{env['SEALIFT_REGISTRY']}/distroless",
        "BASE_IDENTITY": EMAIL,
        "BASE_ISSUER": url(ports["email_issuer"]),
        "ADVISORIES": str(world / "advisories" / "trivy"),
        "GO_ADVISORIES": str(world / "advisories" / "go"),
        "CACHE": str(cache_folder() / "compile"),
        "GITHUB_TOKEN": (world / "github.token").read_text("utf-8").strip(),
        "PYTHON": sys.executable,
    }


def _base(world: Path, kind: str) -> str:
    layout = world / "bases" / kind
    return f"{layout}@{Layout(layout).index()}"


def _docker_settings(path: str) -> Path:
    """Make settings without credentials, in which ``docker buildx`` is the buildx that the line uses."""
    docker = _fresh("docker")
    (docker / "config.json").write_text("{}", "utf-8")
    (docker / "cli-plugins").mkdir()
    (docker / "cli-plugins" / "docker-buildx").symlink_to(resolve("docker-buildx", {"PATH": path}))
    return docker


def _fresh(name: str) -> Path:
    folder = RESULTS / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
