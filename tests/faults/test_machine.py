"""What fails on our own side of the wire ends as it should; ``nox -s faults`` plays more of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.provision.everything import Provided
from tests.faults.machine import (
    NOT_CHECKED,
    Row,
    full_once_pushed,
    full_registry_at_sign,
    full_run_folder,
    other_clock,
)
from tests.faults.stand import Stand
from tests.rehearsal.playing import Desk

pytestmark = pytest.mark.programs


@pytest.fixture(scope="module")
def desk(provided: Provided, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    assert provided.programs
    return Desk.set_up(tmp_path_factory.mktemp("machine") / "desk")


def held(row: Row) -> None:
    if row.got == NOT_CHECKED:
        pytest.skip("nothing can be mounted here")
    assert row.held, str(row)


def test_a_release_onto_a_full_disk_ends_well_when_there_is_room(desk: Desk) -> None:
    held(full_run_folder(desk, "64m"))


def test_a_disk_that_is_full_once_the_images_are_pushed_costs_no_release(desk: Desk) -> None:
    held(full_once_pushed(desk))


def test_a_registry_whose_disk_is_full_in_the_midst_of_signing_has_every_signature_afterwards(
    stand: Stand, tmp_path: Path
) -> None:
    held(full_registry_at_sign(tmp_path / "registry", stand))


def test_a_clock_that_is_an_hour_ahead_releases_nothing_wrong(desk: Desk) -> None:
    held(other_clock(desk, 1))
