"""Run a graph of nodes: what is ready runs in parallel, longest chains first, and nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from sealift import console, process
from sealift.errors import DefectError, ManyErrors, SealiftError


@dataclass(frozen=True, kw_only=True)
class Node:
    """One station about one subject. ``needs`` holds the names of the nodes that must have passed."""

    station: str
    subject: str
    needs: tuple[str, ...]
    action: Callable[[], None]

    @property
    def name(self) -> str:
        """The node's name in the graph."""
        return f"{self.station}:{self.subject}"


@dataclass
class Timed:
    """When a node could start, did, and ended, in monotonic seconds, and what it ran."""

    node: Node
    ready: float
    start: float = 0.0
    end: float = 0.0
    programs: list[process.Ran] = field(default_factory=list)


def chains(nodes: Sequence[Node]) -> dict[str, int]:
    """Return for each node how many nodes stand on it, one above the other."""
    above: dict[str, list[str]] = {n.name: [] for n in nodes}
    for node in nodes:
        for need in node.needs:
            if need not in above:
                raise DefectError(f"{node.name} needs {need}, which is not in the graph")
            above[need].append(node.name)
    lengths: dict[str, int] = {}

    def length(name: str, path: tuple[str, ...]) -> int:
        if name in path:
            raise DefectError(f"the graph has a circle: {' -> '.join((*path, name))}")
        if name not in lengths:
            lengths[name] = 1 + max((length(n, (*path, name)) for n in above[name]), default=0)
        return lengths[name]

    for node in nodes:
        length(node.name, ())
    return lengths


class Schedule:
    """One run of a graph; ``times`` holds every node that ran, also when one failed."""

    def __init__(self, nodes: Sequence[Node], *, workers: int) -> None:
        self.nodes = {n.name: n for n in nodes}
        self.lengths = chains(nodes)
        self.workers = workers
        self.times: dict[str, Timed] = {}
        self.failures: dict[str, SealiftError] = {}

    def run(self) -> None:
        """Run every node; what does not need a failed one still runs, then all failures are raised."""
        waiting = dict(self.nodes)
        done: set[str] = set()
        running: dict[Future[None], str] = {}
        with ThreadPoolExecutor(self.workers, thread_name_prefix="line") as pool:
            try:
                while waiting or running:
                    for node in self._ready(waiting, done):
                        if len(running) >= self.workers:
                            break
                        del waiting[node.name]
                        running[pool.submit(self._run_node, node)] = node.name
                    if not running:
                        break
                    finished, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in finished:
                        name = running.pop(future)
                        future.result()
                        if name not in self.failures:
                            done.add(name)
            except BaseException:
                # Threads cannot be interrupted: ending their programs ends them.
                process.end_all()
                raise
        if self.failures:
            raise ManyErrors(list(self.failures.values()))

    def _ready(self, waiting: dict[str, Node], done: set[str]) -> list[Node]:
        ready = [n for n in waiting.values() if done.issuperset(n.needs)]
        now = time.monotonic()
        for node in ready:
            self.times.setdefault(node.name, Timed(node, ready=now))
        return sorted(ready, key=lambda n: -self.lengths[n.name])

    def _run_node(self, node: Node) -> None:
        timed = self.times[node.name]
        timed.start = time.monotonic()
        with process.recording() as recorder:
            try:
                node.action()
            except SealiftError as error:
                self.failures[node.name] = error
            finally:
                timed.end = time.monotonic()
                timed.programs = recorder.runs
        mark = _mark(self.failures.get(node.name))
        console.say(f"  {node.station:<8} {node.subject:<20} {mark:<8} {timed.end - timed.start:5.1f} s")


def _mark(failure: SealiftError | None) -> str:
    if failure is None:
        return "ok"
    return "refused" if failure.is_refusal else "failed"
