"""Which of an engine's errors is the image's, and which the engine's own."""

from __future__ import annotations

import pytest

from sealift.process import Completed, ProgramFailedError
from sealift.tools.engine import cannot_start


def failed(words: str) -> ProgramFailedError:
    return ProgramFailedError(Completed(argv=("docker",), returncode=127, stdout="", stderr=f"{words}\n"))


@pytest.mark.parametrize(
    "words",
    [
        'OCI runtime create failed: exec: "/service": stat /service: no such file or directory',
        'Error: runc: runc create failed: exec: "/service": permission denied: OCI permission denied',
        "Error: crun: executable file `/service` not found in $PATH: No such file or directory",
        'Error: unable to start container "a": runc: exec: "sh": executable file not found in $PATH',
        "Error: runc: exec /service: exec format error",
        "Error: no command or entrypoint provided, and no CMD or ENTRYPOINT from image",
    ],
)
def test_a_program_that_cannot_be_started_is_the_images_fault(words: str) -> None:
    assert cannot_start(failed(f"WARN: old\n{words}")) == words


@pytest.mark.parametrize(
    "words",
    [
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        "permission denied while trying to connect to the Docker daemon socket",
        "Error: OCI runtime error: runc: unable to apply cgroup configuration: no such file or directory",
        "Error: netavark: iptables: No such file or directory",
        "Error: mounting storage: no space left on device",
        "",
    ],
)
def test_a_broken_engine_is_not_the_images_fault(words: str) -> None:
    assert cannot_start(failed(words)) is None
