"""Finding Debian in apt's sources, and when a fetch is needed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from sealift import process
from sealift.errors import MissingProgramError, OutsideError, UsageError
from sealift.provision import debian
from sealift.rehearsal import apt
from sealift.rehearsal.apt import Mirror, deb822_sources, mirror, one_line_sources, read_sources
from tests.unit.rehearsal.debs import write_debs

NAMES = ("libc6", "tzdata")
SOURCES = """\
Types: deb
# a date
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""


@pytest.fixture(autouse=True)
def _apts_own_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(apt.VARIABLE, raising=False)


@pytest.fixture
def keyrings(tmp_path: Path) -> Path:
    folder = tmp_path / "keyrings"
    folder.mkdir()
    (folder / "debian-archive-keyring.gpg").touch()
    return folder


def test_finds_the_archive_and_its_security_updates(keyrings: Path) -> None:
    found = mirror(deb822_sources(SOURCES), keyrings)
    assert (found.archive, found.security) == (
        "http://mirror.example/debian",
        "http://mirror.example/security",
    )
    wanted = found.sources("trixie")
    assert "Suites: trixie trixie-updates\n" in wanted
    assert "Suites: trixie-security\n" in wanted
    assert wanted.count(f"Signed-By: {keyrings}/debian-archive-keyring.gpg\n") == 2
    assert "trusted" not in wanted.lower()


