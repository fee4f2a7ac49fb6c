"""What cosign is asked, and what its answers mean."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from sealift.environment import PASS
from sealift.errors import OutsideError, RefusedError
from sealift.model.names import Digest, Repository
from sealift.model.statements import Claims, Identity, PredicateType, Subject
from sealift.process import Completed, ProgramFailedError
from sealift.tools import cosign
from sealift.tools.cosign import ANY_SIGNATURE, Cosign, clean_env

SUBJECT = Subject(repository=Repository("localhost:5000/app"), digest=Digest("sha256:" + "a" * 64))
WHO = Identity(san="https://github.com/o/n/.github/workflows/release.yml@refs/tags/v1", issuer="https://i")
CLAIMS = Claims(repository="o/n", commit="c" * 40, ref="refs/tags/v1", workflow="release", trigger="push")


class Says:
    """A cosign that gives one prepared answer and remembers what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, code: int = 0, out: str = "", err: str = "") -> None:
        self.asked: list[str] = []
        self.env: Mapping[str, str] = {}
        self.answer = (code, out, err)
        monkeypatch.setattr(cosign, "run", self)

    def __call__(self, argv: Sequence[str], *, env: Mapping[str, str], **_rest: object) -> Completed:
        self.asked, self.env = list(argv), env
        code, out, err = self.answer
        return Completed(argv=tuple(argv), returncode=code, stdout=out, stderr=err)


def signed(*types: str) -> str:
    return json.dumps([{"critical": {"type": kind}} for kind in types])


def after(words: Sequence[str], flag: str) -> str:
    return words[words.index(flag) + 1]


def test_every_condition_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Says(monkeypatch, out=signed(PredicateType.SIGNATURE))
    Cosign(trusted_root=Path("/root.json"), identity=WHO, claims=CLAIMS, env={}).verify(SUBJECT)
    assert told.asked[:2] == ["cosign", "verify"]
    assert told.asked[-1] == str(SUBJECT)
    wanted = {
        "--trusted-root": "/root.json",
        "--certificate-identity": WHO.san,
        "--certificate-oidc-issuer": WHO.issuer,
        "--certificate-github-workflow-repository": "o/n",
        "--certificate-github-workflow-sha": "c" * 40,
        "--certificate-github-workflow-ref": "refs/tags/v1",
        "--certificate-github-workflow-name": "release",
        "--certificate-github-workflow-trigger": "push",
    }
    assert {flag: after(told.asked, flag) for flag in wanted} == wanted


def test_what_is_not_asked_is_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Says(monkeypatch)
    Cosign(trusted_root=None, identity=WHO, env={}).verify_attestation(SUBJECT, PredicateType.CYCLONEDX)
    assert after(told.asked, "--type") == "cyclonedx"
    assert "--trusted-root" not in told.asked
    assert not [word for word in told.asked if "github-workflow" in word]


def test_nothing_that_could_change_the_answer_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "PATH": "/bin",
        "DOCKER_CONFIG": "/docker",
        "COSIGN_EXPERIMENTAL": "1",
        "SIGSTORE_ROOT_FILE": "/elsewhere",
        "GITHUB_TOKEN": "secret",
    }
    told = Says(monkeypatch, out=signed(PredicateType.SIGNATURE))
    Cosign(trusted_root=None, identity=WHO, env=given).verify(SUBJECT)
    assert told.env is not None
    assert set(told.env) == {"PATH", "LC_ALL", "DOCKER_CONFIG", "TUF_ROOT"}
    monkeypatch.setenv("COSIGN_REPOSITORY", "elsewhere")
    assert "COSIGN_REPOSITORY" not in clean_env(None)


