"""What a container answers on its port, whatever it is, is an answer to the smoke gate."""

from __future__ import annotations

import time

import pytest

from sealift.services.ports import free_ports
from sealift.stations.smoke import ask
from tests.tools.scripted import Asked, Reply, Server, serving

pytestmark = pytest.mark.programs

GREETING = b"SSH-2.0-OpenSSH_9.2p1\r\n"


def port_of(server: Server) -> int:
    return int(server.host.rpartition(":")[2])


def soon() -> float:
    return time.monotonic() + 0.2


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (GREETING, "no HTTP: BadStatusLine('SSH-2.0-OpenSSH_9.2p1"),
        (b"\x1b[2J\r\n", r"no HTTP: BadStatusLine('\x1b[2J"),
        (b"x" * 70_000, "no HTTP: LineTooLong("),
        (b"", "Remote end closed connection without response"),
    ],
)
def test_what_speaks_no_http_is_told_in_words(raw: bytes, words: str) -> None:
    with serving(lambda _: Reply(raw=raw)) as server:
        said = ask(port_of(server), "/healthz", time.monotonic() + 2)
    assert isinstance(said, str)
    assert said.startswith(words)
    assert len(said) < 120
    assert len(server.asked) > 1


def test_nobody_there_is_told_in_words() -> None:
    (port,) = free_ports(1).release()
    assert "refused" in str(ask(port, "/healthz", soon()))


@pytest.mark.parametrize("status", [204, 302, 404, 503])
def test_a_status_that_is_not_200_is_the_answer(status: int) -> None:
    with serving(lambda _: Reply(status=status, headers={"Location": "/"})) as server:
        assert ask(port_of(server), "/healthz", soon()) == status


def test_one_that_starts_late_is_asked_until_it_is_there() -> None:
    late = iter([Reply(raw=GREETING), Reply(status=503), Reply()])
    with serving(lambda _: next(late)) as server:
        assert ask(port_of(server), "/readyz", time.monotonic() + 20) == 200
    assert server.words == ["GET /readyz"] * 3


def test_one_that_has_no_time_left_is_asked_once() -> None:
    with serving(lambda _: Reply(status=503)) as server:
        assert ask(port_of(server), "/metrics", time.monotonic() - 1) == 503
    assert len(server.asked) == 1


def test_a_container_is_asked_without_the_machines_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    def proxy(_: Asked) -> Reply:
        return Reply(status=502)

    with serving(proxy) as between, serving(lambda _: Reply()) as server:
        monkeypatch.setenv("http_proxy", f"http://{between.host}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert ask(port_of(server), "/healthz", soon()) == 200
    assert (between.asked, len(server.asked)) == ([], 1)
