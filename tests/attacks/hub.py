"""GitHub in this process, whose answers may be changed, and one release on its way there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sealift.rehearsal.github.__main__ import HOST, Handler, Server
from sealift.rehearsal.github.answers import Answer, Request
from sealift.rehearsal.github.api import Api
from sealift.rehearsal.github.store import Store
from sealift.stations.draft import DraftState, PublishedRelease, draft, publish
from sealift.tools.github import AT_ONCE, GitHub

REPOSITORY, TAG, COMMIT = "acme/health-caretaker", "v1.2.3", "1" * 40
TOKEN = "a-secret-of-the-job"
FILES = {"SHA256SUMS": b"sums of the files", "app-linux-amd64": b"\x7fELF of this release"}

# What changes one answer.
Lie = Callable[[Request, Answer], Answer]


class Hub(Server):
    """The stand-in, whose answers may be changed; ``private`` gives nothing without a login."""

    def __init__(self, folder: Path) -> None:
        super().__init__((HOST, 0), Handler)
        self.store = Store(folder)
        self.store.add_tag(TAG, COMMIT)
        self.origin = f"http://{HOST}:{self.server_port}"
        self.real = Api(self.store, origin=self.origin, repository=REPOSITORY, token=TOKEN)
        self.api = self  # type: ignore[assignment]
        self.lie: Lie = lambda _, answer: answer

    def answer(self, request: Request) -> Answer:
        return self.lie(request, self.real.answer(request))

    def change(self, **changed: object) -> None:
        self.store.put(msgspec.structs.replace(self.store.releases()[0], **changed))


@dataclass
class Release:
    """One release on its way, by the stages' own functions."""

    hub: Hub
    files: dict[str, Path]
    prerelease: bool = False

    @property
    def github(self) -> GitHub:
        return GitHub(self.hub.origin, TOKEN, REPOSITORY, pace=AT_ONCE)

    def draft(self, notes: str = "What changed.") -> DraftState:
        return draft(
            self.github,
            tag=TAG,
            commit=COMMIT,
            title="app 1.2.3",
            notes=notes,
            prerelease=self.prerelease,
            assets=self.files,
        )

    def publish(self, state: DraftState) -> PublishedRelease:
        return publish(self.github, state)
