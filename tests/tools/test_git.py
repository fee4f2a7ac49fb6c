"""git says and writes the same for every user, and what a checkout cannot give has a name."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from sealift.environment import ROWS, _row
from sealift.errors import UsageError
from sealift.model.names import Digest, Platform
from sealift.provision.everything import Provided
from sealift.tools import git, go
from tests.tools.checkouts import PLAIN, Checkout, Hostile, hostile, tree

__all__ = ["hostile"]

pytestmark = pytest.mark.programs

UNREADABLE = os.fsdecode(b"not-\xff-utf8\nin-two-lines")
FILES: dict[str, str | bytes] = {
    "lines.txt": "a\nb\n",
    "windows.txt": "a\r\nb\r\n",
    "mixed.txt": "a\r\nb\n",
    "bytes.bin": b"\0\r\n\n",
    "id.txt": "$Id$\n",
    UNREADABLE: "x\n",
    "MAIN.go": "1\n",
    "main.GO": "2\n",
    ".gitignore": "build/\n",
    ".gitattributes": "id.txt ident\n",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout.made(tmp_path / "checkout", FILES)
    (made.folder / "link").symlink_to("lines.txt")
    (made.folder / "run.sh").write_text("#!/bin/sh\n")
    (made.folder / "run.sh").chmod(0o755)
    made.commit({})
    (made.folder / "id.txt").unlink()
    made.git("checkout", "--", "id.txt")
    return made


def view(root: Path, target: Path) -> tuple[object, ...]:
    """Ask everything that sealift asks of a checkout."""
    commit = git.head(root)
    git.clone(root, commit, target)
    found = git.changed(root)
    return (
        *(git.top(root), git.top(root), commit, git.commit_time(root, commit), git.tags(root)),
        *(git.merged_tags(root, commit), found, git.fingerprint(root, commit, found)),
        *(git.file_of(root, commit, "windows.txt"), git.is_shallow(root), git.has_remote(root), tree(target)),
    )


def test_a_hostile_user_gets_the_same_answers_and_bytes(
    checkout: Checkout, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    checkout.git("tag", "v1.0.0", "HEAD~1")
    checkout.git("tag", "--annotate", "--message=x", "v1.1.0")
    checkout.write({"new.go": "new\n", "lines.txt": "changed\n", "build/ignored": "x"})
    plain, before = view(checkout.folder, tmp_path / "plain"), checkout.state()
    user: Hostile = request.getfixturevalue("hostile")
    assert view(checkout.folder, tmp_path / "hostile") == plain
    assert checkout.state() == before, "a look changes nothing in the user's repository"
    assert user.ran == [], "no program of the user's is started"
    assert not (user.home / "trace").exists()


def test_a_clone_has_the_bytes_that_were_committed(checkout: Checkout, tmp_path: Path) -> None:
    git.clone(checkout.folder, checkout.head, tmp_path / "clone")
    found = tree(tmp_path / "clone")
    ident = found.pop("id.txt")
    assert ident[1].startswith(b"$Id: "), "what the repository itself asks for is done"
    committed = {k: v.encode() if isinstance(v, str) else v for k, v in FILES.items() if k != "id.txt"}
    assert {n: d for n, (_, d) in found.items() if n in committed} == committed
    assert found["link"][1] == b"lines.txt"
    assert found["run.sh"][0] & 0o111


def test_a_users_filter_reads_the_checkout_and_writes_no_clone(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout.commit({".gitattributes": "*.bin filter=big\n", "big.bin": "pointer\n"})
    home = tmp_path / "home"
    home.mkdir()
    settings = '[filter "big"]\n\tclean = sed s/content/pointer/\n\tsmudge = sed s/pointer/content/\n'
    (home / ".gitconfig").write_text(settings)
    checkout.write({"big.bin": "content\n"})
    assert git.changed(checkout.folder) == ("big.bin",)
    monkeypatch.setenv("HOME", str(home))
    assert git.changed(checkout.folder) == (), "as Git LFS writes its files"
    git.clone(checkout.folder, checkout.head, tmp_path / "clone")
    assert (tmp_path / "clone" / "big.bin").read_text() == "pointer\n"
    (tmp_path / "clone" / "big.bin").touch()
    status = ["git", "status", "--porcelain"]
    seen = subprocess.run(
        status, cwd=tmp_path / "clone", env=PLAIN | {"HOME": str(home)}, capture_output=True, check=True
    )
    assert seen.stdout == b"", "the git that Go starts sees no change either"


def local_crlf(checkout: Checkout) -> None:
    checkout.git("config", "core.autocrlf", "true")


def local_attributes(checkout: Checkout) -> None:
    (checkout.folder / ".git" / "info").mkdir(exist_ok=True)
    (checkout.folder / ".git" / "info" / "attributes").write_text("lines.txt text eol=crlf\n")


def local_hooks(checkout: Checkout) -> None:
    hook = checkout.folder / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)


def replaced(checkout: Checkout) -> None:
    other = checkout.git("commit-tree", "HEAD~1^{tree}", "-m", "other", GIT_COMMITTER_DATE="1600000000 +0000")
    checkout.git("replace", "HEAD", other)


def grafted(checkout: Checkout) -> None:
    (checkout.folder / ".git" / "info").mkdir(exist_ok=True)
    (checkout.folder / ".git" / "info" / "grafts").write_text(f"{checkout.head}\n")


def sparse(checkout: Checkout) -> None:
    checkout.git("sparse-checkout", "set", "--no-cone", "/lines.txt")


def packed(checkout: Checkout) -> None:
    checkout.git("gc", "--quiet")


@pytest.mark.parametrize(
    "peculiar", [local_crlf, local_attributes, local_hooks, replaced, grafted, sparse, packed]
)
def test_what_is_set_in_the_checkout_itself_changes_no_byte(
    checkout: Checkout, tmp_path: Path, peculiar: Callable[[Checkout], None]
) -> None:
    checkout.git("tag", "v1.0.0", "HEAD~1")
    plain = view(checkout.folder, tmp_path / "plain")
    peculiar(checkout)
    assert view(checkout.folder, tmp_path / "peculiar") == plain


def test_a_linked_worktree_in_a_hook_of_its_repository(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout.git("worktree", "add", "--quiet", "-b", "feature", str(tmp_path / "linked"))
    monkeypatch.setenv("GIT_DIR", str(checkout.folder / ".git" / "worktrees" / "linked"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(checkout.folder / ".git" / "worktrees" / "linked" / "index"))
    before = checkout.state()
    assert git.top(tmp_path / "linked") == tmp_path / "linked"
    git.clone(tmp_path / "linked", checkout.head, tmp_path / "clone")
    assert tree(tmp_path / "clone") == tree(tmp_path / "linked")
    assert checkout.state() == before


def test_a_repository_with_sha256(tmp_path: Path) -> None:
    checkout = Checkout.made(tmp_path / "long", FILES, "--object-format=sha256")
    git.clone(checkout.folder, checkout.head, tmp_path / "clone")
    assert git.head(tmp_path / "clone") == checkout.head
    assert len(checkout.head) == git.SHA256_DIGITS


def test_a_shallow_clone_can_be_built_from(checkout: Checkout, tmp_path: Path) -> None:
    checkout.git("clone", "--quiet", "--depth=1", checkout.folder.as_uri(), str(tmp_path / "shallow"))
    assert git.is_shallow(tmp_path / "shallow")
    git.clone(tmp_path / "shallow", checkout.head, tmp_path / "clone")
    assert tree(tmp_path / "clone") == tree(checkout.folder)
    assert Checkout(tmp_path / "clone").git("log", "--format=%H") == checkout.head


def partial(checkout: Checkout, folder: Path, *options: str) -> Path:
    checkout.git("config", "uploadpack.allowFilter", "true")
    url = checkout.folder.as_uri()
    checkout.git("clone", "--quiet", "--filter=blob:none", *options, url, str(folder))
    return folder


def test_a_partial_clone_with_all_files_can_be_built_from(checkout: Checkout, tmp_path: Path) -> None:
    git.clone(partial(checkout, tmp_path / "partial"), checkout.head, tmp_path / "clone")
    assert tree(tmp_path / "clone") == tree(checkout.folder)


def test_a_partial_clone_without_some_names_the_command_that_fetches_them(
    checkout: Checkout, tmp_path: Path
) -> None:
    checkout.commit({"below/more.txt": "only here\n"})
    clone = partial(checkout, tmp_path / "partial", "--sparse")
    with pytest.raises(UsageError, match="is a partial clone without all files") as caught:
        git.clone(clone, checkout.head, tmp_path / "clone")
    assert caught.value.next_step.startswith("git sparse-checkout disable")
    checkout.git("-C", str(clone), "sparse-checkout", "disable")
    git.clone(clone, checkout.head, tmp_path / "again")
    assert tree(tmp_path / "again") == tree(checkout.folder)


# The files that differ.


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_a_change_that_git_was_told_not_to_see_is_one(checkout: Checkout, tmp_path: Path, flag: str) -> None:
    checkout.git("update-index", flag, "lines.txt", "windows.txt", "link")
    assert git.changed(checkout.folder) == ()
    checkout.write({"lines.txt": "hidden\n"})
    assert git.changed(checkout.folder) == ("lines.txt",)
    git.clone(checkout.folder, checkout.head, tmp_path / "clone", overlay=("lines.txt",))
    assert (tmp_path / "clone" / "lines.txt").read_text() == "hidden\n"


def test_a_dirty_tree_is_copied_whatever_took_the_place_of_what(checkout: Checkout, tmp_path: Path) -> None:
    checkout.commit({"folder/a.txt": "a\n", "file": "f\n", "to": "x\n", "linked/a": "a\n"})
    (checkout.folder / "folder" / "a.txt").unlink()
    (checkout.folder / "folder").rmdir()
    (checkout.folder / "file").unlink()
    (checkout.folder / "link").unlink()
    (checkout.folder / "linked").rename(tmp_path / "away")
    (checkout.folder / "linked").symlink_to(tmp_path / "away")
    checkout.write({"folder": "now a file\n", "file/inside": "now a folder\n", "link/inside": "x\n"})
    checkout.write({UNREADABLE: "changed\n", os.fsdecode(b"new-\xfe\n"): "new\n"})
    (checkout.folder / "run.sh").chmod(0o644)
    overlay = git.changed(checkout.folder)
    git.clone(checkout.folder, checkout.head, tmp_path / "clone", overlay=overlay)
    assert tree(tmp_path / "clone") == tree(checkout.folder)
    assert (tmp_path / "away" / "a").read_text() == "a\n"


def test_a_tree_has_another_name_when_a_link_or_a_strange_name_changes(checkout: Checkout) -> None:
    def name() -> str:
        return git.fingerprint(checkout.folder, checkout.head, git.changed(checkout.folder))

    names = [name()]
    (checkout.folder / "twin.txt").write_bytes((checkout.folder / "lines.txt").read_bytes())
    names.append(name())
    (checkout.folder / "link").unlink()
    (checkout.folder / "link").symlink_to("twin.txt")
    names.append(name())
    (checkout.folder / UNREADABLE).unlink()
    names.append(name())
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("name", "shown"),
    [("plain", "plain"), ("ünï", "ünï"), (UNREADABLE, r"not-\xff-utf8\nin-two-lines")],
)
def test_a_name_is_printed_in_one_line(name: str, shown: str) -> None:
    assert git.printable(name) == shown


# What git alone cannot give.


def test_files_of_the_module_that_a_filter_makes_are_refused(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    files: dict[str, str | bytes] = {
        ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n",
        "docs/picture.bin": pointer,
        "src/app/main.go": "package main\n",
    }
    checkout = Checkout.made(tmp_path / "checkout", files)
    git.clone(checkout.folder, checkout.head, tmp_path / "clone", module="src/app")
    assert (tmp_path / "clone" / "docs" / "picture.bin").read_text() == pointer
    checkout.commit({"src/app/data.bin": pointer, "src/app/more.bin": pointer})
    with pytest.raises(UsageError, match=r"src/app/data.bin goes through the git filter lfs, and 1 more"):
        git.clone(checkout.folder, checkout.head, tmp_path / "other", module="src/app")


def with_submodule(tmp_path: Path, at: str) -> tuple[Checkout, Checkout]:
    inner = Checkout.made(tmp_path / "inner", {"lib.go": "package lib\n"})
    outer = Checkout.made(tmp_path / "outer", {"src/app/main.go": "package main\n"})
    outer.git("submodule", "--quiet", "add", inner.folder.as_uri(), at)
    outer.commit({})
    return outer, inner


def test_a_submodule_is_built_from_at_the_commit_that_is_named(tmp_path: Path) -> None:
    outer, _ = with_submodule(tmp_path, "src/app/lib")
    Checkout(outer.folder / "src/app/lib").commit({"lib.go": "package later\n"})
    assert git.changed(outer.folder) == ("src/app/lib",)
    git.clone(outer.folder, outer.head, tmp_path / "clone", module="src/app")
    assert (tmp_path / "clone/src/app/lib/lib.go").read_text() == "package lib\n"
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=tmp_path / "clone", env=PLAIN, capture_output=True, check=True
    )
    assert status.stdout == b"", "so Go stamps an unchanged tree"


@pytest.mark.parametrize("at", ["src/app/lib", "src"])
def test_a_submodule_of_the_module_that_is_not_here_is_named(tmp_path: Path, at: str) -> None:
    outer, _ = with_submodule(tmp_path, "src/app/lib")
    bare = tmp_path / "bare"
    outer.git("clone", "--quiet", outer.folder.as_uri(), str(bare))
    module = "src/app" if at == "src/app/lib" else "src/app/lib/below"
    with pytest.raises(UsageError, match="the submodule src/app/lib is not here") as caught:
        git.clone(bare, outer.head, tmp_path / "clone", module=module)
    assert caught.value.next_step == "git submodule update --init --recursive src/app/lib"


def test_a_submodule_beside_the_module_may_be_missing(tmp_path: Path) -> None:
    outer, _ = with_submodule(tmp_path, "docs/theme")
    bare = tmp_path / "bare"
    outer.git("clone", "--quiet", outer.folder.as_uri(), str(bare))
    git.clone(bare, outer.head, tmp_path / "clone", module="src/app")
    assert list((tmp_path / "clone/docs/theme").iterdir()) == []


def test_a_repository_that_was_added_without_gitmodules(tmp_path: Path) -> None:
    outer = Checkout.made(tmp_path / "outer", {"src/app/main.go": "package main\n"})
    Checkout.made(outer.folder / "src/app/nested", {"lib.go": "package lib\n"})
    Checkout.made(outer.folder / "docs/nested", {"x": "x\n"})
    outer.commit({})
    git.clone(outer.folder, outer.head, tmp_path / "clone")
    assert list((tmp_path / "clone/docs/nested").iterdir()) == []
    with pytest.raises(UsageError, match=r"\.gitmodules does not name it") as caught:
        git.clone(outer.folder, outer.head, tmp_path / "other", module="src/app")
    assert "git rm --cached src/app/nested" in caught.value.next_step


# git's own words.


def test_no_checkout_is_told_with_the_variable_that_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("GIT_DIR", "/somewhere")
    with pytest.raises(UsageError, match="is not in a git checkout; GIT_DIR is set") as caught:
        git.top(tmp_path)
    assert "not a git repository" in caught.value.means


def test_a_checkout_of_another_user_is_refused_in_gits_own_words(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # git's own tests use it: to give a checkout away takes root.
    row = f"{ROWS['git']}|GIT_TEST_ASSUME_DIFFERENT_OWNER"
    monkeypatch.setitem(cast("dict[str, str]", ROWS), "git", row)
    _row.cache_clear()
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    inside = checkout.folder / "inside"
    inside.mkdir()
    (tmp_path / "home").mkdir()
    with pytest.raises(UsageError, match="detected dubious ownership") as caught:
        git.top(inside)
    assert "safe.directory" in str(caught.value)
    assert git.top(checkout.folder) == checkout.folder, "root stands in a container's mounted checkout"
    git.clone(checkout.folder, git.head(checkout.folder), tmp_path / "clone")
    assert tree(tmp_path / "clone") == tree(checkout.folder)
    (tmp_path / "home" / ".gitconfig").write_text(f"[safe]\n\tdirectory = {checkout.folder}\n")
    assert git.top(inside) == checkout.folder, "what git advises helps"


def test_a_repository_without_a_commit(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path / "empty"], env=PLAIN, check=True)
    with pytest.raises(UsageError, match="has no commit to release"):
        git.head(tmp_path / "empty")


def test_a_damaged_repository_is_told_in_gits_own_words(checkout: Checkout) -> None:
    (checkout.folder / ".git" / "config").write_text("[core\n")
    with pytest.raises(UsageError, match="bad config line 1"):
        git.head(checkout.folder)


def test_a_file_that_is_not_in_the_commit(checkout: Checkout) -> None:
    checkout.write({"new.yaml": "x\n"})
    with pytest.raises(UsageError, match=r"new\.yaml cannot be read from the commit") as caught:
        git.file_of(checkout.folder, checkout.head, "new.yaml")
    assert caught.value.next_step == "git add new.yaml && git commit"


# Tags.


def test_a_tag_names_its_commit_through_any_number_of_tags(checkout: Checkout) -> None:
    checkout.git("tag", "light")
    checkout.git("tag", "--annotate", "--message=x", "annotated")
    checkout.git("tag", "--annotate", "--message=x", "nested", "annotated")
    checkout.git("tag", "--annotate", "--message=x", "deeper", "nested")
    checkout.git("tag", "foo/v1.2.3", "HEAD~1")
    checkout.git("branch", "light", "HEAD~1")
    head, before = checkout.head, checkout.git("rev-parse", "HEAD~1")
    assert git.tags(checkout.folder) == {
        **dict.fromkeys(("light", "annotated", "nested", "deeper"), head),
        "foo/v1.2.3": before,
    }
    assert git.tag_commit(checkout.folder, "light") == head
    assert git.tag_commit(checkout.folder, "v1") is None
    checkout.git("checkout", "--quiet", before)
    assert git.merged_tags(checkout.folder, before) == ("foo/v1.2.3",)


# What Go stamps.


def test_a_hostile_user_builds_the_same_program(
    tmp_path: Path, provided: Provided, request: pytest.FixtureRequest
) -> None:
    checkout = Checkout.made(
        tmp_path / "checkout",
        {
            "go.mod": "module example.com/app\n\ngo 1.24\n",
            "main.go": 'package main\n\nimport _ "embed"\n\n//go:embed text.txt\nvar text string\n\n'
            "var version string\n\nfunc main() { println(version, text, `a\nb`) }\n",
            "text.txt": "one\ntwo\n",
        },
    )

    def built(name: str, root: Path = checkout.folder) -> tuple[Digest, str]:
        git.clone(root, checkout.head, tmp_path / name, module=".")
        request = go.GoBuildRequest(
            module=tmp_path / name,
            package=".",
            variable="main.version",
            version="1.2.3",
            platform=Platform("linux/amd64"),
            linkage="static",
            glibc=None,
            output=tmp_path / f"{name}.out",
            cache=tmp_path / "cache",
        )
        go.build(provided.go.path, request)
        told = subprocess.run(
            [provided.go.path, "version", "-m", request.output], capture_output=True, text=True, check=True
        )
        return Digest.of_file(request.output), told.stdout.partition("\n")[2]

    plain, info = built("plain")
    assert f"vcs.revision={checkout.head}" in info
    assert "vcs.modified=false" in info
    assert "\tmod\texample.com/app\tv0.0.0-20231114221320-" in info, "Go made a version of the commit"
    checkout.commit({"more.txt": "x\n"})
    plain, info = built("later")
    checkout.git("clone", "--quiet", "--depth=1", checkout.folder.as_uri(), str(tmp_path / "shallow"))
    checkout.git("-C", str(tmp_path / "shallow"), "tag", "v7.0.0")
    assert built("of-shallow", tmp_path / "shallow") == (plain, info)
    user: Hostile = request.getfixturevalue("hostile")
    assert built("hostile") == (plain, info)
    assert user.ran == []
