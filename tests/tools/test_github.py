"""The client and the draft against the stand-in: a real process, a real port, real folders."""

from __future__ import annotations

import hashlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sealift.errors import OutsideError, RefusedError, UsageError
from sealift.services.ports import free_ports
from sealift.stations.draft import DraftState, draft, publish
from sealift.tools import github as github_client
from sealift.tools.github import AT_ONCE, Asset, GitHub, Release
from sealift.tools.github_errors import BurnedTagError

pytestmark = pytest.mark.programs

REPOSITORY = "acme/health-caretaker"
COMMIT = "1" * 40
OTHER = "2" * 40
TAG = "v1.2.3"
TOKEN = "a-secret-of-the-rehearsal"


class StandIn:
    """One run of the server over a folder that outlives it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder / "github"
        self.options = options
        self.token_file = folder / "token"
        self.token_file.write_text(TOKEN + "\n")
        self.log = folder / "log"
        self.start()

    def start(self) -> None:
        (self.port,) = free_ports(1).release()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command(self, self.port), stderr=log)
        deadline = time.monotonic() + 30
        while not self.answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def answers(self) -> bool:
        try:
            return self.ask("GET", "/zen", token=None)[0] == 200
        except OSError:
            return False

    def ask(self, method: str, path: str, *, token: str | None = TOKEN) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, headers={"Authorization": f"Bearer {token}"} if token else {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def client(self, token: str | None = TOKEN, repository: str = REPOSITORY) -> GitHub:
        return GitHub(f"http://127.0.0.1:{self.port}", token, repository, pace=AT_ONCE)

    def content(self, name: str) -> Path:
        """Find an asset's bytes in the folder."""
        for record in self.folder.glob("assets/*/record.json"):
            if f'"{name}"' in record.read_text():
                return record.parent / "content"
        raise AssertionError(f"{name} is not in the folder")


def command(stand_in: StandIn, port: int, *, folder: Path | None = None) -> list[str]:
    arguments = {
        "--dir": str(folder or stand_in.folder),
        "--port": str(port),
        "--repository": REPOSITORY,
        "--token-file": str(stand_in.token_file),
        "--tag": f"{TAG}={COMMIT}",
    }
    words = [word for pair in arguments.items() for word in pair]
    return [sys.executable, "-m", "sealift.rehearsal.github", *words, *stand_in.options]


