"""Which version a run is of: the tag that started it, an argument, what is on HEAD; or a clear refusal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sealift.commands.opening import Asked, planned
from sealift.errors import UsageError
from sealift.stations.plan import plan
from sealift.stations.policy import CONFIG
from tests.conftest import ROOT
from tests.tools.checkouts import Checkout, Hostile, hostile

__all__ = ["hostile"]

pytestmark = pytest.mark.programs

BASE: dict[str, str | bytes] = {CONFIG: (ROOT / CONFIG).read_text(encoding="utf-8"), ".gitignore": "build/\n"}
PUSH = "git push origin tag"


@pytest.fixture(autouse=True)
def outside_of_a_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_ACTIONS", "GITHUB_REF"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout.made(tmp_path / "checkout", BASE)


def released(checkout: Checkout, ref: str | None = None, version: str | None = None) -> str:
    return str(plan(checkout.folder, version=version, tagged=True, ref=ref).version)


def rehearsed(checkout: Checkout, ref: str | None = None, version: str | None = None) -> str:
    return str(plan(checkout.folder, version=version, ref=ref).version)


def tag(checkout: Checkout, *names: str) -> None:
    for name in names:
        checkout.git("tag", name)


@pytest.mark.parametrize("pair", [("v1.2.3-rc.1", "v1.2.3"), ("v1.2.9", "v1.3.0-rc.1"), ("v2.0.0", "v1.9.9")])
def test_a_run_is_of_the_tag_that_started_it(checkout: Checkout, pair: tuple[str, str]) -> None:
    tag(checkout, *pair)
    for one in pair:
        assert released(checkout, f"refs/tags/{one}") == one[1:]
        assert rehearsed(checkout, f"refs/tags/{one}") == one[1:]
        assert released(checkout, f"refs/tags/{one}", version=one[1:]) == one[1:]


def test_without_a_run_two_versions_are_named_or_the_greater_is_rehearsed(
    checkout: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    tag(checkout, "v1.2.9", "v1.3.0-rc.1", "nightly", "foo/v9.9.9")
    with pytest.raises(UsageError, match=r"has the tags v1\.2\.9 and v1\.3\.0-rc\.1") as caught:
        released(checkout)
    assert "--version=" in caught.value.next_step
    assert released(checkout, version="1.2.9") == "1.2.9"
    assert rehearsed(checkout) == "1.3.0-rc.1"
    assert "v1.2.9 and v1.3.0-rc.1: taking 1.3.0-rc.1" in capsys.readouterr().err
    assert rehearsed(checkout, version="1.2.9") == "1.2.9"


def test_a_tag_counts_through_tags_that_name_tags(checkout: Checkout) -> None:
    checkout.git("tag", "--annotate", "--message=x", "inner")
    checkout.git("tag", "--annotate", "--message=x", "v1.2.3", "inner")
    checkout.git("branch", "v1.2.3")
    checkout.commit({"more": "x"})
    checkout.git("branch", "--force", "v1.2.3")
    checkout.git("checkout", "--quiet", "refs/tags/v1.2.3")
    assert (rehearsed(checkout), released(checkout)) == ("1.2.3", "1.2.3")
    assert released(checkout, "refs/tags/v1.2.3") == "1.2.3"


@pytest.mark.parametrize(
    ("name", "why", "right"),
    [
        ("v2026.08.01", "08 begins with a zero", "write it as v2026.8.1"),
        ("v1.2.4+7", "a + cannot stand in an image tag", "leave +... out"),
        ("V1.2.4", "the v is a small one", "write it as v1.2.4"),
        ("v1.2", "a version has three numbers", "write it as v1.2.3"),
        ("v1", "a version has three numbers", "write it as v1.2.3"),
        ("1.2.4", "it does not begin with v", "write it as v1.2.4"),
        ("v1.2.3.4", "a version has three numbers", "write it as v1.2.3"),
        ("foo/v1.2.4", "it is not written as v1.2.3 is", "write it as v1.2.3"),
        ("v1.2.4-01", "it is not written as v1.2.3 is", "write it as v1.2.3"),
        ("v.1.2.4", "it is not written as v1.2.3 is", "write it as v1.2.3"),
        ("release", "it is not written as v1.2.3 is", "write it as v1.2.3"),
        ("v1.2.4-" + "x" * 130, "too long for an image tag", "128"),
    ],
)
def test_a_tag_that_is_nearly_a_version_is_named_with_the_reason(
    checkout: Checkout, capsys: pytest.CaptureFixture[str], name: str, why: str, right: str
) -> None:
    tag(checkout, "v1.2.3")
    checkout.commit({"more": "x"})
    tag(checkout, name)
    for ref in (f"refs/tags/{name}", None):
        with pytest.raises(UsageError, match="names no version to release") as caught:
            released(checkout, ref)
        words = str(caught.value)
        assert repr(name) in words
        assert why in words
        assert "v1.2.4 && git push" not in words
    with pytest.raises(UsageError) as caught:
        released(checkout, f"refs/tags/{name}")
    assert right in caught.value.next_step
    assert rehearsed(checkout, f"refs/tags/{name}") == "1.2.4", "such a tag starts nothing of ours"
    said = capsys.readouterr().err
    assert repr(name) in said
    assert f"{why}; ignored" in said


def test_the_argument_and_the_run_must_agree(checkout: Checkout) -> None:
    tag(checkout, "v1.2.3", "v1.2.4")
    with pytest.raises(UsageError, match=r"--version=1\.2\.4 is not the version of the tag v1\.2\.3"):
        released(checkout, "refs/tags/v1.2.3", version="1.2.4")
    assert rehearsed(checkout, "refs/tags/v1.2.3", version="1.2.4") == "1.2.4"


@pytest.mark.parametrize("ref", ["refs/heads/main", "refs/pull/7/merge", "refs/heads/v1.2.3", "v1.2.3"])
def test_a_run_of_no_tag_releases_nothing(checkout: Checkout, ref: str) -> None:
    tag(checkout, "v1.2.3")
    with pytest.raises(UsageError, match=f"this run was started by {ref}, which is not a tag"):
        released(checkout, ref)
    assert rehearsed(checkout, ref) == "1.2.3"


def test_the_tag_of_the_run_must_be_on_head(checkout: Checkout) -> None:
    tag(checkout, "v1.2.3")
    checkout.commit({"more": "x"})
    tag(checkout, "v1.2.4")
    with pytest.raises(UsageError, match=r"the tag v1\.2\.3 names [0-9a-f]{40}, and this is"):
        released(checkout, "refs/tags/v1.2.3")
    with pytest.raises(UsageError, match=r"no tag v1\.2\.5 is on") as caught:
        released(checkout, "refs/tags/v1.2.5")
    assert caught.value.next_step == "git fetch origin tag v1.2.5"
    assert rehearsed(checkout, "refs/tags/v1.2.3") == "1.2.4"


@pytest.mark.parametrize(
    ("tags", "following"),
    [
        ((), "0.1.0"),
        (("v1.2.3", "v1.10.0"), "1.10.1"),
        (("v1.2.3", "v2026.08.01", "v1.9", "V9.9.9", "9.9.9", "foo/v9.9.9", "v9.9.9+1", "20260801"), "1.2.4"),
    ],
)
def test_foreign_tags_do_not_count(checkout: Checkout, tags: tuple[str, ...], following: str) -> None:
    tag(checkout, *tags)
    checkout.commit({"more": "x"})
    checkout.git("checkout", "--quiet", "-b", "other")
    checkout.commit({"later": "x"})
    tag(checkout, "v8.8.8")
    checkout.git("checkout", "--quiet", "main")
    assert rehearsed(checkout) == following
    with pytest.raises(UsageError, match="no version's tag is on") as caught:
        released(checkout)
    assert caught.value.next_step == f"git tag v{following} && {PUSH} v{following}"


@pytest.mark.parametrize("options", [("--depth=1",), ("--depth=1", "--no-tags"), ("--depth=2", "--no-tags")])
def test_a_shallow_clone_does_not_guess(checkout: Checkout, tmp_path: Path, options: tuple[str, ...]) -> None:
    tag(checkout, "v3.4.5")
    for number in range(2):
        checkout.commit({"more": str(number)})
    clone = Checkout(tmp_path / "clone")
    checkout.git("clone", "--quiet", *options, checkout.folder.as_uri(), str(clone.folder))
    for version in (rehearsed, released):
        with pytest.raises(UsageError, match="shallow") as caught:
            version(clone)
        assert caught.value.next_step.startswith("git fetch --unshallow --tags")
    assert rehearsed(clone, version="3.4.6") == "3.4.6"
    with pytest.raises(UsageError, match=r"no tag v3\.4\.6 is on [0-9a-f]+\n.*shallow"):
        released(clone, version="3.4.6")
    clone.git("tag", "v3.5.0")
    assert (rehearsed(clone), released(clone)) == ("3.5.0", "3.5.0"), "what is on HEAD is known"
    clone.git("tag", "--delete", "v3.5.0")
    clone.git("fetch", "--quiet", "--unshallow", "--tags")
    assert rehearsed(clone) == "3.4.6", "the command that is named helps"


def test_a_clone_without_tags_says_that_it_guesses(
    checkout: Checkout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tag(checkout, "v3.4.5")
    checkout.commit({"more": "x"})
    clone = Checkout(tmp_path / "clone")
    checkout.git("clone", "--quiet", "--no-tags", checkout.folder.as_uri(), str(clone.folder))
    assert rehearsed(clone) == "0.1.0"
    assert "git fetch --tags" in capsys.readouterr().err
    with pytest.raises(UsageError, match="this clone has no tag at all") as caught:
        released(clone)
    assert caught.value.next_step.startswith("git fetch --tags; if it brings none: git tag v0.1.0")
    clone.git("fetch", "--quiet", "--tags")
    assert rehearsed(clone) == "3.4.6"
    with pytest.raises(UsageError) as caught:
        released(clone)
    assert caught.value.next_step == f"git tag v3.4.6 && {PUSH} v3.4.6", "the advice leads on"


def test_a_partial_clone_knows_all_tags(checkout: Checkout, tmp_path: Path) -> None:
    tag(checkout, "v3.4.5")
    checkout.commit({"more": "x"})
    checkout.git("config", "uploadpack.allowFilter", "true")
    clone = Checkout(tmp_path / "clone")
    checkout.git("clone", "--quiet", "--filter=tree:0", checkout.folder.as_uri(), str(clone.folder))
    assert rehearsed(clone) == "3.4.6"


def test_the_ref_counts_in_workflows_and_in_production(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag(checkout, "v1.2.3", "v1.2.4")

    def version(asked: Asked) -> str:
        return str(planned(checkout.folder, asked).version)

    monkeypatch.setenv("GITHUB_REF", "refs/tags/v1.2.3")
    assert version(Asked()) == "1.2.4", "elsewhere the variable may be left over from anything"
    assert version(Asked(production=True)) == "1.2.3"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert version(Asked()) == "1.2.3"
    monkeypatch.setenv("GITHUB_REF", "")
    with pytest.raises(UsageError, match="has the tags"):
        version(Asked(production=True))


def test_a_signed_commit_is_planned_whatever_log_shows(checkout: Checkout, hostile: Hostile) -> None:
    headers, _, message = checkout.git("cat-file", "commit", "HEAD").partition("\n\n")
    armour = "-----BEGIN PGP SIGNATURE-----\n \n iHUEABYKAB0WIQQ=\n =AAAA\n -----END PGP SIGNATURE-----"
    signed = checkout.git(
        *("hash-object", "-t", "commit", "-w", "--stdin"),
        stdin=f"{headers}\ngpgsig {armour}\n\n{message}\n",
    )
    checkout.git("reset", "--quiet", "--hard", signed)
    found = plan(checkout.folder)
    assert (found.commit, found.time, found.left_out) == (signed, 1_700_000_000, ())
    assert hostile.ran == []


def test_the_configuration_is_the_commits(checkout: Checkout) -> None:
    text = str(BASE[CONFIG])
    checkout.git("update-index", "--assume-unchanged", CONFIG)
    checkout.write({CONFIG: text.replace("service: ", "service: other-")})
    assert plan(checkout.folder).config.service == "health-caretaker"
    assert plan(checkout.folder).left_out == (CONFIG,)
    assert plan(checkout.folder, dirty=True).config.service == "other-health-caretaker"
    tag(checkout, "v1.0.0")
    with pytest.raises(UsageError, match=f"the tree has changes: {CONFIG}"):
        released(checkout)


def test_a_configuration_that_was_not_committed(tmp_path: Path) -> None:
    checkout = Checkout.made(tmp_path / "checkout")
    checkout.write(BASE)
    with pytest.raises(UsageError, match="cannot be read from the commit") as caught:
        plan(checkout.folder)
    assert caught.value.next_step == f"git add {CONFIG} && git commit"
    assert str(plan(checkout.folder, dirty=True).version) == "0.1.0"


def test_a_sparse_checkout_is_no_change(checkout: Checkout) -> None:
    checkout.commit({"docs/page.md": "x\n"})
    checkout.git("sparse-checkout", "set", "--cone", "docs")
    assert not (checkout.folder / CONFIG).exists()
    assert plan(checkout.folder).left_out == ()


def test_a_nested_repository_is_left_out_or_refused_by_its_name(checkout: Checkout) -> None:
    Checkout.made(checkout.folder / "nested")
    checkout.write({os.fsdecode(b"odd-\xff\n"): "x"})
    assert plan(checkout.folder).left_out == ("nested/", r"odd-\xff\n")
    with pytest.raises(UsageError, match="nested/ is a repository of its own"):
        plan(checkout.folder, dirty=True)
