"""What a release removes may be gone already, or not have come into being."""

from __future__ import annotations

import pytest

from sealift.process import run
from sealift.provision.cache import cache_folder
from sealift.tools import engine as engines
from tests.docker.conftest import Docker

pytestmark = pytest.mark.programs


def test_what_is_not_there_is_removed_without_an_error(docker: Docker) -> None:
    assert docker is not None
    engine = engines.find(cache_folder() / "locks")
    assert engine.name == "docker"
    run(engine.removal("nothing-of-this-name"))
    run(engine.image_removal("localhost/nothing:1"))
