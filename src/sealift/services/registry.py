"""olareg as a service: a registry on loopback over a folder of OCI layouts."""

from __future__ import annotations

from pathlib import Path

from sealift.services.ports import LOOPBACK
from sealift.services.service import HttpReady, Service


def layouts_registry(folder: Path, port: int, *, log: Path) -> Service:
    """Serve the layouts in ``folder`` as ``localhost:port/NAME``, for reading only.

    The gates read the images there before anything is pushed, so nothing may change them. A layout that
    is written again under a name that was read before is noticed within a second, not at once.
    """
    return _olareg("layouts-registry", folder, port, log, "--store-ro", "--api-push=false")


def public_registry(folder: Path, port: int, *, log: Path, referrers_api: bool = True) -> Service:
    """Stand in for the public registry, kept in ``folder``.

    Without the Referrers API it behaves as GHCR, where clients fall back to a tag.
    """
    return _olareg(
        "registry",
        folder,
        port,
        log,
        "--api-delete",
        f"--api-referrer={'true' if referrers_api else 'false'}",
    )


def _olareg(name: str, folder: Path, port: int, log: Path, *flags: str) -> Service:
    folder.mkdir(parents=True, exist_ok=True)
    return Service(
        name=name,
        argv=(
            *("olareg", "serve", "--addr", LOOPBACK, "--port", str(port), "--dir", str(folder)),
            # A manifest that has no tag yet is what the line pushes first; it is no garbage.
            *("--gc-frequency", "-1s", *flags),
        ),
        ready=HttpReady(f"http://localhost:{port}/v2/"),
        log=log,
    )
