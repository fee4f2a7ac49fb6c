"""Caches whose contents are swapped: compiled packages, modules, base images, programs.

With exit code 0 the swapped copy was not used, and the run went on with what it made or fetched anew.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import pytest

from sealift import process, production, records
from sealift.errors import RefusedError
from sealift.model.names import Digest, Platform
from sealift.process import run
from sealift.provision import everything
from sealift.provision.programs import Program, bin_folder
from sealift.rehearsal import apt, bases, golang
from sealift.rehearsal.bases import assemble_all
from sealift.rehearsal.distroless import SUITES
from sealift.stations.base import look_blobs
from sealift.stations.gate import Looks
from sealift.tools import compiling, go, gocache, govulncheck, modules, trivy
from sealift.tools.layout import Layout
from sealift.tools.podman_store import kept_store
from tests.attacks.catalogue import Attack, Kind, each
from tests.unit.rehearsal.debs import write_deb, write_debs

pytestmark = pytest.mark.programs

# Two texts of one length: what the source says, and what somebody wants to ship.
WRITTEN, IMPLANT = "as-it-was-written", "an-evil-implant!!"
LIBRARY, UPPER = "example.com/lib", "example.com/Upper"
GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
AMD64 = Platform("linux/amd64")


# What go compiled before, and the modules that it fetched.


@dataclass(frozen=True)
class Built:
    """A program of two modules, compiled once: the request, its caches, and the user's key."""

    request: go.GoBuildRequest
    proxy: Path

    @property
    def entries(self) -> list[Path]:
        """The entries of actions whose file holds the text."""
        return [
            entry for entry in self.store.glob("??/*-a") if WRITTEN.encode() in self.data(entry).read_bytes()
        ]

    @property
    def store(self) -> Path:
        return self.request.cache / "go-build"

    @property
    def mod(self) -> Path:
        return self.request.cache / "go-mod"

    @property
    def library(self) -> Path:
        return self.mod / "example.com" / "lib@v1.0.0"

    @property
    def archive(self) -> Path:
        return self.mod / "cache" / "download" / "example.com" / "lib" / "@v" / "v1.0.0.zip"

    def data(self, entry: Path) -> Path:
        output = entry.read_text().split()[0]
        return self.store / output[:2] / f"{output}-d"

    def forged(self, entry: Path) -> tuple[str, bytes]:
        """Return the file of an action with the implant, put under its own hash."""
        body = self.data(entry).read_bytes().replace(WRITTEN.encode(), IMPLANT.encode())
        output = hashlib.sha256(body).hexdigest()
        place = self.store / output[:2] / f"{output}-d"
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(body)
        return output, body


def publish_module(proxy: Path, path: str, word: str) -> None:
    escaped = path.replace("U", "!u")
    folder = proxy / escaped / "@v"
    folder.mkdir(parents=True)
    mod = f"module {path}\n\ngo 1.24\n"
    (folder / "v1.0.0.mod").write_text(mod)
    (folder / "v1.0.0.info").write_text('{"Version":"v1.0.0"}')
    (folder / "v1.0.0.zip").write_bytes(packed_module(path, mod, word))


