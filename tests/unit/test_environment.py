"""Which variables a program gets, and that no program is started past that list."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from sealift import environment
from sealift.environment import PASS, ROWS, TOKENS, environment_of, search_path, without_effect
from sealift.errors import UsageError
from sealift.tools.sigstore_token import SECRETS
from tests.unit.test_imports import sources

# Where a process begins: with the environment of the list, or with what a caller made of it.
STARTS = {
    ("sealift.process", "subprocess.Popen"),
    ("sealift.services.supervised", "subprocess.Popen"),
    ("sealift.services.supervisor", "subprocess.Popen"),
    ("sealift.commands.docker", "os.execve"),
    # Python itself, isolated.
    ("sealift.__main__", "os.execv"),
}
# What reads the whole environment: the list, the network's settings, and the world, whose environment goes
# through the list at each start.
READS = {"sealift.environment", "sealift.network", "sealift.production"}
HOSTILE = (
    *("LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "GLIBC_TUNABLES", "GODEBUG", "GOCOVERDIR", "GOFLAGS"),
    *("PYTHONPATH", "PYTHONSTARTUP", "PYTHONOPTIMIZE", "PYTHONHOME", "PYTHONBREAKPOINT", "PYTHONWARNINGS"),
    *("TRIVY_SEVERITY", "TRIVY_IGNOREFILE", "TRIVY_CONFIG", "TRIVY_SKIP_DIRS", "GRYPE_CONFIG", "SYFT_CONFIG"),
    *("COSIGN_REPOSITORY", "SIGSTORE_ROOT_FILE", "TUF_MIRROR", "REKOR_SERVER", "REGCTL_CONFIG"),
    *("DOCKER_DEFAULT_PLATFORM", "DOCKER_CONTENT_TRUST", "DOCKER_BUILDKIT", "DOCKER_CLI_PLUGIN_EXTRA_DIRS"),
    *("BUILDX_NO_DEFAULT_ATTESTATIONS", "BUILDX_METADATA_PROVENANCE", "BUILDKIT_HOST", "BUILDKIT_SYNTAX"),
    *("EXPERIMENTAL_BUILDKIT_SOURCE_POLICY", "SOURCE_DATE_EPOCH", "CONTAINERS_CONF", "CONTAINER_HOST"),
    *("CONTAINERS_CONF_OVERRIDE", "STORAGE_OPTS", "OTEL_EXPORTER_OTLP_ENDPOINT", "APT_CONFIG", "PIP_TARGET"),
    *("GIT_DIR", "GIT_TEMPLATE_DIR", "GIT_EXEC_PATH", "QEMU_LD_PREFIX", "NO_COLOR", "TZ", "LC_MESSAGES"),
)


def starts(text: str) -> set[str]:
    """Name what a module starts processes with."""
    names = {ast.unparse(node) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}
    found = {n for n in names if n.startswith(("os.exec", "os.spawn", "os.posix_spawn", "pty."))}
    found |= names & {"os.system", "os.popen", "os.fork", "os.forkpty"}
    found |= {
        f"subprocess.{n}" for n in ("Popen", "run", "call", "check_call", "check_output", "getoutput")
    } & names
    for node in ast.walk(ast.parse(text)):
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        modules += [a.name for a in node.names] if isinstance(node, ast.Import) else []
        found |= {
            m
            for m in modules
            if isinstance(node, ast.ImportFrom)
            and m in ("subprocess", "os")
            and {a.name for a in node.names}
            & {"Popen", "run", "call", "execv", "execve", "system", "environ"}
        }
        found |= {m for m in modules if m in ("multiprocessing", "pty", "pexpect", "sh", "plumbum")}
        if isinstance(node, ast.Attribute) and node.attr.startswith("create_subprocess"):
            found.add(node.attr)
    return found


def copies(text: str) -> list[str]:
    """Return where a module makes an environment of this process' own."""
    found = []
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Dict(keys=keys, values=values):
                found += [
                    ast.unparse(v) for k, v in zip(keys, values, strict=True) if k is None and _is_whole(v)
                ]
            case ast.Call(func=ast.Name(id="dict"), args=[argument, *_]) if _is_whole(argument):
                found.append(ast.unparse(node))
            case ast.Attribute(value=whole, attr="items" | "copy" | "keys" | "values") if _is_whole(whole):
                found.append(ast.unparse(node))
            case ast.BinOp(left=left, op=ast.BitOr(), right=right) if _is_whole(left) or _is_whole(right):
                found.append(ast.unparse(node))
            case ast.keyword(arg="env" | "environ", value=value) if _is_whole(value):
                found.append(ast.unparse(node))
    return found


