"""Streamed answers on their way out: paced by one timer for all, or as fast as the sockets take them."""

import asyncio
from collections.abc import Callable

from benchmarks.upstream.dialects import LAST_CHUNK, Dialect, framed
from benchmarks.upstream.questions import Question
from benchmarks.upstream.script import order

_WHEEL_STEP_SECONDS = 0.001  # the resolution of the loop's own timers


class Stream:
    """One streamed answer. `step` sends the next event, and says if more follow.

    on_end is called once, when the last byte was written. blocked: its reader is behind. silent: it
    says nothing until it is told to.
    """

    __slots__ = (
        "_at",
        "_dialect",
        "_on_end",
        "_order",
        "_question",
        "_transport",
        "blocked",
        "due",
        "interval_seconds",
        "over",
        "parked",
        "silent",
    )

    def __init__(
        self, question: Question, dialect: Dialect, transport: asyncio.Transport, on_end: Callable[[], None]
    ) -> None:
        self._question = question
        self._dialect = dialect
        self._order = order(question.script.tokens, question.script.fault)
        self._at = 0
        self._transport = transport
        self._on_end = on_end
        self.interval_seconds = question.script.interval_ms / 1000
        self.due = 0.0
        self.blocked = False
        self.parked = False
        self.silent = False
        self.over = False

    @property
    def waits(self) -> bool:
        """Whether nothing is to be sent for now."""
        return self.blocked or self.silent

    def step(self) -> bool:
        """Send one event (after the last token: the end, in one piece); False when that was it."""
        if self.over or self._transport.is_closing():
            return False
        if self._at < len(self._order):
            self._transport.write(framed(self._dialect.token(self._order[self._at])))
            self._at += 1
            self.silent = self._at == self._question.script.silent_after
            return True
        self.over = True
        self._finish()
        self._on_end()
        return False

    def _finish(self) -> None:
        script = self._question.script
        if script.fault == "cut":
            self._transport.close()
        elif script.fault == "unfinished":
            self._transport.write(LAST_CHUNK)
        else:
            end = self._dialect.end(script.tokens, self._question.include_usage)
            self._transport.write(framed(end) + LAST_CHUNK)


class Wheel:
    """One timer for all paced streams: slots of 1 ms, each with the streams that are due in it.

    A stream's next time is counted from its last due time, not from now, so that no pace drifts.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[int, list[Stream]] = {}
        self._turning = False
        self._slot = 0

    def add(self, stream: Stream) -> None:
        """Send the first event of `stream` at once, and start its pace.

        Were the first to wait for a slot too, the slots' 1 ms would be in every time to first
        event, and not by the same share for requests that come at fixed instants.
        """
        if not stream.step():
            return
        stream.due = self._loop.time() + stream.interval_seconds
        if not self._turning:
            self._turning = True
            self._slot = int(self._loop.time() / _WHEEL_STEP_SECONDS)
            self._loop.call_later(_WHEEL_STEP_SECONDS, self._turn)
        self._put(stream)

    def _put(self, stream: Stream) -> None:
        # A slot that has passed would never be looked at again.
        slot = max(int(stream.due / _WHEEL_STEP_SECONDS), self._slot + 1)
        self._slots.setdefault(slot, []).append(stream)

    def _turn(self) -> None:
        now = int(self._loop.time() / _WHEEL_STEP_SECONDS)
        while self._slot < now:
            self._slot += 1
            for stream in self._slots.pop(self._slot, ()):
                # One whose reader left while it waited is over, and would be carried on for ever.
                if (stream.waits and not stream.over) or stream.step():
                    stream.due += stream.interval_seconds
                    self._put(stream)
        self._turning = bool(self._slots)
        if self._turning:
            self._loop.call_later(_WHEEL_STEP_SECONDS, self._turn)


class Bursts:
    """Unpaced streams in turn, one event per turn of the loop.

    uvloop joins what one turn writes into one segment; one event per turn keeps each event a
    segment of its own, as from a real provider.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def add(self, stream: Stream) -> None:
        """Send until the end, pausing while the reader is behind."""
        if stream.waits:
            stream.parked = True
        elif stream.step():
            self._loop.call_soon(self.add, stream)

    def resume(self, stream: Stream) -> None:
        """What it waited for is over: go on where `add` parked the stream, if nothing else is in the way."""
        if stream.parked and not stream.waits:
            stream.parked = False
            self._loop.call_soon(self.add, stream)
