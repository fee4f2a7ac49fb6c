"""The one place that ends the process."""

from __future__ import annotations

import errno
import signal
import sys
from types import FrameType

from sealift import console
from sealift.errors import InterruptedReleaseError, OutsideError, SealiftError

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


def main() -> None:
    """Run the command line and exit with its code."""
    from sealift.cli import app

    signal.signal(signal.SIGTERM, _ended)
    try:
        app(prog_name="sealift")
    except SealiftError as error:
        _end(error)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        _end(_no_room(error))


def _end(error: SealiftError) -> None:
    console.say(f"sealift: {error}")
    sys.exit(error.exit_code)


def _no_room(error: OSError) -> SealiftError:
    """Say that a disk is full: it can be anywhere, and is nobody's defect."""
    where = error.filename or "a temporary file"
    return OutsideError(
        f"{where} could not be written: {error.strerror}",
        means="a disk is full; nothing half-done has a name that looks finished",
        next_step="make room (df -h shows where), then run the same again to go on",
    )


def _ended(_number: int, _frame: FrameType | None) -> None:
    raise InterruptedReleaseError("ended by SIGTERM", next_step="run the same again to go on")


if __name__ == "__main__":
    main()
