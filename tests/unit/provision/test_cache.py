from __future__ import annotations

import threading
from pathlib import Path

import pytest

from sealift.errors import UsageError
from sealift.provision.cache import cache_folder, remove_tree, sha256_of, tree_sha256, workspace


def test_the_environment_moves_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEALIFT_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("SEALIFT_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "sealift"


def test_a_files_hash(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert sha256_of(tmp_path / "f") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_trees_hash_sees_content_name_mode_and_link(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    file = tree / "bin" / "go"
    file.write_text("x")
    seen = [tree_sha256(tree)]
    file.chmod(0o755)
    seen.append(tree_sha256(tree))
    file.write_text("y")
    seen.append(tree_sha256(tree))
    file.rename(tree / "bin" / "gofmt")
    seen.append(tree_sha256(tree))
    (tree / "bin" / "link").symlink_to("gofmt")
    seen.append(tree_sha256(tree))
    assert len(set(seen)) == 5


def test_a_workspace_is_empty_and_goes(tmp_path: Path) -> None:
    left = tmp_path / "work" / "crane" / "left-by-a-killed-run"
    left.mkdir(parents=True)
    (left / "crane").write_text("half")
    with workspace(tmp_path, "crane") as work:
        assert list(work.iterdir()) == []
        assert not left.exists()
        (work / "crane").write_text("whole")
    assert not (tmp_path / "work" / "crane").exists()


def test_a_workspace_goes_when_its_use_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), workspace(tmp_path, "crane"):
        raise KeyboardInterrupt
    assert not (tmp_path / "work" / "crane").exists()
    with workspace(tmp_path, "crane"):  # and its lock is free again
        pass


def test_one_name_is_one_at_a_time(tmp_path: Path) -> None:
    inside, entered = threading.Event(), threading.Event()

    def other() -> None:
        inside.set()
        with workspace(tmp_path, "crane"):
            entered.set()

    thread = threading.Thread(target=other)
    with workspace(tmp_path, "crane") as work:
        thread.start()
        assert inside.wait(10)
        assert not entered.wait(0.2)
        assert work.exists()
    assert entered.wait(10)
    thread.join()


def test_a_cache_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="SEALIFT_CACHE"), workspace(tmp_path / "file", "crane"):
        pass


def test_a_read_only_tree_is_removed(tmp_path: Path) -> None:
    deep = tmp_path / "mod" / "deep"
    deep.mkdir(parents=True)
    (deep / "f").write_text("x")
    deep.chmod(0o500)
    (tmp_path / "mod").chmod(0o500)
    remove_tree(tmp_path / "mod")
    remove_tree(tmp_path / "mod")
    assert not (tmp_path / "mod").exists()
