"""One kept connection of the load generator, with at most one request on it."""

import asyncio
import time
from collections.abc import Callable
from typing import cast

import httptools

from benchmarks.load.checking import CHECKERS, StreamChecker
from benchmarks.load.requests import Request
from benchmarks.load.tally import Tally
from benchmarks.load.whole import whole_fault
from benchmarks.upstream.script import SAID, WHOLE_TOKENS


class Connection(asyncio.Protocol):
    """Sends, reads, checks; what it sees goes into `tally`.

    checker: the verdict on the stream that it reads, or read last; None where that is no stream.
    Calls `on_idle` when a request has ended well, `on_failed` when it hasn't, `on_left` when
    it went away on purpose. After the last two it is closed for good.
    """

    def __init__(self, tally: Tally) -> None:
        self.busy = False
        self.tally = tally
        self.on_idle: Callable[[Connection], None] = _nothing
        self.on_failed: Callable[[Connection], None] = _nothing
        self.on_left: Callable[[Connection], None] = _nothing
        self.checker: StreamChecker | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._request: Request
        self._body = b""
        self._leave_after: int | None = None
        self._due_ns = 0
        self._returning = False
        self._tokens = 0
        self._head_ns = 0
        self._first_ns = 0
        self._last_ns = 0
        self._gaps_ns: list[int] = []
        self._reading = False
        self._sent_while_reading = False

    def send(
        self,
        request: Request,
        due_ns: int,
        *,
        leave_after: int | None = None,
        checker: StreamChecker | None = None,
    ) -> None:
        """Send `request`, which was due at `due_ns` (CLOCK_MONOTONIC): its clocks start there.

        leave_after: go away when that many tokens have come; 0 leaves without waiting for any.
        checker: of the beginning of the stream, where `request` comes back for its rest.
        """
        self.busy = True
        self._sent_while_reading = self._reading
        self._request = request
        self._due_ns = due_ns
        self._first_ns = self._head_ns = 0
        self._gaps_ns = []
        self._body = b""
        self._leave_after = leave_after
        self._tokens = 0
        self._returning = checker is not None
        if checker is None and request.dialect is not None and request.tokens is not None:
            checker = CHECKERS[request.dialect](request.tokens)
        self.checker = checker
        if self._transport.is_closing():
            self._fail("closed while idle")
            return
        self._transport.write(request.wire)
        if leave_after == 0:
            self.leave_on_purpose()

    def leave(self) -> None:
        """Go away without a word, in the middle of an answer too; that is not counted as an error."""
        self.busy = False
        self._transport.abort()

    def leave_on_purpose(self) -> None:
        """Go away in the middle; what came until then must have been right. Nothing happens after the end."""
        if not self.busy:
            return
        fault = self.checker.so_far() if self.checker is not None else None
        if fault is not None:
            self._fail(fault)
            return
        self.tally.left += 1
        self._record_stream()
        self.leave()
        self.on_left(self)

    def give_up(self) -> None:
        """The run's time is over: what is still open is an error."""
        if self.busy:
            self._fail("unfinished")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's transports have its methods, but not asyncio.Transport as their class.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which calls the `on_` methods."""
        self._reading = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            # What follows an answer that was wrong already is not a second error.
            if not self._transport.is_closing():
                self._fail(f"bad HTTP: {error.__context__ or error}")
        self._reading = self._sent_while_reading = False

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection that ends in the middle of an answer has cut it."""
        if self.busy:
            self._fail("cut in the middle")

    def on_message_begin(self) -> None:
        """An answer begins. One that was here before its question was sent is the last one's again."""
        if (self._sent_while_reading or not self.busy) and not self._transport.is_closing():
            self._fail("answer without a question")
        elif self._returning:
            self._head_ns = time.monotonic_ns()

    def on_body(self, piece: bytes) -> None:
        """A piece of the answer's body; what comes after leaving, or after a fault, is nobody's."""
        if not self.busy:
            return
        if self.checker is None or self._parser.get_status_code() != 200:
            self._body = self._body + piece if self._body else piece
            return
        tokens = self.checker.feed(piece)
        if not tokens:
            return
        self._tokens += tokens
        now_ns = time.monotonic_ns()
        if self._first_ns:
            self._gaps_ns.append(now_ns - self._last_ns)
        else:
            self.tally.begun += 1
            self._first_ns = now_ns
        self._last_ns = now_ns
        if self._leave_after is not None and self._tokens >= self._leave_after:
            self.leave_on_purpose()

    def on_message_complete(self) -> None:
        """The answer is whole: judge it."""
        if not self.busy:
            return
        fault = self._answer_fault()
        if fault is not None:
            self._fail(fault)
            return
        self.busy = False
        self.tally.answers += 1
        if not self._returning:
            self.tally.latency.record_ns(time.monotonic_ns() - self._due_ns)
        self._record_stream()
        self.on_idle(self)

    def _record_stream(self) -> None:
        """A stream's events and durations count once it was found right, and not before."""
        if self._returning and self._head_ns:
            self.tally.first_byte.record_ns(self._head_ns - self._due_ns)
        if not self._first_ns:
            return
        self.tally.events += self._tokens
        if not self._returning:
            self.tally.first_event.record_ns(self._first_ns - self._due_ns)
        self.tally.gap.record_all_ns(self._gaps_ns)

    def _answer_fault(self) -> str | None:
        status = self._parser.get_status_code()
        if status != 200:
            return f"status {status}: {self._body[:200].decode(errors='replace')}"
        if self.checker is not None:
            return self.checker.close()
        if self._request.dialect is None:
            return None
        return whole_fault(self._body, SAID, WHOLE_TOKENS, self._request.dialect)

    def _fail(self, fault: str) -> None:
        self.busy = False
        self.tally.fail(fault)
        self._transport.abort()
        self.on_failed(self)


def _nothing(connection: Connection) -> None:
    """Nobody is waiting for this connection."""


class SlowConnection(Connection):
    """Reads at most `bytes_per_second`, by leaving what comes in the socket for a while.

    Its socket should have a small receive buffer (`Client` does that), or the kernel takes
    everything at once and nobody notices how slow this reader is.
    """

    def __init__(self, tally: Tally, bytes_per_second: float) -> None:
        super().__init__(tally)
        self._bytes_per_second = bytes_per_second

    def data_received(self, data: bytes) -> None:
        """Take it, and then rest for as long as that much takes at this pace."""
        super().data_received(data)
        if not self._transport.is_closing():
            self._transport.pause_reading()
            loop = asyncio.get_running_loop()
            loop.call_later(len(data) / self._bytes_per_second, self._go_on)

    def _go_on(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()