@pytest.mark.parametrize(
    "name",
    [
        *("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_DIR", "SSL_CERT_FILE"),
        # What credential helpers read: of Amazon, Google, Microsoft, a desktop's keyring, pass, and our own.
        *("AWS_SESSION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE", "GOOGLE_APPLICATION_CREDENTIALS"),
        *("CLOUDSDK_CONFIG", "AZURE_CLIENT_ID", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "GNUPGHOME"),
        *("PASSWORD_STORE_DIR", "GITLAB_TOKEN", "ACME_LOGIN", "ACME_HOST"),
    ],
)
def test_what_a_login_or_the_way_there_needs_passes(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")
    monkeypatch.setenv(PASS, "ACME_LOGIN, ACME_H*")
    assert name in clean_env(None)
    assert name in clean_env({name: "x", PASS: "ACME_*"})


@pytest.mark.parametrize(
    "name",
    [
        *("COSIGN_REPOSITORY", "SIGSTORE_REKOR_PUBLIC_KEY", "TUF_ROOT_JSON", "TUF_MIRROR", "LD_PRELOAD"),
        *("GODEBUG", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL", "GH_TOKEN"),
    ],
)
def test_what_changes_a_verdict_or_signs_does_not_pass(name: str) -> None:
    given = clean_env({name: "x", "PATH": "/bin", PASS: f"{name} {name[:4]}* TUF_ROOT"})
    assert set(given) == {"PATH", "LC_ALL", "TUF_ROOT"}


@pytest.mark.parametrize(
    ("out", "got"),
    [
        (signed(PredicateType.PROVENANCE), f"got {PredicateType.PROVENANCE}"),
        (signed(), "got none"),
        (json.dumps([{"critical": {}}, "text", None]), "got none"),
        (json.dumps({"critical": {"type": str(PredicateType.SIGNATURE)}}), "got none"),
    ],
)
def test_an_attestation_is_no_signature(monkeypatch: pytest.MonkeyPatch, out: str, got: str) -> None:
    Says(monkeypatch, out=out)
    with pytest.raises(RefusedError, match="is not signed") as caught:
        Cosign(trusted_root=None, identity=WHO).verify(SUBJECT)
    assert caught.value.means.endswith(got)


def test_the_older_kind_of_signature_counts_where_it_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    Says(monkeypatch, out=signed("cosign container image signature"))
    client = Cosign(trusted_root=None, identity=WHO)
    client.verify(SUBJECT, ANY_SIGNATURE)
    with pytest.raises(RefusedError):
        client.verify(SUBJECT)


def test_what_is_no_json_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    Says(monkeypatch, out="Verified OK")
    with pytest.raises(OutsideError, match="something else than JSON"):
        Cosign(trusted_root=None, identity=WHO).verify(SUBJECT)


@pytest.mark.parametrize(
    "words",
    [
        "Error: GET http://localhost:5000/v2/: unexpected status code 503 Service Unavailable",
        "Error: unexpected status code 429 Too Many Requests",
        "Error: dial tcp 127.0.0.1:5000: connect: connection refused",
        "Error: context deadline exceeded",
        "Error: lookup registry.example: no such host",
        "Error: unexpected EOF",
        'Error: Get "http://localhost:5000/v2/": EOF',
        'Error: Get "http://localhost:5000/v2/": write tcp 127.0.0.1:4->127.0.0.1:5000: write: broken pipe',
        'Error: Get "http://localhost:5000/v2/": net/http: timeout awaiting response headers',
        'Error: Get "http://localhost:5000/v2/": net/http: malformed HTTP status code "x"',
    ],
)
def test_no_answer_is_not_a_refusal(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    Says(monkeypatch, 1, err=words)
    with pytest.raises(OutsideError, match="could not look at") as caught:
        Cosign(trusted_root=None, identity=WHO).verify(SUBJECT)
    assert caught.value.again


@pytest.mark.parametrize(
    "words",
    [
        "Error: unexpected status code 401 Unauthorized",
        "Error: GET https://registry.example/v2/: unexpected status code 403 Forbidden: denied",
        'Error: Get "https://registry.example/v2/": tls: failed to verify certificate: x509: unknown',
    ],
)
def test_a_registry_that_lets_nobody_in_is_no_refusal_and_not_asked_again(
    monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    Says(monkeypatch, 1, err=words)
    with pytest.raises(OutsideError, match="could not look at") as caught:
        Cosign(trusted_root=None, identity=WHO).verify(SUBJECT)
    assert not caught.value.again


@pytest.mark.parametrize(
    "words",
    [
        "no signatures found",
        "unexpected status code 404 Not Found",
        "none of the expected identities",
        "x509: certificate signed by unknown authority",
    ],
)
def test_a_refusal_is_told_in_its_own_words(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    Says(monkeypatch, 10, err=f"WARNING: old\n\nerror during command execution: {words}\n")
    with pytest.raises(RefusedError, match="cosign verify-attestation refused") as caught:
        Cosign(trusted_root=None, identity=WHO).verify_attestation(SUBJECT, PredicateType.SPDX)
    assert caught.value.means == words


def test_one_that_was_killed_has_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    Says(monkeypatch, -15)
    with pytest.raises(OutsideError, match="could not look at"):
        Cosign(trusted_root=None, identity=WHO).verify(SUBJECT)


def test_one_that_does_not_end_has_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(argv: Sequence[str], **_rest: object) -> Completed:
        done = Completed(argv=tuple(argv), returncode=-9, stdout="", stderr="")
        raise ProgramFailedError(done, "cosign did not end within 300 seconds")

    monkeypatch.setattr(cosign, "run", late)
    with pytest.raises(OutsideError, match="could not look at") as caught:
        Cosign(trusted_root=None, identity=WHO).verify(SUBJECT)
    assert (caught.value.again, caught.value.means) == (True, "cosign did not end within 300 seconds")


def test_silence_is_told_by_its_status_and_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    Says(monkeypatch, 3)
    with pytest.raises(OutsideError, match="could not look at") as caught:
        Cosign(trusted_root=None, identity=WHO).verify(SUBJECT)
    assert (caught.value.means, caught.value.again) == ("status 3", False)


@pytest.mark.parametrize(
    ("words", "again", "next_step"),
    [
        # https://github.com/sigstore/cosign v3.1.2, as it was met
        ('error getting credentials - err: exec: "docker-credential-x": not found in $PATH', False, "docker"),
        ("parsing config file (/home/me/.docker/config.json): unexpected EOF", False, "docker"),
        ("parsing config file (/c/config.json): illegal base64 data at input byte 0", False, "docker"),
        ("unknown flag: --trusted-root", False, "sealift doctor"),
        ('unknown command "verfy" for "cosign"', False, "sealift doctor"),
        ("setting trusted material: failed to read trusted root open /a: no such file", False, "correct"),
        (
            "setting trusted material: TUF: tuf refresh failed: expired",
            True,
            "run again",
        ),
        ("setting trusted material: mkdir /x: read-only file system", False, "correct"),
        ("write /tmp/tuf: no space left on device", False, "correct"),
        ("GET https://r.example/v2/a/manifests/b: UNAUTHORIZED: authentication required", False, "correct"),
        ("GET https://r.example/v2/a/manifests/b: DENIED: requested access is denied", False, "correct"),
        ("GET https://r.example/v2/a/manifests/b: TOOMANYREQUESTS: slow down", True, "run again"),
        ("GET https://r.example/v2/a/manifests/b: UNKNOWN: unknown error", True, "run again"),
        ("invalid character '<' looking for beginning of value", False, "correct"),
        ("parsing reference: could not parse reference: localhost:1/UPPER", False, "correct"),
        ("signal: killed", False, "correct"),
    ],
)
def test_what_keeps_cosign_from_looking_is_no_refusal(
    monkeypatch: pytest.MonkeyPatch, words: str, again: bool, next_step: str
) -> None:
    Says(monkeypatch, 1, err=f"Error: {words}\nerror during command execution: {words}\n")
    with pytest.raises(OutsideError, match="could not look at") as caught:
        Cosign(trusted_root=None, identity=WHO).verify(SUBJECT)
    assert caught.value.again is again
    assert next_step in caught.value.next_step
    assert words in caught.value.means


@pytest.mark.parametrize(
    "words",
    [
        "no matching attestations: failed to verify certificate identity: expected SAN value a, got b",
        "no matching attestations: a\nb: connection",
        "no matching signatures: none of the expected identities matched what was in the certificate",
        "no valid bundles exist in registry",
        "none of the attestations matched the predicate type: cyclonedx, found: x",
        "cert verification failed: x509: certificate signed by unknown authority",
        "expected GitHub Workflow SHA not found in certificate",
        "GET https://r.example/v2/a/manifests/b: MANIFEST_UNKNOWN: manifest unknown",
        "image tag not found: entity not found in registry",
    ],
)
def test_what_cosign_names_is_a_refusal(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    Says(monkeypatch, 1, err=f"Error: {words}\nerror during command execution: {words}\n")
    with pytest.raises(RefusedError, match="cosign verify refused") as caught:
        Cosign(trusted_root=None, identity=WHO).verify(SUBJECT)
    assert caught.value.means == "; ".join(words.splitlines())
