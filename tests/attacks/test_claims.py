"""Verify: what the right workflow's certificates and statements claim, compared one by one.

cosign accepts all of these: the identity, the workflow's name, its commit and its ref are right.
"""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from sealift.model.names import Digest, Platform
from sealift.model.statements import JSON, PredicateType, Statement, Subject, predicate_digest, signature
from sealift.rehearsal.oci_writer import writing
from sealift.rehearsal.world import Stage
from sealift.stations.contents import Reader
from sealift.stations.gate import GateRefusedError
from sealift.stations.provenance import Known
from sealift.stations.verify import Expected
from tests.attacks.catalogue import Attack, Kind, each
from tests.attacks.signing import Shelf, wanting
from tests.unit.stations import listed

pytestmark = pytest.mark.programs

SIGNATURE, PROVENANCE = PredicateType.SIGNATURE, PredicateType.PROVENANCE
SPDX, CYCLONEDX, SCAN = PredicateType.SPDX, PredicateType.CYCLONEDX, PredicateType.VULNERABILITIES
Blocked = functools.partial(Attack, kind=Kind.CLAIMS, stage="verify")


@pytest.fixture(scope="module")
def shelf(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """Give one registry: how it lists what refers to an image is no matter here."""
    kept = stage.folder / "registry"
    return Shelf(stage=stage, host=stage.world.registry, kept=kept, folder=tmp_path_factory.mktemp("claims"))


@pytest.fixture
def subject(shelf: Shelf) -> Subject:
    return shelf.service()


def blocked(attack: Attack[Any], verify: Callable[[], object]) -> None:
    with pytest.raises(GateRefusedError) as caught:
        verify()
    attack.assert_blocked_by(caught.value)


def claiming(sample: str, words: str, **claims: str) -> Attack[dict[str, str]]:
    return Blocked(sample=f"a certificate of {sample}", artefact=claims, words=words)


@each(
    claiming("a self-hosted runner", "runner: expected github-hosted", runner_environment="self-hosted"),
    claiming("a runner of another kind", "runner: expected github-hosted", runner_environment="github"),
    claiming("another repository id", "repository id: expected", repository_id="7"),
    claiming("another owner id", "owner id: expected", repository_owner_id="7"),
    claiming("another owner", "owner: expected", repository_owner="somebody"),
    claiming("another commit of the workflow", "workflow's commit: expected", workflow_sha="0" * 40),
    claiming("another commit of the signer", "build signer's commit: expected", job_workflow_sha="0" * 40),
    claiming("another workflow that calls it", "workflow: expected", workflow_ref="a/b/.github/c.yml@d"),
    claiming(
        "a private repository", "visibility: expected public, got private", repository_visibility="private"
    ),
    claiming("another run", "run: expected", run_id="2"),
    claiming("an attempt that is no number", "run: expected", run_attempt="0"),
)
def test_verify_rejects_certificate_with_wrong_claim(
    shelf: Shelf, subject: Subject, attack: Attack[dict[str, str]]
) -> None:
    with shelf.claiming(**attack.artefact):
        shelf.say(signature(subject))
    assert SIGNATURE in shelf.cosign.accepted(subject)
    blocked(attack, lambda: shelf.verify(wanting(subject)))


@dataclass(frozen=True)
class Mixed:
    """Claims of one of two signatures, and what their reader allows."""

    claims: dict[str, str]
    self_hosted: bool = False


def mixed(sample: str, words: str, *, self_hosted: bool = False, **claims: str) -> Attack[Mixed]:
    return Blocked(sample=f"two signatures of {sample}", artefact=Mixed(claims, self_hosted), words=words)


@each(
    mixed("two repository ids", "repository id: expected", repository_id="7"),
    mixed("two owner ids", "owner id: expected", repository_owner_id="7"),
    mixed("two runs", "run: expected", run_id="2"),
    mixed("a public and a private repository", "visibility: expected", repository_visibility="private"),
    mixed("two deployment environments", "environment: expected", environment="staging"),
    mixed("two subjects of the token", "token subject: expected", sub="repo:other"),
    mixed("two kinds of runner", "runner: expected", self_hosted=True, runner_environment="self-hosted"),
)
def test_verify_rejects_signatures_that_disagree(
    shelf: Shelf, subject: Subject, attack: Attack[Mixed]
) -> None:
    stranger = shelf.stranger(self_hosted=attack.artefact.self_hosted)
    shelf.say(signature(subject))
    assert shelf.verify(wanting(subject), verifier=stranger).covers(subject)
    with shelf.claiming(**attack.artefact.claims):
        shelf.say(shelf.provenance(subject))
    assert shelf.verify(wanting(subject, PROVENANCE), verifier=stranger).covers(subject)
    blocked(attack, lambda: shelf.verify(wanting(subject, SIGNATURE, PROVENANCE), verifier=stranger))


@each(
    Blocked(
        sample="signatures of another run than sign recorded",
        artefact={"run": "https://github.com/sealift/sealift/actions/runs/2"},
        words="run: expected https://github.com/sealift/sealift/actions/runs/2",
    )
)
def test_verify_rejects_other_run_than_sign_recorded(
    shelf: Shelf, subject: Subject, attack: Attack[dict[str, str]]
) -> None:
    shelf.say(signature(subject))
    blocked(
        attack,
        lambda: shelf.verify(wanting(subject), verifier=shelf.stranger(), claims=attack.artefact),
    )


def test_verify_accepts_honest_differences(shelf: Shelf, subject: Subject) -> None:
    """A second attempt of the run, a private repository, runners of one's own, a shared workflow."""
    with shelf.claiming(run_attempt="2"):
        shelf.say(signature(subject))
    shelf.say(shelf.provenance(subject))
    assert shelf.verify(wanting(subject, SIGNATURE, PROVENANCE)).covers(subject)

    private = shelf.service()
    with shelf.claiming(repository_visibility="internal", runner_environment="self-hosted"):
        shelf.say(signature(private))
    assert shelf.verify(wanting(private), verifier=shelf.stranger(self_hosted=True)).covers(private)

    shared, at = shelf.service(), "acme/workflows/.github/workflows/pipeline.yml@v4"
    with shelf.claiming(job_workflow_ref=at, job_workflow_sha="7" * 40) as identity:
        shelf.say(signature(shared))
    verifier = shelf.verifier_of(identity, shelf.stage.world.sigstore.claims)
    cosign = shelf.cosign_of(identity)
    assert shelf.verify(wanting(shared), verifier=verifier, cosign=cosign).covers(shared)


def statement(subject: Subject, /, **changed: Any) -> JSON:
    """Write a signature's statement as the library does, or otherwise."""
    named = {"name": subject.repository, "digest": {"sha256": subject.digest.hex}}
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [named],
        "predicateType": SIGNATURE,
        "predicate": {},
    } | changed


