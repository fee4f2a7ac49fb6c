"""A rehearsal builds on the bases that production builds on, where they are locked and can be reached."""

from __future__ import annotations

import contextlib
import functools
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sealift.clients import Clients
from sealift.commands.opening import Asked, Opened, opened
from sealift.model import bases as locking
from sealift.model.evidence import BaseLooked
from sealift.model.names import Digest
from sealift.model.world import Base
from sealift.provision.everything import Provided
from sealift.rehearsal import stand_ins
from sealift.schedule import Schedule
from sealift.tools import git
from sealift.tools.registry import Registry
from sealift.tools.upstream import locked_bases
from tests.conftest import ROOT

pytestmark = pytest.mark.programs

SUITE = "debian12"
Locked = Callable[[dict[str, Digest]], None]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, provided: Provided) -> Path:
    assert provided.programs
    clone = tmp_path_factory.mktemp("locked") / "clone"
    git.clone(ROOT, git.head(ROOT), clone)
    return clone


@pytest.fixture(scope="module")
def upstream(clone: Path) -> Iterator[Opened]:
    """Another world, whose registry and whose Sigstore stand for the makers' own."""
    with contextlib.ExitStack() as stack:
        with contextlib.chdir(clone):
            asked = Asked(version="9.0.0", world_name="upstream")
            release = stack.enter_context(opened(asked, ["base"]))
        yield release


@pytest.fixture
def made(upstream: Opened) -> dict[str, Base]:
    return dict(upstream.line.world.bases)


@pytest.fixture
def reached(upstream: Opened, made: dict[str, Base], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process look for the bases there, and believe those who are believed there."""
    host = upstream.line.world.registry
    there = functools.partial(
        locked_bases, upstream=f"{host}/distroless", trusted_root=made["static"].trusted_root
    )
    monkeypatch.setattr(stand_ins, "locked_bases", there)
    monkeypatch.setattr(stand_ins, "Registry", functools.partial(Registry, plain_http=(host,)))
    own = vars(Clients)["registry"].func

    def also(clients: Clients) -> Registry:
        plain = own(clients)
        return Registry(plain_http=(*plain.plain_http, host), env=plain.env)

    monkeypatch.setattr(Clients, "registry", property(also))


@pytest.fixture
def lock(clone: Path, made: dict[str, Base]) -> Iterator[Locked]:
    """Lock bases, and commit that; the clone is as it was afterwards."""
    path, before = clone / "ci" / "bases.lock.yaml", git.head(clone)

    def write(digests: dict[str, Digest]) -> None:
        signer, today = made["static"].signer, datetime.now(UTC).date()
        entries = {
            name: locking.LockedBase(digest=digest, identity=signer.san, issuer=signer.issuer, date=today)
            for name, digest in digests.items()
        }
        locking.save(path, {SUITE: entries})
        waived = f'- {{kind: signer, id: "{signer.san} {signer.issuer}", owner: maintainers, until: {today},'
        with path.with_name("exceptions.yaml").open("a", encoding="utf-8") as file:
            file.write(f"{waived} reason: this world's makers}}\n")
        person = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.test")
        git.git(
            clone, *person, "commit", "--quiet", "--all", f"--message=Lock the bases {secrets.token_hex(4)}"
        )

    yield write
    git.git(clone, "reset", "--quiet", "--hard", before)


def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be no registry where the bases are looked for."""
    monkeypatch.setattr(
        stand_ins, "locked_bases", functools.partial(locked_bases, upstream="localhost:1/gone")
    )


@contextlib.contextmanager
def rehearsed(clone: Path) -> Iterator[Opened]:
    with contextlib.ExitStack() as stack:
        with contextlib.chdir(clone):
            release = stack.enter_context(opened(Asked(version="1.0.0"), ["base"]))
        yield release


@pytest.mark.usefixtures("reached")
def test_locked_bases_that_are_reached_are_the_ones_that_are_built_on(
    clone: Path, made: dict[str, Base], lock: Locked
) -> None:
    lock({name: base.digest for name, base in made.items()})
    with rehearsed(clone) as release:
        line = release.line
        Schedule(line.nodes(["base"]), workers=2).run()
        assert {n: (b.source, b.digest) for n, b in line.world.bases.items()} == {
            n: (b.source, b.digest) for n, b in made.items()
        }
        said = " ".join(g.detail for n in made for g in line.run.read("base", n, BaseLooked).gates)
        for base in made.values():
            assert f"{base.source}@{base.digest} is signed by {base.signer.san}" in said
        assert not any("distroless" in one for one in line.world.stand_ins)
        assert release.stage is not None
        assert not (release.stage.folder / "registry" / "distroless").exists()


@pytest.mark.usefixtures("reached")
def test_equals_stand_in_for_bases_that_are_gone(
    clone: Path, made: dict[str, Base], lock: Locked, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = Digest.of(b"an index that was there once")
    lock({"static": gone, "base": made["base"].digest})
    with rehearsed(clone) as release:
        there = release.line.world
        assert all(base.source.path.startswith("distroless/") for base in there.bases.values())
        assert {str(b.source).partition("/")[0] for b in there.bases.values()} == {there.registry}
        assert sum("distroless" in one for one in there.stand_ins) == len(made)
    assert "static-debian12:nonroot: not there any more" in capsys.readouterr().err


def test_equals_stand_in_for_bases_that_are_not_reached(
    clone: Path,
    made: dict[str, Base],
    lock: Locked,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nowhere(monkeypatch)
    lock({name: base.digest for name, base in made.items()})
    with rehearsed(clone) as release:
        assert {b.trusted_root for b in release.line.world.bases.values()} == {
            release.line.world.sigstore.trusted_root
        }
    assert "the locked bases cannot be had, so equals stand in for them" in capsys.readouterr().err


@pytest.mark.usefixtures("reached")
def test_a_world_keeps_its_bases_when_their_registry_comes_and_goes(
    clone: Path, made: dict[str, Base], lock: Locked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other bases would be other digests, and a version that was begun could not be ended."""
    lock({name: base.digest for name, base in made.items()})
    with rehearsed(clone) as release:
        before = {name: base.source for name, base in release.line.world.bases.items()}
    with monkeypatch.context() as away:
        nowhere(away)
        with rehearsed(clone) as release:
            kept = release.line.world
        assert not any("distroless" in one for one in kept.stand_ins)
        assert {b.digest for b in kept.bases.values()} == {b.digest for b in made.values()}
    with rehearsed(clone) as release:
        assert {name: base.source for name, base in release.line.world.bases.items()} == before


@pytest.mark.usefixtures("reached")
def test_a_world_of_equals_keeps_to_them(
    clone: Path, made: dict[str, Base], lock: Locked, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock({name: base.digest for name, base in made.items()})
    with monkeypatch.context() as away:
        nowhere(away)
        with rehearsed(clone) as release:
            equals = release.line.world.stand_ins
    with rehearsed(clone) as release:
        assert release.line.world.stand_ins == equals


@pytest.mark.usefixtures("reached")
def test_a_lock_that_is_not_committed_is_not_the_commit_s(
    clone: Path, made: dict[str, Base], lock: Locked, upstream: Opened
) -> None:
    lock({name: base.digest for name, base in made.items()})
    path = clone / "ci" / "bases.lock.yaml"
    locking.save(path, {})
    with rehearsed(clone) as release:
        assert release.line.plan.left_out == ("ci/bases.lock.yaml",)
        host = upstream.line.world.registry
        assert {str(b.source).partition("/")[0] for b in release.line.world.bases.values()} == {host}
