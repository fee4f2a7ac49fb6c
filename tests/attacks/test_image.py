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
from tests.attacks.catalogue import Attack, Kind, attacks, each, refusals
from tests.attacks.conftest import Forge
from tests.attacks.forging import AMD64, ARM64, Change, Image, forge, same
from tests.unit.stations.imaged import PAX, USTAR, Form, bomb, entry, go_tar, packed

pytestmark = pytest.mark.programs

PROGRAM = "health-caretaker"
DEEP = b'"x":' + b"[" * 100_000 + b"]" * 100_000 + b","
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


def program(mode: int, *, more: bytes = b"") -> Change:
    """Write the program's own layer again, with another mode or more bytes."""

    def change(image: Image) -> Image:
        data = Rootfs([image.layers[-1].blob], "program").read(f"/{PROGRAM}")
        return image.with_program(LayerTar().file(PROGRAM, data + more, mode))

    return change


@pytest.mark.parametrize("variant", ["static", "base"])
def test_image_accepts_unchanged_image(line: Line, forged: Forge, variant: str) -> None:
    _, built = forged(variant, {AMD64: same, ARM64: same})
    assert look(line, built, variant).digest == built.digest


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


def test_image_accepts_layer_that_was_written_again(line: Line, forged: Forge) -> None:
    _, built = forged("static", {AMD64: again(lambda _: None), ARM64: same})
    assert look(line, built).digest == built.digest