def test_lines_are_read_as_paragraphs_are(keyrings: Path) -> None:
    lines = """\
# deb http://old.example/debian buster main
deb [arch=amd64 signed-by=/k/tool.gpg] https://tool.example stable main
deb-src http://mirror.example/debian bookworm main
deb http://mirror.example/debian bookworm main contrib  # ours
deb [ arch=amd64 ] http://mirror.example/security bookworm-security main
"""
    found = mirror(one_line_sources(lines), keyrings)
    assert (found.archive, found.security) == (
        "http://mirror.example/debian",
        "http://mirror.example/security",
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        SOURCES.replace("debian-archive-keyring", "other"),
        SOURCES.replace("Types: deb\n", "Types: deb-src\n"),
        SOURCES.replace("Types: deb\n", "Types: deb\nEnabled: no\n"),
        SOURCES.replace("Components: main", "Components: contrib"),
        SOURCES.partition("\n\n")[2],
        "Types: deb\nURIs: http://ubuntu.example\nSuites: noble\nComponents: main\n",
        "Types: deb\nURIs: http://flat.example\nComponents: main\n",
    ],
    ids=["nothing", "another key", "sources only", "disabled", "no main", "security only", "ubuntu", "flat"],
)
def test_a_machine_without_debian_is_told_what_to_do(text: str, keyrings: Path) -> None:
    with pytest.raises(OutsideError, match="no Debian archive") as caught:
        mirror(deb822_sources(text), keyrings)
    assert "SEALIFT_DEBIAN_MIRROR=" in caught.value.next_step
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("text", "security"),
    [
        ("http://told.example/debian", None),
        (" https://told.example/debian  http://told.example:80/s ", "http://told.example:80/s"),
    ],
)
def test_a_machine_is_told_its_mirror_by_a_variable(
    text: str, security: str | None, keyrings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEALIFT_DEBIAN_MIRROR", text)
    for sources in ((), deb822_sources(SOURCES)):
        found = mirror(sources, keyrings)
        assert (found.archive.partition("://")[2], found.security) == ("told.example/debian", security)
        assert found.keyring == keyrings / "debian-archive-keyring.gpg"


@pytest.mark.parametrize("text", ["mirror.example", "file:/debian", "http://a b http://c", 'http://a";x'])
def test_a_variable_that_names_no_mirror_is_refused(
    text: str, keyrings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEALIFT_DEBIAN_MIRROR", text)
    with pytest.raises(UsageError, match="SEALIFT_DEBIAN_MIRROR is") as caught:
        mirror(deb822_sources(SOURCES), keyrings)
    assert caught.value.exit_code == 2


def test_an_empty_variable_tells_nothing(keyrings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEALIFT_DEBIAN_MIRROR", "")
    assert mirror(deb822_sources(SOURCES), keyrings).archive == "http://mirror.example/debian"


def test_without_debians_keys_nothing_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_a, **_k: None)
    with pytest.raises(MissingProgramError, match="debian-archive-keyring: not here") as caught:
        mirror(deb822_sources(SOURCES), tmp_path)
    assert caught.value.exit_code == 5


def test_debians_keys_are_installed_where_they_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(_prefix: tuple[str, ...], packages: Sequence[str]) -> None:
        assert list(packages) == ["debian-archive-keyring"]
        (tmp_path / "debian-archive-keyring.pgp").touch()

    monkeypatch.setattr(shutil, "which", lambda name, **_k: f"/usr/bin/{name}")
    monkeypatch.setattr(debian, "root_prefix", lambda: ())
    monkeypatch.setattr(debian, "_apt", install)
    assert mirror(deb822_sources(SOURCES), tmp_path).keyring.name == "debian-archive-keyring.pgp"


def test_keys_that_their_package_does_not_bring_are_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian, "_install", lambda *_a: None)
    with pytest.raises(MissingProgramError, match="debian-archive-keyring is installed, and"):
        mirror(deb822_sources(SOURCES), tmp_path)


def test_reads_every_file_that_apt_reads(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text("deb http://one.example/debian bookworm main\n")
    (parts / "two.list").write_text("deb http://two.example/debian bookworm main\n")
    (parts / "three.sources").write_text(SOURCES)
    (parts / "four.sources.disabled").write_text(SOURCES.replace("mirror", "four"))
    assert [s.uri for s in read_sources(tmp_path)] == [
        "http://one.example/debian",
        "http://two.example/debian",
        "http://mirror.example/debian",
        "http://mirror.example/security",
    ]


class Apt:
    """Stands in for apt: puts packages where it is told to, or cannot reach a mirror."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.settings = ""
        self.reachable = True
        self.brings: Sequence[str] = NAMES

    def __call__(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 0,
    ) -> process.Completed:
        words = tuple(os.fspath(a) for a in argv)
        self.calls.append(words[:3])
        done = process.Completed(argv=words, returncode=0, stdout="", stderr="")
        if words[0] == "apt-config":
            return done
        assert env is not None
        assert timeout
        self.settings = Path(env["APT_CONFIG"]).read_text()
        if not self.reachable:
            raise process.ProgramFailedError(done, "apt-get ended with status 100")
        if "download" in words:
            assert cwd is not None
            write_debs(cwd, self.brings)
        return done

    @property
    def updates(self) -> int:
        return sum("update" in call for call in self.calls)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, keyrings: Path) -> Apt:
    found = Mirror(archive="http://mirror.example", security=None, keyring=keyrings / "k.gpg")
    fake = Apt()
    monkeypatch.setattr(process, "run", fake)
    monkeypatch.setattr(apt, "mirror", lambda: found)
    return fake


def fetch(tmp_path: Path, names: tuple[str, ...] = NAMES) -> Path:
    return apt.fetch("bookworm", "arm64", names, tmp_path / "cache")


def age(tmp_path: Path, seconds: float) -> None:
    record = tmp_path / "cache" / "bookworm-arm64.json"
    told = msgspec.json.decode(record.read_bytes())
    record.write_bytes(msgspec.json.encode(told | {"at": told["at"] - seconds}))


def test_fetches_in_a_root_of_its_own(tmp_path: Path, stand_in: Apt) -> None:
    folder = fetch(tmp_path)
    assert sorted(p.name.partition("_")[0] for p in folder.iterdir()) == ["libc6", "tzdata"]
    assert 'APT::Architecture "arm64";' in stand_in.settings
    assert f'Dir "{tmp_path / "cache"}/' in stand_in.settings
    left = {p.name for p in (tmp_path / "cache").iterdir()}
    assert left == {folder.name, "bookworm-arm64.json", "bookworm-arm64.lock"}


def test_within_a_day_apt_is_not_asked_again(tmp_path: Path, stand_in: Apt) -> None:
    folder = fetch(tmp_path)
    asked = len(stand_in.calls)
    age(tmp_path, apt.DAY - 60)
    assert fetch(tmp_path) == folder
    assert len(stand_in.calls) == asked


def test_after_a_day_apt_is_asked_again(tmp_path: Path, stand_in: Apt) -> None:
    folder = fetch(tmp_path)
    age(tmp_path, apt.DAY + 1)
    assert fetch(tmp_path) == folder
    assert stand_in.updates == 2
    fetch(tmp_path)
    assert stand_in.updates == 2


def test_a_record_from_the_future_is_not_fresh(tmp_path: Path, stand_in: Apt) -> None:
    fetch(tmp_path)
    age(tmp_path, -3600)
    fetch(tmp_path)
    assert stand_in.updates == 2


def test_a_changed_package_is_fetched_again(tmp_path: Path, stand_in: Apt) -> None:
    folder = fetch(tmp_path)
    package = next(folder.glob("libc6_*"))
    good = package.read_bytes()
    package.write_bytes(good + b"\n")
    assert next(fetch(tmp_path).glob("libc6_*")).read_bytes() == good
    assert stand_in.updates == 2


def test_other_names_are_another_fetch(tmp_path: Path, stand_in: Apt) -> None:
    fetch(tmp_path)
    stand_in.brings = (*NAMES, "zlib1g")
    folder = fetch(tmp_path, (*NAMES, "zlib1g"))
    assert len(list(folder.iterdir())) == 3


def test_a_damaged_record_is_no_record(tmp_path: Path, stand_in: Apt) -> None:
    fetch(tmp_path)
    (tmp_path / "cache" / "bookworm-arm64.json").write_text("{")
    fetch(tmp_path)
    assert stand_in.updates == 2


def test_without_a_mirror_and_without_packages_it_says_so(tmp_path: Path, stand_in: Apt) -> None:
    stand_in.reachable = False
    with pytest.raises(OutsideError, match="bookworm arm64 could not be fetched") as caught:
        fetch(tmp_path)
    assert caught.value.means
    assert "apt-get update" in caught.value.next_step
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["bookworm-arm64.lock"]


def test_without_a_mirror_yesterdays_packages_serve(
    tmp_path: Path, stand_in: Apt, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fetch(tmp_path)
    age(tmp_path, 2 * apt.DAY)
    stand_in.reachable = False
    assert fetch(tmp_path) == folder
    assert "as they were before" in capsys.readouterr().err


def test_changed_packages_do_not_serve(tmp_path: Path, stand_in: Apt) -> None:
    folder = fetch(tmp_path)
    age(tmp_path, 2 * apt.DAY)
    stand_in.reachable = False
    next(folder.glob("libc6_*")).write_bytes(b"other")
    with pytest.raises(OutsideError, match="could not be fetched"):
        fetch(tmp_path)


def test_an_incomplete_fetch_is_not_kept(tmp_path: Path, stand_in: Apt) -> None:
    stand_in.brings = ("libc6",)
    with pytest.raises(OutsideError, match="asked for libc6, tzdata and fetched libc6"):
        fetch(tmp_path)
    assert not list((tmp_path / "cache").glob("bookworm-arm64-*"))
