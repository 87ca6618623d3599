"""Reading the kernel's accounts."""

import os
import resource
import subprocess
import sys
import time

import msgspec
import pytest

from benchmarks.lab import machine
from benchmarks.record import Machine

TICKS = os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("python", id="a-plain-name"),
        pytest.param("tmux: server", id="a-name-with-a-space"),
        pytest.param("a) S 1 (b", id="a-name-that-looks-like-fields"),
        pytest.param("", id="no-name"),
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


@pytest.mark.parametrize(
    "read", [machine.process_cpu_seconds, machine.tree_cpu_seconds, machine.tree_pss_bytes]
)
def test_a_process_that_is_gone_has_no_account(read: object) -> None:
    """An OSError, which a run reports as what it is, and never a zero, which would read as no cost."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert callable(read)
    with pytest.raises(OSError):
        read(process.pid)


def test_the_machine_is_described() -> None:
    """All of it is known here, and fit to be saved."""
    described = machine.describe()
    assert described.cores == len(os.sched_getaffinity(0))
    assert described.memory_bytes > 2**28
    assert all((described.cpu, described.kernel, described.python, described.date.endswith("+00:00")))
    assert {"litestar", "granian", "msgspec"} <= set(described.packages)
    assert msgspec.json.decode(msgspec.json.encode(described), type=Machine) == described


def test_the_file_limit_is_raised_as_far_as_it_may_be() -> None:
    """Never beyond the hard limit, which stays."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        given = machine.raise_file_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (given, before[1])
        assert given == 65_536 or given == before[1] < 65_536
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_revision_is_a_short_hash() -> None:
    """With a plus where the tree differs from it; `unknown` without git."""
    revision = machine.revision()
    assert revision == "unknown" or int(revision.removesuffix("+"), 16) > 0
