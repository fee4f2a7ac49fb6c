"""What the image stage accepts of many mutants, read by podman, crane and regctl.

``python -m tests.attacks.differential --count 4000`` makes mutants, asks the image stage for each, and gives
those that it accepts to the other readers. Every file and the whole configuration must be what is expected.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import msgspec

from sealift.elf.rootfs import Rootfs
from sealift.errors import SealiftError
from sealift.model.names import Digest
from sealift.oci.documents import INDEX, differences, read_json
from sealift.process import ProgramFailedError, run
from sealift.provision.cache import cache_folder
from sealift.provision.everything import provide_all
from sealift.provision.root import root_prefix
from sealift.services.ports import free_ports
from sealift.services.registry import layouts_registry
from sealift.services.supervised import Supervised
from sealift.stations.readings import File, files, in_archive
from sealift.tools.engine import OCI_SETTINGS, Engine, _podman
from sealift.tools.layout import Layout
from sealift.tools.regctl import regctl
from tests.attacks.mutating import Mutant, mutant
from tests.unit.stations.imaged import NAME, PROGRAM, Image, look
from tests.unit.stations.things import AMD64

JSON = dict[str, Any]
Reading = Mapping[str, File]
PROGRAMS = ("olareg", "crane", "regctl")
BATCH = 60
THREADS = 4
WALK = Path(__file__).with_name("walk.py")
# What a Dockerfile may word as it likes, and what the plan does not describe.
FREE = ("history", "config.ExposedPorts", "config.Healthcheck")


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A mutant with what we read in it; ``times`` are those of its files, where they are known."""

    mutant: Mutant
    index: Digest
    files: Reading
    configuration: JSON
    times: Mapping[str, int]

    def named(self, words: str) -> str:
        return f"mutant {self.mutant.number} ({'; '.join(self.mutant.names)}): {words}"


@dataclass
class Outcome:
    """How many mutants of each change were accepted and rejected, and what readers found otherwise."""

    accepted: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)


def compare(count: int, seed: int, folder: Path) -> Outcome:
    """Make mutants, and compare the readers of those that are accepted."""
    outcome = Outcome()
    with serving(folder) as host:
        for first in range(0, count, BATCH):
            numbers = range(first, min(first + BATCH, count))
            name = f"mutants{first}"
            with Readers(folder / "registry" / name, f"{host}/{name}", folder / name) as readers:
                accepted = [a for n in numbers if (a := judged(mutant(seed, n), readers, outcome))]
                outcome.differences += readers.differences(accepted)
    return outcome


def judged(made: Mutant, readers: Readers, outcome: Outcome) -> Accepted | None:
    """Ask the image stage; what it accepts must be what the mutant was made of, and is put aside."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            look(Path(folder), made.image, made.base)
        except SealiftError:
            outcome.rejected.update([*made.names, "all"])
            return None
        outcome.accepted.update([*made.names, "all"])
        found = our_reading(made, Layout(Path(folder) / "image"))
        readers.put(Path(folder) / "image")
    outcome.differences += (found.named(f"we read {words}") for words in from_model(found))
    return found


def our_reading(made: Mutant, layout: Layout) -> Accepted:
    """Read an image as the stages do."""
    index = layout.index()
    manifest = layout.platforms(index)[AMD64]
    config = layout.read(Digest(layout.manifest(manifest)["config"]["digest"]))
    return Accepted(
        mutant=made,
        index=index,
        files=files(Rootfs.from_layout(layout, manifest)),
        configuration=read_json(config, f"the configuration of mutant {made.number}"),
        times={path: item[6] for path, item in (made.tree or {}).items() if item[0] == "file"},
    )


def read_by_others(image: Image, expected: Image, folder: Path) -> list[str]:
    """Give an image to the other readers without asking the image stage; return how it is not as expected."""
    made = Mutant(number=0, names=("by hand",), image=image, base=image, tree=None, configuration={})
    expected.write(folder / "expected")
    image.write(folder / "image")
    with (
        serving(folder) as host,
        Readers(folder / "registry" / "image", f"{host}/image", folder / "one") as readers,
    ):
        wanted = our_reading(made, Layout(folder / "expected"))
        return list(readers.differences([replace(wanted, index=readers.put(folder / "image"))]))


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve the layouts in a folder; give the registry's host."""
    (port,) = free_ports(1).release()
    with Supervised(log=folder / "supervisor.log") as services:
        services.start([layouts_registry(folder / "registry", port, log=folder / "registry.log")])
        yield f"localhost:{port}"


