"""Smoke: an engine that reads or unpacks an image in another way than we do. The engine is a fake here."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sealift.model.names import Digest
from sealift.process import Completed
from sealift.stations.gate import GateRefusedError, Looks
from sealift.stations.readings import look_files, look_settings
from sealift.tools.engine import OCI_SETTINGS, Engine
from sealift.tools.layout import Layout
from tests.attacks.catalogue import Attack, Kind, attacks, each
from tests.unit.stations.imaged import NAME, PROGRAM, planned, right_image
from tests.unit.stations.things import AMD64

JSON = dict[str, Any]
File = tuple[tarfile.TarInfo, bytes]
Files = dict[str, File]


@dataclass(frozen=True, kw_only=True)
class FakeEngine(Engine):
    """An engine that shows and exports what it is given."""

    name: str = "docker"
    command: tuple[str, ...] = ("docker",)
    locks: Path = Path()
    shown: JSON = field(default_factory=dict)
    files: Files = field(default_factory=dict)

    def call(self, *words: str, check: bool = True, timeout: float = 120) -> Completed:
        assert check
        assert timeout
        if words[0] == "export":
            with tarfile.open(words[1].partition("=")[2], "w") as out:
                for info, data in self.files.values():
                    out.addfile(info, io.BytesIO(data))
        return Completed(
            argv=words, returncode=0, stdout=msgspec.json.encode([self.shown]).decode(), stderr=""
        )


@pytest.fixture
def ours(tmp_path: Path) -> tuple[Layout, Digest]:
    layout = Layout(tmp_path)
    right_image().write(tmp_path)
    return layout, layout.platforms(layout.index())[AMD64]


def shown(ours: tuple[Layout, Digest]) -> JSON:
    """Return what docker shows of the right image."""
    config = ours[0].config(ours[1])
    empty: JSON = {"Hostname": "", "Tty": False, "Volumes": None, "OnBuild": None, "Cmd": None}
    return {
        "Id": "sha256:0",
        "Os": config["os"],
        "Architecture": config["architecture"],
        "Variant": "",
        "Config": empty | config["config"],
        "RootFS": {"Type": "layers", "Layers": config["rootfs"]["diff_ids"]},
    }


def as_podman(found: JSON) -> JSON:
    """Return what podman shows of the same."""
    settings = {key: value for key, value in found["Config"].items() if key in OCI_SETTINGS}
    return {key: value for key, value in found.items() if key != "Variant"} | {"Config": settings}


def judge(engine: FakeEngine, ours: tuple[Layout, Digest]) -> Looks:
    looks = Looks("smoke", "static/linux/amd64")
    look_settings(looks, planned(), AMD64, engine, "image", ours)
    looks.done(means="", next_step="")
    return looks


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_smoke_accepts_engine_that_reads_the_same(ours: tuple[Layout, Digest], name: str) -> None:
    if name == "docker":
        looks = judge(FakeEngine(shown=shown(ours)), ours)
    else:
        engine = FakeEngine(name="podman", only_shows=OCI_SETTINGS, shown=as_podman(shown(ours)))
        looks = judge(engine, ours)
    compared = [gate.detail.partition(" ")[0] for gate in looks.gates]
    both = ["platform", "layers", "Entrypoint", "Env", "ExposedPorts", "Labels", "User", "WorkingDir"]
    assert sorted(compared) == sorted([*both, "Healthcheck"] if name == "docker" else both)


def config(**changed: Any) -> Callable[[JSON], JSON]:
    return lambda found: found | {"Config": found["Config"] | changed}


@each(
    *attacks(
        Kind.READERS,
        "smoke",
        {
            "an engine that reads user 0:0": (
                config(User="0:0"),
                "User that docker reads: expected 65532:65532, got 0:0",
            ),
            "an engine that reads LD_PRELOAD": (
                config(Env=["LD_PRELOAD=/tmp/x"]),
                "Env that docker reads: expected",
            ),
            "an engine that reads arguments": (
                config(Cmd=["-x"]),
                "Cmd that docker reads: expected None, got ['-x']",
            ),
            "an engine that reads another entrypoint": (
                config(Entrypoint=["/bin/sh"]),
                "Entrypoint that docker reads: expected ['/health-caretaker'], got ['/bin/sh']",
            ),
            "an engine that reads another working directory": (
                config(WorkingDir="/"),
                "WorkingDir that docker reads: expected /home/nonroot, got /",
            ),
            "an engine that reads a volume": (
                config(Volumes={"/": {}}),
                "Volumes that docker reads: expected None, got {'/': {}}",
            ),
            "an engine that reads no labels": (config(Labels={}), "Labels that docker reads: expected {"),
            "an engine that reads another port": (
                config(ExposedPorts={"22/tcp": {}}),
                "ExposedPorts that docker reads: expected {",
            ),
            "an engine that reads no health check": (
                config(Healthcheck=None),
                "Healthcheck that docker reads: expected {'Test':",
            ),
            "an engine that reads another stop signal": (
                config(StopSignal="SIGKILL"),
                "StopSignal that docker reads: expected None, got SIGKILL",
            ),
            "an engine that reads a setting that we do not know": (
                config(StopTimeout=600),
                "StopTimeout that docker reads: expected None, got 600",
            ),
            "an engine that reads another architecture": (
                lambda found: found | {"Architecture": "arm64"},
                "platform that docker reads: expected linux/amd64, got linux/arm64",
            ),
            "an engine that reads another variant": (
                lambda found: found | {"Variant": "v3"},
                "platform that docker reads: expected linux/amd64, got linux/amd64/v3",
            ),
            "an engine that reads layers in another order": (
                lambda found: found | {"RootFS": {"Layers": found["RootFS"]["Layers"][::-1]}},
                "layers that docker reads: expected ['sha256:",
            ),
        },
    )
)
def test_smoke_rejects_image_that_engine_reads_differently(
    ours: tuple[Layout, Digest], attack: Attack[Callable[[JSON], JSON]]
) -> None:
    with pytest.raises(GateRefusedError) as caught:
        judge(FakeEngine(shown=attack.artefact(shown(ours))), ours)
    attack.assert_blocked_by(caught.value)


def test_smoke_rejects_health_check_that_podman_shows(ours: tuple[Layout, Digest]) -> None:
    """podman shows a health check beside the settings, and only where it reads one."""
    told = as_podman(shown(ours)) | {"Healthcheck": {"Test": ["CMD", "/bin/true"]}}
    with pytest.raises(GateRefusedError, match="Healthcheck that podman reads"):
        judge(FakeEngine(name="podman", only_shows=OCI_SETTINGS, shown=told), ours)


def item(name: str, mode: int, kind: bytes = tarfile.REGTYPE, data: bytes = b"", **changed: Any) -> File:
    info = tarfile.TarInfo(name)
    info.mode, info.type, info.size = mode, kind, len(data)
    for key, value in changed.items():
        setattr(info, key, value)
    return info, data


def files(ours: tuple[Layout, Digest]) -> Files:
    """Return what an engine exports of a container of the right image."""
    base = ours[0].layers(ours[1])[0]
    with tarfile.open(base.path) as tar:
        found = {
            info.name.strip("./"): (info, content.read() if (content := tar.extractfile(info)) else b"")
            for info in tar
        }
    made = [item("dev/null", 0o666, tarfile.CHRTYPE), item("etc/hosts", 0o644, data=b"127.0.0.1 localhost\n")]
    made += [item(".dockerenv", 0o755), item("run/.containerenv", 0o700)]
    return found | {info.name: (info, data) for info, data in [*made, item(NAME, 0o755, data=PROGRAM)]}


def with_file(*file: Any, **changed: Any) -> Callable[[Files], Files]:
    return lambda found: found | {file[0]: item(*file, **changed)}


def without_file(name: str) -> Callable[[Files], Files]:
    return lambda found: {key: value for key, value in found.items() if key != name}


def judge_files(found: Files, ours: tuple[Layout, Digest]) -> None:
    looks = Looks("smoke", "static/linux/amd64")
    look_files(looks, FakeEngine(files=found), "container", ours)
    looks.done(means="", next_step="")


def test_smoke_accepts_files_that_engine_unpacks_alike(ours: tuple[Layout, Digest]) -> None:
    judge_files(files(ours), ours)


@each(
    *attacks(
        Kind.READERS,
        "smoke",
        {
            "an engine that unpacks a second program": (
                with_file(".wh..wh.x/su", 0o4755, data=PROGRAM),
                "docker unpacked /.wh..wh.x/su: expected nothing, got ('file', 2541,",
            ),
            "an engine that unpacks a setuid program": (
                with_file(NAME, 0o4755, data=PROGRAM),
                f"docker unpacked /{NAME}: expected ('file', 493, 0, 0, '', '",
            ),
            "an engine that unpacks another program": (
                with_file(NAME, 0o755, data=b"\x7fELF another program"),
                f"docker unpacked /{NAME}: expected ('file', 493, 0, 0, '', '",
            ),
            "an engine that unpacks a link instead of the program": (
                with_file(NAME, 0o777, tarfile.SYMTYPE, linkname="/opt/x"),
                f"docker unpacked /{NAME}: expected ('file', 493, 0, 0, '', '",
            ),
            "an engine that unpacks a file with another owner": (
                with_file("etc/passwd", 0o644, data=b"root:x:0:0\n", uid=1000),
                "docker unpacked /etc/passwd: expected ('file', 420, 0, 0, '', '",
            ),
            "an engine that leaves a file of the base out": (
                without_file("etc/passwd"),
                "docker unpacked /etc/passwd: expected ('file', 420, 0, 0, '', '",
            ),
        },
    )
)
def test_smoke_rejects_image_that_engine_unpacks_differently(
    ours: tuple[Layout, Digest], attack: Attack[Callable[[Files], Files]]
) -> None:
    with pytest.raises(GateRefusedError) as caught:
        judge_files(attack.artefact(files(ours)), ours)
    attack.assert_blocked_by(caught.value)
