"""How a command is run as root here: we are, or sudo asks for no password, or not at all."""

from __future__ import annotations

import os
import shutil

from sealift.process import run


def root_prefix() -> tuple[str, ...] | None:
    """Return the words that go before a command, or None."""
    if os.geteuid() == 0:
        return ()
    if shutil.which("sudo") and run(["sudo", "-n", "true"], check=False, timeout=30).returncode == 0:
        return ("sudo", "-n")
    return None
