"""Image: each thing that a layout must not be, made out of the one that was released."""

from __future__ import annotations

import gzip
import struct
import tarfile
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from sealift.elf.rootfs import Rootfs
from sealift.line import Line
from sealift.model import evidence as ev
from sealift.model.names import Digest, Platform
from sealift.model.plan import Plan
from sealift.model.world import Base
from sealift.rehearsal.oci_writer import LayerTar, Packed
from sealift.stations.gate import GateRefusedError
from sealift.stations.image import inspect
from sealift.tools.layout import Layout
from tests.attacks.conftest import Forge
from tests.attacks.forging import AMD64, ARM64, Change, Image, forge, same
from tests.unit.stations.imaged import GNU, PAX, USTAR, Form, bomb, entry, go_tar, packed

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
    return inspect(variant, plan, proven, Layout(line.run.root / built.layout), below, {})


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


def again(change: Callable[[tarfile.TarInfo], None], *, form: Form = USTAR) -> Change:
    """Write the program's own layer again as Go does, with one thing changed."""

    def changed(image: Image) -> Image:
        program = Rootfs([image.layers[-1].blob], "program").read(f"/{PROGRAM}")
        info = entry(PROGRAM, len(program), mtime=timed(image))
        change(info)
        return image.with_layers(*image.layers[:-1], packed(go_tar((info, program), form=form)))

    return changed


def timed(image: Image) -> int:
    return int(datetime.fromisoformat(image.config["created"]).timestamp())


def recorded(key: str, value: str) -> Change:
    return again(lambda info: setattr(info, "pax_headers", {key: value}), form=PAX)


def wrapped(pack: Callable[[bytes], bytes]) -> Change:
    """Wrap the program's own tar in another way."""

    def changed(image: Image) -> Image:
        tar = gzip.decompress(image.layers[-1].blob)
        return image.with_layers(*image.layers[:-1], Packed(diff_id=Digest.of(tar), blob=pack(tar)))

    return changed


def beside(name: str, mode: int = 0o755) -> Change:
    """Put a second file into the program's own layer."""

    def changed(image: Image) -> Image:
        program = Rootfs([image.layers[-1].blob], "program").read(f"/{PROGRAM}")
        ours, more = (entry(n, len(program), mtime=timed(image)) for n in (PROGRAM, name))
        more.mode = mode
        return image.with_layers(*image.layers[:-1], packed(go_tar((ours, program), (more, program))))

    return changed


def test_the_program_written_again_is_no_reason_to_refuse(line: Line, forged: Forge) -> None:
    _, built = forged("static", {AMD64: again(lambda _: None), ARM64: same})
    assert look(line, built).digest == built.digest


