"""A metronome for open loops: fixed instants, to some 50 µs, without a busy wait.

The loop's own timers count whole milliseconds, which would drown a latency of 0.4 ms. The
kernel's timerfd (timerfd_create(2)) wakes the loop like a socket; Python has it from 3.13 on.
"""

import asyncio
import ctypes
import os
import struct
import time
from collections.abc import Callable

_ABSOLUTE = 1  # TFD_TIMER_ABSTIME
_CLOEXEC_NONBLOCK = 0o2000000 | 0o4000
_ITIMERSPEC = struct.Struct("@4q")  # interval s, ns; first expiry s, ns
_NS = 1_000_000_000
_libc = ctypes.CDLL(None, use_errno=True)


def schedule_ns(start_ns: int, rate_per_second: float, number: int) -> int:
    """When the `number`-th request (from 0) is due; computed, not summed, so it can't drift."""
    return start_ns + round(number * _NS / rate_per_second)


class Metronome:
    """Calls `on_tick(number, intended_ns)` `count` times at `rate_per_second`; then `finished` is set.

    Times are CLOCK_MONOTONIC. A late wake-up delivers all that were missed, with the times at
    which they were due: a stall is not hidden.
    """

    def __init__(self, rate_per_second: float, count: int, on_tick: Callable[[int, int], None]) -> None:
        self._rate = rate_per_second
        self._count = count
        self._on_tick = on_tick
        self._number = 0
        self._loop = asyncio.get_running_loop()
        self._start_ns = time.monotonic_ns() + 5_000_000
        self._file = _libc.timerfd_create(time.CLOCK_MONOTONIC, _CLOEXEC_NONBLOCK)
        if self._file < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self.finished = self._loop.create_future()
        self._loop.add_reader(self._file, self._wake)
        self._arm()

    def close(self) -> None:
        """Stop and give the descriptor back; may be called more than once."""
        if self._file >= 0:
            self._loop.remove_reader(self._file)
            os.close(self._file)
            self._file = -1

    def _due_ns(self) -> int:
        return schedule_ns(self._start_ns, self._rate, self._number)

    def _arm(self) -> None:
        seconds, nanoseconds = divmod(self._due_ns(), _NS)
        spec = _ITIMERSPEC.pack(0, 0, seconds, nanoseconds)
        if _libc.timerfd_settime(self._file, _ABSOLUTE, spec, None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def _wake(self) -> None:
        os.read(self._file, 8)
        now_ns = time.monotonic_ns()
        while self._number < self._count and (due_ns := self._due_ns()) <= now_ns:
            self._number += 1
            self._on_tick(self._number - 1, due_ns)
        if self._number < self._count:
            self._arm()
            return
        self.close()
        if not self.finished.done():
            self.finished.set_result(None)
