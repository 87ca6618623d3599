"""One connection to a provider: framing however it is torn, what a broken answer is, and whether it is kept."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from service.grace import Grace
from service.providers.base import Clocks
from service.providers.connection import MAX_HEADER_BYTES, STALE_AFTER_SECONDS, Connection
from service.providers.exchange import HttpExchange
from tests.fakes.loops import virtual_time
from tests.fakes.sink import RecordingSink

OK = b"HTTP/1.1 200 OK\r\n"
CLOCKS = Clocks(5, 30, 30, 1e9)


class MemoryTransport(asyncio.Transport):
    """A socket that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it."""
        self.written.append(bytes(data))

    def abort(self) -> None:
        """Close at once."""
        self.closed = True

    def is_closing(self) -> bool:
        """Whether it is closed."""
        return self.closed

    def pause_reading(self) -> None:
        """Read no more."""
        self.reading = False

    def resume_reading(self) -> None:
        """Read on."""
        self.reading = True


@dataclass
class Line:
    """A connection with one exchange on it, and what it told of itself."""

    connection: Connection
    transport: MemoryTransport
    sink: RecordingSink = field(default_factory=RecordingSink)
    told: list[str] = field(default_factory=list)
    exchange: HttpExchange | None = None

    def ask(self, *, idle_seconds: float = 0.0) -> RecordingSink:
        """Put an exchange on it, after it was idle for so long."""
        self.sink = RecordingSink()
        self.connection.idle_seconds = idle_seconds
        loop = asyncio.get_running_loop()
        self.exchange = HttpExchange(loop, self.connection, self.sink, CLOCKS, Grace(loop, 0.5))
        self.sink.exchange = self.exchange
        self.connection.start(self.exchange, b"POST / HTTP/1.1\r\n\r\n")
        return self.sink

    def hear(self, *pieces: bytes) -> None:
        """One read for each piece, as long as it is open."""
        for piece in pieces:
            if not self.transport.closed:
                self.connection.data_received(piece)

    def lose(self, error: Exception | None = None) -> None:
        """The socket is gone."""
        self.transport.closed = True
        self.connection.connection_lost(error)


def line() -> Line:
    """A new connection; call inside the loop."""
    told: list[str] = []
    connection = Connection(
        asyncio.get_running_loop(), lambda _: told.append("free"), lambda _: told.append("lost")
    )
    transport = MemoryTransport()
    connection.connection_made(transport)
    return Line(connection, transport, told=told)


def answered(*pieces: bytes, eof: bool = False) -> Line:
    """A line that was asked and heard these, and perhaps the end."""
    made = line()
    made.ask()
    made.hear(*pieces)
    if eof:
        made.lose()
    return made


FRAMED = [
    pytest.param(OK + b"Content-Length: 5\r\n\r\nhello", b"hello", False, True, id="a-length"),
    pytest.param(OK + b"Content-Length: 0\r\n\r\n", b"", False, True, id="a-length-of-zero"),
    pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", b"", False, True, id="a-status-without-a-body"),
    pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello", False, True, id="chunks"),
    pytest.param(OK + b"transfer-encoding: Chunked\r\n\r\n2;x=y\r\nhe\r\n0\r\nTrailer: x\r\n\r\n", b"he", False, True, id="extensions-and-trailers"),
    pytest.param(OK + b"\r\nhello", b"hello", True, False, id="until-the-end"),
    pytest.param(OK + b"\r\n", b"", True, False, id="nothing-until-the-end"),
    pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", False, False, id="http-1-0"),
    pytest.param(OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", b"hello", False, False, id="a-last-answer"),
    pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok", b"ok", False, True, id="an-interim-answer"),
    pytest.param(b"HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\nX: 1\r\n\r\n" * 2 + OK + b"Content-Length: 2\r\n\r\nok", b"ok", False, True, id="two-interim-answers"),
]  # fmt: skip


@pytest.mark.parametrize(("wire", "body", "eof", "kept"), FRAMED)
@virtual_time
async def test_an_answer_is_the_same_however_it_is_torn(
    wire: bytes, body: bytes, eof: bool, kept: bool
) -> None:
    """Whole, byte by byte, and cut at every place; then the connection is free, or closed."""
    torn: list[Sequence[bytes]] = [[wire], [wire[at : at + 1] for at in range(len(wire))]]
    torn += [[wire[:cut], wire[cut:]] for cut in range(1, len(wire))]
    for pieces in torn:
        made = answered(*pieces, eof=eof)
        [status] = made.sink.heads
        assert (status // 100, made.sink.body, made.sink.outcome) == (2, body, "end"), pieces
        assert made.told == (["free"] if kept else ["lost"] if eof else [])
        assert made.transport.closed is not kept
        assert "x" not in made.sink.headers


@virtual_time
async def test_header_names_come_in_lower_case_and_bytes_as_they_are() -> None:
    """RFC 9110, 5.1: names have no case; the last of two equal ones counts."""
    made = answered(OK + b"Retry-After: 7\r\nX-Y: \xfc\r\nX-y: 2\r\nContent-Length: 0\r\n\r\n")
    assert made.sink.headers == {"retry-after": "7", "x-y": "2", "content-length": "0"}


@virtual_time
async def test_one_read_is_one_piece() -> None:
    """Many chunks in one read reach the sink together."""
    made = answered(OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"2\r\nhi\r\n" * 50, b"2\r\nyo\r\n")
    assert made.sink.reads == [b"hi" * 50, b"yo"]


@virtual_time
async def test_a_connection_serves_one_exchange_after_another() -> None:
    """Nothing of the first one's head is left for the second."""
    made = answered(OK + b"X-First: 1\r\nContent-Length: 2\r\n\r\nok")
    second = made.ask()
    made.hear(b"HTTP/1.1 429 Too Many\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n")
    assert second.said == ([429], b"no", "end")
    assert "x-first" not in second.headers
    assert made.told == ["free", "free"]
    assert len(made.transport.written) == 2