DEEP = b'"x":' + b"[" * 100_000 + b"]" * 100_000 + b","
CHANGES |= {
    "a user in another case": (
        lambda i: i.rewriting("config", b'"User":', b'"user":"0:0","User":'),
        "unknown field `user`",
    ),
    "an environment in another case": (
        lambda i: i.rewriting("config", b'"Env":', b'"env":["LD_PRELOAD=/tmp/x"],"Env":'),
        "unknown field `env`",
    ),
    "a user twice": (
        lambda i: i.rewriting("config", b'"User":', b'"User":"0:0","User":'),
        "the member 'User' stands twice",
    ),
    "a root in another case": (
        lambda i: i.rewriting("config", b'"rootfs":', b'"Rootfs":{},"rootfs":'),
        "unknown field `Rootfs`",
    ),
    "layers in another case": (
        lambda i: i.rewriting("manifest", b'"layers":', b'"Layers":[],"layers":'),
        "unknown field `Layers`",
    ),
    "a manifest and an index at once": (
        lambda i: i.rewriting("manifest", b'"layers":', b'"manifests":[],"layers":'),
        "unknown field `manifests`",
    ),
    "a subject": (
        lambda i: i.rewriting("manifest", b'"layers":', b'"subject":{},"layers":'),
        "unknown field `subject`",
    ),
    "a type of artifact": (
        lambda i: i.rewriting("manifest", b'"layers":', b'"artifactType":"a/b","layers":'),
        "unknown field `artifactType`",
    ),
    "data beside a digest": (
        lambda i: i.rewriting("manifest", b'"config":{', b'"config":{"data":"e30=",'),
        "unknown field `data`",
    ),
    "a layer from elsewhere": (
        lambda i: i.rewriting("manifest", b'"layers":[{', b'"layers":[{"urls":["https://x.example"],'),
        "unknown field `urls`",
    ),
    "a configuration nested without end": (
        lambda i: i.rewriting("config", b"{", b"{" + DEEP),
        "nested more than 16 deep",
    ),
    "a manifest nested without end": (
        lambda i: i.rewriting("manifest", b"{", b"{" + DEEP),
        "nested more than 16 deep",
    ),
    "a label more": (
        lambda i: i.saying(Labels=i.config["config"]["Labels"] | {"run": "docker run --privileged IMAGE"}),
        "label run: expected None",
    ),
    "a port more": (
        lambda i: i.saying(ExposedPorts=i.config["config"]["ExposedPorts"] | {"22/tcp": {}}),
        "ExposedPorts: 22/tcp is not one of",
    ),
    "a health check once a year": (
        lambda i: i.saying(Healthcheck=i.config["config"]["Healthcheck"] | {"Interval": 31536000 * 10**9}),
        "health check: interval is",
    ),
    "a longer time to stop": (lambda i: i.saying(StopTimeout=600), "unknown field `StopTimeout`"),
    "a terminal": (lambda i: i.saying(Tty=True), "settings: Tty: expected nothing, got True"),
    "a host name": (lambda i: i.saying(Hostname="x"), "settings: Hostname: expected nothing, got 'x'"),
    "created in the future": (
        lambda i: replace(i, config=i.config | {"created": "2999-01-01T00:00:00Z"}),
        "configuration: created: expected",
    ),
    "a variant": (
        lambda i: replace(i, config=i.config | {"variant": "v9"}),
        "configuration: variant: expected nothing, got 'v9'",
    ),
    "a version of the system": (
        lambda i: replace(i, config=i.config | {"os.version": "10"}),
        "unknown field `os.version`",
    ),
    "a history that lies": (
        lambda i: i.rewriting("config", b"ENTRYPOINT", b"RUN make check ENTRYPOINT"),
        "is not what a planned image is made with",
    ),
    "a capability": (recorded("SCHILY.xattr.security.capability", "\x01"), "of the type b'x'"),
    "an access list": (recorded("SCHILY.acl.access", "user::rwx"), "of the type b'x'"),
    "another name in an extension": (recorded("path", "opt/other"), "of the type b'x'"),
    "a sparse name": (recorded("GNU.sparse.name", "opt/other"), "of the type b'x'"),
    "a mode for every user": (again(lambda i: setattr(i, "mode", 0o777)), "entries of the layer: expected"),
    "another owner": (again(lambda i: setattr(i, "uid", 65532)), "entries of the layer: expected"),
    "another time": (again(lambda i: setattr(i, "mtime", 0)), "entries of the layer: expected"),
    "from here": (again(lambda i: setattr(i, "name", f"./{PROGRAM}")), "not in its one plain form"),
    "in the format of GNU": (again(lambda _: None, form=GNU), "of another format"),
    "a folder that engines pass over, or do not": (
        beside(".wh..wh.x/su", 0o4755),
        "hides or marks files instead of adding any",
    ),
    "the program twice": (beside(PROGRAM), "twice"),
    "zeros behind the layer": (wrapped(lambda t: gzip.compress(t) + b"\0" * 9), "with 9 zeros behind it"),
    "a layer that is not compressed": (wrapped(lambda t: t), "wrapping of the layer: expected , got not"),
    "a layer in two streams": (
        wrapped(lambda t: gzip.compress(t[:512]) + gzip.compress(t[512:])),
        "got 2 gzip streams, not one",
    ),
    "a layer that fills a disk": (wrapped(lambda _: bomb()), "unpacks to more than"),
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


OF_BASE = "files of gcr.io/distroless/static-debian12:nonroot"
SPEAKING = struct.pack("<HHIQ", 3, 62, 1, 4096)
ELF = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + SPEAKING.ljust(48, b"\0")
IN_THE_BASE: dict[str, tuple[LayerTar, list[str]]] = {
    "a shell": (LayerTar().file("bin/sh", b"#!", 0o755), ["shells: ['/bin/sh']"]),
    "many shells in one program": (LayerTar().file("opt/busybox", b"", 0o711), ["shells: ['/opt/busybox']"]),
    "a setuid file": (LayerTar().file("bin/su", b"", 0o4755), ["setuid: ['/bin/su']"]),
    "python": (
        LayerTar().file("usr/bin/python3.11", ELF, 0o755),
        [f"{OF_BASE}: programs: /usr/bin/python3.11"],
    ),
    "a package manager": (
        LayerTar().file("usr/bin/apt", b"#!/usr/bin/perl\n", 0o755),
        [f"{OF_BASE}: scripts: /usr/bin/apt"],
    ),
    "a file that every user may write to": (
        LayerTar().file("etc/open", b"", 0o666),
        [f"{OF_BASE}: files that others than their owner may write to: /etc/open"],
    ),
    "a setgid folder": (
        LayerTar().directory("srv", 0o2755),
        [f"{OF_BASE}: setuid or setgid folders: /srv"],
    ),
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