@each(
    *attacks(
        Kind.READERS,
        "image",
        {
            "the released image with `user` 0:0 beside `User`": (
                lambda i: i.rewriting("config", b'"User":', b'"user":"0:0","User":'),
                "unknown field `user`",
            ),
            "the released image with `Layers` beside `layers`": (
                lambda i: i.rewriting("manifest", b'"layers":', b'"Layers":[],"layers":'),
                "unknown field `Layers`",
            ),
            "the released manifest, which is an index, too": (
                lambda i: i.rewriting("manifest", b'"layers":', b'"manifests":[],"layers":'),
                "unknown field `manifests`",
            ),
            "the released image with `data` beside a digest": (
                lambda i: i.rewriting("manifest", b'"config":{', b'"config":{"data":"e30=",'),
                "unknown field `data`",
            ),
            "the released configuration, nested 100,000 deep": (
                lambda i: i.rewriting("config", b"{", b"{" + DEEP),
                "nested more than 16 deep",
            ),
            "the released program under a PAX `path`": (recorded("path", "opt/other"), "of the type b'x'"),
            "the released program with a setuid copy in aufs' .wh..wh.x/": (
                beside(".wh..wh.x/su", 0o4755),
                "hides or marks files instead of adding any",
            ),
            "the released layer with zeros behind it": (
                wrapped(lambda t: gzip.compress(t) + b"\0" * 9),
                "with 9 zeros behind it",
            ),
            "the released layer as plain tar": (
                wrapped(lambda t: t),
                "wrapping of the layer: expected , got not",
            ),
            "an entry that hides a file of the base": (
                lambda i: i.plus(LayerTar().file("etc/.wh.passwd", b"")),
                f"got ['/etc', '/etc/passwd', '/{PROGRAM}']",
            ),
        },
    ),
    *attacks(
        Kind.MORE,
        "image",
        {
            "a user by name": (
                lambda i: i.saying(User="nonroot"),
                "user: expected 65532:65532, got nonroot",
            ),
            "no user": (lambda i: i.saying(User=None), "user: expected 65532:65532, got None"),
            "an entrypoint in shell form": (
                lambda i: i.saying(Entrypoint=SHELL_FORM),
                "entrypoint: expected",
            ),
            "a command instead of an entrypoint": (
                lambda i: i.saying(Entrypoint=None, Cmd=[f"/{PROGRAM}"]),
                "entrypoint: expected",
            ),
            "a missing label": (
                lambda i: i.labelled(revision=None),
                "label org.opencontainers.image.revision: expected",
            ),
            "no labels": (
                lambda i: i.saying(Labels=None),
                "label org.opencontainers.image.version: expected",
            ),
            "a label of another source": (
                lambda i: i.labelled(source="https://example.test"),
                "image.source: expected",
            ),
            "a label of another version": (
                lambda i: i.labelled(version="9.9.9"),
                "image.version: expected 1.0.0, got 9.9.9",
            ),
            "other arguments": (
                lambda i: i.saying(Cmd=["-config=/tmp/other"]),
                "arguments: expected None",
            ),
            "another environment": (
                lambda i: i.saying(Env=["LD_PRELOAD=/tmp/x"]),
                "Env of the base: expected",
            ),
            "another working directory": (
                lambda i: i.saying(WorkingDir="/other"),
                "WorkingDir of the base: expected",
            ),
            "no health check": (
                lambda i: i.saying(Healthcheck=None),
                "health check: expected ['CMD',",
            ),
            "another health check": (
                lambda i: i.saying(Healthcheck={"Test": ["CMD", "/bin/true"]}),
                "got ['CMD', '/bin/true']",
            ),
            "the released program with one more byte": (
                program(0o755, more=b"\0"),
                "binary in the layer: expected sha256:",
            ),
            "the released program, setuid": (program(0o4755), "setuid: ['/health-caretaker']"),
            "the released program, setgid": (program(0o2755), "setuid: ['/health-caretaker']"),
            "the released program with a file capability": (
                recorded("SCHILY.xattr.security.capability", "\x01"),
                "of the type b'x'",
            ),
            "an extra file in its own layer": (
                lambda i: i.plus(LayerTar().file("extra", b"")),
                f"files above the base: expected ['/{PROGRAM}'], got ['/extra', '/{PROGRAM}']",
            ),
            "a file of the base replaced": (
                lambda i: i.plus(LayerTar().file("etc/passwd", b"root::0:0:::")),
                f"got ['/etc', '/etc/passwd', '/{PROGRAM}']",
            ),
            "a folder of the base that every user may write to": (
                lambda i: i.plus(LayerTar().directory("etc", 0o777)),
                f"got ['/etc', '/{PROGRAM}']",
            ),
            "the root folder in a layer of its own": (
                lambda i: i.plus(LayerTar().directory("", 0o777)),
                f"got ['/', '/{PROGRAM}']",
            ),
            "an image without the program": (
                lambda i: i.with_layers(*i.layers[:-1]),
                "files above the base: expected",
            ),
            "an image without one layer of the base": (
                lambda i: i.with_layers(*i.layers[1:]),
                "layers of the base: expected",
            ),
            "an image with another layer in the base": (
                lambda i: i.with_layers(LayerTar().file("etc/other", b"").pack(), *i.layers[1:]),
                "layers of the base: expected",
            ),
            "the released image with a history that never happened": (
                lambda i: i.rewriting("config", b"ENTRYPOINT", b"RUN make check ENTRYPOINT"),
                "is not what a planned image is made with",
            ),
        },
    ),
    *attacks(
        Kind.RESOURCES,
        "image",
        {
            "the released image with a layer that fills a disk": (
                wrapped(lambda _: bomb()),
                "unpacks to more than",
            )
        },
    ),
)
def test_image_rejects_changed_release(line: Line, forged: Forge, attack: Attack[Change]) -> None:
    _, built = forged("static", {AMD64: attack.artefact})
    with pytest.raises(GateRefusedError) as caught:
        look(line, built)
    attack.assert_blocked_by(caught.value)


