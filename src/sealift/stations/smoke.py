"""Smoke: each platform's image is started as a careful operator would, asked, and stopped."""

from __future__ import annotations

import math
import secrets
import time
import urllib.error
import urllib.request

from sealift.model.evidence import Built, Smoked
from sealift.model.names import Digest
from sealift.model.plan import Cell, Plan
from sealift.services.ports import LOOPBACK, free_ports
from sealift.stations.gate import Looks
from sealift.tools.engine import Engine

HEALTH_PORT = 8080
METRICS_PORT = 9091
# "Cannot be executed" and "not found", as engines report them; 125 would be the engine's own trouble.
CANNOT_RUN = frozenset({126, 127})


def smoke(cell: Cell, plan: Plan, built: Built, *, layouts: str, engine: Engine) -> Smoked:
    """Start one cell hardened; it must answer, tell its version, stop in time, and hold no shell."""
    digest = built.platforms[str(cell.platform)].digest
    image = f"{layouts}/{cell.variant}@{digest}"
    looks = Looks("smoke", str(cell))
    engine.pull(image, cell.platform)
    try:
        said = _look_version(looks, plan, engine, cell, image)
        shell = engine.once(image, cell.platform, ["-c", "true"], entrypoint="sh")
        looks.true(
            shell.returncode in CANNOT_RUN,
            f"sh cannot be run (status {shell.returncode})",
            f"sh ran and ended with status {shell.returncode}",
        )
        started, stopped = _look_service(looks, plan, engine, cell, image)
    finally:
        engine.remove(image=image)
    gates = looks.done(
        means="the image does not run as it would in production",
        next_step=f"{engine.name} run --rm --read-only --cap-drop=ALL {image}",
    )
    return Smoked(
        gates=gates,
        digest=Digest(digest),
        runtime=engine.name,
        version_output=said,
        start_seconds=started,
        stop_seconds=stopped,
    )


def _look_version(looks: Looks, plan: Plan, engine: Engine, cell: Cell, image: str) -> str:
    done = engine.once(image, cell.platform, ["-version"])
    words = done.stdout.split()
    looks.true(
        done.returncode == 0 and str(plan.version) in words,
        f"-version says {plan.version}",
        f"-version: expected {plan.version}, got status {done.returncode}: {done.stdout} {done.stderr}",
    )
    return done.stdout.strip()


def _look_service(looks: Looks, plan: Plan, engine: Engine, cell: Cell, image: str) -> tuple[float, float]:
    name = f"sealift-{cell.slug}-{secrets.token_hex(4)}"
    with free_ports(2) as held:
        health, metrics = held.release()
    begin = time.monotonic()
    try:
        engine.start(image, cell.platform, name, {HEALTH_PORT: health, METRICS_PORT: metrics})
        for path, port in (("/healthz", health), ("/readyz", health), ("/metrics", metrics)):
            answer = ask(f"http://{LOOPBACK}:{port}{path}", begin + plan.config.gates.start_seconds)
            looks.equal(path, expected=200, got=answer)
        started = time.monotonic() - begin
        limit = math.ceil(plan.config.gates.stop_seconds)
        begin = time.monotonic()
        status = engine.stop(name, limit)
        stopped = time.monotonic() - begin
        looks.true(
            status == 0,
            f"SIGTERM ended it within {limit} s with status 0",
            f"SIGTERM did not end it within {limit} s with status 0: {status}\n{engine.logs(name)}",
        )
    finally:
        engine.remove(container=name)
    return round(started, 3), round(stopped, 3)


def ask(url: str, deadline: float) -> int | str:
    """Ask until 200 or the deadline (monotonic seconds), at least once; return the last status or trouble."""
    while True:
        last: int | str
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - loopback, port from the engine
                return int(answer.status)
        except urllib.error.HTTPError as error:
            last = error.code
        except OSError as error:
            last = str(error)
        if time.monotonic() > deadline:
            return last
        time.sleep(0.05)
