"""A world keeps its ports over many runs, and no other world of the machine gets them meanwhile."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sealift.services import ports
from sealift.services.ports import free_ports, lasting_ports, port_is_taken
from sealift.services.service import privileged

# What an engine that was killed may leave: here in a network that ends with the shell.
LED_ELSEWHERE = """
export PATH="$PATH:/usr/sbin:/sbin"
ip link set lo up &&
iptables -t nat -A OUTPUT -p tcp -d 127.0.0.1 --dport "$1" -j DNAT --to-destination "$2" &&
exec "$3" -c "$4" "$1"
"""
LOOK = """
import sys
from sealift.services import ports
port = int(sys.argv[1])
ports._LOWEST, ports._first_ephemeral = port, lambda: port + 2
print(ports.port_is_taken(port), ports.port_is_taken(port + 1), ports.free_ports(1).numbers == (port + 1,))
"""


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a range so small that two worlds would soon choose the same port."""
    lowest = ports._first_ephemeral() - 40
    monkeypatch.setattr(ports, "_LOWEST", lowest)


def test_a_world_finds_its_ports_again(tmp_path: Path) -> None:
    file = tmp_path / "world" / "ports.json"
    file.parent.mkdir()
    first = lasting_ports(file, ["registry", "github"], claims=tmp_path / "claims")
    more = lasting_ports(file, ["github", "registry", "fulcio"], claims=tmp_path / "claims")
    assert {name: more[name] for name in first} == first
    assert len(set(more.values())) == 3


def test_no_two_worlds_choose_the_same_port_while_both_are_down(tmp_path: Path) -> None:
    chosen: list[int] = []
    for number in range(8):
        file = tmp_path / f"world-{number}" / "ports.json"
        file.parent.mkdir()
        chosen += lasting_ports(file, ["a", "b", "c"], claims=tmp_path / "claims").values()
    assert len(set(chosen)) == 24


def test_the_ports_of_a_world_that_is_gone_are_free_again(tmp_path: Path) -> None:
    for number in range(12):
        file = tmp_path / f"world-{number}" / "ports.json"
        file.parent.mkdir()
        lasting_ports(file, ["a", "b", "c", "d", "e"], claims=tmp_path / "claims")
        shutil.rmtree(file.parent)
    assert len(list((tmp_path / "claims").glob("*.json"))) == 1


@pytest.mark.parametrize("to", ["127.0.0.1:9", "10.88.0.9:8080"])
def test_a_port_that_leads_elsewhere_is_taken_though_it_can_be_bound(to: str) -> None:
    inside = ("sh", "-c", LED_ELSEWHERE, "sh", "20007", to, sys.executable, LOOK)
    said = subprocess.run(privileged(["unshare", "--net", *inside]), check=True, capture_output=True)
    assert said.stdout.decode() == "True False True\n"


def test_a_port_can_be_had_again_at_once() -> None:
    for _ in range(20):
        with free_ports(1) as held:
            (port,) = held.numbers
            assert port_is_taken(port)
        assert not port_is_taken(port)
        with socket.socket() as plain:
            plain.bind((ports.LOOPBACK, port))


def test_what_was_let_go_last_is_chosen_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was given it may still be on the way to bind it."""
    lowest = ports._first_ephemeral() - 4
    monkeypatch.setattr(ports, "_LOWEST", lowest)
    given = free_ports(2).release()
    # As chance may have it, what was given comes first.
    monkeypatch.setattr(random, "shuffle", lambda ports: ports.sort(key=lambda port: port not in given))
    assert set(given).isdisjoint(free_ports(2).release())
