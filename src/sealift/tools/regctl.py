"""Images copied by regctl: with blobs mounted, uploaded in parts, and manifests after what they name.

    copy("localhost:5001/static@sha256:...", "ghcr.io/owner/name@sha256:...", plain_http=("localhost:5001",))

A reference is a registry's or, as ``ocidir://folder:tag``, an OCI layout folder's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

from sealift.errors import OutsideError, RefusedError
from sealift.model.names import Digest
from sealift.network import blamed, child_env
from sealift.places import linked
from sealift.process import Completed, ProgramFailedError, run

LAYOUT = "ocidir://"
_IN_LAYOUT = re.compile(rf"{LAYOUT}(?P<folder>.+?)(?P<name>@[a-z0-9]+:[0-9a-f]+|:[\w.-]+)?", re.DOTALL)
TIMEOUT = 300.0
# regctl hashes what it reads, and says so.
_OTHER_BYTES = re.compile(r"digest mismatch")
# Where the answer to an upload was lost it goes on in chunks, of an upload that the registry has ended since.
_ENDED = re.compile(r"failed to send blob \(chunk\)(?:(?!\[http)[^\n])*\[http 4(?:00|04|16)\]")
_REFUSED = re.compile(r"\[http 4(?!08|25|29)\d\d\]")
# It has tried five times, each after the pause that was asked for; how long that was it does not say.
_IN_VAIN = re.compile(r"\[http 429\]|retry limit exceeded")
LEAVE_ALONE = 30.0
_FAILED = re.compile(r"\[http (?:408|425|429|5\d\d)\]")


def regctl(
    *words: str,
    plain_http: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT,
    check: bool = False,
) -> Completed:
    """Run regctl to its end, however it ends unless ``check`` is set.

    ``env`` replaces the environment: its DOCKER_CONFIG says whose credentials are used, its network settings
    which way it connects.
    """
    hosts = [word for host in plain_http for word in ("--host", f"reg={host},tls=disabled")]
    with ExitStack() as stack:
        readable = [_readable(word, stack) for word in words]
        # Its own configuration could name mirrors, and registries without TLS.
        given = child_env("regctl", env) | {"REGCTL_CONFIG": os.devnull}
        argv = ["regctl", *hosts, *readable]
        return run(argv, cwd=Path("/"), env=given, timeout=timeout, check=check)


def _readable(word: str, stack: ExitStack) -> str:
    """Spell a layout's reference by a link to its folder: regctl takes few of the characters of a path."""
    if (layout := _IN_LAYOUT.fullmatch(word)) is None:
        return word
    return f"{LAYOUT}{stack.enter_context(linked(Path(layout['folder'])))}{layout['name'] or ''}"


def copy(
    source: str,
    target: str,
    *,
    plain_http: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT,
) -> None:
    """Copy an image or a whole index; all below is looked for, also where the target has the index."""
    if layout := _IN_LAYOUT.fullmatch(target):
        Path(layout["folder"]).mkdir(parents=True, exist_ok=True)
    words = ("image", "copy", "--force-recursive", source, target)
    what = f"{source} could not be copied to {target}"
    try:
        done = regctl(*words, plain_http=plain_http, env=env, timeout=timeout)
    except ProgramFailedError as late:
        # One whose disk is full answers each of its tries, and it has many.
        means = f"regctl still tried after {timeout:g} s, or an answer did not come"
        raise OutsideError(what, means=means, next_step="run again") from late
    if done.returncode:
        if proxy := blamed(what, done.stderr, env):
            raise proxy from ProgramFailedError(done)
        _failed(done, what)


def layout_head(reference: str, *, env: Mapping[str, str] | None = None) -> Digest:
    """Return what a reference into a layout folder names."""
    done = regctl("manifest", "head", reference, env=env)
    if done.returncode or not Digest.accepts(done.stdout.strip()):
        _failed(done, f"{reference} could not be read")
    return Digest(done.stdout.strip())


def _failed(done: Completed, what: str) -> NoReturn:
    failed, said = ProgramFailedError(done), done.stderr.strip() or "nothing"
    if _OTHER_BYTES.search(said):
        raise RefusedError(
            f"{what}: it has other bytes than its name says",
            means=said,
            next_step="run again; if it stays, ask from another network, then whoever runs the registry",
        ) from failed
    again = _FAILED.search(said) is not None or not _REFUSED.search(_ENDED.sub("", said))
    raise OutsideError(
        what,
        means=said,
        next_step="run again" if again else "",
        again=again,
        retry_after=LEAVE_ALONE if _IN_VAIN.search(said) else None,
    ) from failed
