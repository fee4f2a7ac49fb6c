"""Every place that makes a path a part of a text is known: what parses the text may read something else.

A path that is a whole argument of a program is safe. Beside other words it is parsed: as a reference, an
address, a list, a line of a configuration, a shell's command. There it must be quoted, or be a link's plain
path (``sealift.places``). No program parses a message for people; but the command in it is copied.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from tests.unit.test_imports import ROOT, sources

# What may stand in a text: quoted for it, or plain.
QUOTED = frozenset({"shell_word", "csv_field", "quote", "dumps", "as_uri", "plain"})
PLAIN_FOR_A_BLOCK = frozenset({"linked", "plainly"})
# What a path has that is a path itself; ``name`` and others are a part of one.
STAYS_A_PATH = frozenset(
    {"absolute", "resolve", "expanduser", "parent", "with_name", "with_suffix", "joinpath", "home", "cwd"}
)
AS_A_TEXT = frozenset({"str", "fspath", "repr", "as_posix", "fsdecode"})
# What gives back what it is given, in another order or form.
ROWS = frozenset({"sorted", "list", "tuple", "set", "dict", "fromkeys", "reversed", "next", "iter", "filter"})
# What shows a text to people, and does nothing else with it.
SHOWS = frozenset({"say", "result", "print", "true", "equal"})

# (module, text) -> why no program reads the path wrongly there.
REGCTL = "regctl() gives regctl a link's reference"
NAME = "a name of the configuration, of a module or of a file in an image; no folder of this machine"
KNOWN: Mapping[tuple[str, str], str] = {
    ("noxfile", "f\"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}\""): (
        "venv makes no environment below a folder with a colon"
    ),
    ("sealift.commands.docker", "f'--volume={where.parent}:/config:ro'"): "one with a colon goes by --mount",
    ("sealift.commands.docker_build", "f'ocidir://{layout}@{Layout(layout).index()}'"): REGCTL,
    ("sealift.commands.docker_build", "f'ocidir://{layout}@{digest}'"): REGCTL,
    ("sealift.commands.explain", "f'{LAYOUT}{folder}:base'"): REGCTL,
    ("sealift.tools.registry", "f'{regctl.LAYOUT}{folder}:fetched'"): REGCTL,
    ("sealift.commands.explain", "f'{explained.binary}: {_described(explained)}'"): "for people",
    ("sealift.elf.startup", "f'; {skipped.path} cannot be used: it {skipped.why}'"): NAME,
    (
        "sealift.elf.startup",
        "f'the image has {there[0]}: link the program with -Wl,-rpath,{folder}; or {static}'",
    ): NAME,
    ("sealift.model.config", "f'{self.host.url}/{self.source}'"): NAME,
    ("sealift.model.yamlfile", "f'correct {path}'"): "for people",
    ("sealift.model.yamlfile", "f'{keys(one.place)}: '"): "for people; it is a place in the file",
    ("sealift.model.yamlfile", "f'{path}:{lines.line(one.place)}: {key}{one.words}'"): "for people",
    ("sealift.model.yamlfile", "f'{path}:{mark.line + 1}'"): "for people",
    ("sealift.model.yamlproblems", "f' in {keys(place)}'"): "for people; it is a place in the file",
    ("sealift.tools.buildx", "f'look at the last step above, and correct {dockerfile}'"): "for people",
    (
        "sealift.tools.buildx",
        "f'{dockerfile}, or what it copies or runs, is wrong; or a step could not fetch something'",
    ): "for people",
    (
        "sealift.network",
        "os.pathsep.join((str(Path(place).absolute()) for place in places.split(os.pathsep) if place))",
    ): "it was split at colons; venv makes no environment below a folder with one",
    (
        "sealift.provision.everything",
        "os.pathsep.join(dict.fromkeys([str(folder), *here, *debian.SYSTEM_FOLDERS]))",
    ): "own_folder() makes it below a folder with a plain name",
    ("sealift.provision.venv", "f'\"{plain}\"'"): "what is searched for, as venv writes it",
    (
        "sealift.rehearsal.apt",
        "f'Types: deb\\nURIs: {uri}\\nSuites: {suites}\\nComponents: main\\nSigned-By: {self.keyring}\\n'",
    ): "the keyring is Debian's own file in /usr/share/keyrings",
    (
        "sealift.rehearsal.apt",
        'f\'{ways_out}\\nDir "{plain}";\\nDir::State::status "{plain}/var/lib/dpkg/status";\\n\'',
    ): "it comes from plainly()",
    (
        "sealift.stations.chain",
        "f'{file.path} is not what {name} vouches for: expected {file.sha256}, got {found}'",
    ): NAME,
    ("sealift.stations.image", "f'look at {plan.variant(variant).dockerfile}'"): NAME,
    ("sealift.stations.prove", "f'{skipped.path} of {origin} cannot be used: {skipped.why}'"): NAME,
    ("sealift.stations.sbom", "f'{image.main.path} is missing'"): NAME,
    ("sealift.tools.docker_login", "f'save {path} as UTF-8 without a byte order mark'"): "for people",
    ("sealift.tools.git", "f'git {words[0]} failed in {root}: {said}'"): "for people",
    (
        "sealift.tools.gobinary",
        (
            "f'{module.path} is the folder {module.folder}: advisories are looked up for {module.version}, "
            "the version in go.mod, whatever the folder holds'"
        ),
    ): NAME,
    (
        "sealift.tools.gobinary",
        "f'{module.path} is built from the repository and has no version: no advisory is looked up for it'",
    ): NAME,
    ("sealift.tools.go", "f\"{zig_home()}{os.pathsep}{passed['PATH']}\""): (
        "venv makes no environment below a folder with a colon"
    ),
}


parsed = functools.cache(ast.parse)


@dataclass(frozen=True)
class Known:
    """What the annotations of all modules tell: names of attributes and of functions that are a path."""

    attributes: frozenset[str]
    #: Those that are a path in one class and another thing in another.
    doubtful: frozenset[str]
    functions: frozenset[str]

    @classmethod
    def of(cls, modules: Mapping[str, str]) -> Known:
        paths: set[str] = set()
        others: set[str] = set()
        functions: set[str] = set()
        for text in modules.values():
            for node in ast.walk(parsed(text)):
                match node:
                    case ast.ClassDef():
                        for entry in node.body:
                            if isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name):
                                (paths if _is_path(entry.annotation) else others).add(entry.target.id)
                            if isinstance(entry, ast.FunctionDef) and _is_property(entry):
                                (paths if _is_path(entry.returns) else others).add(entry.name)
                    case ast.FunctionDef() if _is_path(node.returns):
                        functions.add(node.name)
        return cls(frozenset(paths - others), frozenset(paths & others), frozenset(functions - QUOTED))


def _is_path(annotation: ast.expr | None) -> bool:
    return annotation is not None and any(
        {getattr(part, "id", ""), getattr(part, "attr", "")} & {"Path", "PathLike"}
        for part in ast.walk(annotation)
    )


def _is_property(function: ast.FunctionDef) -> bool:
    return any(isinstance(d, ast.Name) and "property" in d.id for d in function.decorator_list)


@dataclass
class Reader:
    """Goes through one module and knows which local names are a path."""

    known: Known
    #: What has no path of its own means the other thing by a doubtful name.
    has_paths: bool = True
    found: list[str] = field(default_factory=list)

    def read(self, node: ast.AST, names: Mapping[str, bool], *, shown: bool = False) -> None:
        """Look at a node and what is in it; ``names`` tells of each name whether it is a path."""
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                self._function(node, names, shown=shown)
            case ast.Call():
                self._call(node, names, shown=shown)
            case ast.JoinedStr():
                if not shown and len(node.values) > 1 and any(self._is_raw(v, names) for v in node.values):
                    self.found.append(ast.unparse(node))
                self._inside(node, names, shown=shown)
            case ast.BinOp(op=ast.Add() | ast.Mod()) if not shown and self._joined(node, names):
                self.found.append(ast.unparse(node))
            case _:
                self._inside(node, names, shown=shown)

    def _inside(self, node: ast.AST, names: Mapping[str, bool], *, shown: bool) -> None:
        for child in ast.iter_child_nodes(node):
            self.read(child, names, shown=shown)

    def _function(
        self,
        node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda,
        names: Mapping[str, bool],
        *,
        shown: bool,
    ) -> None:
        inner = dict(names)
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
            inner[argument.arg] = _is_path(argument.annotation)
        # A name may get its value after the place that uses it, in a loop: until nothing new is learned.
        before: dict[str, bool] | None = None
        while before != inner:
            before = dict(inner)
            for child in ast.walk(node):
                self._learn(child, inner)
        self._inside(node, inner, shown=shown)

    def _learn(self, node: ast.AST, names: dict[str, bool]) -> None:
        match node:
            case ast.Assign(targets=[target], value=value):
                self._bind(target, value, names)
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation):
                names[name] = _is_path(annotation)
            case ast.NamedExpr(target=target, value=value):
                self._bind(target, value, names)
            case ast.withitem(context_expr=ast.Call() as call, optional_vars=ast.Name(id=name)):
                names[name] = self.is_path(call, names) or _called(call) == "TemporaryDirectory"
            case ast.For(target=target, iter=iterated) | ast.comprehension(target=target, iter=iterated):
                self._bind(target, iterated, names)
            case _:
                pass

    def _bind(self, target: ast.expr, value: ast.expr, names: dict[str, bool]) -> None:
        match target, value:
            case ast.Name(id=name), _:
                names[name] = names.get(name, False) or self.is_path(value, names)
            case ast.Tuple(elts=targets), ast.Tuple(elts=values) if len(targets) == len(values):
                for one, its in zip(targets, values, strict=True):
                    self._bind(one, its, names)
            case _:
                pass

    def _call(self, node: ast.Call, names: Mapping[str, bool], *, shown: bool) -> None:
        name = _called(node)
        if name in QUOTED:
            return
        shows = name in SHOWS or name.endswith(("Error", "_error", "_failure"))
        formats = isinstance(node.func, ast.Attribute) and node.func.attr in ("format", "join", "format_map")
        if formats and not shown and isinstance(node.func, ast.Attribute):
            given = [*node.args, *(k.value for k in node.keywords)]
            if _is_text(node.func.value) and any(self._holds(g, names) for g in given):
                self.found.append(ast.unparse(node))
        self.read(node.func, names, shown=shown)
        for argument in node.args:
            self.read(argument, names, shown=shown or shows)
        for keyword in node.keywords:
            # What is to be done next is a command, to be copied.
            self.read(keyword.value, names, shown=(shown or shows) and keyword.arg != "next_step")

    def _joined(self, node: ast.BinOp, names: Mapping[str, bool]) -> bool:
        if isinstance(node.op, ast.Mod):
            return _is_text(node.left) and self._holds(node.right, names)
        sides = (node.left, node.right)
        return any(map(_is_text, sides)) and any(self._holds(side, names) for side in sides)

    def _is_raw(self, value: ast.expr, names: Mapping[str, bool]) -> bool:
        return isinstance(value, ast.FormattedValue) and self.is_path(value.value, names)

    def _holds(self, node: ast.expr, names: Mapping[str, bool]) -> bool:
        """Tell whether a value is a path, or a row of values with one."""
        match node:
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                return any(self._holds(part, names) for part in parts)
            case ast.Starred(value=value):
                return self._holds(value, names)
            case ast.GeneratorExp() | ast.ListComp():
                inner = dict(names)
                for loop in node.generators:
                    self._bind(loop.target, loop.iter, inner)
                return self.is_path(node.elt, inner)
            case _:
                return self.is_path(node, names)

    def is_path(self, node: ast.expr, names: Mapping[str, bool]) -> bool:  # noqa: C901, PLR0911 - a table
        """Tell whether a value is a path, also as a text; one that is plain or quoted is none."""
        match node:
            case ast.Name(id=name):
                return names.get(name, False)
            case ast.Call():
                return self._gives_path(node, names)
            case ast.Attribute(value=ast.Name(id="sys"), attr="executable"):
                return True
            case ast.Attribute(value=value, attr=attribute):
                if attribute in STAYS_A_PATH:
                    return self.is_path(value, names)
                doubtful = self.known.doubtful if self.has_paths else frozenset()
                return attribute in self.known.attributes | doubtful
            case ast.BinOp(op=ast.Div(), left=left):
                return self.is_path(left, names)
            case ast.IfExp(body=body, orelse=other):
                return self.is_path(body, names) or self.is_path(other, names)
            case ast.BoolOp(values=values):
                return any(self.is_path(value, names) for value in values)
            case ast.Subscript(value=value) | ast.Await(value=value):
                return self.is_path(value, names)
            case ast.NamedExpr(value=value):
                return self.is_path(value, names)
            case ast.List() | ast.Tuple() | ast.Starred() | ast.GeneratorExp() | ast.ListComp():
                return self._holds(node, names)
            case _:
                return False

    def _gives_path(self, node: ast.Call, names: Mapping[str, bool]) -> bool:
        name = _called(node)
        if name in QUOTED | PLAIN_FOR_A_BLOCK:
            return False
        if name in AS_A_TEXT or name in ROWS:
            receiver = [node.func.value] if isinstance(node.func, ast.Attribute) else []
            return any(self.is_path(given, names) for given in (*receiver, *node.args))
        if name in ("Path", "mkdtemp", "gettempdir", "which", "glob", "rglob", "iterdir", "getcwd"):
            return not _is_fixed(node)
        if isinstance(node.func, ast.Attribute) and name in STAYS_A_PATH:
            return self.is_path(node.func.value, names) or name in ("home", "cwd")
        return name in self.known.functions


def _called(node: ast.Call) -> str:
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _is_text(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=value):
            return isinstance(value, str)
        case ast.JoinedStr():
            return True
        case ast.Attribute(value=ast.Name(id="os"), attr="pathsep" | "sep"):
            return True
        case ast.BinOp(left=left, right=right):
            return _is_text(left) or _is_text(right)
        case _:
            return False


def _is_fixed(node: ast.Call) -> bool:
    """Tell whether a path is written in the source, and so holds what its author chose."""
    return bool(node.args) and all(isinstance(a, ast.Constant) for a in node.args)


def paths_in_texts(modules: Mapping[str, str], *, of: str = "") -> set[tuple[str, str]]:
    """Return each text with a raw path in it, of every module or of one."""
    known = Known.of(modules)
    found = set()
    for module in [of] if of else modules:
        reader = Reader(known, has_paths="Path" in modules[module])
        reader.read(parsed(modules[module]), {})
        found |= {(module, text) for text in reader.found}
    return found


def whole_source() -> dict[str, str]:
    return {**sources(), "noxfile": (ROOT.parent / "noxfile.py").read_text(encoding="utf-8")}


def test_every_path_in_a_text_is_quoted_or_known() -> None:
    found = paths_in_texts(whole_source())
    # As this Python writes it: another release may choose other quotes.
    known = {(module, ast.unparse(ast.parse(text, mode="eval"))) for module, text in KNOWN}
    assert found - known == set(), "quote it (sealift.places), or say in KNOWN why it is read as it is"
    assert known - found == set(), "no longer there: remove it from KNOWN"


IMPORTS = "import os, sys, shlex, tempfile\nfrom pathlib import Path\n"


@pytest.mark.parametrize(
    "body",
    [
        "def f(layout: Path):\n    run(['podman', 'pull', f'oci:{layout}'])",
        "def f(layout: Path):\n    run(['podman', 'pull', 'oci:' + str(layout)])",
        "def f(layout: Path):\n    run(['podman', 'pull', 'oci:%s' % layout])",
        "def f(layout: Path):\n    run(['podman', 'pull', 'oci:%s' % (layout,)])",
        "def f(layout: Path):\n    run(['podman', 'pull', 'oci:{}'.format(layout)])",
        "def f(layout: Path):\n    run(['podman', 'pull', ':'.join(['oci', str(layout)])])",
        "def f(out: Path):\n    where = out / 'x'\n    run([f'--output=type=oci,dest={where}'])",
        "def f(out: Path | None):\n    run([f'--output=type=oci,dest={out}'])",
        "def f():\n    out = Path.cwd().parent\n    run([f'--volume={out}:/config'])",
        "def f():\n    out = str(Path.home().resolve())\n    run([f'--volume={out}:/config'])",
        "def f():\n    out, n = Path(os.environ['X']), 1\n    run([f'--volume={out}:/config'])",
        "def f():\n    with tempfile.TemporaryDirectory() as name:\n        run([f'unix://{name}/socket'])",
        "def f():\n    if (out := cache_folder()):\n        (out / 'x.toml').write_text(f'root = {out}')",
        "def f(paths: list[Path]):\n    for path in paths:\n        run(['sh', '-c', f'rm {path}'])",
        "def f(base: Base):\n    run([f'--build-context=base=oci-layout://{base.layout}@sha256:0'])",
        "def f():\n    env = {'CC': f'{sys.executable} -m ziglang cc'}",
        "def f():\n    path = os.pathsep.join([str(p) for p in folder.iterdir()])",
        "def f(path: Path):\n    raise UsageError('it is damaged', next_step=f'rm {path}')",
        "def f(path: Path):\n    raise UsageError(f'{path} is damaged', next_step=f'rm {path}')",
        "class C:\n    folder: Path\n    def f(self):\n        return f'file://{self.folder}'",
        "class C:\n    @property\n    def place(self) -> Path: ...\n    def f(self):\n        g(f'file://{self.place}')",
        "f = lambda: run([f'file://{Path.cwd()}'])",
        "async def f(layout: Path):\n    await run(['podman', 'pull', f'oci:{layout}'])",
        "URL = f'file://{Path.cwd()}'",
    ],
)
def test_a_new_one_is_noticed(body: str) -> None:
    planted = {**whole_source(), "sealift.newcomer": IMPORTS + body}
    assert paths_in_texts(planted, of="sealift.newcomer"), body


@pytest.mark.parametrize(
    "body",
    [
        "def f(layout: Path):\n    run(['trivy', '--cache-dir', layout, str(layout), f'{layout}'])",
        "def f(layout: Path):\n    run(['govulncheck', '-db', layout.as_uri()])",
        "def f(layout: Path):\n    with linked(layout) as link:\n        run(['pull', f'oci:{link}'])",
        "def f(layout: Path):\n    near = plain(layout)\n    run([f'--root={near}/x'])",
        "def f(out: Path):\n    run(['--output=type=oci,' + csv_field(f'dest={out}')])",
        "def f(path: Path):\n    raise UsageError(f'{path} is damaged', next_step=f'rm {shell_word(path)}')",
        "def f(path: Path):\n    raise UsageError('damaged', next_step=f'rm {shlex.quote(str(path))}')",
        "def f(path: Path):\n    say(f'{path} is written')\n    part = path.with_name(f'.{path.name}.new')",
        "def f(path: str):\n    return f'/v2/{path}'",
    ],
)
def test_a_right_one_is_none(body: str) -> None:
    planted = {**whole_source(), "sealift.newcomer": IMPORTS + body}
    assert paths_in_texts(planted, of="sealift.newcomer") == set(), body
