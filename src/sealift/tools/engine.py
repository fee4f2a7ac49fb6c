"""A container engine, docker or podman: start an image hardened, ask where it listens, stop it."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sealift import process
from sealift.errors import MissingProgramError
from sealift.model.codec import decode
from sealift.model.names import Digest, Platform
from sealift.network import child_env
from sealift.oci.documents import JSON
from sealift.places import linked, plain, plainly

# What a careful operator would set; the image must start under it.
HARDENED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--user=65532:65532")
# Of util-linux, which every Debian has.
SETSID, FLOCK = "/usr/bin/setsid", "/usr/bin/flock"
# podman takes a run root of 50 characters at most, which is the store's "run".
LONGEST_STORE = 50 - len("/run")

# https://github.com/opencontainers/image-spec/blob/main/config.md: the rest, a health check too, is Docker's.
OCI_SETTINGS = frozenset(
    [
        *("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels"),
        "StopSignal",
    ]
)

# How a runtime says that the program of an image cannot be started, through docker and through podman; every
# other error of theirs is the engine's or the machine's.
_CANNOT_START = re.compile(
    r'exec: "[^"]*": (?:stat [^:]*: )?(?:no such file or directory|permission denied|is a directory'
    r"|executable file (?:`[^`]*` )?not found)|exec format error|executable file `[^`]*` not found"
    r"|no command or entrypoint provided|[Nn]o command specified"
)

WAYS = """
    Debian's docker:  sudo apt-get install -y docker.io && sudo service docker start
    Docker's own:     https://docs.docker.com/engine/install/
    podman:           sudo apt-get install -y podman runc netavark iptables
  one that is here, but not for you:  sudo usermod -aG docker $USER, then log in again"""


@dataclass(frozen=True, kw_only=True)
class ImageReading:
    """An image as an engine shows it: its platform, its settings, and its layers' uncompressed digests."""

    platform: JSON
    settings: JSON
    layers: object


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine's command and the options that differ between engines; ``locks`` is a folder.

    A ``store`` is ours alone: what is in it is in nobody's way. ``only_shows`` names the settings of an image
    that the engine shows, where it does not show all. What ``mounts`` shows a container's files in a folder.
    """

    name: str
    command: tuple[str, ...]
    locks: Path
    store: Path | None = None
    global_options: tuple[str, ...] = ()
    pull_options: tuple[str, ...] = ()
    run_options: tuple[str, ...] = ()
    start_options: tuple[str, ...] = ()
    remove_options: tuple[str, ...] = ()
    image_remove_options: tuple[str, ...] = ()
    only_shows: frozenset[str] | None = None
    mounts: bool = False

    def call(self, *words: str, check: bool = True, timeout: float = 120) -> process.Completed:
        """Run one of the engine's commands."""
        argv = [*self.command, *self.global_options, *words]
        return process.run(argv, env=self.env, check=check, timeout=timeout)

    @property
    def env(self) -> dict[str, str]:
        """The environment of its client: which engine is asked, and the ways out."""
        env = child_env(self.command)
        if self.store is not None:
            # It could name further stores, whose layers are believed.
            env.pop("CONTAINERS_STORAGE_CONF", None)
        return env

    def pull(self, image: str, platform: Platform) -> None:
        """Fetch an image of one platform."""
        with self._storage():
            self.call("pull", "--quiet", f"--platform={platform}", *self.pull_options, image)

    def keep_layers(self, layout: Path, digest: Digest, platform: Platform) -> None:
        """Keep what images stand on in a store of our own, so that it is unpacked once.

        Whether it is there is remembered beside the images, and forgotten with them.
        """
        if self.store is None:
            return
        kept = self.store / "kept" / f"{digest.hex}-{platform.arch}"
        if kept.exists():
            return
        kept.parent.mkdir(parents=True, exist_ok=True)
        with self._storage(), linked(layout) as link:
            # podman names the image after the path, which must therefore be one of a reference.
            self.call("pull", "--quiet", f"--platform={platform}", f"oci:{link}")
        kept.touch()

    def removal(self, name: str) -> tuple[str, ...]:
        """Return the command that removes a container; one that is not there is no error."""
        return (*self.command, *self.global_options, "rm", "--force", *self.remove_options, name)

    def execute(self, name: str, *words: str) -> process.Completed:
        """Run a program in a container that runs; any status is an answer."""
        return self.call("exec", name, *words, check=False)

    def start(self, image: str, platform: Platform, name: str, ports: Mapping[int, int]) -> None:
        """Start a container; ``ports`` says for each of its ports which one on loopback leads there.

        They are chosen by the caller: podman's own choice can fall on the same one twice.
        """
        self.call("run", "--detach", *self._hardened(platform, name, ports), image)

    def start_whole(self, image: str, platform: Platform, name: str, ports: Mapping[int, int]) -> None:
        """Start one that is whole, or not there, also when we are killed meanwhile.

        podman that is killed while it makes a container's network leaves that mounted, and no command
        removes it. So what creates the container is killed with us, but what starts it goes on in a session
        of its own, and ``removal`` waits for it.
        """
        self.call("create", *self._hardened(platform, name, ports), image)
        command = (*self.command, *self.global_options, "start", name)
        process.run([SETSID, "--wait", *command], env=self.env, timeout=120)

    def _hardened(self, platform: Platform, name: str, ports: Mapping[int, int]) -> tuple[str, ...]:
        published = (f"--publish=127.0.0.1:{ours}:{port}" for port, ours in ports.items())
        return (
            f"--name={name}",
            f"--platform={platform}",
            *HARDENED,
            *self.run_options,
            *self.start_options,
            *published,
        )

    def stop(self, name: str, seconds: int) -> int:
        """Send SIGTERM, SIGKILL after ``seconds``, and return the container's exit status."""
        self.call("stop", f"--time={seconds}", name)
        return int(self.call("inspect", "--format={{.State.ExitCode}}", name).stdout)

    def image_id(self, image: str) -> str | None:
        """Return the identity of an image that is here, else None."""
        done = self.call("image", "inspect", "--format={{.Id}}", image, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    def reading(self, image: str) -> ImageReading:
        """Return how the engine itself reads an image: what it would start a container with."""
        (shown,) = decode(self.call("image", "inspect", image).stdout, list[JSON])
        platform = {"os": shown.get("Os"), "architecture": shown.get("Architecture")}
        settings = shown.get("Config") or {}
        # podman shows a health check beside the settings, and of Docker's documents alone.
        for key in ("Healthcheck", "HealthCheck"):
            if key in shown:
                settings |= {"Healthcheck": shown[key]}
        return ImageReading(
            platform=platform | ({"variant": shown["Variant"]} if "Variant" in shown else {}),
            settings=settings,
            layers=(shown.get("RootFS") or {}).get("Layers"),
        )

    def shows(self, setting: str) -> bool:
        """Tell whether the engine shows a setting of an image's configuration."""
        return self.only_shows is None or setting in self.only_shows

    @contextmanager
    def unpacked(self, name: str) -> Iterator[Path]:
        """Give a container's files as the engine has unpacked them: a folder to be read, or a tar of them.

        The folder takes half the time, but can be read by root alone; it goes with the container.
        """
        if self.mounts:
            yield Path(self.call("mount", name).stdout.rstrip("\n"))
            return
        with tempfile.TemporaryDirectory() as folder, plainly(Path(folder)) as link:
            archive = link / "files.tar"
            self.call("export", f"--output={archive}", name, timeout=600)
            yield archive

    def load(self, archive: Path) -> None:
        """Take an image from a tar in docker's own form."""
        with self._storage(), plainly(archive.parent) as folder:
            self.call("load", "--input", str(folder / archive.name), timeout=600)

    def save(self, image: str, archive: Path) -> None:
        """Write an image to a tar."""
        with plainly(archive.parent) as folder:
            self.call("save", "--output", str(folder / archive.name), image, timeout=600)

    def take_file(self, image: str, path: str, to: Path) -> None:
        """Copy a file out of an image, which is not started for it."""
        container = f"sealift-file-{secrets.token_hex(4)}"
        try:
            self.call("create", f"--name={container}", *self.run_options, image)
            self.call("cp", f"{container}:{path}", str(to))
        finally:
            process.run(self.removal(container), env=self.env, check=False, timeout=120)

    def foreground(self, image: str, options: Sequence[str]) -> tuple[str, ...]:
        """Return the command that runs a container until it ends, hardened, and leaves nothing of it."""
        program = process.resolve(self.command[0])
        run = ("run", "--rm", *HARDENED, *self.run_options, *options, image)
        return (program, *self.command[1:], *self.global_options, *run)

    def logs(self, name: str) -> str:
        """Return the last lines a container wrote."""
        done = self.call("logs", "--tail=40", name, check=False)
        return done.stdout + done.stderr

    def image_removal(self, image: str) -> tuple[str, ...]:
        """Return the command that removes an image that is in no container.

        It waits for what is just being pulled: podman loses layers that it is just reusing. One that is not
        there is an error to docker alone, which with --force would take its name from one that is in use.
        """
        words = (*self.command, *self.global_options, "rmi", *self.image_remove_options, image)
        return (FLOCK, str(self._lock), *words)

    @contextmanager
    def _storage(self) -> Iterator[None]:
        """Let pulls run side by side, and no removal meanwhile."""
        self.locks.mkdir(parents=True, exist_ok=True)
        with self._lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            yield

    @property
    def _lock(self) -> Path:
        return self.locks / f"{self.name}.storage"


def cannot_start(error: process.ProgramFailedError) -> str | None:
    """Return why an image's own program could not be started; None where the engine is the cause."""
    lines = (line.strip() for line in error.done.stderr.splitlines())
    return next((line for line in lines if _CANNOT_START.search(line)), None)


def find(locks: Path, *, store: Path | None = None) -> Engine:
    """Return docker where an engine answers, else podman, else say what to install.

    ``store`` is where podman keeps images that no person is to see; without it, where it always does.
    """
    silent = {}
    for engine in (_docker(locks), _podman(locks, store)):
        if not (why := _why_silent(engine)):
            return engine
        silent[engine.name] = why
    raise MissingProgramError(
        f"no container engine answers here\n  docker: {silent['docker']}\n  podman: {silent['podman']}",
        means="an image cannot be loaded or started",
        next_step=f"get one, then the same again:{WAYS}",
    )


def _why_silent(engine: Engine) -> str:
    """Return why an engine does not answer, or nothing."""
    for program in (engine.name, engine.command[0]):
        if shutil.which(program) is None:
            return f"{program} is not on PATH"
    done = engine.call("version", check=False, timeout=20)
    if done.returncode == 0:
        return ""
    said = (done.stderr or done.stdout).strip().splitlines()
    return said[-1] if said else f"it ended with status {done.returncode}"


def _docker(locks: Path) -> Engine:
    return Engine(name="docker", command=("docker",), locks=locks)


def _podman(locks: Path, store: Path | None) -> Engine:
    own: tuple[str, ...] = ()
    if store is not None:
        # A comma or a colon would end the kernel's list of an overlay's folders; conmon reads ASCII alone.
        store.mkdir(parents=True, exist_ok=True)
        near = plain(store, longest=LONGEST_STORE)
        own = (f"--root={near / 'storage'}", f"--runroot={near / 'run'}")
    # In a small VM crun meets hybrid cgroups and rlimits that it may not raise; runc does not.
    return Engine(
        name="podman",
        command=("podman",) if os.geteuid() == 0 else ("sudo", "-n", "podman"),
        locks=locks,
        store=store,
        global_options=(*own, "--runtime=runc", "--cgroup-manager=cgroupfs"),
        pull_options=("--tls-verify=false",),
        run_options=("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024", "--pull=never"),
        # An image is looked at as it is: podman would put this machine's proxies into its environment.
        start_options=("--http-proxy=false",),
        remove_options=("--ignore", "--time=0"),
        image_remove_options=("--ignore",),
        only_shows=OCI_SETTINGS,
        mounts=os.geteuid() == 0,
    )
