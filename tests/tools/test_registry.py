"""Our client and a real registry, with the Referrers API and without; regctl is asked for its view."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from sealift.errors import OutsideError
from sealift.model.names import Digest, Platform, Repository, Tag
from sealift.rehearsal.oci_writer import LayerTar, writing
from sealift.services.ports import free_ports
from sealift.services.registry import public_registry
from sealift.services.supervised import Supervised
from sealift.stations.push import missing
from sealift.tools.http import Http
from sealift.tools.layout import Layout
from sealift.tools.regctl import regctl
from sealift.tools.registry import Registry
from sealift.tools.registry_bundle import BUNDLE_TYPE, PREDICATE_ANNOTATION
from sealift.tools.registry_http import NotThereError
from tests.tools.scripted import Asked, Reply, serving
from tests.tools.test_registry_login import LOGIN, TokenServer

pytestmark = pytest.mark.programs

SIGNATURE = "https://sigstore.dev/cosign/sign/v1"
OTHER = Digest.of(b"nobody has this")


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A registry, and the folder in which it keeps what it holds."""

    host: str
    kept: Path
    folder: Path

    @property
    def registry(self) -> Registry:
        return Registry(plain_http=(self.host,))

    def index(self) -> tuple[Repository, Digest, Layout]:
        """Put an index of two images where nobody has been before."""
        name = secrets.token_hex(4)
        with writing(self.folder / name) as new:
            images = [
                new.image(
                    Platform(f"linux/{arch}"),
                    [LayerTar().file("file", secrets.token_bytes(16)).pack()],
                    config={"Entrypoint": ["/file"]},
                    annotations={},
                )
                for arch in ("amd64", "arm64")
            ]
            new.index(images, "small")
        layout = Layout(self.folder / name)
        repository, digest = Repository(f"{self.host}/small/{name}"), layout.index()
        assert self.registry.copy(f"ocidir://{layout.root}@{digest}", repository.at(digest)) == digest
        return repository, digest, layout

    def lose(self, repository: Repository, digest: Digest) -> None:
        (self.kept / repository.path / "blobs" / "sha256" / digest.hex).unlink()


