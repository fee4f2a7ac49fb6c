"""What go build says of code that cannot be built and of modules that do not come, and what it asks."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from sealift.errors import OutsideError, RefusedError, UsageError
from sealift.model.config import Linkage
from sealift.model.names import Platform
from sealift.process import run
from sealift.tools import git, go
from sealift.tools.gobinary import read_build_info
from tests.tools.scripted import Asked, Reply, Server, serving

pytestmark = pytest.mark.programs

GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
MAIN = "package main\n\nfunc main() {}\n"
SERVICE = {"svc/go.mod": "module example.com/svc\n\ngo 1.24\n", "svc/cmd/x/main.go": MAIN}
LIBRARY = {"go.mod": "module example.com/lib\n\ngo 1.24\n", "lib.go": 'package lib\n\nconst Word = "hello"\n'}
USES = 'package main\n\nimport "example.com/lib"\n\nfunc main() { println(lib.Word) }\n'
NEEDS = "module example.com/svc\n\ngo 1.24\n\nrequire example.com/lib v1.0.0\n"
SUMS = "example.com/lib v1.0.0 h1:{0}\nexample.com/lib v1.0.0/go.mod h1:{0}\n".format("A" * 43 + "=")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep what was compiled once: the runtime is the same for every program here."""
    return tmp_path_factory.mktemp("compile")


@pytest.fixture
def request_(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[go.GoBuildRequest]:
    """Ask for the program of a small module, with no proxy; modules come into a cache of its own."""
    monkeypatch.setenv("GOPROXY", "off")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "go-build").symlink_to(cache)
    yield go.GoBuildRequest(
        module=tmp_path / "repo" / "svc",
        package="./cmd/x",
        variable="main.version",
        version="1.2.3",
        platform=Platform("linux/amd64"),
        linkage="static",
        glibc=None,
        output=tmp_path / "out",
        cache=tmp_path / "cache",
    )
    # Go makes what it has unpacked read-only.
    run(["go", "clean", "-modcache"], env=os.environ | {"GOMODCACHE": str(tmp_path / "cache" / "go-mod")})


