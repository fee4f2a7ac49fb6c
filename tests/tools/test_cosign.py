"""The real cosign, asked about bundles that a rehearsal's Sigstore made; they carry timestamps."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from sealift.environment import PASS
from sealift.errors import OutsideError, RefusedError, UsageError
from sealift.model.names import Digest, Repository
from sealift.model.statements import Claims, PredicateType, Subject
from sealift.oci.documents import INDEX, MANIFEST
from sealift.tools.cosign import Cosign
from sealift.tools.registry import Registry
from sealift.tools.registry_bundle import BUNDLE_TYPE
from tests.tools.scripted import Asked, Reply, serving, told
from tests.unit.tools.test_sigstore_client import CLAIMS, IMAGE, MAKERS, OURS, ROOT, bundle

pytestmark = pytest.mark.programs

COSIGN = Cosign(trusted_root=ROOT, identity=OURS, claims=CLAIMS)
SIGNATURE, PROVENANCE = PredicateType.SIGNATURE, PredicateType.PROVENANCE
Holding = Callable[..., Subject]


class Shelf:
    """A registry of artifacts, each with one bundle; it lists them all whatever is asked for."""

    def __init__(self) -> None:
        self.kept: dict[str, Reply] = {}
        self.listed: list[dict[str, object]] = []

    def keep(self, reply: Reply, kind: str) -> dict[str, object]:
        digest = str(Digest.of(reply.body))
        headers = {"Content-Type": kind, "Docker-Content-Digest": digest}
        self.kept[digest] = replace(reply, headers=headers)
        return {"mediaType": kind, "digest": digest, "size": len(reply.body)}

    def attach(self, name: str) -> None:
        artifact = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": BUNDLE_TYPE,
            "config": self.keep(Reply(body=b"{}"), "application/vnd.oci.empty.v1+json"),
            "layers": [self.keep(Reply(body=bundle(name)), BUNDLE_TYPE)],
            "annotations": {"name": name},
        }
        self.listed.append({**self.keep(told(artifact), MANIFEST), "artifactType": BUNDLE_TYPE})

    def answer(self, asked: Asked) -> Reply:
        if "/referrers/" in asked.path:
            index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self.listed}
            return told(index, INDEX)
        if asked.path == "/v2/":
            return Reply()
        return self.kept.get(asked.path.rpartition("/")[2], Reply(status=404))


@pytest.fixture
def holding() -> Iterator[Holding]:
    """Attach bundles to an image, and name it."""
    with ExitStack() as stack:

        def make(*names: str) -> Subject:
            shelf = Shelf()
            shelf.keep(Reply(body=b"an image"), MANIFEST)
            for name in names:
                shelf.attach(name)
            server = stack.enter_context(serving(shelf.answer))
            return Subject(repository=Repository(f"{server.host}/app"), digest=IMAGE)

        yield make


def test_one_start_tells_every_type_of_the_identity_that_is_asked_for(holding: Holding) -> None:
    subject = holding("signature", "provenance", "email")
    assert COSIGN.accepted(subject) == {SIGNATURE, PROVENANCE}
    COSIGN.verify(subject)
    COSIGN.verify_attestation(subject, PROVENANCE)


@pytest.mark.parametrize("told", ['{"credsStore": "absent"}', '{"credHelpers": {"localhost": "absent"}}'])
def test_a_public_image_needs_no_helper_that_is_absent(holding: Holding, tmp_path: Path, told: str) -> None:
    (tmp_path / "config.json").write_text(told)
    asking = replace(COSIGN, env={**os.environ, "DOCKER_CONFIG": str(tmp_path)})
    assert asking.accepted(holding("signature")) == {SIGNATURE}


def test_what_verify_attestation_refuses_is_not_among_them(holding: Holding) -> None:
    subject = holding("signature")
    assert COSIGN.accepted(subject) == {SIGNATURE}
    with pytest.raises(RefusedError):
        COSIGN.verify_attestation(subject, PROVENANCE)
    subject = holding("provenance")
    assert COSIGN.accepted(subject) == {PROVENANCE}
    with pytest.raises(RefusedError, match="is not signed"):
        COSIGN.verify(subject)


@pytest.mark.parametrize(
    "asking",
    [
        replace(COSIGN, identity=MAKERS, claims=Claims()),
        replace(COSIGN, claims=replace(CLAIMS, commit="d" * 40)),
    ],
    ids=["another identity", "another commit"],
)
def test_what_somebody_else_signed_is_none(holding: Holding, asking: Cosign) -> None:
    with pytest.raises(RefusedError):
        asking.accepted(holding("signature", "provenance"))


def test_nothing_attached_is_a_refusal(holding: Holding) -> None:
    with pytest.raises(RefusedError, match="no signatures found"):
        COSIGN.accepted(holding())


HELPER = """#!/bin/sh
[ "$1" = get ] && [ "$%s" = "of this session" ] || { echo "no session in the environment"; exit 1; }
echo '{"ServerURL": "x", "Username": "u", "Secret": "p"}'
"""


@pytest.mark.parametrize("variable", ["AWS_SESSION_TOKEN", "CLOUDSDK_AUTH_ACCESS_TOKEN", "ACME_LOGIN"])
@pytest.mark.parametrize("key", ["credHelpers", "credsStore"])
def test_it_logs_in_as_the_registry_client_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str, variable: str
) -> None:
    helper = tmp_path / "docker-credential-fake"
    helper.write_text(HELPER % variable)
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv(variable, "of this session")
    monkeypatch.setenv(PASS, "ACME_*")
    login = f"Basic {base64.b64encode(b'u:p').decode()}"
    asks = Reply(status=401, headers={"WWW-Authenticate": 'Basic realm="r"'})
    shelf = Shelf()
    digest = str(shelf.keep(Reply(body=b"an image"), MANIFEST)["digest"])
    shelf.attach("signature")
    with serving(lambda a: shelf.answer(a) if a.headers.get("authorization") == login else asks) as server:
        config = {key: {server.host: "fake"} if key == "credHelpers" else "fake"}
        (tmp_path / "config.json").write_text(json.dumps(config))
        subject = Subject(repository=Repository(f"{server.host}/app"), digest=IMAGE)
        assert Registry(plain_http=(server.host,)).head(str(subject)) == digest
        assert COSIGN.accepted(subject) == {SIGNATURE}


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ('{"credsStore": "broken"}', "the keychain is locked"),
        ('{"auths": {"HOST": {"auth": "%"}}}', "parsing config file"),
    ],
)
def test_a_docker_configuration_that_cannot_be_used_is_no_refusal(
    holding: Holding, tmp_path: Path, configuration: str, words: str
) -> None:
    subject = holding("signature")
    (tmp_path / "config.json").write_text(configuration.replace("HOST", subject.repository.host))
    (tmp_path / "docker-credential-broken").write_text("#!/bin/sh\necho the keychain is locked\nexit 1\n")
    (tmp_path / "docker-credential-broken").chmod(0o755)
    path = f"{os.environ['PATH']}:{tmp_path}"
    env = {"PATH": path, "HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path)}
    with pytest.raises(OutsideError, match="could not look at") as caught:
        replace(COSIGN, env=env).accepted(subject)
    assert words in caught.value.means
    assert not caught.value.again


def test_a_docker_configuration_that_is_cut_off_is_named(holding: Holding, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path)}
    with pytest.raises(UsageError, match=r"config\.json cannot be read"):
        replace(COSIGN, env=env).accepted(holding("signature"))


def test_a_trust_root_that_cannot_be_read_is_no_refusal(holding: Holding, tmp_path: Path) -> None:
    with pytest.raises(OutsideError, match="could not look at") as caught:
        replace(COSIGN, trusted_root=tmp_path / "absent").accepted(holding("signature"))
    assert "trusted root" in caught.value.means


@pytest.mark.parametrize(("status", "code"), [(401, "UNAUTHORIZED"), (403, "DENIED"), (400, "UNSUPPORTED")])
def test_a_registrys_error_is_no_refusal(status: int, code: str) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.path == "/v2/":
            return Reply()
        return replace(told({"errors": [{"code": code, "message": "no"}]}), status=status)

    with serving(answer) as server, pytest.raises(OutsideError, match="could not look at") as caught:
        COSIGN.accepted(Subject(repository=Repository(f"{server.host}/app"), digest=IMAGE))
    assert code in caught.value.means


def test_a_registry_that_lets_nobody_in_was_not_looked_at(holding: Holding) -> None:
    subject = holding("signature")
    gone = replace(subject, repository=Repository("localhost:1/app"))
    with pytest.raises(OutsideError, match="could not look at"):
        COSIGN.accepted(gone)
