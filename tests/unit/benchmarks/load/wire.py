"""A connection of the load generator whose other end is the test: no socket, no loop."""

import asyncio

from benchmarks.load.client import Client
from benchmarks.load.connection import Connection
from benchmarks.load.requests import Request
from benchmarks.load.tally import Tally
from benchmarks.upstream.dialects import ANTHROPIC, LAST_CHUNK, OPENAI, framed
from benchmarks.upstream.server import whole

JSON = Request(b"a question", "openai")
WHOLE = whole(OPENAI.whole)
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Wire(asyncio.Transport):
    """A transport that keeps what is written, and knows whether it was aborted or told to read no more."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.aborted = False
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it."""
        self.sent.append(bytes(data))

    def is_closing(self) -> bool:
        """Whether it was aborted."""
        return self.aborted

    def abort(self) -> None:
        """End it."""
        self.aborted = True

    def pause_reading(self) -> None:
        """Nothing more is wanted for now."""
        self.reading = False

    def resume_reading(self) -> None:
        """Go on."""
        self.reading = True


def wired(connection: Connection) -> Wire:
    """The other end of `connection`, which is open from now on."""
    wire = Wire()
    connection.connection_made(wire)
    return wire


def connected(tally: Tally | None = None) -> tuple[Connection, Wire]:
    """One open connection, and its other end."""
    connection = Connection(tally or Tally())
    return connection, wired(connection)


def client_of(count: int) -> tuple[Client, list[Wire]]:
    """A client with so many open connections, and their other ends."""
    client = Client(0, count)
    client.connections = [Connection(client.tally) for _ in range(count)]
    return client, [wired(each) for each in client.connections]


def streaming(tokens: int) -> Request:
    """A question whose answer is a stream."""
    return Request(b"a question", "openai", tokens)


def stream(*numbers: int, tokens: int | None = None) -> bytes:
    """A streamed answer as it goes over the wire; tokens: what its end claims."""
    events = b"".join(framed(OPENAI.token(number)) for number in numbers)
    end = OPENAI.end(len(numbers) if tokens is None else tokens, True)
    return STREAM_HEAD + events + framed(end) + LAST_CHUNK


def message_stream(*numbers: int) -> bytes:
    """The same in Anthropic's dialect."""
    events = b"".join(framed(ANTHROPIC.token(number)) for number in numbers)
    return STREAM_HEAD + events + framed(ANTHROPIC.end(len(numbers), True)) + LAST_CHUNK