def commit(repository: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(text)
    for words in (("init", "-q"), ("add", "-A", "-f"), ("commit", "-q", "-m", "start")):
        run([*GIT, *words], cwd=repository)


def build(request_: go.GoBuildRequest, files: Mapping[str, str]) -> None:
    repository = request_.output.with_name("repo")
    commit(repository, files)
    go.build(Path("go"), request_)


def below(folder: str, files: Mapping[str, str]) -> dict[str, str]:
    return {f"{folder}/{name}": text for name, text in files.items()}


CYCLE = {
    "svc/a/a.go": 'package a\n\nimport _ "example.com/svc/b"\n',
    "svc/b/b.go": 'package b\n\nimport _ "example.com/svc/a"\n',
    "svc/cmd/x/main.go": 'package main\n\nimport _ "example.com/svc/a"\n\nfunc main() {}\n',
}
# Words that this project reads in what go prints, quoted by the compiler from the user's code.
TRAP = (
    '"reading https://example.com/x: 503 Service Unavailable SECURITY ERROR requires go >= 9 (running go 1)"'
)
WRONG: dict[str, tuple[Mapping[str, str], tuple[str, ...]]] = {
    "a syntax error": (
        {"svc/cmd/x/main.go": "package main\n\nfunc main() {\n"},
        ("svc/cmd/x/main.go:4:1: syntax error",),
    ),
    "a type error": (
        {"svc/cmd/x/main.go": "package main\n\nfunc main() { nothing() }\n"},
        ("svc/cmd/x/main.go:3:15: undefined: nothing",),
    ),
    "words like ours in the code": (
        {"svc/cmd/x/main.go": f"package main\n\nvar x int = {TRAP}\n\nfunc main() {{}}\n"},
        ("svc/cmd/x/main.go:3:13: cannot use ",),
    ),
    "a circle of imports": (CYCLE, ("import cycle not allowed",)),
    "a package that is not in Go": (
        {"svc/cmd/x/main.go": 'package main\n\nimport _ "net/htttp"\n\nfunc main() {}\n'},
        ("svc/cmd/x/main.go:3:8: package net/htttp is not in std",),
    ),
    "a module that go.mod does not name": (
        {"svc/cmd/x/main.go": USES},
        ("svc/cmd/x/main.go:3:8: no required module provides package example.com/lib",),
    ),
    "a sum that go.sum does not have": (
        {"svc/go.mod": NEEDS, "svc/cmd/x/main.go": USES},
        ("missing go.sum entry", "run go mod tidy in svc"),
    ),
    "files that are all left out": (
        {"svc/cmd/x/main.go": f"//go:build windows\n\n{MAIN}"},
        ("build constraints exclude all Go files",),
    ),
    "a package that is a library": ({"svc/cmd/x/main.go": "package lib\n"}, ("./cmd/x in svc is a library",)),
    "a package of another module": (
        {"svc/cmd/x/go.mod": "module example.com/other\n\ngo 1.24\n"},
        ("does not contain package example.com/svc/cmd/x",),
    ),
    "a newer Go": (
        {"svc/go.mod": "module example.com/svc\n\ngo 1.99\n"},
        ("the Go module svc needs Go 1.99", "install Go 1.99 or newer"),
    ),
    "a broken go.mod": (
        {"svc/go.mod": "module example.com/svc\n\ngo 1.24\n\nnonsense\n"},
        ("svc/go.mod:5: ",),
    ),
    "vendor/ that go.mod does not fit": (
        {
            "svc/go.mod": NEEDS,
            "svc/cmd/x/main.go": USES,
            "svc/vendor/modules.txt": "# example.com/no v1.0.0\n",
        },
        ("inconsistent vendoring", "run go mod vendor"),
    ),
    "a module that no proxy may be asked for": (
        {"svc/go.mod": NEEDS, "svc/go.sum": SUMS, "svc/cmd/x/main.go": USES},
        ("module lookup disabled by GOPROXY=off", "go env GOPROXY"),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_code_that_cannot_be_built_is_the_users(request_: go.GoBuildRequest, name: str) -> None:
    files, words = WRONG[name]
    with pytest.raises(UsageError) as caught:
        build(request_, {**SERVICE, **files})
    assert caught.value.exit_code == 2
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("module", "words"),
    [("svc", "svc has no go.mod"), ("none", "none is no folder"), (".", r"\. has no go.mod")],
)
def test_a_go_mod_above_the_clone_is_not_used(request_: go.GoBuildRequest, module: str, words: str) -> None:
    """The clone lies in the checkout, whose own go.mod need not be committed."""
    (request_.output.with_name("go.mod")).write_text("module example.com/outside\n\ngo 1.24\n")
    asked = replace(request_, module=request_.output.with_name("repo") / module)
    with pytest.raises(UsageError, match=words):
        build(asked, {"svc/cmd/x/main.go": MAIN})


def test_a_submodule_that_the_code_misses_is_named(request_: go.GoBuildRequest, tmp_path: Path) -> None:
    needs = {"svc/go.mod": f"{NEEDS}\nreplace example.com/lib => ../lib\n", "svc/cmd/x/main.go": USES}
    outer, clone = tmp_path / "outer", request_.output.with_name("repo")
    commit(outer / "lib", LIBRARY)
    described = '[submodule "lib"]\n\tpath = lib\n\turl = ../lib\n'
    commit(outer, {**SERVICE, **needs, ".gitmodules": described})
    git.clone(outer, git.head(outer), clone, module="svc")
    go.build(Path("go"), request_)
    (outer / "lib" / ".git").rename(tmp_path / "away")
    shutil.rmtree(clone)
    git.clone(outer, git.head(outer), clone, module="svc")
    with pytest.raises(UsageError, match="submodules: lib") as caught:
        go.build(Path("go"), request_)
    assert "git submodule update --init --recursive lib" in caught.value.next_step


def test_c_code_that_does_not_compile_is_the_users(request_: go.GoBuildRequest) -> None:
    code = 'package main\n\n/*\n#error "not like this"\n*/\nimport "C"\n\nfunc main() {}\n'
    with pytest.raises(UsageError, match="not like this") as caught:
        build(replace(request_, linkage="dynamic", glibc="2.36"), {**SERVICE, "svc/cmd/x/main.go": code})
    assert "svc/cmd/x/main.go:4" in str(caught.value)


def test_a_committed_vendor_folder_is_what_is_built_without_any_network(request_: go.GoBuildRequest) -> None:
    vendored = {
        "svc/vendor/modules.txt": "# example.com/lib v1.0.0\n## explicit; go 1.24\nexample.com/lib\n",
        "svc/vendor/example.com/lib/lib.go": 'package lib\n\nconst Word = "patched in vendor"\n',
    }
    build(request_, {**SERVICE, "svc/go.mod": NEEDS, "svc/cmd/x/main.go": USES, **vendored})
    assert run([request_.output]).stderr == "patched in vendor\n"
    info = read_build_info(request_.output)
    assert [str(m.name) for m in info.modules] == ["example.com/lib@v1.0.0"]
    assert [line for line in info.limitations if "vendor/" in line]


def test_a_committed_workspace_is_taken_and_one_outside_is_not(request_: go.GoBuildRequest) -> None:
    (request_.output.with_name("go.work")).write_text("go 1.24\n\nuse ./nowhere\n")
    needs = {"svc/go.mod": NEEDS, "svc/cmd/x/main.go": USES}
    build(
        request_,
        {**SERVICE, **needs, **below("lib", LIBRARY), "go.work": "go 1.24\n\nuse (\n\t./lib\n\t./svc\n)\n"},
    )
    info = read_build_info(request_.output)
    assert [(m.path, m.name.version) for m in info.modules] == [("example.com/lib", "")]
    assert "has no version" in info.limitations[0]


def test_a_module_that_a_folder_replaces_keeps_its_name(request_: go.GoBuildRequest) -> None:
    needs = {"svc/go.mod": f"{NEEDS}\nreplace example.com/lib => ../lib\n", "svc/cmd/x/main.go": USES}
    build(request_, {**SERVICE, **needs, **below("lib", LIBRARY)})
    info = read_build_info(request_.output)
    assert [(str(m.name), m.folder) for m in info.modules] == [("example.com/lib@v1.0.0", "../lib")]
    assert "../lib" in info.limitations[0]


def packed(files: Mapping[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"example.com/lib@v1.0.0/{name}", text)
    return out.getvalue()


def proxy(asked: Asked) -> Reply:
    """Answer as a module proxy that has one module."""
    name = asked.path.rpartition("/@v/")[2]
    answers = {
        "v1.0.0.info": json.dumps({"Version": "v1.0.0"}).encode(),
        "v1.0.0.mod": LIBRARY["go.mod"].encode(),
        "v1.0.0.zip": packed(LIBRARY),
    }
    known = asked.path.startswith("/example.com/lib/") and name in answers
    return Reply(body=answers[name]) if known else Reply(status=404, body=b"not found")


@pytest.mark.parametrize(
    ("status", "again"), [(404, False), (410, False), (403, False), (503, True), (429, True)]
)
def test_a_module_that_a_proxy_does_not_give(
    request_: go.GoBuildRequest, monkeypatch: pytest.MonkeyPatch, status: int, again: bool
) -> None:
    with serving(lambda _: Reply(status=status)) as server:
        monkeypatch.setenv("GOPROXY", f"http://{server.host}")
        with pytest.raises(OutsideError, match=f"{server.host}/example.com/lib/@v/v1.0.0") as caught:
            build(request_, {**SERVICE, "svc/go.mod": NEEDS, "svc/go.sum": SUMS, "svc/cmd/x/main.go": USES})
    assert (caught.value.exit_code, caught.value.again) == (4, again)
    assert ("GOPRIVATE" in caught.value.next_step) == (not again)


def test_a_proxy_that_is_not_there_is_tried_again(
    request_: go.GoBuildRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", "http://localhost:9")
    with pytest.raises(OutsideError, match="connection refused") as caught:
        build(request_, {**SERVICE, "svc/go.mod": NEEDS, "svc/go.sum": SUMS, "svc/cmd/x/main.go": USES})
    assert caught.value.again


def test_other_code_than_go_sum_names_is_refused(
    request_: go.GoBuildRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(proxy) as server:
        monkeypatch.setenv("GOPROXY", f"http://{server.host}")
        with pytest.raises(RefusedError, match="checksum mismatch") as caught:
            build(request_, {**SERVICE, "svc/go.mod": NEEDS, "svc/go.sum": SUMS, "svc/cmd/x/main.go": USES})
    assert caught.value.exit_code == 3


# Go knows that github.com has git repositories; of others it tries the protocols, and tells less.
@pytest.mark.parametrize("module", ["github.com/owner/lib", "example.com/lib.git"])
def test_a_private_repository_without_credentials_is_not_tried_again(
    request_: go.GoBuildRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, module: str
) -> None:
    """A module of a git server that wants a login, as go fetches it for GOPRIVATE."""
    with serving(lambda _: Reply(status=401, headers={"WWW-Authenticate": "Basic"})) as server:
        settings = tmp_path / "gitconfig"
        settings.write_text(
            f'[url "http://{server.host}/"]\n\tinsteadOf = https://{module.partition("/")[0]}/\n'
        )
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
        monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
        monkeypatch.setenv("GIT_ASKPASS", "/bin/false")
        monkeypatch.setenv("GOPROXY", "direct")
        monkeypatch.setenv("GOPRIVATE", module)
        needs = {"svc/go.mod": NEEDS, "svc/go.sum": SUMS, "svc/cmd/x/main.go": USES}
        files = {name: text.replace("example.com/lib", module) for name, text in needs.items()}
        with pytest.raises(OutsideError, match="could not be fetched") as caught:
            build(request_, {**SERVICE, **files})
    assert not caught.value.again
    assert "GOPRIVATE" in caught.value.next_step


@pytest.mark.parametrize("where", ["environment", "file"])
def test_a_private_name_reaches_no_public_service(
    request_: go.GoBuildRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str
) -> None:
    """The public proxy and checksum database are one server here; the private module is a git repository."""
    private = tmp_path / "private"
    commit(
        private / "lib.git",
        {"go.mod": LIBRARY["go.mod"].replace("/lib", "/lib.git"), "lib.go": LIBRARY["lib.go"]},
    )
    run([*GIT, "tag", "v1.0.0"], cwd=private / "lib.git")
    settings = tmp_path / "gitconfig"
    settings.write_text(f'[url "file://{private}/"]\n\tinsteadOf = https://example.com/\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    monkeypatch.delenv("GOPROXY")
    monkeypatch.setenv("GOFLAGS", "")
    with serving(lambda _: Reply(status=404)) as public:
        chosen = {
            "GOPROXY": f"http://{public.host}, direct",
            "GOSUMDB": f"sum.golang.org http://{public.host}/sum",
        }
        chosen |= {"GOPRIVATE": "example.com"}
        if where == "environment":
            for name, value in chosen.items():
                monkeypatch.setenv(name, value)
        else:
            monkeypatch.setenv("GOENV", str(tmp_path / "goenv"))
            (tmp_path / "goenv").write_text("".join(f"{name}={value}\n" for name, value in chosen.items()))
        sums = _sums(tmp_path, private)
        uses = USES.replace("example.com/lib", "example.com/lib.git")
        build(
            request_,
            {
                **SERVICE,
                "svc/go.mod": NEEDS.replace("example.com/lib", "example.com/lib.git"),
                "svc/go.sum": sums,
                "svc/cmd/x/main.go": uses,
            },
        )
        assert _private(public) == []
    assert run([request_.output]).stderr == "hello\n"


def _private(public: Server) -> list[str]:
    return [word for word in public.words if "example.com" in word]


def _sums(tmp_path: Path, private: Path) -> str:
    """Have go write the go.sum of the private module."""
    folder = tmp_path / "sums"
    folder.mkdir()
    (folder / "go.mod").write_text(NEEDS.replace("example.com/lib", "example.com/lib.git"))
    env = os.environ | {"GOMODCACHE": str(tmp_path / "sums-cache"), "GOFLAGS": "-modcacherw"}
    run(["go", "mod", "download", "example.com/lib.git"], cwd=folder, env=env)
    assert private.exists()
    return (folder / "go.sum").read_text()


SUMMED = 'package main\n\n// #cgo LDFLAGS: ${SRCDIR}/libsum.a -lm -L/usr/lib\nimport "C"\n\nfunc main() {}\n'


@pytest.mark.parametrize(
    ("linkage", "files", "linked"),
    [
        ("static", {}, []),
        ("static", {"svc/cmd/x/implant_linux_amd64.syso": ""}, ["implant_linux_amd64.syso"]),
        ("static", {"svc/cmd/x/icon_windows_amd64.syso": "", "svc/cmd/x/x_linux_arm64.syso": ""}, []),
        ("dynamic", {"svc/cmd/x/main.go": SUMMED}, ["libsum.a"]),
    ],
)
def test_object_code_that_nothing_compiles_is_named(
    request_: go.GoBuildRequest, linkage: Linkage, files: Mapping[str, str], linked: list[str]
) -> None:
    commit(request_.output.with_name("repo"), {**SERVICE, **files})
    asked = replace(request_, linkage=linkage, glibc="2.36")
    assert go.prebuilt(Path("go"), asked) == tuple(
        f"example.com/svc/cmd/x links {name}, which was not compiled here" for name in linked
    )
