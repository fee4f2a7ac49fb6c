"""A whole rehearsal in places that users have, each with an engine that holds no image yet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

import pytest

from sealift.provision.everything import Provided
from tests.kills.left import OwnDesk, own_desk

pytestmark = pytest.mark.programs

CAPITAL = "Projects"
# A space, both quotes, what a shell, a URL and a format string would replace, and what no image's name may
# hold; as long as a path of 200 characters makes it.
ODD = """Ünï cödé/My "Project"'s $HOME %20 -_x"""
LONG = 200


def odd_and_long() -> str:
    """Return folders whose whole path, with a clone in them, has ``LONG`` characters."""
    taken = len(f"{tempfile.gettempdir()}/kills-12345678/{ODD}//desk")
    return f"{ODD}/{'x' * (LONG - taken)}"


def rehearse(desk: OwnDesk) -> dict[str, Any]:
    """Run a release as from a virtual environment in the clone, and return its report."""
    (desk.folder / ".venv").symlink_to(sys.prefix)
    temporary = desk.folder.with_name("tmp")
    temporary.mkdir()
    done = subprocess.run(
        [desk.folder / ".venv" / "bin" / "python", "-m", "sealift", "release"],
        cwd=desk.folder,
        env={**os.environ, **desk.env, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    assert list(temporary.iterdir()) == []
    report: dict[str, Any] = json.loads((desk.latest / "report.json").read_text(encoding="utf-8"))
    return report


def images(report: dict[str, Any]) -> dict[str, str]:
    return {variant: image["digest"] for variant, image in report["images"].items()}


def test_a_release_is_the_same_in_every_place(provided: Provided) -> None:
    assert provided.programs
    reports = []
    for below in (CAPITAL, odd_and_long()):
        with own_desk(below) as desk:
            assert not (desk.cache / "podman").exists()
            report = rehearse(desk)
            smoked = list((desk.latest / "evidence" / "smoke").glob("*.json"))
            assert len(smoked) == len(report["images"]) * 2
            assert (desk.cache / "podman" / "storage").is_dir()
            assert desk.left() == []
            where = desk.folder
        reports.append(report)
    assert len(str(where)) == LONG
    assert images(reports[0]) == images(reports[1])
