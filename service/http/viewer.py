"""The client's end of a streamed answer: bytes are pushed, and it is noticed when they pile up.

This leans on Granian: its `send()` acts when it is called and returns an awaitable of its own
kind that is done, `PyEmptyAwaitable`, when the chunk was taken, and another kind when the
client's channel (4 chunks) is full. Any other server's coroutine is simply "not done yet": it is
awaited by `flush`, so the same code then pulls. A test fails if Granian changes this.
"""

import asyncio
from typing import Protocol

from service.http.context import CutReason, Headers, Message, RequestContext
from service.wire.sse import HEARTBEAT

TAKEN = "PyEmptyAwaitable"

EVENT_STREAM_HEADERS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-store"),
    (b"x-accel-buffering", b"no"),
]


class Drivable(Protocol):
    """As much of a stream (`service.streams.stream`) as the client's end needs."""

    @property
    def headers(self) -> Headers:
        """For the answer's head."""

    async def drive(self, viewer: "Viewer") -> None:
        """Send it to its first viewer, and stay until it is over."""


class Viewer:
    """One client reading one stream."""

    commits_early = True

    __slots__ = (
        "_context",
        "_ended",
        "_gone",
        "_heartbeat_seconds",
        "_held",
        "_loop",
        "_send",
        "_timer",
        "_waiting",
        "_wrote_at",
    )

    def __init__(self, context: RequestContext, heartbeat_seconds: float) -> None:
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._send = context.send
        self._heartbeat_seconds = heartbeat_seconds
        self._held: list[bytes] = []
        self._waiting: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._wrote_at = 0.0
        self._ended = False
        self._gone = False

    @property
    def begun(self) -> bool:
        """Whether the head was sent, so that an error can only be an event."""
        return self._context.head_sent

    @property
    def behind(self) -> bool:
        """Whether the client takes nothing more for now."""
        return self._waiting is not None

    async def attend(self, stream: Drivable) -> None:
        """Read a stream that this request asked for, and drive it to its end."""
        if not self.begun:
            self.begin(stream.headers)
        await stream.drive(self)

    def begin(self, headers: Headers) -> None:
        """Send the head with status 200, and keep the stream alive from now on."""
        self._wrote_at = self._loop.time()
        self._push(self._context.start_message(200, [*EVENT_STREAM_HEADERS, *headers]))
        self._timer = self._loop.call_later(self._heartbeat_seconds, self._beat)

    def write(self, data: bytes) -> None:
        """Send events; what the client can't take yet is held for `flush`."""
        if self._waiting is not None:
            self._held.append(data)
        elif not self._gone:
            # As `_push` does, without the call: each event comes by here.
            self._wrote_at = self._loop.time()
            taken = self._send({"type": "http.response.body", "body": data, "more_body": True})
            if type(taken).__name__ != TAKEN:
                self._waiting = asyncio.ensure_future(taken)  # noqa: TID251 - see `_push`

    def end(self, data: bytes = b"") -> None:
        """Send the last events and close the body properly. A second call does nothing."""
        if self._ended:
            return
        self._ended = True
        self.close()
        if self._waiting is None:
            self._push({"type": "http.response.body", "body": data, "more_body": False})
        else:
            self._held.append(data)

    async def flush(self) -> None:
        """Wait until the client has taken all that was held."""
        while self._waiting is not None:
            # A request that is cut while it waits here may still have a goodbye to say behind these bytes.
            await asyncio.shield(self._waiting)
            self._waiting = None
            if self._held:
                data = b"".join(self._held)
                self._held.clear()
                self._push({"type": "http.response.body", "body": data, "more_body": not self._ended})
        self._wrote_at = self._loop.time()

    def outlives_cut(self) -> bool:
        """Whether a cancelled request may still say goodbye: the server stops, the client is there."""
        if self._context.cut_reason is not CutReason.SHUTDOWN:
            return False
        self._context.survive()
        return True

    def cut(self) -> None:
        """End the request: its client is too slow."""
        self._context.cut(CutReason.TOO_SLOW)

    def has_left(self) -> bool:
        """Whether the request was cancelled because its client is gone or was cut off; if so, it is cancelled no more.

        What is written from then on goes nowhere.
        """
        if self._context.cut_reason not in {CutReason.CLIENT_GONE, CutReason.TOO_SLOW}:
            return False
        self._context.survive(lingers=True)
        self.close()
        if self._context.cut_reason is CutReason.TOO_SLOW and not self._ended:
            # The request goes on, so nobody else closes the connection of a client that is still there.
            self._push({"type": "http.response.body", "body": b"", "more_body": False})
        self._gone = self._ended = True
        self._held.clear()
        self._waiting = None
        return True

    def close(self) -> None:
        """No more heartbeats."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _push(self, message: Message) -> None:
        if self._gone:
            return
        taken = self._send(message)
        if type(taken).__name__ != TAKEN:
            # Granian's awaitable is a future in asyncio's sense, so this makes no task of its own.
            self._waiting = asyncio.ensure_future(taken)  # noqa: TID251 - see above; `flush` awaits it

    def _beat(self) -> None:
        wait_seconds = self._wrote_at + self._heartbeat_seconds - self._loop.time()
        if wait_seconds <= 0.0:
            wait_seconds = self._heartbeat_seconds
            # A client that is behind has bytes on their way: they keep its connection alive.
            if not self.behind:
                self.write(HEARTBEAT)
        self._timer = self._loop.call_later(wait_seconds, self._beat)
