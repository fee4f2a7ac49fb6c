"""Programs that come as Debian packages: found, or installed by apt, or the line to type.

ensure(["runc", "qemu-aarch64-static"])
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from sealift import console
from sealift.errors import MissingProgramError
from sealift.network import child_env, network_env
from sealift.process import ProgramFailedError, run
from sealift.provision.root import root_prefix

# Which packages give a program. What podman uses on the way is named too: with
# --no-install-recommends nothing else would bring it.
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "chromium": ("chromium",),
    "dockerd": ("docker.io",),
    "file": ("file",),
    "git": ("git",),
    "mmdebstrap": ("mmdebstrap",),
    "podman": ("podman", "iptables", "netavark"),
    "qemu-aarch64-static": ("qemu-user-static",),
    "runc": ("runc",),
}
# A user's PATH lacks these on Debian; runc and iptables live there.
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
LOCK_SECONDS = 300


def find(program: str) -> Path | None:
    """Return the program's path, also from the system administrator's folders."""
    folders = os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS))
    found = shutil.which(program, path=folders)
    return Path(found) if found else None


def missing(programs: Collection[str]) -> tuple[str, ...]:
    """Name the programs that are not here."""
    return tuple(p for p in sorted(set(programs)) if find(p) is None)


def install_line(programs: Collection[str]) -> str:
    """Return what a person types to install these programs."""
    return _install_line(_packages(programs))


def _install_line(packages: Collection[str]) -> str:
    return f"sudo apt-get install -y --no-install-recommends {' '.join(packages)}"


def version_of(package: str) -> str:
    """Return an installed package's version, or an empty text."""
    if shutil.which("dpkg-query") is None:
        return ""
    return run(["dpkg-query", "-W", "-f", "${Version}", package], check=False, timeout=60).stdout


def ensure(programs: Collection[str]) -> dict[str, Path]:
    """Return each program's path, after installing the packages of those that were not here."""
    if absent := missing(programs):
        _install(absent, _packages(absent))
    if still := missing(programs):
        raise MissingProgramError(
            f"{', '.join(still)}: installed, and still not found",
            means="the package has another file of that name, or dpkg was told to leave it out",
            next_step=f"dpkg -L {' '.join(_packages(still))}",
        )
    return {p: path for p in programs if (path := find(p)) is not None}


def ensure_file(folder: Path, names: Collection[str], package: str) -> Path:
    """Return the first file of these names in a folder, after installing the package that brings it."""
    places = [folder / name for name in names]
    if not any(place.exists() for place in places):
        _install([package], [package])
    for place in places:
        if place.exists():
            return place
    raise MissingProgramError(
        f"{package} is installed, and {folder} has no {' or '.join(names)}",
        means="dpkg was told to leave it out, or the package changed",
        next_step=f"sudo apt-get install -y --reinstall {package}",
    )


def _packages(programs: Collection[str]) -> list[str]:
    return sorted({package for p in programs for package in PACKAGES[p]})


def _install(absent: Collection[str], packages: Collection[str]) -> None:
    names = ", ".join(absent)
    if shutil.which("apt-get") is None:
        raise MissingProgramError(
            f"{names}: not here, and this system has no apt-get",
            next_step=f"install what Debian calls {' '.join(packages)}",
        )
    prefix = root_prefix()
    if prefix is None:
        raise MissingProgramError(
            f"{names}: not here",
            means="installing needs root; this user has none and sudo asks for a password",
            next_step=_install_line(packages),
        )
    try:
        _apt(prefix, packages)
    except ProgramFailedError as error:
        raise MissingProgramError(
            f"{names}: could not be installed\n{error}",
            next_step=f"sudo apt-get update && {_install_line(packages)}",
        ) from error


def _apt(prefix: tuple[str, ...], packages: Collection[str]) -> None:
    """Install; the lists are fetched only when they are empty or too old for the mirror."""
    ways_out = network_env()
    # sudo starts with an empty environment; every user can read a command line.
    kept = [f"--preserve-env={','.join(ways_out)}"] if prefix and ways_out else []
    apt = [
        *prefix,
        *kept,
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-o",
        f"DPkg::Lock::Timeout={LOCK_SECONDS}",
    ]
    install = [*apt, "install", "-y", "-qq", "--no-install-recommends", *packages]
    console.say(f"installing Debian packages (about 30 s): {shlex.join(packages)}")
    env = child_env("apt-get")
    if run(install, env=env, check=False).returncode != 0:
        console.say("refreshing apt's lists and trying again")
        run([*apt, "update", "-qq"], env=env)
        run(install, env=env)
