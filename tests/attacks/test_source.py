"""Source that would be compiled, or built into an image, and is not in the commit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sealift.errors import UsageError
from sealift.model.names import Platform
from sealift.model.plan import Cell
from sealift.model.run import RunFolder
from sealift.stations.compile import compile_cell
from sealift.stations.image import image
from sealift.stations.plan import plan
from sealift.stations.policy import CONFIG
from sealift.tools import git
from tests.attacks.catalogue import Attack, each
from tests.attacks.test_release_config import (
    LIBRARY,
    MAIN,
    NEEDS,
    OURS,
    OUT,
    USES,
    Change,
    attacks,
    checkout,
    submodule,
    writes,
)
from tests.tools.checkouts import Checkout
from tests.unit.stations.things import world

__all__ = ["checkout"]

pytestmark = pytest.mark.programs


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep what was compiled once: the runtime is the same for every program here."""
    return tmp_path_factory.mktemp("compile")


def compiled(checkout: Checkout, cache: Path) -> Path:
    """Compile the commit as a release does."""
    made = plan(checkout.folder, version="1.0.0")
    run = RunFolder.open(checkout.folder, made)
    source = run.work / "source"
    git.clone(checkout.folder, made.commit, source, module=made.config.go.module)
    cell = Cell("static", Platform("linux/amd64"))
    done = compile_cell(cell, made, source=source, go=Path("go"), cache=cache, run=run)
    return run.root / done.path


VENDORED = {
    "svc/go.mod": NEEDS,
    "svc/cmd/x/main.go": USES,
    "svc/vendor/modules.txt": "# example.com/lib v1.0.0\n## explicit; go 1.24\nexample.com/lib\n",
}
INSIDE = 'package main\n\nimport "example.com/svc/lib"\n\nfunc main() { println(lib.Word) }\n'


def replaced(path: str) -> dict[str, str]:
    return {"svc/go.mod": f"{NEEDS}\nreplace example.com/lib => {path}\n", "svc/cmd/x/main.go": USES}


def workspace(*uses: str, more: str = "") -> str:
    return "\n\n".join(["go 1.24", *(f"use {use}" for use in uses), more]).strip() + "\n"


def embedding(name: str) -> str:
    return f'package main\n\nimport _ "embed"\n\n//go:embed {name}\nvar x string\n\nfunc main() {{}}\n'


MEMBER = f"{NEEDS.replace('/svc', '/other')}\nreplace example.com/lib => {OUT}\n"
ASSEMBLER = {
    "svc/cmd/x/main.go": "package main\n\nfunc value() (r int)\n\nfunc main() { println(value()) }\n",
    "svc/cmd/x/value.s": '#include "inc/value.h"\nTEXT ·value(SB), 4, $0-8\n\tMOVQ $VALUE, r+0(FP)\n\tRET\n',
}
USING = {"svc/cmd/x/main.go": USES}
NEEDING = {**USING, "svc/go.mod": NEEDS}


