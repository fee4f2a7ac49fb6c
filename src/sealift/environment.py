"""Which variables of the user each program gets: one list, by program. No other variable reaches a program.

    env = environment_of("cosign")                   # the user's PATH, HOME, DOCKER_CONFIG, AWS_PROFILE, ...
    env = environment_of(["sudo", "-n", "podman"])   # of the program behind sudo

What decides a verdict or the bytes of a release is in no row: a caller sets it, by name. Proxies and
certificate authorities come from ``network.child_env``, which adds them to this.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from sealift.errors import UsageError

# Names of further variables for programs that log in to registries: no list foresees every helper.
PASS = "SEALIFT_PASS"  # noqa: S105 - the name of a variable
# Messages are compared, so they are English; names of files are UTF-8.
FIXED = {"LC_ALL": "C.UTF-8"}

_EVERY = "PATH|HOME|USER|LOGNAME|TMPDIR"
# What credential helpers and keyrings read, and the clouds' clients inside cosign and buildx.
_LOGINS = (
    r"DOCKER_(?:CONFIG|AUTH_CONFIG|CREDENTIAL_\w+|\w+_(?:USR|PSW))|REGISTRY_AUTH_FILE|XDG_\w+|DBUS_SESSION_BUS_ADDRESS"
    r"|(?:AWS|ECR|AMAZON|GOOGLE|GCE|GCLOUD|GCR|CLOUDSDK|AZURE|ARM|ACR|MSI|IDENTITY|OCI|ALIBABA_CLOUD|ALICLOUD"
    r"|IBMCLOUD|DIGITALOCEAN|SCW|OS|KUBERNETES|VAULT|OP|BW|PASSWORD_STORE|PINENTRY|GPG|GITLAB|CI_REGISTRY)_\w+"
    r"|CI_JOB_TOKEN|KUBECONFIG|GNUPGHOME|DISPLAY|WAYLAND_DISPLAY|XAUTHORITY"
)
_SSH = r"SSH_(?:AUTH_SOCK|ASKPASS|ASKPASS_REQUIRE)"
# Which engine is asked, and how it is reached.
_DOCKER = rf"DOCKER_(?:HOST|CONTEXT|CERT_PATH|TLS|TLS_VERIFY|API_VERSION|CUSTOM_HEADERS)|{_SSH}|{_LOGINS}"
# Where Go's modules come from. https://go.dev/ref/mod#environment-variables
_GO_MODULES = "GO(?:PROXY|SUMDB|PRIVATE|NOPROXY|NOSUMDB|NOSUMCHECK|INSECURE|AUTH|VCS|ENV)"
# And what go reads of its user, with the git and ssh that it starts for a private module. The variables that
# name a repository (GIT_DIR and its like) would point Go's stamp at another one.
_GO = (
    rf"{_GO_MODULES}|{_SSH}|NETRC|XDG_(?:CONFIG_HOME|CACHE_HOME|RUNTIME_DIR)|DBUS_SESSION_BUS_ADDRESS"
    r"|GIT_(?:SSH|SSH_COMMAND|SSH_VARIANT|ASKPASS|TERMINAL_PROMPT|ALLOW_PROTOCOL|PROXY_COMMAND)"
    r"|GIT_CONFIG_(?:GLOBAL|SYSTEM|NOSYSTEM|COUNT|KEY_\d+|VALUE_\d+)"
)
ROWS: Mapping[str, str] = {
    "apt-config": "",
    "apt-get": "",
    "buildkitd": "XDG_RUNTIME_DIR",
    "cosign": _LOGINS,
    "docker": _DOCKER,
    "docker-buildx": f"BUILDX_(?:BUILDER|CONFIG)|{_DOCKER}",
    r"docker-credential-.+": _LOGINS,
    # How far up a checkout is looked for, and the user's own settings, which tools/git.py reads or not.
    "git": "GIT_CEILING_DIRECTORIES|GIT_DISCOVERY_ACROSS_FILESYSTEM|XDG_CONFIG_HOME",
    "go": _GO,
    # What the machine needs: a kernel without overlays, or a container around podman. CONTAINERS_CONF and
    # CONTAINER_HOST would have another engine, or containers with more than an image describes.
    "podman": r"STORAGE_DRIVER|CONTAINERS_(?:STORAGE|REGISTRIES)_CONF|_CONTAINERS_\w+|BUILDAH_ISOLATION"
    rf"|{_LOGINS}",
    # pip, for Go; every file has the hash that is locked. LD_LIBRARY_PATH is where this Python found its own
    # library.
    r"python[\d.]*": r"LD_LIBRARY_PATH|NETRC|XDG_(?:CONFIG|CACHE)_HOME|PIP_(?:INDEX_URL|EXTRA_INDEX_URL"
    r"|FIND_LINKS|NO_INDEX|TRUSTED_HOST|CERT|CLIENT_CERT|PROXY|TIMEOUT|DEFAULT_TIMEOUT|RETRIES|KEYRING_PROVIDER"
    r"|CONFIG_FILE|CACHE_DIR|NO_CACHE_DIR)",
    "regctl": _LOGINS,
}
# What only starts another program.
_STARTERS = ("env", "flock", "setpriv", "setsid", "sudo")
# These log in to registries, and get what SEALIFT_PASS names, too.
_LOG_IN = ("cosign", "docker", "docker-buildx", "podman", "regctl")
# What only the signer and the draft may see; sealift itself reads them.
TOKENS = re.compile(r"ACTIONS_\w+|GITHUB_TOKEN|GH_TOKEN")
# Set to change a verdict, bytes, or what a program is: they reach no program, which is mentioned once.
_WITHOUT_EFFECT = re.compile(
    r"(?:TRIVY|GRYPE|SYFT|COSIGN|SIGSTORE|TUF|REKOR|FULCIO|REGCTL|BUILDKIT|OTEL|QEMU)_\w+"
    r"|BUILDX_(?!BUILDER$|CONFIG$)\w+"
    r"|EXPERIMENTAL_BUILDKIT_\w+|DOCKER_(?:DEFAULT_PLATFORM|CONTENT_TRUST\w*|BUILDKIT|CLI_\w+)"
    r"|CONTAINERS_CONF\w*|CONTAINER_(?:HOST|CONNECTION)|STORAGE_OPTS|SOURCE_DATE_EPOCH|GODEBUG|GOFLAGS|GOCOVERDIR"
    r"|LD_(?:PRELOAD|AUDIT)|GLIBC_TUNABLES|APT_CONFIG"
)
# What makes another program of one.
_CODE = re.compile(r"(?:LD|GIT|PIP|SEALIFT)_\w+|GO[A-Z0-9]+|PYTHON\w+|DOCKER_(?:BUILDKIT|CLI)\w*")


def environment_of(
    program: str | Sequence[str | os.PathLike[str]], told: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return what a program gets of an environment, this process' own without ``told``.

    Of a command the program counts that sudo, flock or setsid starts.
    """
    told = os.environ if told is None else told
    words = [program] if isinstance(program, str) else [os.fspath(word) for word in program]
    name, *further = [Path(word).name for word in words]
    if name in _STARTERS:
        name = next((one for one in further if _row(one) is not None), name)
    wanted = re.compile(f"{_EVERY}|{_row(name) or ''}{_passed(name, told)}")
    env = {k: v for k, v in told.items() if wanted.fullmatch(k)}
    return {**env, "PATH": search_path(told), **FIXED}


