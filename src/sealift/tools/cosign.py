"""cosign, the client that most people verify with."""

from __future__ import annotations

import atexit
import re
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from sealift import network
from sealift.errors import OutsideError, RefusedError
from sealift.model.codec import decode
from sealift.model.statements import Claims, Identity, PredicateType, Subject
from sealift.process import Completed, ProgramFailedError, run
from sealift.tools.docker_login import for_programs

# How cosign begins when it has looked and refused: https://github.com/sigstore/cosign, pkg/cosign/verify.go.
# It says "no signatures found" when the Referrers API fails, so an absence that only cosign reports is no
# proof of one. Everything else that it says, about its own settings or its machine, is no refusal.
_REFUSED = re.compile(
    r"no matching (?:attestations|signatures)|no signatures found|no valid bundles|image tag not found"
    r"|none of the (?:attestations matched|expected identities)|no certificate found on signature"
    r"|expected GitHub Workflow \w+ not found|cert verification failed|certificate (?:\w+ )*expired"
    r"|invalid (?:certificate|signature|payloadType|or missing)"
    r"|x509: certificate|(?:(?:GET|HEAD) \S+ )?(?:unexpected status code 404|MANIFEST_UNKNOWN|NAME_UNKNOWN)"
)
_REFUSING_STATUS = frozenset({10, 11, 12, 13})
# What go-containerregistry and Go's network say when no answer came, or one that may be another next time.
_OUTSIDE = re.compile(
    r"status code:? (?:408|425|429|5\d\d)|dial tcp|i/o timeout|connection re(?:fused|set)"
    r"|broken pipe|no such host|context deadline exceeded|TLS handshake|: EOF\b|unexpected EOF|malformed HTTP"
    r"|timeout awaiting response|Client\.Timeout exceeded|tuf refresh failed"
    # The registry's own words, of which only the two below are about who asks.
    r"|(?:GET|HEAD|POST) \S+: (?!MANIFEST_UNKNOWN|NAME_UNKNOWN|unexpected status code)[A-Z_]+:"
)
# Access denied, or a certificate that is not trusted: retrying will not help.
_CLOSED = re.compile(
    r"unexpected status code (?:401|403)|tls: failed to verify certificate|\S+: (?:UNAUTHORIZED|DENIED):"
)
# What keeps cosign from looking on this machine, what that means, and what helps.
_HERE = (
    (
        re.compile(r"getting credentials|parsing config file|docker-credential-"),
        "docker's configuration, which says who logs in to the registry, cannot be used",
        "correct config.json in $DOCKER_CONFIG, else in ~/.docker; or log in again: docker login",
    ),
    (
        re.compile(r"unknown (?:shorthand )?(?:flag|command)"),
        "it is another version than this was written for",
        "sealift doctor",
    ),
    (
        re.compile(r"no space left|read-only file system|permission denied|cannot allocate|too many open"),
        "this machine, and not the signature, is the trouble",
        "correct that, then run again",
    ),
)

# What a signature calls itself: in a bundle, and in the form before, which distroless' makers may use.
BUNDLED_SIGNATURE = frozenset[str]({PredicateType.SIGNATURE})
ANY_SIGNATURE = BUNDLED_SIGNATURE | {"cosign container image signature"}


