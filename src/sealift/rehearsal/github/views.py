"""How the stand-in shows what it keeps: GitHub's field names, with this server's addresses."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from sealift.rehearsal.github.store import AssetRecord, Ref, ReleaseRecord, Store

BOT = {"login": "github-actions[bot]", "id": 41898282, "type": "Bot", "site_admin": False}


class Views:
    """Turns records into answers."""

    def __init__(self, store: Store, *, origin: str, repository: str) -> None:
        self._store = store
        self._origin = origin
        self._repository = repository
        self._api = f"{origin}/repos/{repository}"
        self._html = f"{origin}/{repository}"

    def repository(self) -> dict[str, Any]:
        """Show the repository."""
        owner, _, name = self._repository.partition("/")
        return {
            "id": 1,
            "name": name,
            "full_name": self._repository,
            "owner": {"login": owner, "id": 1, "type": "Organization"},
            "private": False,
            "default_branch": "main",
            "url": self._api,
            "html_url": self._html,
            "permissions": {"admin": False, "push": True, "pull": True},
        }

    def release_url(self, record: ReleaseRecord) -> str:
        """Name a release in the interface."""
        return f"{self._api}/releases/{record.id}"

    def release(self, record: ReleaseRecord) -> dict[str, Any]:
        """Show a release with its assets."""
        url = self.release_url(record)
        uploads = f"{self._origin}/uploads/repos/{self._repository}/releases/{record.id}/assets"
        page = self._page(record)
        return {
            "id": record.id,
            "url": url,
            "assets_url": f"{url}/assets",
            "upload_url": f"{uploads}{{?name,label}}",
            "html_url": f"{self._html}/releases/tag/{page}",
            "tag_name": record.tag_name,
            "target_commitish": record.target_commitish,
            "name": record.name,
            "body": record.body,
            "draft": record.draft,
            "prerelease": record.prerelease,
            "immutable": record.immutable,
            "created_at": record.created_at,
            "published_at": record.published_at,
            "author": BOT,
            "assets": [self.asset(a) for a in self._store.assets(record.id)],
        }

    def _page(self, record: ReleaseRecord) -> str:
        return f"untagged-{record.id}" if record.draft else quote(record.tag_name, safe="")

    def asset(self, record: AssetRecord) -> dict[str, Any]:
        """Show an asset."""
        release = self._store.release(record.release)
        page = self._page(release) if release else ""
        return {
            "id": record.id,
            "url": f"{self._api}/releases/assets/{record.id}",
            "browser_download_url": f"{self._html}/releases/download/{page}/{quote(record.name)}",
            "name": record.name,
            "label": record.label,
            "content_type": record.content_type,
            "state": record.state,
            "size": record.size,
            "digest": record.digest,
            "download_count": 0,
            "created_at": record.created_at,
            "updated_at": record.created_at,
            "uploader": BOT,
        }

    def ref(self, tag: str, ref: Ref) -> dict[str, Any]:
        """Show a tag in git."""
        kind, place = ("commit", "commits") if ref.commit is None else ("tag", "tags")
        target = {"type": kind, "sha": ref.sha, "url": f"{self._api}/git/{place}/{ref.sha}"}
        name = f"tags/{quote(tag)}"
        return {"ref": f"refs/tags/{tag}", "url": f"{self._api}/git/refs/{name}", "object": target}

    def tag_object(self, tag: str, sha: str, commit: str) -> dict[str, Any]:
        """Show an annotated tag."""
        target = {"type": "commit", "sha": commit, "url": f"{self._api}/git/commits/{commit}"}
        return {
            "tag": tag,
            "sha": sha,
            "url": f"{self._api}/git/tags/{sha}",
            "message": tag,
            "object": target,
        }
