"""Small real ELF files; tests/assets/elf/make.sh makes them."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[2] / "assets" / "elf"


def asset(name: str, arch: str = "amd64") -> bytes:
    return (FOLDER / arch / name).read_bytes()
