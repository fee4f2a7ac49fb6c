"""Look at an image in an engine: its weaknesses, its binary, and its inside with a shell beside it."""

from __future__ import annotations

import posixpath
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sealift import process
from sealift.commands import docker_build as building
from sealift.console import say
from sealift.elf.facts import read_elf
from sealift.elf.rootfs import Rootfs
from sealift.environment import search_path
from sealift.errors import OutsideError
from sealift.provision import debian
from sealift.provision.cache import cache_folder
from sealift.provision.everything import provide_all
from sealift.provision.recipe import this_platform
from sealift.rehearsal import advisories, apt
from sealift.rehearsal.debian import Deb, contents
from sealift.rehearsal.distroless import suite_of
from sealift.tools import trivy
from sealift.tools.engine import Engine
from sealift.tools.layout import Layout

BUSYBOX = "busybox-static"
# Exec form: the image has no shell until the second step is done.
DEBUG = """\
FROM {image}
USER 0
COPY --chown=0:0 busybox /busybox/
RUN ["/busybox/busybox", "--install", "-s", "/busybox"]
ENV PATH=$PATH:/busybox
USER {user}
"""


def scan(root: Path, engine: Engine, image: str, options: Sequence[str], *, stand_ins: bool) -> str:
    """Let Trivy look at an image of an engine, and return what it says; ``options`` are Trivy's own."""
    provide_all(["trivy"], cache=cache_folder())
    with tempfile.TemporaryDirectory(prefix="sealift-scan-") as name, _database(root, stand_ins) as database:
        folder = Path(name)
        # A report begins with the archive's name.
        archive = folder / f"{image.replace(':', '_')}.tar"
        engine.save(image, archive)
        # Nobody's credentials, and no trivy.yaml that lies about.
        env = {"PATH": search_path(), "HOME": name, "DOCKER_CONFIG": name, "TMPDIR": name}
        argv = ["trivy", "image", "--input", archive.name, "--cache-dir", str(database), "--scanners", "vuln"]
        return process.run([*argv, *trivy.OFFLINE, *options], env=env, cwd=folder).stdout.rstrip()


def debug(engine: Engine, build: building.Build, name: str) -> None:
    """Build the image with Debian's static busybox in a folder of its own on PATH."""
    suite = suite_of(build.config.suite)
    debs = apt.fetch(suite.codename, this_platform().arch, (BUSYBOX,), cache_folder() / "busybox")
    deb = Deb.read(next(debs.glob("*.deb")))
    with tempfile.TemporaryDirectory(prefix="sealift-debug-") as folder:
        context = Path(folder)
        busybox = context / "busybox"
        with deb.files() as files:
            program = next(m for m in files if m.isreg() and posixpath.basename(m.name) == "busybox")
            busybox.write_bytes(contents(files, program))
        busybox.chmod(0o755)
        dockerfile = context / "Dockerfile"
        dockerfile.write_text(DEBUG.format(image=build.image, user=build.config.image.user), encoding="utf-8")
        say(f"{deb.name} {deb.version}, whose signature apt has checked, goes beside {build.image}")
        building.engine_build(engine, dockerfile, context, name, {})


def take_from_layout(layout: Path, path: str, to: Path) -> None:
    """Copy a file out of the image that a layout holds for this machine."""
    found = Layout(layout)
    manifest = found.platforms(found.index()).of(this_platform())
    to.write_bytes(Rootfs.from_layout(found, manifest).read(path))
    to.chmod(0o755)


def linkage(binary: Path) -> tuple[bool, str]:
    """Return whether a binary is static, by its own bytes, and what file and ldd say of it."""
    debian.ensure(["file"])
    facts = read_elf(binary)
    told = [process.run(argv, check=False) for argv in (["file", str(binary)], ["ldd", str(binary)])]
    words = "\n".join(f"{done.stdout}{done.stderr}".rstrip() for done in told)
    return facts.interpreter is None and not facts.needed, f"{words}\n{binary.name}: {facts.linkage}"


@contextmanager
def _database(root: Path, stand_ins: bool) -> Iterator[Path]:
    """Give Trivy's own database, or this repository's advisories where it cannot be had."""
    folder = cache_folder() / "advisories" / "trivy"
    if not stand_ins:
        try:
            trivy.download_database(folder)
        except OutsideError:
            say("Trivy's own database cannot be reached")
        else:
            yield folder
            return
    facts = advisories.load(root / "ci" / "advisories.yaml")
    count = len(facts.go) + len(facts.debian)
    say(f"in place of Trivy's database: ci/advisories.yaml, {count} advisories; finding none shows little")
    with tempfile.TemporaryDirectory(prefix="sealift-advisories-") as made:
        advisories.write_trivy_database(facts, Path(made), datetime.now(UTC))
        yield Path(made)
