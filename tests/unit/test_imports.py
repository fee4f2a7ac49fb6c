"""Imports go one way: every module's imports are read, also those inside functions and for types alone."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "src"

# Each row may import the rows above it. Neighbours in a row do not know each other.
ROWS = (
    ("errors", "texts"),
    ("environment",),
    ("model",),
    ("console", "places"),
    ("records",),
    ("process",),
    ("patience", "threads", "oci"),
    ("network",),
    ("tools",),
    ("elf",),
    ("provision",),
    ("services",),
    ("stations", "schedule", "rehearsal", "production", "clients"),
    ("line", "report", "compare"),
    ("resume",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
# Further apart than a row. The line does not know which world it is in; a report is made from evidence.
STRANGERS = {
    ("line", "rehearsal"),
    ("line", "production"),
    ("report", "stations"),
    ("report", "rehearsal"),
    ("report", "production"),
}
LEVEL = {name: level for level, row in enumerate(ROWS) for name in row}

Sources = Mapping[str, str]


def sources(root: Path = ROOT) -> dict[str, str]:
    """Return the text of every module, by its full name; a package is named as its folder."""
    found = {}
    for path in sorted((root / "sealift").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = path.read_text(encoding="utf-8")
    return found


def imported(module: str, text: str, modules: Sources) -> set[str]:
    """Name the modules of sealift that a module imports, wherever it does."""
    found = {name for node in ast.walk(ast.parse(text)) for name in _names(module, node, modules)}
    return {name for name in found if name.split(".")[0] == "sealift"}


def _names(module: str, node: ast.AST, modules: Sources) -> Iterator[str]:
    match node:
        case ast.Import():
            yield from (alias.name for alias in node.names)
        case ast.ImportFrom():
            origin = ".".join(filter(None, (_parent(module, node.level, modules), node.module)))
            for alias in node.names:
                # What is imported from a package may be one of its modules.
                inside = f"{origin}.{alias.name}"
                yield inside if inside in modules else origin
        case ast.Call(
            func=ast.Attribute(attr="import_module") | ast.Name(id="import_module"), args=[name, *_]
        ):
            yield from (
                part.value.rstrip(".")
                for part in ast.walk(name)
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            )


def _parent(module: str, level: int, modules: Sources) -> str:
    """Resolve the dots of a relative import."""
    if level == 0:
        return ""
    package = any(other.startswith(f"{module}.") for other in modules)
    parts = module.split(".")
    return ".".join(parts[: len(parts) - level + package])


def part(module: str) -> str:
    """Name the part of sealift that a module belongs to."""
    return module.split(".")[1] if "." in module else ""


def violations(modules: Sources, *, of: str = "") -> list[str]:
    """Say which imports go the wrong way, of every module or of one."""
    found = []
    for module in [of] if of else modules:
        for target in sorted(imported(module, modules[module], modules)):
            ours, theirs = part(module), part(target)
            if ours != theirs and not _allowed(ours, theirs):
                found.append(f"{module} imports {target}")
    return found


def _allowed(ours: str, theirs: str) -> bool:
    if theirs == "":
        return True
    if ours not in LEVEL or theirs not in LEVEL:
        return False
    return LEVEL[theirs] < LEVEL[ours] and (ours, theirs) not in STRANGERS


def cycle(modules: Sources) -> list[str]:
    """Return one circle of imports, or nothing."""
    graph = {m: imported(m, text, modules) & set(modules) - {m} for m, text in modules.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_imports_go_one_way() -> None:
    assert violations(sources()) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert cycle(sources()) == []


def test_every_part_has_its_place_and_every_place_a_part() -> None:
    assert {part(module) for module in sources()} - {""} == set(LEVEL)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("sealift.model.plan", "from sealift.tools import git"),
        ("sealift.model.plan", "from ..tools import git"),
        ("sealift.model", "from .. import process"),
        ("sealift.errors", "import sealift.console"),
        ("sealift.process", "def run():\n    from sealift.provision import go"),
        ("sealift.tools.git", "if TYPE_CHECKING:\n    from sealift.stations.plan import plan"),
        ("sealift.tools.git", "class Git:\n    def run(self):\n        import sealift.elf.facts as facts"),
        ("sealift.tools.git", "import importlib\nimportlib.import_module('sealift.provision.go')"),
        ("sealift.tools.git", "importlib.import_module(f'sealift.commands.{name}')"),
        ("sealift.provision.go", "from sealift.services.ports import free_ports"),
        ("sealift.stations.push", "from sealift.rehearsal import issuer"),
        ("sealift.rehearsal.world", "from sealift.stations.push import push"),
        ("sealift.stations.push", "from sealift import line"),
        ("sealift.schedule", "from sealift.stations.push import push"),
        ("sealift.line", "from sealift.rehearsal.world import rehearsal"),
        ("sealift.line", "from sealift import commands"),
        ("sealift.report.html", "from sealift.stations.gate import Looks"),
        ("sealift.commands.push", "from sealift.cli import app"),
        ("sealift.newcomer", "from sealift import errors"),
        ("sealift.cli", "from sealift.newcomer import x"),
    ],
)
def test_a_wrong_import_is_noticed(module: str, text: str) -> None:
    planted = sources() | {"sealift.newcomer": "", module: text}
    assert violations(planted, of=module)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("sealift.stations.push", "from sealift.model.evidence import Built\nimport json, sealift"),
        ("sealift.stations.push", "from . import gate\nfrom .gate import Looks"),
        ("sealift.model", "from . import names"),
        ("sealift.rehearsal.world", "from sealift.services.ports import free_ports"),
        ("sealift.commands.push", "from sealift.rehearsal import world\nfrom sealift.line import Line"),
        ("sealift.errors", "'''from sealift import line'''"),
    ],
)
def test_a_right_import_is_none(module: str, text: str) -> None:
    assert violations(sources() | {module: text}, of=module) == []


def test_a_circle_is_noticed() -> None:
    planted = {
        "sealift.tools": "",
        "sealift.tools.a": "def f():\n    from sealift.tools import b",
        "sealift.tools.b": "from .c import x",
        "sealift.tools.c": "import sealift.tools.a",
    }
    assert set(cycle(planted)) == {"sealift.tools.a", "sealift.tools.b", "sealift.tools.c"}
    assert violations(planted) == []
