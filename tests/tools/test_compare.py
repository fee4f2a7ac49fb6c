"""A tiny image, measured for real: made here, scanned by Trivy, started by the engine."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from sealift.compare.kinds import Service, fetched, on_top
from sealift.compare.measure import Bench, measure, this_platform
from sealift.errors import OutsideError
from sealift.process import run
from sealift.provision.cache import cache_folder
from sealift.rehearsal import advisories
from sealift.rehearsal.oci_writer import LayerTar
from sealift.services.ports import free_ports
from sealift.services.registry import layouts_registry
from sealift.services.supervised import Supervised
from sealift.tools import engine
from sealift.tools.registry import Registry

pytestmark = pytest.mark.programs

ADVISORIES = Path(__file__).parents[2] / "ci" / "advisories.yaml"
SERVER = """package main

import "net/http"

func main() {
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) })
	panic(http.ListenAndServe(":8080", nil))
}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    folder = tmp_path_factory.mktemp("server")
    (folder / "go.mod").write_text("module example.test/server\n\ngo 1.24\n", encoding="utf-8")
    (folder / "main.go").write_text(SERVER, encoding="utf-8")
    run(["env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-o", "server", "."], cwd=folder)
    return Service(
        path="/server", binary=(folder / "server").read_bytes(), config={"Entrypoint": ["/server"]}
    )


def system() -> LayerTar:
    return LayerTar().file("bin/sh", b"\x7fELF", 0o755).file("bin/su", b"\x7fELF", 0o4755)


def test_a_tiny_image_is_measured(service: Service, tmp_path: Path) -> None:
    platform = this_platform()
    found = engine.find(cache_folder() / "locks")
    bench = Bench(
        folder=tmp_path, platform=platform, engine=found, database=tmp_path / "trivy", starts=2, looks=1
    )
    advisories.write_trivy_database(advisories.load(ADVISORIES), bench.database, datetime.now(UTC))
    kind = on_top("debian", [system().pack()], service, platform, tmp_path)
    measured = measure([kind], bench)["debian"]
    assert measured.digest == kind.image[1]
    assert measured.contents.total.unpacked == measured.contents.base.unpacked + len(service.binary)
    assert (measured.contents.programs, measured.contents.setuid, measured.contents.shells) == (3, 1, ("sh",))
    assert len(measured.running.starts) == 2
    assert 0 < measured.start < 30
    assert 1_000_000 < measured.rss < 100_000_000
    assert 100_000 < measured.cgroup < 100_000_000
    assert measured.requests_per_second > 1


def test_a_published_system_is_fetched_and_one_that_is_not_there_is_said_so(
    service: Service, tmp_path: Path
) -> None:
    platform = this_platform()
    on_top("alpine", [system().pack()], service, platform, tmp_path / "made")
    with free_ports(1) as held, Supervised(log=tmp_path / "logs" / "supervisor.log") as services:
        (port,) = held.release()
        log = tmp_path / "logs" / "registry.log"
        services.start([layouts_registry(tmp_path / "made" / "bases", port, log=log)])
        registry = Registry(plain_http=(f"localhost:{port}",))
        layers = fetched(f"localhost:{port}/alpine:compared", platform, tmp_path / "got", registry)
        assert layers == [system().pack()]
        with pytest.raises(OutsideError):
            fetched(f"localhost:{port}/absent:1", platform, tmp_path / "none", registry)