@pytest.fixture(scope="module", params=[True, False], ids=["with the API", "without the API"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    (port,) = free_ports(1).release()
    with Supervised(log=folder / "supervisor.log") as services:
        service = public_registry(
            folder / "kept", port, log=folder / "registry.log", referrers_api=request.param
        )
        services.start([service])
        yield Shop(host=f"localhost:{port}", kept=folder / "kept", folder=folder)


def test_what_is_there_is_read_and_what_is_not_is_said(shop: Shop) -> None:
    repository, digest, layout = shop.index()
    registry = shop.registry
    assert registry.head(repository.at(digest)) == digest
    assert Digest.of(registry.manifest(repository.at(digest))) == digest
    for manifest in layout.platforms(digest).values():
        found = json.loads(registry.manifest(repository.at(manifest)))
        config = Digest(found["config"]["digest"])
        assert json.loads(registry.blob(repository, config)) == layout.config(manifest)
        assert registry.has_blob(repository, config)
    assert registry.head(repository.at(OTHER)) is None
    assert registry.head(repository.tagged(Tag("nothing"))) is None
    assert not registry.has_blob(repository, OTHER)
    assert registry.tags(Repository(f"{shop.host}/never/seen")) == ()
    assert registry.referrers(repository, digest) == ()
    with pytest.raises(NotThereError):
        registry.manifest(repository.at(OTHER))
    with pytest.raises(NotThereError):
        registry.blob(repository, OTHER)


def test_a_tag_is_put_and_moved_and_the_bytes_stay(shop: Shop) -> None:
    repository, digest, layout = shop.index()
    registry = shop.registry
    one = next(iter(layout.platforms(digest).values()))
    for named in (digest, one, digest):
        registry.put_tag(repository, Tag("latest"), named)
        assert registry.head(repository.tagged(Tag("latest"))) == named
    registry.put_tag(repository, Tag("1.2.3"), digest)
    assert sorted(registry.tags(repository)) == ["1.2.3", "latest"]
    assert registry.manifest(repository.tagged(Tag("1.2.3"))) == registry.manifest(repository.at(digest))
    with pytest.raises(NotThereError):
        registry.put_tag(repository, Tag("1.2.3"), OTHER)


def test_a_tag_that_is_put_where_it_is_stays_there(shop: Shop) -> None:
    repository, digest, _ = shop.index()
    registry, latest = shop.registry, Tag("latest")
    registry.put_tag(repository, latest, digest)
    registry.check_movable(repository, latest, digest)
    assert registry.tags(repository) == (latest,)
    assert registry.head(repository.tagged(latest)) == digest


@pytest.mark.parametrize("status", [401, 404])
@pytest.mark.parametrize("offer", [{}, {"WWW-Authenticate": 'Basic realm="here"'}], ids=["", "basic"])
def test_a_copy_that_is_denied_says_what_to_check(shop: Shop, status: int, offer: dict[str, str]) -> None:
    """Where reading was denied too the copy decides, and these are the words that a missing right gets."""
    _, digest, layout = shop.index()
    with serving(lambda _: Reply(status=status, headers=offer, body=b"{}")) as server:
        registry = Registry(plain_http=(server.host,), env=dict(os.environ))
        target = Repository(f"{server.host}/never/made")
        with pytest.raises(OutsideError, match=f"could not be copied to {target}") as caught:
            registry.copy(f"ocidir://{layout.root}@{digest}", target.at(digest))
    assert (caught.value.exit_code, caught.value.again) == (4, False)
    assert caught.value.next_step.startswith(f"docker login {server.host}; check that {target} exists")


def test_podmans_login_is_what_a_copy_is_made_with(shop: Shop, tmp_path: Path) -> None:
    _, digest, layout = shop.index()
    asked: list[str] = []

    def script(asking: Asked) -> Reply:
        asked.append(asking.headers.get("authorization", ""))
        return Reply(status=401, headers={"WWW-Authenticate": 'Basic realm="here"'})

    with serving(script) as server:
        entry = {server.host: {"auth": LOGIN.removeprefix("Basic ")}}
        (tmp_path / "auth.json").write_text(json.dumps({"auths": entry}))
        told = {"DOCKER_CONFIG": str(tmp_path / "none"), "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}
        registry = Registry(plain_http=(server.host,), env={**os.environ, **told})
        with pytest.raises(OutsideError, match="could not be copied"):
            registry.copy(f"ocidir://{layout.root}@{digest}", f"{server.host}/app@{digest}")
    assert LOGIN in asked


def listed(shop: Shop, repository: Repository, digest: Digest) -> set[str]:
    """List bundles as regctl does."""
    words = ("artifact", "list", repository.at(digest), "--filter-artifact-type", BUNDLE_TYPE)
    done = regctl(*words, "--format", "body", plain_http=(shop.host,))
    return {found["digest"] for found in json.loads(done.stdout)["manifests"] or ()}


def test_what_is_attached_is_found_by_us_and_by_others(shop: Shop) -> None:
    repository, digest, _ = shop.index()
    registry = shop.registry
    put = [registry.attach(repository, digest, body, SIGNATURE) for body in (b"{}", b'{"a":1}', b'{"a":1}')]
    assert put[1] == put[2]
    assert {r.digest for r in registry.referrers(repository, digest)} == set(put)
    assert {r.annotations[PREDICATE_ANNOTATION] for r in registry.referrers(repository, digest)} == {
        SIGNATURE
    }
    assert dict(registry.bundles(repository, digest)) == {put[0]: b"{}", put[1]: b'{"a":1}'}
    assert listed(shop, repository, digest) == set(put)
    assert registry.referrers(repository, digest, "application/else") == ()


def test_what_regctl_attaches_is_found_by_us(shop: Shop) -> None:
    repository, digest, _ = shop.index()
    path = shop.folder / "bundle"
    path.write_bytes(b'{"by":"regctl"}')
    words = ("artifact", "put", "--subject", repository.at(digest), "--artifact-type", BUNDLE_TYPE)
    file = ("--file", str(path), "--file-media-type", BUNDLE_TYPE, "--annotation", "for=us")
    assert regctl(*words, *file, plain_http=(shop.host,)).returncode == 0
    ours = shop.registry.attach(repository, digest, b"{}", SIGNATURE)
    found = {r.digest: r.annotations for r in shop.registry.referrers(repository, digest)}
    (theirs,) = found.keys() - {ours}
    assert found[theirs]["for"] == "us"
    assert dict(shop.registry.bundles(repository, digest))[theirs] == b'{"by":"regctl"}'
    assert listed(shop, repository, digest) == {ours, theirs}


def test_threads_that_attach_at_once_undo_nobody(shop: Shop) -> None:
    repository, digest, _ = shop.index()
    registry = shop.registry
    bodies = [str(number).encode() for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        put = list(pool.map(lambda body: registry.attach(repository, digest, body, SIGNATURE), bodies))
    assert {r.digest for r in registry.referrers(repository, digest)} == set(put)
    assert len(set(put)) == 16


@pytest.mark.parametrize("what", ["platform", "config", "layer"])
def test_what_a_registry_lost_below_its_index_is_seen_and_copied_again(shop: Shop, what: str) -> None:
    repository, digest, layout = shop.index()
    registry = shop.registry
    platform = layout.platforms(digest)[Platform("linux/arm64")]
    manifest = json.loads(layout.read(platform))
    lost = {
        "platform": platform,
        "config": Digest(manifest["config"]["digest"]),
        "layer": Digest(manifest["layers"][0]["digest"]),
    }[what]
    assert missing(repository, digest, registry) == ()
    shop.lose(repository, lost)
    assert any(lost in name for name in missing(repository, digest, registry))
    registry.copy(f"ocidir://{layout.root}@{digest}", repository.at(digest))
    assert missing(repository, digest, registry) == ()
    assert Digest.of(registry.manifest(repository.at(platform))) == platform


def test_an_image_is_fetched_into_a_layout(shop: Shop) -> None:
    repository, digest, layout = shop.index()
    shop.registry.fetch_layout(repository.at(digest), shop.folder / f"fetched-{digest.hex[:8]}")
    fetched = Layout(shop.folder / f"fetched-{digest.hex[:8]}")
    assert fetched.index() == digest
    assert fetched.platforms(digest) == layout.platforms(digest)


def test_a_registry_behind_a_token_server_is_read_and_written(shop: Shop, tmp_path: Path) -> None:
    repository, digest, _ = shop.index()
    http, tokens = Http({}), TokenServer()

    def behind(asked: Asked) -> Reply:
        kept = ("accept", "content-type")
        headers = {name: asked.headers[name] for name in kept if name in asked.headers}
        body = asked.body if asked.method in ("POST", "PUT") else None
        came = http.ask(asked.method, f"http://{shop.host}{asked.path}", headers=headers, body=body)
        told = {
            name: value for name, value in came.headers.items() if name.lower() not in ("date", "connection")
        }
        return Reply(status=came.status, headers=told, body=came.body)

    with serving(tokens.token) as at_tokens, serving(tokens.guard(behind, repository.path)) as guarded:
        tokens.realm = f"http://{at_tokens.host}/token"
        auth = {"auths": {guarded.host: {"auth": LOGIN.removeprefix("Basic ")}}}
        (tmp_path / "config.json").write_text(json.dumps(auth))
        registry = Registry(plain_http=(guarded.host,), env={"DOCKER_CONFIG": str(tmp_path)})
        at = Repository(f"{guarded.host}/{repository.path}")
        put = registry.attach(at, digest, b"{}", SIGNATURE)
        registry.put_tag(at, Tag("1.2.3"), digest)
        assert dict(registry.bundles(at, digest)) == {put: b"{}"}
    assert shop.registry.head(repository.tagged(Tag("1.2.3"))) == digest
    assert len(at_tokens.asked) == 2
    assert all(a.headers.get("authorization", "").startswith("Bearer ") for a in guarded.asked[-4:])
