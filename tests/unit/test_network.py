"""Which way out each address takes, what a program is told of it, and whom we trust."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sealift import network
from sealift.errors import UsageError
from sealift.network import Proxy, child_env, network_env, proxy_for
from sealift.patience import may_help
from sealift.rehearsal.sigstore_keys import END, START
from tests.unit.test_imports import sources

PROXY = "http://proxy.example:3128"


@pytest.fixture(scope="module")
def certificate() -> str:
    """An authority of some company."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name.from_rfc4514_string("CN=corporate")
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(START).not_valid_after(END)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


@pytest.fixture
def authority(tmp_path: Path, certificate: str) -> Path:
    """A folder whose folder ``corp`` holds it, under a name that is no hash."""
    (tmp_path / "corp").mkdir()
    (tmp_path / "corp" / "any-name.pem").write_text(certificate)
    return tmp_path


def url_of(proxy: Proxy | None) -> str:
    return "" if proxy is None else proxy.url


@pytest.mark.parametrize(
    ("url", "env", "proxy"),
    [
        ("https://ghcr.io/v2/", {}, ""),
        ("https://ghcr.io/v2/", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://ghcr.io/v2/", {"https_proxy": PROXY}, PROXY),
        ("https://ghcr.io/v2/", {"HTTP_PROXY": PROXY}, ""),
        ("https://ghcr.io/v2/", {"HTTPS_PROXY": PROXY, "NO_PROXY": "other, ghcr.io"}, ""),
        ("https://pkg.ghcr.io/v2/", {"HTTPS_PROXY": PROXY, "NO_PROXY": ".ghcr.io"}, ""),
        ("https://ghcr.io/v2/", {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, ""),
        ("https://ghcr.io/v2/", {"HTTPS_PROXY": PROXY, "NO_PROXY": "hcr.io"}, PROXY),
        ("http://registry.example/v2/", {"HTTP_PROXY": PROXY}, PROXY),
        ("http://localhost:5000/v2/", {"HTTP_PROXY": PROXY}, ""),
        ("http://127.0.0.1:5000/v2/", {"HTTP_PROXY": PROXY}, ""),
        ("http://[::1]:5000/v2/", {"HTTP_PROXY": PROXY}, ""),
    ],
)
def test_the_way_out(url: str, env: dict[str, str], proxy: str) -> None:
    assert url_of(proxy_for(url, env)) == proxy


@pytest.mark.parametrize(
    ("env", "proxy"),
    [
        ({"HTTPS_PROXY": "proxy.example:3128"}, PROXY),
        ({"HTTPS_PROXY": "localhost:3128"}, "http://localhost:3128"),
        ({"HTTPS_PROXY": "[::1]:3128"}, "http://[::1]:3128"),
        ({"HTTPS_PROXY": f" {PROXY}/\r\n"}, PROXY),
        ({"HTTPS_PROXY": "HTTP://proxy.example:3128"}, PROXY),
        ({"HTTPS_PROXY": "", "https_proxy": PROXY}, PROXY),
        ({"HTTPS_PROXY": PROXY, "https_proxy": "http://other"}, PROXY),
        ({"ALL_PROXY": PROXY}, PROXY),
        ({"all_proxy": "http://other", "HTTPS_PROXY": PROXY}, PROXY),
        ({"HTTPS_PROXY": "socks5://proxy.example:1080"}, "socks5h://proxy.example:1080"),
        ({"ALL_PROXY": "socks://proxy.example:1080/"}, "socks5h://proxy.example:1080"),
        ({"HTTPS_PROXY": "http://me:p@ss@proxy.example:3128"}, "http://me:p%40ss@proxy.example:3128"),
        ({"HTTPS_PROXY": "http://me:p%40ss@proxy.example:3128"}, "http://me:p%40ss@proxy.example:3128"),
        ({"HTTPS_PROXY": "http://:pass@proxy.example"}, "http://:pass@proxy.example"),
    ],
)
def test_a_proxy_is_read_as_go_and_curl_read_it(env: dict[str, str], proxy: str) -> None:
    assert url_of(proxy_for("https://ghcr.io/v2/", env)) == proxy
    assert network_env(env)["HTTPS_PROXY"] == network_env(env)["https_proxy"] == proxy


@pytest.mark.parametrize(
    ("url", "no_proxy"),
    [
        ("https://10.1.2.3/", "10.0.0.0/8"),
        ("https://10.1.2.3:8443/", "192.168.0.0/16,10.1.2.3"),
        ("https://[2001:db8::1]/", "2001:db8::/32"),
        ("https://[2001:db8::1]:8443/", "[2001:db8::1]:8443"),
        ("https://[2001:db8::1]/", "2001:DB8::1"),
        ("https://a.example.com/", "example.com"),
        ("https://example.com/", "example.com"),
        ("https://EXAMPLE.com./", "Example.COM"),
        ("https://a.b.example.com/", "*.example.com"),
        ("https://example.com/", "example.com:443"),
        ("https://example.com:8443/", "x, example.com:8443"),
        ("https://example.com/", "a.example b.example example.com"),
        ("https://example.com/", "a.example,*"),
        ("https://172.17.0.8:2375/", "localhost,172.17.*"),
        ("https://10.1.2.3/", "10.*.*.*"),
        ("https://registry.localhost/", ""),
        ("https://127.8.9.10:5000/", ""),
        ("https://[::ffff:127.0.0.1]/", ""),
    ],
)
def test_no_proxy_is_read_as_go_reads_it(url: str, no_proxy: str) -> None:
    assert proxy_for(url, {"HTTPS_PROXY": PROXY, "no_proxy": no_proxy}) is None


@pytest.mark.parametrize(
    ("url", "no_proxy"),
    [
        ("https://11.1.2.3/", "10.0.0.0/8"),
        ("https://ten.example/", "10.0.0.0/8"),
        ("https://172.18.0.8/", "172.17.*"),
        ("https://example.com/", ".example.com"),
        ("https://example.com/", "*.example.com"),
        ("https://badexample.com/", "example.com"),
        ("https://example.com:8443/", "example.com:443"),
        ("https://example.com/", "10.0.0.0/99, a/b, :443, ., ,"),
        ("https://localhost.example/", "localhost"),
    ],
)
def test_what_no_proxy_does_not_name_goes_through_the_proxy(url: str, no_proxy: str) -> None:
    assert url_of(proxy_for(url, {"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy})) == PROXY


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    "value",
    [
        "ftp://x:1",
        "socks4://x:1",
        "http://",
        "http://x:port",
        "http://x:99999",
        "'http://x:1'",
        "http://a b:1",
    ],
)
def test_a_proxy_that_cannot_be_used_is_a_wrong_setting_with_its_name(variable: str, value: str) -> None:
    for use in (
        lambda env: proxy_for("https://ghcr.io/", env),
        lambda env: child_env("regctl", env),
        network.check,
    ):
        with pytest.raises(UsageError, match=rf"{variable} cannot be used") as caught:
            use({variable: value})
        assert not may_help(caught.value)


@pytest.mark.parametrize("value", ["http://me:sec/ret@x:1", "http://me:sec#ret@x:1", "ftp://me:secret@x:1"])
def test_the_login_in_a_wrong_setting_is_not_shown(value: str) -> None:
    with pytest.raises(UsageError) as caught:
        network.check({"HTTPS_PROXY": value})
    assert "sec" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_wrong_all_proxy_counts_only_where_nothing_else_is_named() -> None:
    env = {"HTTP_PROXY": PROXY, "HTTPS_PROXY": PROXY, "ALL_PROXY": "socks4://x"}
    assert network_env(env)["HTTPS_PROXY"] == PROXY


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"])
def test_a_program_gets_both_spellings_and_never_a_proxy_to_this_machine(name: str) -> None:
    told = child_env("regctl", {name: "x:1", "AWS_PROFILE": "release", "TRIVY_SEVERITY": "LOW"})
    assert told["AWS_PROFILE"] == "release"
    assert "TRIVY_SEVERITY" not in told
    meant = ("HTTP_PROXY", "HTTPS_PROXY") if name == "ALL_PROXY" else (name.upper(),)
    assert all(told[spelled] == "http://x:1" for one in meant for spelled in (one, one.lower()))
    assert told["NO_PROXY"] == told["no_proxy"] == "localhost,127.0.0.1,127.0.0.0/8,::1"
    # Where both are named, ALL_PROXY has nothing to add.
    assert told == told | child_env("regctl", told)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a b,.c", "a,b,.c,localhost,127.0.0.1,127.0.0.0/8,::1"),
        ("::1, localhost", "::1,localhost,127.0.0.1,127.0.0.0/8"),
        ("172.17.*", "172.17.0.0/16,localhost,127.0.0.1,127.0.0.0/8,::1"),
        ("a, *", "*"),
    ],
)
def test_no_proxy_is_completed(given: str, expected: str) -> None:
    assert network_env({"NO_PROXY": given})["no_proxy"] == expected


def test_without_settings_a_program_gets_none() -> None:
    assert child_env("regctl", {"PATH": "/bin"}) == {"PATH": "/bin", "LC_ALL": "C.UTF-8"}
    assert network_env({"PATH": "/bin"}) == {}


def test_places_of_certificates_do_not_depend_on_where_a_program_runs(tmp_path: Path) -> None:
    told = network_env({"SSL_CERT_FILE": "corp.pem", "SSL_CERT_DIR": f"a:{tmp_path}"})
    assert told["SSL_CERT_FILE"] == str(Path.cwd() / "corp.pem")
    assert told["SSL_CERT_DIR"] == f"{Path.cwd() / 'a'}:{tmp_path}"


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_what_pythons_clients_trust_go_trusts_too(name: str, tmp_path: Path) -> None:
    file = tmp_path / "corp.pem"
    file.touch()
    assert network_env({name: str(file)}) == {name: str(file), "SSL_CERT_FILE": str(file)}
    assert network_env({name: str(tmp_path)}) == {name: str(tmp_path), "SSL_CERT_DIR": str(tmp_path)}


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("SSL_CERT_FILE", "corp/any-name.pem"),
        ("SSL_CERT_DIR", "corp"),
        ("SSL_CERT_DIR", "missing:corp"),
        ("REQUESTS_CA_BUNDLE", "corp/any-name.pem"),
        ("REQUESTS_CA_BUNDLE", "corp"),
        ("CURL_CA_BUNDLE", "corp/any-name.pem"),
    ],
)
def test_files_and_folders_are_trusted_alike(authority: Path, name: str, where: str) -> None:
    env = {name: ":".join(str(authority / part) for part in where.split(":"))}
    assert (authority / "corp" / "any-name.pem").read_text().strip() in network.authorities(env)
    assert any("corporate" in str(one["subject"]) for one in network.tls(env).get_ca_certs())
    network.check(env)


