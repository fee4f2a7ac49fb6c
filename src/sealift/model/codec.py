"""How values become JSON and come back: one library, one pair of hooks."""

from __future__ import annotations

import os
import tempfile
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from sealift.errors import UsageError
from sealift.model.names import Text, Version

T = TypeVar("T")
# Of one file that is read whole: evidence, reports, lists of contents. The largest of a release has 5 MB.
MOST_BYTES = 64 << 20
_preparing = threading.Lock()
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def enc_hook(value: Any) -> Any:
    """Write our own names as their text."""
    if isinstance(value, (Text, Version, Path)):
        return str(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise NotImplementedError(f"no JSON form of {type(value)}")


def dec_hook(kind: type, value: Any) -> Any:
    """Read our own names from their text."""
    if not isinstance(value, str):
        raise ValueError(  # noqa: TRY004 - msgspec turns a ValueError into a ValidationError
            f"expected text for {kind.__name__}, got {type(value).__name__}"
        )
    try:
        if issubclass(kind, (Text, Version)):
            return kind.parse(value)
    except UsageError as error:
        raise ValueError(error.happened) from error
    if issubclass(kind, Path):
        return Path(value)
    raise NotImplementedError(f"no way to read a {kind}")


def to_json(value: Any) -> bytes:
    """Write a value as JSON for people and programs: sorted, indented, one line feed at the end."""
    return (
        msgspec.json.format(msgspec.json.encode(value, enc_hook=enc_hook, order="sorted"), indent=2) + b"\n"
    )


def decode(raw: bytes | str, kind: type[T]) -> T:
    """Read JSON as a value of this kind; raise ``msgspec.DecodeError``, whatever is wrong with it."""
    if (decoder := _decoders.get(kind)) is None:
        # msgspec shows what it has found out of a type to every thread before it is whole: who reads the same
        # type for the first time beside it crashes (0.22.0; tests/tools/test_codec.py).
        with _preparing:
            decoder = _decoders[kind] = msgspec.json.Decoder(kind, dec_hook=dec_hook)
    try:
        value: T = decoder.decode(raw)
    except RecursionError as error:
        raise msgspec.DecodeError("JSON is nested too deep") from error
    except UnicodeError as error:
        raise msgspec.DecodeError(f"JSON is not UTF-8: {error.reason}") from error  # type: ignore[attr-defined]
    return value


def convert(raw: Any, kind: type[T]) -> T:
    """Take what YAML holds for a value of this kind; raise ``msgspec.ValidationError``."""
    with _preparing:
        return msgspec.convert(raw, kind, dec_hook=dec_hook)


def from_json(raw: bytes, kind: type[T], *, source: str) -> T:
    """Read a value; raise UsageError that names where it came from."""
    try:
        return decode(raw, kind)
    except msgspec.DecodeError as error:
        raise UsageError(f"{source} cannot be read as {kind.__name__}: {error}") from error


def read_file(path: Path, most: int = MOST_BYTES) -> bytes:
    """Read a file that other jobs or programs wrote; UsageError where it is larger than all of them."""
    with path.open("rb") as file:
        # Python takes memory for all that it is asked for.
        size = os.fstat(file.fileno()).st_size
        data = file.read(size) if size <= most else None
    if data is None:
        raise UsageError(
            f"{path} has more than {most >> 20} MiB",
            means="nothing that sealift writes or reads there is so large; it was made to fill memory",
            next_step="look who wrote it, and make it again",
        )
    return data


def publish(path: Path, data: bytes) -> None:
    """Write a file by rename, so nothing half-done has a name that looks finished."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "wb") as f:
            f.write(data)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