def packed_module(path: str, mod: str, word: str) -> bytes:
    name, packed = path.rpartition("/")[2].lower(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as files:
        files.writestr(f"{path}@v1.0.0/go.mod", mod)
        files.writestr(f"{path}@v1.0.0/{name}.go", f'package {name}\n\nvar Word = "{word}"\n')
        files.writestr(f"{path}@v1.0.0/notes.txt", "none\n")
    return packed.getvalue()


def sums(proxy: Path, path: str) -> str:
    folder = proxy / path.replace("U", "!u") / "@v"
    with zipfile.ZipFile(folder / "v1.0.0.zip") as files:
        names = {name: hashlib.sha256(files.read(name)).hexdigest() for name in files.namelist()}
    return "".join(
        f"{path} v1.0.0{of} h1:{base64.b64encode(hashlib.sha256(lines.encode()).digest()).decode()}\n"
        for of, lines in (
            ("", "".join(f"{digest}  {name}\n" for name, digest in sorted(names.items()))),
            ("/go.mod", f"{hashlib.sha256((folder / 'v1.0.0.mod').read_bytes()).hexdigest()}  go.mod\n"),
        )
    )


@pytest.fixture(scope="session")
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the program with the real go, from a module proxy that is a folder."""
    root = tmp_path_factory.mktemp("caches")
    for path in (LIBRARY, UPPER):
        publish_module(root / "proxy", path, WRITTEN)
    module = root / "repo" / "svc"
    (module / "cmd" / "x").mkdir(parents=True)
    requires = "".join(f"require {path} v1.0.0\n" for path in (LIBRARY, UPPER))
    (module / "go.mod").write_text(f"module example.com/svc\n\ngo 1.24\n\n{requires}")
    (module / "go.sum").write_text("".join(sums(root / "proxy", path) for path in (UPPER, LIBRARY)))
    (module / "cmd" / "x" / "main.go").write_text(
        f'package main\n\nimport (\n\tupper "{UPPER}"\n\t"{LIBRARY}"\n)\n\n'
        "func main() { println(lib.Word, upper.Word) }\n"
    )
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "start")):
        run([*GIT, *words], cwd=root / "repo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(root / "state"))
        build(made_in(root, root / "cache"), patch)
    return root


def made_in(root: Path, cache: Path) -> Built:
    request = go.GoBuildRequest(
        module=root / "repo" / "svc",
        package="./cmd/x",
        variable="main.version",
        version="1.2.3",
        platform=AMD64,
        linkage="static",
        glibc=None,
        output=cache.with_name(f"{cache.name}-run") / "x",
        cache=cache,
    )
    return Built(request, root / "proxy")


def build(built: Built, patch: pytest.MonkeyPatch) -> str:
    """Compile, and return what the program says."""
    patch.setenv("GOPROXY", built.proxy.as_uri())
    patch.setenv("GOSUMDB", "off")
    go.build(Path(process.resolve("go")), built.request)
    return run([built.request.output]).stderr


@pytest.fixture
def built(compiled_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Built:
    monkeypatch.setenv("XDG_STATE_HOME", str(compiled_once / "state"))
    shutil.copytree(compiled_once / "cache", tmp_path / "cache", symlinks=True)
    made_writable(tmp_path / "cache" / "go-mod")
    return made_in(compiled_once, tmp_path / "cache")


def made_writable(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)


def test_what_was_compiled_before_is_used(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {entry: entry.read_bytes() for entry in built.entries}
    assert len(before) >= 2
    assert build(built, monkeypatch) == f"{WRITTEN} {WRITTEN}\n"
    assert {entry: entry.read_bytes() for entry in before} == before


def overwrite(built: Built) -> None:
    for entry in built.entries:
        data = built.data(entry)
        data.write_bytes(data.read_bytes().replace(WRITTEN.encode(), IMPLANT.encode()))


def point_elsewhere(built: Built) -> None:
    for entry in built.entries:
        output, body = built.forged(entry)
        _, _, made, code = entry.read_text().split()
        entry.write_text(f"{output} {len(body)} {made} {code}\n")


def sign_with_another_key(built: Built) -> None:
    store = gocache.Store(built.store, b"\1" * 32)
    for entry in built.entries:
        store.put(entry.name.removesuffix("-a"), *built.forged(entry))


def write_as_go_does(built: Built) -> None:
    for entry in built.entries:
        output, body = built.forged(entry)
        entry.write_text(f"v1 {entry.name.removesuffix('-a')} {output} {len(body):20} {1:20}\n")


def link_the_file(built: Built) -> None:
    for entry in built.entries:
        (built.store / "implant").write_bytes(built.forged(entry)[1])
        built.data(entry).unlink()
        built.data(entry).symlink_to(built.store / "implant")


def swap_two_entries(built: Built) -> None:
    one, other, *_ = built.entries
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def take_another_users_cache(built: Built) -> None:
    sign_with_another_key(built)
    ours = set(built.entries)
    for entry in set(built.store.glob("??/*-a")) - ours:
        output, size, made, _ = entry.read_text().split()
        entry.write_text(f"{output} {size} {made} {'0' * 64}\n")


def leave_only_data(built: Built) -> None:
    point_elsewhere(built)
    for entry in built.entries:
        entry.write_text(entry.read_text()[:64])


Harm = Callable[[Built], None]


def compiled(sample: str, artefact: Harm) -> Attack[Harm]:
    return Attack(
        kind=Kind.CACHES,
        sample=sample,
        artefact=artefact,
        stage="compile",
        words=f"{WRITTEN} {WRITTEN}\n",
        exit_code=0,
    )


@each(
    compiled("compiled packages with other bytes", overwrite),
    compiled("entries that name another compiled package", point_elsewhere),
    compiled("compiled packages with the code of another key", sign_with_another_key),
    compiled("entries as go itself writes them", write_as_go_does),
    compiled("a link in place of a compiled package", link_the_file),
    compiled("the entry of another package", swap_two_entries),
    compiled("a whole compile cache of another user", take_another_users_cache),
    compiled("entries that are cut short", leave_only_data),
)
def test_what_others_compiled_is_compiled_again(
    built: Built, attack: Attack[Harm], monkeypatch: pytest.MonkeyPatch
) -> None:
    attack.artefact(built)
    attack.assert_ended(0, build(built, monkeypatch))


def change_source(folder: Path) -> None:
    for file in folder.glob("*.go"):
        file.write_text(file.read_text().replace(WRITTEN, IMPLANT))


def change_the_library(built: Built) -> None:
    change_source(built.library)


def change_a_name_with_capitals(built: Built) -> None:
    change_source(built.mod / "example.com" / "!upper@v1.0.0")


def add_a_file(built: Built) -> None:
    (built.library / "more.go").write_text(f'package lib\n\nfunc init() {{ Word = "{IMPLANT}" }}\n')


def remove_a_file(built: Built) -> None:
    (built.library / "notes.txt").unlink()


def rename_a_file(built: Built) -> None:
    (built.library / "notes.txt").rename(built.library / "notes_linux.txt")


def link_a_file(built: Built) -> None:
    outside = built.mod / "outside.txt"
    outside.write_text("none\n")
    (built.library / "notes.txt").unlink()
    (built.library / "notes.txt").symlink_to(outside)


def link_the_module(built: Built) -> None:
    outside = built.mod / "outside"
    built.library.rename(outside)
    change_source(outside)
    built.library.symlink_to(outside)


def change_the_noted_hash(built: Built) -> None:
    change_the_library(built)
    noted = base64.b64encode(hashlib.sha256(b"").digest()).decode()
    built.archive.with_suffix(".ziphash").write_text(f"h1:{noted}")


def module(sample: str, artefact: Harm, words: str = "go.sum says h1:") -> Attack[Harm]:
    return Attack(kind=Kind.CACHES, sample=sample, artefact=artefact, stage="compile", words=words)


@each(
    module("a module with other source", change_the_library),
    module("a module with capitals in its name and other source", change_a_name_with_capitals),
    module("a module with a file more", add_a_file),
    module("a module with a file less", remove_a_file),
    module("a module with a file of another name", rename_a_file),
    module("a link in place of a module's file", link_a_file, "is a link, which no module has"),
    module("a link in place of a module", link_the_module),
    module("a module whose noted hash was changed with it", change_the_noted_hash),
)
def test_a_module_that_was_changed_since_is_refused(
    built: Built, attack: Attack[Harm], monkeypatch: pytest.MonkeyPatch
) -> None:
    attack.artefact(built)
    with pytest.raises(RefusedError) as caught:
        build(built, monkeypatch)
    attack.assert_blocked_by(caught.value)
    assert not built.request.output.exists()


def swap_the_archive(built: Built) -> None:
    shutil.rmtree(built.library)
    built.archive.write_bytes(packed_module(LIBRARY, f"module {LIBRARY}\n\ngo 1.24\n", IMPLANT))


def swap_the_archive_of_half_a_module(built: Built) -> None:
    built.archive.write_bytes(packed_module(LIBRARY, f"module {LIBRARY}\n\ngo 1.24\n", IMPLANT))
    built.archive.with_suffix(".partial").touch()


@each(
    compiled("another archive of a module that is not unpacked", swap_the_archive),
    compiled("another archive of a module that counts as half unpacked", swap_the_archive_of_half_a_module),
)
def test_an_archive_that_go_would_not_compare_is_fetched_again(
    built: Built, attack: Attack[Harm], monkeypatch: pytest.MonkeyPatch
) -> None:
    attack.artefact(built)
    attack.assert_ended(0, build(built, monkeypatch))


def let_others_write(built: Built) -> None:
    built.request.cache.parent.chmod(0o777)


def belong_to_another(built: Built) -> None:
    os.chown(built.request.cache, 12345, 12345)


def own_cache(sample: str, artefact: Harm) -> Attack[Harm]:
    return replace(compiled(sample, artefact), words="this run compiles anew")


@each(
    own_cache("a compile cache below a folder that others can write", let_others_write),
    own_cache("a compile cache of another user", belong_to_another),
)
def test_caches_that_others_can_write_are_not_used(
    built: Built, attack: Attack[Harm], capsys: pytest.CaptureFixture[str]
) -> None:
    if os.geteuid() != 0 and attack.artefact is belong_to_another:
        pytest.skip("only root gives a folder away")
    attack.artefact(built)
    own = built.request.output.parent
    assert compiling.trusted(built.request.cache, own=own) == own / "caches"
    attack.assert_ended(0, capsys.readouterr().err)


# What zig made of libc.


def packed(name: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    return out.getvalue()


ZIG = "x86_64-linux-gnu.2.36"


def zig_archive(cache: Path, target: str) -> tuple[Path, str]:
    name = f"zig {metadata.version('ziglang')} {target}"
    return cache / "zig" / f"{name.replace(' ', '-')}.tar", name


def without_a_code(cache: Path) -> None:
    place, _ = zig_archive(cache, ZIG)
    place.parent.mkdir(parents=True)
    place.write_bytes(f"{'0' * 64}\n".encode() + packed("crt1.o"))


def of_another_target(cache: Path) -> None:
    place, _ = zig_archive(cache, ZIG)
    records.write(place, zig_archive(cache, "aarch64-linux-gnu.2.36")[1], packed("crt1.o"))


def changed_afterwards(cache: Path) -> None:
    place, name = zig_archive(cache, ZIG)
    records.write(place, name, packed("crt1.o"))
    place.write_bytes(place.read_bytes().replace(b"crt1.o", b"evil.o"))


Folder = Callable[[Path], None]


def libc(sample: str, artefact: Folder) -> Attack[Folder]:
    return Attack(
        kind=Kind.CACHES, sample=sample, artefact=artefact, stage="compile", words="begins empty", exit_code=0
    )


@each(
    libc("startup files of libc that this user did not make", without_a_code),
    libc("startup files of another platform", of_another_target),
    libc("startup files that were changed afterwards", changed_afterwards),
)
def test_what_zig_did_not_make_for_this_user_is_not_linked(tmp_path: Path, attack: Attack[Folder]) -> None:
    attack.artefact(tmp_path)
    with compiling.zig_cache(tmp_path, ZIG, own=tmp_path) as folder:
        found = [path.name for path in folder.iterdir()]
    attack.assert_ended(0, f"begins with {found}" if found else "begins empty")


# Base images.


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


# Programs.


def script(path: Path, word: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {word}\n")
    path.chmod(0o755)
    return path


def program(path: Path, *, locked: bool = True) -> Program:
    file = process.OpenProgram(path)
    return Program(
        name=path.name, path=path, file=file, sha256=file.sha256, version="", origin="cache", locked=locked
    )


def replaced(place: Path) -> None:
    script(place.with_name("implant"), IMPLANT).replace(place)


def behind_a_link(place: Path) -> None:
    place.unlink()
    place.symlink_to(script(place.with_name("implant"), IMPLANT))


def folder_replaced(place: Path) -> None:
    place.parent.rename(place.parent.with_name("aside"))
    script(place, IMPLANT)


def beside(place: Path) -> None:
    for name in ("git", "podman"):
        script(place.with_name(name), IMPLANT)


def started(sample: str, artefact: Folder) -> Attack[Folder]:
    return Attack(
        kind=Kind.CACHES, sample=sample, artefact=artefact, stage="programs", words=WRITTEN, exit_code=0
    )


@each(
    started("a program that is replaced after it was hashed", replaced),
    started("a link that leads to another program after it was hashed", behind_a_link),
    started("a programs folder that is replaced after it was hashed", folder_replaced),
)
def test_what_was_hashed_is_what_starts(
    tmp_path: Path, attack: Attack[Folder], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = script(tmp_path / "programs" / "cosign", WRITTEN)
    monkeypatch.setenv("PATH", f"{bin_folder([program(place)])}:/usr/bin:/bin")
    attack.artefact(place)
    done = run(["cosign"])
    attack.assert_ended(done.returncode, done.stdout)


@each(
    started("a foreign git beside the programs of the cache", beside),
    started("a foreign podman beside the programs of the cache", beside),
)
def test_nothing_beside_the_programs_is_found(
    tmp_path: Path, attack: Attack[Folder], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = attack.sample.split()[2]
    script(tmp_path / "system" / name, WRITTEN)
    place = script(tmp_path / "programs" / "cosign", WRITTEN)
    attack.artefact(place)
    monkeypatch.setenv("PATH", f"{bin_folder([program(place)])}:{tmp_path / 'system'}:/bin")
    done = run([name])
    attack.assert_ended(done.returncode, done.stdout)


@each(
    Attack(
        kind=Kind.CACHES,
        sample="a program that is written to after it was hashed",
        artefact=IMPLANT,
        stage="programs",
        words="was changed while this run uses it",
    )
)
def test_a_program_that_is_written_to_is_not_started(
    tmp_path: Path, attack: Attack[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = script(tmp_path / "programs" / "cosign", WRITTEN)
    monkeypatch.setenv("PATH", f"{bin_folder([program(place)])}:/usr/bin:/bin")
    found = place.stat()
    with place.open("r+") as file:
        file.write(place.read_text().replace(WRITTEN, attack.artefact))
    os.utime(place, ns=(found.st_atime_ns, found.st_mtime_ns))
    with pytest.raises(RefusedError) as caught:
        run(["cosign"])
    attack.assert_blocked_by(caught.value)


@each(
    Attack(
        kind=Kind.CACHES,
        sample="a program that was taken out of tools.lock",
        artefact="cosign",
        stage="programs",
        words="not in ci/tools.lock for this platform and Go: cosign",
    )
)
def test_a_program_that_is_not_locked_takes_no_part(
    tmp_path: Path, attack: Attack[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {
        name: program(script(tmp_path / name, WRITTEN), locked=name != attack.artefact)
        for name in ("cosign", "crane")
    }
    monkeypatch.setattr(everything, "provide", lambda *_, **__: found)
    with pytest.raises(RefusedError) as caught:
        everything.provide_all(found, cache=tmp_path)
    attack.assert_blocked_by(caught.value)


# The key.


def readable_by_others(state: Path) -> None:
    (state / "sealift" / "key").chmod(0o644)


def of_a_folder_for_all(state: Path) -> None:
    (state / "sealift").chmod(0o777)


def a_link(state: Path) -> None:
    place = state / "sealift" / "key"
    place.rename(state / "key")
    place.symlink_to(state / "key")


def too_short(state: Path) -> None:
    (state / "sealift" / "key").write_bytes(b"")


def key(sample: str, artefact: Folder) -> Attack[Folder]:
    words = "what earlier runs left in the cache is not used"
    return Attack(
        kind=Kind.CACHES, sample=sample, artefact=artefact, stage="records", words=words, exit_code=0
    )


@each(
    key("a key that others can read", readable_by_others),
    key("a key in a folder that others can write", of_a_folder_for_all),
    key("a link in place of the key", a_link),
    key("an empty key", too_short),
)
def test_a_key_that_others_may_have_gives_no_record(
    tmp_path: Path,
    attack: Attack[Folder],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    records.write(tmp_path / "record", "a record", b"content")
    assert records.read(tmp_path / "record", "a record") == b"content"
    attack.artefact(tmp_path)
    assert records.read(tmp_path / "record", "a record") is None
    attack.assert_ended(0, capsys.readouterr().err)


def test_hashes_of_modules_are_those_of_go(compiled_once: Path) -> None:
    cache = compiled_once / "cache" / "go-mod"
    found = modules.read_sums([compiled_once / "repo" / "svc" / "go.sum"])
    assert set(found) == {(LIBRARY, "v1.0.0"), (UPPER, "v1.0.0")}
    modules.check(found, cache)


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