@dataclass(frozen=True, kw_only=True)
class Cosign:
    """cosign with one trust root (None: the public instance's, by TUF) and one accepted identity."""

    trusted_root: Path | None
    identity: Identity
    claims: Claims = field(default_factory=Claims)
    env: Mapping[str, str] | None = None
    timeout: float = 300

    def verify(self, subject: Subject, accepted: frozenset[str] = BUNDLED_SIGNATURE) -> None:
        """Accept an image that carries a signature of an accepted type.

        ``cosign verify`` alone would accept any attestation of this identity, so the type that it
        found is looked at as well.
        """
        types = self.accepted(subject)
        if not types & accepted:
            raise RefusedError(
                f"{subject} is not signed",
                means=f"cosign verify: expected the type {_listed(accepted)}, got {_listed(types)}",
            )

    def accepted(self, subject: Subject) -> frozenset[str]:
        """Return the type of every signature and attestation that cosign accepts on an image.

        One start tells them all: in a bundle, a signature is an attestation like the others.
        """
        return frozenset(_signature_type(entry) for entry in _entries(self._cosign("verify", subject)))

    def verify_attestation(self, subject: Subject, predicate_type: PredicateType) -> None:
        """Accept an image that carries an attestation of this type."""
        self._cosign("verify-attestation", subject, "--type", predicate_type.alias)

    def _cosign(self, verb: str, subject: Subject, *words: str) -> Completed:
        argv = ["cosign", verb, *words, *self._trust(), *self._claims(), str(subject)]
        try:
            with for_programs(clean_env(self.env)) as env:
                done = run(argv, cwd=Path("/"), env=env, timeout=self.timeout, check=False)
        except ProgramFailedError as late:
            raise _not_looked(verb, subject, late.happened.partition("\n")[0], again=True) from late
        if done.returncode == 0:
            return done
        failed, said = ProgramFailedError(done), _words(done)
        if proxy := network.blamed(f"cosign {verb} could not look at {subject}", said, self.env):
            raise proxy from failed
        refused = _REFUSED.match(said) is not None or done.returncode in _REFUSING_STATUS
        here = None if refused else next((row for row in _HERE if row[0].search(said)), None)
        closed = _CLOSED.search(said) is not None
        # One that was killed has not refused.
        outside = done.returncode < 0 or (_OUTSIDE.search(said) is not None and here is None)
        if closed or outside or not refused:
            again = outside and not closed
            raise _not_looked(verb, subject, said, again=again, here=here) from failed
        raise RefusedError(f"cosign {verb} refused {subject}", means=said) from failed

    def _trust(self) -> tuple[str, ...]:
        identity = (
            "--certificate-identity", self.identity.san,
            "--certificate-oidc-issuer", self.identity.issuer,
        )  # fmt: skip
        return (
            identity
            if self.trusted_root is None
            else ("--trusted-root", str(self.trusted_root.absolute()), *identity)
        )

    def _claims(self) -> tuple[str, ...]:
        asked = {
            "repository": self.claims.repository,
            "sha": self.claims.commit,
            "ref": self.claims.ref,
            "name": self.claims.workflow,
            "trigger": self.claims.trigger,
        }
        return tuple(
            word
            for name, value in asked.items()
            if value is not None
            for word in (f"--certificate-github-workflow-{name}", value)
        )


def _not_looked(
    verb: str, subject: Subject, said: str, *, again: bool, here: tuple[object, str, str] | None = None
) -> OutsideError:
    _, means, next_step = here or (
        None,
        "",
        "run again" if again else "correct what it names",
    )
    return OutsideError(
        f"cosign {verb} could not look at {subject}",
        means=f"{means}: {said}" if means else said,
        next_step=next_step,
        again=again,
    )


def clean_env(env: Mapping[str, str] | None) -> dict[str, str]:
    """Return what logs in as the registry client does, and changes no verdict."""
    return network.child_env("cosign", env) | {"TUF_ROOT": _keys()}


@cache
def _keys() -> str:
    """Give the folder of the public instance's keys for this run: ``~/.sigstore`` may be another's."""
    folder = tempfile.TemporaryDirectory(prefix="sealift-keys-")
    atexit.register(folder.cleanup)
    return folder.name


def _entries(done: Completed) -> list[Any]:
    try:
        entries: object = decode(done.stdout, Any)
    except msgspec.MsgspecError as err:
        raise OutsideError(f"cosign said something else than JSON: {err}") from ProgramFailedError(done)
    return entries if isinstance(entries, list) else []


def _signature_type(entry: Any) -> str:
    match entry:
        case {"critical": {"type": str(kind)}}:
            return kind
        case _:
            return ""


def _listed(types: Collection[str]) -> str:
    return ", ".join(sorted(t for t in types if t)) or "none"


def _words(done: Completed) -> str:
    """Return the error that cosign ended with: all of its lines, without the words before every one.

    What comes without those words is the last thing that it said.
    """
    _, marked, error = done.stderr.rpartition("error during command execution: ")
    lines = [line.strip() for line in (error if marked else done.stderr).splitlines() if line.strip()]
    if not lines:
        return f"status {done.returncode}"
    return "; ".join(dict.fromkeys(lines)) if marked else lines[-1].removeprefix("Error: ")
