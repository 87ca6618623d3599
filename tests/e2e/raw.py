"""HTTP/1.1 by hand: for requests that no client library sends, and answers that one would smooth over.

Every read has a time limit, so a server that hangs fails the test that noticed.
"""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import msgspec

from tests.fakes.streams import whole_without_ids

LIMIT_SECONDS = 10.0
"""For one read. Two busy cores are slow at times; a hang is longer."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Cut(Exception):
    """The server closed the connection before the answer's end. `got`: what came."""

    def __init__(self, got: bytes) -> None:
        super().__init__(f"the connection was closed after {got[-200:]!r}")
        self.got = got


@dataclass(frozen=True)
class Reply:
    """An answer. headers: names in lower case; the last of equal ones."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def unnumbered(self) -> bytes:
        """A stream's body without its events' ids, which are those of `X-Stream-ID` and count from 0 without gaps."""
        return whole_without_ids(self.body, self.headers["x-stream-id"])

    @property
    def json(self) -> dict[str, object]:
        """The body as a JSON object."""
        return msgspec.json.decode(self.body, type=dict[str, object])

    @property
    def code(self) -> object:
        """The problem's `error.code`; None where the body is no problem."""
        error = self.json.get("error") if self.body else None
        return error.get("code") if isinstance(error, dict) else None

    @property
    def param(self) -> object:
        """The problem's `error.param`."""
        error = self.json["error"]
        assert isinstance(error, dict)
        return error["param"]


class Peer:
    """One connection of a client. receive_buffer_bytes: small, so that a slow reader is soon behind."""

    def __init__(self, base_url: str, *, receive_buffer_bytes: int | None = None) -> None:
        parts = urlsplit(base_url)
        assert parts.hostname is not None and parts.port is not None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer_bytes is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self._socket.settimeout(LIMIT_SECONDS)
        self._got = b""
        try:
            self._socket.connect((parts.hostname, parts.port))
        except OSError:
            self._socket.close()
            raise

    def send(self, data: bytes) -> None:
        """Send bytes as they are. A server that has refused may have closed: its answer is still read."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(data)

    def reply(self, *, head_only: bool = False) -> Reply:
        """The next answer, whole. head_only: the request was a HEAD. Raises Cut, TimeoutError."""
        status, headers = self.head()
        if head_only or status in {204, 304}:
            return Reply(status, headers)
        if headers.get("transfer-encoding") == "chunked":
            return Reply(status, headers, b"".join(self.chunks()))
        return Reply(status, headers, self._exactly(int(headers["content-length"])))

    def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the next answer that isn't an interim one."""
        status, lines = 100, list[str]()
        while status < 200:
            first, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
            status = int(first.split(" ")[1])
        pairs = (line.partition(":") for line in lines)
        return status, {name.lower(): value.strip() for name, _, value in pairs}

    def chunks(self) -> Iterator[bytes]:
        """The chunks of a chunked body, each as it comes. Raises Cut where the last one is missing."""
        while size := int(self._until(b"\r\n").partition(b";")[0], 16):
            chunk = self._exactly(size + 2)
            assert chunk.endswith(b"\r\n")
            yield chunk[:-2]
        self._until(b"\r\n")

    def body_until(self, mark: bytes) -> bytes:
        """The chunked body up to the chunk in which `mark` came."""
        got = b""
        for chunk in self.chunks():
            got += chunk
            if mark in got:
                return got
        raise AssertionError(f"{mark!r} never came: {got!r}")

    def closed_within(self, seconds: float) -> bool:
        """Whether the server closes the connection by then, whatever else it still sends."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                if not self._socket.recv(65536):
                    return True
            except TimeoutError:
                return False
            except ConnectionResetError:
                return True
        return False

    def end_sending(self) -> None:
        """Half-close: nothing more comes from here."""
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close in order."""
        self._socket.close()

    def reset(self) -> None:
        """Close with an RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._got:
            self._receive()
        found, _, self._got = self._got.partition(mark)
        return found

    def _exactly(self, size_bytes: int) -> bytes:
        while len(self._got) < size_bytes:
            self._receive()
        found, self._got = self._got[:size_bytes], self._got[size_bytes:]
        return found

    def _receive(self) -> None:
        try:
            data = self._socket.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Cut(self._got)
        self._got += data


def request(
    method: bytes = b"POST",
    path: bytes = b"/v1/chat/completions",
    *lines: bytes,
    body: bytes | None = None,
    content_type: bytes | None = b"application/json",
    host: bytes = b"localhost",
) -> bytes:
    """A request as bytes: Host, Content-Type and Content-Length (where there is a body), then `lines`."""
    head = [b"%b %b HTTP/1.1" % (method, path), b"Host: " + host]
    if body is not None:
        if content_type is not None:
            head.append(b"Content-Type: " + content_type)
        head.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*head, *lines, b"", b""]) + (body or b"")


def ask(base_url: str, data: bytes, *, head_only: bool = False) -> Reply:
    """Send `data` on a connection of its own and read one answer."""
    with Peer(base_url) as peer:
        peer.send(data)
        return peer.reply(head_only=head_only)


def post(base_url: str, path: str, body: bytes, *lines: bytes) -> Reply:
    """POST a JSON body on a connection of its own."""
    return ask(base_url, request(b"POST", path.encode(), *lines, body=body))


def get(base_url: str, path: str, *lines: bytes) -> Reply:
    """GET on a connection of its own."""
    return ask(base_url, request(b"GET", path.encode(), *lines))


CROWD_SECONDS = 60.0
"""For a whole crowd."""


async def crowd(asked: Iterable[tuple[int, bytes]]) -> list[int]:
    """The statuses of requests that are all sent at once, each on its own connection; 0 for one that broke.

    asked: (port on loopback, request); each should say `Connection: close`.
    """

    async def one(port: int, data: bytes) -> int:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.closing(writer):
                writer.write(data)
                # All of it: whoever leaves earlier is a client that went away.
                answer = await reader.read()
        except OSError:
            return 0
        return int(answer.split(b" ", 2)[1]) if answer else 0

    async with asyncio.timeout(CROWD_SECONDS):
        return await asyncio.gather(*(one(port, data) for port, data in asked))


def assert_problem(reply: Reply, status: int, code: str) -> None:
    """The contract's shape: problem+json, OpenAI's error in it, and something to read."""
    assert (reply.status, reply.code) == (status, code)
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json
    assert problem["status"] == status
    assert problem["type"] == f"urn:penstock:problem:{code}"
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == reply.headers["x-request-id"]
    error = problem["error"]
    assert isinstance(error, dict)
    assert error["message"] == problem["detail"]
    assert error["type"] == "invalid_request_error"
    assert error.keys() == {"message", "type", "param", "code"}
