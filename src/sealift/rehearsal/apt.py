"""Let apt fetch the packages that a Debian suite has today.

apt checks the archive's signature, the hash of the index that it signs, and each package's hash in that
index. It works in a root of its own, so nothing of this machine's configuration changes and another
architecture needs no ``dpkg --add-architecture``.

    folder = fetch("bookworm", "arm64", ("libc6",), cache=Path("cache"))
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec
from filelock import FileLock

from sealift import process, records
from sealift.console import say
from sealift.errors import OutsideError, UsageError
from sealift.model.codec import decode, publish
from sealift.network import child_env
from sealift.places import plainly, shell_word
from sealift.provision.debian import ensure_file
from sealift.rehearsal.debian import Deb, stanzas

DAY = 24 * 3600.0
KEYRING = "debian-archive-keyring"
KEYRINGS = Path("/usr/share/keyrings")
APT = Path("/etc/apt")
# For machines that are no Debian: the URL of its archive and, after a space, that of the security updates.
VARIABLE = "SEALIFT_DEBIAN_MIRROR"

_ONE_LINE = re.compile(
    r"deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)"
)
_URL = re.compile(r"https?://[\w.:/~%-]+")
# Only these name Debian where an entry says nothing of its key.
_DEBIAN = re.compile(
    r"(?:buster|bullseye|bookworm|trixie|forky|duke|sid|(?:old)*stable|testing|unstable)(?:[-/].+)?"
)


@dataclass(frozen=True, kw_only=True)
class Source:
    """One entry of apt's sources: where, which suites and components, and which key signs them."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""

    @property
    def debian(self) -> bool:
        """Whether this is Debian's own main archive, by its key, else by its suites' names."""
        if "main" not in self.components:
            return False
        if self.signed_by:
            return "debian-archive-" in self.signed_by
        return bool(self.suites) and all(map(_DEBIAN.fullmatch, self.suites))

    @property
    def security(self) -> bool:
        """Whether it holds the security updates."""
        return all(suite.endswith(("-security", "/updates")) for suite in self.suites)


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """Where this machine gets Debian from. The security updates have an archive of their own."""

    archive: str
    security: str | None
    keyring: Path

    def sources(self, codename: str) -> str:
        """Write apt's sources for one suite with its updates."""
        places = [(self.archive, f"{codename} {codename}-updates")]
        if self.security:
            places.append((self.security, f"{codename}-security"))
        return "\n".join(
            f"Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\nSigned-By: {self.keyring}\n"
            for uri, suites in places
        )


class _Fetched(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What lies in the cache: when it was fetched, the folder, and each file's SHA-256."""

    at: float
    folder: str
    names: tuple[str, ...]
    files: dict[str, str]
    #: Of the names and the files: that they are those that this user fetched.
    code: str

    @classmethod
    def now(cls, folder: str, names: tuple[str, ...], files: dict[str, str]) -> Self:
        """Note what was fetched."""
        return cls(at=time.time(), folder=folder, names=names, files=files, code=_code(names, files))


def _code(names: tuple[str, ...], files: dict[str, str]) -> str:
    return records.code("packages", msgspec.json.encode((names, files), order="sorted"))


def one_line_sources(text: str) -> Iterator[Source]:
    """Read a ``sources.list``."""
    for line in text.splitlines():
        entry = _ONE_LINE.fullmatch(line.partition("#")[0].strip())
        if entry:
            options = dict(o.split("=", 1) for o in (entry["options"] or "").split() if "=" in o)
            yield Source(
                uri=entry["uri"],
                suites=(entry["suite"],),
                components=tuple(entry["components"].split()),
                signed_by=options.get("signed-by", ""),
            )


def deb822_sources(text: str) -> Iterator[Source]:
    """Read a ``*.sources`` file."""
    for fields in stanzas(text):
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() == "no":
            continue
        for uri in fields.get("uris", "").split():
            yield Source(
                uri=uri,
                suites=tuple(fields.get("suites", "").split()),
                components=tuple(fields.get("components", "").split()),
                signed_by=fields.get("signed-by", ""),
            )


def read_sources(apt: Path = APT) -> tuple[Source, ...]:
    """Read every entry of this machine's apt sources."""
    lists = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]
    found = [s for path in lists if path.is_file() for s in one_line_sources(path.read_text("utf-8"))]
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        found.extend(deb822_sources(path.read_text("utf-8")))
    return tuple(found)


def mirror(sources: Iterable[Source] | None = None, keyrings: Path = KEYRINGS) -> Mirror:
    """Say where this machine gets Debian from: what SEALIFT_DEBIAN_MIRROR names, else what apt's sources do.

    Either is believed for the signature by Debian's keys, which are a package of this machine's own system.
    """
    archive, security = _told(os.environ.get(VARIABLE, "")) or _found(
        read_sources() if sources is None else sources
    )
    keyring = ensure_file(keyrings, (f"{KEYRING}.gpg", f"{KEYRING}.pgp"), KEYRING)
    return Mirror(archive=archive, security=security, keyring=keyring)


def _told(text: str) -> tuple[str, str | None] | None:
    urls = text.split()
    if not urls:
        return None
    if len(urls) > 2 or not all(map(_URL.fullmatch, urls)):  # noqa: PLR2004 - the archive and its updates
        raise UsageError(
            f"{VARIABLE} is {text!r}",
            means="it names the archive and, after a space, the security updates, as http or https URLs",
            next_step=f"{VARIABLE}='http://MIRROR/debian http://MIRROR/debian-security'",
        )
    return urls[0], urls[1] if urls[1:] else None


