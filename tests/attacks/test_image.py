"""Image: each thing that a layout must not be, made out of the one that was released."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from sealift.elf.rootfs import Rootfs
from sealift.line import Line
from sealift.model import evidence as ev
from sealift.model.names import Platform
from sealift.model.plan import Plan
from sealift.model.world import Base
from sealift.rehearsal.oci_writer import LayerTar
from sealift.stations.gate import GateRefusedError
from sealift.stations.image import inspect
from sealift.tools.layout import Layout
from tests.attacks.conftest import Forge
from tests.attacks.forging import AMD64, ARM64, Change, Image, forge, same

pytestmark = pytest.mark.programs

PROGRAM = "health-caretaker"
SHELL_FORM = ["/bin/sh", "-c", f"/{PROGRAM}"]


def look(line: Line, built: ev.Built, variant: str = "static", *, base: Base | None = None) -> ev.Built:
    """Inspect a forgery, planned for the platforms that it was forged for."""
    config = msgspec.structs.replace(line.plan.config, platforms=tuple(map(Platform, built.platforms)))
    return inspect_as(line, msgspec.structs.replace(line.plan, config=config), built, variant, base)


def inspect_as(
    line: Line, plan: Plan, built: ev.Built, variant: str = "static", base: Base | None = None
) -> ev.Built:
    proven = {c: line.run.read("prove", str(c), ev.Proven) for c in plan.cells_of(variant)}
    below = base or line.world.bases[plan.variant(variant).base]
    return inspect(variant, plan, proven, Layout(Path(built.layout)), below, {})


def refusals(caught: pytest.ExceptionInfo[GateRefusedError]) -> list[str]:
    return [gate.detail for gate in caught.value.gates if gate.verdict == "refused"]


def program(mode: int, *, more: bytes = b"") -> Change:
    """Write the program's own layer again, with another mode or more bytes."""

    def change(image: Image) -> Image:
        data = Rootfs([image.layers[-1].blob], "program").read(f"/{PROGRAM}")
        return image.with_program(LayerTar().file(PROGRAM, data + more, mode))

    return change


@pytest.mark.parametrize("variant", ["static", "base"])
def test_the_forge_alone_is_no_reason_to_refuse(line: Line, forged: Forge, variant: str) -> None:
    _, built = forged(variant, {AMD64: same, ARM64: same})
    assert look(line, built, variant).digest == built.digest