def from_model(found: Accepted) -> Iterator[str]:
    """Compare what we read with what the mutant was made of."""
    for words in differences(found.mutant.configuration, found.configuration):
        if not words.startswith(FREE):
            yield words
    if found.mutant.tree is not None:
        wanted = {
            path: (kind, mode, uid, gid, target, hashed(data) if kind == "file" else "")
            for path, (kind, mode, uid, gid, target, data, _) in found.mutant.tree.items()
        }
        yield from differing(wanted, found.files)


def hashed(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def differing(wanted: Reading, got: Reading) -> Iterator[str]:
    for path in sorted({*wanted, *got}):
        if wanted.get(path) != got.get(path):
            yield f"{path}: expected {wanted.get(path, 'nothing')}, got {got.get(path, 'nothing')}"


class Readers:
    """The other readers of a batch of images, which lie in one layout and are served by a registry."""

    def __init__(self, layout: Path, repository: str, folder: Path) -> None:
        self._layout, self._repository, self._folder = layout, repository, folder
        self._entries: dict[str, JSON] = {}
        (layout / "blobs" / "sha256").mkdir(parents=True)
        (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}', encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._layout)

    def put(self, folder: Path) -> Digest:
        """Copy an image into the layout."""
        layout = Layout(folder)
        index = layout.index()
        for blob in (folder / "blobs" / "sha256").iterdir():
            shutil.copy(blob, self._layout / "blobs" / "sha256" / blob.name)
        size = layout.blob_path(index).stat().st_size
        self._entries[index] = {"mediaType": INDEX, "digest": str(index), "size": size}
        return index

    def differences(self, accepted: Sequence[Accepted]) -> Iterator[str]:
        """Say what any of the readers finds otherwise."""
        top = {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(self._entries.values())}
        (self._layout / "index.json").write_bytes(msgspec.json.encode(top))
        self._folder.mkdir(parents=True)
        with ThreadPoolExecutor(THREADS) as threads:
            single = [threads.submit(self._one_by_one, found) for found in accepted]
            yield from self._podman(accepted)
            for one in single:
                yield from one.result()

    def reference(self, found: Accepted) -> str:
        return f"{self._repository}@{found.index}"

    def _one_by_one(self, found: Accepted) -> list[str]:
        """Ask crane and regctl."""
        reference, platform = self.reference(found), f"--platform={AMD64}"
        archive = self._folder / f"{found.mutant.number}.tar"
        host = self._repository.partition("/")[0]
        odd: list[str] = []
        try:
            run(["crane", "export", platform, reference, archive])
            odd += (f"crane exports {words}" for words in without_made_folders(found, in_archive(archive)))
            said = json.loads(run(["crane", "config", platform, reference]).stdout)
            odd += (f"crane reads {words}" for words in differences(found.configuration, said))
            options = ("--format={{json .}}", f"--platform={AMD64}")
            told = regctl("image", "config", reference, *options, plain_http=[host], check=True)
            odd += (
                f"regctl reads {words}" for words in differences(found.configuration, json.loads(told.stdout))
            )
            program = regctl(
                "image",
                "get-file",
                f"--platform={AMD64}",
                reference,
                f"/{NAME}",
                plain_http=[host],
                check=True,
            )
            if program.stdout != PROGRAM.decode():
                odd.append(f"regctl finds another program: {program.stdout[:40]!r}")
        except ProgramFailedError as err:
            odd.append(str(err))
        archive.unlink(missing_ok=True)
        return [found.named(words) for words in odd]

    def _podman(self, accepted: Sequence[Accepted]) -> Iterator[str]:
        """Ask podman for the whole batch, in a store of its own."""
        engine = _podman(self._folder / "locks", self._folder / "store")
        pulled: list[Accepted] = []
        try:
            for found in accepted:
                words = (
                    "pull",
                    "--quiet",
                    f"--platform={AMD64}",
                    *engine.pull_options,
                    self.reference(found),
                )
                done = engine.call(*words, check=False)
                if done.returncode == 0:
                    pulled.append(found)
                else:
                    yield found.named(f"podman cannot pull it: {done.stderr}")
            if not pulled:
                return
            shown = json.loads(engine.call("image", "inspect", *map(self.reference, pulled)).stdout)
            trees = self._mounted(engine, [image["Id"] for image in shown])
            for found, image, tree in zip(pulled, shown, trees, strict=True):
                yield from (found.named(f"podman reads {words}") for words in configured(found, image))
                yield from (
                    found.named(f"podman unpacks {words}") for words in unpacked_by_podman(found, tree)
                )
        finally:
            engine.call("image", "unmount", "--all", check=False)
            run([*(root_prefix() or ()), "rm", "-rf", self._folder])

    def _mounted(self, engine: Engine, ids: Sequence[str]) -> list[JSON]:
        mounted = json.loads(engine.call("image", "mount", "--format=json", *dict.fromkeys(ids)).stdout)
        places = {entry["id"]: entry["mountpoint"] for entry in mounted}
        command = [*(root_prefix() or ()), sys.executable, WALK, *places.values()]
        trees = dict(zip(places, json.loads(run(command).stdout), strict=True))
        return [trees[number] for number in ids]


def without_made_folders(found: Accepted, theirs: Reading) -> Iterator[str]:
    """Compare with what crane exports: the program that unpacks it makes folders that no layer names."""
    made = {p for p in found.files.keys() - theirs.keys() if found.files[p][:4] == ("dir", 0o755, 0, 0)}
    yield from differing({p: f for p, f in found.files.items() if p not in made}, theirs)


def configured(found: Accepted, image: JSON) -> Iterator[str]:
    """Compare with what podman shows of an image."""
    wanted = found.configuration
    settings = {key: value for key, value in wanted["config"].items() if key in OCI_SETTINGS}
    yield from differences(settings, image["Config"], "config")
    yield from differences(wanted["rootfs"]["diff_ids"], image["RootFS"]["Layers"], "layers")
    yield from differences(wanted["history"], image["History"], "history")
    for key, name in (("os", "Os"), ("architecture", "Architecture"), ("created", "Created")):
        yield from differences(wanted[key], image[name], key)
    yield from differences("", image["Author"], "author")
    yield from differences(None, image.get("Healthcheck"), "health check")


def unpacked_by_podman(found: Accepted, tree: JSON) -> Iterator[str]:
    """Compare with what podman unpacked, to extended attributes and times."""
    yield from differing(found.files, {path: tuple(item[:6]) for path, item in tree.items()})
    for path, item in tree.items():
        if item[7]:
            yield f"{path}: expected no extended attributes, got {item[7]}"
        if path in found.times and found.times[path] != item[6]:
            yield f"{path}: expected the time {found.times[path]}, got {item[6]}"


def main() -> int:
    """Compare as many mutants as are asked for, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    provide_all(PROGRAMS, cache=cache_folder(), debian_programs=["podman"])
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcome = compare(asked.count, asked.seed, Path(folder))
    names = sorted({*outcome.accepted, *outcome.rejected} - {"all"})
    lines = [f"{outcome.accepted[n]:6} accepted {outcome.rejected[n]:6} rejected  {n}" for n in names]
    lines.append(
        f"{asked.count} mutants (seed {asked.seed}): {outcome.accepted['all']} accepted, "
        f"{outcome.rejected['all']} rejected, {len(outcome.differences)} differences, "
        f"{time.monotonic() - began:.0f} s"
    )
    sys.stdout.write("\n".join([*outcome.differences, *lines, ""]))
    return 1 if outcome.differences else 0


if __name__ == "__main__":
    sys.exit(main())