def _found(sources: Iterable[Source]) -> tuple[str, str | None]:
    """Find Debian in apt's sources; any suite that they name will do."""
    debian = [s for s in sources if s.debian]
    archive = next((s.uri for s in debian if not s.security), None)
    if archive is None:
        raise OutsideError(
            f"apt's sources on this machine name no Debian archive, and {VARIABLE} names none either",
            means="the stand-ins for the distroless bases are assembled from Debian's signed packages",
            next_step=f"{VARIABLE}='http://MIRROR/debian http://MIRROR/debian-security', and the same again",
        )
    return archive, next((s.uri for s in debian if s.security), None)


def fetch(codename: str, arch: str, names: tuple[str, ...], cache: Path) -> Path:
    """Return a folder with today's packages of these names, each file checked against its recorded hash.

    What was fetched within a day is taken as it is. When the archive cannot be reached, an older set
    serves, and a line says so: its packages were Debian's when they were fetched.
    """
    cache = cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    record = cache / f"{codename}-{arch}.json"
    with FileLock(cache / f"{codename}-{arch}.lock"):
        known = _known(record, names)
        if known is None and record.exists():
            say(f"the packages in {shell_word(cache)} do not match this user's record: fetching them again")
        if known and 0 <= time.time() - known.at < DAY:
            return cache / known.folder
        try:
            return _fetch(record, codename, arch, names)
        except OutsideError as err:
            if not known:
                raise
            say(f"{err.happened.splitlines()[0]}: taking Debian's packages for {arch} as they were before")
            return cache / known.folder


def _known(record: Path, names: tuple[str, ...]) -> _Fetched | None:
    try:
        known = decode(record.read_bytes(), _Fetched)
        folder = record.parent / known.folder
        found = {path.name: _sha256(path) for path in folder.glob("*.deb")}
    except (OSError, msgspec.DecodeError):
        return None
    ours = hmac.compare_digest(known.code.encode(), _code(names, found).encode())
    return known if ours and known.names == names and found == known.files else None


def _fetch(record: Path, codename: str, arch: str, names: tuple[str, ...]) -> Path:
    cache = record.parent
    say(f"fetching {len(names)} packages of Debian {codename} for {arch}; about ten seconds")
    prefix = f"fetching-{codename}-{arch}-"
    for left_by_a_killed_run in cache.glob(f"{prefix}*"):
        shutil.rmtree(left_by_a_killed_run, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=prefix) as temporary:
        new = Path(temporary) / "debs"
        new.mkdir()
        root = Path(temporary) / "root"
        # Its configuration has no way to quote a quote.
        with plainly(root) as plain:
            env = _private_root(root, plain, mirror().sources(codename), arch)
            _download(names, f"{codename} {arch}", new, env)
        files = {path.name: _sha256(path) for path in new.glob("*.deb")}
        # Named by its content: who still reads an older set is not disturbed.
        digest = hashlib.sha256(msgspec.json.encode(files, order="sorted")).hexdigest()
        folder = cache / f"{codename}-{arch}-{digest[:16]}"
        if folder.exists():
            shutil.rmtree(folder)
        new.rename(folder)
    publish(record, msgspec.json.encode(_Fetched.now(folder.name, names, files)))
    return folder


def _download(names: tuple[str, ...], what: str, to: Path, env: dict[str, str]) -> None:
    try:
        # Without this apt takes an archive that it cannot reach for a warning.
        process.run(["apt-get", "-q", "update", "-o", "APT::Update::Error-Mode=any"], env=env, timeout=300)
        process.run(["apt-get", "-q", "download", *names], env=env, cwd=to, timeout=300)
    except process.ProgramFailedError as err:
        raise OutsideError(
            f"Debian's packages for {what} could not be fetched\n{err}",
            means="the stand-ins for the distroless bases are assembled from them, and apt reached no "
            "mirror, or did not believe what it got",
            next_step="check that `apt-get update` works on this machine, then run this again",
        ) from err
    got = {Deb.read(path).name for path in to.glob("*.deb")}
    if got != set(names):
        raise OutsideError(
            f"apt was asked for {', '.join(sorted(names))} and fetched {', '.join(sorted(got)) or 'nothing'}",
            next_step="run this again",
        )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _private_root(root: Path, plain: Path, sources: str, arch: str) -> dict[str, str]:
    """Make a root for apt, with a plain path to it, and return the environment in which apt works there."""
    for part in (
        "etc/apt/sources.list.d",
        "etc/apt/apt.conf.d",
        "etc/apt/preferences.d",
        "etc/apt/trusted.gpg.d",
        "var/lib/apt/lists/partial",
        "var/cache/apt/archives/partial",
        "var/lib/dpkg",
    ):
        (root / part).mkdir(parents=True, exist_ok=True)
    (root / "var/lib/dpkg/status").touch()
    (root / "etc/apt/sources.list.d/debian.sources").write_text(sources)
    # How this machine gets out holds for us too; its hooks and its leave to take unsigned archives do not.
    ways_out = process.run(
        ["apt-config", "dump", "Acquire::http", "Acquire::https", "Acquire::Retries"]
    ).stdout
    settings = root / "apt.conf"
    places = f'{ways_out}\nDir "{plain}";\nDir::State::status "{plain}/var/lib/dpkg/status";\n'
    settings.write_text(
        f'{places}APT::Architecture "{arch}";\nAPT::Architectures:: "{arch}";\nAcquire::Languages "none";\n'
    )
    return {**child_env("apt-get"), "APT_CONFIG": str(settings), "LC_ALL": "C"}
