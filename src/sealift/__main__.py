"""The one place that ends the process."""

from __future__ import annotations

import signal
import sys
from types import FrameType

from sealift import console
from sealift.errors import InterruptedReleaseError, SealiftError


def main() -> None:
    """Run the command line and exit with its code."""
    from sealift.cli import app

    signal.signal(signal.SIGTERM, _ended)
    try:
        app(prog_name="sealift")
    except SealiftError as error:
        console.say(f"sealift: {error}")
        sys.exit(error.exit_code)


def _ended(_number: int, _frame: FrameType | None) -> None:
    raise InterruptedReleaseError("ended by SIGTERM", next_step="run the same again to go on")


if __name__ == "__main__":
    main()
