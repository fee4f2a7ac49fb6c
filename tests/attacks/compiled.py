"""A program of two modules, compiled with the real go: what attacks on its caches change."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from sealift import process
from sealift.model.names import Platform
from sealift.process import run
from sealift.tools import go

# Two texts of one length: what the source says, and what somebody wants to ship.
WRITTEN, IMPLANT = "as-it-was-written", "an-evil-implant!!"
LIBRARY, UPPER = "example.com/lib", "example.com/Upper"
GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
AMD64 = Platform("linux/amd64")


@dataclass(frozen=True)
class Built:
    """A program of two modules, compiled once: the request, its caches, and the user's key."""

    request: go.GoBuildRequest
    proxy: Path

    @property
    def entries(self) -> list[Path]:
        """The entries of actions whose file holds the text."""
        return [
            entry for entry in self.store.glob("??/*-a") if WRITTEN.encode() in self.data(entry).read_bytes()
        ]

    @property
    def store(self) -> Path:
        return self.request.cache / "go-build"

    @property
    def mod(self) -> Path:
        return self.request.cache / "go-mod"

    @property
    def library(self) -> Path:
        return self.mod / "example.com" / "lib@v1.0.0"

    @property
    def archive(self) -> Path:
        return self.mod / "cache" / "download" / "example.com" / "lib" / "@v" / "v1.0.0.zip"

    def data(self, entry: Path) -> Path:
        output = entry.read_text().split()[0]
        return self.store / output[:2] / f"{output}-d"

    def forged(self, entry: Path) -> tuple[str, bytes]:
        """Return the file of an action with the implant, put under its own hash."""
        body = self.data(entry).read_bytes().replace(WRITTEN.encode(), IMPLANT.encode())
        output = hashlib.sha256(body).hexdigest()
        place = self.store / output[:2] / f"{output}-d"
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(body)
        return output, body


def publish_module(proxy: Path, path: str, word: str) -> None:
    escaped = path.replace("U", "!u")
    folder = proxy / escaped / "@v"
    folder.mkdir(parents=True)
    mod = f"module {path}\n\ngo 1.24\n"
    (folder / "v1.0.0.mod").write_text(mod)
    (folder / "v1.0.0.info").write_text('{"Version":"v1.0.0"}')
    (folder / "v1.0.0.zip").write_bytes(packed_module(path, mod, word))


def packed_module(path: str, mod: str, word: str) -> bytes:
    name, packed = path.rpartition("/")[2].lower(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as files:
        files.writestr(f"{path}@v1.0.0/go.mod", mod)
        files.writestr(f"{path}@v1.0.0/{name}.go", f'package {name}\n\nvar Word = "{word}"\n')
        files.writestr(f"{path}@v1.0.0/notes.txt", "none\n")
    return packed.getvalue()


def sums(proxy: Path, path: str) -> str:
    folder = proxy / path.replace("U", "!u") / "@v"
    with zipfile.ZipFile(folder / "v1.0.0.zip") as files:
        names = {name: hashlib.sha256(files.read(name)).hexdigest() for name in files.namelist()}
    return "".join(
        f"{path} v1.0.0{of} h1:{base64.b64encode(hashlib.sha256(lines.encode()).digest()).decode()}\n"
        for of, lines in (
            ("", "".join(f"{digest}  {name}\n" for name, digest in sorted(names.items()))),
            ("/go.mod", f"{hashlib.sha256((folder / 'v1.0.0.mod').read_bytes()).hexdigest()}  go.mod\n"),
        )
    )


def made_in(root: Path, cache: Path) -> Built:
    request = go.GoBuildRequest(
        module=root / "repo" / "svc",
        package="./cmd/x",
        variable="main.version",
        version="1.2.3",
        platform=AMD64,
        linkage="static",
        glibc=None,
        output=cache.with_name(f"{cache.name}-run") / "x",
        cache=cache,
    )
    return Built(request, root / "proxy")


def build(built: Built, patch: pytest.MonkeyPatch) -> str:
    """Compile, and return what the program says."""
    patch.setenv("GOPROXY", built.proxy.as_uri())
    patch.setenv("GOSUMDB", "off")
    go.build(Path(process.resolve("go")), built.request)
    return run([built.request.output]).stderr


def made_writable(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)
