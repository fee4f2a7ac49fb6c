"""Programs that are swapped after they were hashed or that no lock names, and the key of records."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sealift import process, records
from sealift.errors import RefusedError
from sealift.process import run
from sealift.provision import everything
from sealift.provision.programs import Program, bin_folder
from tests.attacks.catalogue import Attack, Kind, each
from tests.attacks.compiled import (
    IMPLANT,
    WRITTEN,
)

pytestmark = pytest.mark.programs

Folder = Callable[[Path], None]


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
