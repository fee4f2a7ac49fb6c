"""A stand-in for the golang image, where it cannot be reached: this machine's own Go, and zig as C compiler.

    layout, digest = assemble(go, platforms, cache=cache_folder())
    # docker-buildx build --build-context golang:1.26-bookworm=oci-layout://LAYOUT@DIGEST

The programs in it are this machine's, whatever platform the image is for: they are static, so they run
natively in the container of any platform, and compile for the one that is asked for. There is no shell.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from filelock import FileLock

from sealift import records
from sealift.console import say
from sealift.model.names import Digest, Platform
from sealift.network import authorities
from sealift.provision.go import Go, go_environment
from sealift.rehearsal.oci_writer import LayerTar, Packed, writing
from sealift.tools.go import MODULE_SETTINGS, ZIG, zig_home
from sealift.tools.layout import Layout

# Raise it whenever the same Go and zig would give another image.
RECIPE = 1
# Debian 12's, which golang:...-bookworm links against.
GLIBC = "2.36"
GO, ZIG_HOME = "/usr/local/go", "/usr/local/zig"
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
GO_PARTS = ("VERSION", "go.env", "bin", "lib", "pkg", "src")
# The tools' own source and tests: a service is built without them.
GO_LEAVES_OUT = frozenset({"cmd", "testdata"})


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """An image for several platforms as an OCI layout, and what is in it, in words."""

    layout: Path
    digest: Digest
    words: str


def assemble(go: Go, platforms: Sequence[Platform], *, cache: Path) -> StandIn:
    """Return the stand-in for these platforms, from the cache where the same one was made before."""
    platforms = sorted(set(platforms))
    settings = _module_settings(go)
    out = cache / "golang" / _key(go, platforms, settings)
    out.parent.mkdir(parents=True, exist_ok=True)
    words = f"this machine's Go {go.version}, with zig {metadata.version('ziglang')} as C compiler"
    with FileLock(out.parent / "lock"):
        if (digest := known(out)) is None:
            digest = _write(go, platforms, settings, out)
            records.write(_record(out), _name(out), digest.encode())
    return StandIn(layout=out, digest=digest, words=words)


def _write(go: Go, platforms: Sequence[Platform], settings: Mapping[str, str], out: Path) -> Digest:
    say(f"putting Go {go.version} and zig into an image; about fifteen seconds, once")
    trees: tuple[Callable[[], LayerTar], ...] = (_surroundings, lambda: _go(_root_of(go)), _zig)
    with ThreadPoolExecutor() as pool:
        layers = list(pool.map(lambda tree: tree().pack(), trees))
    with writing(out) as layout:
        images = [layout.image(p, layers, _config(p, settings), {}) for p in platforms]
        return layout.index(images, "golang")


def known(out: Path) -> Digest | None:
    """Return the index of a layout that was made before, if every blob still has its hash."""
    digest = Layout(out).whole()
    return digest if digest and records.read(_record(out), _name(out)) == digest.encode() else None


def _record(out: Path) -> Path:
    return out.with_name(f"{out.name}.record")


def _name(out: Path) -> str:
    return f"golang {out.name}"


def _config(platform: Platform, settings: Mapping[str, str]) -> dict[str, list[str]]:
    """Set what the golang image sets, and the C compiler, for which Go asks CC."""
    compiler = f"{ZIG_HOME}/zig cc -target {ZIG[platform.arch]}.{GLIBC}"
    env = {
        "PATH": f"{GO}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "GOPATH": "/go",
        "CC": compiler,
        # In the folder that the Dockerfiles keep between builds.
        "ZIG_GLOBAL_CACHE_DIR": "/cache/zig",
        "ZIG_LOCAL_CACHE_DIR": "/cache/zig",
        **settings,
    }
    return {"Env": [f"{name}={value}" for name, value in env.items()]}


class _Quick(LayerTar):
    """A layer that never leaves this machine: packed for speed, not for size."""

    def pack(self) -> Packed:
        self._tar.close()
        raw = self._bytes.getvalue()
        return Packed(diff_id=Digest.of(raw), blob=gzip.compress(raw, compresslevel=1, mtime=0))


def _surroundings() -> LayerTar:
    """Add whom to trust, as this machine does: its way to the module proxy may have its own authority."""
    tree = LayerTar().directory("tmp", 0o1777).directory("root", 0o700)
    return tree.file(CERTIFICATES, authorities().encode())


def _go(root: Path) -> LayerTar:
    files = (file for part in GO_PARTS for file in _files(root / part))
    wanted = (file for file in files if not GO_LEAVES_OUT.intersection(file.relative_to(root).parts))
    return _tree(root, wanted, GO)


def _zig() -> LayerTar:
    root = zig_home()
    headers = root / "lib" / "libc" / "include"
    files = (file for part in ("zig", "lib") for file in _files(root / part))
    wanted = (file for file in files if headers not in file.parents or _for_linux(file.relative_to(headers)))
    return _tree(root, wanted, ZIG_HOME)


def _for_linux(header: Path) -> bool:
    system = header.parts[0]
    return "linux" in system or "glibc" in system


def _tree(root: Path, files: Iterator[Path], to: str) -> LayerTar:
    tree = _Quick()
    for file in files:
        mode = 0o755 if os.access(file, os.X_OK) else 0o644
        tree.file(f"{to.lstrip('/')}/{file.relative_to(root)}", file.read_bytes(), mode)
    return tree


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
        return
    yield from sorted(path for path in place.rglob("*") if path.is_file())


def _root_of(go: Go) -> Path:
    return go.path.resolve().parents[1]


def _module_settings(go: Go) -> dict[str, str]:
    return {name: value for name, value in go_environment(go).items() if name in MODULE_SETTINGS}


def _key(go: Go, platforms: Sequence[Platform], settings: Mapping[str, str]) -> str:
    """Name everything that the image follows from."""
    inputs = [
        *(str(RECIPE), go.version, metadata.version("ziglang"), *platforms),
        *(hashlib.sha256(data).hexdigest() for data in (go.path.read_bytes(), authorities().encode())),
        *(f"{name}={value}" for name, value in sorted(settings.items())),
    ]
    return hashlib.sha256("\n".join(inputs).encode()).hexdigest()[:16]