CHANGES: dict[str, tuple[Change, str]] = {
    "root": (lambda i: i.saying(User="0:0"), "user: expected 65532:65532, got 0:0"),
    "a name for a user": (lambda i: i.saying(User="nonroot"), "user: expected 65532:65532, got nonroot"),
    "nobody": (lambda i: i.saying(User=None), "user: expected 65532:65532, got None"),
    "shell form": (lambda i: i.saying(Entrypoint=SHELL_FORM), "entrypoint: expected"),
    "no entrypoint": (lambda i: i.saying(Entrypoint=None, Cmd=[f"/{PROGRAM}"]), "entrypoint: expected"),
    "no label": (lambda i: i.labelled(revision=None), "label org.opencontainers.image.revision: expected"),
    "no labels": (lambda i: i.saying(Labels=None), "label org.opencontainers.image.version: expected"),
    "another source": (lambda i: i.labelled(source="https://example.test"), "image.source: expected"),
    "another version": (lambda i: i.labelled(version="9.9.9"), "image.version: expected 1.0.0, got 9.9.9"),
    "another command": (lambda i: i.saying(Cmd=["-config=/tmp/other"]), "arguments: expected None"),
    "another environment": (lambda i: i.saying(Env=["LD_PRELOAD=/tmp/x"]), "Env of the base: expected"),
    "another folder": (lambda i: i.saying(WorkingDir="/other"), "WorkingDir of the base: expected"),
    "no health check": (lambda i: i.saying(Healthcheck=None), "health check: expected ['CMD',"),
    "another health check": (
        lambda i: i.saying(Healthcheck={"Test": ["CMD", "/bin/true"]}),
        "got ['CMD', '/bin/true']",
    ),
    "another program": (program(0o755, more=b"\0"), "binary in the layer: expected sha256:"),
    "setuid": (program(0o4755), "setuid: ['/health-caretaker']"),
    "setgid": (program(0o2755), "setuid: ['/health-caretaker']"),
    "one file more": (
        lambda i: i.plus(LayerTar().file("extra", b"")),
        f"files above the base: expected ['/{PROGRAM}'], got ['/extra', '/{PROGRAM}']",
    ),
    "one file of the base replaced": (
        lambda i: i.plus(LayerTar().file("etc/passwd", b"root::0:0:::")),
        f"got ['/etc', '/etc/passwd', '/{PROGRAM}']",
    ),
    "one file of the base hidden": (
        lambda i: i.plus(LayerTar().file("etc/.wh.passwd", b"")),
        f"got ['/etc', '/etc/passwd', '/{PROGRAM}']",
    ),
    "a folder of the base opened to all": (
        lambda i: i.plus(LayerTar().directory("etc", 0o777)),
        f"got ['/etc', '/{PROGRAM}']",
    ),
    "the root opened to all": (
        lambda i: i.plus(LayerTar().directory("", 0o777)),
        f"got ['/', '/{PROGRAM}']",
    ),
    "no program": (lambda i: i.with_layers(*i.layers[:-1]), "files above the base: expected"),
    "a layer of the base missing": (lambda i: i.with_layers(*i.layers[1:]), "layers of the base: expected"),
    "a layer of the base replaced": (
        lambda i: i.with_layers(LayerTar().file("etc/other", b"").pack(), *i.layers[1:]),
        "layers of the base: expected",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_not_planned_is_refused(line: Line, forged: Forge, name: str) -> None:
    change, words = CHANGES[name]
    _, built = forged("static", {AMD64: change})
    with pytest.raises(GateRefusedError) as caught:
        look(line, built)
    found = refusals(caught)
    assert any(words in detail for detail in found), found


def test_each_platform_is_looked_at(line: Line, forged: Forge) -> None:
    _, built = forged("base", {AMD64: same, ARM64: lambda i: i.saying(User="0")})
    with pytest.raises(GateRefusedError) as caught:
        look(line, built, "base")
    assert refusals(caught) == [f"{ARM64}: user: expected 65532:65532, got 0"]


def test_a_platform_that_is_missing_is_refused(line: Line, forged: Forge) -> None:
    _, built = forged("static", {AMD64: same})
    with pytest.raises(GateRefusedError) as caught:
        inspect_as(line, line.plan, built)
    assert refusals(caught) == [f"platforms: expected ['{AMD64}', '{ARM64}'], got ['{AMD64}']"]


IN_THE_BASE: dict[str, tuple[LayerTar, list[str]]] = {
    "a shell": (LayerTar().file("bin/sh", b"#!", 0o755), ["shells: ['/bin/sh']"]),
    "many shells in one program": (LayerTar().file("opt/busybox", b"", 0o711), ["shells: ['/opt/busybox']"]),
    "a setuid file": (LayerTar().file("bin/su", b"", 0o4755), ["setuid: ['/bin/su']"]),
    "a text that is called sh": (LayerTar().file("usr/share/doc/sh", b"", 0o644), []),
}


@pytest.mark.parametrize("name", IN_THE_BASE)
def test_what_the_base_brings_along_is_looked_at_too(
    line: Line, forged: Forge, tmp_path: Path, name: str
) -> None:
    """The same layer in the base and in the image that stands on it: nothing is added."""
    tree, words = IN_THE_BASE[name]
    true, layer = line.world.bases["static"], tree.pack()
    below = forge(Layout(true.layout), tmp_path / "base", {AMD64: lambda i: i.with_layers(*i.layers, layer)})
    base = replace(true, layout=tmp_path / "base", digest=below.digest)
    _, built = forged("static", {AMD64: lambda i: i.with_layers(*i.layers[:-1], layer, i.layers[-1])})
    try:
        look(line, built, base=base)
        found = []
    except GateRefusedError as refused:
        found = [gate.detail for gate in refused.gates if gate.verdict == "refused"]
    assert found == [f"{AMD64}: {word}" for word in words]