def subjects(*changes: JSON) -> Callable[[Subject], bytes]:
    """Change the one subject of a statement; several changes are several subjects."""

    def write(subject: Subject) -> bytes:
        (first,) = statement(subject)["subject"]
        return json.dumps(statement(subject, subject=[first | change for change in changes])).encode()

    return write


def digests(**more: str) -> Callable[[Subject], bytes]:
    return lambda s: subjects({"digest": {"sha256": s.digest.hex, **more}})(s)


def replaced(old: str, new: str, **changed: Any) -> Callable[[Subject], bytes]:
    """Change the text of a statement, so that it says what no value can."""

    def write(subject: Subject) -> bytes:
        text = json.dumps(statement(subject, **changed))
        assert old in text
        return text.replace(old, new, 1).encode()

    return write


def signed(sample: str, words: str, artefact: Callable[[Subject], bytes]) -> Attack[Any]:
    return Blocked(sample=f"a statement {sample}", words=words, artefact=artefact)


@each(
    signed("with a wrong sha512", "expected the sha512", digests(sha512="0" * 128)),
    signed("with a wrong SHA-3", "expected the sha3_256", digests(sha3_256="0" * 64)),
    signed("with two subjects", "alone, with a name and digests, got 2", subjects({}, {})),
    signed(
        "with a second subject of another image",
        "alone, with a name and digests, got 2",
        subjects({}, {"digest": {"sha256": "0" * 64}}),
    ),
    signed(
        "whose subject names another image",
        "expected the name",
        subjects({"name": "ghcr.io/somebody/else"}),
    ),
    signed("whose subject has no name", "expected the name", subjects({"name": ""})),
    signed("whose subject has a second address", "alone, with a name", subjects({"uri": "https://else"})),
    signed(
        "with an unknown member",
        "_type, subject, predicateType and predicate alone",
        lambda s: json.dumps(statement(s, extra=1)).encode(),
    ),
    signed(
        "with a member in another case",
        "are one for some readers",
        replaced('"predicateType"', '"PredicateType": "x", "predicateType"'),
    ),
    signed(
        "with a member twice", "stands twice", replaced('"predicate":', '"predicate": {"a": 1}, "predicate":')
    ),
    signed(
        "with a key of its content twice",
        "stands twice",
        replaced('"a": 1', '"a": 1, "a": 2', predicate={"a": 1}),
    ),
    signed(
        "with two keys of its content that differ in case",
        "are one for some readers",
        replaced('"packages": []', '"packages": [], "Packages": [1]', predicate={"packages": []}),
    ),
    signed(
        "that is a signature and says more",
        "its content is not the expected one",
        lambda s: json.dumps(statement(s, predicate={"approved": "yes"})).encode(),
    ),
)
def test_verify_rejects_statement_in_other_form(
    shelf: Shelf, subject: Subject, attack: Attack[Callable[[Subject], bytes]]
) -> None:
    shelf.attach(subject, shelf.sign_raw(attack.artefact(subject)))
    blocked(attack, lambda: shelf.verify(wanting(subject)))


