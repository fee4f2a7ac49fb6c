"""A GitHub in trouble: what is asked again, after how long, and that nothing is made twice."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from sealift.errors import OutsideError
from sealift.patience import Patience, persist
from sealift.rehearsal.github.__main__ import HOST, Handler, Server
from sealift.rehearsal.github.answers import Answer, Request
from sealift.rehearsal.github.api import Api
from sealift.rehearsal.github.store import Store
from sealift.stations.draft import Added, DraftState, draft, publish
from sealift.tools.github import AT_ONCE, GitHub

pytestmark = pytest.mark.programs

REPOSITORY, TAG, COMMIT = "acme/health-caretaker", "v1.2.3", "1" * 40
TOKEN = "a-secret-of-the-rehearsal"
SECONDARY = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."


class LostError(Exception):
    """The connection ends instead of an answer."""


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What happens to one request instead of its answer; ``done`` tells whether it did its work first."""

    method: str = "GET"
    path: str = "/releases"
    answer: Answer | None = None
    done: bool = False

    def meets(self, request: Request) -> bool:
        return request.method == self.method and request.path.endswith(self.path)


class Troubled(Server):
    """The stand-in, but for the requests that trouble waits for."""

    def __init__(self, folder: Path) -> None:
        super().__init__((HOST, 0), Handler)
        self.store = Store(folder)
        self.store.add_tag(TAG, COMMIT)
        self.origin = f"http://{HOST}:{self.server_port}"
        self.real = Api(self.store, origin=self.origin, repository=REPOSITORY, token=TOKEN)
        self.api = self  # type: ignore[assignment]
        self.waiting: list[Trouble] = []
        self.asked: list[tuple[str, str]] = []

    def answer(self, request: Request) -> Answer:
        """Answer as GitHub does, or not."""
        self.asked.append((request.method, request.path))
        trouble = next((t for t in self.waiting if t.meets(request)), None)
        if trouble is None:
            return self.real.answer(request)
        self.waiting.remove(trouble)
        if trouble.done:
            self.real.answer(request)
        if trouble.answer is None:
            raise LostError
        return trouble.answer

    def handle_error(self, *_: object) -> None:
        """Say nothing of the connections that were ended on purpose."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Troubled]:
    server = Troubled(tmp_path / "github")
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def github(server: Troubled) -> GitHub:
    return GitHub(server.origin, TOKEN, REPOSITORY, pace=AT_ONCE)


@pytest.fixture
def assets(tmp_path: Path) -> dict[str, Path]:
    found = {name: tmp_path / name for name in ("one.json", "two.json")}
    for name, path in found.items():
        path.write_text(f'"{name}"')
    return found


@dataclass
class Watch:
    """Remembers the pauses and waits for none of them."""

    pauses: list[float] = field(default_factory=list)

    def again(self, work: Callable[[], DraftState]) -> DraftState:
        return persist(
            work,
            doing="draft",
            patience=Patience(seconds=600),
            next_step="sealift draft",
            pause=self.pauses.append,
            jitter=lambda low, _high: low,
        )


def drafted(github: GitHub, assets: Mapping[str, Path]) -> DraftState:
    return draft(
        github, tag=TAG, commit=COMMIT, title="t", notes="What changed.", prerelease=False, assets=assets
    )


def says(status: int, message: str = "no", /, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, body=json.dumps({"message": message}).encode(), headers=named)


def failure(server: Troubled, github: GitHub, answer: Answer) -> OutsideError:
    server.waiting.append(Trouble(answer=answer))
    with pytest.raises(OutsideError, match=f"GitHub answered {answer.status}") as caught:
        github.find_release(TAG)
    assert server.asked.count(("GET", f"/repos/{REPOSITORY}/releases")) == 1, (
        "the line tries again, no client"
    )
    return caught.value


@pytest.mark.parametrize(
    ("answer", "wait"),
    [
        (says(503, Retry_After="7"), 7),
        (says(502), None),
        (says(500), None),
        (says(429, Retry_After="9"), 9),
        (says(429), 60),
        (says(403, Retry_After="11"), 11),
        (says(403, SECONDARY), 60),
        (says(403, SECONDARY, Retry_After="30"), 30),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Answer) else None,
)
def test_trouble_and_limits_are_asked_again(
    server: Troubled, github: GitHub, answer: Answer, wait: float | None
) -> None:
    error = failure(server, github, answer)
    assert (error.again, error.retry_after) == (True, wait)


def test_a_limit_says_when_it_ends(server: Troubled, github: GitHub) -> None:
    told = {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": str(int(time.time()) + 300)}
    error = failure(server, github, says(403, "API rate limit exceeded for user ID 1.", **told))
    assert error.again
    assert error.retry_after == pytest.approx(300, abs=20)
    assert "too many requests" in error.means


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_a_no_is_not_asked_again(server: Troubled, github: GitHub, status: int) -> None:
    left = {"X_RateLimit_Remaining": "4999", "X_RateLimit_Reset": str(int(time.time()) + 300)}
    error = failure(server, github, says(status, "Resource not accessible", **left))
    assert (error.exit_code, error.again, error.retry_after) == (4, False, None)


def test_a_server_that_recovers_is_waited_for_as_long_as_it_asks(
    server: Troubled, github: GitHub, assets: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    server.waiting.append(Trouble(answer=says(503, Retry_After="5")))
    watch = Watch()
    assert watch.again(lambda: drafted(github, assets)).uploaded == tuple(assets)
    assert watch.pauses == [5]
    assert "again in 5 s (the server asks for 5 s)" in capsys.readouterr().err


@pytest.mark.parametrize("path", ["/releases", "/assets"])
@pytest.mark.parametrize("answer", [None, says(502)], ids=["no answer", "502"])
def test_what_was_made_and_not_answered_is_found_and_not_made_twice(
    server: Troubled, github: GitHub, assets: dict[str, Path], path: str, answer: Answer | None
) -> None:
    server.waiting.append(Trouble(method="POST", path=path, answer=answer, done=True))
    watch = Watch()
    state = watch.again(lambda: drafted(github, assets))
    assert len(watch.pauses) == 1
    (release,) = server.store.releases()
    assert state.release_id == release.id
    assert sorted(asset.name for asset in server.store.assets(release.id)) == sorted(assets)
    writes = [path for method, path in server.asked if method != "GET"]
    assert len(writes) == 1 + len(assets), "nothing was made a second time"


class Enterprise(Troubled):
    """GitHub Enterprise Server: the API below /api/v3, uploads below /api/uploads of the same host."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.origin = f"{self.origin}/api/v3"
        self.real = Api(self.store, origin=self.origin, repository=REPOSITORY, token=TOKEN)

    def answer(self, request: Request) -> Answer:
        path = request.path.replace("/api/uploads/", "/api/v3/uploads/")
        assert path.startswith("/api/v3/"), path
        answer = super().answer(replace(request, path=path.removeprefix("/api/v3")))
        return replace(answer, body=answer.body.replace(b"/api/v3/uploads/", b"/api/uploads/"))


