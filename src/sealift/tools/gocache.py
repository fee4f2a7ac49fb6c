"""Go's build cache, whose entries count for what is in them: go starts this program (GOCACHEPROG).

go asks for an action, the hash of all that goes into a step, and gets the file that the step gave. An entry
counts only with a code that the key of this user gives (``records.py``), and its file only with the hash that
the entry names; what does not count is a miss, and compiled again. Which file an action gave never changes,
so an old entry that is put back does no harm.

It is started by its path, with Python alone: https://pkg.go.dev/cmd/go/internal/cacheprog
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from typing import Any, BinaryIO

# The key in hexadecimal digits; go hands it on.
KEY = "SEALIFT_CACHE_KEY"
# As go's own cache: an entry that is used is marked at most once an hour, and goes after five days.
MARK_SECONDS, KEEP_SECONDS, TRIM_SECONDS = 3600, 5 * 24 * 3600, 24 * 3600

Response = dict[str, Any]


class Store:
    """A folder of entries, one for each action, and of files, each named by its hash."""

    def __init__(self, folder: Path, key: bytes) -> None:
        self._folder, self._key = folder, key

    def get(self, action: str) -> Response:
        """Return where the file of an action lies, or a miss."""
        place = self._entry(action)
        try:
            output, size, made, code = place.read_text("ascii").split()
            data = self._data(output)
            if not hmac.compare_digest(code, self._code(action, output, size, made)):
                return {"Miss": True}
            with os.fdopen(os.open(data, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                found = os.fstat(file.fileno())
                whole = S_ISREG(found.st_mode) and hashlib.file_digest(file, "sha256").hexdigest() == output
        except (OSError, ValueError):
            return {"Miss": True}
        if not whole or found.st_size != int(size):
            return {"Miss": True}
        if time.time() - found.st_mtime > MARK_SECONDS:
            for used in (place, data):
                with suppress(OSError):
                    os.utime(used)
        return self._response(output, int(size), int(made))

    def put(self, action: str, output: str, body: bytes) -> Response:
        """Keep the file of an action."""
        if hashlib.sha256(body).hexdigest() != output:
            return {"Err": f"the body of {action} has not the hash {output}"}
        made, size = str(time.time_ns()), str(len(body))
        self._publish(self._data(output), body)
        entry = f"{output} {size} {made} {self._code(action, output, size, made)}\n"
        self._publish(self._entry(action), entry.encode())
        return self._response(output, len(body), int(made))

    def trim(self) -> None:
        """Once a day, remove what was not used for days."""
        last, now = self._folder / "trimmed", time.time()
        with suppress(OSError):
            if now - last.stat().st_mtime < TRIM_SECONDS:
                return
        last.touch()
        for folder in self._folder.glob("??"):
            for file in folder.iterdir():
                with suppress(OSError):
                    if now - file.lstat().st_mtime > KEEP_SECONDS:
                        file.unlink()

    def _entry(self, action: str) -> Path:
        return self._folder / action[:2] / f"{action}-a"

    def _data(self, output: str) -> Path:
        return self._folder / output[:2] / f"{bytes.fromhex(output).hex()}-d"

    def _code(self, *words: str) -> str:
        return hmac.digest(self._key, " ".join(("go", *words)).encode(), "sha256").hex()

    def _publish(self, place: Path, content: bytes) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.with_name(f".{place.name}.{os.getpid()}")
        fresh.write_bytes(content)
        fresh.replace(place)

    def _response(self, output: str, size: int, made: int) -> Response:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(made // 1_000_000_000))
        where = str(self._data(output).absolute())
        return {"OutputID": _encoded(output), "Size": size, "Time": moment, "DiskPath": where}


def serve(store: Store, requests: BinaryIO, responses: BinaryIO) -> None:
    """Respond to each request, in their order, until go closes."""

    def say(number: int, response: Response) -> None:
        responses.write(json.dumps({"ID": number, **response}).encode() + b"\n")
        responses.flush()

    say(0, {"KnownCommands": ["get", "put", "close"]})
    lines = _lines(requests)
    for line in lines:
        request = json.loads(line)
        command, number = request["Command"], request["ID"]
        if command == "close":
            say(number, {})
            break
        action = _decoded(request["ActionID"])
        if command == "get":
            say(number, store.get(action))
            continue
        body = base64.b64decode(next(lines)[1:-1]) if request.get("BodySize") else b""
        try:
            say(number, store.put(action, _decoded(request["OutputID"]), body))
        except OSError as error:
            say(number, {"Err": f"the compile cache cannot be written: {error}"})
    store.trim()


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    return (stripped for line in stream if (stripped := line.strip()))


def _decoded(text: str) -> str:
    return base64.b64decode(text).hex()


def _encoded(digits: str) -> str:
    return base64.b64encode(bytes.fromhex(digits)).decode()


def main() -> None:
    """Serve the folder that go is told to keep its cache in."""
    store = Store(Path(os.environ["GOCACHE"]), bytes.fromhex(os.environ[KEY]))
    serve(store, sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
