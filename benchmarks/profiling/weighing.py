"""From samples to CPU seconds: py-spy says where, the kernel says how much. Pure.

py-spy sees only threads that hold the interpreter's lock at that moment, and sees them too often
inside system calls (of a paced load in 62 % of the samples, where the kernel's accounts have 25 and
perf 35): a thread can be stopped only where its system call returns. The kernel counts exactly how
long each thread was on a core, and about how much of that in system calls. So each thread's own
account is divided among its samples: the part in system calls among those whose leaf is in the C
library, through which all calls go, the rest among the others.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from benchmarks.profiling.rooms import KERNEL, OUTSIDE, room
from benchmarks.profiling.stacks import Frame, Sample, Stack

_THREAD_FILE = "thread"


class ThreadCpu(msgspec.Struct, frozen=True):
    """What one thread spent by the kernel's accounts. name: the kernel's."""

    thread_id: int
    name: str
    user_seconds: float
    system_seconds: float


def weigh(samples: Sequence[Sample], threads: Iterable[ThreadCpu], period_seconds: float) -> list[Stack]:
    """Divide the time of each thread among its samples; the sum of all stacks is the sum of all threads.

    period_seconds: between two looks of the profiler, so that n samples stand for n periods at
    most. What a thread spent beyond them it spent without the lock, in code that isn't Python
    (Granian's runtime): one stack, `outside Python`. Samples of unknown threads are left out.
    """
    of_thread: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        of_thread[sample.thread_id].append(sample)
    return [
        stack
        for thread in threads
        for stack in _of_one_thread(thread, of_thread[thread.thread_id], period_seconds)
        if stack.seconds > 0
    ]


def _of_one_thread(thread: ThreadCpu, samples: list[Sample], period_seconds: float) -> Iterator[Stack]:
    spent = thread.user_seconds + thread.system_seconds
    if spent <= 0:
        return
    counted = sum(sample.count for sample in samples)
    seen = min(1.0, counted * period_seconds / spent) if samples else 0.0
    names = (sample.thread for sample in samples if sample.thread)
    root = Frame(next(names, thread.name), _THREAD_FILE)
    others, in_calls = _parted(samples)
    user, system = thread.user_seconds * seen, thread.system_seconds * seen
    if not in_calls or not others:
        # Every sample was of one kind: they stand for all.
        yield from _share(root, samples, user + system)
    else:
        yield from _share(root, others, user)
        yield from _share(root, in_calls, system)
    yield Stack((root, Frame(root.name, OUTSIDE)), spent * (1 - seen))


def _parted(samples: list[Sample]) -> tuple[list[Sample], list[Sample]]:
    """Those in Python or another program's code, and those in system calls."""
    parts: tuple[list[Sample], list[Sample]] = ([], [])
    for sample in samples:
        parts[bool(sample.frames) and room(sample.frames[-1]) == KERNEL].append(sample)
    return parts


def _share(root: Frame, samples: list[Sample], seconds: float) -> Iterator[Stack]:
    counted = sum(sample.count for sample in samples)
    for sample in samples:
        yield Stack(
            (root, *(sample.frames or (Frame(root.name, OUTSIDE),))), seconds * sample.count / counted
        )
