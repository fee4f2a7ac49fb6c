"""Small repositories, and a user whose settings and variables turn everything around in git."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

WHO = {f"GIT_{who}_{what}": "n@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
PLAIN = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_DATE": "1700000000 +0100",
    "GIT_COMMITTER_DATE": "1700000000 +0100",
    **WHO,
}
# Each of these changed a byte, a name or an answer, or ran a program, before they were overridden.
HOSTILE = """
[core]
	autocrlf = true
	eol = crlf
	safecrlf = true
	symlinks = false
	ignoreCase = true
	attributesFile = {home}/attributes
	excludesFile = {home}/ignore
	fsmonitor = {home}/program
	hooksPath = {home}/hooks
	quotePath = true
	sparseCheckout = true
	pager = {home}/program
	worktree = {home}
[init]
	templateDir = {home}/template
	defaultBranch = elsewhere
	defaultObjectFormat = sha256
[clone]
	defaultRemoteName = strange
	rejectShallow = true
	filterSubmodules = true
[protocol]
	allow = never
[protocol "file"]
	allow = never
[transfer]
	hideRefs = refs
[uploadpack]
	packObjectsHook = {home}/program
[filter "loud"]
	smudge = {home}/program
	clean = {home}/program
	required = true
[filter "lfs"]
	process = {home}/program
	required = true
[diff]
	external = {home}/program
	ignoreSubmodules = all
	noprefix = true
[log]
	showSignature = true
	date = relative
	excludeDecoration = *
[gpg]
	program = {home}/program
[format]
	pretty = oneline
[status]
	short = true
	branch = true
	showUntrackedFiles = no
	relativePaths = false
	renames = copies
[tag]
	sort = -version:refname
[column]
	ui = always
[color]
	ui = always
	status = always
[submodule]
	recurse = true
[feature]
	manyFiles = true
[i18n]
	logOutputEncoding = UTF-16
[alias]
	status = !{home}/program
	rev-parse = !{home}/program
[url "https://nowhere.invalid/"]
	insteadOf = /
[safe]
	bareRepository = explicit
"""


@dataclass(frozen=True)
class Checkout:
    """A repository of a test's own, worked on with no settings at all."""

    folder: Path

    @classmethod
    def made(cls, folder: Path, files: dict[str, str | bytes] | None = None, *options: str) -> Checkout:
        folder.mkdir(parents=True)
        checkout = cls(folder)
        checkout.git("init", "--quiet", "--initial-branch=main", *options)
        checkout.commit({"one.txt": "one\n"} if files is None else files)
        return checkout

    def git(self, *words: str, stdin: str = "", **env: str) -> str:
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *words],
            cwd=self.folder,
            env=PLAIN | env,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr}"
        return done.stdout.strip()

    def write(self, files: dict[str, str | bytes]) -> None:
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self, files: dict[str, str | bytes]) -> str:
        self.write(files)
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--allow-empty", "--message=change")
        return self.head

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def state(self) -> dict[str, bytes]:
        """Give every byte below .git: what only the user may change."""
        return {str(p): p.read_bytes() for p in (self.folder / ".git").rglob("*") if p.is_file()}


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Give every file of a clone but git's own: its permissions, its bytes or what it links to."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes(),
        )
        for path in sorted(folder.rglob("*"))
        if ".git" not in path.parts and (path.is_symlink() or path.is_file())
    }


@dataclass(frozen=True)
class Hostile:
    """The user; ``ran`` tells which of the user's programs git started."""

    home: Path

    @property
    def ran(self) -> list[str]:
        marks = self.home / "ran"
        return marks.read_text().splitlines() if marks.exists() else []


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hostile:
    """Become that user, in whose way another repository stands, too."""
    home = tmp_path / "home"
    program = f'#!/bin/sh\necho "$0 $*" >> {home}/ran\nexit 1\n'
    for name in ("program", "hooks/post-checkout", "hooks/post-index-change", "template/hooks/post-checkout"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(program)
        (home / name).chmod(0o755)
    (home / "hooks" / "reference-transaction").symlink_to("post-checkout")
    (home / "attributes").write_text("* text eol=crlf filter=loud diff=loud\n")
    (home / "ignore").write_text("*\n")
    (home / ".gitconfig").write_text(HOSTILE.format(home=home))
    other = Checkout.made(tmp_path / "other")
    other.git("tag", "v7.7.7")
    variables = {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "GIT_DIR": str(other.folder / ".git"),
        "GIT_WORK_TREE": str(other.folder),
        "GIT_INDEX_FILE": str(other.folder / ".git" / "index"),
        "GIT_OBJECT_DIRECTORY": str(other.folder / ".git" / "objects"),
        "GIT_CONFIG_PARAMETERS": "'core.autocrlf=true'",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.fsmonitor",
        "GIT_CONFIG_VALUE_0": str(home / "program"),
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "GIT_CONFIG_SYSTEM": str(home / ".gitconfig"),
        "GIT_TEMPLATE_DIR": str(home / "template"),
        "GIT_EXTERNAL_DIFF": str(home / "program"),
        "GIT_TRACE": str(home / "trace"),
        "GIT_TRACE2_EVENT": str(home / "trace"),
        "GIT_EXEC_PATH": str(home),
        "GIT_DEFAULT_HASH": "sha256",
        "GIT_NAMESPACE": "elsewhere",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_ADVICE": "1",
        "LC_ALL": "de_DE.UTF-8",
        "LANGUAGE": "de",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Hostile(home)
