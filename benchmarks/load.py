"""The load generator: closed and open loop over kept connections, loopback only, always bounded.

Every answer is checked (`benchmarks.checking`); a wrong one is counted by name in the tally
and never enters a duration. A connection that failed takes no further part in its run.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self, cast

import httptools
import msgspec

from benchmarks import answers
from benchmarks.checking import StreamChecker, whole_fault
from benchmarks.pacing import Metronome
from benchmarks.tally import Tally

_HOST = "127.0.0.1"
_CONNECTS_AT_ONCE = 128  # below every backlog (nginx: 511), so that no SYN is dropped and retried after 1 s


class Request(msgspec.Struct, frozen=True):
    """One request, ready for the wire. `tokens`: how many its stream has; None for a JSON answer."""

    wire: bytes
    tokens: int | None = None


def post(body: bytes, tokens: int | None = None) -> Request:
    """A chat completion request with the headers that an SDK sends."""
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\n"
        f"host: {_HOST}\r\ncontent-type: application/json\r\naccept: application/json\r\n"
        "accept-encoding: identity\r\nuser-agent: penstock-bench\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return Request(head.encode() + body, tokens)


class Connection(asyncio.Protocol):
    """One kept connection with at most one request on it; what it sees goes into `tally`.

    Calls `on_idle` when a request has ended well, `on_failed` when it hasn't.
    """

    def __init__(self, tally: Tally) -> None:
        self.busy = False
        self.tally = tally
        self.on_idle: Callable[[Connection], None] = _nothing
        self.on_failed: Callable[[Connection], None] = _nothing
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._body = b""
        self._checker: StreamChecker | None = None
        self._due_ns = 0
        self._last_ns = 0

    def send(self, request: Request, due_ns: int) -> None:
        """Send `request`, which was due at `due_ns` (CLOCK_MONOTONIC): its clocks start there."""
        self.busy = True
        self._due_ns = due_ns
        self._last_ns = 0
        self._body = b""
        self._checker = None if request.tokens is None else StreamChecker(request.tokens)
        if self._transport.is_closing():
            self._fail("closed while idle")
        else:
            self._transport.write(request.wire)

    def leave(self) -> None:
        """Go away without a word, in the middle of an answer too; that is not counted as an error."""
        self.busy = False
        self._transport.abort()

    def give_up(self) -> None:
        """The run's time is over: what is still open is an error."""
        if self.busy:
            self._fail("unfinished")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's transports have its methods, but not asyncio.Transport as their class.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which calls `on_body` and `on_message_complete`."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"bad HTTP: {error.__context__ or error}")

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection that ends in the middle of an answer has cut it."""
        if self.busy:
            self._fail("cut in the middle")

    def on_body(self, piece: bytes) -> None:
        """A piece of the answer's body."""
        if self._checker is None or self._parser.get_status_code() != 200:
            self._body += piece
            return
        tokens = self._checker.feed(piece)
        if not tokens:
            return
        now_ns = time.monotonic_ns()
        if self._last_ns:
            self.tally.gap.record_ns(now_ns - self._last_ns)
        else:
            self.tally.begun += 1
            self.tally.first_event.record_ns(now_ns - self._due_ns)
        self._last_ns = now_ns
        self.tally.events += tokens

    def on_message_complete(self) -> None:
        """The answer is whole: judge it."""
        if not self.busy:
            return
        fault = self._fault()
        if fault is not None:
            self._fail(fault)
            return
        self.busy = False
        self.tally.answers += 1
        self.tally.latency.record_ns(time.monotonic_ns() - self._due_ns)
        self.on_idle(self)

    def _fault(self) -> str | None:
        status = self._parser.get_status_code()
        if status != 200:
            return f"status {status}: {self._body[:200].decode(errors='replace')}"
        if self._checker is not None:
            return self._checker.close()
        return whole_fault(self._body, answers.SAID)

    def _fail(self, fault: str) -> None:
        self.busy = False
        self.tally.fail(fault)
        self._transport.abort()
        self.on_failed(self)


def _nothing(connection: Connection) -> None:
    """Nobody is waiting for this connection."""


