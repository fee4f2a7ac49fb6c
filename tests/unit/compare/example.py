"""A comparison that was never measured, in round numbers."""

from __future__ import annotations

from collections.abc import Sequence

from sealift.compare.claims import MEGA, judge
from sealift.compare.values import (
    Advisories,
    Comparison,
    Contents,
    Machine,
    Measured,
    NotMeasured,
    Running,
    Size,
)
from sealift.model.names import Digest, Platform

SIZES = {"static": (2, 14), "base": (20, 34), "debian": (100, 114)}


def kind(
    name: str,
    *,
    sizes: tuple[float, float] | None = None,
    starts: Sequence[float] = (0.2,),
    rss: int = 10,
    rates: Sequence[float] = (1000, 1000),
) -> Measured:
    base, total = (round(s * MEGA) for s in sizes or SIZES[name])
    return Measured(
        kind=name,
        title=name.title(),
        digest=Digest(f"sha256:{'0' * 64}"),
        contents=Contents(
            base=Size(compressed=base // 2, unpacked=base),
            total=Size(compressed=total // 2, unpacked=total),
            files=1234,
            packages=5,
            programs=1,
            setuid=0,
            shells=("sh", "bash") if name == "debian" else (),
            package_managers=(),
        ),
        findings={"LOW": 2, "HIGH": 1} if name == "debian" else {},
        running=Running(
            starts=tuple(starts),
            cgroup=(3 * MEGA, 5 * MEGA, 4 * MEGA),
            rss=(rss * MEGA,),
            requests_per_second=tuple(rates),
        ),
    )


TRIVYS = Advisories(source="Trivy's database", date="2026-11-23")


def comparison(*kinds: Measured, known: Advisories = TRIVYS) -> Comparison:
    found = kinds or tuple(kind(name) for name in SIZES)
    return Comparison(
        date="2026-11-24",
        version="1.2.3",
        commit="c" * 40,
        platform=Platform("linux/amd64"),
        machine=Machine(
            processor="A & B", cores=2, memory=8 * 2**30, kernel="6.1", engine="podman 4.3", load=1.5
        ),
        advisories=known,
        kinds=(*found, NotMeasured(kind="alpine", title="Alpine", why="it could not be fetched")),
        verdicts=judge({k.kind: k for k in found}),
    )