def test_verify_accepts_further_digests_that_are_right(shelf: Shelf, subject: Subject) -> None:
    import hashlib

    manifest = shelf.registry.manifest(str(subject))
    right = digests(sha512=hashlib.sha512(manifest).hexdigest(), sha384=hashlib.sha384(manifest).hexdigest())
    shelf.attach(subject, shelf.sign_raw(right(subject)))
    assert shelf.verify(wanting(subject)).covers(subject)


Change = Callable[[bytes], tuple[bytes, str]]


@each(
    Blocked(
        sample="a bundle that is listed as another type",
        artefact=lambda raw: (raw, SPDX),
        words=f"is listed as {SPDX} and says {SIGNATURE}",
    ),
    Blocked(
        sample="a bundle with a key twice",
        artefact=lambda raw: (raw.replace(b"{", b'{"mediaType":"x",', 1), SIGNATURE),
        words="stands twice",
    ),
    Blocked(
        sample="a bundle that calls itself another version",
        artefact=lambda raw: (raw.replace(b"bundle.v0.3+json", b"bundle+json;version=0.2"), SIGNATURE),
        words="and calls it",
    ),
    Blocked(
        sample="a bundle whose payload is called something else",
        artefact=lambda raw: (raw.replace(b"vnd.in-toto+json", b"vnd.other+json"), SIGNATURE),
        words="the bundle is not accepted",
    ),
)
def test_verify_rejects_bundle_with_two_meanings(
    shelf: Shelf, subject: Subject, attack: Attack[Change]
) -> None:
    (bundle,) = shelf.sign(signature(subject))
    changed, listed = attack.artefact(bundle)
    assert (changed, listed) != (bundle, SIGNATURE)
    shelf.attach(subject, [changed], listed)
    blocked(attack, lambda: shelf.verify(wanting(subject)))


@each(
    Blocked(
        sample="a list of contents other than the run folder's",
        artefact={"predicate": {"name": "that"}},
        words="its content is not the expected one",
    ),
    Blocked(
        sample="a list of contents other than sign recorded",
        artefact={"hash": predicate_digest({"name": "that"})},
        words="expected what sign recorded",
    ),
)
def test_verify_rejects_other_list_than_was_signed(
    shelf: Shelf, subject: Subject, attack: Attack[Any]
) -> None:
    this: JSON = {"name": "this"}
    shelf.say(Statement(subject=subject, predicate_type=SPDX, predicate=this))
    (wanted,) = wanting(subject, SPDX)
    right = replace(wanted, predicate=this, hash=predicate_digest(this))
    assert shelf.verify([right]).covers(subject)
    blocked(attack, lambda: shelf.verify([replace(wanted, **attack.artefact)]))


# What a stranger compares with the image itself.


def read_by(shelf: Shelf, subject: Subject, kind: PredicateType) -> Expected:
    reader = Reader(known=Known(plan=shelf.stage.plan, variant="static"), registry=shelf.registry)
    return Expected(
        subject=subject,
        predicate_type=kind,
        known=reader.known,
        problems=functools.partial(reader.problems, subject),
    )


