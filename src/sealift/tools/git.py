"""git, started here and nowhere else: what it says of a checkout is the same for every user.

Variables that point git at another repository are removed, and settings that change what it prints, runs or
writes have no effect. Needs git 2.32 or newer; an older one still reads the user's own settings, which
``SETTINGS`` overrides.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from sealift import process
from sealift.environment import environment_of
from sealift.errors import UsageError

# What changes the bytes of a checkout or git's view of one. Given with each command, and written into each
# clone, where a program that starts git itself (go, for its stamp) finds it.
SETTINGS: Mapping[str, str] = {
    "color.ui": "false",
    "core.attributesFile": os.devnull,
    "core.excludesFile": os.devnull,
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.untrackedCache": "false",
    "diff.ignoreSubmodules": "none",
    "gc.auto": "0",
    "i18n.logOutputEncoding": "UTF-8",
    "log.showSignature": "false",
    "maintenance.auto": "false",
    "status.branch": "false",
    "status.showUntrackedFiles": "all",
    "submodule.recurse": "false",
}
# How a file in git becomes a file on disk. The user's own checkout was written with the user's own answers.
CONVERSIONS: Mapping[str, str] = {
    "core.autocrlf": "false",
    "core.eol": "lf",
    "core.safecrlf": "false",
    "core.sparseCheckout": "false",
    "core.symlinks": "true",
}
# How git writes down that a folder is another repository, by its commit.
GITLINK = "160000"
_NO_FILES = {"120000": "a symbolic link", GITLINK: "a submodule", "040000": "a folder"}
SHA256_DIGITS = 64
# Of Linux, with the NUL at its end.
LONGEST_PATH = 4096


class GitFailedError(UsageError):
    """git refused; ``said`` is its own explanation."""

    def __init__(self, root: Path, words: Sequence[str], said: str) -> None:
        self.said = said
        super().__init__(
            f"git {words[0]} failed in {root}: {said}", next_step="follow git's message, then run this again"
        )


def environment(*, own_settings: bool = False) -> dict[str, str]:
    """Return what git is started with; ``own_settings`` lets it read the user's configuration files."""
    env = {
        **environment_of("git"),
        # Messages are compared; so they are English.
        "LC_ALL": "C",
        "GIT_ATTR_NOSYSTEM": "1",
        # What a commit holds is what its name says, without replacements and grafts.
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_GRAFT_FILE": os.devnull,
        # A look at the user's checkout writes no index.
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
    }
    return env if own_settings else env | {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}


