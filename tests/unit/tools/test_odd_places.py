"""What each program is given of a folder with an odd name: nothing that it would read as something else."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from sealift import process
from sealift.commands import docker, docker_build
from sealift.model.names import Digest, Platform
from sealift.process import Completed
from sealift.services.buildkit import buildkit, config_of, create_builder, socket_of
from sealift.services.service import SocketReady
from sealift.tools import buildx, regctl
from sealift.tools import engine as engines

AMD64 = Platform("linux/amd64")
DIGEST = Digest("sha256:" + "a" * 64)
PLAIN = r"/[a-z0-9/-]+"

# Its words, and where the links in them led while it ran.
Asked = list[tuple[list[str], list[Path]]]


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    folder = tmp_path / """Ünï cödé, a:b@c/My "Project"'s $HOME %20 -_x""" / ("long" * 30)
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Every program that is started, with the folders that its links lead to; each of them ends well."""
    seen: Asked = []

    def run(argv: Sequence[str], **_rest: object) -> Completed:
        words = [str(word) for word in argv]
        links = re.findall(r"(?:/tmp|/var/tmp|/dev/shm)/sealift-\d+/[0-9a-f]+", " ".join(words))
        seen.append((words, [Path(link).resolve() for link in links]))
        return Completed(argv=tuple(words), returncode=0, stdout="", stderr="")

    for module in (process, regctl):
        monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr("sealift.services.buildkit.run", run)
    return seen


def test_podman_gets_a_layout_by_a_reference(odd: Path, asked: Asked) -> None:
    layout = odd / "layout"
    layout.mkdir()
    engine = engines._podman(odd / "locks", odd / "store")
    engine.keep_layers(layout, DIGEST, AMD64)
    ((words, places),) = asked
    assert re.fullmatch(f"oci:{PLAIN}", words[-1])
    assert places[-1] == layout.resolve()
    assert not any(str(odd) in word for word in words)


def test_podmans_store_has_a_plain_and_short_path(odd: Path) -> None:
    engine = engines._podman(odd / "locks", odd / "store")
    root, run_root = (option.partition("=")[2] for option in engine.global_options[:2])
    assert re.fullmatch(PLAIN, root)
    assert len(run_root) <= 50
    assert Path(root).parent.samefile(odd / "store")


def test_the_store_of_a_plain_cache_stays_where_it_is(tmp_path: Path) -> None:
    # Below pytest's own folder it would be too long.
    store = Path("/tmp") / f"sealift-{tmp_path.name[-8:]}" / "podman"  # noqa: S108 - not opened
    try:
        engine = engines._podman(tmp_path, store)
        assert f"--root={store}/storage" in engine.global_options
        assert f"--runroot={store}/run" in engine.global_options
    finally:
        store.rmdir()
        store.parent.rmdir()


@pytest.mark.parametrize("verb", ["load", "save"])
def test_an_archive_is_named_by_a_plain_path(odd: Path, asked: Asked, verb: str) -> None:
    engine = engines._docker(odd / "locks")
    if verb == "load":
        engine.load(odd / "image.tar")
    else:
        engine.save("name:latest", odd / "image.tar")
    ((words, places),) = asked
    assert any(re.fullmatch(rf"{PLAIN}/image\.tar", word) for word in words)
    assert places == [odd.resolve()]


def test_buildx_gets_its_output_as_one_field_and_layouts_by_links(odd: Path, asked: Asked) -> None:
    layout = odd / "layout"
    layout.mkdir()
    buildx.build(
        buildx.BuildRequest(
            builder="ours",
            dockerfile=odd / "Dockerfile",
            context=odd,
            contexts={"binary": odd, "base": buildx.OciLayout(folder=layout, digest=DIGEST)},
            arguments={},
            platforms=[AMD64],
            labels={},
            name="app:1",
            epoch=0,
            output=odd / "out",
        ),
        env={},
    )
    ((words, places),) = asked
    (output,) = (word.partition("=")[2] for word in words if word.startswith("--output="))
    fields = next(csv.reader([output]))
    assert fields == ["type=oci", "tar=false", f"dest={odd / 'out'}", "rewrite-timestamp=true", "name=app:1"]
    assert f"--build-context=binary={odd}" in words
    (base,) = (word for word in words if word.startswith("--build-context=base="))
    assert re.fullmatch(f"--build-context=base=oci-layout://{PLAIN}@{DIGEST}", base)
    assert places == [layout.resolve()]


def test_regctl_gets_a_layout_by_a_link(odd: Path, asked: Asked) -> None:
    regctl.copy(f"ocidir://{odd}@{DIGEST}", f"ocidir://{odd / 'new'}:fetched")
    ((words, places),) = asked
    assert re.fullmatch(f"ocidir://{PLAIN}@{DIGEST}", words[-2])
    assert re.fullmatch(f"ocidir://{PLAIN}:fetched", words[-1])
    assert places == [odd.resolve(), (odd / "new").resolve()]
    assert (odd / "new").is_dir()


@pytest.mark.parametrize(
    "reference", ["localhost:5000/app@" + str(DIGEST), "image", "copy", "--name=ocidir://x"]
)
def test_other_words_of_regctl_stay_as_they_are(asked: Asked, reference: str) -> None:
    regctl.regctl(reference)
    assert asked == [(["regctl", reference], [])]


def test_buildkits_socket_and_state_have_plain_paths(odd: Path, asked: Asked) -> None:
    service = buildkit(odd, log=odd / "log")
    assert isinstance(service.ready, SocketReady)
    assert service.ready.path == socket_of(odd)
    assert len(str(socket_of(odd))) <= 107
    config = config_of(odd, keep_bytes=1, registries=())
    assert re.search(rf'^root = "{PLAIN}/state"$', config, re.MULTILINE)
    assert re.search(rf'^address = \["unix://{PLAIN}/buildkitd\.sock"\]$', config, re.MULTILINE)
    create_builder(odd / "buildkitd.sock", "ours", env={})
    ((words, places),) = asked
    assert re.fullmatch(rf"unix://{PLAIN}/buildkitd\.sock", words[-1])
    assert places == [odd.resolve()]


@pytest.mark.parametrize(
    ("folder", "option"),
    [
        ("a b", "--volume={}:/config:ro"),
        ('a,"b"', "--volume={}:/config:ro"),
        ("a:b", "--mount=type=bind,source={},target=/config,readonly"),
    ],
)
def test_a_configurations_folder_is_mounted_whole(tmp_path: Path, folder: str, option: str) -> None:
    config = tmp_path / folder / "config.json"
    config.parent.mkdir()
    config.write_text("{}")
    assert docker._mounted(config) == (option.format(config.parent), "--env=CONFIG_FILE=/config/config.json")


def test_a_mount_of_a_folder_with_a_colon_is_quoted(tmp_path: Path) -> None:
    config = tmp_path / 'a:b,"c"' / "config.json"
    config.parent.mkdir()
    config.write_text("{}")
    mount = docker._mounted(config)[0].removeprefix("--mount=")
    fields = next(csv.reader([mount]))
    assert fields == ["type=bind", f"source={config.parent}", "target=/config", "readonly"]


def test_podman_gets_a_dockerfile_as_one_field_of_a_list(odd: Path, asked: Asked) -> None:
    engine = engines._podman(odd / "locks", None)
    docker_build.engine_build(engine, odd / "Dockerfile", odd, "app:latest", {})
    ((words, _),) = asked
    (file,) = (word.partition("=")[2] for word in words if word.startswith("--file="))
    assert next(csv.reader([file])) == [str(odd / "Dockerfile")]
    assert words[-1] == str(odd)
