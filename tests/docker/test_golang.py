"""The stand-in for the golang image."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.elf.rootfs import Rootfs
from sealift.provision.cache import cache_folder
from sealift.provision.everything import Provided
from sealift.rehearsal import golang
from sealift.rehearsal.oci_writer import LayerTar
from sealift.stations.image import SHELLS
from sealift.tools.layout import Layout
from tests.docker.conftest import PLATFORMS

pytestmark = pytest.mark.programs


def test_each_platform_has_a_compiler_for_itself_and_no_shell(programs: Provided) -> None:
    made = golang.assemble(programs.go, PLATFORMS, cache=cache_folder())
    layout = Layout(made.layout)
    targets = {}
    manifests = layout.platforms(made.digest)
    for platform, manifest in manifests.items():
        env = dict(pair.split("=", 1) for pair in layout.config(manifest)["config"]["Env"])
        targets[platform] = env["CC"].rpartition(" ")[2]
    # The layers are the same for all.
    assert len({layout.layers(manifest) for manifest in manifests.values()}) == 1
    rootfs = Rootfs.from_layout(layout, manifests[PLATFORMS[0]])
    for program in ("/usr/local/go/bin/go", "/usr/local/zig/zig"):
        entry = rootfs.resolve(program)
        assert entry is not None
        assert entry.mode & 0o111
    assert not [e.path for e in rootfs.entries() if e.path.rsplit("/", 1)[-1] in SHELLS]
    assert targets == {PLATFORMS[0]: "x86_64-linux-gnu.2.36", PLATFORMS[1]: "aarch64-linux-gnu.2.36"}
    assert made.words.startswith(f"this machine's Go {programs.go.version}, with zig ")


def test_what_was_made_before_is_taken_and_what_is_broken_is_made_again(
    programs: Provided, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is in the great layers does not matter here.
    monkeypatch.setattr(golang, "_zig", lambda: LayerTar().file("zig", b"zig"))
    monkeypatch.setattr(golang, "_go", lambda _root: LayerTar().file("go", b"go"))
    first = golang.assemble(programs.go, PLATFORMS, cache=tmp_path)
    assert "once" in capsys.readouterr().err
    # The order in which platforms are asked for is nothing that an image follows from.
    assert golang.assemble(programs.go, PLATFORMS[::-1], cache=tmp_path) == first
    assert capsys.readouterr().err == ""
    layout = Layout(first.layout)
    layer = layout.layers(layout.platforms(first.digest)[PLATFORMS[0]])[1].path
    layer.write_bytes(layer.read_bytes()[:-1])
    assert golang.assemble(programs.go, PLATFORMS, cache=tmp_path) == first
    assert "once" in capsys.readouterr().err
    assert golang.assemble(programs.go, PLATFORMS[:1], cache=tmp_path).layout != first.layout
