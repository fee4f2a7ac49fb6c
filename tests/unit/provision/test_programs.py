from __future__ import annotations

import contextlib
import hashlib
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sealift import process, threads
from sealift.errors import ManyErrors, OutsideError, RefusedError
from sealift.process import Completed, ProgramFailedError
from sealift.provision import programs as module
from sealift.provision.cache import workspace
from sealift.provision.go import Go
from sealift.provision.lock import Lock
from sealift.provision.programs import Absent, Program, bin_folder, lasting_path, look, provide

GO = Go(path=Path("/go/bin/go"), version="1.26.8", origin="machine")


class FakeGo:
    """Builds a file that holds the program's name, as ``go build`` would."""

    def __init__(self) -> None:
        self.built: list[str] = []
        self.argv: list[str] = []
        self.env: dict[str, str] = {}
        self.caches: dict[str, str] = {}
        self.fails: BaseException | None = None
        self.running = 0
        self.most_running = 0
        self.lock = threading.Lock()

    def __call__(self, argv: list[str], *, cwd: Path, env: dict[str, str], **_: Any) -> Completed:
        with self.lock:
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            self.built.append(cwd.name)
            self.argv, self.env = argv, env
            self.caches[cwd.name] = env["GOCACHE"]
        out = Path(argv[argv.index("-o") + 1])
        out.write_text(f"the program {cwd.name}")
        out.chmod(0o755)
        with self.lock:
            self.running -= 1
        if self.fails is not None:
            raise self.fails
        return Completed(argv=tuple(argv), returncode=0, stdout="", stderr="")


@pytest.fixture
def go(monkeypatch: pytest.MonkeyPatch) -> FakeGo:
    fake = FakeGo()
    monkeypatch.setattr(module, "run", fake)
    monkeypatch.setattr(module, "find_go", lambda **_: GO)
    monkeypatch.setattr(module, "go_environment", lambda _: {"GOENV": "off"})
    return fake


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def sha256(name: str) -> str:
    return hashlib.sha256(f"the program {name}".encode()).hexdigest()


def files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock")


def test_a_program_is_built_once(ci: Path, add: Callable[..., Path], go: FakeGo, cache: Path) -> None:
    add("crane")
    first = provide(["crane"], cache=cache, ci=ci)["crane"]
    again = provide(["crane"], cache=cache, ci=ci)["crane"]
    assert go.built == ["crane"]
    assert (first.origin, again.origin) == ("built", "cache")
    assert first.path == again.path
    assert first.path.read_text() == "the program crane"
    assert (again.sha256, again.version, again.locked, again.note) == (sha256("crane"), "v2.3.4", False, "")
    assert files(cache) == ["crane", "crane.sha256"]


def test_a_build_has_its_own_caches_and_flags(
    ci: Path, add: Callable[..., Path], go: FakeGo, cache: Path
) -> None:
    add("crane", "env: {GOEXPERIMENT: jsonv2}\nldflags: -X a.b=1\n")
    provide(["crane"], cache=cache, ci=ci)
    assert {"-trimpath", "-buildvcs=false", "-ldflags=-s -w -X a.b=1"} <= set(go.argv)
    assert go.env["GOEXPERIMENT"] == "jsonv2"
    for name in ("GOMODCACHE", "GOCACHE", "GOTMPDIR"):
        assert Path(go.env[name]).is_relative_to(cache / "work" / "crane")
        assert not Path(go.env[name]).exists()


@pytest.mark.parametrize("locked", [True, False])
def test_a_cached_binary_with_another_hash_is_built_again(
    ci: Path, add: Callable[..., Path], go: FakeGo, cache: Path, locked: bool
) -> None:
    add("crane")
    if locked:
        Lock().having("crane", GO.key, sha256("crane")).write(ci / "tools.lock")
    path = provide(["crane"], cache=cache, ci=ci)["crane"].path
    path.write_text("poison")
    program = provide(["crane"], cache=cache, ci=ci)["crane"]
    assert (program.origin, program.locked) == ("built", locked)
    assert program.path.read_text() == "the program crane"
    assert "built again" in program.note
    assert go.built == ["crane", "crane"]