class Client:
    """`size` open connections to one port, and the tally of the one run that they are for.

    Use as an async context manager; opening is not timed.

    Raises ConnectionError where the port refuses.
    """

    def __init__(self, port: int, size: int) -> None:
        self._port = port
        self._size = size
        self.connections: list[Connection] = []
        self.tally = Tally()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        while missing := self._size - len(self.connections):
            batch = (
                loop.create_connection(lambda: Connection(self.tally), _HOST, self._port)
                for _ in range(min(missing, _CONNECTS_AT_ONCE))
            )
            self.connections += [connection for _, connection in await asyncio.gather(*batch)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self.connections:
            connection.leave()
        # The loop closes the sockets in its next turn.
        await asyncio.sleep(0)


class ClosedLoop:
    """Each connection sends its next request when the last answer is whole.

    It ends after `repeats` requests per connection or when `seconds` have passed, whichever is
    given; requests on their way are finished and checked, for at most `limit_seconds` in all.
    spread_seconds: the first requests are spread over that long, so that paced streams don't
    beat in step.
    """

    def __init__(
        self,
        request: Request,
        *,
        seconds: float | None = None,
        repeats: int | None = None,
        spread_seconds: float = 0.0,
        limit_seconds: float = 60.0,
    ) -> None:
        self._request = request
        self._seconds = seconds
        self._repeats = repeats
        self._spread_seconds = spread_seconds
        self._limit_seconds = limit_seconds
        self._left: dict[Connection, int] = {}
        self._end_ns: float = 0

    async def run(self, client: Client) -> Tally:
        """Run to the end; the client's tally, which is returned, holds what was seen, errors included."""
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = loop.create_future()
        seconds = self._limit_seconds if self._seconds is None else self._seconds
        self._end_ns = time.monotonic_ns() + seconds * 1e9
        step_seconds = self._spread_seconds / len(client.connections)
        for number, connection in enumerate(client.connections):
            self._left[connection] = -1 if self._repeats is None else self._repeats
            connection.on_idle = self._next
            connection.on_failed = self._retire
            loop.call_later(number * step_seconds, self._next, connection)
        try:
            async with asyncio.timeout(self._limit_seconds):
                await self._ended
        except TimeoutError:
            for connection in client.connections:
                connection.give_up()
        return client.tally

    def _next(self, connection: Connection) -> None:
        now_ns = time.monotonic_ns()
        if self._left[connection] == 0 or now_ns >= self._end_ns:
            self._retire(connection)
            return
        self._left[connection] -= 1
        connection.send(self._request, now_ns)

    def _retire(self, connection: Connection) -> None:
        self._left.pop(connection, None)
        if not self._left and not self._ended.done():
            self._ended.set_result(None)


class Lane:
    """One subject's part of an open loop: its connections, its requests, its tally.

    A request that finds no idle connection waits for one, and its clock runs meanwhile.
    """

    def __init__(self, client: Client, request: Request) -> None:
        self.tally = client.tally
        self._request = request
        self._idle = deque(client.connections)
        self._waiting: deque[int] = deque()
        self._connections = client.connections
        for connection in client.connections:
            connection.on_idle = self._free

    def send(self, due_ns: int) -> None:
        """Send one request that is due at `due_ns`, now or as soon as a connection is idle."""
        if self._idle:
            self._idle.popleft().send(self._request, due_ns)
        else:
            self._waiting.append(due_ns)

    def finish(self) -> None:
        """Count what has not been answered."""
        for connection in self._connections:
            connection.give_up()
        if self._waiting:
            self.tally.fail("never sent", len(self._waiting))

    @property
    def open(self) -> bool:
        """Whether an answer is still due."""
        return bool(self._waiting) or any(connection.busy for connection in self._connections)

    def _free(self, connection: Connection) -> None:
        if self._waiting:
            connection.send(self._request, self._waiting.popleft())
        else:
            self._idle.append(connection)


async def open_loop(lanes: list[Lane], rate_per_second: float, seconds: float) -> None:
    """Send to the lanes in turn, each at `rate_per_second`, at fixed instants, whatever comes back.

    Latency counts from the instant at which a request was due, so a stall delays and is seen.
    Answers still open 5 s after the last request are errors.
    """
    count = int(rate_per_second * seconds) * len(lanes)
    metronome = Metronome(
        rate_per_second * len(lanes), count, lambda number, due_ns: lanes[number % len(lanes)].send(due_ns)
    )
    try:
        await metronome.finished
        for _ in range(500):
            if not any(lane.open for lane in lanes):
                break
            await asyncio.sleep(0.01)
    finally:
        metronome.close()
        for lane in lanes:
            lane.finish()


async def hold_open(client: Client, request: Request, *, limit_seconds: float = 30.0) -> Tally:
    """Start one stream on each connection; return once each has brought its first token.

    The streams stay open until the client leaves. One that hasn't begun in time is an error.
    """
    tally = client.tally
    for connection in client.connections:
        connection.send(request, time.monotonic_ns())
    for _ in range(int(limit_seconds * 100)):
        if tally.begun + sum(tally.errors.values()) >= len(client.connections):
            return tally
        await asyncio.sleep(0.01)
    tally.fail("not begun", len(client.connections) - tally.begun)
    return tally
