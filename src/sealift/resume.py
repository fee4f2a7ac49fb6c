"""What is left to do for a release: all of it or, where it is out, a look whether it is still as it was.

if may_be_out(line):
    stations = remaining(line)
"""

from __future__ import annotations

import msgspec

from sealift.errors import SealiftError
from sealift.line import STATIONS, Line
from sealift.stations import sign
from sealift.stations.push import missing

LOOKING = ("sign", "verify", "draft", "promote")


def may_be_out(line: Line) -> bool:
    """Tell whether the run folder says that all of this was done before; nobody else is asked."""
    return not line.plan.modified and all(line.run.has(n.station, n.subject) for n in line.nodes())


def remaining(line: Line) -> tuple[str, ...]:
    """Return the stations that have something to do: all, or where this very release is out, few.

    A signature is made after every gate before it has passed. Where the version's tags name the images
    of the run folder's evidence, and all that is said of them is signed, those gates passed for them.
    """
    return LOOKING if may_be_out(line) and _is_out(line) else STATIONS


def _is_out(line: Line) -> bool:
    registry = line.clients.registry
    try:
        for variant, config in line.plan.config.variants.items():
            repository, digest = line.world.repository(config.repository), line.built(variant).digest
            tagged = repository.tagged(line.plan.version.version_tag)
            if registry.head(tagged) != digest or missing(repository, digest, registry):
                return False
        # A station that ran again since has left evidence that those after it were not made from.
        line.chain().check(f"promote:{line.plan.version}")
        return sign.complete(line.statements(), registry, line.clients.verifier())
    except (SealiftError, OSError, msgspec.MsgspecError):
        # Whatever is in the way is told by the station that it belongs to; a file that is gone is made again.
        return False
