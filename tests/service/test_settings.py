"""The environment of the service: what Kubernetes, docker and proxies put there."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.service.running import JSON, Caretaker
from tests.service.target import Target

pytestmark = pytest.mark.programs

LINK = "tcp://10.96.0.10:80"
NO_PROXIES = dict.fromkeys(
    ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "REQUEST_METHOD"), ""
)


@pytest.mark.parametrize("name", ["WEB_PORT", "METRICS_PORT", "CONFIG_FILE", "LOG_FORMAT"])
@pytest.mark.parametrize("prefix", ["", "HEALTH_CARETAKER_"])
def test_service_starts_beside_a_kubernetes_service_of_that_name(
    binary: Path, tmp_path: Path, prefix: str, name: str
) -> None:
    with Caretaker.start(binary, tmp_path, {"endpoints": []}, env={prefix + name: LINK}) as caretaker:
        log = (caretaker.folder / "log").read_text(encoding="utf-8")
        warned = [json.loads(line)["msg"] for line in log.splitlines() if '"WARN"' in line]
        assert [line.partition(" is ignored")[0] for line in warned] == [prefix + name]
        asked = subprocess.run(
            [binary, "-healthcheck", f"-web-port={caretaker.port}"],
            capture_output=True,
            text=True,
            env={**os.environ, prefix + name: LINK},
            check=False,
        )
    assert asked.returncode == 0
    assert f"warning: {prefix}{name} is ignored" in asked.stderr


def _last(caretaker: Caretaker, name: str) -> tuple[str, str]:
    last: JSON = caretaker.ask(f"api/v1/endpoints/{name}")["last"]
    return last["result"], last.get("error", "")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        (
            "HTTP_PROXY",
            "http://127.0.0.1:9",
            "the proxy http://127.0.0.1:9 cannot be reached: connection refused",
        ),
        (
            "http_proxy",
            " 127.0.0.1:9\n",
            "the proxy http://127.0.0.1:9 cannot be reached: connection refused",
        ),
        ("HTTP_PROXY", "socks5://u:s3cret@127.0.0.1:9", "the proxy socks5://127.0.0.1:9 cannot be reached"),
        ("HTTP_PROXY", "http://u:s3cret#@127.0.0.1:9", "the proxy that HTTP_PROXY names cannot be used"),
        ("http_proxy", "http://127.0.0.1:http", "the proxy that http_proxy names cannot be used"),
        ("HTTP_PROXY", "socks4://127.0.0.1:9", "the proxy that HTTP_PROXY names cannot be used"),
        (
            "HTTP_PROXY",
            "http://",
            "the proxy that HTTP_PROXY names cannot be used: its address names no host",
        ),
    ],
)
def test_proxy_that_does_not_work_is_named_and_no_proxy_still_holds(
    binary: Path, target: Target, tmp_path: Path, variable: str, value: str, said: str
) -> None:
    config = {
        "endpoints": [
            {"name": "outside", "url": "http://192.0.2.1/", "timeout": "5s"},
            {"name": "exempt", "url": "http://no..such..name/"},
            {"name": "loopback", "url": f"{target.url}/loopback"},
        ]
    }
    env = {**NO_PROXIES, variable: value, "no_proxy": "example.org, no..such..name"}
    with Caretaker.start(binary, tmp_path, config, env=env) as caretaker:
        result, error = _last(caretaker, "outside")
        assert result == "proxy"
        assert error.startswith(said)
        assert _last(caretaker, "exempt") == ("dns", "no such host: no..such..name")
        assert _last(caretaker, "loopback") == ("ok", "")
        assert 'endpoint="outside",result="proxy"} 1' in caretaker.metrics()
        assert "s3cret" not in error + (caretaker.folder / "log").read_text(encoding="utf-8")


def test_no_secret_of_an_address_is_shown_anywhere(binary: Path, tmp_path: Path) -> None:
    urls = [
        "http://user:s3cret@127.0.0.1:9/?token=s3cret",
        "http://s3cret-token@127.0.0.1:9/?s3cret#s3cret",
        "http://user:p%40s3cret@127.0.0.1:9/?a=1;sig=s3cret&sig=%73s3cret%zz",
    ]
    endpoints = [
        {"name": f"e{i}", "url": url, "headers": {"X-Api-Key": "s3cret"}, "body": "s3cret"}
        for i, url in enumerate(urls)
    ]
    with Caretaker.start(binary, tmp_path, {"endpoints": endpoints}, env=NO_PROXIES) as caretaker:
        shown = json.dumps([caretaker.ask("api/v1/endpoints"), caretaker.ask("api/v1/endpoints/e0/history")])
        shown += caretaker.metrics() + (caretaker.folder / "log").read_text(encoding="utf-8")
        assert [e["url"] for e in caretaker.ask("api/v1/endpoints")["endpoints"]] == [
            "http://user:xxxxx@127.0.0.1:9/?token=xxxxx",
            "http://xxxxx@127.0.0.1:9/?xxxxx",
            "http://user:xxxxx@127.0.0.1:9/?a=xxxxx&sig=xxxxx&sig=xxxxx",
        ]
    assert "s3cret" not in shown
