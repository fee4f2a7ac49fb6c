"""What is outside, read past the proxies and past the line's own clients."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sealift.errors import RefusedError
from sealift.line import Line
from sealift.model.evidence import Built
from sealift.model.names import Digest, Repository
from sealift.model.statements import Subject
from sealift.rehearsal.github.store import ReleaseRecord, Store
from sealift.services.ports import LOOPBACK
from sealift.tools.sigstore_client import BundleVerifier
from tests.faults.proxy import Proxy

_INDEX = "application/vnd.oci.image.index.v1+json"
_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
# The tag that lists what refers to a manifest, where a registry has no Referrers API:
# https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema
_FALLBACK = "sha256-"
_ACCEPT = f"{_INDEX}, application/vnd.oci.image.manifest.v1+json, */*"


@dataclass(frozen=True)
class Behind:
    """The registry itself."""

    proxy: Proxy

    def tags(self, repository: Repository) -> dict[str, str]:
        """Return every tag of a repository, and the digest that it names."""
        listed = self._json(f"/v2/{repository.path}/tags/list")
        names = listed.get("tags") or () if listed else ()
        return {t: self.digest(repository, t) or "" for t in names if not t.startswith(_FALLBACK)}

    def digest(self, repository: Repository, reference: str) -> str | None:
        """Hash what a tag or a digest names."""
        body = self._ask(f"/v2/{repository.path}/manifests/{reference}")
        return None if body is None else str(Digest.of(body))

    def bundles(self, repository: Repository, digest: str) -> list[bytes]:
        """Return every bundle that is attached to a manifest."""
        fallback = digest.replace("sha256:", _FALLBACK)
        listed = (
            self._json(f"/v2/{repository.path}/referrers/{digest}")
            or self._json(f"/v2/{repository.path}/manifests/{fallback}")
            or {}
        )
        found = []
        for descriptor in listed.get("manifests") or ():
            manifest = self._json(f"/v2/{repository.path}/manifests/{descriptor['digest']}") or {}
            found += [
                self._ask(f"/v2/{repository.path}/blobs/{layer['digest']}") or b""
                for layer in manifest.get("layers") or ()
                if layer["mediaType"] == _BUNDLE
            ]
        return found

    def untag(self, repository: Repository) -> None:
        """Remove every tag."""
        for tag in self.tags(repository):
            self._ask(f"/v2/{repository.path}/manifests/{tag}", method="DELETE")

    def _json(self, path: str) -> Any:
        body = self._ask(path)
        return None if body is None else json.loads(body)

    def _ask(self, path: str, method: str = "GET") -> bytes | None:
        request = urllib.request.Request(
            f"http://{LOOPBACK}:{self.proxy.behind}{path}", method=method, headers={"Accept": _ACCEPT}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    return None
            raise


def statements(line: Line, behind: Behind) -> Counter[tuple[str, str]]:
    """Count the valid bundles on every manifest of a release, by subject and predicate type."""
    sigstore = line.world.sigstore
    verifier = BundleVerifier(
        trusted_root=sigstore.trusted_root, identity=sigstore.identity, claims=sigstore.claims
    )
    found: Counter[tuple[str, str]] = Counter()
    for repository, built in images(line).values():
        for digest in (built.digest, *(p.digest for p in built.platforms.values())):
            for bundle in behind.bundles(repository, digest):
                try:
                    said = verifier.read(bundle, Subject(repository=repository, digest=digest))
                except RefusedError:
                    found[(digest, "not valid")] += 1
                else:
                    found[(digest, said.predicate_type)] += 1
    return found


def images(line: Line) -> dict[str, tuple[Repository, Built]]:
    """Return every variant's repository and image."""
    return {
        name: (line.world.repository(variant.repository), line.run.read("image", name, Built))
        for name, variant in line.plan.config.variants.items()
    }


def tags(line: Line, behind: Behind) -> dict[str, dict[str, str]]:
    """Return every variant's tags."""
    return {name: behind.tags(repository) for name, (repository, _) in images(line).items()}


def releases(folder: Path) -> Mapping[ReleaseRecord, Counter[str]]:
    """Return every release that GitHub has, and how often each asset with its digest is there."""
    store = Store(folder)
    return {
        release: Counter(f"{a.name}@{a.digest}" for a in store.assets(release.id))
        for release in store.releases()
    }


def forget_releases(folder: Path) -> None:
    """Have GitHub know of no release; its tags in git stay."""
    for part in ("releases", "assets"):
        shutil.rmtree(folder / part, ignore_errors=True)
        (folder / part).mkdir()
    (folder / "burned.json").unlink(missing_ok=True)


def restore_releases(kept: Path, folder: Path) -> None:
    """Have GitHub know of the releases that a copy of its folder knows of."""
    forget_releases(folder)
    for part in ("releases", "assets"):
        shutil.copytree(kept / part, folder / part, dirs_exist_ok=True)
    shutil.copyfile(kept / "next.json", folder / "next.json")
