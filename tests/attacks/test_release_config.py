"""Configuration and source that would become an option, another path, or code from outside of the commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from sealift.errors import UsageError
from sealift.stations.plan import plan
from sealift.stations.policy import CONFIG, EXCEPTIONS, LOCK
from tests.attacks.catalogue import Attack, Kind, each
from tests.conftest import ROOT
from tests.tools.checkouts import Checkout

pytestmark = pytest.mark.programs

MAIN = "package main\n\nfunc main() {}\n"
USES = 'package main\n\nimport "example.com/lib"\n\nfunc main() { println(lib.Word) }\n'
LIBRARY = 'package lib\n\nconst Word = "not in the commit"\n'
RELEASE = (ROOT / CONFIG).read_text(encoding="utf-8")
OURS = (
    RELEASE.replace("module: src/health-caretaker", "module: svc")
    .replace("package: ./cmd/health-caretaker", "package: ./cmd/x")
    .replace("platforms: [linux/amd64, linux/arm64]", "platforms: [linux/amd64]")
)
WAIVER = "- {kind: base, id: debian12, owner: maintainers, reason: it is known, until: 2026-12-01}\n"
GO_MOD = "module example.com/svc\n\ngo 1.24\n"
NEEDS = f"{GO_MOD}\nrequire example.com/lib v1.0.0\n"
BASE: dict[str, str | bytes] = {
    CONFIG: OURS,
    EXCEPTIONS: WAIVER,
    LOCK: "{}\n",
    ".gitignore": "build/\n",
    "Dockerfile": "FROM scratch\n",
    "svc/go.mod": GO_MOD,
    "svc/cmd/x/main.go": MAIN,
}
# In no commit, beside the checkout.
BESIDE = {
    "release.yaml": OURS,
    "exceptions.yaml": WAIVER,
    "lock.yaml": "{}\n",
    "go.work": "go 1.24\n\nuse ./svc\n",
    "main.go": MAIN,
    "include/value.h": "#define VALUE 1\n",
    "package/lib.go": LIBRARY,
    "module/go.mod": "module example.com/lib\n\ngo 1.24\n",
    "module/lib.go": LIBRARY,
    "service/go.mod": GO_MOD,
    "service/cmd/x/main.go": MAIN,
}
# From the module's folder in the clone, which lies below the checkout, to a folder beside the checkout.
OUT = "../" * 7 + "outside/module"

Change = Callable[[Checkout], None]
NOTHING: Mapping[str, str] = MappingProxyType({})


def writes(files: Mapping[str, str], links: Mapping[str, str] = NOTHING) -> Change:
    """Commit files and symbolic links; where they are absolute they begin with OUTSIDE."""

    def change(checkout: Checkout) -> None:
        outside = checkout.folder.with_name("outside")
        for name in links:
            if (checkout.folder / name).exists():
                checkout.git("rm", "--quiet", "-r", name)
        checkout.write({name: text.replace("OUTSIDE", str(outside)) for name, text in files.items()})
        for name, target in links.items():
            (checkout.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (checkout.folder / name).symlink_to(target.replace("OUTSIDE", str(outside)))
        checkout.commit({})

    return change


def submodule(name: str) -> Change:
    """Put a repository in the place of a file or a folder, which .gitmodules does not name."""

    def change(checkout: Checkout) -> None:
        checkout.git("rm", "--quiet", "-r", "--ignore-unmatch", name)
        checkout.git("update-index", "--add", "--cacheinfo", f"160000,{checkout.head},{name}")
        checkout.git("commit", "--quiet", "--message=submodule")

    return change


def folder(checkout: Checkout) -> None:
    """Put a folder in the place of a file."""
    (checkout.folder / EXCEPTIONS).unlink()
    checkout.commit({f"{EXCEPTIONS}/weak.yaml": WAIVER})


def attacks(stage: str, words: str, samples: Mapping[str, Change]) -> tuple[Attack[Change], ...]:
    return tuple(
        Attack(
            kind=Kind.CONFIGURATION, sample=sample, artefact=artefact, stage=stage, words=words, exit_code=2
        )
        for sample, artefact in samples.items()
    )


def written(setting: str, words: str, samples: Mapping[str, str]) -> tuple[Attack[Change], ...]:
    """Give a setting of ci/release.yaml other values, as YAML has them."""
    assert setting in OURS, setting
    key = setting.partition(":")[0]
    return attacks(
        "plan",
        words,
        {
            sample: writes({CONFIG: OURS.replace(setting, f"{key}: {value}")})
            for sample, value in samples.items()
        },
    )


def aliases() -> str:
    bomb = [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]" for n in range(1, 9)]
    return "\n".join(["x0: &x0 [a, b]", *bomb, OURS.replace("title: health-caretaker", "title: *x8")])


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A small service in a repository, and files beside it that are in no commit."""
    for name in ("GITHUB_ACTIONS", "GITHUB_REF"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOPROXY", "off")
    made = Checkout.made(tmp_path / "checkout", BASE)
    for name, text in BESIDE.items():
        (tmp_path / "outside" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "outside" / name).write_text(text)
    return made


OUTSIDE_PATH = "is not a path inside the repository"
LINKED = "is a symbolic link in the commit"
TWICE = "the key is there twice"


@each(
    *written(
        "version_variable: main.version",
        "is not a Go variable",
        {
            "a version variable with linker words": "main.version=1 -r /tmp -X main.x",
            "a version variable with a quote": "\"main.version' -extldflags=-Wl,-rpath,/tmp '\"",
            "a version variable with a line break": '"main.version\\n-r"',
        },
    ),
    *written(
        'glibc: "2.36"',
        "is not a glibc version",
        {
            "a glibc version with linker words": '"2.36 -Wl,-rpath,/tmp"',
            "a glibc version that is a path": '"2.36/../x"',
        },
    ),
    *written(
        "dockerfile: Dockerfile",
        OUTSIDE_PATH,
        {
            "a Dockerfile by an absolute path": "/etc/Dockerfile",
            "a Dockerfile above the repository": "../Dockerfile",
            "a Dockerfile in git's own folder": ".git/Dockerfile",
            "a Dockerfile that is an option": "--output=/tmp",
        },
    ),
    *written(
        "service: health-caretaker",
        "is not a service name",
        {"a service name with ..": "../../bin/sh", "a service name in a folder": "usr/bin/x"},
    ),
    *written(
        "module: svc",
        OUTSIDE_PATH,
        {"a module above the repository": "../svc", "a module by an absolute path": "/srv/svc"},
    ),
    *written(
        "package: ./cmd/x",
        "is not a Go package",
        {
            "a package that begins with -": "-toolexec=/tmp/x",
            "a package above the module": "../other/cmd/x",
            "a package that is a file elsewhere": "/srv/main.go",
            "a package of any version": "example.com/x@latest",
        },
    ),
    *written(
        "registry: ghcr.io/sealift",
        "is not a registry",
        {"a registry with a login": "me:word@evil.example/x"},
    ),
    *written(
        "source: sealift/sealift", "is not a GitHub repository", {"a source that is an option": "--exec=x/y"}
    ),
    *written(
        "title: health-caretaker",
        "is not a line of text",
        {
            "a title with a workflow command": '"x\\n::error::y"',
            "a title with codes for the terminal": '"\\e[2J"',
        },
    ),
    *written(
        "title: health-caretaker",
        "could not determine a constructor",
        {"a tag that names a Python object": "!!python/object/apply:os.system [id]"},
    ),
    *written(
        "require_fix: true",
        TWICE,
        {
            "a key twice, the weaker one last": "true\n  severities: [CRITICAL]",
            "a key twice, once in quotes": 'true\n  "not_checked": allow',
        },
    ),
    *written(
        "platforms: [linux/amd64]",
        "stands inside &a, so it would have no end",
        {"an alias of itself": "&a [*a]"},
    ),
    *written(
        "platforms: [linux/amd64]",
        "more than 32 levels",
        {"lists nested 100,000 deep": f"{'[' * 100_000}{']' * 100_000}"},
    ),
    *attacks(
        "plan",
        TWICE,
        {
            "a waiver's end date twice": writes({EXCEPTIONS: WAIVER.replace("}", ", until: 2027-03-01}")}),
            "a base's suite twice in the lock": writes({LOCK: "debian12: {}\ndebian12: {}\n"}),
        },
    ),
    *attacks("plan", "found another document", {"two documents": writes({CONFIG: f"{OURS}---\n{OURS}"})}),
    *attacks(
        "plan",
        "with every alias written out",
        {"aliases of aliases that fill the memory": writes({CONFIG: aliases()})},
    ),
    *attacks(
        "plan",
        LINKED,
        {
            "release.yaml linked to a file outside": writes({}, {CONFIG: "OUTSIDE/release.yaml"}),
            "release.yaml linked to a file of the commit": writes({"weak": OURS}, {CONFIG: "../weak"}),
            "exceptions.yaml linked to a file outside": writes({}, {EXCEPTIONS: "OUTSIDE/exceptions.yaml"}),
            "exceptions.yaml linked to a file of the commit": writes(
                {"weak": WAIVER}, {EXCEPTIONS: "../weak"}
            ),
            "bases.lock.yaml linked to a file outside": writes({}, {LOCK: "OUTSIDE/lock.yaml"}),
        },
    ),
    *attacks(
        "plan",
        "cannot be read from the commit",
        {"the folder ci linked to a folder outside": writes({}, {"ci": "OUTSIDE"})},
    ),
    *attacks(
        "plan", "is a submodule in the commit", {"exceptions.yaml as a submodule": submodule(EXCEPTIONS)}
    ),
    *attacks("plan", "is a folder in the commit", {"exceptions.yaml as a folder": folder}),
)
def test_plan_rejects_configuration(checkout: Checkout, attack: Attack[Change]) -> None:
    attack.artefact(checkout)
    with pytest.raises(UsageError) as caught:
        plan(checkout.folder, version="1.0.0")
    attack.assert_blocked_by(caught.value)


def uncommitted(name: str, target: str) -> Change:
    """Put a link to a file outside into the working tree."""

    def change(checkout: Checkout) -> None:
        path = checkout.folder / name
        path.rename(checkout.folder.with_name("aside"))
        path.symlink_to(checkout.folder.with_name("outside") / target)

    return change


@each(
    *attacks(
        "plan",
        "is a symbolic link in the working tree",
        {
            "release.yaml linked outside, with --dirty": uncommitted(CONFIG, "release.yaml"),
            "exceptions.yaml linked outside, with --dirty": uncommitted(EXCEPTIONS, "exceptions.yaml"),
            "the folder ci linked outside, with --dirty": uncommitted("ci", "."),
        },
    )
)
def test_plan_rejects_links_of_working_tree(checkout: Checkout, attack: Attack[Change]) -> None:
    attack.artefact(checkout)
    with pytest.raises(UsageError) as caught:
        plan(checkout.folder, version="1.0.0", dirty=True)
    attack.assert_blocked_by(caught.value)


def test_plan_ignores_changes_that_git_is_told_not_to_see(checkout: Checkout) -> None:
    for name in (CONFIG, EXCEPTIONS):
        checkout.git("update-index", "--assume-unchanged", name)
    checkout.write({EXCEPTIONS: WAIVER.replace("it is known", "it was never committed")})
    checkout.write({CONFIG: OURS.replace("not_checked: refuse", "not_checked: allow")})
    made = plan(checkout.folder, version="1.0.0")
    assert [waiver.reason for waiver in made.waivers] == ["it is known"]
    assert made.config.gates.not_checked == "refuse"
    assert made.left_out == (EXCEPTIONS, CONFIG)
