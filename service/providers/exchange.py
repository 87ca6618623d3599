"""One request to a provider and its answer: the clocks, and the sink that is told."""

import asyncio
from typing import Protocol

from service.grace import Grace
from service.providers.base import Clocks, Fault, FaultKind, Sink

DRAIN_SECONDS = 1.0
"""How long a finished exchange may take to end its body, so that its connection can be kept."""

GRACE_SECONDS = 0.5
"""Clocks that are shorter are set at once; for the others an answer that is quick needs none."""


class Line(Protocol):
    """The connection, as far as its exchange acts on it."""

    def is_open(self) -> bool:
        """Whether it can still be written to."""

    def pause(self) -> None:
        """Leave what comes to the kernel's buffers."""

    def resume(self) -> None:
        """Read again."""

    def close(self) -> None:
        """Drop the socket at once."""


class HttpExchange:
    """One request and its answer: the clocks, and the sink that is told.

    All clocks are one timer, set again only when it fires: reading an event costs a time stamp. It
    never lies further ahead than the idle clock, so that clock needs no timer of its own; and a
    quick answer gets none at all (`service.grace`).
    """

    __slots__ = (
        "_clocks",
        "_connection",
        "_grace",
        "_last_at",
        "_loop",
        "_opened_at",
        "_paused",
        "_running",
        "_sink",
        "_timer",
        "answering",
        "open",
        "received",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, connection: Line, sink: Sink, clocks: Clocks, grace: Grace
    ) -> None:
        self._loop = loop
        self._connection = connection
        self._sink = sink
        self._clocks = clocks
        self._last_at = self._opened_at = loop.time()
        self._running = False
        self._paused = False
        self.answering = False
        self.received = False
        self._timer: asyncio.TimerHandle | None = None
        self.open = True
        self._grace = grace
        if self._next_check_at() - self._last_at > GRACE_SECONDS:
            grace.add(self)
        else:
            self.grace_over()

    def on_head(self, status: int, headers: dict[str, str]) -> None:
        """From the connection."""
        self._sink.head(status, headers)

    def on_data(self, data: bytes) -> None:
        """From the connection: body bytes of one read."""
        self._last_at = self._loop.time()
        self.answering = True
        self._sink.data(data)

    def on_end(self) -> None:
        """From the connection: the body is whole."""
        if self._close():
            self._forget_sink().end()

    def on_fail(self, fault: Exception) -> None:
        """From the connection or a clock: nothing more will come."""
        if self._close():
            self._forget_sink().fail(fault)

    def started(self) -> None:
        """The answer proper began: the idle clock counts from now on."""
        self._running = True

    def pause(self) -> None:
        """Read no more; the kernel's buffers fill and the provider has to wait."""
        if self.open and not self._paused and self._connection.is_open():
            self._paused = True
            self._connection.pause()

    def resume(self) -> None:
        """Read on; the idle clock starts anew."""
        if self.open and self._paused:
            self._paused = False
            self._last_at = self._loop.time()
            self._connection.resume()
            self._stop_timer()
            self.grace_over()

    def finish(self) -> None:
        """Let the body end by itself for a moment, so that the connection can be kept."""
        if not self.open:
            return
        self._forget_sink()
        self.resume()
        self._stop_timer()
        self._timer = self._loop.call_later(DRAIN_SECONDS, self.abort)

    def abort(self) -> None:
        """Close the connection at once; the sink hears nothing more."""
        if self._close():
            self._forget_sink()
            self._connection.close()

    def grace_over(self) -> None:
        """It takes longer than most: from now on it has a timer of its own."""
        if self._timer is None:
            self._timer = self._loop.call_at(self._next_check_at(), self._check)

    def _forget_sink(self) -> Sink:
        """Let go of the sink, and return it.

        It knows its exchange: a circle of the two would be left for the garbage collector, which
        gathers many and then stops the loop for some 30 ms.
        """
        sink, self._sink = self._sink, _NOBODY
        return sink

    def _close(self) -> bool:
        """Close it for good; False if it was closed before, so that its end is told only once."""
        was_open, self.open = self.open, False
        self._grace.leave(self)
        self._stop_timer()
        return was_open

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next_check_at(self) -> float:
        return min(self._due_at(), self._loop.time() + self._clocks.idle_seconds)

    def _due_at(self) -> float:
        if self._paused:
            return self._clocks.deadline_at
        if self._running:
            return min(self._last_at + self._clocks.idle_seconds, self._clocks.deadline_at)
        # A provider's heartbeats are no answer: only `started` stops the first clock.
        return min(self._opened_at + self._clocks.first_byte_seconds, self._clocks.deadline_at)

    def _check(self) -> None:
        now, due_at = self._loop.time(), self._due_at()
        if now < due_at:
            self._timer = self._loop.call_at(self._next_check_at(), self._check)
            return
        fault = self._timed_out(now)
        self._connection.close()
        self.on_fail(fault)

    def _timed_out(self, now: float) -> Fault:
        kind = FaultKind.STALLED if self._running else FaultKind.TIMED_OUT
        if now >= self._clocks.deadline_at:
            return Fault(kind, "The provider did not finish in time.", reason="timeout_total")
        if self._running:
            return Fault(kind, "The provider stopped in the middle of its answer.", reason="timeout_idle")
        return Fault(kind, "The provider did not begin its answer in time.", reason="timeout_first_token")


class _Nobody:
    """The sink of an exchange whose own sink has left."""

    def head(self, status: int, headers: object) -> None:
        """Not heard."""

    def data(self, chunk: bytes) -> None:
        """Not heard."""

    def end(self) -> None:
        """Not heard."""

    def fail(self, fault: Exception) -> None:
        """Not heard."""


_NOBODY = _Nobody()