@virtual_time
async def test_the_connection_is_free_before_the_sink_hears_of_the_end() -> None:
    """So that what the sink asks next can go out on it."""
    made = line()
    sink = made.ask()
    freed_at_end: list[bool] = []
    sink.then = lambda: freed_at_end.append(made.told == ["free"])
    made.hear(OK + b"Content-Length: 0\r\n\r\n")
    assert freed_at_end == [True]


NO_HTTP = [
    pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="another-protocol"),
    pytest.param(b"HTTP/9.9 200 OK\r\n\r\n", id="another-version"),
    pytest.param(b"HTTP/1.1 banana\r\n\r\n", id="no-status"),
    pytest.param(OK + b"Content-Length: x\r\n\r\n", id="no-length"),
    pytest.param(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", id="two-lengths"),
    pytest.param(OK + b"Bad Name: x\r\n\r\n", id="a-broken-header"),
    pytest.param(OK + b"X: " + b"y" * (MAX_HEADER_BYTES + 1) + b"\r\n\r\n", id="a-header-without-end"),
    pytest.param(OK + b"X: 0123456789abcdef\r\n" * (MAX_HEADER_BYTES // 16) + b"\r\n", id="headers-without-end"),
    pytest.param(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", id="an-upgrade"),
]  # fmt: skip


@pytest.mark.parametrize("wire", NO_HTTP)
@virtual_time
async def test_what_is_no_http_brought_nothing_of_an_answer(wire: bytes) -> None:
    """It may be asked for again; the connection may not be used again."""
    for pieces in ([wire], [wire[at : at + 999] for at in range(0, len(wire), 999)]):
        made = answered(*pieces)
        assert (made.sink.outcome, made.sink.body) == ("empty: bad_http", b"")
        assert made.transport.closed and made.told == []


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", b"zz\r\n"], id="later"),
        pytest.param([OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nzz\r\n"], id="in-the-same-read"),
    ],
)
@virtual_time
async def test_a_body_that_began_and_breaks_is_a_cut(pieces: list[bytes]) -> None:
    """It may have been billed, so it is not asked for again; what came before is not lost."""
    made = answered(*pieces)
    assert made.sink.said == ([200], b"hi", "cut: bad_http")
    assert made.transport.closed


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(
            [OK + b"Content-Length: 2\r\n\r\nok", OK + b"Content-Length: 4\r\n\r\nevil"], id="later"
        ),
        pytest.param(
            [OK + b"Content-Length: 2\r\n\r\nok" + OK + b"Content-Length: 4\r\n\r\nevil"],
            id="in-the-same-read",
        ),
        pytest.param([OK + b"Content-Length: 2\r\n\r\nok" + b"garbage"], id="garbage-behind-it"),
    ],
)
@virtual_time
async def test_an_answer_that_nobody_asked_for_reaches_nobody(pieces: list[bytes]) -> None:
    """The one that was asked for stands, and the connection is not used again."""
    made = answered(*pieces)
    assert made.sink.said == ([200], b"ok", "end")
    assert made.transport.closed


LOST = [
    pytest.param([], None, 0.0, "unreachable: reset", id="before-anything"),
    pytest.param([], ConnectionResetError(), 0.0, "unreachable: reset", id="reset-before-anything"),
    pytest.param([], None, STALE_AFTER_SECONDS, "StaleConnection", id="after-it-was-idle"),
    pytest.param([], ConnectionResetError(), STALE_AFTER_SECONDS, "StaleConnection", id="reset-after-it-was-idle"),
    pytest.param([], None, STALE_AFTER_SECONDS / 2, "unreachable: reset", id="after-a-moment-of-idleness"),
    pytest.param([b"HTTP/1.1 2"], None, STALE_AFTER_SECONDS, "unreachable: reset", id="in-the-head"),
    pytest.param([OK + b"Content-Length: 5\r\n\r\n"], None, 0.0, "unreachable: reset", id="before-the-body"),
    pytest.param([OK + b"Content-Length: 5\r\n\r\nhel"], None, 0.0, "cut: cut", id="in-a-body-with-a-length"),
    pytest.param([OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"], None, 0.0, "cut: cut", id="between-chunks"),
    pytest.param([OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhi"], None, 0.0, "cut: cut", id="in-a-chunk"),
    pytest.param([OK + b"\r\nhello"], ConnectionResetError(), 0.0, "cut: cut", id="reset-in-a-body-until-the-end"),
]  # fmt: skip


@pytest.mark.parametrize(("pieces", "error", "idle_seconds", "outcome"), LOST)
@virtual_time
async def test_a_connection_that_breaks(
    pieces: list[bytes], error: Exception | None, idle_seconds: float, outcome: str
) -> None:
    made = line()
    sink = made.ask(idle_seconds=idle_seconds)
    made.hear(*pieces)
    made.lose(error)
    assert sink.outcome == outcome and made.told == ["lost"]


@virtual_time
async def test_what_comes_while_nobody_asked_closes_the_connection() -> None:
    """A late or foreign answer is never the next one's."""
    made = answered(OK + b"Content-Length: 2\r\n\r\nok")
    made.hear(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert made.transport.closed


@virtual_time
async def test_an_idle_connection_that_closes_is_only_lost() -> None:
    """No exchange hears of it."""
    made = answered(OK + b"Content-Length: 2\r\n\r\nok")
    made.lose()
    assert made.told == ["free", "lost"] and made.sink.outcome == "end"


@virtual_time
async def test_an_aborted_exchange_hears_nothing_more() -> None:
    """The socket is dropped at once, and only once."""
    made = answered(OK + b"Content-Length: 5\r\n\r\nhe")
    assert made.exchange is not None
    made.exchange.abort()
    made.exchange.abort()
    assert made.transport.closed
    made.lose()
    assert made.sink.said == ([200], b"he", None) and made.told == ["lost"]


@virtual_time
async def test_pausing_leaves_the_rest_to_the_kernel() -> None:
    """Until it is resumed; an exchange that is over changes nothing on the connection."""
    made = answered(OK + b"Content-Length: 5\r\n\r\nhe")
    exchange = made.exchange
    assert exchange is not None
    exchange.pause()
    assert made.transport.reading is False
    exchange.resume()
    made.hear(b"llo")
    assert made.sink.outcome == "end"
    exchange.pause()
    assert made.transport.reading is True


@virtual_time
async def test_a_finished_exchange_lets_its_body_end_so_that_the_connection_is_kept() -> None:
    """The sink hears nothing of it."""
    made = answered(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
    assert made.exchange is not None
    made.exchange.finish()
    made.hear(b"2\r\nxx\r\n0\r\n\r\n")
    assert made.told == ["free"] and made.sink.said == ([200], b"hi", None)
