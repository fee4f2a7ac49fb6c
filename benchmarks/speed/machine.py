"""Under which circumstances it was measured."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from benchmarks.speed.values import Figure, Machine, Measured, Part
from sealift.provision.cache import cache_folder
from sealift.provision.go import find_go
from sealift.provision.recipe import read_recipe
from sealift.tools import git

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "build" / "bench"
PROGRAMS = ("buildkitd", "docker-buildx", "cosign", "regctl", "olareg", "trivy", "fulcio", "rekor1", "tsa")
_KIB_IN_GIB = 1 << 20


def machine() -> Machine:
    """Describe this machine."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text("utf-8"), re.MULTILINE)
    return Machine(
        cpu=model[1] if model else platform.machine(),
        cores=os.cpu_count() or 1,
        memory_gib=round(int(memory[1]) / _KIB_IN_GIB, 1) if memory else 0.0,
        system=f"{_distribution()}, Linux {platform.release()}",
    )


def versions() -> dict[str, str]:
    """Say which programs worked."""
    return {
        "Python": platform.python_version(),
        "Go": find_go(cache=cache_folder()).version,
        **{name: read_recipe(name).version for name in PROGRAMS},
    }


def commit() -> str:
    """Say which sealift was measured."""
    return git.head(ROOT)[:12]


def measured(
    figures: tuple[Figure, ...], lists: Mapping[str, tuple[Part, ...]] = MappingProxyType({})
) -> Measured:
    """Put figures and lists together with the circumstances."""
    return Measured(
        date=dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
        machine=machine(),
        commit=commit(),
        versions=versions(),
        load_average=round(os.getloadavg()[2], 2),
        figures=figures,
        lists=dict(lists),
    )


def _distribution() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