def stamping_environment(env: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """Return what a program needs whose own git reads one of our clones.

    ``env`` is what it gets of the user. Settings in variables are kept there, for they may hold the way to a
    private module; ours come last, so they count: the clone may be another user's, its files are read as they
    are, and no program of the user's is run.
    """
    told = env.get("GIT_CONFIG_COUNT", "")
    count = int(told) if told.isdecimal() else 0
    settings = {**SETTINGS, **CONVERSIONS, "safe.directory": "*"}
    pairs: dict[str, str] = {}
    for number, (key, value) in enumerate(settings.items(), start=count):
        pairs |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return {"GIT_ATTR_NOSYSTEM": "1", "GIT_CONFIG_COUNT": str(count + len(settings)), **pairs}


def git(
    root: Path,
    *words: str,
    trusting: str = "*",
    own_settings: bool = False,
    stdin: bytes = b"",
    may_end: Sequence[int] = (0,),
) -> str:
    """Run git in a checkout, and return what it prints; bytes that are no text become surrogates.

    ``trusting`` is a folder that may belong to another user, as for root in a container. Raises
    GitFailedError for a status that is not in ``may_end``.
    """
    fixed = SETTINGS if own_settings else {**SETTINGS, **CONVERSIONS}
    settings = [
        word
        for name, value in {**fixed, "safe.directory": trusting}.items()
        for word in ("-c", f"{name}={value}")
    ]
    done = process.run(
        ["git", *settings, "-C", root, *words],
        env=environment(own_settings=own_settings),
        stdin=stdin,
        check=False,
        undecodable="surrogateescape",
    )
    if done.returncode not in may_end:
        said = done.stderr.strip() or f"it ended with status {done.returncode}"
        raise GitFailedError(root, words, said)
    return done.stdout


def top(folder: Path) -> Path:
    """Return the root of the checkout that a folder lies in.

    The user's own settings count here: they may say that another user's checkout is safe.
    """
    try:
        found = git(folder, "rev-parse", "--show-toplevel", trusting=str(folder), own_settings=True)
    except GitFailedError as error:
        if "not a git repository" not in error.said:
            raise
        ignored = "; GIT_DIR is set, and only the folder counts" if "GIT_DIR" in os.environ else ""
        raise UsageError(
            f"{folder} is not in a git checkout{ignored}",
            means=error.said,
            next_step="run this inside a clone of the repository",
        ) from error
    return Path(found.removesuffix("\n"))


def head(root: Path) -> str:
    """Return the commit that is checked out."""
    try:
        return git(root, "rev-parse", "--verify", "HEAD^{commit}").strip()
    except GitFailedError as error:
        if "Needed a single revision" not in error.said:
            raise
        raise UsageError(
            f"{root} has no commit to release", next_step="run this inside a clone of the repository"
        ) from error


def commit_time(root: Path, commit: str) -> int:
    """Return the committer's time, in seconds since 1970."""
    return int(git(root, "rev-list", "--max-count=1", "--timestamp", commit).split()[0])


def is_shallow(root: Path) -> bool:
    """Tell whether the history was cut off when this was cloned: then older tags are not known either."""
    return git(root, "rev-parse", "--is-shallow-repository").strip() == "true"


def has_remote(root: Path) -> bool:
    """Tell whether there is another repository that may have tags which are not here."""
    return git(root, "remote") != ""


def changed(root: Path) -> tuple[str, ...]:
    """Return the files that differ from HEAD, new ones too, ignored ones not; a folder is another repository.

    Files whose changes git was told not to see (assume-unchanged, skip-worktree) are among them.
    """
    words = ("--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=none")
    out = git(root, "status", *words, own_settings=True)
    return tuple(sorted({entry[3:] for entry in out.split("\0") if entry} | set(_hidden(root))))


def _hidden(root: Path) -> Iterator[str]:
    """Name the changed files that git does not look at; an absent one was left out by a sparse checkout."""
    for entry in git(root, "ls-files", "-z", "-v", "--stage").split("\0"):
        if not entry or entry.startswith("H "):
            continue
        described, _, name = entry.partition("\t")
        flag, mode, named, _ = described.split(" ")
        if (flag != "S" and not flag.islower()) or mode == GITLINK or not _is_there(root, name):
            continue
        path = root / name
        data = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
        # https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
        algorithm = "sha256" if len(named) == SHA256_DIGITS else "sha1"
        if hashlib.new(algorithm, b"blob %d\0" % len(data) + data).hexdigest() != named:
            yield name


def file_of(root: Path, commit: str, name: str) -> str:
    """Return a file's text as it is in a commit, whatever the user's settings convert."""
    if (mode := _mode(root, commit, name)) in _NO_FILES:
        raise _no_file(name, f"in the commit {commit[:12]}", _NO_FILES[mode])
    try:
        return git(root, "cat-file", "blob", f"{commit}:{name}")
    except GitFailedError as error:
        raise UsageError(
            f"{name} cannot be read from the commit {commit[:12]}: {error.said}",
            means="what is released is the commit, not the files beside it",
            next_step=f"git add {name} && git commit",
        ) from error


def working_file(root: Path, name: str) -> str:
    """Return a file's text as it is in the working tree; nothing is read through a symbolic link."""
    if link := next(
        (p for p in (*reversed(Path(name).parents[:-1]), Path(name)) if (root / p).is_symlink()), None
    ):
        raise _no_file(str(link), "in the working tree", "a symbolic link")
    try:
        return (root / name).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"{root / name} cannot be read: {error}", next_step=f"git status {name}") from error


def refuse_leaving(clone: Path, name: str) -> None:
    """Refuse a path of a clone that leads out of it, or into git's own files, through a symbolic link."""
    top, real = clone.resolve(), (clone / name).resolve()
    if not real.is_relative_to(top) or real.is_relative_to(top / ".git"):
        raise UsageError(
            f"{printable(name)} leads out of the repository, to {printable(str(real))}",
            means="what is released is the commit, and nothing beside it",
            next_step="put the file itself in the place of the symbolic link, and commit that",
        )


def has_file(root: Path, commit: str | None, name: str) -> bool:
    """Tell whether there is anything of this path in a commit, or without one in the working tree."""
    return _mode(root, commit, name) != "" if commit is not None else os.path.lexists(root / name)


def _mode(root: Path, commit: str, name: str) -> str:
    return git(root, "ls-tree", "-z", "--full-tree", commit, "--", name).partition(" ")[0]


