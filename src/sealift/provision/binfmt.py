"""Running arm64 programs here: the kernel hands them to qemu, by a registration in binfmt_misc.

The flag F matters: the kernel then opens qemu at registration, so it is there in containers too.
https://docs.kernel.org/admin-guide/binfmt-misc.html
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from sealift import console
from sealift.errors import MissingProgramError
from sealift.places import shell_word
from sealift.process import ProgramFailedError, run
from sealift.provision.root import root_prefix

FOLDER = Path("/proc/sys/fs/binfmt_misc")
CONF = Path("/usr/lib/binfmt.d/qemu-aarch64.conf")
# A little-endian 64-bit ELF file for machine 183, AArch64.
MAGIC_START, MAGIC_END = "7f454c460201", "b700"


@dataclass(frozen=True, kw_only=True)
class Handler:
    """One registration as the kernel shows it."""

    name: str
    enabled: bool
    interpreter: str
    flags: str
    magic: str

    @property
    def for_arm64(self) -> bool:
        """Whether it is asked when an arm64 program is started."""
        return self.enabled and self.magic.startswith(MAGIC_START) and self.magic.endswith(MAGIC_END)


def parse_handler(name: str, text: str) -> Handler:
    """Read a file in binfmt_misc."""
    lines = text.splitlines()
    words = dict(line.split(maxsplit=1) for line in lines if " " in line)
    return Handler(
        name=name,
        enabled="enabled" in lines,
        interpreter=words.get("interpreter", ""),
        flags=words.get("flags:", ""),
        magic=words.get("magic", ""),
    )


def registration(conf: str) -> str:
    """Return the one line of a binfmt.d file that counts."""
    lines = [line for line in conf.splitlines() if line.strip() and line[0] not in "#;"]
    if len(lines) != 1:
        raise MissingProgramError(
            f"{CONF} has {len(lines)} registrations, not one",
            next_step="sudo apt-get install --reinstall qemu-user-static",
        )
    return lines[0]


def arm64_handler(folder: Path = FOLDER) -> Handler | None:
    """Return the registration for arm64 that is in force."""
    if not (folder / "register").exists():
        return None
    names = (p.name for p in sorted(folder.iterdir()) if p.name not in ("register", "status"))
    handlers = (parse_handler(name, (folder / name).read_text()) for name in names)
    return next((h for h in handlers if h.for_arm64), None)


def is_arm64() -> bool:
    """Whether this machine needs no qemu for arm64."""
    return platform.machine() in ("aarch64", "arm64")


def ensure_arm64(*, folder: Path = FOLDER, conf: Path = CONF) -> str:
    """Make arm64 programs run here, and say how in a few words; raises if they cannot."""
    if is_arm64():
        return "this machine is arm64"
    handler = arm64_handler(folder) or _register(folder, conf)
    if "F" not in handler.flags:
        raise MissingProgramError(
            f"arm64 programs are handed to {handler.interpreter} without the flag F",
            means="inside a container that file is not there, so no arm64 image would start",
            next_step=f"echo -1 | sudo tee {shell_word(folder / handler.name)}, then run this again",
        )
    return f"{handler.interpreter} (flags {handler.flags})"


def _register(folder: Path, conf: Path) -> Handler:
    if not conf.exists():
        raise MissingProgramError(
            f"{conf} is not there",
            means="the package that tells the kernel about qemu is missing",
            next_step="sudo apt-get install -y --no-install-recommends qemu-user-static",
        )
    prefix = root_prefix()
    if prefix is None:
        raise _cannot(folder, conf, "it needs root; this user has none and sudo asks for a password")
    console.say("registering qemu for arm64 with the kernel (binfmt_misc)")
    try:
        if not (folder / "register").exists():
            run([*prefix, "mount", "-t", "binfmt_misc", "binfmt_misc", folder])
        if (there := arm64_handler(folder)) is not None:  # it was registered, and only not mounted here
            return there
        run([*prefix, "tee", folder / "register"], stdin=f"{registration(conf.read_text())}\n".encode())
    except ProgramFailedError as error:
        raise _cannot(folder, conf, f"the kernel or this container does not allow it\n{error}") from error
    if (made := arm64_handler(folder)) is None:
        raise _cannot(folder, conf, "the kernel took the line and shows no registration")
    return made


def _cannot(folder: Path, conf: Path, means: str) -> MissingProgramError:
    register = shell_word(folder / "register")
    mount = f"test -e {register} || mount -t binfmt_misc binfmt_misc {shell_word(folder)}"
    return MissingProgramError(
        "arm64 programs cannot be run here: qemu is not registered with the kernel",
        means=means,
        next_step=f"sudo sh -c {shell_word(f'{mount}; cat {shell_word(conf)} > {register}')}",
    )
