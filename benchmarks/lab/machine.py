"""What the kernel says: CPU and memory of a process tree, who else was busy, and what machine it is.

Linux only: all of it comes from /proc and the kernel's per-process clocks.
"""

import contextlib
import os
import platform
import resource
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from benchmarks.record import Machine

ROOT = Path(__file__).parent.parent.parent
_WANTED_FILES = 65_536
_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
_PACKAGES = ("litestar", "granian", "msgspec", "uvloop", "httptools")


def parse_stat(text: str) -> tuple[int, float]:
    """Of a /proc/PID/stat line: the parent's id, and the CPU seconds of its reaped children.

    The command's name may hold spaces and brackets, so fields are counted from the last `)`.
    """
    fields = text.rpartition(")")[2].split()
    return int(fields[1]), (int(fields[13]) + int(fields[14])) * _TICK_SECONDS


def process_tree(root: int) -> list[int]:
    """`root` and all its living descendants, parents before children."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent, _ = parse_stat((entry / "stat").read_text())
        except OSError:
            continue  # it ended between the listing and the reading
        children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def process_cpu_seconds(pid: int) -> float:
    """User and system time of all threads of one process, to the nanosecond.

    The clock's number is that of clock_getcpuclockid(3), which Python doesn't have:
    ~pid shifted by three, with CPUCLOCK_SCHED. /proc/PID/stat counts in ticks of 10 ms.
    """
    return time.clock_gettime(~pid << 3 | 2)


def tree_cpu_seconds(root: int) -> float:
    """User and system time of a process tree so far, children that ended and were reaped included.

    Raises OSError where `root` is gone.
    """
    return _sum_of_tree(
        root, lambda pid: process_cpu_seconds(pid) + parse_stat(Path(f"/proc/{pid}/stat").read_text())[1]
    )


def _sum_of_tree(root: int, read: Callable[[int], float]) -> float:
    total = read(root)
    for pid in process_tree(root)[1:]:
        with contextlib.suppress(OSError):  # it ended between the listing and the reading
            total += read(pid)
    return total


def parse_pss_bytes(rollup: str) -> int:
    """The proportional set size in a /proc/PID/smaps_rollup."""
    line = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) * 1024


def tree_pss_bytes(root: int) -> int:
    """Memory of a process tree; a page shared by n processes of this machine counts 1/n for each.

    Raises OSError where `root` is gone.
    """
    return int(_sum_of_tree(root, lambda pid: parse_pss_bytes(Path(f"/proc/{pid}/smaps_rollup").read_text())))


def parse_stolen_seconds(stat: str) -> float:
    """Of /proc/stat: what the hypervisor took from all cores together since the start."""
    return int(stat.split(None, 9)[8]) * _TICK_SECONDS


def everyone_cpu_seconds() -> float:
    """CPU of all processes in sight, and what the hypervisor took, since the machine started.

    /proc/stat's busy time is sampled at the timer's ticks on most kernels, and paced load beats in
    step with them: it was seen to be wrong by half a core. The processes' own clocks are exact.
    """
    total = parse_stolen_seconds(Path("/proc/stat").read_text())
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended between the listing and the reading
            total += process_cpu_seconds(int(entry.name)) + parse_stat((entry / "stat").read_text())[1]
    return total


def describe() -> Machine:
    """This machine, now, with the versions that are behind a figure."""
    return Machine(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        cpu=_cpu_name(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        kernel=platform.release(),
        python=platform.python_version(),
        packages={name: metadata.version(name) for name in _PACKAGES},
    )


def raise_file_limit() -> int:
    """Ask for room for many sockets, for this process and those it starts; return what was given."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, _WANTED_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def _cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def revision() -> str:
    """The commit, with a `+` where what runs (`service/`) differs from it."""
    commit = _output(["git", "rev-parse", "--short", "HEAD"])
    changed = _output(["git", "status", "--porcelain", "service", "requirements/runtime.txt"])
    return commit + ("+" if changed else "") if commit else "unknown"


def _output(command: list[str]) -> str:
    """What `command` prints; empty where it fails."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