@pytest.mark.usefixtures("go")
def test_poison_with_a_record_of_its_own_is_built_again_when_the_lock_knows_better(
    ci: Path, add: Callable[..., Path], cache: Path
) -> None:
    add("crane")
    path = provide(["crane"], cache=cache, ci=ci)["crane"].path
    path.write_text("poison")
    path.with_name("crane.sha256").write_text(hashlib.sha256(b"poison").hexdigest())
    Lock().having("crane", GO.key, sha256("crane")).write(ci / "tools.lock")
    assert provide(["crane"], cache=cache, ci=ci)["crane"].path.read_text() == "the program crane"


@pytest.mark.usefixtures("go")
def test_a_binary_without_a_record_is_not_believed(ci: Path, add: Callable[..., Path], cache: Path) -> None:
    add("crane")
    provide(["crane"], cache=cache, ci=ci)["crane"].path.with_name("crane.sha256").unlink()
    assert "no recorded hash" in provide(["crane"], cache=cache, ci=ci)["crane"].note


@pytest.mark.usefixtures("go")
def test_a_built_binary_with_another_hash_than_the_lock_is_refused(
    ci: Path, add: Callable[..., Path], cache: Path
) -> None:
    add("crane")
    Lock().having("crane", GO.key, "00" * 32).write(ci / "tools.lock")
    with pytest.raises(RefusedError, match="doctor --lock"):
        provide(["crane"], cache=cache, ci=ci)
    assert files(cache) == []


@pytest.mark.usefixtures("go")
def test_the_lock_of_another_go_does_not_count(ci: Path, add: Callable[..., Path], cache: Path) -> None:
    add("crane")
    Lock().having("crane", "linux/amd64 go1.0", "00" * 32).write(ci / "tools.lock")
    assert not provide(["crane"], cache=cache, ci=ci)["crane"].locked


@pytest.mark.parametrize("fails", [KeyboardInterrupt(), OSError("disk full")])
def test_what_ends_a_build_leaves_nothing(
    ci: Path,
    add: Callable[..., Path],
    go: FakeGo,
    cache: Path,
    fails: BaseException,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "_ending", threading.Event())
    add("crane")
    go.fails = fails
    with pytest.raises(type(fails)):
        provide(["crane"], cache=cache, ci=ci)
    assert files(cache) == []
    go.fails = None
    assert provide(["crane"], cache=cache, ci=ci)["crane"].origin == "built"