@each(
    *attacks(
        "compile",
        "outside of the repository",
        {
            "a module replaced by a folder outside": writes(replaced(OUT)),
            "a module replaced by an absolute path": writes(replaced("OUTSIDE/module")),
            "a module replaced through a link of the commit": writes(
                replaced("../lib"), {"lib": "OUTSIDE/module"}
            ),
            "a module replaced through a link in the module": writes(replaced("./lib"), {"svc/lib": OUT}),
            "a workspace that uses a folder outside": writes({**USING, "svc/go.work": workspace(".", OUT)}),
            "a workspace that replaces a module by a folder outside": writes(
                {**NEEDING, "go.work": workspace("./svc", more=f"replace example.com/lib => {OUT[3:]}")}
            ),
            "a workspace's member that replaces a module so": writes(
                {**NEEDING, "other/go.mod": MEMBER, "go.work": workspace("./svc", "./other")}
            ),
            "a workspace's member behind a link": writes(
                {**USING, "go.work": workspace("./svc", "./lib")}, {"lib": "OUTSIDE/module"}
            ),
        },
    ),
    *attacks(
        "compile",
        "leads out of the repository",
        {
            "go.work linked to a file outside": writes({}, {"go.work": "OUTSIDE/go.work"}),
            "go.mod linked to a file outside": writes({}, {"svc/go.mod": "OUTSIDE/service/go.mod"}),
            "the module's folder linked to one outside": writes({}, {"svc": "OUTSIDE/service"}),
            "a vendored package linked to a folder outside": writes(
                VENDORED, {"svc/vendor/example.com/lib": "OUTSIDE/package"}
            ),
            "a package linked to a folder outside": writes(
                {"svc/cmd/x/main.go": INSIDE}, {"svc/lib": "OUTSIDE/package"}
            ),
            "a Go file linked to a file outside": writes({}, {"svc/cmd/x/main.go": "OUTSIDE/main.go"}),
            "an assembler file that includes one behind a link": writes(
                ASSEMBLER, {"svc/cmd/x/inc": "OUTSIDE/include"}
            ),
            "a Go file linked through another link": writes(
                {}, {"svc/cmd/x/main.go": "../../../out/main.go", "out": "OUTSIDE"}
            ),
        },
    ),
    *attacks(
        "compile",
        "cannot embed",
        {
            "an embedded file that is a link": writes(
                {"svc/cmd/x/main.go": embedding("secret")}, {"svc/cmd/x/secret": "OUTSIDE/lock.yaml"}
            ),
            "an embedded file behind a link": writes(
                {"svc/cmd/x/main.go": embedding("out/lock.yaml")}, {"svc/cmd/x/out": "OUTSIDE"}
            ),
        },
    ),
    *attacks(
        "compile",
        "the submodule svc is not here",
        {"a submodule that .gitmodules does not name": submodule("svc")},
    ),
)
def test_compile_rejects_code_outside_of_commit(
    checkout: Checkout, cache: Path, attack: Attack[Change]
) -> None:
    attack.artefact(checkout)
    with pytest.raises(UsageError) as caught:
        compiled(checkout, cache)
    attack.assert_blocked_by(caught.value)


HONEST: dict[str, Change] = {
    "plain": writes({}),
    "a module replaced by a folder of the commit": writes(
        {**replaced("../lib"), "lib/go.mod": "module example.com/lib\n\ngo 1.24\n", "lib/lib.go": LIBRARY}
    ),
    "a package linked to a folder of the commit": writes(
        {"svc/cmd/x/main.go": INSIDE, "shared/lib.go": LIBRARY}, {"svc/lib": "../shared"}
    ),
    "a file linked to a file of the commit": writes(
        {"shared/main.go": MAIN}, {"svc/cmd/x/main.go": "../../../shared/main.go"}
    ),
    "links that go does not read": writes(
        {}, {"svc/testdata/x": "/nonexistent", "docs/man": "/usr/share/man"}
    ),
    "vendored": writes(
        {**VENDORED, "svc/vendor/example.com/lib/lib.go": LIBRARY}, {"svc/data": "/var/lib/x"}
    ),
}


@pytest.mark.parametrize("change", HONEST.values(), ids=HONEST)
def test_compile_accepts_links_and_folders_of_commit(checkout: Checkout, cache: Path, change: Change) -> None:
    change(checkout)
    assert os.access(compiled(checkout, cache), os.X_OK)


@each(
    *attacks(
        "image",
        "leads out of the repository",
        {
            "a Dockerfile linked to a file outside": writes({}, {"Dockerfile": "OUTSIDE/main.go"}),
            "a Dockerfile behind a linked folder": writes(
                {CONFIG: OURS.replace("dockerfile: Dockerfile\n", "dockerfile: out/main.go\n")},
                {"out": "OUTSIDE"},
            ),
            "a Dockerfile linked into git's own folder": writes({}, {"Dockerfile": "./.git/config"}),
        },
    )
)
def test_image_rejects_dockerfile_outside_of_commit(
    checkout: Checkout, tmp_path: Path, attack: Attack[Change]
) -> None:
    attack.artefact(checkout)
    made = plan(checkout.folder, version="1.0.0")
    source = tmp_path / "source"
    git.clone(checkout.folder, made.commit, source)
    with pytest.raises(UsageError) as caught:
        image(
            "static",
            made,
            {},
            source=source,
            base=world(tmp_path).bases["static"],
            builder="none",
            env={},
            programs={},
            run=RunFolder(tmp_path / "run"),
        )
    attack.assert_blocked_by(caught.value)
