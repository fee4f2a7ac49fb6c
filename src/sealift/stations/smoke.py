"""Smoke: each platform's image is started as a careful operator would, asked, and stopped."""

from __future__ import annotations

import math
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sealift import process
from sealift.model.evidence import Built, Smoked
from sealift.model.names import Digest
from sealift.model.plan import Cell, Plan
from sealift.model.world import Base
from sealift.services.ports import LOOPBACK, free_ports
from sealift.services.supervised import Supervised
from sealift.stations.gate import Looks
from sealift.tools.engine import Engine

HEALTH_PORT = 8080
METRICS_PORT = 9091
# "Cannot be executed" and "not found", as engines report them; 125 would be the engine's own trouble.
CANNOT_RUN = frozenset({126, 127})


def smoke(
    cell: Cell, plan: Plan, built: Built, *, layouts: str, base: Base, engine: Engine, guard: Supervised
) -> Smoked:
    """Start one cell hardened; it must answer, tell its version, stop in time, and hold no shell.

    ``base`` is what the image stands on; ``guard`` removes what we cannot when we are killed.
    """
    digest = built.platforms[str(cell.platform)].digest
    image = f"{layouts}/{cell.variant}@{digest}"
    looks = Looks("smoke", str(cell))
    trial = Trial(engine=engine, guard=guard, image=image, cell=cell)
    engine.keep_layers(base.layout, base.digest, cell.platform)
    guard.owe(image, engine.image_removal(image))
    engine.pull(image, cell.platform)
    try:
        said = _look_version(looks, plan, trial)
        _look_for_a_shell(looks, trial)
        started, stopped = _look_service(looks, plan, trial)
    finally:
        engine.remove_image(image)
        guard.paid(image)
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


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One image on trial, in an engine."""

    engine: Engine
    guard: Supervised
    image: str
    cell: Cell

    @contextmanager
    def container(self) -> Iterator[str]:
        """Give a container's name; whatever has it is removed at the end, also when we are killed."""
        name = self._name()
        self.guard.owe(name, self.engine.removal(name))
        try:
            yield name
        finally:
            self.engine.remove(name)
            self.guard.paid(name)

    def once(self, *words: str, entrypoint: str = "") -> process.Completed:
        """Run the image to its end, which takes the container with it."""
        name = self._name()
        self.guard.owe(name, self.engine.removal(name))
        done = self.engine.once(self.image, self.cell.platform, words, name=name, entrypoint=entrypoint)
        # Of one whose engine was ended by us nobody knows how far it came.
        process.go_on()
        self.guard.paid(name)
        return done

    def _name(self) -> str:
        return f"sealift-{self.cell.slug}-{secrets.token_hex(4)}"


def _look_version(looks: Looks, plan: Plan, trial: Trial) -> str:
    done = trial.once("-version")
    words = done.stdout.split()
    looks.true(
        done.returncode == 0 and str(plan.version) in words,
        f"-version says {plan.version}",
        f"-version: expected {plan.version}, got status {done.returncode}: {done.stdout} {done.stderr}",
    )
    return done.stdout.strip()


def _look_for_a_shell(looks: Looks, trial: Trial) -> None:
    shell = trial.once("-c", "true", entrypoint="sh")
    looks.true(
        shell.returncode in CANNOT_RUN,
        f"sh cannot be run (status {shell.returncode})",
        f"sh ran and ended with status {shell.returncode}",
    )


def _look_service(looks: Looks, plan: Plan, trial: Trial) -> tuple[float, float]:
    engine = trial.engine
    with free_ports(2) as held:
        health, metrics = held.release()
    with trial.container() as name:
        begin = time.monotonic()
        ports = {HEALTH_PORT: health, METRICS_PORT: metrics}
        engine.start(trial.image, trial.cell.platform, name, ports)
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
