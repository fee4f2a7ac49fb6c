"""What an error says, in few words that are the same ones in every run."""

from __future__ import annotations

import re

from sealift.errors import ManyErrors, SealiftError

_NOT_SHOWN = ("what it means:", "next:", "command:", "|")


def few(error: SealiftError) -> str:
    """Say an error in few words: its own first ones, and the last line of a program that failed."""
    if isinstance(error, ManyErrors):
        return few(error.errors[0])
    lines = [line.strip() for line in error.happened.splitlines()]
    said = [line for line in lines if not line.startswith(_NOT_SHOWN)]
    of_program = [line.removeprefix("| ") for line in lines if line.startswith("| ")]
    return plain(" ".join([*said[:2], *of_program[-1:]]))


def plain(text: str) -> str:
    """Leave out what differs from run to run: digests, ports, names of cases, seconds."""
    text = re.sub(r"sha256:[0-9a-f]{64}", "sha256:…", text)
    text = re.sub(r"(?:localhost|127\.0\.0\.1):\d+|HTTPConnection\w*\(host='\S+', port=\d+\)", "HOST", text)
    text = re.sub(r"\d+ bytes read, \d+ more", "N bytes read, N more", text)
    text = re.sub(r"[^ -~…]+", "?", text)
    text = re.sub(r"case-\d+/", "", text)
    text = re.sub(r"\b\d+(?:\.\d+)? s\b", "N s", text)
    text = re.sub(r"0x[0-9a-f]+", "0x…", text)
    return text if len(text) <= 150 else f"{text[:149]}…"
