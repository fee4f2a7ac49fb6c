"""Image: what must pass, and damage of any kind. tests/attacks has what must not pass."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sealift.errors import SealiftError
from sealift.model.run import RunFolder
from sealift.stations.expected import moment
from sealift.stations.image import image
from sealift.tools import buildx
from tests.unit.stations.imaged import (
    GNU,
    PROGRAM,
    Image,
    base_image,
    base_tree,
    changed,
    entry,
    extended,
    go_tar,
    look,
    packed,
    planned,
    right_image,
)
from tests.unit.stations.things import AMD64, world

JSON = dict[str, Any]
RIGHT = go_tar((entry(), PROGRAM))


def test_image_accepts_planned_image(tmp_path: Path) -> None:
    built = look(tmp_path, right_image())
    assert {gate.verdict for gate in built.gates} == {"pass"}


def test_image_is_an_index_also_of_one_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class AskedError(Exception):
        pass

    def build(request: buildx.BuildRequest, **_: object) -> None:
        assert request.platforms == (AMD64,)
        assert request.arguments["BUILDKIT_MULTI_PLATFORM"] == "1"
        raise AskedError

    monkeypatch.setattr(buildx, "build", build)
    config = msgspec.structs.replace(planned().config, platforms=(AMD64,))
    one = msgspec.structs.replace(planned(), config=config)
    with pytest.raises(AskedError):
        image(
            *("static", one, {}),
            source=tmp_path,
            base=world(tmp_path).bases["static"],
            builder="",
            env={},
            programs={},
            run=RunFolder(tmp_path),
        )


def test_image_accepts_layer_without_annotation(tmp_path: Path) -> None:
    assert look(tmp_path, replace(right_image(), mark={})).platforms


def test_image_accepts_base_with_long_names_and_fractional_times(tmp_path: Path) -> None:
    """Of GNU's tar, and of bsdtar, with which Bazel packs."""
    long = "usr/share/" + "a" * 120
    gnu = go_tar((entry(long, 1), b"x"), form=GNU)
    pax = extended({"mtime": "1.5", "LIBARCHIVE.creationtime": "1.5"}, f"{long}b", b"x")
    below = replace(
        base_image(), layers=(base_tree().pack(), packed(gnu), packed(pax)), steps=base_image().steps * 3
    )
    assert look(tmp_path, right_image(below), below).platforms


def test_image_accepts_base_with_empty_members(tmp_path: Path) -> None:
    """As Docker's own builder did: every member, most of them empty."""
    below = base_image().saying(Cmd=None, Entrypoint=[], Labels={}, Tty=False, Hostname="", Image="")
    assert look(tmp_path, right_image(below), below).platforms


@given(data=st.data())
@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_image_rejects_any_damaged_layer(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    tar = bytearray(RIGHT)
    for _ in range(data.draw(st.integers(1, 3))):
        tar[data.draw(st.integers(0, len(tar) - 1))] = data.draw(st.integers(0, 255))
    code = outcome(tmp_path_factory.mktemp("damaged"), right_image().topped(bytes(tar)))
    assert code == 3 or (code == 0 and bytes(tar) == RIGHT)


@given(data=st.data())
@hypothesis_settings(max_examples=80, deadline=None)
def test_image_rejects_damaged_document_or_reads_the_same(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    part = data.draw(st.sampled_from(["top", "index", "manifest", "configuration"]))

    def change(found: Any) -> bytes:
        raw = bytearray(msgspec.json.encode(found))
        for _ in range(data.draw(st.integers(1, 3))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        written.append((msgspec.json.encode(found), bytes(raw)))
        return bytes(raw)

    written: list[tuple[bytes, bytes]] = []
    code = outcome(tmp_path_factory.mktemp("damaged"), changed(part, change))
    ((before, after),) = written
    # index.json says nothing of what ships but its digest; with another one in it, it is no layout.
    assert code in ((0, 2, 3) if part == "top" else (0, 3))
    assert code or part == "top" or said(after) == said(before)


def outcome(folder: Path, image: Image) -> int:
    """Return the exit code; anything but our own errors goes on."""
    try:
        look(folder, image)
    except SealiftError as err:
        return err.exit_code
    return 0


def said(raw: bytes) -> JSON:
    """Read a document without what a Dockerfile may word as it likes."""
    found: JSON = msgspec.json.decode(raw)
    for step in found.get("history", ()):
        if step["created_by"].startswith(("ARG", "COPY")):
            step["created_by"] = ""
    return found


@pytest.mark.parametrize(
    ("written", "rewritten"),
    [
        ("2020-01-01T00:00:00.000000000Z", "2020-01-01T00:00:00Z"),
        ("2020-01-01T00:00:00.120Z", "2020-01-01T00:00:00.12Z"),
        ("2020-01-01T00:00:10+00:00", "2020-01-01T00:00:10Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ],
)
def test_image_accepts_base_times_in_other_notation(tmp_path: Path, written: str, rewritten: str) -> None:
    step = {"created_by": "bazel build ...", "author": "Bazel"}
    below = replace(base_image(), steps=(step | {"created": written},))
    image = replace(right_image(), steps=(step | {"created": rewritten}, *right_image().steps[1:]))
    assert look(tmp_path, image, below).platforms


def test_image_accepts_base_without_history(tmp_path: Path) -> None:
    """BuildKit then fills it up, at the end."""
    filled = {"created": moment(planned().time), "created_by": "x", "comment": "buildkit.exporter.image.v0"}
    image = replace(right_image(), steps=(*right_image().steps[1:], filled))
    assert look(tmp_path, image, replace(base_image(), steps=())).platforms
