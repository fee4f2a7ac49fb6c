"""One release for each kind of world, kept up for the tests that look at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sealift.provision.everything import Provided
from tests.rehearsal.playing import Desk, Played

# The public profile on a registry with the Referrers API; on one without, as GHCR is; the second profile.
WORLDS = {
    "public": (),
    "ghcr": ("--no-referrers-api",),
    "v2": ("--signing-profile=v2",),
}
# Some are played where nothing gets out: each of them must find what is on this machine nevertheless.
CLOSED = "http://127.0.0.1:9"
PROXIES = {
    "ghcr": dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), CLOSED) | {"NO_PROXY": "", "no_proxy": ""},
    "v2": dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), CLOSED)
    | {"NO_PROXY": "", "no_proxy": ""},
}


@pytest.fixture(scope="session")
def everyone(provided: Provided, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Played]]:
    """Every kind of world, all of them up at the same time."""
    assert provided.programs
    played: dict[str, Played] = {}
    try:
        for name, options in WORLDS.items():
            desk = Desk.set_up(tmp_path_factory.mktemp(name) / "clone")
            said = desk.sealift("release", "--keep", *options, env=PROXIES.get(name))
            played[name] = Played(desk, said)
            assert said.status == 0, said.stderr
        yield played
    finally:
        for one in played.values():
            one.desk.sealift("rehearse", "stop")


@pytest.fixture(scope="session", params=WORLDS)
def played(request: pytest.FixtureRequest, everyone: dict[str, Played]) -> Played:
    """Each of them."""
    return everyone[request.param]


@pytest.fixture(scope="session")
def public(everyone: dict[str, Played]) -> Played:
    """The usual one."""
    return everyone["public"]