def test_an_interrupt_ends_what_is_built_before_its_folders_are_removed(
    ci: Path, add: Callable[..., Path], cache: Path, go: FakeGo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one build is interrupted, another still writes into the caches that both share."""
    ended, told = threading.Event(), list[str]()
    monkeypatch.setattr(threads, "end_all", ended.set)

    def build(argv: list[str], *, cwd: Path, env: dict[str, str], **rest: Any) -> Completed:
        if cwd.name == "a":
            raise KeyboardInterrupt
        assert ended.wait(30)
        told.append(cwd.name)
        for number in range(200):
            Path(env["GOCACHE"], str(number)).write_text("half")
        return go(argv, cwd=cwd, env=env, **rest)

    monkeypatch.setattr(module, "run", build)
    add("a", "seconds: 90\n")
    add("b")
    with pytest.raises(KeyboardInterrupt):
        provide(["a", "b"], cache=cache, ci=ci)
    assert told == ["b"]
    assert not (cache / "work" / "caches").exists()


def test_a_build_that_fails_says_why(ci: Path, add: Callable[..., Path], go: FakeGo, cache: Path) -> None:
    add("crane")
    done = Completed(
        argv=("go", "build"), returncode=1, stdout="", stderr="verifying module: checksum mismatch"
    )
    go.fails = ProgramFailedError(done)
    with pytest.raises(OutsideError, match=r"crane v2\.3\.4 could not be built(?s:.*)checksum mismatch"):
        provide(["crane"], cache=cache, ci=ci)
    assert files(cache) == []


@pytest.mark.usefixtures("go")
def test_failures_beside_each_other_are_told_together(
    ci: Path, add: Callable[..., Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2)

    def fail(argv: list[str], **_: Any) -> Completed:
        both.wait(10)
        raise ProgramFailedError(Completed(argv=tuple(argv), returncode=1, stdout="", stderr="no"))

    monkeypatch.setattr(module, "run", fail)
    for name in ("a", "b"):
        add(name)
    with pytest.raises(ManyErrors) as caught:
        provide(["a", "b"], cache=cache, ci=ci)
    assert len(caught.value.errors) == 2


def test_great_ones_are_built_alone_and_the_rest_two_at_a_time(
    ci: Path, add: Callable[..., Path], go: FakeGo, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running: set[str] = set()
    beside: dict[str, set[str]] = {}
    pair = threading.Barrier(2)

    def build(argv: list[str], *, cwd: Path, **rest: Any) -> Completed:
        running.add(cwd.name)
        if cwd.name != "great":
            pair.wait(10)  # passes only if two are built at the same time
        beside[cwd.name] = running - {cwd.name}
        if cwd.name != "great":
            pair.wait(10)
        running.remove(cwd.name)
        return go(argv, cwd=cwd, **rest)

    monkeypatch.setattr(module, "run", build)
    add("great", "seconds: 450\n")
    for name in "abcd":
        add(name)
    assert sorted(provide(["great", *"abcd"], cache=cache, ci=ci)) == ["a", "b", "c", "d", "great"]
    assert beside.pop("great") == set()
    assert {len(others) for others in beside.values()} == {1}


def test_programs_share_the_compilers_caches_but_for_those_with_settings_of_their_own(
    ci: Path, add: Callable[..., Path], go: FakeGo, cache: Path
) -> None:
    for name in ("a", "b"):
        add(name)
    add("other", "env: {GOEXPERIMENT: jsonv2}\n")
    provide(["a", "b", "other"], cache=cache, ci=ci)
    assert go.caches["a"] == go.caches["b"] != go.caches["other"]
    assert not any(Path(folder).exists() for folder in go.caches.values())


@pytest.mark.parametrize("why", ["the disk is small", "another process has them"])
def test_where_caches_cannot_be_shared_each_program_has_its_own(
    ci: Path,
    add: Callable[..., Path],
    go: FakeGo,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    why: str,
) -> None:
    for name in ("a", "b"):
        add(name)
    with contextlib.ExitStack() as stack:
        if why == "the disk is small":
            monkeypatch.setattr(module, "SHARED_BYTES", 1 << 60)
        else:
            stack.enter_context(workspace(cache, "caches"))
        provide(["a", "b"], cache=cache, ci=ci)
    assert go.caches["a"] != go.caches["b"]


@pytest.mark.usefixtures("go")
def test_each_build_says_how_long_it_may_take(
    ci: Path, add: Callable[..., Path], cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add("a", "seconds: 33\n")
    add("b")
    provide(["a", "b"], cache=cache, ci=ci)
    said = capsys.readouterr().err
    # Two at a time: either may come first.
    for words in (
        "[1/2] building ",
        "[2/2] building ",
        " a v2.3.4 (may take 33 s)",
        " b v2.3.4 (may take 60 s)",
    ):
        assert words in said
    provide(["a", "b"], cache=cache, ci=ci)
    assert capsys.readouterr().err == ""


def test_what_another_process_built_meanwhile_is_taken(
    ci: Path, add: Callable[..., Path], go: FakeGo, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add("crane")
    absent = look(["crane"], go=GO, cache=cache, ci=ci)
    provide(["crane"], cache=cache, ci=ci)
    monkeypatch.setattr(module, "look", lambda *_, **__: absent)
    assert isinstance(absent["crane"], Absent)
    assert provide(["crane"], cache=cache, ci=ci)["crane"].origin == "cache"
    assert go.built == ["crane"]


def program(path: Path) -> Program:
    path.write_text("the program")
    file = process.OpenProgram(path)
    return Program(
        name=path.name, path=path, file=file, sha256=file.sha256, version="", origin="cache", locked=True
    )


def test_a_folder_for_path_holds_links_to_what_was_hashed_and_nothing_else(tmp_path: Path) -> None:
    crane = program(tmp_path / "crane")
    folder = bin_folder([crane])
    assert [p.name for p in folder.iterdir()] == ["crane"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    crane.path.unlink()
    assert (folder / "crane").read_text() == "the program"


def test_a_lasting_path_leads_to_the_same_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crane = program(tmp_path / "crane")
    monkeypatch.setenv("PATH", f"{bin_folder([crane])}:/bin")
    assert lasting_path(tmp_path / "bin") == f"{tmp_path / 'bin'}:/bin"
    assert (tmp_path / "bin" / "crane").readlink() == crane.path
