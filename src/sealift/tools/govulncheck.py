"""govulncheck, asked about one Go binary of any platform: its weak modules and its weak functions.

    for finding in scan(Path("dist/static/linux/arm64/service"), Path("go-advisories")):
        print(finding.id, finding.module, finding.symbol_reached)

The database is a folder; nothing is fetched.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

import msgspec

from sealift import process
from sealift.environment import search_path
from sealift.errors import OutsideError
from sealift.model.codec import decode
from sealift.network import ProxyFailedError
from sealift.tools.http import Answer, Http, refusal
from sealift.tools.registry_http import HOPS, REDIRECTS, told_by

WHOLE_DATABASE = "https://vuln.go.dev/vulndb.zip"
# Bytes; it has about ten million, and grows.
LIMIT = 256 << 20
# Of all files, unpacked; it has about a hundred million.
LARGEST, MOST_FILES = 2 << 30, 500_000
_FILE = re.compile(r"(?:[\w.-]{1,255}/){0,8}[\w.-]{1,255}/?", re.ASCII)
# What zipfile raises for an archive that came cut off or changed on the way, or names one place twice.
_DAMAGED = (
    *(
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        ValueError,
        LookupError,
        RuntimeError,
        struct.error,
        TypeError,
    ),
    *(NotADirectoryError, IsADirectoryError, FileExistsError),
)


@dataclass(frozen=True, kw_only=True)
class GoFinding:
    """One advisory about one module of a binary.

    ``symbol_reached`` tells whether the binary holds an affected function. A stripped binary has no
    symbols; govulncheck then counts every function of an affected package as held.
    """

    id: str
    aliases: tuple[str, ...]
    module: str
    found: str
    fixed: str | None
    symbol_reached: bool
    summary: str


def scan(binary: Path, database: Path, *, main_version: str = "") -> tuple[GoFinding, ...]:
    """Look one binary up in a database folder; ``main_version`` takes the place of Go's stamp."""
    if not (database / "index" / "modules.json").is_file():
        raise OutsideError(
            f"there is no Go advisory database in {database}",
            means="nothing can be looked up, so nothing would be found",
            next_step="sealift doctor",
            again=False,
        )
    with _clean_home() as home:
        env = {"PATH": search_path(), "HOME": str(home), "TMPDIR": str(home)}
        done = process.run(["govulncheck", "-mode=extract", binary.absolute()], env=env, cwd=home)
        extract = home / "extract.json"
        extract.write_text(_named(done.stdout, main_version), encoding="utf-8")
        # With -json a finding does not change the exit status: anything but 0 is a failure.
        done = process.run(
            ["govulncheck", "-mode=binary", "-json", "-db", database.absolute().as_uri(), extract],
            env=env,
            cwd=home,
        )
    return read_messages(done.stdout)


def _named(extract: str, main_version: str) -> str:
    """Give what was extracted from a binary the names by which advisories know its modules.

    govulncheck looks a replaced module up by the replacement's path, then wants its own, and finds neither.
    Go's stamp in the main module is no version of it.
    """
    try:
        header, binary = map(json.loads, extract.splitlines())
        if main_version and binary.get("main"):
            binary["main"]["Version"] = main_version
        binary["modules"] = [_replaced(module) for module in binary.get("modules") or ()]
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as err:
        raise OutsideError(f"govulncheck wrote something else than expected: {err}", again=False) from err
    return f"{json.dumps(header)}\n{json.dumps(binary)}\n"


def _replaced(module: dict[str, Any]) -> dict[str, Any]:
    """Return the module whose code it is: the replacement, or the module itself where that is a folder."""
    other = module.get("Replace")
    by = {} if other is None or other["Version"] in ("", "(devel)") else other
    return {"Path": module["Path"], "Version": module["Version"], **by, "Replace": None}


def download_database(folder: Path) -> None:
    """Fetch the Go team's whole database; what was there before stays until the new one is whole.

    https://go.dev/doc/security/vuln/database
    """
    packed, fresh = _fetched(), folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        # An OSError is from here on the disk's, and no word of whoever was asked.
        packed.extractall(fresh)
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    except _DAMAGED as err:
        raise _not_fetched(err) from err
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _fetched() -> zipfile.ZipFile:
    try:
        answer = _followed(Http(limit=LIMIT), WHOLE_DATABASE)
        if answer.status != HTTPStatus.OK:
            raise refusal(answer, "the whole database")
        return _checked(zipfile.ZipFile(io.BytesIO(answer.body)))
    except ProxyFailedError:
        raise
    except OutsideError as err:
        # Of a connection that failed for good, its own advice helps: whose certificate to trust.
        own = err.next_step if err.__cause__ is not None and not err.again else ""
        raise _not_fetched(err.happened, again=err.again, retry_after=err.retry_after, next_step=own) from err
    except _DAMAGED as err:
        raise _not_fetched(err) from err