def _no_file(name: str, where: str, kind: str) -> UsageError:
    return UsageError(
        f"{printable(name)} is {kind} {where}, not a file",
        means="what it leads to is not a part of the commit, and can change without it",
        next_step="put the file itself in its place, and commit that",
    )


def fingerprint(root: Path, commit: str, changed: tuple[str, ...]) -> str:
    """Name a tree: by its commit when nothing differs from it, else by a hash of what does."""
    if not changed:
        return commit
    whole = hashlib.sha256(commit.encode())
    for name in changed:
        path = root / name
        whole.update(b"\0" + os.fsencode(name) + b"\0")
        if not _is_there(root, name):
            whole.update(b"gone")
        elif path.is_symlink():
            whole.update(b"link\0" + os.fsencode(path.readlink()))
        else:
            whole.update(path.read_bytes())
    return whole.hexdigest()


def tags(root: Path) -> dict[str, str]:
    """Return every tag with the commit that it names, also through a tag that names a tag."""
    found = {}
    # Of a tag object there are two lines, and what it names in the end comes second.
    for line in git(root, "show-ref", "--tags", "--dereference", may_end=(0, 1)).splitlines():
        named, _, ref = line.partition(" ")
        found[ref.removeprefix("refs/tags/").removesuffix("^{}")] = named
    return found


def merged_tags(root: Path, commit: str) -> tuple[str, ...]:
    """Return the tags of a commit and of everything that it was made from."""
    found = git(root, "for-each-ref", f"--merged={commit}", "--format=%(refname)", "refs/tags")
    return tuple(ref.removeprefix("refs/tags/") for ref in found.splitlines())


def tag_commit(root: Path, tag: str) -> str | None:
    """Return the commit that a tag names, or None when there is no such tag."""
    return tags(root).get(tag)


def clone(
    root: Path, commit: str, target: Path, *, overlay: tuple[str, ...] = (), module: str | None = None
) -> None:
    """Make a clean tree of one commit, its own repository without tags, then copy ``overlay`` over it.

    Tags would change the version that Go stamps into a main module, and a linked worktree gets no
    stamp at all. It borrows the objects of ``root`` instead of fetching them, so no setting, no hook and no
    protocol is asked. What git alone cannot give of ``module`` is refused: files that a filter must make
    first, and submodules that are not at hand.
    """
    kind = git(root, "rev-parse", "--show-object-format").strip()
    target.mkdir(parents=True, exist_ok=True)
    git(target, "init", "--quiet", "--template=", f"--object-format={kind}", ".")
    own = target / ".git"
    objects, cut_off = (root / _path(root, name) for name in ("objects", "shallow"))
    (own / "objects" / "info").mkdir(parents=True, exist_ok=True)
    (own / "objects" / "info" / "alternates").write_bytes(os.fsencode(objects) + b"\n")
    if cut_off.exists():
        shutil.copyfile(cut_off, own / "shallow")
    with (own / "config").open("a", encoding="ascii") as config:
        for name, value in {**SETTINGS, **CONVERSIONS}.items():
            section, _, key = name.partition(".")
            config.write(f"[{section}]\n\t{key} = {value}\n")
    _check_out(root, commit, target)
    _refuse_filtered(target, module)
    # What a filter made of a file would be a change in the eyes of the git that go starts.
    (own / "info").mkdir(exist_ok=True)
    (own / "info" / "attributes").write_text("* -filter\n", encoding="ascii")
    _clone_submodules(root, commit, target, module)
    _copy_over(root, target, overlay)


def _path(root: Path, name: str) -> Path:
    return Path(git(root, "rev-parse", "--git-path", name).removesuffix("\n"))


def _check_out(root: Path, commit: str, target: Path) -> None:
    try:
        git(target, "update-ref", "--no-deref", "HEAD", commit)
        # checkout goes on without a file that it cannot read, and ends with status 0.
        git(target, "reset", "--quiet", "--hard")
    except GitFailedError as error:
        partial = git(root, "config", "--get-regexp", r"^remote\..*\.promisor$", may_end=(0, 1))
        if not partial:
            raise
        raise UsageError(
            f"{root} is a partial clone without all files of {commit[:12]}: {error.said}",
            means="what is not here cannot be built",
            next_step="git sparse-checkout disable, which fetches them; or clone without --filter",
        ) from error


def _within(name: str, module: str | None) -> bool:
    """Tell whether a path lies in the module's folder, or the folder in it."""
    if module is None:
        return False
    ours, theirs = Path(module).parts, Path(name).parts
    return ours[: len(theirs)] == theirs or theirs[: len(ours)] == ours