def search_path(told: Mapping[str, str] | None = None) -> str:
    """Return PATH without entries that lead to the current folder, where the repository is."""
    entries = (os.environ if told is None else told).get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(entry for entry in entries if Path(entry).is_absolute()) or os.defpath


def without_effect(told: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Name the variables that are set and reach no program."""
    return tuple(sorted(k for k in (os.environ if told is None else told) if _WITHOUT_EFFECT.fullmatch(k)))


def check(told: Mapping[str, str] | None = None) -> None:
    """Raise UsageError for a TMPDIR that cannot be used: Python would take another place than programs do."""
    place = (os.environ if told is None else told).get("TMPDIR", "")
    folder = Path(place)
    if not place:
        return
    if not folder.is_absolute():
        why = "each program would look for it in its own working folder"
    elif not folder.is_dir():
        why = "there is no such folder"
    elif not os.access(folder, os.W_OK | os.X_OK):
        why = "this user cannot write there"
    elif folder.stat().st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
        why = "every user can replace files in it: it has no sticky bit"
    else:
        return
    raise UsageError(
        f"TMPDIR={place} cannot be used: {why}",
        means="what is built, scanned and signed lies there for a while",
        next_step="export TMPDIR=FOLDER, one that only you can write; or unset TMPDIR",
    )


@lru_cache
def _row(name: str) -> str | None:
    return next((row for pattern, row in ROWS.items() if re.fullmatch(pattern, name)), None)


def _passed(name: str, told: Mapping[str, str]) -> str:
    """Write SEALIFT_PASS as a pattern, for a program that logs in: names, with ``*`` for the rest of one."""
    if name not in _LOG_IN and not name.startswith("docker-credential-"):
        return ""
    wishes = "|".join(re.findall(r"[A-Za-z_]\w*\*?", told.get(PASS, ""))).replace("*", r"\w*")
    named = (k for k in told if re.fullmatch(wishes, k) and not _never(k))
    return "".join(f"|{re.escape(k)}" for k in named)


def _never(name: str) -> bool:
    return any(pattern.fullmatch(name) for pattern in (_WITHOUT_EFFECT, TOKENS, _CODE))