def test_a_certificate_that_cannot_be_read_spoils_no_other(authority: Path) -> None:
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    (authority / "corp" / "a-broken-one.pem").write_text(broken)
    env = {"SSL_CERT_DIR": str(authority / "corp")}
    assert any("corporate" in str(one["subject"]) for one in network.tls(env).get_ca_certs())


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("content", [None, "no certificate", "-----BEGIN CERTIFICATE-----\nAA\n"])
def test_trust_that_cannot_be_had_is_a_wrong_setting(tmp_path: Path, name: str, content: str | None) -> None:
    place = tmp_path / "corp"
    if content is not None:
        place.write_text(content)
    with pytest.raises(UsageError, match=f"{name} is {place}"):
        network.check({name: str(place)})


@pytest.mark.parametrize(
    ("said", "again"),
    [
        ('Get "https://ghcr.io/v2/": proxyconnect tcp: dial tcp 10.0.0.1:3128: connect: refused', True),
        ('Get "https://ghcr.io/v2/": Proxy Authentication Required', False),
        ("unexpected status code 407 Proxy Authentication Required", False),
        ('Get "https://ghcr.io/v2/": Forbidden', False),
        ('Error: Get "https://ghcr.io/v2/": Bad Gateway; Get "http://ghcr.io/v2/": EOF', True),
        ("socks connect tcp 10.0.0.1:1080->ghcr.io:443: dial tcp: refused", True),
    ],
)
def test_a_proxy_is_blamed_for_what_a_go_program_met_there(said: str, again: bool) -> None:
    env = {"HTTPS_PROXY": "http://me:secret@10.0.0.1:3128"}
    error = network.blamed("it was not fetched", f"{said}\nwith http://me:secret@10.0.0.1", env)
    assert error is not None
    assert "10.0.0.1:3128 (HTTPS_PROXY)" in str(error)
    assert (error.again, error.exit_code) == (again, 4)
    assert "secret" not in str(error)
    assert network.blamed("it was not fetched", said, {}) is None


