"""Everything that leaves passes the proxy that the environment names, and trusts whom it names."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
import sigstore._internal.tuf
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sigstore._internal.fulcio.client import FulcioClient
from sigstore._internal.rekor.client import RekorClient
from sigstore._internal.rekor.client_v2 import RekorV2Client
from sigstore._internal.timestamp import TimestampAuthorityClient, TimestampError
from sigstore.models import TrustedRoot
from sigstore.sign import SigningContext

from sealift import process
from sealift.commands import docker_build
from sealift.errors import OutsideError, RefusedError, SealiftError, UsageError
from sealift.model.names import Digest, Repository
from sealift.model.statements import Subject
from sealift.network import PROXY_VARIABLES
from sealift.provision.cache import cache_folder
from sealift.provision.go import find_go, go_environment
from sealift.provision.recipe import this_platform
from sealift.rehearsal import apt
from sealift.rehearsal.outside import client_environment
from sealift.rehearsal.sigstore_keys import END, START
from sealift.services.buildkit import buildkit, create_builder, socket_of
from sealift.services.ports import LOOPBACK, free_ports
from sealift.services.supervised import Supervised
from sealift.tools import buildx, go, govulncheck, regctl, trivy
from sealift.tools.cosign import Cosign
from sealift.tools.github import AT_ONCE, GitHub
from sealift.tools.http import follow_policy
from sealift.tools.layout import Layout
from sealift.tools.registry import Registry
from sealift.tools.sigstore_client import BundleVerifier
from sealift.tools.sigstore_outside import hurry_all
from sealift.tools.sigstore_token import ambient_token
from tests.tools.forwarding import Forwarding, forwarding, forwarding_socks
from tests.tools.scripted import Reply, serving
from tests.unit.tools.test_sigstore_client import OURS, ROOT

pytestmark = pytest.mark.programs

TUNNEL = "registry.invalid:443"
SUBJECT = Subject(repository=Repository("registry.invalid/app"), digest=Digest("sha256:" + "a" * 64))
TRUST = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
SETTINGS = (*PROXY_VARIABLES, "NO_PROXY", *TRUST)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without this machine's own settings."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def proxy() -> Iterator[Forwarding]:
    with forwarding() as started:
        yield started


def registry_client(_: Path) -> None:
    Registry().head(f"{SUBJECT}")


def cosign(_: Path) -> None:
    Cosign(trusted_root=ROOT, identity=OURS).verify(SUBJECT)


def copy(folder: Path) -> None:
    regctl.copy(f"{SUBJECT}", f"ocidir://{folder}:it", timeout=20)


def copy_in_a_rehearsal(folder: Path) -> None:
    regctl.copy(f"{SUBJECT}", f"ocidir://{folder}:it", env=client_environment(folder / "home"), timeout=20)


def trivy_database(folder: Path) -> None:
    trivy.download_database(folder / "trivy")


def go_database(folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(govulncheck, "WHOLE_DATABASE", "https://registry.invalid/vulndb.zip")
        govulncheck.download_database(folder / "go")


def identity_token(_: Path) -> None:
    told = {"ACTIONS_ID_TOKEN_REQUEST_URL": "https://registry.invalid/token?x=secret-of-the-job"}
    ambient_token({**os.environ, **told, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "secret-of-the-job"})


def github(_: Path) -> None:
    GitHub("https://registry.invalid", "secret-of-the-job", "acme/app", pace=AT_ONCE).find_release("v1.0.0")


def sigstore_keys(folder: Path) -> None:
    embedded = vars(sigstore._internal.tuf)["read_embedded"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(folder))
        patch.setenv("XDG_CACHE_HOME", str(folder))
        patch.setattr("sigstore.models.DEFAULT_TUF_URL", "https://registry.invalid")
        patch.setattr(
            sigstore._internal.tuf,
            "read_embedded",
            lambda name, _: embedded(name, sigstore._internal.tuf.DEFAULT_TUF_URL),
        )
        BundleVerifier(trusted_root=None, identity=OURS)


def signing() -> SigningContext:
    at = "https://registry.invalid"
    context = SigningContext(
        fulcio=FulcioClient(at),
        rekor=RekorClient(at),
        trusted_root=TrustedRoot.from_file(str(ROOT)),
        tsa_clients=[TimestampAuthorityClient(at)],
    )
    hurry_all(context)()
    return context


def fulcio(_: Path) -> None:
    signing()._fulcio.trust_bundle.get()


def rekor(_: Path) -> None:
    client = signing()._rekor
    assert isinstance(client, RekorClient)
    client.log.get()


def rekor2(_: Path) -> None:
    context = signing()
    context._rekor = client = RekorV2Client("https://registry.invalid")
    hurry_all(context)()
    client._session.post(f"{client.url}/log/entries", json={})


def timestamps(_: Path) -> None:
    signing()._tsa_clients[0].request_timestamp(b"x")


def tool_build(folder: Path) -> None:
    (folder / "go.mod").write_text("module x.invalid/a\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOPROXY", "https://registry.invalid")
        patch.setenv("GOSUMDB", "off")
        own = {"GOMODCACHE": str(folder / "mod"), "GOFLAGS": "-modcacherw"}
        go = find_go(cache=cache_folder())
        process.run([go.path, "get", "x.invalid/b@v1.0.0"], cwd=folder, env=go_environment(go) | own)


def is_an_image_there(_: Path) -> None:
    assert docker_build.reachable("registry.invalid/app"), "it gives no reason"


def go_build(folder: Path) -> None:
    hashed = "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    (folder / "go.mod").write_text("module x.invalid/a\n\ngo 1.24\n\nrequire x.invalid/b v1.0.0\n")
    (folder / "go.sum").write_text(f"x.invalid/b v1.0.0 {hashed}\nx.invalid/b v1.0.0/go.mod {hashed}\n")
    (folder / "main.go").write_text('package main\n\nimport _ "x.invalid/b"\n\nfunc main() {}\n')
    request = go.GoBuildRequest(
        module=folder, package=".", variable="main.version", version="1", platform=this_platform(),
        linkage="static", glibc=None, output=folder / "out", cache=folder / "cache", source=folder,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOPROXY", "https://registry.invalid")
        patch.setenv("GOSUMDB", "off")
        go.build(find_go(cache=cache_folder()).path, request)


WAYS: dict[str, Callable[[Path], None]] = {
    way.__name__: way
    for way in (
        *(registry_client, cosign, copy, copy_in_a_rehearsal, trivy_database, go_database, identity_token),
        *(github, sigstore_keys, fulcio, rekor, rekor2, timestamps, tool_build, go_build),
        is_an_image_there,
    )
}
# Those who tell of a proxy in their own words, or only whether it worked.
SILENT = {"tool_build", "is_an_image_there"}
every_way = pytest.mark.parametrize("way", WAYS)


@every_way
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_it_passes_the_proxy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, proxy: Forwarding, way: str, variable: str
) -> None:
    # Without its scheme, as many write it.
    monkeypatch.setenv(variable, proxy.host)
    with pytest.raises((SealiftError, AssertionError)):
        WAYS[way](tmp_path)
    assert proxy.tunnels
    assert way == "trivy_database" or set(proxy.tunnels) == {TUNNEL}


@every_way
def test_a_proxy_that_asks_for_a_login_is_named_and_not_asked_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    with forwarding(status=407) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:very%40secret@{proxy.host}")
        with pytest.raises((SealiftError, AssertionError)) as caught:
            WAYS[way](tmp_path)
    assert proxy.tunnels
    assert set(proxy.logins) == {"Basic bWU6dmVyeUBzZWNyZXQ="}
    assert not any(secret in str(caught.value) for secret in ("very", "secret-of-the-job"))
    if way not in SILENT:
        assert isinstance(caught.value, OutsideError)
        assert f"the proxy {proxy.host} (HTTPS_PROXY)" in str(caught.value)
        assert not caught.value.again


@every_way
def test_a_proxy_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    (port,) = free_ports(1).release()
    monkeypatch.setenv("https_proxy", f"{LOOPBACK}:{port}")
    with pytest.raises((SealiftError, AssertionError)) as caught:
        WAYS[way](tmp_path)
    if way not in SILENT:
        assert isinstance(caught.value, OutsideError)
        assert f"the proxy {LOOPBACK}:{port} (https_proxy)" in str(caught.value)
        assert caught.value.again


@every_way
def test_a_proxy_that_cannot_be_used_is_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid:port")
    with pytest.raises(UsageError, match="HTTPS_PROXY cannot be used"):
        WAYS[way](tmp_path)


# Trivy's hosts are real ones.
@pytest.mark.parametrize("way", sorted(set(WAYS) - {"trivy_database"}))
def test_what_no_proxy_names_is_reached_directly(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, proxy: Forwarding, way: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.host)
    monkeypatch.setenv("no_proxy", "a.example *.invalid")
    with pytest.raises((SealiftError, AssertionError, requests.RequestException, TimestampError)):
        WAYS[way](tmp_path)
    assert proxy.asked == []


@pytest.mark.parametrize("variable", ["ALL_PROXY", "https_proxy"])
@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
@pytest.mark.parametrize("way", ["registry_client", "cosign", "github", "fulcio", "copy"])
def test_it_passes_a_proxy_by_socks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str, scheme: str, variable: str
) -> None:
    with forwarding_socks() as proxy:
        monkeypatch.setenv(variable, f"{scheme}://{proxy.host}")
        with pytest.raises(OutsideError) as caught:
            WAYS[way](tmp_path)
    assert set(proxy.tunnels) == {TUNNEL}
    assert f"the proxy {proxy.host} ({variable})" in str(caught.value)


def test_packages_of_debian_pass_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, proxy: Forwarding
) -> None:
    monkeypatch.setenv(apt.VARIABLE, "http://registry.invalid/debian")
    monkeypatch.setenv("HTTP_PROXY", proxy.host)
    with pytest.raises(OutsideError, match="could not be fetched"):
        apt.fetch("bookworm", "amd64", ("libc6",), tmp_path)
    assert proxy.requests
    assert all(url.startswith("http://registry.invalid/debian/") for url in proxy.requests)


def test_plain_http_that_leaves_passes_it_and_this_machine_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, proxy: Forwarding
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{proxy.host}")
    plain = Registry(plain_http=("registry.invalid",))
    with pytest.raises(OutsideError, match="502"):
        plain.head("registry.invalid/app:1")
    assert proxy.requests == ["http://registry.invalid/v2/app/manifests/1"]
    with serving(lambda _: Reply(status=404)) as server:
        port = server.host.rpartition(":")[2]
        for host in (server.host, f"127.0.0.1:{port}"):
            assert Registry(plain_http=(host,)).head(f"{host}/app:1") is None
        with pytest.raises(OutsideError, match="could not be copied"):
            regctl.copy(f"{server.host}/app:1", f"ocidir://{tmp_path}:it", plain_http=(server.host,))
        session = requests.Session()
        follow_policy(session)
        assert session.get(f"http://{server.host}/x").status_code == 404
    assert proxy.tunnels == []
    assert len(proxy.requests) == 1


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, list[str]]]:
    """Serve HTTPS by a private authority's certificate; give the host, a folder with it, what was asked."""
    folder, asked = tmp_path_factory.mktemp("private"), []
    _private_authority(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815 - http.server's name

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    listening = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    listening.socket = as_server(folder).wrap_socket(listening.socket, server_side=True)
    thread = threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"localhost:{listening.server_port}", folder, asked
    listening.shutdown()
    listening.server_close()
    thread.join()


def as_server(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context


@pytest.mark.parametrize(
    "way", ["registry_client", "github", "cosign", "copy", "trivy_database", "timestamps"]
)
def test_a_proxy_that_is_spoken_to_by_https_is_trusted_by_the_same_authority(
    monkeypatch: pytest.MonkeyPatch, private: tuple[str, Path, list[str]], tmp_path: Path, way: str
) -> None:
    _, folder, _ = private
    monkeypatch.chdir(folder)
    with forwarding(tls=as_server(folder)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"https://localhost:{proxy.port}")
        with pytest.raises(OutsideError, match=f"the proxy localhost:{proxy.port}") as caught:
            WAYS[way](tmp_path)
        assert not caught.value.again
        assert proxy.tunnels == []
        # A place from here, while programs run elsewhere.
        monkeypatch.setenv("SSL_CERT_FILE", "corp/authority.crt")
        with pytest.raises(OutsideError):
            WAYS[way](tmp_path)
        assert proxy.tunnels


def _private_authority(folder: Path) -> None:
    """Write ``corp/authority.crt``, whose name is no hash, and ``server.pem``."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name.from_rfc4514_string(f"CN={name}") for name in ("corporate", "localhost")]
    pems = []
    for key, name, is_authority in zip(keys, names, (True, False), strict=True):
        made = x509.CertificateBuilder().subject_name(name).issuer_name(names[0]).public_key(key.public_key())
        made = made.serial_number(x509.random_serial_number()).not_valid_before(START).not_valid_after(END)
        made = made.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        pems.append(made.sign(keys[0], hashes.SHA256()).public_bytes(Encoding.PEM))
    private = keys[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "corp").mkdir()
    (folder / "corp" / "authority.crt").write_bytes(pems[0])
    (folder / "server.pem").write_bytes(pems[1] + private)


def asks_registry(host: str) -> None:
    Registry().head(f"{host}/app:1")


def asks_session(host: str) -> None:
    session = requests.Session()
    follow_policy(session)
    session.get(f"https://{host}/")


def asks_regctl(host: str) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.raises(OutsideError):
        regctl.copy(f"{host}/app:1", f"ocidir://{folder}/layout:it", timeout=20)


def asks_cosign(host: str) -> None:
    subject = Subject(repository=Repository(f"{host}/app"), digest=SUBJECT.digest)
    with pytest.raises((OutsideError, RefusedError)):
        Cosign(trusted_root=ROOT, identity=OURS).verify(subject)


ASKING = {"registry": asks_registry, "session": asks_session, "regctl": asks_regctl, "cosign": asks_cosign}


@pytest.mark.parametrize("who", ASKING)
@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("SSL_CERT_FILE", "corp/authority.crt"),
        ("SSL_CERT_DIR", "corp"),
        ("REQUESTS_CA_BUNDLE", "corp/authority.crt"),
        ("REQUESTS_CA_BUNDLE", "corp"),
        ("CURL_CA_BUNDLE", "corp/authority.crt"),
    ],
)
def test_a_private_authority_is_trusted_by_all_alike(
    monkeypatch: pytest.MonkeyPatch, private: tuple[str, Path, list[str]], who: str, name: str, place: str
) -> None:
    host, folder, asked = private
    asked.clear()
    monkeypatch.setenv(name, str(folder / place))
    ASKING[who](host)
    assert asked


@pytest.mark.parametrize("who", ASKING)
def test_without_it_none_does(private: tuple[str, Path, list[str]], who: str) -> None:
    host, _, asked = private
    asked.clear()
    with contextlib.suppress(OutsideError, requests.exceptions.SSLError):
        ASKING[who](host)
    assert asked == []


def test_an_authority_that_is_not_trusted_is_told_with_what_helps(
    private: tuple[str, Path, list[str]],
) -> None:
    with pytest.raises(OutsideError, match="CERTIFICATE_VERIFY_FAILED") as caught:
        asks_registry(private[0])
    assert not caught.value.again
    assert "SSL_CERT_FILE=" in caught.value.next_step


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Forwarding, dict[str, str], Path]]:
    """Start BuildKit behind a proxy; give it, an environment for buildx, and a folder with a program."""
    folder = tmp_path_factory.mktemp("kit")
    with forwarding() as proxy, pytest.MonkeyPatch.context() as patch:
        for name in SETTINGS:
            patch.delenv(name, raising=False)
            patch.delenv(name.lower(), raising=False)
        env = {"PATH": os.environ["PATH"], "HOME": str(folder), "DOCKER_CONFIG": str(folder / "docker")}
        patch.setenv("https_proxy", proxy.host)
        daemon = buildkit(folder / "kit", log=folder / "kit.log")
        with Supervised(log=folder / "supervisor.log") as services:
            services.start([daemon])
            create_builder(socket_of(folder / "kit"), "ours", env=env)
            (folder / "context").mkdir()
            shutil.copy(process.resolve("regctl"), folder / "context" / "regctl")
            yield proxy, env, folder


def built(folder: Path, env: dict[str, str], to: Path, *lines: str) -> Digest:
    """Build a Dockerfile of these lines as a build by hand does."""
    dockerfile = to.with_name(f"{to.name}.Dockerfile")
    dockerfile.write_text("\n".join(lines), encoding="utf-8")
    buildx.build(
        buildx.BuildRequest(
            builder="ours",
            dockerfile=dockerfile,
            context=folder / "context",
            contexts={},
            arguments=dict.fromkeys((*PROXY_VARIABLES, "NO_PROXY")),
            platforms=[this_platform()],
            labels={},
            name="app:1",
            epoch=0,
            output=to,
        ),
        env=env,
    )
    return Layout(to).index()


def test_what_a_dockerfile_begins_with_passes_it(
    builder: tuple[Forwarding, dict[str, str], Path], tmp_path: Path
) -> None:
    proxy, env, folder = builder
    proxy.tunnels.clear()
    with pytest.raises(OutsideError):
        built(folder, env, tmp_path / "out", "FROM registry.invalid/base:1")
    assert set(proxy.tunnels) == {TUNNEL}


def test_what_a_step_fetches_passes_it(
    builder: tuple[Forwarding, dict[str, str], Path], tmp_path: Path, proxy: Forwarding
) -> None:
    _, env, folder = builder
    step = 'RUN ["/regctl", "manifest", "head", "registry.invalid/app:1"]'
    with pytest.raises(OutsideError) as caught:
        built(
            folder,
            env | {"HTTPS_PROXY": f"me:secret@{proxy.host}"},
            tmp_path / "out",
            *("FROM scratch", "COPY regctl /", step),
        )
    assert set(proxy.tunnels) == {TUNNEL}
    assert "secret" not in str(caught.value)


def test_a_proxy_changes_no_byte_of_an_image(
    builder: tuple[Forwarding, dict[str, str], Path], tmp_path: Path, proxy: Forwarding
) -> None:
    _, env, folder = builder
    lines = ("FROM scratch", "COPY regctl /", 'RUN ["/regctl", "version"]', 'ENTRYPOINT ["/regctl"]')
    bare = built(folder, env, tmp_path / "bare", *lines)
    named = dict.fromkeys((*PROXY_VARIABLES, "NO_PROXY", "no_proxy"), proxy.host)
    assert built(folder, env | named, tmp_path / "named", *lines) == bare
    told = {"httpProxy": f"http://{proxy.host}", "httpsProxy": f"http://{proxy.host}", "noProxy": "x"}
    (folder / "docker").mkdir(exist_ok=True)
    (folder / "docker" / "config.json").write_text(json.dumps({"proxies": {"default": told}}))
    assert built(folder, env, tmp_path / "configured", *lines) == bare
