"""Layers for tests, written member by member."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping

from sealift.elf.rootfs import Rootfs


def folder(path: str, mode: int = 0o755, uid: int = 0) -> tuple[tarfile.TarInfo, bytes]:
    return _info(path, tarfile.DIRTYPE, mode, uid), b""


def file(path: str, data: bytes = b"", mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    info = _info(path, tarfile.REGTYPE, mode)
    info.size = len(data)
    return info, data


def link(path: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return _linked(path, tarfile.SYMTYPE, target)


def hard_link(path: str, target: str, mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    info, data = _linked(path, tarfile.LNKTYPE, target)
    info.mode = mode
    return info, data


def special(path: str, kind: bytes) -> tuple[tarfile.TarInfo, bytes]:
    return _info(path, kind, 0o644), b""


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as out:
        for info, data in members:
            out.addfile(info, io.BytesIO(data))
    return raw.getvalue()


def rootfs(*layers: bytes) -> Rootfs:
    return Rootfs(layers, "test-image")


def image(files: Mapping[str, bytes | str], *more: tuple[tarfile.TarInfo, bytes]) -> Rootfs:
    """Put files, and symlinks where the content is text, into an image of one layer."""
    members = [
        link(path, content) if isinstance(content, str) else file(path, content, 0o755)
        for path, content in files.items()
    ]
    return rootfs(tar(*members, *more))


def _info(path: str, kind: bytes, mode: int, uid: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    info.type, info.mode, info.uid, info.gid = kind, mode, uid, uid
    return info


def _linked(path: str, kind: bytes, target: str) -> tuple[tarfile.TarInfo, bytes]:
    info = _info(path, kind, 0o777)
    info.linkname = target
    return info, b""
