"""The kernel's accounts of threads, and a recording of a real process."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.lab.subjects import Unavailable
from benchmarks.profiling.costs import function_costs
from benchmarks.profiling.sampler import find_py_spy, record_stacks
from benchmarks.profiling.threads import ThreadClock, parse_clock, read_threads, spent
from benchmarks.profiling.weighing import ThreadCpu

TICKS = os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("tokio-rt-worker", id="a-plain-name"),
        pytest.param("a) R 9 (b", id="a-name-that-looks-like-fields"),
    ],
)
def test_clocks(name: str) -> None:
    stat = (
        f"42 ({name}) S 7 42 42 0 -1 4194560 100 200 0 0 {3 * TICKS} {2 * TICKS} 22 33 20 0 1 0 99 1000 200"
    )
    assert parse_clock(stat, "5123456789 1000 77\n") == ThreadClock(name, 5.123456789, 3.0, 2.0)


@pytest.mark.parametrize(
    ("before", "after", "result"),
    [
        pytest.param(
            {1: ThreadClock("t", 1.0, 0.5, 0.5)},
            {1: ThreadClock("t", 2.0, 1.25, 0.75)},
            [ThreadCpu(1, "t", 0.75, 0.25)],
            id="the-exact-sum-in-the-proportion-of-the-ticks",
        ),
        pytest.param(
            {1: ThreadClock("t", 1.0, 0.5, 0.5)},
            {1: ThreadClock("t", 1.00390625, 0.5, 0.5)},
            [ThreadCpu(1, "t", 0.00390625, 0.0)],
            id="less-than-a-tick",
        ),
        pytest.param(
            {}, {1: ThreadClock("t", 0.5, 0.0, 0.25)}, [ThreadCpu(1, "t", 0.0, 0.5)], id="a-new-thread"
        ),
        pytest.param({1: ThreadClock("t", 1.0, 0.5, 0.5)}, {}, [], id="a-thread-that-ended"),
    ],
)
def test_spent(
    before: dict[int, ThreadClock], after: dict[int, ThreadClock], result: list[ThreadCpu]
) -> None:
    assert spent(before, after) == result


def test_all_threads_of_a_tree_are_read() -> None:
    """A thread of ours, and that of a child."""
    done = threading.Event()
    ours = threading.Thread(target=done.wait)
    ours.start()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        clocks = read_threads(os.getpid())
        done.set()
    ours.join()
    assert {ours.native_id, child.pid, os.getpid()} <= clocks.keys()


# Half of its time in a function of its own, half in system calls, until its input ends.
_BUSY = """
import os, threading
ended = threading.Event()
threading.Thread(target=lambda: (os.read(0, 1), ended.set())).start()
def count():
    for number in range(5000):
        number * number
def ask():
    for _ in range(500):
        os.getppid()
print(flush=True)
while not ended.is_set():
    count()
    ask()
"""


@pytest.fixture
def busy() -> Iterator[int]:
    """The id of a Python process at work."""
    with subprocess.Popen(
        [sys.executable, "-c", _BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid


def test_a_recording_says_where_the_time_went(busy: int) -> None:
    """Its functions by their names, and none of the thread that only waits."""
    try:
        stacks = record_stacks(busy, 1)
    except Unavailable as refused:
        if "ptrace permission" in str(refused):
            pytest.skip("this machine doesn't let one process look into another")
        raise
    costs = {cost.name: cost for cost in function_costs(stacks)}
    # How much each took is a measurement, and not for a test to say.
    assert costs["count (<string>)"].self_share > 0
    assert costs["ask (<string>)"].total_share > 0
    assert "<lambda> (<string>)" not in costs


def a_program(directory: Path, said: str, status: int) -> Path:
    """Something in the place of py-spy that says this, and ends so."""
    program = directory / "py-spy"
    program.write_text(f"#!/bin/sh\ncat <<'END' >&2\n{said}\nEND\nexit {status}\n")
    program.chmod(0o755)
    return program


REFUSAL = (
    "Permission Denied: Try running again with elevated permissions by going 'sudo env \"PATH=$PATH\" !!'"
)
NO_PYTHON = "Error: No python processes found in process 7\n\nStack backtrace:\n   0: anyhow::error"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        pytest.param(REFUSAL, r"sysctl kernel\.yama\.ptrace_scope=0.*--cap-add SYS_PTRACE", id="refused"),
        pytest.param(
            NO_PYTHON, r"could not record: Error: No python processes found in process 7$", id="no-python"
        ),
    ],
)
def test_why_nothing_was_recorded(tmp_path: Path, said: str, message: str) -> None:
    with pytest.raises(Unavailable, match=message):
        record_stacks(os.getpid(), 1, py_spy=a_program(tmp_path, said, 1))


def test_py_spy_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the remedy."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="just setup"):
        find_py_spy()
