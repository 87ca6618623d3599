"""A mock provider that is much cheaper than any gateway: `python -m benchmarks.upstream --port N`.

It speaks OpenAI's chat completions, JSON and SSE, over HTTP/1.1 with keep-alive; the request's
body says what to answer (`benchmarks.answers.Asked`). Two ways to stream:

* paced (`x_interval_ms` > 0): the first token at once, then one each interval, driven by one
  timer for all streams;
* burst (`x_interval_ms` = 0): one write per event, as fast as the socket takes them, all
  streams in turn, so that each event is a segment of its own, as from a real provider.

It doesn't read headers, compress, or do TLS.
"""

import argparse
import asyncio
import contextlib
from collections.abc import Callable
from typing import cast

import httptools
import msgspec
import uvloop

from benchmarks import answers

_ASKED = msgspec.json.Decoder(answers.Asked)
_JSON_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_bench\r\ncontent-length: "
)
_SSE_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    b"x-request-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n"
)
_REFUSAL = (
    b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
)
_MALFORMED = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_WHEEL_STEP_SECONDS = 0.001  # the resolution of the loop's own timers


def whole(body: bytes) -> bytes:
    """A JSON answer with its head."""
    return _JSON_HEAD + b"%d\r\n\r\n" % len(body) + body


class Stream:
    """One streamed answer on its way out. `step` sends the next event, and says if more follow."""

    __slots__ = (
        "_asked",
        "_at",
        "_order",
        "_transport",
        "blocked",
        "dead",
        "due",
        "interval_seconds",
        "parked",
    )

    def __init__(self, asked: answers.Asked, transport: asyncio.Transport) -> None:
        self._asked = asked
        self._order = answers.order(asked.tokens, asked.fault)
        self._at = 0
        self._transport = transport
        self.interval_seconds = asked.interval_ms / 1000
        self.due = 0.0
        self.blocked = False
        self.parked = False
        self.dead = False

    def step(self) -> bool:
        """Send one event (after the last token: the end, in one piece); False when that was it."""
        if self.dead or self._transport.is_closing():
            return False
        if self._at < len(self._order):
            self._transport.write(answers.framed(answers.token_event(self._order[self._at])))
            self._at += 1
            return True
        self._finish()
        return False

    def _finish(self) -> None:
        if self._asked.fault == "cut":
            self._transport.close()
        elif self._asked.fault == "unfinished":
            self._transport.write(answers.LAST_CHUNK)
        else:
            end = answers.end_events(self._asked.tokens, include_usage=self._asked.include_usage)
            self._transport.write(answers.framed(end) + answers.LAST_CHUNK)


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
        self._put(stream)
        if not self._turning:
            self._turning = True
            self._slot = int(self._loop.time() / _WHEEL_STEP_SECONDS)
            self._loop.call_later(_WHEEL_STEP_SECONDS, self._turn)

    def _put(self, stream: Stream) -> None:
        # A slot that has passed would never be looked at again.
        slot = max(int(stream.due / _WHEEL_STEP_SECONDS), self._slot + 1)
        self._slots.setdefault(slot, []).append(stream)

    def _turn(self) -> None:
        now = int(self._loop.time() / _WHEEL_STEP_SECONDS)
        while self._slot < now:
            self._slot += 1
            for stream in self._slots.pop(self._slot, ()):
                if stream.blocked or stream.step():
                    stream.due += stream.interval_seconds
                    self._put(stream)
        self._turning = bool(self._slots)
        if self._turning:
            self._loop.call_later(_WHEEL_STEP_SECONDS, self._turn)


class Provider(asyncio.Protocol):
    """One connection: requests in, answers out, one after another."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wheel: Wheel) -> None:
        self._loop = loop
        self._wheel = wheel
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""
        self._stream: Stream | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (TCP_NODELAY is uvloop's default)."""
        # uvloop's transports have its methods, but not asyncio.Transport as their class.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which calls `on_body` and `on_message_complete`."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.write(_MALFORMED)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the stream whose reader has left."""
        if self._stream is not None:
            self._stream.dead = True

    def pause_writing(self) -> None:
        """The reader is behind: its stream waits, nothing piles up here."""
        if self._stream is not None:
            self._stream.blocked = True

    def resume_writing(self) -> None:
        """The reader has caught up; a burst goes on by itself, a pace at its next slot."""
        if self._stream is not None:
            self._stream.blocked = False
            if self._stream.parked:
                self._stream.parked = False
                self._loop.call_soon(self._burst, self._stream)

    def on_body(self, body: bytes) -> None:
        """A piece of the request's body."""
        self._body += body

    def on_message_complete(self) -> None:
        """The request is whole: answer it."""
        body, self._body = self._body, b""
        try:
            asked = _ASKED.decode(body)
        except msgspec.MsgspecError:
            self._transport.write(_MALFORMED)
            return
        if asked.fault == "refused":
            self._transport.write(_REFUSAL)
        elif asked.stream:
            self._start(asked)
        else:
            self._transport.write(whole(b"{}" if asked.fault == "wrong" else answers.WHOLE_ANSWER))

    def _start(self, asked: answers.Asked) -> None:
        self._transport.write(_SSE_HEAD)
        self._stream = Stream(asked, self._transport)
        if asked.interval_ms > 0:
            self._wheel.add(self._stream)
        else:
            self._burst(self._stream)

    def _burst(self, stream: Stream) -> None:
        # One event per turn of the loop: uvloop joins writes of one turn into one segment.
        if stream.blocked:
            stream.parked = True
        elif stream.step():
            self._loop.call_soon(self._burst, stream)


def provider_factory(loop: asyncio.AbstractEventLoop) -> Callable[[], Provider]:
    """What `loop.create_server` needs; all connections share one wheel."""
    wheel = Wheel(loop)
    return lambda: Provider(loop, wheel)


async def serve(port: int) -> None:
    """Serve on loopback until cancelled."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(provider_factory(loop), "127.0.0.1", port, backlog=4096)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="Mock provider on loopback.")
    arguments.add_argument("--port", type=int, required=True)
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(arguments.parse_args().port))
