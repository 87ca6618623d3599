"""Reading the kernel's accounts, and starting and ending processes."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import machine
from benchmarks.processes import Process, StartFailed, free_port, pinned

TICKS = os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("python", id="a-plain-name"),
        pytest.param("tmux: server", id="a-name-with-a-space"),
        pytest.param("a) S 1 (b", id="a-name-that-looks-like-fields"),
    ],
)
def test_stat_lines(name: str) -> None:
    line = (
        f"42 ({name}) S 7 42 42 0 -1 4194560 100 200 0 0 11 22 {3 * TICKS} {4 * TICKS} 20 0 1 0 99 1000 200"
    )
    assert machine.parse_stat(line) == (7, 7.0)


def test_pss_is_read_in_bytes() -> None:
    """The kernel's kB are 1,024 bytes; Pss_Dirty is another line."""
    rollup = "00400000-7fff ---p 00000000 00:00 0   [rollup]\nRss: 900 kB\nPss:   315 kB\nPss_Dirty: 112 kB\n"
    assert machine.parse_pss_bytes(rollup) == 315 * 1024


def test_stolen_time_is_that_of_all_cores() -> None:
    """The eighth number of the first line, in ticks."""
    stat = "cpu  100 1 50 9999 77 2 3 40 5 6\ncpu0 9 9 9 9 9 9 9 9 0 0\nintr 5\n"
    assert machine.parse_stolen_seconds(stat) == 40 / TICKS


def test_everyone_includes_this_process() -> None:
    """CPU that we burn ourselves is part of the whole machine's."""
    before, own = machine.everyone_cpu_seconds(), time.process_time()
    sum(range(2_000_000))
    own_spent = time.process_time() - own
    assert machine.everyone_cpu_seconds() - before >= own_spent * 0.9


def test_the_clock_of_a_process_is_the_one_it_sees_itself() -> None:
    """Between two readings of our own, the kernel's clock for our id lies."""
    before = time.process_time()
    measured = machine.process_cpu_seconds(os.getpid())
    assert before <= measured <= time.process_time()


def test_a_tree_has_its_grandchildren_and_pays_for_the_reaped() -> None:
    """A shell's child that burnt CPU and ended still counts for the shell."""
    burn = f"{sys.executable} -c 'sum(range(3_000_000))'"
    script = f"{burn}; {sys.executable} -c 'import sys; print(1, flush=True); sys.stdin.read()'; true"
    with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        assert len(machine.process_tree(shell.pid)) == 2
        assert machine.tree_cpu_seconds(shell.pid) > machine.process_cpu_seconds(shell.pid) + 0.02
        assert machine.tree_pss_bytes(shell.pid) > 1_000_000


def test_a_pin_is_taken_off_again() -> None:
    """What was allowed before is allowed after."""
    before = os.sched_getaffinity(0)
    with pinned(min(before)):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before


def start(code: str, directory: Path) -> Process:
    return Process("subject", [sys.executable, "-c", code], min(os.sched_getaffinity(0)), directory, {})


def test_a_process_that_ends_at_once_says_why(tmp_path: Path) -> None:
    """Its log is in the message, so that nobody has to look for it."""
    process = start("raise SystemExit('no such model')", tmp_path)
    with pytest.raises(StartFailed, match="no such model"):
        process.wait_until(free_port(), "/readyz")
    process.stop()


def test_stopping_leaves_no_child_behind(tmp_path: Path) -> None:
    """A child that outlives its parent is in the same session, and goes with it."""
    port = free_port()
    child = f"import socket; s = socket.create_server(('127.0.0.1', {port})); s.accept(); s.accept()"
    process = start(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])", tmp_path)
    try:
        assert process.wait_until(port, None) > 0
        tree = machine.process_tree(process.pid)
    finally:
        process.stop()
    assert len(tree) == 2
    assert process.pid not in machine.process_tree(os.getpid())
    assert _refuses_within(port, seconds=5)


def _refuses_within(port: int, seconds: float) -> bool:
    """Whether nobody listens there soon: a killed process lets go of its socket a moment after the signal."""
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            continue
    return False
