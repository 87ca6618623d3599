"""The mock provider's connections: HTTP/1.1 with keep-alive, and what they add up to.

It doesn't read headers, compress, or do TLS. `GET /bench/counts` answers with its `Counts`,
by which a scenario sees that a stream whose client left was cancelled here too;
`GET /bench/go-on` does too, and has every stream that fell silent go on.
"""

import asyncio
from collections.abc import Callable
from typing import cast

import httptools
import msgspec

from benchmarks.upstream.dialects import ANTHROPIC, OPENAI, Dialect
from benchmarks.upstream.questions import Question, Questions
from benchmarks.upstream.script import NotAScript, Script
from benchmarks.upstream.streams import Bursts, Stream, Wheel

COUNTS_PATH = "/bench/counts"
GO_ON_PATH = "/bench/go-on"

_CREDIT_PER_PERCENT = 1_000_000

_SSE_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    b"x-request-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n"
)
_JSON_HEADERS = b"\r\ncontent-type: application/json\r\nx-request-id: req_bench\r\ncontent-length: "


class Counts(msgspec.Struct):
    """What this provider has seen. `left`: streams whose reader went away before the end."""

    requests: int = 0
    refused: int = 0
    malformed: int = 0
    open_streams: int = 0
    finished: int = 0
    left: int = 0


def whole(body: bytes, status: str = "200 OK") -> bytes:
    """A JSON answer with its head."""
    return b"HTTP/1.1 %b%b%d\r\n\r\n%b" % (status.encode(), _JSON_HEADERS, len(body), body)


class Provider:
    """What all connections share."""

    def __init__(self, loop: asyncio.AbstractEventLoop, otherwise: Script) -> None:
        """otherwise: what holds where a prompt's script doesn't say, or has none."""
        self.counts = Counts()
        self.questions = Questions(otherwise)
        self.wheel = Wheel(loop)
        self.bursts = Bursts(loop)
        self.open: set[Stream] = set()
        self._error_credit = 0

    def connection(self) -> "Connection":
        """A protocol for one more connection, for `loop.create_server`."""
        return Connection(self)

    def refuses(self, script: Script) -> bool:
        """Whether this request is among the `error_percent`; counted out, not drawn."""
        # Whole numbers: ten times 0.1 is less than 1.
        self._error_credit += round(script.error_percent * _CREDIT_PER_PERCENT)
        if self._error_credit < 100 * _CREDIT_PER_PERCENT:
            return script.fault == "refused"
        self._error_credit -= 100 * _CREDIT_PER_PERCENT
        return True

    def go_on(self) -> None:
        """Every stream that is silent by its script goes on: a burst at once, a pace at its next slot."""
        for stream in self.open:
            stream.silent = False
            self.bursts.resume(stream)

    def answer(self, path: str, body: bytes) -> tuple[bytes, Question | None, Dialect]:
        """The bytes to send first, and the stream to start after them, if any."""
        dialect = ANTHROPIC if path.endswith("/messages") else OPENAI
        if path == GO_ON_PATH:
            self.go_on()
        if path in (COUNTS_PATH, GO_ON_PATH):
            return whole(msgspec.json.encode(self.counts)), None, dialect
        self.counts.requests += 1
        try:
            question = self.questions.understand(body)
        except NotAScript as problem:
            self.counts.malformed += 1
            told = msgspec.json.encode({"error": {"message": str(problem), "type": "invalid_request_error"}})
            return whole(told, "400 Bad Request"), None, dialect
        if self.refuses(question.script):
            self.counts.refused += 1
            return whole(dialect.refusal, "500 Internal Server Error"), None, dialect
        if question.stream:
            return _SSE_HEAD, question, dialect
        return whole(b"{}" if question.script.fault == "wrong" else dialect.whole), None, dialect


class Connection(asyncio.Protocol):
    """One connection: requests in, answers out, one after another.

    Whoever asks again before a stream has ended is cut off: two answers would be mixed.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._parser = httptools.HttpRequestParser(self)
        self._path = ""
        self._body = b""
        self._stream: Stream | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (TCP_NODELAY is uvloop's default)."""
        # uvloop's transports have its methods, but not asyncio.Transport as their class.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which calls the `on_` methods."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._provider.counts.malformed += 1
            self._transport.write(
                b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the stream whose reader has left."""
        if self._stream is not None and not self._stream.over:
            self._stream.over = True
            self._provider.open.discard(self._stream)
            self._provider.counts.open_streams -= 1
            self._provider.counts.left += 1

    def pause_writing(self) -> None:
        """The reader is behind: its stream waits, nothing piles up here."""
        if self._stream is not None:
            self._stream.blocked = True

    def resume_writing(self) -> None:
        """The reader has caught up; a burst goes on by itself, a pace at its next slot."""
        if self._stream is not None:
            self._stream.blocked = False
            self._provider.bursts.resume(self._stream)

    def on_url(self, url: bytes) -> None:
        """A piece of the path, which names the dialect."""
        self._path += url.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """A piece of the request's body."""
        self._body = self._body + body if self._body else body

    def on_message_complete(self) -> None:
        """The request is whole: answer it."""
        path, body = self._path, self._body
        self._path, self._body = "", b""
        if self._stream is not None and not self._stream.over:
            self._provider.counts.malformed += 1
            self._transport.abort()
            return
        head, question, dialect = self._provider.answer(path, body)
        self._transport.write(head)
        if question is not None:
            self._start(question, dialect)

    def _start(self, question: Question, dialect: Dialect) -> None:
        self._provider.counts.open_streams += 1
        self._stream = Stream(question, dialect, self._transport, self._ended)
        self._provider.open.add(self._stream)
        if question.script.interval_ms > 0:
            self._provider.wheel.add(self._stream)
        else:
            self._provider.bursts.add(self._stream)

    def _ended(self) -> None:
        if self._stream is not None:
            self._provider.open.discard(self._stream)
        self._provider.counts.open_streams -= 1
        self._provider.counts.finished += 1


async def serve(port: int, otherwise: Script, on_ready: Callable[[int], None] | None = None) -> None:
    """Serve on loopback until cancelled; port 0 takes a free one, which `on_ready` is told."""
    loop = asyncio.get_running_loop()
    provider = Provider(loop, otherwise)
    server = await loop.create_server(provider.connection, "127.0.0.1", port, backlog=4096)
    if on_ready is not None:
        on_ready(server.sockets[0].getsockname()[1])
    async with server:
        await server.serve_forever()
