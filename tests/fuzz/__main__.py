"""Let atheris (libFuzzer for Python) look for bytes that break a reader.

    python -m tests.fuzz                     every reader, half a minute each
    python -m tests.fuzz elf layer 3600      two of them at once, an hour each
    python -m tests.fuzz elf build/fuzz/elf/crash-1234    once more with what was found

What was learned stays in build/fuzz/READER/corpus for the next time; what breaks a reader, beside it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from sealift.console import result
from tests.fuzz.readers import READERS, ROOT

FOLDER = ROOT / "build" / "fuzz"
SECONDS = 30
# Megabytes; Python, sigstore and the instrumented code take 200 of them.
MOST_MEMORY = 1024
LIMITS = (f"-rss_limit_mb={MOST_MEMORY}", "-timeout=1200", "-max_len=131072", "-print_final_stats=1")
_RUNS = re.compile(r"stat::number_of_executed_units: *(\d+)")
_EDGES = re.compile(r"cov: (\d+)")


def start(name: str, seconds: int) -> subprocess.Popen[bytes]:
    """Start one reader's search, from its samples and what earlier ones have found."""
    corpus = FOLDER / name / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, sample in enumerate(READERS[name].samples()):
        (corpus / f"sample-{number}").write_bytes(sample)
    words = [*LIMITS, f"-max_total_time={seconds}", f"-artifact_prefix={FOLDER / name}/", str(corpus)]
    log = (FOLDER / name / "log").open("wb")
    with log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.one", name, *words], cwd=ROOT, stdout=log, stderr=log
        )


def finish(name: str, child: subprocess.Popen[bytes]) -> bool:
    """Wait for a search, and print what came of it: runs, edges of code that were reached, findings."""
    _, ended, usage = os.wait4(child.pid, 0)
    status = child.returncode = os.waitstatus_to_exitcode(ended)
    said = (FOLDER / name / "log").read_text(encoding="utf-8", errors="replace")
    runs, edges = (int((found.findall(said) or ["0"])[-1]) for found in (_RUNS, _EDGES))
    outcome = "nothing found" if status == 0 else f"status {status}"
    result(
        f"{name}: {runs:,} runs in {usage.ru_utime:.0f} s of processor time, {edges:,} edges, {outcome}",
    )
    if status:
        result("\n".join(said.splitlines()[-40:]))
    for path in sorted(FOLDER.joinpath(name).glob("[clot]*-*")):
        result(f"  again: python -m tests.fuzz {name} {path.relative_to(ROOT)}")
    return status == 0


def main(words: Sequence[str]) -> int:
    """Run the readers that are named side by side, all of them one after another."""
    names = [word for word in words if word in READERS]
    others = [word for word in words if word not in READERS]
    seconds = int(others.pop()) if others and others[-1].isdigit() else SECONDS
    files = [Path(word) for word in others]
    if strange := [str(file) for file in files if not names or not file.is_file()]:
        result(f"{strange[0]} is neither a reader nor a file; readers: {', '.join(READERS)}")
        return 2
    if files:
        for name in names:
            for file in files:
                READERS[name].read(file.read_bytes())
        result("it is read, or refused with an error of ours")
        return 0
    if names:
        started = {name: start(name, seconds) for name in names}
        broken = [name for name, child in started.items() if not finish(name, child)]
    else:
        broken = [name for name in READERS if not finish(name, start(name, seconds))]
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
