"""Compilers' caches whose contents are swapped: compiled packages, modules, libc.

With exit code 0 the swapped copy was not used, and the run went on with what it made or fetched anew.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from sealift import records
from sealift.errors import RefusedError
from sealift.process import run
from sealift.tools import compiling, gocache, modules
from tests.attacks.catalogue import Attack, Kind, each
from tests.attacks.compiled import (
    GIT,
    IMPLANT,
    LIBRARY,
    UPPER,
    WRITTEN,
    Built,
    build,
    made_in,
    made_writable,
    packed_module,
    publish_module,
    sums,
)

pytestmark = pytest.mark.programs


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


@pytest.fixture
def built(compiled_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Built:
    monkeypatch.setenv("XDG_STATE_HOME", str(compiled_once / "state"))
    shutil.copytree(compiled_once / "cache", tmp_path / "cache", symlinks=True)
    made_writable(tmp_path / "cache" / "go-mod")
    return made_in(compiled_once, tmp_path / "cache")


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


def test_hashes_of_modules_are_those_of_go(compiled_once: Path) -> None:
    cache = compiled_once / "cache" / "go-mod"
    found = modules.read_sums([compiled_once / "repo" / "svc" / "go.sum"])
    assert set(found) == {(LIBRARY, "v1.0.0"), (UPPER, "v1.0.0")}
    modules.check(found, cache)