def _refuse_filtered(target: Path, module: str | None) -> None:
    """Refuse a module with files of which git holds something else than what is worked on."""
    if module is None:
        return
    names = git(target, "ls-files", "-z", "--", f":(top,literal){module}")
    told = git(target, "check-attr", "-z", "--stdin", "filter", stdin=os.fsencode(names)).split("\0")
    found = {
        name: value
        for name, _, value in zip(told[0::3], told[1::3], told[2::3], strict=False)
        if value not in ("unspecified", "unset", "set")
    }
    if found:
        name, filtered = next(iter(found.items()))
        raise UsageError(
            f"{printable(name)} goes through the git filter {filtered}"
            + (f", and {len(found) - 1} more files of {module} go through filters" if len(found) > 1 else ""),
            means="git holds something else than the file (a Git LFS pointer, an encrypted file); which of"
            " both is built would depend on the machine",
            next_step=f"keep the file itself in git: remove filter={filtered} from .gitattributes,"
            f" then git add --renormalize {module}",
        )


def _clone_submodules(root: Path, commit: str, target: Path, module: str | None) -> None:
    """Put submodules where they belong, at the commits that ``commit`` names.

    One that is not at hand stays empty, unless the module needs it: each machine builds the same.
    """
    for name, (named, described) in _submodules(target).items():
        try:
            _clone_submodule(root / name, named, target / name, described=described)
        except UsageError as error:
            shutil.rmtree(target / name / ".git", ignore_errors=True)
            if not _within(name, module):
                continue
            raise UsageError(
                f"the submodule {printable(name)} is not here as {commit[:12]} names it: {error.happened}",
                means=f"the Go module {module} cannot be built without it",
                next_step=_bring(name, described=described),
            ) from error


def empty_submodules(clone: Path) -> dict[str, str]:
    """Return the submodules that stayed empty in a clone, each with the command that brings its files."""
    return {
        name: _bring(name, described=described)
        for name, (_, described) in _submodules(clone).items()
        if _is_empty(clone / name)
    }


def _is_empty(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except OSError:
        return True


def _submodules(target: Path) -> dict[str, tuple[str, bool]]:
    """Return the commit of each submodule, and whether .gitmodules names it."""
    described = _described_submodules(target)
    entries = (entry.partition("\t") for entry in git(target, "ls-files", "-z", "--stage").split("\0"))
    return {
        name: (told.split(" ")[1], name in described) for told, _, name in entries if told.startswith(GITLINK)
    }


def _bring(name: str, *, described: bool) -> str:
    if described:
        return f"git submodule update --init --recursive {name}"
    return f"git rm --cached {name}, then add its files or: git submodule add URL {name}"


def _clone_submodule(inside: Path, commit: str, target: Path, *, described: bool) -> None:
    # What .gitmodules does not name is on no other machine, even where it happens to be on this one.
    if not described:
        raise UsageError(".gitmodules does not name it")
    if not (inside / ".git").exists():
        raise UsageError("it is not checked out")
    clone(inside, commit, target)


def _described_submodules(target: Path) -> frozenset[str]:
    """Read the paths of submodules from .gitmodules."""
    if not (target / ".gitmodules").is_file():
        return frozenset()
    words = ("config", "-z", "--file", ".gitmodules", "--get-regexp", r"^submodule\..*\.path$")
    return frozenset(e.partition("\n")[2] for e in git(target, *words, may_end=(0, 1)).split("\0") if e)


def _copy_over(root: Path, target: Path, names: Sequence[str]) -> None:
    """Make some files what they are in the working tree; a file may have taken a folder's place."""
    there = [name for name in names if _is_there(root, name)]
    for name in names:
        copy = target / name
        if not copy.is_dir() or copy.is_symlink():
            copy.unlink(missing_ok=True)
        elif name in there:
            shutil.rmtree(copy)
    for name in there:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, target / name, follow_symlinks=False)


def _is_there(root: Path, name: str) -> bool:
    """Tell whether a checkout has a file or a symlink of this path; below a symlink lies nothing of it."""
    path = root / name
    try:
        below = any((root / parent).is_symlink() for parent in Path(name).parents[:-1])
        return not below and (path.is_symlink() or path.is_file())
    except OSError as err:
        # A commit may hold names that no file can have.
        if err.errno != errno.ENAMETOOLONG:
            raise
        return False


def printable(name: str) -> str:
    """Write a path for a person or a JSON file: what is no text, and line ends, as escapes."""
    # A commit may hold longer names than any file can have.
    text = os.fsencode(name)[:LONGEST_PATH].decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