@pytest.fixture
def stand_in(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[StandIn]:
    server = StandIn(tmp_path, *getattr(request, "param", ()))
    yield server
    if server.process.poll() is None:
        server.stop()


@pytest.fixture
def assets(tmp_path: Path) -> dict[str, Path]:
    folder = tmp_path / "dist"
    folder.mkdir()
    made = {}
    for name, data in {
        "sbom.spdx.json": b'{"spdx": 1}',
        "health-caretaker_linux_amd64": bytes(range(256)) * 700,
        "notes.md": b"# notes\n",
    }.items():
        (folder / name).write_bytes(data)
        made[name] = folder / name
    return made


def drafted(github: GitHub, assets: dict[str, Path], *, tag: str = TAG, commit: str = COMMIT) -> DraftState:
    return draft(
        github,
        tag=tag,
        commit=commit,
        title=f"health-caretaker {tag}",
        notes="What changed.",
        prerelease="-" in tag,
        assets=assets,
    )


def found(github: GitHub, tag: str = TAG) -> Release:
    release = github.find_release(tag)
    assert release is not None
    return release


def test_a_draft_holds_what_was_built(stand_in: StandIn, assets: dict[str, Path]) -> None:
    github = stand_in.client()
    state = drafted(github, assets)
    assert state.uploaded == tuple(assets)
    assert not state.published
    for name, path in assets.items():
        assert state.assets[name].hex == hashlib.sha256(path.read_bytes()).hexdigest()
        assert stand_in.content(name).read_bytes() == path.read_bytes()
    release = found(github)
    assert (release.draft, release.title, release.body) == (True, f"health-caretaker {TAG}", "What changed.")


def test_a_draft_is_not_found_by_its_tag(stand_in: StandIn, assets: dict[str, Path]) -> None:
    state = drafted(stand_in.client(), assets)
    by_tag = f"/repos/{REPOSITORY}/releases/tags/{TAG}"
    assert stand_in.ask("GET", by_tag)[0] == 404
    publish(stand_in.client(), state)
    assert stand_in.ask("GET", by_tag)[0] == 200


def test_a_second_run_finds_the_draft_true(stand_in: StandIn, assets: dict[str, Path]) -> None:
    first = drafted(stand_in.client(), assets)
    second = drafted(stand_in.client(), assets)
    assert second.release_id == first.release_id
    assert second.uploaded == ()
    assert len(list(stand_in.folder.glob("assets/*/content"))) == len(assets)


def test_published_once_and_then_already_true(stand_in: StandIn, assets: dict[str, Path]) -> None:
    github = stand_in.client()
    state = drafted(github, assets)
    published = publish(github, state)
    assert published.made
    assert published.immutable
    assert github.latest_tag() == TAG
    assert not publish(github, state).made
    again = drafted(github, assets)
    assert again.published
    assert again.uploaded == ()


def test_words_of_a_draft_follow(stand_in: StandIn, assets: dict[str, Path]) -> None:
    github = stand_in.client()
    github.create_draft(TAG, COMMIT, "old", "old", prerelease=True)
    drafted(github, assets)
    release = found(github)
    assert (release.body, release.prerelease, release.draft) == ("What changed.", False, True)


def test_an_asset_with_other_bytes_is_replaced_in_a_draft(stand_in: StandIn, assets: dict[str, Path]) -> None:
    drafted(stand_in.client(), assets)
    stand_in.content("notes.md").write_bytes(b"# other\n")
    state = drafted(stand_in.client(), assets)
    assert state.uploaded == ("notes.md",)
    assert stand_in.content("notes.md").read_bytes() == assets["notes.md"].read_bytes()


def test_a_draft_whose_asset_was_replaced_is_not_published(
    stand_in: StandIn, assets: dict[str, Path]
) -> None:
    github = stand_in.client()
    state = drafted(github, assets)
    (notes,) = (asset for asset in found(github).assets if asset.name == "notes.md")
    github.delete_asset(notes)
    other = assets["notes.md"].with_name("other.md")
    other.write_bytes(b"# other\n")
    github.upload(found(github), other, "notes.md")
    with pytest.raises(RefusedError, match=r"other bytes: notes\.md"):
        publish(stand_in.client(), state)
    assert found(stand_in.client()).draft


def test_an_asset_of_which_github_tells_no_digest_is_downloaded_again(
    stand_in: StandIn, assets: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = drafted(stand_in.client(), assets)
    stand_in.content("notes.md").write_bytes(b"# other\n")
    told = github_client._asset
    monkeypatch.setattr(github_client, "_asset", lambda asset: replace(told(asset), digest=None))
    with pytest.raises(RefusedError, match=r"other bytes: notes\.md"):
        publish(stand_in.client(), state)


def test_an_asset_that_was_compared_is_downloaded_once(
    stand_in: StandIn, assets: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    downloaded: list[str] = []
    plain = GitHub.download

    def counted(github: GitHub, asset: Asset) -> bytes:
        downloaded.append(asset.name)
        return plain(github, asset)

    monkeypatch.setattr(GitHub, "download", counted)
    publish(stand_in.client(), drafted(stand_in.client(), assets))
    assert sorted(downloaded) == sorted(assets)


def test_other_bytes_in_a_published_release_are_refused(stand_in: StandIn, assets: dict[str, Path]) -> None:
    publish(stand_in.client(), drafted(stand_in.client(), assets))
    stand_in.content("notes.md").write_bytes(b"# other\n")
    with pytest.raises(RefusedError, match=r"published release v1\.2\.3 .* other bytes: notes\.md"):
        drafted(stand_in.client(), assets)


def test_an_asset_that_was_not_built_is_refused(stand_in: StandIn, assets: dict[str, Path]) -> None:
    github = stand_in.client()
    state = drafted(github, assets)
    github.upload(found(github), assets["notes.md"], "extra.txt")
    for look in (lambda: drafted(github, assets), lambda: publish(github, state)):
        with pytest.raises(RefusedError, match=r"not built here: extra\.txt"):
            look()


def test_resumes_after_a_half_upload(stand_in: StandIn, assets: dict[str, Path]) -> None:
    github = stand_in.client()
    release = github.create_draft(TAG, COMMIT, "t", "b", prerelease=False)
    path = f"/uploads/repos/{REPOSITORY}/releases/{release.id}/assets?name=notes.md"
    with socket.create_connection(("127.0.0.1", stand_in.port), timeout=30) as broken:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: token {TOKEN}\r\nContent-Length: 8\r\n\r\n"
        broken.sendall(head.encode() + b"# no")
        broken.shutdown(socket.SHUT_WR)
        assert broken.recv(100) == b""
    assert [a.uploaded for a in found(github).assets] == [False]
    state = drafted(github, assets)
    assert state.release_id == release.id
    assert "notes.md" in state.uploaded
    assert all(a.uploaded for a in found(github).assets)


def test_a_restart_keeps_everything(stand_in: StandIn, assets: dict[str, Path]) -> None:
    state = drafted(stand_in.client(), assets)
    assert stand_in.stop() == 0
    stand_in.start()
    again = drafted(stand_in.client(), assets)
    assert (again.release_id, again.uploaded) == (state.release_id, ())
    assert publish(stand_in.client(), again).made
    stand_in.stop()
    stand_in.start()
    assert drafted(stand_in.client(), assets).published


def test_a_wrong_token_is_named_and_not_tried_again(stand_in: StandIn, assets: dict[str, Path]) -> None:
    wrong = "another-secret"
    with pytest.raises(OutsideError, match="401: Bad credentials") as caught:
        drafted(stand_in.client(token=wrong), assets)
    assert not caught.value.again
    assert "contents: write" in str(caught.value)
    assert not list(stand_in.folder.glob("releases/*"))
    for secret in (wrong, TOKEN):
        assert secret not in str(caught.value)
        assert secret not in stand_in.log.read_text()


def test_who_has_no_token_asks_without_one_and_an_empty_one_is_a_mistake(stand_in: StandIn) -> None:
    with pytest.raises(OutsideError, match="401: Requires authentication"):
        stand_in.client(token=None).tag_commit(TAG)
    with pytest.raises(UsageError, match="no token"):
        stand_in.client(token="")


def test_a_repository_that_is_not_there_is_never_an_absent_tag(stand_in: StandIn) -> None:
    github = stand_in.client(repository="acme/other")
    for look in (github.tag_commit, github.find_release, lambda _: github.latest_tag()):
        with pytest.raises(OutsideError, match="404") as caught:
            look(TAG)
        assert not caught.value.again


def test_nobody_there_is_the_outside(stand_in: StandIn) -> None:
    stand_in.stop()
    with pytest.raises(OutsideError, match="could not look for the release") as caught:
        stand_in.client().find_release(TAG)
    assert caught.value.again


def test_a_folder_that_cannot_be_read_is_the_outside(stand_in: StandIn, assets: dict[str, Path]) -> None:
    drafted(stand_in.client(), assets)
    next(stand_in.folder.glob("releases/*.json")).write_text("{")
    with pytest.raises(OutsideError, match="500"):
        drafted(stand_in.client(), assets)


@pytest.mark.parametrize(("tag", "commit"), [(TAG, OTHER), ("v9.9.9", COMMIT)])
def test_a_tag_elsewhere_or_nowhere_stops(
    stand_in: StandIn, assets: dict[str, Path], tag: str, commit: str
) -> None:
    with pytest.raises(RefusedError, match=f"the tag {tag} (names {COMMIT}|is not) on GitHub"):
        drafted(stand_in.client(), assets, tag=tag, commit=commit)
    assert stand_in.client().find_release(tag) is None


def test_a_tag_that_moved_stops_publishing(stand_in: StandIn, assets: dict[str, Path]) -> None:
    state = drafted(stand_in.client(), assets)
    refs = stand_in.folder / "refs.json"
    refs.write_text(refs.read_text().replace(COMMIT, OTHER))
    with pytest.raises(RefusedError, match=OTHER):
        publish(stand_in.client(), state)
    assert found(stand_in.client()).draft


def test_an_annotated_tag_is_followed(stand_in: StandIn) -> None:
    (stand_in.folder / "refs.json").write_text(f'{{"{TAG}": {{"sha": "{"3" * 40}", "commit": "{COMMIT}"}}}}')
    assert stand_in.client().tag_commit(TAG) == COMMIT


def test_two_drafts_of_one_tag_are_refused(stand_in: StandIn, assets: dict[str, Path]) -> None:
    github = stand_in.client()
    for _ in range(2):
        github.create_draft(TAG, COMMIT, "t", "b", prerelease=False)
    with pytest.raises(RefusedError, match="2 releases or drafts"):
        drafted(github, assets)


def test_a_draft_that_was_replaced_is_not_published(stand_in: StandIn, assets: dict[str, Path]) -> None:
    github = stand_in.client()
    state = drafted(github, assets)
    assert stand_in.ask("DELETE", f"/repos/{REPOSITORY}/releases/{state.release_id}")[0] == 204
    with pytest.raises(RefusedError, match="not the one that was checked"):
        publish(github, state)
    drafted(github, assets)
    with pytest.raises(RefusedError, match="not the one that was checked"):
        publish(github, state)


def test_an_immutable_release_takes_no_more(stand_in: StandIn, assets: dict[str, Path]) -> None:
    github = stand_in.client()
    publish(github, drafted(github, assets))
    release = found(github)
    for change in (
        lambda: github.upload(release, assets["notes.md"], "late.md"),
        lambda: github.delete_asset(release.assets[0]),
    ):
        with pytest.raises(OutsideError, match="immutable release") as caught:
            change()
        assert not caught.value.again
    assert github.update(release, title="new words", body="", prerelease=False).title == "new words"


@pytest.mark.parametrize("stand_in", [("--mutable",)], indirect=True)
def test_a_published_release_without_an_asset_is_refused_even_where_it_could_change(
    stand_in: StandIn, assets: dict[str, Path]
) -> None:
    github = stand_in.client()
    assert not publish(github, drafted(github, assets)).immutable
    release = found(github)
    github.delete_asset(release.assets[0])
    with pytest.raises(RefusedError, match=f"lacks.*{release.assets[0].name}"):
        drafted(github, assets)


def test_a_burned_tag_is_never_released_again_and_the_draft_says_so(
    stand_in: StandIn, assets: dict[str, Path]
) -> None:
    """An immutable release was deleted; GitHub says so only when the tag is to be published again."""
    github = stand_in.client()
    release = publish(github, drafted(github, assets))
    assert stand_in.ask("DELETE", f"/repos/{REPOSITORY}/releases/{release.release_id}")[0] == 204
    state = drafted(github, assets)
    with pytest.raises(BurnedTagError, match="used by an immutable release") as caught:
        publish(github, state)
    assert (caught.value.exit_code, caught.value.next_step) == (3, "release another version: 1.2.4")
    left = found(github)
    assert (left.draft, left.burned) == (True, True)
    assert "What changed." in left.body
    with pytest.raises(BurnedTagError, match="refused by GitHub before") as caught:
        drafted(github, assets)
    assert caught.value.next_step == "release another version: 1.2.4"
    assert found(github).body == left.body


def test_the_same_name_is_not_taken_twice(stand_in: StandIn, assets: dict[str, Path]) -> None:
    github = stand_in.client()
    release = github.create_draft(TAG, COMMIT, "t", "b", prerelease=False)
    github.upload(release, assets["notes.md"], "notes.md")
    with pytest.raises(OutsideError, match=r"422.*already_exists") as caught:
        github.upload(release, assets["notes.md"], "notes.md")
    assert caught.value.again


@pytest.mark.parametrize(
    "stand_in", [("--tag", f"v1.3.0={OTHER}", "--tag", f"v2.0.0-rc.1={OTHER}")], indirect=True
)
def test_latest_never_goes_back(stand_in: StandIn, assets: dict[str, Path]) -> None:
    github = stand_in.client()
    publish(github, drafted(github, assets, tag="v1.3.0", commit=OTHER))
    publish(github, drafted(github, assets))
    publish(github, drafted(github, assets, tag="v2.0.0-rc.1", commit=OTHER))
    assert github.latest_tag() == "v1.3.0"


@pytest.mark.parametrize("stand_in", [("--tag", f"web9={OTHER}")], indirect=True)
def test_latest_is_left_to_another_component_where_that_is_asked_for(
    stand_in: StandIn, assets: dict[str, Path]
) -> None:
    github = stand_in.client()
    other = publish(github, drafted(github, assets, tag="web9", commit=OTHER))
    assert (github.latest_tag(), other.note) == ("web9", "")
    assert publish(github, drafted(github, assets), latest=False).note == ""
    assert github.latest_tag() == "web9"


@pytest.mark.parametrize(
    ("stand_in", "tag"),
    [(("--tag", f"{tag}={OTHER}"), tag) for tag in ("web9", "2026.8.1", "v2026.08.01", "web/v9.0.0")],
    indirect=["stand_in"],
)
def test_taking_the_place_of_another_component_is_said(
    stand_in: StandIn, tag: str, assets: dict[str, Path]
) -> None:
    github = stand_in.client()
    publish(github, drafted(github, assets, tag=tag, commit=OTHER))
    published = publish(github, drafted(github, assets))
    assert github.latest_tag() == TAG
    assert published.note.startswith(
        f"GitHub's latest release was {tag}, which is no version, and is {TAG} now"
    )
    assert "github_latest: false" in published.note


def test_a_draft_on_a_later_page_is_found(stand_in: StandIn) -> None:
    github = stand_in.client()
    first = github.create_draft(TAG, COMMIT, "t", "b", prerelease=False)
    for number in range(100):
        github.create_draft(f"v0.0.{number}", COMMIT, "t", "b", prerelease=False)
    assert found(github).id == first.id


@pytest.mark.parametrize("name", ["with space.txt", ".hidden", "ends.", "a/b", ""])
def test_a_name_that_github_would_change_is_refused(
    stand_in: StandIn, assets: dict[str, Path], name: str
) -> None:
    with pytest.raises(UsageError, match="cannot name an asset"):
        drafted(stand_in.client(), {name: assets["notes.md"]})


def test_an_empty_asset_is_refused(stand_in: StandIn, assets: dict[str, Path]) -> None:
    assets["notes.md"].write_bytes(b"")
    with pytest.raises(UsageError, match="is empty"):
        drafted(stand_in.client(), assets)


def test_a_taken_port_or_folder_says_so(stand_in: StandIn, tmp_path: Path) -> None:
    for folder, words in ((tmp_path / "other", "cannot be used"), (stand_in.folder, "another stand-in")):
        done = subprocess.run(
            command(stand_in, stand_in.port, folder=folder),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == OutsideError.exit_code
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_a_tag_does_not_move_at_the_next_start(stand_in: StandIn) -> None:
    stand_in.stop()
    refs = stand_in.folder / "refs.json"
    refs.write_text(refs.read_text().replace(COMMIT, OTHER))
    done = subprocess.run(
        command(stand_in, stand_in.port), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == UsageError.exit_code
    assert "does not move" in done.stderr


def test_ends_at_once_with_a_connection_open(stand_in: StandIn) -> None:
    with socket.create_connection(("127.0.0.1", stand_in.port), timeout=30) as idle:
        idle.sendall(b"POST /repos HTTP/1.1\r\nContent-Length: 10\r\n\r\n")
        assert stand_in.stop() == 0
    with pytest.raises(OSError, match=r".*"):
        os.kill(stand_in.process.pid, 0)
