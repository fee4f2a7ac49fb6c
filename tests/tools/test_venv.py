"""Commands start in a folder whose name a shell would change, and in every locale."""

from __future__ import annotations

import os
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
    own = environment / "bin" / "own"
    own.write_text(f"#!{environment}/bin/python\nimport sys\nprint(sys.prefix, *sys.argv[1:])\n")
    own.chmod(0o755)
    venv.main(environment)
    assert run([str(own), "a b", "c"]).stdout == f"{environment} a b c\n"
    assert str(environment) in run(version).stdout
    linked = tmp_path / "pip"
    linked.symlink_to(environment / "bin" / "pip")
    assert str(environment) in run([str(linked), "--version"], cwd=Path("/")).stdout
    activated = '. "$1" && printf "%s " "$VIRTUAL_ENV" && command -v pip'
    said = run(["sh", "-c", activated, "sh", str(environment / "bin" / "activate")]).stdout
    assert said == f"{environment} {environment}/bin/pip\n"


@pytest.mark.parametrize(
    "locale",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "ascii"},
    ],
)
def test_a_command_finds_a_checkout_in_every_locale(tmp_path: Path, locale: dict[str, str]) -> None:
    checkout = tmp_path / ODD
    checkout.mkdir(parents=True)
    run(["git", "init", "--quiet", checkout])
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **locale}
    done = run([sys.executable, "-m", "sealift", "rehearse", "stop"], cwd=checkout, env=env)
    assert done.stderr == "no services are up\n"
    # What it cannot find has its name in the error.
    missing = run([sys.executable, "-m", "sealift", "report"], cwd=checkout, env=env, check=False)
    assert missing.returncode == 2
    assert "cödé" in missing.stderr.encode().decode("unicode_escape") or "cödé" in missing.stderr
