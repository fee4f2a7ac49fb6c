"""Starts the stand-in: one process, 127.0.0.1, one port that was asked for."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from urllib.parse import parse_qsl, unquote, urlsplit

from filelock import FileLock, Timeout

from sealift.console import say
from sealift.errors import OutsideError, SealiftError, UsageError
from sealift.rehearsal.github.answers import Answer, ProblemError, Request
from sealift.rehearsal.github.api import Api
from sealift.rehearsal.github.store import Store

HOST = "127.0.0.1"


class Server(ThreadingHTTPServer):
    """Answers each connection in a thread that does not outlive the process."""

    daemon_threads = True
    block_on_close = False
    api: Api


class Handler(BaseHTTPRequestHandler):
    """Turns HTTP into requests and answers into HTTP."""

    protocol_version = "HTTP/1.1"
    server_version = "sealift-github"
    # Head and body in one packet: in two, the second waits 40 ms for a delayed acknowledgement.
    wbufsize = -1
    server: Server

    def _serve(self) -> None:
        try:
            length = int(self.headers.get("Content-Length", "0"))
        except ValueError:
            length = -1
        if length < 0 or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self._send(ProblemError(411, "a Content-Length is needed").answer())
            return
        body = self.rfile.read(length)
        address = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=unquote(address.path),
            query=dict(parse_qsl(address.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
            complete=len(body) == length,
        )
        answer = self.server.api.answer(request)
        if request.complete:
            self._send(answer)

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _serve  # noqa: N815 - http.server's own names

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", answer.content_type)
        if answer.status != 204:  # noqa: PLR2004 - 204 has no body and no length (RFC 9110, 8.6)
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002 - inherited
        """Say which route was asked; queries and headers may hold a secret."""
        say(f"{self.command} {urlsplit(self.path).path} {int(code)}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited
        """Say what went wrong with a connection."""
        say(format % args)


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sealift.rehearsal.github", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="the folder that keeps releases and tags")
    parser.add_argument("--port", type=int, required=True, help="the port on 127.0.0.1")
    parser.add_argument("--origin", help="the address in answers, where another port leads here")
    parser.add_argument("--repository", required=True, metavar="OWNER/NAME")
    parser.add_argument("--token-file", type=Path, required=True, help="the file that holds the token")
    parser.add_argument("--tag", action="append", default=[], metavar="NAME=COMMIT", help="a tag in git")
    parser.add_argument("--mutable", action="store_true", help="a repository without immutable releases")
    return parser.parse_args(argv)


def _token(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UsageError(f"the token file {path} cannot be read: {error.strerror}") from error
    if not token:
        raise UsageError(f"the token file {path} is empty", means="anybody could write to the stand-in")
    return token


def _seed(store: Store, tags: list[str]) -> None:
    for text in tags:
        name, _, commit = text.rpartition("=")
        if not name or not re.fullmatch(r"[0-9a-f]{40}", commit):
            raise UsageError(
                f"{text!r} is not a tag and a commit", next_step="write --tag v1.2.3=<40 digits>"
            )
        store.add_tag(name, commit)


def serve(argv: list[str]) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    asked = _arguments(argv)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", asked.repository):
        raise UsageError(f"{asked.repository!r} is not a repository", next_step="write it as owner/name")
    token = _token(asked.token_file)
    asked.dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(asked.dir / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise OutsideError(
            f"another stand-in is serving {asked.dir}", next_step="sealift rehearse stop"
        ) from error
    with lock:
        store = Store(asked.dir)
        _seed(store, asked.tag)
        try:
            server = Server((HOST, asked.port), Handler)
        except OSError as error:
            raise OutsideError(
                f"port {asked.port} on {HOST} cannot be used: {error.strerror}",
                next_step=f"end what listens there (ss -ltnp 'sport = :{asked.port}') or choose another port",
            ) from error
        origin = asked.origin or f"http://{HOST}:{server.server_port}"
        server.api = Api(
            store, origin=origin, repository=asked.repository, token=token, immutable=not asked.mutable
        )
        say(f"GitHub's stand-in answers at {origin}")
        server.serve_forever()


def _end(_number: int, _frame: FrameType | None) -> None:
    # Every file is published by rename: nothing has to be finished, and no thread is waited for.
    os._exit(0)


def main() -> int:
    """Start, and turn errors into an exit code."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    try:
        serve(sys.argv[1:])
    except SealiftError as error:
        say(str(error))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
