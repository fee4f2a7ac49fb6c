"""Smoke: each platform's image is started as a careful operator would, asked, and stopped."""

from __future__ import annotations

import http
import math
import secrets
import time

from sealift.model.evidence import Built, Smoked
from sealift.model.names import Digest, Platform
from sealift.model.plan import Cell, Plan
from sealift.model.world import Base
from sealift.process import ProgramFailedError
from sealift.services.ports import free_ports
from sealift.services.service import status_of
from sealift.services.supervised import Supervised
from sealift.stations.gate import Looks
from sealift.stations.readings import look_files, look_settings
from sealift.tools.engine import Engine, cannot_start
from sealift.tools.layout import Layout

HEALTH_PORT = 8080
METRICS_PORT = 9091
# "Cannot be executed" and "not found", as engines report them; 125 would be the engine's own trouble.
CANNOT_RUN = frozenset({126, 127})


def smoke(
    cell: Cell,
    plan: Plan,
    built: Built,
    *,
    layout: Layout,
    layouts: str,
    base: Base,
    engine: Engine,
    guard: Supervised,
) -> Smoked:
    """Start one cell hardened; it must answer, tell its version, stop in time, and hold no shell.

    ``layout`` is the image's own, ``base`` what it stands on; ``guard`` removes what we cannot when we are
    killed.
    """
    digest = Digest(built.platforms[str(cell.platform)].digest)
    image = f"{layouts}/{cell.variant}@{digest}"
    looks = Looks("smoke", str(cell))
    engine.keep_layers(base.layout, base.digest, cell.platform)
    name = f"sealift-{cell.slug}-{secrets.token_hex(4)}"
    with guard.owing(image, engine.image_removal(image)):
        engine.pull(image, cell.platform)
        look_settings(looks, plan, cell.platform, engine, image, (layout, digest))
        with guard.owing(name, engine.removal(name)):
            said, started, stopped = _look_service(looks, plan, engine, image, cell.platform, name)
            if stopped:
                look_files(looks, engine, name, (layout, digest))
    gates = looks.done(
        means="the image does not run as it would in production",
        next_step=f"{engine.name} run --rm --read-only --cap-drop=ALL {image}",
    )
    return Smoked(
        gates=gates,
        digest=digest,
        runtime=engine.name,
        version_output=said,
        start_seconds=started,
        stop_seconds=stopped,
    )


def _look_service(
    looks: Looks, plan: Plan, engine: Engine, image: str, platform: Platform, name: str
) -> tuple[str, float, float]:
    """Start it, look, and stop it; return what -version says, and the seconds to start and to stop."""
    with free_ports(2) as held:
        health, metrics = held.release()
    begin = time.monotonic()
    try:
        engine.start_whole(image, platform, name, {HEALTH_PORT: health, METRICS_PORT: metrics})
    except ProgramFailedError as error:
        if (why := cannot_start(error)) is None:
            raise
        looks.refused(f"{engine.name} cannot start it: {why}")
        return "", 0, 0
    for path, port in (("/healthz", health), ("/readyz", health), ("/metrics", metrics)):
        answer = ask(port, path, begin + plan.config.gates.start_seconds)
        looks.equal(path, expected=200, got=answer)
    started = time.monotonic() - begin
    # In the container that is there: two more would take longer than the service itself.
    said = _look_version(looks, plan, engine, name)
    # Where nothing can be run, that a shell cannot says nothing; and -version has refused already.
    if said:
        _look_for_a_shell(looks, engine, name)
    begin = time.monotonic()
    _look_stop(looks, engine, name, math.ceil(plan.config.gates.stop_seconds))
    return said, round(started, 3), round(time.monotonic() - begin, 3)


def _look_version(looks: Looks, plan: Plan, engine: Engine, name: str) -> str:
    """Return what it says, or nothing where it could not be asked."""
    done = engine.execute(name, f"/{plan.config.service}", "-version")
    looks.true(
        done.returncode == 0 and str(plan.version) in done.stdout.split(),
        f"-version says {plan.version}",
        f"-version: expected {plan.version}, got status {done.returncode}: {done.stdout} {done.stderr}",
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def _look_for_a_shell(looks: Looks, engine: Engine, name: str) -> None:
    shell = engine.execute(name, "sh", "-c", "true")
    looks.true(
        shell.returncode in CANNOT_RUN,
        f"sh cannot be run (status {shell.returncode})",
        f"sh: expected that it cannot be run, got status {shell.returncode}: {shell.stderr}",
    )


def _look_stop(looks: Looks, engine: Engine, name: str, limit: int) -> None:
    status = engine.stop(name, limit)
    looks.true(
        status == 0,
        f"SIGTERM ended it within {limit} s with status 0",
        f"SIGTERM did not end it within {limit} s with status 0: {status}\n{engine.logs(name)}",
    )


def ask(port: int, path: str, deadline: float) -> int | str:
    """Ask until 200 or the deadline (monotonic seconds), at least once; return the last status or trouble."""
    while (last := status_of(port, path, seconds=2)) != http.HTTPStatus.OK and time.monotonic() <= deadline:
        time.sleep(0.05)
    return last
