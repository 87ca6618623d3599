"""One connection of the fake provider: HTTP/1.1 read and written by hand, so that it can misbehave.

Source: RFC 9112. Understands Content-Length and chunked request bodies, and keep-alive.
"""

import asyncio
import contextlib
import itertools
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast

import msgspec

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True)
class Recorded:
    """A request as it arrived. arrived_at: `time.monotonic()` when its last byte was here.

    connection: a number; requests with the same one came over the same socket.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    arrived_at: float
    connection: int

    @property
    def json(self) -> dict[str, object]:
        """The body's JSON object; empty where there is none."""
        return msgspec.json.decode(self.body, type=dict[str, object]) if self.body else {}

    @property
    def streams(self) -> bool:
        """Whether it asks for server-sent events."""
        return self.json.get("stream") is True


@dataclass
class Progress:
    """What became of one request; read by other threads.

    bytes_written: of the answer, in writes that the kernel took whole. peer_closed: the client's EOF or RST was
    seen, at `peer_closed_at` on `time.monotonic()`. answered: its behaviour came to its end.
    """

    bytes_written: int = 0
    peer_closed: threading.Event = field(default_factory=threading.Event)
    peer_closed_at: float | None = None
    answered: threading.Event = field(default_factory=threading.Event)


class PeerClosed(Exception):
    """The client has gone; the behaviour that was answering it ends."""


class Connection(asyncio.Protocol):
    """One socket. `serve` is called with each request's exchange, and its end awaited."""

    _numbers = itertools.count()

    def __init__(self, serve: Callable[["Connection"], None]) -> None:
        self.number = next(self._numbers)
        self.gone = asyncio.get_running_loop().create_future()
        self.seen: list[Progress] = []
        self.idle = asyncio.Event()
        self.idle.set()
        self._serve = serve
        self._buffer = bytearray()
        self._more = asyncio.Event()
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._closed_here = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there: no buffer of ours, so that what is written is what was taken."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=0)
        self._serve(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        self._buffer += data
        self._more.set()

    def eof_received(self) -> bool:
        """The client closes: no gateway half-closes and goes on reading."""
        self._note_gone()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """The socket is gone."""
        self._note_gone()

    def pause_writing(self) -> None:
        """The kernel takes no more."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """The kernel took everything."""
        self._may_write.set()

    def _note_gone(self) -> None:
        if not self._closed_here:
            for progress in self.seen:
                progress.peer_closed_at = progress.peer_closed_at or time.monotonic()
                progress.peer_closed.set()
        if not self.gone.done():
            self.gone.set_result(None)
        self._more.set()
        self._may_write.set()

    async def read_request(self) -> Recorded | None:
        """The next request; None once the client has closed."""
        head = await self._until(b"\r\n\r\n")
        if head is None:
            return None
        request_line, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = request_line.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await self._read_body(headers)
        if body is None:
            return None
        return Recorded(method, path, headers, body, time.monotonic(), self.number)

    async def _read_body(self, headers: Mapping[str, str]) -> bytes | None:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return await self._exactly(int(headers.get("content-length", "0")))
        body = b""
        while (size := await self._until(b"\r\n")) is not None:
            piece = await self._exactly(int(size.partition(b";")[0], 16) + 2)
            if piece is None or piece == b"\r\n":
                return None if piece is None else body
            body += piece[:-2]
        return None

    async def _until(self, mark: bytes) -> bytes | None:
        while (end := self._buffer.find(mark)) < 0:
            if not await self._receive():
                return None
        found = bytes(self._buffer[:end])
        del self._buffer[: end + len(mark)]
        return found

    async def _exactly(self, size: int) -> bytes | None:
        while len(self._buffer) < size:
            if not await self._receive():
                return None
        found = bytes(self._buffer[:size])
        del self._buffer[:size]
        return found

    async def _receive(self) -> bool:
        if self.gone.done():
            return False
        self._more.clear()
        await self._more.wait()
        return not self.gone.done()

    async def write(self, data: bytes, progress: Progress) -> None:
        """Give `data` to the kernel, all of it, in one write if it takes so much. Raises PeerClosed."""
        transport = self._transport
        if transport is None or self.gone.done() or transport.is_closing():
            raise PeerClosed
        transport.write(data)
        await self._may_write.wait()
        if self.gone.done():
            raise PeerClosed
        progress.bytes_written += len(data)

    def close(self) -> None:
        """End the connection in order (FIN), once all is sent."""
        self._closed_here = True
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """End the connection with an RST."""
        self._closed_here = True
        if self._transport is not None:
            raw: socket.socket = self._transport.get_extra_info("socket")
            # The client may have closed a moment before; then there is nothing left to reset.
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()


class Exchange:
    """One request and the ways to answer it: framed as HTTP wants it, or raw."""

    def __init__(self, connection: Connection, request: Recorded, progress: Progress) -> None:
        self.request = request
        self._connection = connection
        self._progress = progress
        self._chunked = False

    async def raw(self, data: bytes) -> None:
        """Bytes as they are. Raises PeerClosed, as all others here do."""
        await self._connection.write(data, self._progress)

    async def head(
        self, status: int, headers: Mapping[str, str], *, length: int | None = None, chunked: bool = False
    ) -> None:
        """Status line and headers. Neither length nor chunked: the body ends with the connection."""
        self._chunked = chunked
        framing = {"Content-Length": str(length)} if length is not None else {"Connection": "close"}
        if chunked:
            framing = {"Transfer-Encoding": "chunked"}
        await self.raw(_head_bytes(status, {**headers, **framing}))

    async def body(self, data: bytes) -> None:
        """Body bytes; a chunk of their own where the body is chunked."""
        await self.raw(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    async def end(self) -> None:
        """The body's end by its framing."""
        if self._chunked:
            await self.raw(b"0\r\n\r\n")

    async def whole(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """A whole answer in one write."""
        head = _head_bytes(status, {**headers, "Content-Length": str(len(body))})
        await self.raw(head + body)

    async def silence(self) -> None:
        """Say nothing until the client has gone, and raise PeerClosed then."""
        await asyncio.shield(self._connection.gone)
        raise PeerClosed

    def close(self) -> None:
        """Close in order; what was written still arrives."""
        self._connection.close()

    def reset(self) -> None:
        """Close with an RST; what was written may be lost."""
        self._connection.reset()


def _head_bytes(status: int, headers: Mapping[str, str]) -> bytes:
    lines = (
        f"HTTP/1.1 {status} {_PHRASES.get(status, 'Unknown')}",
        *(f"{name}: {value}" for name, value in headers.items()),
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")