def _is_whole(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and ast.unparse(node) == "os.environ"


def test_no_program_is_started_past_the_list() -> None:
    assert {(module, start) for module, text in sources().items() for start in starts(text)} == STARTS
    assert {module for module, text in sources().items() if copies(text)} <= READS


@pytest.mark.parametrize(
    "text",
    [
        "import subprocess\nsubprocess.run(['ls'])",
        "from subprocess import Popen",
        "import os\nos.system('ls')",
        "import os\nos.posix_spawn('/bin/ls', ['ls'], {})",
        "from os import execve",
        "import multiprocessing",
        "import asyncio\nasyncio.create_subprocess_exec('ls')",
    ],
)
def test_a_start_past_it_is_noticed(text: str) -> None:
    assert starts(text)


@pytest.mark.parametrize(
    "text",
    [
        "run(a, env={**os.environ, 'A': '1'})",
        "run(a, env=os.environ)",
        "run(a, env=dict(os.environ))",
        "run(a, env=os.environ | {'A': '1'})",
        "env = {k: v for k, v in os.environ.items()}",
        "env = os.environ.copy()",
    ],
)
def test_a_copy_of_the_environment_is_noticed(text: str) -> None:
    assert copies(text)


PROGRAMS = [name for name in ROWS if name.isascii() and "[" not in name and "." not in name]


@pytest.mark.parametrize("program", [*PROGRAMS, "trivy", "sh", "docker-credential-pass", "python3.11"])
def test_no_program_gets_what_changes_a_verdict_or_bytes(program: str) -> None:
    told = dict.fromkeys((*HOSTILE, *SECRETS, "ACTIONS_RUNTIME_URL"), "x") | {"PATH": "/bin"}
    harmless = ("NO_COLOR", "TZ", "LC_MESSAGES")
    named = [name for name in HOSTILE if name not in harmless]
    told[PASS] = ",".join((*named, *SECRETS, "TRIVY_*", "LD_*", "A*", "G*"))
    got = set(environment_of(program, told)) - {"PATH", "LC_ALL"}
    # This Python may need its own library; it is started with the same one.
    assert got == ({"LD_LIBRARY_PATH"} if program.startswith("python") else set())


@pytest.mark.parametrize(
    ("program", "name"),
    [
        *((("sudo", "-n", "podman", "version"), name) for name in ("STORAGE_DRIVER", "REGISTRY_AUTH_FILE")),
        *(
            ("docker", name)
            for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "SSH_AUTH_SOCK")
        ),
        *(("docker-buildx", name) for name in ("BUILDX_CONFIG", "KUBECONFIG", "DOCKER_HOST")),
        *(("regctl", name) for name in ("DOCKER_CONFIG", "AWS_PROFILE", "XDG_RUNTIME_DIR")),
        *(("docker-credential-pass", name) for name in ("GNUPGHOME", "PASSWORD_STORE_DIR")),
        *(("/usr/bin/git", name) for name in ("GIT_CEILING_DIRECTORIES", "HOME")),
        *(("go", name) for name in ("GOPROXY", "NETRC", "SSH_AUTH_SOCK", "GIT_CONFIG_KEY_12")),
        *(("/venv/bin/python3", name) for name in ("PIP_INDEX_URL", "PIP_CERT")),
        *(("anything", name) for name in ("HOME", "TMPDIR")),
    ],
)
def test_what_a_user_needs_passes(program: str | tuple[str, ...], name: str) -> None:
    assert environment_of(program, {name: "x"})[name] == "x"


def test_what_a_helper_reads_can_be_named() -> None:
    told = {
        PASS: "ACME_TOKEN, CORP_*, GITEA_*",
        "ACME_TOKEN": "1",
        "CORP_A": "2",
        "GITEA_TOKEN": "4",
        "OTHER": "3",
    }
    assert {"ACME_TOKEN", "CORP_A", "GITEA_TOKEN"} <= set(environment_of("cosign", told))
    assert "OTHER" not in environment_of("cosign", told)
    assert "ACME_TOKEN" not in environment_of("trivy", told)


def test_a_command_is_known_by_its_program_and_not_by_its_words() -> None:
    assert "DOCKER_HOST" not in environment_of(["file", "/bin/docker"], {"DOCKER_HOST": "x"})
    assert "DOCKER_HOST" in environment_of(
        ["/usr/bin/flock", "/l/docker.storage", "docker"], {"DOCKER_HOST": "x"}
    )


def test_no_entry_of_path_leads_to_the_repository() -> None:
    assert search_path({"PATH": ".::bin:/usr/bin:../x:/bin:"}) == "/usr/bin:/bin"
    assert Path(search_path({"PATH": "."}).split(":")[0]).is_absolute()


def test_a_variable_without_effect_is_named() -> None:
    told = {"TRIVY_SEVERITY": "CRITICAL", "BUILDX_BUILDER": "b", "AWS_PROFILE": "p", "LD_PRELOAD": "l"}
    assert without_effect(told) == ("LD_PRELOAD", "TRIVY_SEVERITY")


def test_the_signers_secrets_are_among_the_tokens() -> None:
    assert all(TOKENS.fullmatch(name) for name in SECRETS)


def test_a_temporary_folder_that_is_right_passes(tmp_path: Path) -> None:
    spaced = tmp_path / "with a space"
    spaced.mkdir()
    environment.check({"TMPDIR": str(spaced)})
    environment.check({"TMPDIR": ""})
    spaced.chmod(0o1777)
    environment.check({"TMPDIR": str(spaced)})
    spaced.chmod(0o777)
    with pytest.raises(UsageError, match="sticky"):
        environment.check({"TMPDIR": str(spaced)})