def _checked(packed: zipfile.ZipFile) -> zipfile.ZipFile:
    """Look at what an archive says of its files; no more of one is unpacked than that."""
    files = packed.infolist()
    strange = [f.filename for f in files if not _FILE.fullmatch(f.filename) or ".." in f.filename.split("/")]
    kinds = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
    if (
        strange
        or not {f.compress_type for f in files} <= kinds
        or "index/modules.json" not in packed.namelist()
    ):
        raise zipfile.BadZipFile(
            f"it holds {strange[0][:80]!r}" if strange else "it is not in the form of one"
        )
    if len(files) > MOST_FILES or sum(f.file_size for f in files) > LARGEST:
        raise zipfile.BadZipFile(
            f"it unpacks to more than {LARGEST >> 20} MiB, or to more than {MOST_FILES} files"
        )
    return packed


def _followed(http: Http, url: str) -> Answer:
    """Follow redirects, as a mirror or the database's own host may send them."""
    for _ in range(HOPS):
        answer = http.ask("GET", url, headers={})
        if answer.status not in REDIRECTS:
            break
        url = told_by(answer, answer.headers.get("Location", ""))
    return answer


def _not_fetched(
    err: Exception | str, *, again: bool = True, retry_after: float | None = None, next_step: str = ""
) -> OutsideError:
    usual = "run again when it answers" if again else f"look whether {WHOLE_DATABASE} is still its place"
    return OutsideError(
        f"the Go advisory database could not be fetched: {err}",
        means="nothing newer can be looked up than what the cache has",
        next_step=next_step or usual,
        again=again,
        retry_after=retry_after,
    )


@contextmanager
def _clean_home() -> Iterator[Path]:
    """Give a home in which Go's counters are off: a child of govulncheck writes them after its end."""
    with tempfile.TemporaryDirectory(prefix="govulncheck-") as name:
        # https://go.dev/doc/telemetry: the mode is a file, no variable turns it off.
        mode = Path(name, ".config", "go", "telemetry", "mode")
        mode.parent.mkdir(parents=True)
        mode.write_text("off")
        yield Path(name)


def read_messages(stdout: str) -> tuple[GoFinding, ...]:
    """Read govulncheck's stream: one finding for each advisory and module, sorted."""
    entries: dict[str, _Osv] = {}
    findings: dict[tuple[str, str], GoFinding] = {}
    scanned = False
    for message in _messages(stdout):
        scanned = scanned or message.sbom is not None
        if message.osv is not None:
            entries[message.osv.id] = message.osv
        if message.finding is not None:
            _merge(findings, message.finding, entries)
    if not scanned:
        raise OutsideError(
            "govulncheck did not say what it looked at",
            means="an empty answer is not a clean one",
            next_step="sealift doctor",
            again=False,
        )
    return tuple(findings[key] for key in sorted(findings))


def _messages(stdout: str) -> Iterator[_Message]:
    """Split the stream, which is JSON objects one after another, each over many lines."""
    # Every object begins at the start of a line; nothing inside one does.
    for part in stdout.replace("\n{", "\0{").split("\0"):
        if not part.strip():
            continue
        try:
            yield decode(part.encode(), _Message)
        except msgspec.DecodeError as err:
            raise OutsideError(f"govulncheck wrote something else than expected: {err}", again=False) from err


def _merge(findings: dict[tuple[str, str], GoFinding], found: _Finding, entries: dict[str, _Osv]) -> None:
    """Fold the module's, the package's and the functions' messages into one finding."""
    frame = found.trace[0]
    key = (found.osv, frame.module)
    before = findings.get(key)
    entry = entries.get(found.osv, _Osv(id=found.osv))
    findings[key] = GoFinding(
        id=found.osv,
        aliases=entry.aliases,
        module=frame.module,
        found=frame.version,
        fixed=found.fixed_version or None,
        symbol_reached=bool(frame.function) or (before is not None and before.symbol_reached),
        summary=entry.summary,
    )


class _Osv(msgspec.Struct, frozen=True):
    id: str
    aliases: tuple[str, ...] = ()
    summary: str = ""


class _Frame(msgspec.Struct, frozen=True):
    module: str
    version: str = ""
    function: str = ""


class _Finding(msgspec.Struct, frozen=True):
    osv: str
    trace: Annotated[tuple[_Frame, ...], msgspec.Meta(min_length=1)]
    fixed_version: str = ""


class _Scanned(msgspec.Struct, frozen=True):
    go_version: str = ""


class _Message(msgspec.Struct, frozen=True):
    osv: _Osv | None = None
    finding: _Finding | None = None
    sbom: _Scanned | None = msgspec.field(name="SBOM", default=None)