def true_of(shelf: Shelf, subject: Subject, kind: PredicateType) -> JSON:
    contents = listed.contents_of(subject.digest, subject.repository, f"v{shelf.stage.plan.version}")
    match kind:
        case PredicateType.PROVENANCE:
            return shelf.provenance(subject).predicate
        case PredicateType.SPDX:
            return listed.document("SPDX", contents)
        case PredicateType.CYCLONEDX:
            return listed.document("CycloneDX", contents)
        case PredicateType.VULNERABILITIES:
            return listed.scanned(contents, listed.config_of(shelf.registry.manifest(str(subject))))
        case _:
            return {}


@pytest.mark.parametrize("kind", [SIGNATURE, PROVENANCE, SPDX, CYCLONEDX, SCAN], ids=lambda kind: kind.name)
def test_verify_accepts_predicate_that_is_true_of_image(
    shelf: Shelf, subject: Subject, kind: PredicateType
) -> None:
    shelf.say(Statement(subject=subject, predicate_type=kind, predicate=true_of(shelf, subject, kind)))
    assert shelf.verify([read_by(shelf, subject, kind)]).covers(subject)


@dataclass(frozen=True)
class Lie:
    """A predicate of some type in which one thing is changed."""

    kind: PredicateType
    change: Callable[[JSON], object]


def lying(sample: str, words: str, kind: PredicateType, change: Callable[[JSON], object]) -> Attack[Lie]:
    return Blocked(sample=sample, words=words, artefact=Lie(kind, change))


def without(key: str, text: str) -> Callable[[JSON], object]:
    """Take out of a list what mentions a text."""
    return lambda p: p.update({key: [one for one in p[key] if text not in json.dumps(one)]})


def setting(*path: Any, to: object) -> Callable[[JSON], object]:
    """Set one value in a predicate."""

    def change(predicate: JSON) -> None:
        place: Any = predicate
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = to

    return change


def provenance(sample: str, words: str, *path: Any, to: object) -> Attack[Lie]:
    return lying(
        f"a provenance with {sample}", f"the provenance's {words}", PROVENANCE, setting(*path, to=to)
    )


def scanned(sample: str, words: str, *path: Any, to: object) -> Attack[Lie]:
    return lying(f"a scan {sample}", f"scan: {words}", SCAN, setting(*path, to=to))


def extra(key: str, purl: str) -> Callable[[JSON], object]:
    return lambda p: p[key].append({"name": "more", "type": "library", "purl": purl})


EXTERNAL = ("buildDefinition", "externalParameters")
NEEDS = ("buildDefinition", "resolvedDependencies")
GONE, INVENTED = "in the image and not listed", "listed and not in the image"
STRANGE = "pkg:golang/example.com/evil@v6.6.6"


