"""Writing down what happened, off the requests' own path.

A request that is over is only put on a list. A moment later all on it are counted and logged
together: no client waits for that, and together they cost less than one by one.
"""

import asyncio
from collections.abc import Callable
from time import time  # noqa: TID251 - the moment of a request's end, stamped where it ends

from service.telemetry.facts import Facts

FLUSH_SECONDS = 0.05
FLUSH_COUNT = 256

Consumer = Callable[[Facts, float, float], None]


class Recorder:
    """Hands each finished request to its consumers: facts, the end's monotonic and Unix seconds."""

    def __init__(self, consumers: tuple[Consumer, ...], after: Callable[[], None]) -> None:
        """after: called when a batch has been handed on."""
        self._loop = asyncio.get_running_loop()
        self._consumers = consumers
        self._after = after
        self._finished: list[tuple[Facts, float, float]] = []
        self._timer: asyncio.TimerHandle | None = None

    def record(self, facts: Facts, ended_at: float) -> None:
        """One request is over. `ended_at`: seconds of `time.monotonic`."""
        self._finished.append((facts, ended_at, time()))
        if len(self._finished) >= FLUSH_COUNT:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Hand on what has gathered, now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        finished, self._finished = self._finished, []
        for facts, ended_at, now in finished:
            for consume in self._consumers:
                consume(facts, ended_at, now)
        self._after()
