"""``sealift explain``: why a binary would not start on a base, in plain words. Nothing is started."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from sealift import console
from sealift.commands.opening import JsonOption
from sealift.elf.facts import ElfFacts
from sealift.elf.rootfs import Rootfs
from sealift.elf.startup import (
    EXEC_FORMAT,
    GLIBC_OF_BASES,
    LOADERS,
    File,
    Reason,
    look,
    needed_glibc,
    why_not,
)
from sealift.errors import MissingProgramError, OutsideError, UsageError
from sealift.model.names import Digest, Platform, Repository
from sealift.provision.cache import cache_folder
from sealift.provision.everything import provide_all
from sealift.tools import engine as engines
from sealift.tools.layout import Layout, Manifests
from sealift.tools.regctl import LAYOUT, regctl
from sealift.tools.registry import Registry

NOT_STARTED = 3
# What an engine knows an image by, without its registry: health-caretaker:latest.
SHORT = re.compile(r"[a-z0-9][\w./-]*(:[\w.-]+)?")
TAG_OR_DIGEST = re.compile(r"(:[\w.-]+)?(@sha256:[0-9a-f]{64})?$")


class Explained(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file held against a base; ``notes`` are worth knowing, and nothing is wrong with them."""

    binary: str
    base: str
    starts: bool
    platform: str | None = None
    linkage: str | None = None
    interpreter: str | None = None
    needed: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Base:
    """An image's files; without an image there are none, and any platform."""

    rootfs: Rootfs
    platform: Platform | None = None


