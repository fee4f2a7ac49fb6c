"""What GitHub allows a release to become."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from sealift.model.codec import decode
from sealift.rehearsal.github.answers import ProblemError, invalid
from sealift.rehearsal.github.store import ReleaseRecord, Store, now


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a request may say about a release; as GitHub does, it passes over what it does not know."""

    tag_name: str | None = None
    target_commitish: str | None = None
    name: str | None = None
    body: str | None = None
    draft: bool | None = None
    prerelease: bool | None = None
    make_latest: Literal["true", "false"] | None = None


class Releases:
    """Creates and changes releases by GitHub's rules."""

    def __init__(self, store: Store, *, immutable: bool) -> None:
        self._store = store
        self._immutable = immutable

    def create(self, body: bytes) -> ReleaseRecord:
        """Create a draft, or a release that is published at once."""
        wish = _read(body)
        if not wish.tag_name:
            raise invalid("Release", "tag_name", "missing_field")
        record = ReleaseRecord(
            id=self._store.next_id(),
            tag_name=wish.tag_name,
            target_commitish=wish.target_commitish or "main",
            name=wish.name or "",
            body=wish.body or "",
            draft=True,
            prerelease=bool(wish.prerelease),
            created_at=now(),
        )
        if not wish.draft:
            record = self._published(record, wish)
        self._store.put(record)
        return record

    def update(self, old: ReleaseRecord, body: bytes) -> ReleaseRecord:
        """Change a release; publishing a draft is one such change."""
        wish = _read(body)
        if old.immutable and (
            wish.draft
            or wish.tag_name not in (None, old.tag_name)
            or wish.target_commitish not in (None, old.target_commitish)
        ):
            raise ProblemError(422, "Only the title and notes of an immutable release can be changed")
        given = {
            name: value
            for name in ("tag_name", "target_commitish", "name", "body", "prerelease")
            if (value := getattr(wish, name)) is not None
        }
        record = msgspec.structs.replace(old, **given)
        if old.draft and wish.draft is False:
            record = self._published(record, wish)
        elif wish.draft and not old.draft:
            record = msgspec.structs.replace(record, draft=True, published_at=None, latest=0)
        elif not old.draft:
            self._tag_is_free(record)
            record = self._marked(record, wish.make_latest or "false")
        self._store.put(record)
        return record

    def latest(self) -> ReleaseRecord | None:
        """Find the release that is shown as the latest one."""
        marked = [r for r in self._store.releases() if r.latest and not r.draft and not r.prerelease]
        return max(marked, key=lambda r: r.latest, default=None)

    def _published(self, record: ReleaseRecord, wish: Wish) -> ReleaseRecord:
        self._tag_is_free(record)
        self._tag_exists(record)
        if self._immutable:
            self._store.burn(record.tag_name, record.id)
        done = msgspec.structs.replace(record, draft=False, published_at=now(), immutable=self._immutable)
        return self._marked(done, wish.make_latest or "true")

    def _marked(self, record: ReleaseRecord, make_latest: str) -> ReleaseRecord:
        if make_latest != "true" or record.prerelease:
            return record
        most = max((r.latest for r in self._store.releases()), default=0)
        return msgspec.structs.replace(record, latest=most + 1)

    def _tag_is_free(self, record: ReleaseRecord) -> None:
        if self._store.burned().get(record.tag_name, record.id) != record.id:
            raise invalid("Release", "tag_name", "custom", "tag_name was used by an immutable release")
        for other in self._store.releases():
            if other.id != record.id and other.tag_name == record.tag_name and not other.draft:
                raise invalid("Release", "tag_name", "already_exists")

    def _tag_exists(self, record: ReleaseRecord) -> None:
        """Make the tag where there is none, as GitHub does without asking."""
        if record.tag_name in self._store.refs():
            return
        if not re.fullmatch(r"[0-9a-f]{40}", record.target_commitish):
            raise invalid("Release", "target_commitish", "invalid")
        self._store.add_tag(record.tag_name, record.target_commitish)


def _read(body: bytes) -> Wish:
    try:
        return decode(body, Wish)
    except msgspec.ValidationError as error:
        raise ProblemError(422, f"Invalid request.\n\n{error}") from error
    except msgspec.DecodeError as error:
        raise ProblemError(400, "Problems parsing JSON") from error
