"""Assembling bases from packages: contents, determinism, and a cache that is believed for its hashes."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sealift.errors import UsageError
from sealift.model.names import Platform
from sealift.rehearsal import bases
from sealift.rehearsal.bases import assemble, assemble_all
from sealift.rehearsal.distroless import SUITES, SuiteName
from sealift.tools.layout import Layout
from tests.unit.rehearsal.debs import write_deb, write_debs

AMD64, ARM64 = Platform("linux/amd64"), Platform("linux/arm64")
BOTH = (AMD64, ARM64)
Fetched = dict[Platform, Path]


@pytest.fixture
def debs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetched:
    """Give both platforms packages, and let a fetch find them."""
    folders = {p: write_debs(tmp_path / "debs" / p.slug, SUITES["debian12"].names) for p in BOTH}
    monkeypatch.setattr(bases, "fetch_debs", lambda _suite, platform, _cache: folders[platform])
    return folders


def rootfs(layout: Path, platform: Platform) -> dict[str, bytes]:
    """Return the regular files of one platform, upper layers over lower ones."""
    image = Layout(layout)
    files: dict[str, bytes] = {}
    for layer in image.layers(image.platforms(image.index())[platform]):
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(image.read(layer.digest)))) as tar:
            names = [m.name for m in tar]
            assert len(names) == len(set(names))
            found = {m.name.removeprefix("./"): tar.extractfile(m) for m in tar if m.isreg()}
            files |= {name: stream.read() for name, stream in found.items() if stream}
    return files


def test_static_holds_its_packages_and_the_generated_files(tmp_path: Path, debs: Fetched) -> None:
    made = assemble("static", "debian12", BOTH, tmp_path / "out", debs)
    files = rootfs(made.layout, ARM64)
    assert b"nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n" in files["etc/passwd"]
    assert b"\nnonroot:x:65532:\n" in files["etc/group"]
    assert b'VERSION_ID="12"\n' in files["usr/lib/os-release"]
    assert b"hosts:          files dns\n" in files["etc/nsswitch.conf"]
    assert files["var/lib/dpkg/status.d/tzdata"].startswith(b"Package: tzdata\n")
    assert "var/lib/dpkg/status.d/tzdata.md5sums" in files
    assert "var/lib/dpkg/status.d/libc6" not in files
    assert [p.name for p in made.packages[AMD64]] == [
        "base-files", "netbase", "tzdata", "media-types", "ca-certificates",
    ]  # fmt: skip


def test_authorities_are_one_bundle_in_the_order_of_their_names(tmp_path: Path, debs: Fetched) -> None:
    made = assemble("static", "debian12", [AMD64], tmp_path / "out", debs)
    files = rootfs(made.layout, AMD64)
    lines = files["etc/ssl/certs/ca-certificates.crt"].decode().splitlines()
    assert [line for line in lines if "-" not in line] == ["AAAA", "BBBB"]
    assert lines.count("-----END CERTIFICATE-----") == 2
    assert not [name for name in files if name.startswith("usr/share/ca-certificates")]


def test_base_is_static_and_a_few_more(tmp_path: Path, debs: Fetched) -> None:
    cache, out = tmp_path / "cache", tmp_path / "out"
    made = assemble_all("debian12", BOTH, cache, out)
    static, base = (Layout(made[kind].layout) for kind in ("static", "base"))
    below = static.layers(static.platforms(static.index())[AMD64])
    above = base.layers(base.platforms(base.index())[AMD64])
    assert [x.digest for x in above[: len(below)]] == [x.digest for x in below]
    assert len(above) == len(below) + len(SUITES["debian12"].base)
    assert made["base"].packages[ARM64][-1].name == "libssl3"
    alone = assemble("base", "debian12", BOTH, tmp_path / "alone", debs)
    assert alone.digest == made["base"].digest
    assert assemble("static", "debian12", BOTH, tmp_path / "alone", debs).digest == made["static"].digest


def test_the_order_of_platforms_does_not_matter(tmp_path: Path, debs: Fetched) -> None:
    one = assemble("static", "debian12", (AMD64, ARM64), tmp_path / "a", debs)
    two = assemble("static", "debian12", (ARM64, AMD64), tmp_path / "b", debs)
    assert one.digest == two.digest


def test_another_package_is_another_digest(tmp_path: Path, debs: Fetched) -> None:
    before = assemble_all("debian12", BOTH, tmp_path / "cache", tmp_path / "a")
    write_deb(debs[ARM64], "libc6", {"./usr/share/libc6": b"changed"})
    after = assemble_all("debian12", BOTH, tmp_path / "cache", tmp_path / "b")
    assert before["static"].digest == after["static"].digest
    assert before["base"].digest != after["base"].digest


@pytest.mark.usefixtures("debs")
def test_what_was_assembled_before_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = assemble_all("debian12", BOTH, tmp_path / "cache", tmp_path / "a")
    monkeypatch.setattr(bases, "_layers", None)
    again = assemble_all("debian12", reversed_platforms(), tmp_path / "cache", tmp_path / "b")
    assert {k: v.digest for k, v in again.items()} == {k: v.digest for k, v in first.items()}
    assert again["base"].packages == first["base"].packages
    assert rootfs(tmp_path / "b" / "base", ARM64) == rootfs(tmp_path / "a" / "base", ARM64)


def reversed_platforms() -> tuple[Platform, ...]:
    return tuple(reversed(BOTH))


def change_a_blob(kept: Path) -> None:
    largest = max((kept / "blobs" / "sha256").iterdir(), key=lambda p: p.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1] + b"!")


def lose_a_blob(kept: Path) -> None:
    min((kept / "blobs" / "sha256").iterdir()).unlink()


def empty_the_index(kept: Path) -> None:
    (kept / "index.json").write_text("{}")


def name_a_layer_as_the_index(kept: Path) -> None:
    image = Layout(kept)
    layer = image.layers(image.platforms(image.index())[AMD64])[0].digest
    (kept / "index.json").write_text(f'{{"manifests":[{{"digest":"{layer}","size":1}}]}}')


def drop_the_marker(kept: Path) -> None:
    (kept / "oci-layout").unlink()


@pytest.mark.usefixtures("debs")
@pytest.mark.parametrize(
    "harm", [change_a_blob, lose_a_blob, empty_the_index, name_a_layer_as_the_index, drop_the_marker]
)
def test_a_damaged_cache_is_made_again(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    first = assemble_all("debian12", BOTH, tmp_path / "cache", tmp_path / "a")
    (kept,) = (p for p in (tmp_path / "cache" / "bases").iterdir() if p.is_dir())
    harm(kept / "base")
    again = assemble_all("debian12", BOTH, tmp_path / "cache", tmp_path / "b")
    assert again["base"].digest == first["base"].digest
    assert rootfs(tmp_path / "b" / "base", AMD64) == rootfs(tmp_path / "a" / "base", AMD64)
    assert rootfs(kept / "base", AMD64) == rootfs(tmp_path / "a" / "base", AMD64)


def test_a_missing_package_is_named(tmp_path: Path, debs: Fetched) -> None:
    next(debs[ARM64].glob("tzdata_*")).unlink()
    with pytest.raises(UsageError, match=r"lacks tzdata for linux/arm64"):
        assemble("static", "debian12", BOTH, tmp_path / "out", debs)
    assert not (tmp_path / "out").exists()


def test_unknown_suites_and_systems_are_refused(tmp_path: Path) -> None:
    unknown: SuiteName = "debian11"  # type: ignore[assignment]
    with pytest.raises(UsageError, match="debian11") as caught:
        assemble("static", unknown, [AMD64], tmp_path / "out", {})
    assert "debian12, debian13" in caught.value.next_step
    with pytest.raises(UsageError, match="windows/amd64"):
        bases.fetch_debs("debian12", Platform("windows/amd64"), tmp_path)