@pytest.mark.parametrize(
    "said",
    ["no signatures found", 'Get "https://ghcr.io/v2/": dial tcp: no such host', "status 403 Forbidden", ""],
)
def test_a_proxy_is_not_blamed_for_what_others_say(said: str) -> None:
    assert network.blamed("it was not fetched", said, {"HTTPS_PROXY": PROXY}) is None


def test_the_login_of_a_proxy_is_in_no_form_that_is_printed() -> None:
    proxy = proxy_for("https://ghcr.io/", {"HTTPS_PROXY": "http://me:secret@x:1"})
    assert proxy is not None
    assert "secret" not in f"{proxy!r} {proxy.shown} {proxy.failure('ghcr.io', 'no')}"
    assert proxy.authorization == "Basic bWU6c2VjcmV0"


# Those that speak to this machine alone, by its address.
ON_LOOPBACK = {
    "sealift.compare.running",
    "sealift.rehearsal.issuer",
    "sealift.rehearsal.sigstore",
    "sealift.services.service",
}
CONNECTING = re.compile(
    r"urlopen|urllib3\.(?:request|PoolManager|ProxyManager)\b|HTTPS?Connection\(|create_connection"
    r"|requests\.(?:Session|get|post|put|head|request)\("
)


def test_nothing_connects_but_by_the_policy() -> None:
    found = {name for name, text in sources().items() if CONNECTING.search(text)}
    assert found == {"sealift.tools.http", "sealift.services.ports", *ON_LOOPBACK}
    assert all("LOOPBACK" in sources()[name] or "127.0.0.1" in sources()[name] for name in ON_LOOPBACK)