def command(
    binary: Annotated[Path, typer.Argument(help="The file that would be started.")],
    *,
    base: Annotated[
        str | None,
        typer.Option(
            help="An OCI layout folder, an image of the engine here (NAME:TAG), or a registry's image;"
            " @sha256:... picks a manifest of the first and the last."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say why a binary would not start on a base (distroless static without --base), and what to do."""
    explained = explain(binary, base)
    console.result(msgspec.json.encode(explained).decode() if as_json else "\n".join(lines(explained)))
    if not explained.starts:
        raise typer.Exit(NOT_STARTED)


def explain(binary: Path, base: str | None = None) -> Explained:
    """Hold one file against a base."""
    file = look(binary)
    facts = file.facts
    against = open_base(base, facts.arch if facts else "amd64")
    reasons = why_not(file, against.rootfs, against.platform)
    told = Explained(binary=str(binary), base=against.rootfs.origin, starts=not reasons, reasons=reasons)
    if facts is None:
        return told
    return msgspec.structs.replace(
        told,
        platform=f"linux/{facts.arch}",
        linkage=facts.linkage,
        interpreter=facts.interpreter,
        needed=facts.needed,
        notes=(*(_notes(facts) if against.platform is None else ()), *_processors(file)),
    )


def lines(explained: Explained) -> Iterator[str]:
    """Tell it to people."""
    yield f"{explained.binary}: {_described(explained)}"
    yield f"On {explained.base} it {'would start.' if explained.starts else 'would not start:'}"
    for reason in explained.reasons:
        yield f"  {reason.error}"
        yield f"    why: {reason.why}"
        yield f"    do:  {reason.remedy}"
    for note in explained.notes:
        yield f"  note: {note}"


def open_base(text: str | None, arch: str) -> Base:
    """Open the image for an architecture; where there is none, another, against which that is an error."""
    if text is None:
        return Base(Rootfs((), "distroless static (no loader, no libraries)"))
    # A folder's name may hold what begins a digest.
    name, at, digest = (text, "", "") if "@" not in text or Path(text).is_dir() else text.rpartition("@")
    if name and Path(name).is_dir():
        layout = Layout(Path(name))
        return _of_layout(layout, Digest(digest) if at else layout.index(), name, arch)
    with tempfile.TemporaryDirectory(prefix="sealift-explain-") as folder:
        layout = Layout(_fetch(text, Path(folder) / "image"))
        return _of_layout(layout, layout.index(), text, arch)


def _fetch(reference: str, folder: Path) -> Path:
    name = TAG_OR_DIGEST.sub("", reference)
    host = name.partition("/")[0]
    local = host.partition(":")[0] in ("localhost", "127.0.0.1")
    if Repository.accepts(name) and (local or set(".:") & set(host)):
        return _fetch_from_registry(reference, folder, plain_http=(host,) if local else ())
    if SHORT.fullmatch(reference) and _take_from_engine(reference, folder):
        return folder
    raise UsageError(
        f"{reference} is neither a folder, nor an image that an engine has here,"
        " nor an image with its registry's name",
        next_step="give an OCI layout folder, or the whole name: docker.io/library/debian:12",
    )


def _fetch_from_registry(reference: str, folder: Path, *, plain_http: tuple[str, ...]) -> Path:
    provide_all(["regctl"], cache=cache_folder())
    try:
        Registry(plain_http=plain_http).copy(reference, f"{LAYOUT}{folder}:base")
    except OutsideError as error:
        raise OutsideError(
            f"{reference} cannot be fetched",
            means=error.means or error.happened,
            next_step="run again; or give an image of the engine here, or an OCI layout folder, such as"
            " those that sealift image keeps in build/release/latest/images",
            again=error.again,
            retry_after=error.retry_after,
        ) from error
    return folder


def _take_from_engine(image: str, folder: Path) -> bool:
    """Copy an image out of this machine's engine; False where none answers, or it has no such image."""
    try:
        engine = engines.find(cache_folder() / "locks")
    except MissingProgramError:
        return False
    if engine.image_id(image) is None:
        return False
    provide_all(["regctl"], cache=cache_folder())
    archive = folder.with_name("image.tar")
    folder.mkdir()
    engine.save(image, archive)
    regctl("image", "import", f"{LAYOUT}{folder}:base", str(archive), check=True)
    return True


def _of_layout(layout: Layout, digest: Digest, name: str, arch: str) -> Base:
    images = _images(layout, digest)
    platform = _closest(images, arch)
    return Base(Rootfs.from_layout(layout, images[platform], f"{name} ({platform})"), platform)


def _closest(images: Manifests, arch: str) -> Platform:
    """Choose the image for an architecture, else for a variant of it, where the same program runs."""
    fitting = Platform(f"linux/{arch}")
    ranks = {
        p: (p != fitting, (p.os, p.arch) != ("linux", arch), len(found)) for p, found in images.listed.items()
    }
    return min(ranks, key=ranks.__getitem__)


def _images(layout: Layout, digest: Digest) -> Manifests:
    if "manifests" not in layout.manifest(digest):
        return Manifests(digest, {Platform.of_oci(layout.config(digest)): (digest,)})
    images = layout.platforms(digest)
    if not images:
        raise UsageError(f"the index {digest} lists no image for any platform")
    return images


def _notes(facts: ElfFacts) -> Iterator[str]:
    """Say what an image would decide."""
    yield f"where the image is not for linux/{facts.arch}, it says {EXEC_FORMAT}"
    if facts.linkage == "dynamic" and facts.interpreter not in (None, LOADERS.get(facts.arch)):
        yield f"no distroless base has {facts.interpreter}; --base LAYOUT looks at an image's own files"
    elif facts.linkage == "dynamic":
        newest = " with glibc {}.{} or newer".format(*needed) if any(needed := needed_glibc(facts)) else ""
        needs = f"needs {', '.join(facts.needed)}{newest}" if facts.needed else "needs no library"
        yield f"on distroless base, which has a loader, it {needs}"
        yield f"{GLIBC_OF_BASES}; --base LAYOUT looks at an image's own files"


# What Go builds for by itself; https://go.dev/wiki/MinimumRequirements tells what the others need.
USUAL = {"GOAMD64": "v1", "GOARM64": "v8.0", "GOPPC64": "power8", "GORISCV64": "rva20u64"}


def _processors(file: File) -> Iterator[str]:
    """Say which processors a program needs that not every machine of its platform has."""
    if file.facts is not None and (level := file.facts.instruction_set) is not None:
        yield f"it needs a processor of level {level}; on an older one: CPU ISA level is lower than required"
    for setting, usual in USUAL.items():
        if (chosen := file.go.get(setting, usual)) != usual:
            yield (
                f"it was built with {setting}={chosen}, for processors that have it; on an older one it ends "
                f"at its start, or by an illegal instruction. {setting}={usual} runs on all"
            )


def _described(explained: Explained) -> str:
    if explained.platform is None:
        return "no ELF program"
    needs = f", needs {', '.join(explained.needed)}" if explained.needed else ""
    loaded = f", interpreter {explained.interpreter}" if explained.interpreter else ""
    return f"{explained.linkage}, for {explained.platform}{loaded}{needs}"
