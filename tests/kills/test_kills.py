"""A release that is killed, whenever and with whom, is ended by the next one as if nothing had been."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sealift.provision.everything import Provided
from tests.kills.__main__ import reference
from tests.kills.killing import play
from tests.kills.left import OwnDesk, own_desk
from tests.kills.moments import LINES, OTHER_EVERY, How, Moment, World, moments

pytestmark = pytest.mark.programs

# A few that differ in everything; nox -s kills plays many.
CHOSEN = (
    Moment(number=0, lines=0, delay=1.0, how=How.RELEASE),
    Moment(number=1, lines=14, delay=0.5, how=How.RELEASE),
    Moment(number=2, lines=22, delay=0.3, how=How.SERVICE, service="fulcio"),
    Moment(number=3, lines=26, delay=0.1, how=How.BOTH, service="registry", world=World.OTHER),
    Moment(number=4, lines=18, delay=0.2, how=How.INTERRUPT),
)


@pytest.fixture(scope="module")
def desk(provided: Provided) -> Iterator[OwnDesk]:
    assert provided.programs
    with own_desk() as desk:
        yield desk


@pytest.fixture(scope="module")
def digests(desk: OwnDesk) -> dict[str, str]:
    return reference(desk)


@pytest.mark.parametrize("moment", CHOSEN, ids=lambda m: m.name.replace(" ", "-"))
def test_the_next_release_ends_what_a_killed_one_began(
    desk: OwnDesk, digests: dict[str, str], moment: Moment
) -> None:
    result = play(moment, desk, digests)
    assert result.wrong == ()
    assert result.met, "nothing was killed"


def test_a_seed_draws_the_same_moments_from_everywhere_and_of_every_kind() -> None:
    drawn = moments(40, 1)
    assert drawn == moments(40, 1)
    assert drawn != moments(40, 2)
    assert {m.how for m in drawn} == set(How)
    assert {m.service for m in drawn if m.service} == {*World.USUAL.services, "rekor-server"}
    assert all(m.service in ("", *m.world.services) for m in drawn)
    assert sum(m.world is World.OTHER for m in drawn) == len(drawn) / OTHER_EVERY
    assert {m.lines * 4 // (LINES + 1) for m in drawn} == {0, 1, 2, 3}
