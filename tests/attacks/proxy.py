"""A registry that fails: it stands before a real one and answers some of the questions itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sealift.services.ports import free_ports
from tests.faults import outside
from tests.faults.fault import Fault, Kind, Reply, Request
from tests.faults.proxy import Met, Proxy

# Given a path, what it answers in the registry's stead; None lets the registry answer.
Answer = Callable[[str], tuple[int, bytes] | None]


class Answering(Proxy):
    """Asks for each path what is answered to it."""

    def __init__(self, answer: Answer, *, front: int, behind: int) -> None:
        self._answer = answer
        super().__init__(front=front, behind=behind, dialect=outside.registry)

    def meet(self, request: Request) -> Met | None:
        """Ask, for each request once."""
        if (told := self._answer(request.path)) is None:
            return None
        status, body = told
        return Met(Fault(kind=Kind.STATUS, code=status, reply=Reply(status=status, body=body)))


@contextmanager
def before(host: str, answer: Answer) -> Iterator[str]:
    """Start it before ``localhost:port`` and give its own address."""
    (port,) = free_ports(1).release()
    with Answering(answer, front=port, behind=int(host.rpartition(":")[2])):
        yield f"localhost:{port}"
