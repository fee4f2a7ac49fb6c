"""A release that is killed, whenever and with whom, is ended by the next one as if nothing had been."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sealift.provision.everything import Provided
from tests.kills.killing import Reference, play, reference
from tests.kills.left import OwnDesk, own_desk
from tests.kills.moments import REMOVAL, AfterLines, How, Moment, World
from tests.kills.stages import Stage, When

pytestmark = pytest.mark.programs

# A few that differ in everything; nox -s kills plays many, also in windows that are often missed.
CHOSEN = (
    Moment(number=0, when=AfterLines(0, 1.0), how=How.RELEASE),
    Moment(number=1, when=When(Stage.SIGNATURES, 8), how=How.RELEASE),
    Moment(number=2, when=AfterLines(22, 0.3), how=How.SERVICE, service="fulcio"),
    Moment(number=3, when=When(Stage.SIGNATURES, 12), how=How.BOTH, service="registry", world=World.OTHER),
    Moment(number=4, when=AfterLines(18, 0.2), how=How.INTERRUPT),
    Moment(number=5, when=REMOVAL, how=How.INTERRUPT),
)


@pytest.fixture(scope="module")
def desk(provided: Provided) -> Iterator[OwnDesk]:
    assert provided.programs
    with own_desk() as desk:
        yield desk


@pytest.fixture(scope="module")
def whole(desk: OwnDesk) -> Reference:
    return reference(desk)


@pytest.mark.parametrize("moment", CHOSEN, ids=lambda m: f"{m.number} {m.name}".replace(" ", "-"))
def test_the_next_release_ends_what_a_killed_one_began(
    desk: OwnDesk, whole: Reference, moment: Moment
) -> None:
    result = play(moment, desk, whole)
    assert result.wrong == ()
    assert result.met, result.stood
