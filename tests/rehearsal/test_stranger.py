"""A stranger with the published addresses, the trust root and the two usual clients."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from sigstore.errors import VerificationError
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier, policy

from sealift.model.names import Digest, Repository
from sealift.process import Completed, run
from sealift.tools.registry import Registry
from tests.rehearsal.playing import Played

pytestmark = pytest.mark.programs
ON_PLATFORM = ("slsaprovenance1", "spdxjson", "cyclonedx", "vuln")
NEVER = "sha256:" + "0" * 64


def cosign(played: Played, verb: str, reference: str, **other: str) -> Completed:
    env = played.env
    argv = [
        *("cosign", verb, "--trusted-root", env["SEALIFT_TRUSTED_ROOT"]),
        *("--certificate-identity", other.get("identity", env["SEALIFT_IDENTITY"])),
        *("--certificate-oidc-issuer", other.get("issuer", env["SEALIFT_ISSUER"])),
        *(("--type", other["kind"]) if "kind" in other else ()),
        reference,
    ]
    return run(argv, check=False, env={"PATH": env["PATH"], "HOME": os.environ["HOME"]})


def test_cosign_accepts_every_signature(played: Played) -> None:
    for reference in (*played.indexes(), *played.platforms(), *played.tagged()):
        done = cosign(played, "verify", reference)
        assert done.returncode == 0, done.stderr


def test_cosign_accepts_every_attestation(played: Played) -> None:
    wanted = [(r, "slsaprovenance1") for r in (*played.indexes(), *played.tagged())]
    wanted += [(r, kind) for r in played.platforms() for kind in ON_PLATFORM]
    for reference, kind in wanted:
        done = cosign(played, "verify-attestation", reference, kind=kind)
        assert done.returncode == 0, f"{reference} {kind}: {done.stderr}"


@pytest.mark.parametrize("verb", ["verify", "verify-attestation"])
def test_cosign_refuses_everybody_else(played: Played, verb: str) -> None:
    kind = {"kind": "slsaprovenance1"} if verb == "verify-attestation" else {}
    identity = played.env["SEALIFT_IDENTITY"]
    for reference in (*played.indexes(), *played.platforms()):
        for other in (
            {"identity": identity.replace("release.yml", "ci.yml")},
            {"identity": identity.replace("v0.1.0", "v0.1.1")},
            {"issuer": "https://token.actions.githubusercontent.com"},
        ):
            assert cosign(played, verb, reference, **kind, **other).returncode != 0
        never = reference.partition("@")[0] + "@" + NEVER
        assert cosign(played, verb, never, **kind).returncode != 0


def test_an_index_has_no_list_of_its_own(public: Played) -> None:
    for reference in public.indexes():
        assert cosign(public, "verify-attestation", reference, kind="spdxjson").returncode != 0


def bundles(played: Played, reference: str) -> list[bytes]:
    name, _, digest = reference.partition("@")
    registry = Registry(plain_http=(played.env["SEALIFT_REGISTRY"],))
    return [b for _, b in registry.bundles(Repository(name), Digest(digest)) if isinstance(b, bytes)]


def test_the_sigstore_library_accepts_the_same_bundles(played: Played) -> None:
    env = played.env
    verifier = Verifier(trusted_root=TrustedRoot.from_file(env["SEALIFT_TRUSTED_ROOT"]))
    right = policy.AllOf(
        [
            policy.Identity(identity=env["SEALIFT_IDENTITY"], issuer=env["SEALIFT_ISSUER"]),
            policy.GitHubWorkflowRepository("sealift/sealift"),
            policy.GitHubWorkflowSHA(played.report["commit"]),
            policy.GitHubWorkflowRef("refs/tags/v0.1.0"),
        ]
    )
    wrong = policy.Identity(identity=env["SEALIFT_IDENTITY"] + "x", issuer=env["SEALIFT_ISSUER"])
    for reference, count in [(r, 2) for r in played.indexes()] + [(r, 5) for r in played.platforms()]:
        found = bundles(played, reference)
        assert len(found) == count
        for raw in found:
            _, payload = verifier.verify_dsse(Bundle.from_json(raw), right)
            assert json.loads(payload)["subject"][0]["digest"]["sha256"] == reference.rpartition(":")[2]
            with pytest.raises(VerificationError):
                verifier.verify_dsse(Bundle.from_json(raw), wrong)


def test_the_identity_is_this_repositorys_workflow_at_that_version(public: Played) -> None:
    expected = "https://github.com/sealift/sealift/.github/workflows/release.yml@refs/tags/v0.1.0"
    assert public.env["SEALIFT_IDENTITY"] == expected
    assert Path(public.desk.folder, ".github/workflows/release.yml").exists()


def test_the_provenance_names_source_base_and_programs(public: Played) -> None:
    done = cosign(public, "verify-attestation", public.indexes()[0], kind="slsaprovenance1")
    import base64

    statement = json.loads(base64.b64decode(json.loads(done.stdout)["payload"]))
    build = statement["predicate"]["buildDefinition"]
    source, *others = build["resolvedDependencies"]
    assert source["digest"]["gitCommit"] == public.report["commit"]
    assert any(o.get("uri", "").startswith("oci://gcr.io/distroless/") for o in others)
    assert any(o.get("name", "").startswith("buildkitd@") for o in others)
    assert statement["predicate"]["runDetails"]["builder"]["id"] == public.env["SEALIFT_IDENTITY"]
