"""git is started in one place, and with which variables; what it then does is in tests/tools."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from sealift.model.names import Platform, Version
from sealift.tools import git, go
from sealift.tools.go import GoBuildRequest

ROOT = Path(__file__).parents[3]
ENSURE = "debian.ensure"
# What git itself says with `git rev-parse --local-env-vars` (2.39 and 2.51).
LOCAL = (
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CONFIG", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"),
    *("GIT_OBJECT_DIRECTORY", "GIT_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_GRAFT_FILE"),
    *(
        "GIT_INDEX_FILE",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_REPLACE_REF_BASE",
        "GIT_PREFIX",
        "GIT_REFERENCE_BACKEND",
    ),
    *("GIT_INTERNAL_SUPER_PREFIX", "GIT_SHALLOW_FILE", "GIT_COMMON_DIR"),
)
OTHERS = (
    *("GIT_CONFIG_KEY_0", "GIT_CONFIG_VALUE_0", "GIT_TEMPLATE_DIR", "GIT_EXTERNAL_DIFF", "GIT_TRACE"),
    *("GIT_TRACE2_EVENT", "GIT_EXEC_PATH", "GIT_NAMESPACE", "GIT_DEFAULT_HASH", "GIT_LITERAL_PATHSPECS"),
    *("GIT_ATTR_SOURCE", "GIT_ALLOW_PROTOCOL", "GIT_CONFIG_SYSTEM", "GIT_PAGER", "GIT_REDIRECT_STDERR"),
)


def starts_git(text: str) -> bool:
    """Tell whether a list or tuple of words begins with git: how every program is started here."""
    nodes = list(ast.walk(ast.parse(text)))
    # Programs that Debian's packages bring are listed, too, and not started.
    listed = {
        id(a) for n in nodes if isinstance(n, ast.Call) and ast.unparse(n.func) == ENSURE for a in n.args
    }
    return any(
        isinstance(node, ast.List | ast.Tuple)
        and id(node) not in listed
        and len(node.elts) > 1
        and isinstance(node.elts[0], ast.Constant)
        and node.elts[0].value == "git"
        for node in nodes
    )


def test_git_is_started_in_one_place() -> None:
    sources = [*(ROOT / "src").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py"), ROOT / "noxfile.py"]
    found = {str(p.relative_to(ROOT)) for p in sources if starts_git(p.read_text(encoding="utf-8"))}
    assert found == {"src/sealift/tools/git.py"}
    assert starts_git('run(("git", "status"))')


@pytest.mark.parametrize("own_settings", [False, True])
def test_no_variable_leads_git_elsewhere(own_settings: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*LOCAL, *OTHERS):
        monkeypatch.setenv(name, "theirs")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", "/home")
    env = git.environment(own_settings=own_settings)
    assert {name for name, value in env.items() if value == "theirs"} == set()
    assert {
        "PATH": os.environ["PATH"],
        "GIT_CEILING_DIRECTORIES": "/home",
        "LC_ALL": "C",
    }.items() <= env.items()
    assert ("GIT_CONFIG_GLOBAL" in env) is not own_settings


def test_the_git_that_go_starts_is_led_nowhere_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Said:
        stdout = "{}"

    for name in (*LOCAL, *OTHERS):
        monkeypatch.setenv(name, "theirs")
    monkeypatch.setattr("sealift.process.run", lambda *_, **__: Said)
    request = GoBuildRequest(
        module=tmp_path,
        package=".",
        variable="main.version",
        version=str(Version.parse("1.2.3")),
        platform=Platform("linux/amd64"),
        linkage="static",
        glibc=None,
        output=tmp_path,
        cache=tmp_path,
    )
    env = go.environment(Path("go"), request)
    # These two say where modules may come from, for the git that fetches one.
    assert {name for name, value in env.items() if value == "theirs"} == {
        "GIT_ALLOW_PROTOCOL",
        "GIT_CONFIG_SYSTEM",
    }
    assert git.stamping_environment().items() <= env.items()


def test_settings_in_variables_are_kept_and_cannot_outdo_ours() -> None:
    theirs = {
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "url.ssh://git@corp.example/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://corp.example/",
        "GIT_CONFIG_KEY_1": "core.fsmonitor",
        "GIT_CONFIG_VALUE_1": "/home/user/program",
    }
    env = theirs | git.stamping_environment(theirs)
    count = int(env["GIT_CONFIG_COUNT"])
    pairs = [(env[f"GIT_CONFIG_KEY_{n}"], env[f"GIT_CONFIG_VALUE_{n}"]) for n in range(count)]
    assert pairs[:2] == [(theirs[f"GIT_CONFIG_KEY_{n}"], theirs[f"GIT_CONFIG_VALUE_{n}"]) for n in (0, 1)]
    # Of a setting that is there twice, git takes the last.
    assert dict(pairs)["core.fsmonitor"] == "false"
    assert dict(pairs)["core.autocrlf"] == "false"
    assert dict(pairs)["safe.directory"] == "*"
