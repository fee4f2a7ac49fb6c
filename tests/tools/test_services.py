"""The supervisor with real processes: what it starts, and that nothing outlives it."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sealift import process
from sealift.errors import InterruptedReleaseError, ManyErrors, MissingProgramError, OutsideError
from sealift.process import run
from sealift.services import supervised, supervisor
from sealift.services.buildkit import buildkit, create_builder, socket_of
from sealift.services.ports import LOOPBACK, free_ports, port_is_taken
from sealift.services.registry import layouts_registry, public_registry
from sealift.services.service import HttpReady, Service, SocketReady, TcpReady
from sealift.services.supervised import Supervised, is_kept, stop_kept
from sealift.services.supervisor import DEBT_TRIES, started_at

pytestmark = pytest.mark.programs

# A server with a child of its own in another session; both are deaf to SIGTERM.
STUBBORN = textwrap.dedent(
    """
    import http.server, os, signal, subprocess, sys
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    print(os.getpid(), child.pid, flush=True)
    address = ("127.0.0.1", int(sys.argv[1]))
    http.server.HTTPServer(address, http.server.SimpleHTTPRequestHandler).serve_forever()
    """
)

# A release: starts the service named on its command line, says so, and waits to be killed.
RELEASE = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from sealift.services.service import HttpReady, Service
    from sealift.services.supervised import Supervised
    folder, port, script, pidfile = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]
    with Supervised(log=folder / "supervisor.log") as services:
        services.start([Service(name="stubborn", argv=(sys.executable, "-c", script, str(port)),
                                ready=HttpReady(f"http://localhost:{port}/"), log=folder / "service.log")])
        if pidfile:
            services.keep(Path(pidfile[0]))
        else:
            print("up", flush=True)
            time.sleep(600)
    """
)


def script(name: str, source: str, port: int, folder: Path, **more: object) -> Service:
    return Service(
        name=name,
        argv=(sys.executable, "-c", source, str(port)),
        ready=HttpReady(f"http://localhost:{port}/"),
        log=folder / f"{name}.log",
        **more,  # type: ignore[arg-type]
    )


