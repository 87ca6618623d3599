"""The kernel's accounts of the threads of a process tree. Linux only."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from benchmarks.lab.machine import process_tree
from benchmarks.profiling.weighing import ThreadCpu

_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


class ThreadClock(msgspec.Struct, frozen=True):
    """What a thread has spent since it began.

    seconds: on a core, to the nanosecond. user_seconds and system_seconds are in ticks: good for
    the proportion of the two over some seconds, not for the sum.
    """

    name: str
    seconds: float
    user_seconds: float
    system_seconds: float


def read_threads(root: int) -> dict[int, ThreadClock]:
    """The clocks of all threads of a process tree, by thread id."""
    clocks: dict[int, ThreadClock] = {}
    for pid in process_tree(root):
        for task in Path(f"/proc/{pid}/task").glob("[0-9]*"):
            try:
                stat, schedstat = (task / "stat").read_text(), (task / "schedstat").read_text()
            except OSError:
                continue  # it ended between the listing and the reading
            clocks[int(task.name)] = parse_clock(stat, schedstat)
    return clocks


def parse_clock(stat: str, schedstat: str) -> ThreadClock:
    """Of /proc/PID/task/TID/stat and schedstat. The name may hold spaces and brackets."""
    head, _, rest = stat.rpartition(")")
    fields = rest.split()
    return ThreadClock(
        name=head.partition("(")[2],
        seconds=int(schedstat.split(maxsplit=1)[0]) / 1e9,
        user_seconds=int(fields[11]) * _TICK_SECONDS,
        system_seconds=int(fields[12]) * _TICK_SECONDS,
    )


def spent(before: Mapping[int, ThreadClock], after: Mapping[int, ThreadClock]) -> list[ThreadCpu]:
    """What each thread spent between two readings; one that ended meanwhile is left out."""
    new = ThreadClock("", 0.0, 0.0, 0.0)
    return [_between(thread_id, before.get(thread_id, new), clock) for thread_id, clock in after.items()]


def _between(thread_id: int, before: ThreadClock, after: ThreadClock) -> ThreadCpu:
    seconds = max(0.0, after.seconds - before.seconds)
    user = max(0.0, after.user_seconds - before.user_seconds)
    system = max(0.0, after.system_seconds - before.system_seconds)
    # Less than a tick of either: nothing is known of the proportion.
    user_share = user / (user + system) if user + system > 0 else 1.0
    return ThreadCpu(thread_id, after.name, seconds * user_share, seconds * (1 - user_share))
