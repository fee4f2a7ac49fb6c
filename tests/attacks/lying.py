"""A registry in memory, over HTTP, that is honest; and lies that change one of its answers."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sealift.model.names import Digest, Repository
from sealift.oci.documents import CONFIG, INDEX, LAYER, MANIFEST
from sealift.tools.registry import Registry
from tests.tools.scripted import Asked, Reply, Server, serving, told

_PATH = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs|referrers|tags)/(?P<rest>.+)")
MISSING = Reply(status=404, body=b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown"}]}')
PLATFORMS = ("amd64", "arm64")


@dataclass
class Held:
    """What one registry holds; it is asked as the OCI distribution specification says."""

    manifests: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def put(self, body: bytes, kind: str) -> Digest:
        self.manifests[Digest.of(body)] = (body, kind)
        return Digest.of(body)

    def put_blob(self, body: bytes, kind: str) -> dict[str, Any]:
        self.blobs[Digest.of(body)] = body
        return {"mediaType": kind, "digest": Digest.of(body), "size": len(body)}

    def image(self, text: str, labels: Mapping[str, str]) -> tuple[Digest, tuple[Digest, ...]]:
        """Hold an index of two images."""
        listed, platforms = [], []
        for arch in PLATFORMS:
            config = json.dumps({"architecture": arch, "os": "linux", "config": {"Labels": labels}}).encode()
            manifest = {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": self.put_blob(config, CONFIG),
                "layers": [self.put_blob(f"{text} {arch}".encode(), LAYER)],
            }
            body = json.dumps(manifest).encode()
            platforms.append(self.put(body, MANIFEST))
            listed.append(
                {
                    "mediaType": MANIFEST,
                    "digest": platforms[-1],
                    "size": len(body),
                    "platform": {"os": "linux", "architecture": arch},
                }
            )
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}
        return self.put(json.dumps(index).encode(), INDEX), tuple(platforms)

    def answer(self, asked: Asked) -> Reply:
        parts = urlsplit(asked.path)
        if (found := _PATH.fullmatch(parts.path)) is None:
            return Reply(body=b"{}")
        match found["kind"], asked.method:
            case "tags", _:
                reply = told({"name": found["name"], "tags": list(self.tags)})
            case "referrers", _:
                reply = told(self._referrers(found["rest"]), INDEX)
            case "manifests", "PUT":
                reply = self._put(asked, found["rest"])
            case "manifests", _:
                reply = self._manifest(found["rest"])
            case _, "POST":
                reply = Reply(status=202, headers={"Location": f"{parts.path}1"})
            case _, "PUT":
                self.blobs[parse_qs(parts.query)["digest"][0]] = asked.body
                reply = Reply(status=201)
            case _:
                held = self.blobs.get(found["rest"])
                reply = MISSING if held is None else Reply(body=held)
        return reply

    def _manifest(self, name: str) -> Reply:
        digest = self.tags.get(name, name)
        if digest not in self.manifests:
            return MISSING
        body, kind = self.manifests[digest]
        return Reply(headers={"Content-Type": kind, "Docker-Content-Digest": digest}, body=body)

    def _put(self, asked: Asked, name: str) -> Reply:
        digest = self.put(asked.body, asked.headers["content-type"])
        if not Digest.accepts(name):
            self.tags[name] = digest
        subject = json.loads(asked.body).get("subject")
        about = {"OCI-Subject": subject["digest"]} if subject else {}
        return Reply(status=201, headers={"Docker-Content-Digest": digest, **about})

    def _referrers(self, digest: str) -> dict[str, Any]:
        listed = []
        for name, (body, kind) in self.manifests.items():
            read = json.loads(body)
            if (read.get("subject") or {}).get("digest") == digest:
                about = {key: read[key] for key in ("artifactType", "annotations") if key in read}
                listed.append({"mediaType": kind, "digest": name, "size": len(body)} | about)
        return {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}


@dataclass
class Shop:
    """One repository in a registry that may lie: an image of a release, and another one that is not it."""

    host: str
    held: Held
    server: Server
    index: Digest
    platforms: tuple[Digest, ...]
    other: Digest
    env: Mapping[str, str]
    lies: bool = True

    @property
    def repository(self) -> Repository:
        return Repository(f"{self.host}/app")

    @property
    def registry(self) -> Registry:
        return Registry(plain_http=(self.host,), env=self.env)

    def shown(self, digest: str) -> Reply:
        """Answer with another manifest, as if it were what was asked for."""
        body, kind = self.held.manifests[digest]
        return Reply(headers={"Content-Type": kind, "Docker-Content-Digest": digest}, body=body)


Lie = Callable[[Shop, Asked, Reply], Reply]


def honest(_shop: Shop, _asked: Asked, reply: Reply) -> Reply:
    return reply


class Access(StrEnum):
    """Who may read: anyone who asks, anyone with a token that anyone gets, or only those with a login."""

    OPEN = "open"
    TOKEN = "tokens for strangers"
    PRIVATE = "private"


STRANGER, LOGIN = "Bearer of-a-stranger", "Bearer of-the-login"


def is_stranger(asked: Asked) -> bool:
    return asked.headers.get("authorization") == STRANGER


@contextmanager
def shop(
    folder: Path,
    lie: Lie = honest,
    *,
    labels: Mapping[str, str] | None = None,
    access: Access = Access.OPEN,
) -> Iterator[Shop]:
    """Open a shop whose registry lies; its only login is in a docker configuration in ``folder``."""
    held = Held()
    index, platforms = held.image("the release", labels or {})
    other, _ = held.image("something else", {})

    def answer(asked: Asked) -> Reply:
        shown = asked.headers.get("authorization", "")
        if asked.path.startswith("/token"):
            return _token(shown, access)
        if access is not Access.OPEN and shown not in (STRANGER, LOGIN):
            realm = f'Bearer realm="http://{server.host}/token",service="here"'
            return Reply(status=401, headers={"WWW-Authenticate": realm}, body=b"{}")
        reply = held.answer(asked)
        return lie(opened, asked, reply) if opened.lies else reply

    with serving(answer) as server:
        auth = {"auths": {server.host: {"auth": base64.b64encode(b"user:secret").decode()}}}
        (folder / "config.json").write_text(json.dumps(auth))
        env = {"DOCKER_CONFIG": str(folder)}
        opened = Shop(server.host, held, server, index, platforms, other, env)
        yield opened


def _token(shown: str, access: Access) -> Reply:
    if not shown and access is Access.PRIVATE:
        return Reply(status=403, body=b'{"errors":[{"code":"DENIED","message":"denied"}]}')
    return told({"token": (LOGIN if shown else STRANGER).removeprefix("Bearer ")})


def with_header(reply: Reply, **headers: str) -> Reply:
    """Change headers of an answer; a header's ``_`` is a ``-``."""
    return replace(reply, headers={**reply.headers, **{k.replace("_", "-"): v for k, v in headers.items()}})
