"""Base images, Debian packages, advisories and podman's store: swapped in the cache."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sealift import production, records
from sealift.errors import RefusedError
from sealift.model.names import Digest
from sealift.rehearsal import apt, bases, golang
from sealift.rehearsal.bases import assemble_all
from sealift.rehearsal.distroless import SUITES
from sealift.stations.base import look_blobs
from sealift.stations.gate import Looks
from sealift.tools import govulncheck, trivy
from sealift.tools.layout import Layout
from sealift.tools.podman_store import kept_store
from tests.attacks.catalogue import Attack, Kind, each
from tests.attacks.compiled import (
    AMD64,
    IMPLANT,
)
from tests.unit.rehearsal.debs import write_deb, write_debs

pytestmark = pytest.mark.programs

Folder = Callable[[Path], None]


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = write_debs(tmp_path / "debs", SUITES["debian12"].names)
    monkeypatch.setattr(bases, "fetch_debs", lambda *_: folder)
    return folder


def implanted(folder: Path, work: Path) -> Path:
    """Assemble whole layouts with one file more, as sealift does."""
    write_deb(folder, "base-files", {"./usr/bin/implant": b"evil"})
    made = assemble_all("debian12", [AMD64], work / "cache", work / "out")
    write_deb(folder, "base-files")
    return made["static"].layout.parent


def swap_layouts(kept: Path, evil: Path) -> None:
    shutil.rmtree(kept)
    shutil.copytree(evil, kept)


def swap_layouts_and_record(kept: Path, evil: Path) -> None:
    swap_layouts(kept, evil)
    named = " ".join(f"{kind}={Layout(kept / kind).index()}" for kind in ("static", "base"))
    kept.with_suffix(".record").write_text(f"{'0' * 64}\n{named}")


def swap_layouts_and_take_a_record(kept: Path, evil: Path) -> None:
    swap_layouts(kept, evil)
    own = next((evil.parent / "cache" / "bases").glob("*.record"))
    shutil.copyfile(own, kept.with_suffix(".record"))


def swap_one_layout(kept: Path, evil: Path) -> None:
    shutil.rmtree(kept / "base")
    shutil.copytree(evil / "base", kept / "base")


Swap = Callable[[Path, Path], None]


def assembled(sample: str, artefact: Swap) -> Attack[Swap]:
    words = "do not match this user's record: assembling them again"
    return Attack(kind=Kind.CACHES, sample=sample, artefact=artefact, stage="bases", words=words, exit_code=0)


@each(
    assembled("whole base images with one program more", swap_layouts),
    assembled("one whole base image with one program more", swap_one_layout),
    assembled("base images with a forged record", swap_layouts_and_record),
    assembled("base images with the record of others", swap_layouts_and_take_a_record),
)
def test_base_images_that_were_swapped_are_assembled_again(
    tmp_path: Path, packages: Path, attack: Attack[Swap], capsys: pytest.CaptureFixture[str]
) -> None:
    first = assemble_all("debian12", [AMD64], tmp_path / "cache", tmp_path / "a")
    (kept,) = (path for path in (tmp_path / "cache" / "bases").iterdir() if path.is_dir())
    attack.artefact(kept, implanted(packages, tmp_path / "evil"))
    capsys.readouterr()
    again = assemble_all("debian12", [AMD64], tmp_path / "cache", tmp_path / "b")
    assert {kind: base.digest for kind, base in again.items()} == {
        k: base.digest for k, base in first.items()
    }
    attack.assert_ended(0, capsys.readouterr().err)


@each(
    Attack(
        kind=Kind.CACHES,
        sample="Debian packages that were swapped with their record",
        artefact="libc6",
        stage="bases",
        words="do not match this user's record: fetching them again",
        exit_code=0,
    )
)
def test_packages_that_were_swapped_are_fetched_again(
    tmp_path: Path, attack: Attack[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = (attack.artefact,)

    def download(_names: object, _what: str, to: Path, _env: object) -> None:
        write_debs(to, names)

    monkeypatch.setattr(
        apt, "mirror", lambda: apt.Mirror(archive="http://x", security=None, keyring=Path("/k"))
    )
    monkeypatch.setattr(apt, "_download", download)
    folder = apt.fetch("bookworm", "amd64", names, tmp_path)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_deb(folder, attack.artefact, {"./usr/lib/implant": b"evil"})
    record = tmp_path / "bookworm-amd64.json"
    old, (new,) = hashlib.sha256(*before.values()).hexdigest(), folder.iterdir()
    forged = record.read_bytes().replace(old.encode(), hashlib.sha256(new.read_bytes()).hexdigest().encode())
    assert forged != record.read_bytes()
    record.write_bytes(forged)
    capsys.readouterr()
    again = apt.fetch("bookworm", "amd64", names, tmp_path)
    assert {path.name: path.read_bytes() for path in again.iterdir()} == before
    attack.assert_ended(0, capsys.readouterr().err)


def change_a_layer(layout: Path) -> None:
    largest = max((layout / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1] + b"!")


def change_the_configuration(layout: Path) -> None:
    image = Layout(layout)
    (manifest,) = image.platforms(image.index()).values()
    place = image.blob_path(Digest(image.manifest(manifest)["config"]["digest"]))
    place.write_bytes(place.read_bytes().replace(b"nonroot", b"toor   ").replace(b"65532", b"00000"))


def locked(sample: str, artefact: Folder) -> Attack[Folder]:
    return Attack(
        kind=Kind.CACHES, sample=sample, artefact=artefact, stage="base", words="has other bytes: sha256:"
    )


@each(
    locked("a layer with other bytes in a base image's folder", change_a_layer),
    locked("a configuration with other bytes in a base image's folder", change_the_configuration),
)
def test_a_base_image_with_other_bytes_is_refused(
    tmp_path: Path, packages: Path, attack: Attack[Folder]
) -> None:
    assert packages.exists()
    layout = assemble_all("debian12", [AMD64], tmp_path / "cache", tmp_path / "out")["base"].layout
    attack.artefact(layout)
    looks = Looks("base", "base")
    look_blobs(looks, Layout(layout), [AMD64])
    with pytest.raises(RefusedError) as caught:
        looks.done(means="", next_step="")
    attack.assert_blocked_by(caught.value)


@each(
    Attack(
        kind=Kind.CACHES,
        sample="a golang image that this user did not assemble",
        artefact="a.record",
        stage="docker",
        words="is not taken",
        exit_code=0,
    )
)
def test_a_golang_image_of_others_is_not_taken(
    tmp_path: Path, packages: Path, attack: Attack[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = assemble_all("debian12", [AMD64], tmp_path / "cache", tmp_path / "out")["base"].layout
    place = layout.rename(tmp_path / "a")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "theirs"))
    records.write(place.with_name(attack.artefact), "golang a", Layout(place).index().encode())
    assert packages.exists()
    assert golang.known(place) == Layout(place).index()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "ours"))
    attack.assert_ended(0, "is taken" if golang.known(place) else "is not taken")


@each(
    Attack(
        kind=Kind.CACHES,
        sample="an advisory database that calls itself new",
        artefact="metadata.json",
        stage="scan",
        words="fetched into an empty folder",
        exit_code=0,
    )
)
def test_production_fetches_advisories_anew(
    tmp_path: Path, attack: Attack[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "advisories" / "trivy" / "db" / attack.artefact
    place.parent.mkdir(parents=True)
    place.write_text('{"NextUpdate": "2099-01-01T00:00:00Z"}')
    said: list[str] = []

    def download(folder: Path) -> None:
        said.append(f"fetched into {'a folder that was there' if folder.exists() else 'an empty folder'}")

    monkeypatch.setattr(trivy, "download_database", download)
    monkeypatch.setattr(govulncheck, "download_database", lambda _: None)
    production.download_advisories(tmp_path)
    attack.assert_ended(0, " ".join(said))


# podman's store.


def in_a_layer(store: Path) -> None:
    place = store / "storage" / "overlay" / "a" / "diff" / "passwd"
    before = place.stat()
    place.write_text(IMPLANT[: before.st_size])
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))


def a_layer_swapped(store: Path) -> None:
    layer = store / "storage" / "overlay" / "a"
    shutil.copytree(layer, store / "other")
    shutil.rmtree(layer)
    (store / "other").rename(layer)


def a_layer_more(store: Path) -> None:
    (store / "storage" / "overlay" / "b" / "diff").mkdir(parents=True)


def without_a_record(store: Path) -> None:
    store.with_name("podman.record").write_text("evil")


def unpacked(sample: str, artefact: Folder) -> Attack[Folder]:
    return Attack(
        kind=Kind.CACHES, sample=sample, artefact=artefact, stage="smoke", words="it is empty", exit_code=0
    )


@each(
    unpacked("an unpacked base image with other bytes and the same time", in_a_layer),
    unpacked("an unpacked base image that was swapped", a_layer_swapped),
    unpacked("a layer that podman did not unpack", a_layer_more),
    unpacked("podman's store with a forged record", without_a_record),
)
def test_images_that_were_unpacked_and_changed_are_unpacked_again(
    tmp_path: Path, attack: Attack[Folder]
) -> None:
    folder = tmp_path / "podman"
    with kept_store(folder) as store:
        store.check()
        (folder / "storage" / "overlay" / "a" / "diff").mkdir(parents=True)
        (folder / "storage" / "overlay" / "a" / "diff" / "passwd").write_text("nonroot")
    with kept_store(folder) as store:
        store.check()
        assert (folder / "storage").exists()
    attack.artefact(folder)
    with kept_store(folder) as store:
        store.check()
        attack.assert_ended(
            0, f"it holds {list(folder.iterdir())}" if (folder / "storage").exists() else "it is empty"
        )
