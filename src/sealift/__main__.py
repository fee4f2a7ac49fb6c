"""The one place that ends the process."""

from __future__ import annotations

import sys

from sealift import console
from sealift.errors import SealiftError


def main() -> None:
    """Run the command line and exit with its code."""
    from sealift.cli import app

    try:
        app()
    except SealiftError as error:
        console.say(f"sealift: {error}")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
