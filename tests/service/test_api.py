"""The description of the API against the running service, by programs that believe only what they read.

That a hundred WebSocket clients get a change, that one that does not read slows nobody, and that a
reload under load loses no check, is tested beside the service, with real connections.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sealift.process import run
from tests.service.running import JSON, Caretaker

pytestmark = pytest.mark.programs

PHASES = ("examples", "coverage", "fuzzing", "stateful")
# The network is loopback and the phases take seconds; this bounds a machine that is busy otherwise.
SECONDS = 300


def check(caretaker: Caretaker, description: JSON, folder: Path, *more: str) -> JSON:
    """Let schemathesis hold the service to a description; return its report."""
    file, report = folder / "openapi.json", folder / "report.json"
    file.write_text(json.dumps(description), encoding="utf-8")
    run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", file, f"--url={caretaker.url}"),
            *(f"--phases={','.join(PHASES)}", "--checks=all", "--max-examples=25", "--seed=1"),
            *("--generation-database=none", f"--report-json-path={report}", "--no-color", *more),
        ],
        cwd=folder,
        check=False,
        timeout=SECONDS,
    )
    said: JSON = json.loads(report.read_text(encoding="utf-8"))
    return said


@pytest.fixture
def description(caretaker: Caretaker) -> JSON:
    return caretaker.ask("api/v1/openapi.json")


def test_the_service_does_what_its_description_says(
    caretaker: Caretaker, description: JSON, tmp_path: Path
) -> None:
    report = check(caretaker, description, tmp_path)
    assert report["failures"] == report["errors"] == []
    assert report["exit_code"] == 0
    assert {name: phase["status"] for name, phase in report["phases"].items()} == dict.fromkeys(
        PHASES, "success"
    )
    methods = {"get", "post", "put", "patch", "delete"}
    described = sum(len(methods & set(path)) for path in description["paths"].values())
    assert report["operations"]["tested"] == described
    assert caretaker.ask("healthz") == {"status": "alive"}
    assert caretaker.end() == 0


def _lacks_a_field(description: JSON) -> None:
    status = description["components"]["schemas"]["Status"]
    del status["properties"]["commit"]
    status["required"].remove("commit")


def _lacks_an_answer(description: JSON) -> None:
    del description["paths"]["/api/v1/endpoints/{name}"]["get"]["responses"]["404"]


def _names_another_form(description: JSON) -> None:
    (answer,) = description["paths"]["/healthz"]["get"]["responses"].values()
    answer["content"] = {"text/plain": {"schema": {"type": "string"}}}


@pytest.mark.parametrize(
    ("spoil", "path"),
    [
        (_lacks_a_field, "/api/v1/status"),
        (_lacks_an_answer, "/api/v1/endpoints/{name}"),
        (_names_another_form, "/healthz"),
    ],
)
def test_a_description_that_says_something_else_is_noticed(
    caretaker: Caretaker, description: JSON, tmp_path: Path, spoil: Callable[[JSON], None], path: str
) -> None:
    spoil(description)
    report = check(caretaker, description, tmp_path, f"--include-path={path}", "--no-shrink")
    assert report["exit_code"] == 1
    assert path in json.dumps(report["failures"])
