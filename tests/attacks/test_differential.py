"""Mutants that the image stage accepts are read alike by podman, crane and regctl.

A few hundred here; ``nox -s differential`` compares thousands.
"""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sealift.provision.everything import Provided
from sealift.rehearsal.oci_writer import LayerTar
from tests.attacks.differential import compare, read_by_others
from tests.attacks.mutating import mutant
from tests.attacks.mutations import HARMLESS
from tests.unit.stations.imaged import Image, entry, extended, go_tar, right_image, text

pytestmark = pytest.mark.programs

SEED, COUNT = 20261130, 200


@pytest.fixture
def folder(provided: Provided) -> Iterator[Path]:
    """Give a folder with a short path, as podman needs one."""
    assert {"olareg", "crane", "regctl"} <= provided.programs.keys()
    with tempfile.TemporaryDirectory(prefix="readers-") as short:
        yield Path(short)


def test_readers_agree_on_accepted_mutants(folder: Path) -> None:
    outcome = compare(COUNT, SEED, folder)
    assert outcome.differences == []
    # Else nothing was compared: half of the mutants differ in what must not matter, and each change is there.
    assert outcome.accepted["all"] > COUNT // 2
    assert {name for name in HARMLESS if not outcome.accepted[name]} == set()
    assert outcome.rejected["all"] > COUNT // 10


def test_same_seed_makes_same_mutant() -> None:
    one, two = mutant(1, 7), mutant(1, 7)
    assert (one.names, one.image.layers, one.configuration) == (
        two.names,
        two.image.layers,
        two.configuration,
    )


# CAP_NET_BIND_SERVICE, permitted and effective, in the second version of the kernel's form.
CAPABILITY = "\x01\0\0\x02\0\x04".ljust(20, "\0")
EVIL = b"\x7fELF another program"
DIFFERENT: dict[str, tuple[Callable[[Image], Image], str]] = {
    "user in another case": (
        lambda i: replace(i, configuration=text(b'"65532:65532"', b'"65532:65532","user":"0:0"')),
        "podman reads config.User: expected '65532:65532', got '0:0'",
    ),
    "a capability": (
        lambda i: i.topped(extended({"SCHILY.xattr.security.capability": CAPABILITY})),
        "podman unpacks /health-caretaker: expected no extended attributes",
    ),
    "a setuid program in the folder of aufs": (
        lambda i: i.topped(go_tar((entry(), b"\x7fELF the proven program"), (su(), EVIL))),
        "podman unpacks /.wh..wh.x",
    ),
    "another program": (
        lambda i: i.topped(go_tar((entry(size=len(EVIL)), EVIL))),
        "regctl finds another program",
    ),
    "an extra layer": (
        lambda i: replace(i, layers=(*i.layers, LayerTar().file("extra", b"").pack())),
        "crane exports /extra",
    ),
}


def su() -> tarfile.TarInfo:
    return entry(".wh..wh.x/su", len(EVIL), mode=0o4755)


@pytest.mark.parametrize("name", DIFFERENT)
def test_comparison_notices_what_image_stage_would_reject(folder: Path, name: str) -> None:
    """The image stage is not asked here: the readers alone must show the difference."""
    change, words = DIFFERENT[name]
    found = read_by_others(change(right_image()), right_image(), folder)
    assert any(words in difference for difference in found), found


def test_comparison_finds_nothing_in_right_image(folder: Path) -> None:
    assert read_by_others(right_image(), right_image(), folder) == []
