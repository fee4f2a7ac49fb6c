"""A container engine, docker or podman: start an image hardened, ask where it listens, stop it."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sealift import process
from sealift.errors import MissingProgramError
from sealift.model.names import Platform

# What a careful operator would set; the image must start under it.
HARDENED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--user=65532:65532")


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine's command and the options that differ between engines; ``locks`` is a folder."""

    name: str
    command: tuple[str, ...]
    locks: Path
    global_options: tuple[str, ...] = ()
    pull_options: tuple[str, ...] = ()
    run_options: tuple[str, ...] = ()

    def call(self, *words: str, check: bool = True, timeout: float = 120) -> process.Completed:
        """Run one of the engine's commands."""
        return process.run([*self.command, *self.global_options, *words], check=check, timeout=timeout)

    def pull(self, image: str, platform: Platform) -> None:
        """Fetch an image of one platform."""
        with self._storage(fcntl.LOCK_SH):
            self.call("pull", "--quiet", f"--platform={platform}", *self.pull_options, image)

    def once(
        self, image: str, platform: Platform, words: Sequence[str], *, entrypoint: str = ""
    ) -> process.Completed:
        """Run a container to its end; any status is an answer."""
        changed = (f"--entrypoint={entrypoint}",) if entrypoint else ()
        options = ("--rm", "--network=none", f"--platform={platform}", *HARDENED, *self.run_options, *changed)
        return self.call("run", *options, image, *words, check=False)

    def start(self, image: str, platform: Platform, name: str, ports: Mapping[int, int]) -> None:
        """Start a container; ``ports`` says for each of its ports which one on loopback leads there.

        They are chosen by the caller: podman's own choice can fall on the same one twice.
        """
        published = [f"--publish=127.0.0.1:{ours}:{port}" for port, ours in ports.items()]
        options = (f"--name={name}", f"--platform={platform}", *HARDENED, *self.run_options, *published)
        self.call("run", "--detach", *options, image)

    def stop(self, name: str, seconds: int) -> int:
        """Send SIGTERM, SIGKILL after ``seconds``, and return the container's exit status."""
        self.call("stop", f"--time={seconds}", name)
        return int(self.call("inspect", "--format={{.State.ExitCode}}", name).stdout)

    def logs(self, name: str) -> str:
        """Return the last lines a container wrote."""
        done = self.call("logs", "--tail=40", name, check=False)
        return done.stdout + done.stderr

    def remove(self, *, container: str = "", image: str = "") -> None:
        """Remove a container or an image; one that is not there is no error."""
        if container:
            self.call("rm", "--force", container, check=False)
        if image:
            with self._storage(fcntl.LOCK_EX):
                self.call("rmi", image, check=False)

    @contextmanager
    def _storage(self, how: int) -> Iterator[None]:
        """Let pulls run side by side and a removal alone: podman loses layers that it is just reusing."""
        self.locks.mkdir(parents=True, exist_ok=True)
        with (self.locks / f"{self.name}.storage").open("w") as file:
            fcntl.flock(file, how)
            yield


def find(locks: Path) -> Engine:
    """Return docker where an engine answers, else podman, else say what to install."""
    if shutil.which("docker") and process.run(["docker", "version"], check=False, timeout=20).returncode == 0:
        return Engine(name="docker", command=("docker",), locks=locks)
    if shutil.which("podman"):
        root = os.geteuid() == 0
        # In a small VM crun meets hybrid cgroups and rlimits that it may not raise; runc does not.
        return Engine(
            name="podman",
            command=("podman",) if root else ("sudo", "-n", "podman"),
            locks=locks,
            global_options=("--runtime=runc", "--cgroup-manager=cgroupfs"),
            pull_options=("--tls-verify=false",),
            run_options=("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024", "--pull=never"),
        )
    raise MissingProgramError(
        "no container engine is here", next_step="sudo apt-get install -y podman runc netavark"
    )