@each(
    Attack(
        kind=Kind.MORE,
        sample="user 0 on the second platform alone",
        artefact=lambda image: image.saying(User="0"),
        stage="image",
        words=f"{ARM64}: user: expected 65532:65532, got 0",
    )
)
def test_image_rejects_change_of_one_platform(line: Line, forged: Forge, attack: Attack[Change]) -> None:
    _, built = forged("base", {AMD64: same, ARM64: attack.artefact})
    with pytest.raises(GateRefusedError) as caught:
        look(line, built, "base")
    attack.assert_blocked_by(caught.value)
    assert refusals(caught.value) == [attack.words]


@each(
    Attack(
        kind=Kind.MORE,
        sample="an index without one of the platforms",
        artefact={AMD64: same},
        stage="image",
        words=f"platforms: expected ['{AMD64}', '{ARM64}'], got ['{AMD64}']",
    )
)
def test_image_rejects_index_without_one_platform(
    line: Line, forged: Forge, attack: Attack[dict[Platform, Change]]
) -> None:
    _, built = forged("static", attack.artefact)
    with pytest.raises(GateRefusedError) as caught:
        inspect_as(line, line.plan, built)
    attack.assert_blocked_by(caught.value)
    assert refusals(caught.value) == [attack.words]


OF_BASE = "files of gcr.io/distroless/static-debian12:nonroot"
SPEAKING = struct.pack("<HHIQ", 3, 62, 1, 4096)
ELF = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + SPEAKING.ljust(48, b"\0")


def with_layer_in_both(line: Line, forged: Forge, folder: Path, tree: LayerTar) -> tuple[ev.Built, Base]:
    """Put the same layer into the base and into the image that stands on it: nothing is added."""
    true, layer = line.world.bases["static"], tree.pack()
    below = forge(Layout(true.layout), folder, {AMD64: lambda i: i.with_layers(*i.layers, layer)})
    _, built = forged("static", {AMD64: lambda i: i.with_layers(*i.layers[:-1], layer, i.layers[-1])})
    return built, replace(true, layout=folder, digest=below.digest)


@each(
    *attacks(
        Kind.BASES,
        "image",
        {
            "the released base with a shell": (
                LayerTar().file("bin/sh", b"#!", 0o755),
                "shells: ['/bin/sh']",
            ),
            "the released base with busybox": (
                LayerTar().file("opt/busybox", b"", 0o711),
                "shells: ['/opt/busybox']",
            ),
            "the released base with a setuid file": (
                LayerTar().file("bin/su", b"", 0o4755),
                "setuid: ['/bin/su']",
            ),
            "the released base with Python": (
                LayerTar().file("usr/bin/python3.11", ELF, 0o755),
                f"{OF_BASE}: programs: /usr/bin/python3.11",
            ),
            "the released base with apt": (
                LayerTar().file("usr/bin/apt", b"#!/usr/bin/perl\n", 0o755),
                f"{OF_BASE}: scripts: /usr/bin/apt",
            ),
            "the released base with a file that every user may write to": (
                LayerTar().file("etc/open", b"", 0o666),
                f"{OF_BASE}: files that others than their owner may write to: /etc/open",
            ),
            "the released base with a setgid folder": (
                LayerTar().directory("srv", 0o2755),
                f"{OF_BASE}: setuid or setgid folders: /srv",
            ),
        },
    )
)
def test_image_rejects_changed_base(
    line: Line, forged: Forge, tmp_path: Path, attack: Attack[LayerTar]
) -> None:
    built, base = with_layer_in_both(line, forged, tmp_path / "base", attack.artefact)
    with pytest.raises(GateRefusedError) as caught:
        look(line, built, base=base)
    attack.assert_blocked_by(caught.value)
    assert refusals(caught.value) == [f"{AMD64}: {attack.words}"]


def test_image_accepts_base_with_text_file_called_sh(line: Line, forged: Forge, tmp_path: Path) -> None:
    tree = LayerTar().file("usr/share/doc/sh", b"", 0o644)
    built, base = with_layer_in_both(line, forged, tmp_path / "base", tree)
    assert look(line, built, base=base).digest == built.digest
