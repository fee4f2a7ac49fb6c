"""What go would read of a clone: nothing that is not in the commit, nor in a module that go.sum names.

refuse_outside(go, clone / "service", "./cmd/service", top=clone, env=environment(go, request))
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sealift import process
from sealift.errors import UsageError
from sealift.tools import git

# All that go hands to a compiler, the assembler or the linker. What it embeds is never behind a link.
FILES = (
    *("GoFiles", "CgoFiles", "CFiles", "CXXFiles", "MFiles", "HFiles", "FFiles", "SFiles"),
    *("SwigFiles", "SwigCXXFiles", "SysoFiles", "EmbedFiles"),
)
# They may include others, which go does not list.
INCLUDING = ("CgoFiles", "CFiles", "CXXFiles", "SFiles")


def refuse_outside(go: Path, module: Path, package: str, *, top: Path, env: Mapping[str, str]) -> None:
    """Refuse a module that takes code from outside of the clone ``top``.

    Raises UsageError for a replaced module, a workspace or a symbolic link that leads out, and
    ProgramFailedError where go cannot read the module's files.
    """
    for named in _named_folders(go, module, top, env):
        _refuse_folder(*named, top)
    if links := list(_leaving_links(top)):
        for path, name in _read_files(go, module, package, links, env):
            if not path.resolve().is_relative_to(top.resolve()):
                raise UsageError(
                    f"{git.printable(_inside(path, top))}, a part of {name}, leads out of the repository,"
                    f" to {git.printable(str(path.resolve()))}",
                    means="what is built would not be in the commit",
                    next_step="commit the file itself in the place of the symbolic link",
                )


def _named_folders(
    go: Path, module: Path, top: Path, env: Mapping[str, str]
) -> Iterator[tuple[Path, str, str]]:
    """Yield each folder that go.work and go.mod files name: where they lie, which file, and the path."""
    members = [_above(module, top, "go.mod")]
    if (work := env.get("GOWORK", "off")) != "off":
        folder = Path(work).parent
        git.refuse_leaving(top, _inside(folder / "go.work", top))
        described = _json(go, "work", folder, env)
        used = [str(use["DiskPath"]) for use in described.get("Use") or ()]
        for path in (*used, *_replacements(described)):
            yield folder, "go.work", path
        members += [folder / path for path in used]
    for member in members:
        if member is not None and (member / "go.mod").is_file():
            git.refuse_leaving(top, _inside(member / "go.mod", top))
            for path in _replacements(_json(go, "mod", member, env)):
                yield member, "go.mod", path


def _above(module: Path, top: Path, name: str) -> Path | None:
    """Return the folder of the module's go.mod, at most the top of the clone."""
    folders = (f for f in (module, *module.parents) if f.is_relative_to(top))
    return next((folder for folder in folders if (folder / name).is_file()), None)


def _replacements(described: Mapping[str, Any]) -> list[str]:
    """Return the paths of folders that replace a module: what has no version is one."""
    return [r["New"]["Path"] for r in described.get("Replace") or () if not r["New"].get("Version")]


def _json(go: Path, kind: str, folder: Path, env: Mapping[str, str]) -> dict[str, Any]:
    done = process.run([go, kind, "edit", "-json"], cwd=folder, env=env)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _refuse_folder(folder: Path, file: str, path: str, top: Path) -> None:
    real = (folder / path).resolve()
    if not real.is_relative_to(top.resolve()):
        raise UsageError(
            f"{git.printable(_inside(folder / file, top))} takes code from {git.printable(path)},"
            " outside of the repository",
            means="what is built would not be in the commit",
            next_step="require the module by its version, or commit its folder",
        )


def _leaving_links(top: Path) -> Iterator[Path]:
    """Yield the symbolic links of a clone that lead out of it."""
    real = top.resolve()
    for folder, folders, files in os.walk(top):
        if ".git" in folders:
            folders.remove(".git")
        for name in (*folders, *files):
            path = Path(folder, name)
            if path.is_symlink() and _leaves(path, real):
                yield path


def _leaves(link: Path, real: Path) -> bool:
    """Tell whether a link leads out of a folder, or to where this user may not look."""
    try:
        return not link.resolve().is_relative_to(real)
    except OSError:
        return True


def _read_files(
    go: Path, module: Path, package: str, links: Sequence[Path], env: Mapping[str, str]
) -> Iterator[tuple[Path, str]]:
    """Yield every file of the clone that go would read, with its package's name.

    Of a package that includes files, that is every link in its folder, too.
    """
    fields = ",".join(("Dir", "ImportPath", "Standard", "Module", *FILES))
    listed = process.run([go, "list", "-e", "-deps", f"-json={fields}", package], cwd=module, env=env)
    decoder, text = json.JSONDecoder(), listed.stdout.strip()
    cache = Path(env["GOMODCACHE"]).resolve()
    while text:
        found, end = decoder.raw_decode(text)
        text = text[end:].lstrip()
        if found.get("Standard") or "Dir" not in found:
            continue
        folder, module_ = Path(found["Dir"]), found.get("Module") or {}
        own = module_.get("Main") or "Version" not in module_.get("Replace", module_)
        if not own and folder.resolve().is_relative_to(cache):
            continue
        for name in (name for kind in FILES for name in found.get(kind) or ()):
            yield folder / name, found["ImportPath"]
        if any(found.get(kind) for kind in INCLUDING):
            for link in links:
                if link.parent.resolve().is_relative_to(folder.resolve()):
                    yield link, found["ImportPath"]


def _inside(path: Path, top: Path) -> str:
    """Name a path of the clone as it is in the repository, without following a link."""
    return os.path.relpath(path, top)
