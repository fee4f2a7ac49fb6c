"""Build info of programs that Go really made."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sealift.elf.gobuild import build_info_of
from sealift.errors import UsageError
from sealift.process import run
from sealift.tools.gobinary import read_build_info

pytestmark = pytest.mark.programs

GO_ENV = {"GOENV": "off", "GOFLAGS": "", "GOTOOLCHAIN": "local", "GOPROXY": "off", "CGO_ENABLED": "0"}
GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")


def build(folder: Path, *, arch: str = "amd64", vcs: bool = True) -> Path:
    """Build a module of two: the program, and a library that a replacement stands in for."""
    env = os.environ | GO_ENV | {"GOOS": "linux", "GOARCH": arch}
    program = folder.parent / "hello"
    run(["go", "build", "-trimpath", f"-buildvcs={vcs}".lower(), "-o", program, "."], cwd=folder, env=env)
    return program


@pytest.fixture
def module(tmp_path: Path) -> Path:
    files = {
        "go.mod": "module example.com/hello\n\ngo 1.24\n\nrequire example.com/lib v1.2.3\n\n"
        "replace example.com/lib => ./lib\n",
        "main.go": 'package main\n\nimport "example.com/lib"\n\nfunc main() { println(lib.Word) }\n',
        "lib/go.mod": "module example.com/lib\n\ngo 1.24\n",
        "lib/lib.go": 'package lib\n\nconst Word = "hello"\n',
    }
    folder = tmp_path / "module"
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_a_stamped_program(module: Path) -> None:
    for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "start")):
        run([*GIT, *words], cwd=module)
    commit = run(["git", "rev-parse", "HEAD"], cwd=module).stdout.strip()
    info = read_build_info(build(module, arch="arm64"))
    assert info.go_version.startswith("go1.")
    assert (info.path, info.main_module.path) == ("example.com/hello", "example.com/hello")
    assert [(m.path, m.version, m.sum, m.folder) for m in info.modules] == [
        ("example.com/lib", "v1.2.3", "", "./lib")
    ]
    assert (info.vcs_revision, info.vcs_modified) == (commit, False)
    assert (info.cgo_enabled, info.goos, info.goarch) == (False, "linux", "arm64")
    assert build_info_of((module.parent / "hello").read_bytes(), "hello") == info

    (module / "main.go").write_text("package main\n\nfunc main() {}\n")
    changed = read_build_info(build(module))
    assert (changed.vcs_modified, changed.goarch, changed.modules) == (True, "amd64", ())


def test_an_unstamped_program(module: Path) -> None:
    info = read_build_info(build(module, vcs=False))
    assert (info.vcs_revision, info.vcs_modified) == (None, None)


def test_a_program_that_lost_its_executable_bit(module: Path) -> None:
    """Artifacts between jobs come without it."""
    program = build(module, vcs=False)
    program.chmod(0o644)
    assert read_build_info(program).goarch == "amd64"


def test_the_machines_own_go_settings_do_not_matter(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOFLAGS", "-nonsense")
    assert read_build_info(build(module, vcs=False)).goos == "linux"


def test_programs_that_go_did_not_make(module: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no Go build info"):
        read_build_info(Path(sys.executable))
    cut = tmp_path / "cut"
    cut.write_bytes(build(module, vcs=False).read_bytes()[:1000])
    for mode in (0o644, 0o755):
        cut.chmod(mode)
        with pytest.raises(UsageError, match="damaged"):
            read_build_info(cut)
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(UsageError, match="is not a file"):
            read_build_info(path)