def test_an_enterprise_server_is_released_to(tmp_path: Path, assets: dict[str, Path]) -> None:
    server = Enterprise(tmp_path / "github")
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    github = GitHub(server.origin, TOKEN, REPOSITORY, pace=AT_ONCE)
    assert publish(github, drafted(github, assets)).made
    assert github.latest_tag() == TAG
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("told", [True, False], ids=["a starter is listed", "nothing is left"])
def test_an_upload_that_a_gateway_broke_is_made_again(
    server: Troubled, github: GitHub, assets: dict[str, Path], told: bool
) -> None:
    server.waiting.append(Trouble(method="POST", path="/assets", answer=says(502)))
    with pytest.raises(OutsideError, match="502") as caught:
        drafted(github, assets)
    assert caught.value.again
    (release,) = server.store.releases()
    if told:
        about = {"label": "", "content_type": "application/json"}
        server.store.add_asset(release.id, name="one.json", content=b"", complete=False, **about)
    assert drafted(github, assets).release_id == release.id
    assert [(a.name, a.state) for a in server.store.assets(release.id)] == [
        ("one.json", "uploaded"),
        ("two.json", "uploaded"),
    ]


def test_an_upload_that_broke_off_is_made_again(
    server: Troubled, github: GitHub, assets: dict[str, Path]
) -> None:
    """GitHub keeps its name, in the state ``starter``, and takes no second one of that name."""
    state = drafted(github, assets)
    broken = server.store.assets(state.release_id)[0]
    server.store.drop_asset(broken.id)
    about = {"label": "", "content_type": "application/json"}
    server.store.add_asset(state.release_id, name=broken.name, content=b"", complete=False, **about)
    assert drafted(github, assets).uploaded == (broken.name,)


def test_a_name_that_was_not_listed_yet_is_looked_for_again(
    server: Troubled, github: GitHub, assets: dict[str, Path]
) -> None:
    drafted(github, assets)
    release = server.store.releases()[0]
    empty = Answer(status=200, body=b"[]")
    server.waiting.append(Trouble(path=f"/releases/{release.id}/assets", answer=empty))
    watch = Watch()
    assert watch.again(lambda: drafted(github, assets)).uploaded == ()
    assert len(watch.pauses) == 1


def test_a_publication_that_was_not_answered_is_found(
    server: Troubled, github: GitHub, assets: dict[str, Path]
) -> None:
    state, added = drafted(github, assets), Added()
    server.waiting.append(Trouble(method="PATCH", path=f"/releases/{state.release_id}", done=True))
    with pytest.raises(OutsideError) as caught:
        publish(github, state, added)
    assert caught.value.again
    published = publish(github, drafted(github, assets), added)
    assert (published.release_id, published.made) == (state.release_id, True), "by an earlier try"
    assert not publish(github, drafted(github, assets)).made, "by another run"
