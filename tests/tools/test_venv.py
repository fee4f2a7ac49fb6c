"""The scripts of a virtual environment start in a folder whose name a shell would change."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sealift.process import run
from sealift.provision import venv

pytestmark = pytest.mark.programs

ODD = """Ünï cödé/My "Project"'s $HOME `x` %20 -_x"""


def test_the_scripts_of_an_environment_start_in_an_odd_place(tmp_path: Path) -> None:
    environment = tmp_path / ODD / ".venv"
    # As make does; pip writes such a script for each package.
    run([sys.executable, "-m", "venv", str(environment)])
    version = [str(environment / "bin" / "pip"), "--version"]
    assert run(version, check=False).returncode != 0
    venv.main(environment)
    assert str(environment) in run(version).stdout
    linked = tmp_path / "pip"
    linked.symlink_to(environment / "bin" / "pip")
    assert str(environment) in run([str(linked), "--version"], cwd=Path("/")).stdout
    activated = '. "$1" && printf "%s " "$VIRTUAL_ENV" && command -v pip'
    said = run(["sh", "-c", activated, "sh", str(environment / "bin" / "activate")]).stdout
    assert said == f"{environment} {environment}/bin/pip\n"