def eventually(true: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def is_gone(pid: int) -> bool:
    with contextlib.suppress(OSError):
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        return stat.rpartition(")")[2].split()[0] == "Z"
    return True


def pids_in(log: Path) -> list[int]:
    return [int(word) for word in log.read_text(encoding="utf-8").split("\n")[0].split()]


def get(port: int, path: str = "/") -> int:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.fixture
def port() -> int:
    return free_ports(1).release()[0]


@pytest.fixture
def release(tmp_path: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds one stubborn service."""
    argv = [sys.executable, "-c", RELEASE, str(tmp_path), str(port), STUBBORN]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield process
        process.kill()


def test_services_end_with_the_block_even_if_deaf(tmp_path: Path, port: int) -> None:
    with Supervised(log=tmp_path / "supervisor.log") as services:
        services.start([script("stubborn", STUBBORN, port, tmp_path)])
        assert get(port) == 200
        pids = pids_in(tmp_path / "stubborn.log")
        assert len(pids) == 2
        assert not any(map(is_gone, pids))
    assert all(map(is_gone, pids))
    assert not port_is_taken(port)


def test_a_killed_release_leaves_nothing(release: subprocess.Popen[bytes], tmp_path: Path) -> None:
    pids = pids_in(tmp_path / "service.log")
    assert not any(map(is_gone, pids))
    release.send_signal(signal.SIGKILL)
    assert eventually(lambda: all(map(is_gone, pids)))


def test_a_killed_supervisor_takes_its_services_along(tmp_path: Path, port: int) -> None:
    with Supervised(log=tmp_path / "supervisor.log") as services:
        services.start([script("stubborn", STUBBORN, port, tmp_path)])
        server, grandchild = pids_in(tmp_path / "stubborn.log")
        services._process.kill()
        assert eventually(lambda: is_gone(server))
    # Only the service itself hangs on the supervisor's life; its own child is the price of kill -9.
    os.kill(grandchild, signal.SIGKILL)


def test_a_killed_supervisor_is_told_of_whoever_asks_it(tmp_path: Path) -> None:
    with Supervised(log=tmp_path / "supervisor.log") as services:
        services._process.kill()
        services._process.wait()
        for _ in range(2):
            with pytest.raises(OutsideError, match="something killed it"):
                services.owe("a debt", ["true"])


def test_what_is_owed_is_done_at_the_end_last_first_unless_it_was_paid(tmp_path: Path) -> None:
    done = tmp_path / "done"
    with Supervised(log=tmp_path / "supervisor.log") as services:
        for name in ("image", "paid", "container"):
            # As engines do, it says what it removed; nobody listens any more.
            services.owe(name, ["sh", "-c", f"echo {name}; echo {name} >> {done}"])
        services.paid("paid")
        assert not done.exists()
    # And once more: what they remove may have been made only meanwhile.
    assert done.read_text(encoding="utf-8").split() == ["container", "image"] * 2


def test_what_is_owed_is_tried_again_and_no_failure_keeps_the_rest_from_being_done(tmp_path: Path) -> None:
    tried, done, log = tmp_path / "tried", tmp_path / "done", tmp_path / "supervisor.log"
    with Supervised(log=log) as services:
        services.owe("last", ["touch", str(done)])
        services.owe("never", ["false"])
        services.owe("second", ["sh", "-c", f"[ -e {tried} ] || {{ touch {tried}; exit 3; }}"])
    assert done.exists()
    said = log.read_text(encoding="utf-8")
    assert said.count("second: ") == 1
    assert said.count("never: ") == DEBT_TRIES


def test_what_is_owed_for_a_block_is_done_after_it_and_not_again(tmp_path: Path) -> None:
    done = tmp_path / "done"
    with Supervised(log=tmp_path / "supervisor.log") as services:
        with services.owing("a debt", ["sh", "-c", f"echo once >> {done}"]):
            assert not done.exists()
        assert done.read_text(encoding="utf-8") == "once\n"
    assert done.read_text(encoding="utf-8") == "once\n"


def test_what_fails_after_its_block_is_still_owed(tmp_path: Path) -> None:
    tried, done = tmp_path / "tried", tmp_path / "done"
    second = f"[ -e {tried} ] || {{ touch {tried}; exit 3; }}; touch {done}"
    with Supervised(log=tmp_path / "supervisor.log") as services:
        with services.owing("a debt", ["sh", "-c", second]):
            pass
        assert tried.exists()
        assert not done.exists()
    assert done.exists()


def test_a_program_that_is_owed_and_hangs_is_ended_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = tmp_path / "pids"
    monkeypatch.setattr(supervisor, "DEBT_SECONDS", 0.5)
    debt = {"name": "hangs", "argv": ["/bin/sh", "-c", f"sleep 600 & echo $! > {pids}; wait"], "env": {}}
    assert not supervisor._settled(debt)
    assert eventually(lambda: all(map(is_gone, pids_in(pids))))


def test_what_is_made_only_after_the_block_was_interrupted_is_removed_at_the_end(tmp_path: Path) -> None:
    made = tmp_path / "made"
    with Supervised(log=tmp_path / "supervisor.log") as services:
        with pytest.raises(KeyboardInterrupt), services.owing("a debt", ["rm", "-f", str(made)]):
            raise KeyboardInterrupt
        made.touch()
    assert not made.exists()


def test_a_removal_that_is_late_does_not_hide_what_the_block_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervised, "OWED_SECONDS", 0.2)
    done = tmp_path / "done"
    late = ["sh", "-c", f"[ -e {tmp_path}/tried ] || {{ touch {tmp_path}/tried; sleep 60; }}; touch {done}"]
    with Supervised(log=tmp_path / "supervisor.log") as services:
        with pytest.raises(KeyError), services.owing("a debt", late):
            raise KeyError
        assert not done.exists()
    assert done.exists()


def test_what_is_owed_for_a_block_of_a_run_that_is_ending_is_done_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_ending", threading.Event())
    done = tmp_path / "done"
    with Supervised(log=tmp_path / "supervisor.log") as services:
        with pytest.raises(InterruptedReleaseError), services.owing("a debt", ["touch", str(done)]):
            process.end_all()
        assert not done.exists()
    assert done.exists()


def test_sigterm_ends_the_supervisor(tmp_path: Path, port: int) -> None:
    with Supervised(log=tmp_path / "supervisor.log") as services:
        services.start([script("stubborn", STUBBORN, port, tmp_path)])
        pids = pids_in(tmp_path / "stubborn.log")
        services._process.terminate()
        assert eventually(lambda: all(map(is_gone, pids)))


def test_kept_services_stay_until_they_are_stopped(tmp_path: Path, port: int) -> None:
    pidfile = tmp_path / "kept" / "services.pid"
    done = run([sys.executable, "-c", RELEASE, str(tmp_path), str(port), STUBBORN, str(pidfile)])
    assert done.stderr == ""
    pids = pids_in(tmp_path / "service.log")
    assert get(port) == 200
    assert is_kept(pidfile)

    assert stop_kept(pidfile)
    assert all(map(is_gone, pids))
    assert not pidfile.exists()
    assert not stop_kept(pidfile)


def test_a_pid_that_is_somebody_elses_by_now_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as somebody:
        pidfile = tmp_path / "services.pid"
        pidfile.write_text(json.dumps({"pid": somebody.pid, "started": "1"}), encoding="utf-8")
        assert not is_kept(pidfile)
        assert not stop_kept(pidfile)
        assert somebody.poll() is None
        assert started_at(somebody.pid)
        somebody.communicate(b"\n")


def test_one_that_dies_shows_its_last_words(tmp_path: Path, port: int) -> None:
    dying = script("dying", "import sys; print('out of coffee'); sys.exit(7)", port, tmp_path)
    with (
        Supervised(log=tmp_path / "supervisor.log") as services,
        pytest.raises(OutsideError, match=r"(?s)dying ended with status 7.*out of coffee.*dying\.log"),
    ):
        services.start([dying])


def test_every_failure_is_told_at_once(tmp_path: Path) -> None:
    one, two = free_ports(2).release()
    # It is over at once, where a Python would have to start first.
    dead = replace(script("dead", "", one, tmp_path), argv=("false",))
    silent = script("silent", "import time; time.sleep(60)", two, tmp_path)
    with Supervised(log=tmp_path / "supervisor.log") as services, pytest.raises(ManyErrors) as caught:
        services.start([dead, silent], deadline=3)
    assert "dead ended with status 1" in str(caught.value)
    assert "silent does not answer" in str(caught.value)
    assert caught.value.exit_code == 4


def test_a_taken_port_is_refused_before_the_start(tmp_path: Path, port: int) -> None:
    # Its owner would even answer 200 in the service's place.
    with Supervised(log=tmp_path / "a.log") as first, Supervised(log=tmp_path / "b.log") as second:
        first.start([script("owner", STUBBORN, port, tmp_path)])
        with pytest.raises(OutsideError, match=rf"port {port} is taken, and the service late"):
            second.start([script("late", STUBBORN, port, tmp_path)])
        assert not (tmp_path / "late.log").exists()


def test_a_port_that_its_log_calls_taken(tmp_path: Path) -> None:
    with socket.socket() as owner:
        owner.bind((LOOPBACK, 0))
        owner.listen()
        taken = owner.getsockname()[1]
        (other,) = free_ports(1).release()
        bound_elsewhere = Service(
            name="registry",
            argv=("olareg", "serve", "--addr", LOOPBACK, "--port", str(taken), "--dir", str(tmp_path)),
            ready=TcpReady(other),
            log=tmp_path / "registry.log",
        )
        with (
            Supervised(log=tmp_path / "supervisor.log") as services,
            pytest.raises(OutsideError, match="another program listens on its port"),
        ):
            services.start([bound_elsewhere])


def test_a_missing_program_is_named(tmp_path: Path, port: int) -> None:
    nothing = Service(
        name="no", argv=("no-such-program",), ready=TcpReady(port), log=tmp_path / "no.log", cwd=tmp_path
    )
    with Supervised(log=tmp_path / "supervisor.log") as services, pytest.raises(MissingProgramError):
        services.start([nothing])


def test_a_service_sees_none_of_our_secrets(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "secret")
    telling = "import json, os; print(json.dumps(dict(os.environ)), flush=True)\n" + STUBBORN
    with Supervised(log=tmp_path / "supervisor.log") as services:
        services.start([script("telling", telling, port, tmp_path, env={"GIVEN": "1"})])
    seen = json.loads((tmp_path / "telling.log").read_text(encoding="utf-8").split("\n")[0])
    assert seen["GIVEN"] == "1"
    assert "ACTIONS_ID_TOKEN_REQUEST_TOKEN" not in seen


def test_a_service_for_root_goes_through_sudo(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Played with a sudo that gives no rights: what counts is that the pipe alone ends the service."""
    sudo = tmp_path / "bin" / "sudo"
    sudo.parent.mkdir()
    sudo.write_text('#!/bin/sh\n[ "$1 $2" = "-n --" ] || exit 9\nshift 2\n"$@"\n', encoding="utf-8")
    sudo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sudo.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with Supervised(log=tmp_path / "supervisor.log") as services:
        services.start([script("rooted", STUBBORN, port, tmp_path, root=True, env={"GIVEN": "1"})])
        pids = pids_in(tmp_path / "rooted.log")
        # Between the service and our supervisor stand sudo and the supervisor with root's rights.
        parent = Path(f"/proc/{pids[0]}/status").read_text(encoding="utf-8").split("PPid:")[1].split()[0]
        assert "--single" in Path(f"/proc/{parent}/cmdline").read_text(encoding="utf-8")
    assert all(map(is_gone, pids))


def test_registries_twice_side_by_side(tmp_path: Path) -> None:
    with Supervised(log=tmp_path / "supervisor.log") as services:
        held = [free_ports(2), free_ports(2)]
        numbers = [ports.release() for ports in held]
        for name, (layouts, public) in zip("ab", numbers, strict=True):
            folder = tmp_path / name
            services.start(
                [
                    layouts_registry(folder / "layouts", layouts, log=folder / "layouts.log"),
                    public_registry(folder / "public", public, log=folder / "public.log"),
                ]
            )
        for layouts, public in numbers:
            digest = "sha256:" + "0" * 64
            assert get(layouts, "/v2/") == get(public, "/v2/") == 200
            assert get(public, f"/v2/name/referrers/{digest}") == 200
            host = [f"--host=reg=localhost:{number},tls=disabled" for number in (layouts, public)]
            put = ["regctl", *host, "artifact", "put", "--artifact-type", "application/x"]
            run([*put, f"localhost:{public}/name:tag"], stdin=b"text")
            refused = run([*put, f"localhost:{layouts}/name:tag"], stdin=b"text", check=False)
            assert refused.returncode != 0


def test_a_registry_without_referrers(tmp_path: Path, port: int) -> None:
    with Supervised(log=tmp_path / "supervisor.log") as services:
        services.start([public_registry(tmp_path / "r", port, log=tmp_path / "r.log", referrers_api=False)])
        assert get(port, "/v2/name/referrers/sha256:" + "0" * 64) == 404


def test_buildkit_builds_and_the_registry_serves_it(tmp_path: Path, port: int) -> None:
    context, layouts = tmp_path / "context", tmp_path / "layouts"
    context.mkdir()
    env = {**os.environ, "BUILDX_CONFIG": str(tmp_path / "buildx")}
    daemon = buildkit(tmp_path / "kit", log=tmp_path / "kit.log", registries=(f"localhost:{port}",))
    with Supervised(log=tmp_path / "supervisor.log") as services:
        services.start([daemon, layouts_registry(layouts, port, log=tmp_path / "registry.log")])
        create_builder(socket_of(tmp_path / "kit"), "ours", env=env)
        # Once more, as the next run in the same world does.
        create_builder(socket_of(tmp_path / "kit"), "ours", env=env)
        build = ["docker-buildx", "build", "--builder", "ours", "--provenance=false"]
        # The second time, the registry has the first layout open.
        for line in ("FROM scratch", "# changed"):
            with (context / "Dockerfile").open("a", encoding="utf-8") as dockerfile:
                dockerfile.write(f"{line}\nCOPY Dockerfile /\n")
            shutil.rmtree(layouts / "image", ignore_errors=True)
            run([*build, f"--output=type=oci,tar=false,dest={layouts / 'image'}", str(context)], env=env)
            built = json.loads((layouts / "image" / "index.json").read_text(encoding="utf-8"))["manifests"][0]
            image = ["crane", "manifest", f"localhost:{port}/image@{built['digest']}"]
            # olareg looks at an index it has open once a second.
            assert eventually(lambda image=image: run(image, check=False).returncode == 0)  # type: ignore[misc]
            assert "sha256:" + hashlib.sha256(run(image).stdout.encode()).hexdigest() == built["digest"]
    assert not SocketReady(socket_of(tmp_path / "kit")).answers()
