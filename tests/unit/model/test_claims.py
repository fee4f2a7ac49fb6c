"""Each claim of a certificate is compared, or must agree with the other signatures of the release."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sealift.model.claims import EXTENSIONS, OPTIONAL, described, disagreement, fullest, problems, run_of
from sealift.model.statements import Claims, Identity
from sealift.rehearsal.sigstore import _GITHUB_EXTENSIONS
from tests.unit.tools.test_sigstore_client import CERTIFIED, CLAIMS, OURS

OPEN = replace(CLAIMS, repository_id=None, owner_id=None, run_id=None, visibility=None)


def test_every_claim_of_fulcio_is_known() -> None:
    """Those below 8 are deprecated forms, and the token's subject is in no template."""
    deprecated = {name for name in _GITHUB_EXTENSIONS if name.startswith("github-workflow-")}
    assert len(EXTENSIONS) == len(set(_GITHUB_EXTENSIONS) - deprecated) + len({"issuer", "token subject"})
    assert list(problems(CERTIFIED, OURS, CLAIMS)) == list(problems(CERTIFIED, OURS, OPEN)) == []


@pytest.mark.parametrize("name", sorted(EXTENSIONS.values()))
def test_a_claim_that_is_missing_or_another_is_named(name: str) -> None:
    without = {key: value for key, value in CERTIFIED.items() if key != name}
    missing = list(problems(without, OURS, CLAIMS))
    assert [p.partition(":")[0] for p in missing] == ([] if name in OPTIONAL else [name])
    another = {**CERTIFIED, name: "another"}
    assert list(problems(another, OURS, CLAIMS)) or name in OPTIONAL
    assert run_of(another) != run_of(CERTIFIED)
    assert [d.partition(":")[0] for d in disagreement(run_of(CERTIFIED), run_of(another))] == [name]


def test_a_certificate_that_is_no_workflows_is_not_compared() -> None:
    assert list(problems({"issuer": "https://i"}, OURS, Claims())) == []


@pytest.mark.parametrize("attempt", ["1", "2", "17"])
def test_another_attempt_is_the_same_run(attempt: str) -> None:
    again = {**CERTIFIED, "run": f"https://github.com/sealift/sealift/actions/runs/1/attempts/{attempt}"}
    assert list(problems(again, OURS, CLAIMS)) == []
    assert run_of(again) == run_of(CERTIFIED)


@pytest.mark.parametrize(
    "run",
    [
        "https://github.com/sealift/sealift/actions/runs/1",
        "https://github.com/sealift/sealift/actions/runs/1/attempts/0",
        "https://github.com/sealift/sealift/actions/runs/x/attempts/1",
        "https://github.com/sealift/sealiftx/actions/runs/1/attempts/1",
        "https://github.com/sealift/sealift/actions/runs/1/attempts/1/",
        "https://github.com/sealift/sealift/actions/runs/1/attempts/1\n",
    ],
)
def test_a_run_is_one_of_the_repository(run: str) -> None:
    assert [p.partition(":")[0] for p in problems({**CERTIFIED, "run": run}, OURS, OPEN)] == ["run"]


def test_runners_of_ones_own_are_allowed_by_a_setting() -> None:
    own = {**CERTIFIED, "runner": "self-hosted"}
    assert list(problems(own, OURS, CLAIMS)) == ["runner: expected github-hosted, got self-hosted"]
    allowed = replace(CLAIMS, self_hosted=True)
    assert list(problems(own, OURS, allowed)) == list(problems(CERTIFIED, OURS, allowed)) == []
    assert list(problems({**CERTIFIED, "runner": "mine"}, OURS, allowed)) != []


def test_a_shared_workflow_has_a_commit_of_its_own() -> None:
    shared = Identity(
        san="https://github.com/acme/workflows/.github/workflows/pipeline.yml@v4", issuer=OURS.issuer
    )
    certified = {**CERTIFIED, "build signer": shared.san, "build signer's commit": "7" * 40}
    assert list(problems(certified, shared, CLAIMS)) == []
    local = replace(shared, san=OURS.san.replace("release.yml", "pipeline.yml"))
    certified["build signer"] = local.san
    assert list(problems(certified, local, CLAIMS)) == [
        f"build signer's commit: expected {CLAIMS.commit}, got {'7' * 40}"
    ]


def test_the_run_that_signed_the_most_is_the_releases() -> None:
    one, two = run_of(CERTIFIED), run_of({**CERTIFIED, "repository id": "7"})
    assert fullest([[one], [one, two], [two, one]]) == one
    assert fullest([[one], [two, two], [two]]) == two
    assert fullest([]) is fullest([[], []]) is None
    assert described(one) == (
        "https://github.com/sealift/sealift/actions/runs/1, github-hosted, repository id 304973943, "
        "owner id 2964909105, public"
    )