@each(
    lying("an empty SPDX list", f"SPDX: Go modules {GONE}", SPDX, without("packages", "")),
    lying(
        "an SPDX list without a package", f"SPDX: Debian packages {GONE}", SPDX, without("packages", "tzdata")
    ),
    lying(
        "an SPDX list without a module",
        f"SPDX: Go modules {GONE}",
        SPDX,
        without("packages", "example.com/Lib"),
    ),
    lying("an SPDX list without the service", "is missing", SPDX, without("packages", "Owner/service")),
    lying(
        "an SPDX list that invents a module", f"SPDX: Go modules {INVENTED}", SPDX, extra("packages", STRANGE)
    ),
    lying(
        "an SPDX list of no form", "SPDX: it is no list that can be read", SPDX, lambda p: p.pop("packages")
    ),
    lying("an empty CycloneDX list", f"CycloneDX: Go modules {GONE}", CYCLONEDX, without("components", "")),
    lying(
        "a CycloneDX list without the standard library",
        f"CycloneDX: Go modules {GONE}",
        CYCLONEDX,
        without("components", "stdlib"),
    ),
    lying(
        "a CycloneDX list that invents a package",
        f"CycloneDX: Debian packages {INVENTED}",
        CYCLONEDX,
        extra("components", "pkg:deb/debian/bash@5"),
    ),
    scanned(
        "of another image",
        "image: expected",
        "scanner",
        "result",
        "ArtifactName",
        to="ghcr.io/a/b@sha256:0",
    ),
    scanned(
        "of other settings",
        "configuration: expected",
        "scanner",
        "result",
        "Metadata",
        "ImageID",
        to="sha256:0",
    ),
    scanned("by another scanner", "scanner: expected", "scanner", "uri", to="pkg:github/somebody/scanner@v1"),
    scanned(
        "that looked at nothing",
        "Go modules in the image and not listed",
        "scanner",
        "result",
        "Results",
        to=[],
    ),
    scanned("without times", "it is not in the form", "metadata", to={}),
    scanned(
        "that ended before it began",
        "it ended before",
        "metadata",
        "scanFinishedOn",
        to="2001-01-01T00:00:00Z",
    ),
    lying("a scan that is empty", "scan: it is not in the form", SCAN, lambda p: p.clear()),
    provenance(
        "a builder that is not the signer",
        "builder: expected",
        "runDetails",
        "builder",
        "id",
        to="https://else",
    ),
    provenance(
        "a commit that is not the certificate's",
        "commit: expected",
        *NEEDS,
        0,
        "digest",
        "gitCommit",
        to="0" * 40,
    ),
    provenance(
        "a second digest of the source", "commit: expected one", *NEEDS, 0, "digest", "sha256", to="0" * 64
    ),
    provenance("another source", "source: expected", *EXTERNAL, "source", "uri", to="git+https://else"),
    provenance("another ref", "ref: expected", *EXTERNAL, "source", "ref", to="refs/heads/main"),
    provenance("another first dependency", "first dependency", *NEEDS, 0, "uri", to="git+https://else"),
    provenance(
        "no base image", "dependencies: expected the source, base images", *NEEDS, 1, "uri", to="x://"
    ),
    provenance("a base of no digest", "dependencies: expected one sha256", *NEEDS, 1, "digest", to={}),
    provenance(
        "another build type", "build type: expected", "buildDefinition", "buildType", to="https://else"
    ),
    provenance("another service", "service: expected", *EXTERNAL, "service", to="another"),
    provenance("another variant", "variant: expected", *EXTERNAL, "variant", to="base"),
    provenance("another version", "version: expected", *EXTERNAL, "version", to="9.9.9"),
    provenance("other platforms", "platforms: expected", *EXTERNAL, "platforms", to=["linux/386"]),
    provenance(
        "another time", "time: expected", "buildDefinition", "internalParameters", "sourceDateEpoch", to=1
    ),
    provenance(
        "another run", "invocation: expected", "runDetails", "metadata", to={"invocationId": "https://else"}
    ),
    lying(
        "a provenance with an unknown member",
        "the provenance is not in the form",
        PROVENANCE,
        setting("buildDefinition", "externalParameters", "script", to="curl | sh"),
    ),
    lying("a provenance that is empty", "the provenance is not in the form", PROVENANCE, lambda p: p.clear()),
)
def test_verify_rejects_predicate_that_contradicts_image_or_certificate(
    shelf: Shelf, subject: Subject, attack: Attack[Lie]
) -> None:
    lie, told = attack.artefact, true_of(shelf, subject, attack.artefact.kind)
    before = copy.deepcopy(told)
    lie.change(told)
    assert told != before
    shelf.say(Statement(subject=subject, predicate_type=lie.kind, predicate=told))
    assert lie.kind in shelf.cosign.accepted(subject)
    blocked(attack, lambda: shelf.verify([read_by(shelf, subject, lie.kind)]))


def relabelled(shelf: Shelf, **changed: object) -> Subject:
    """Put the image of a release on the shelf whose labels are another plan's."""
    import msgspec

    plan = msgspec.structs.replace(shelf.stage.plan, **changed)
    folder = shelf.folder / f"labels-{'-'.join(changed)}"
    with writing(folder) as new:
        platform = listed.write(new, plan, Platform("linux/amd64"), salt=str(changed).encode())
        index = new.index([platform], "labels")
    subject = replace(shelf.service(), digest=Digest(platform["digest"]))
    shelf.registry.copy(f"ocidir://{folder}@{index}", subject.repository.at(index))
    return subject


@each(
    Blocked(
        sample="an image labelled as another commit",
        artefact={"commit": "0" * 40},
        words="org.opencontainers.image.revision: expected",
    ),
    Blocked(
        sample="an image labelled as another time",
        artefact={"time": 1},
        words="org.opencontainers.image.created: expected",
    ),
)
def test_verify_rejects_image_that_contradicts_certificate(
    shelf: Shelf, attack: Attack[dict[str, Any]]
) -> None:
    subject = relabelled(shelf, **attack.artefact)
    shelf.say(signature(subject))
    blocked(attack, lambda: shelf.verify([read_by(shelf, subject, SIGNATURE)]))
