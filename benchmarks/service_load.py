"""What a thousand endpoints cost the service: CPU and memory of its process, from /proc.

    .venv/bin/python -m benchmarks.service_load [--tls] [--full] [--seconds 60]

The server that is asked runs in a process of its own, so that only the service is measured. It closes
no connection of its own accord; with --tls each check still makes a full handshake, as the service
opens a connection for every check. With --full each endpoint is first asked every second, until as many
of its results are kept as ever will be; then it is measured as without.
"""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import ipaddress
import json
import multiprocessing
import os
import platform
import re
import ssl
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.service.running import JSON, Caretaker, build

from sealift.provision.cache import cache_folder
from sealift.provision.go import find_go
from sealift.services.ports import LOOPBACK

ENDPOINTS = 1000
INTERVAL_SECONDS = 10
# The default of `history`: results that are kept of each endpoint.
KEPT = 100
# The first round fills what stays: buffers, rings, pages of the heap.
WARM_UP_SECONDS = 2 * INTERVAL_SECONDS
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok"
TICKS = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One run: what was asked for, and what the process used meanwhile."""

    scheme: str
    endpoints: int
    interval_seconds: int
    seconds: float
    checks: int
    failed: int
    kept: int
    cpu_share: float
    rss_mib: float
    rss_peak_mib: float
    date: str
    machine: str


@dataclass(frozen=True, kw_only=True)
class Moment:
    """The counters at one time."""

    at: float
    cpu_seconds: float
    checks: Counter[str]
    failed: int

    @property
    def kept(self) -> int:
        """How many results are in the rings of all endpoints."""
        return sum(min(count, KEPT) for count in self.checks.values())


def cpu_seconds(pid: int) -> float:
    """Return the user and system time that a process has used."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / TICKS


def memory(pid: int, field: str) -> float:
    """Return VmRSS or VmHWM of a process, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None, f"/proc/{pid}/status has no {field}"  # noqa: S101
    return int(found[1]) * 1024 / MIB


def moment(caretaker: Caretaker) -> Moment:
    """Read all counters; the metrics first, since telling them costs the service a little."""
    lines = caretaker.metrics().splitlines()
    checks: Counter[str] = Counter()
    failed = 0
    for line in lines:
        if found := re.match(r'\w+_checks_total\{endpoint="(.+)",result="(\w+)"\} (\S+)', line):
            count = int(float(found[3]))
            checks[found[1]] += count
            failed += count if found[2] != "ok" else 0
    return Moment(
        at=time.monotonic(), cpu_seconds=cpu_seconds(caretaker.process.pid), checks=checks, failed=failed
    )


def certificate(folder: Path) -> Path:
    """Write a key and a certificate for loopback into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server to ask")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))]), False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


def serve(pem: Path | None, tell: Connection) -> None:
    """Answer every request well, until this process is ended."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(ANSWER)
                await writer.drain()
        writer.close()

    async def main() -> None:
        context = None
        if pem is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(pem)
        server = await asyncio.start_server(answer, LOOPBACK, 0, ssl=context, backlog=ENDPOINTS)
        tell.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


@contextlib.contextmanager
def asked(pem: Path | None) -> Iterator[str]:
    """Run the server that is asked, and give its address."""
    heard, tell = multiprocessing.Pipe(duplex=False)
    server = multiprocessing.Process(target=serve, args=(pem, tell), daemon=True)
    server.start()
    try:
        yield f"{'http' if pem is None else 'https'}://{LOOPBACK}:{heard.recv()}"
    finally:
        server.terminate()
        server.join()


def config(url: str, *, every: int) -> JSON:
    """Watch the same server a thousand times, every so many seconds."""
    return {
        "endpoints": [
            {"name": f"endpoint-{i}", "url": f"{url}/{i}", "interval": f"{every}s"} for i in range(ENDPOINTS)
        ]
    }


def fill(caretaker: Caretaker, url: str) -> None:
    """Wait until all rings are full, then let it watch at the usual interval."""
    while moment(caretaker).kept < ENDPOINTS * KEPT:
        time.sleep(INTERVAL_SECONDS)
    new = caretaker.folder / "config.json.new"
    new.write_text(json.dumps(config(url, every=INTERVAL_SECONDS)), encoding="utf-8")
    new.replace(caretaker.folder / "config.json")
    while caretaker.ask("api/v1/status")["config"]["reloads"] == 0:
        time.sleep(0.1)


def measure(*, tls: bool, full: bool, seconds: int) -> Measured:
    """Let the service watch for a while, and look at its process before and after."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        binary = build(folder, find_go(cache=cache_folder()).path)
        pem = certificate(folder) if tls else None
        trusting = {} if pem is None else {"SSL_CERT_FILE": str(pem)}
        every = 1 if full else INTERVAL_SECONDS
        with (
            asked(pem) as url,
            Caretaker.start(binary, folder, config(url, every=every), env=trusting) as caretaker,
        ):
            if full:
                fill(caretaker, url)
            time.sleep(WARM_UP_SECONDS)
            before = moment(caretaker)
            time.sleep(seconds)
            after = moment(caretaker)
            return result(url.partition(":")[0], before, after, caretaker.process.pid)


def result(scheme: str, before: Moment, after: Moment, pid: int) -> Measured:
    """Put two moments together."""
    passed = after.at - before.at
    return Measured(
        scheme=scheme,
        endpoints=ENDPOINTS,
        interval_seconds=INTERVAL_SECONDS,
        seconds=round(passed, 1),
        checks=after.checks.total() - before.checks.total(),
        failed=after.failed - before.failed,
        kept=after.kept,
        cpu_share=round((after.cpu_seconds - before.cpu_seconds) / passed, 4),
        rss_mib=round(memory(pid, "VmRSS"), 1),
        rss_peak_mib=round(memory(pid, "VmHWM"), 1),
        date=dt.datetime.now(dt.UTC).date().isoformat(),
        machine=machine(),
    )


def machine() -> str:
    """Describe this machine in a line, with what else it did meanwhile."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    processor = f"{os.cpu_count()} x {model[1] if model else platform.machine()}"
    return f"{processor}, Linux {platform.release()}, load average {os.getloadavg()[0]:.1f}"


def table(measured: Measured) -> str:
    """Return the result as a small Markdown table."""
    m = measured
    head = "| scheme | endpoints | every | measured for | checks (failed) | kept | CPU | RSS | peak |"
    row = (
        f"| {m.scheme} | {m.endpoints} | {m.interval_seconds} s | {m.seconds} s | {m.checks} ({m.failed})"
        f" | {m.kept} | {m.cpu_share:.1%} | {m.rss_mib} MiB | {m.rss_peak_mib} MiB |"
    )
    return f"{head}\n|{'---|' * 9}\n{row}\n\n{m.date}, {m.machine}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tls", action="store_true", help="ask by HTTPS, with a full handshake each time")
    parser.add_argument("--full", action="store_true", help="fill the rings of results first; takes minutes")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--json", type=Path, default=Path("build/service-load.json"))
    chosen = parser.parse_args()
    measured = measure(tls=chosen.tls, full=chosen.full, seconds=chosen.seconds)
    print(table(measured))
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(json.dumps(asdict(measured), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
