"""Starting, pinning, awaiting and ending processes."""

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from benchmarks.lab import machine
from benchmarks.lab.processes import Process, StartFailed, free_port, pinned
from tests.e2e.gateway import eventually

CORE = min(os.sched_getaffinity(0))


def start(code: str, directory: Path) -> Process:
    return Process("subject", [sys.executable, "-c", code], CORE, directory, {})


def ended(pid: int) -> bool:
    """Whether a process is no more, or only waits to be reaped by whoever inherited it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_pin_is_taken_off_again() -> None:
    """What was allowed before is allowed after, also after an exception."""
    before = os.sched_getaffinity(0)
    seen: list[set[int]] = []

    def interrupted() -> None:
        with pinned(CORE):
            seen.append(os.sched_getaffinity(0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert seen == [{CORE}]
    assert os.sched_getaffinity(0) == before


def test_a_free_port_can_be_taken() -> None:
    """At once, by anyone."""
    with socket.create_server(("127.0.0.1", free_port())) as server:
        assert server.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        pytest.param("raise SystemExit('no such model')", 1, "no such model", id="on-its-error-channel"),
        pytest.param("print('no such model'); raise SystemExit(2)", 2, "no such model", id="on-the-other"),
        pytest.param("import os; os.kill(os.getpid(), 9)", -9, "", id="killed"),
        pytest.param("import sys; sys.stderr.write('x' * 9000 + 'end'); sys.exit(7)", 7, "xxend", id="a-lot"),
        pytest.param("import os; os.write(2, b'\\xff\\xfe bytes'); os._exit(4)", 4, "bytes", id="no-text"),
        pytest.param("pass", 0, "", id="without-a-word"),
    ],
)
def test_a_process_that_ends_at_once_says_why(code: str, status: int, said: str, tmp_path: Path) -> None:
    """Its status, and the end of its log in the message, so that nobody has to look for it."""
    process = start(code, tmp_path)
    with pytest.raises(StartFailed) as failure:
        process.wait_until(free_port(), "/readyz")
    process.stop()
    assert failure.value.exit_status == status
    assert str(failure.value).startswith(f"subject ended with {status}:")
    assert said in str(failure.value)
    assert len(str(failure.value)) < 2100


def test_it_runs_in_its_directory_on_its_core(tmp_path: Path) -> None:
    """With the environment that was given, and nothing to read."""
    port = free_port()
    say = f"import os, socket, sys; s = socket.create_server(('127.0.0.1', {port})); "
    say += "print(os.getcwd(), os.sched_getaffinity(0), os.environ['X'], repr(sys.stdin.read()), flush=True); s.accept()"
    process = Process("subject", [sys.executable, "-c", say], CORE, tmp_path, {"X": "y"})
    try:
        process.wait_until(port, None)
        assert eventually(lambda: process.tail() or None).split() == [str(tmp_path), f"{{{CORE}}}", "y", "''"]
    finally:
        process.stop()


@pytest.mark.parametrize(
    ("path", "ready"),
    [
        pytest.param(None, True, id="a-port-that-takes-connections"),
        pytest.param("/", True, id="a-path-that-is-200"),
        pytest.param("/nothing", False, id="a-path-that-is-404"),
    ],
)
def test_readiness(path: str | None, ready: bool, tmp_path: Path) -> None:
    """Without an answer of 200 it goes on waiting, here until the process has ended."""
    port = free_port()
    served = 500 if ready else 3
    serve = "from http.server import *\n"
    serve += f"s = HTTPServer(('127.0.0.1', {port}), SimpleHTTPRequestHandler)\n"
    serve += f"for _ in range({served}): s.handle_request()"
    process = start(serve, tmp_path)
    try:
        if ready:
            assert process.wait_until(port, path) > 0
        else:
            with pytest.raises(StartFailed, match="404"):
                process.wait_until(port, path)
    finally:
        process.stop()


CHILD = "import time; time.sleep(600)"
PARENT = "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {child!r}]); print(1, flush=True); {then}"


@pytest.mark.parametrize(
    ("child", "then"),
    [
        pytest.param(CHILD, "child.wait()", id="a-child"),
        pytest.param(
            PARENT.format(child=CHILD, then="child.wait()"), "child.wait()", id="a-child-of-a-child"
        ),
        pytest.param(
            "import signal; signal.signal(15, signal.SIG_IGN); " + CHILD, "child.wait()", id="a-deaf-child"
        ),
    ],
)
def test_stopping_leaves_nobody_behind(child: str, then: str, tmp_path: Path) -> None:
    """Whoever outlives its parent is in the same session, and goes with it."""
    process = start(PARENT.format(child=child, then=then), tmp_path)
    size = 3 if "subprocess" in child else 2
    tree = eventually(lambda: tree if len(tree := machine.process_tree(process.pid)) == size else None, 20)
    process.stop()
    assert process.pid not in machine.process_tree(os.getpid())
    assert eventually(lambda: all(map(ended, tree)) or None)


def test_an_orphan_is_ended_too(tmp_path: Path) -> None:
    """Its parent has gone long before."""
    process = start(PARENT.format(child=CHILD, then="print(child.pid, flush=True)"), tmp_path)
    orphan = int(eventually(lambda: process.tail().split()[1:] or None, 20)[0])
    process._popen.wait()
    assert not ended(orphan)
    process.stop()
    assert eventually(lambda: ended(orphan) or None)


def test_it_is_asked_before_it_is_ended(tmp_path: Path) -> None:
    """What it writes at SIGTERM is there; stopping it again does nothing."""
    code = "import signal, sys; signal.signal(15, lambda *_: sys.exit('bye')); print('up', flush=True); signal.pause()"
    process = start(code, tmp_path)
    eventually(lambda: "up" in process.tail() or None, 20)
    process.stop()
    process.stop()
    assert process.tail().strip() == "bye"
    assert process._popen.returncode == 1


def test_a_stopped_process_can_be_ended(tmp_path: Path) -> None:
    """One that was killed already, or was never there, too."""
    process = start(CHILD, tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.stop()
    with pytest.raises(FileNotFoundError):
        Process("subject", ["/nowhere/at/all"], CORE, tmp_path, {})
