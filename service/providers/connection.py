"""One HTTP/1.1 connection to a provider, which carries one exchange after another.

Why not a general client: the answer is pushed to the sink from `data_received`, so an event
costs one wake-up, one read and one write, and nothing else (docs/adr/0002). What it does not do:
pipelining, trailers (read and dropped), upgrades, compression (asked not to be used).
"""

import asyncio
from collections.abc import Callable
from typing import cast

import httptools

from service.providers.base import Fault, FaultKind, StaleConnection
from service.providers.exchange import HttpExchange

MAX_HEADER_BYTES = 64 * 1024
"""All header lines of an answer together; curl stops at 300 KB, nginx at 8 KB a line."""


STALE_AFTER_SECONDS = 2.0
"""A connection that had been idle for less, and breaks without an answer, was not closed for being
idle (servers wait 5 s and more): then it is a fault like any other, and counts as an attempt."""


class Connection(asyncio.Protocol):
    """The socket and its parser; between exchanges it waits in the pool.

    idle_seconds: how long it had waited before its present exchange; 0 for a new one.
    on_free: called with this connection when it may serve another exchange.
    on_lost: called when it is gone for good; both exactly once per event.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_free: Callable[["Connection"], None],
        on_lost: Callable[["Connection"], None],
    ) -> None:
        self._loop = loop
        self._on_free = on_free
        self._on_lost = on_lost
        self._parser = httptools.HttpResponseParser(self)
        self._exchange: HttpExchange | None = None
        self._headers: dict[str, str] = {}
        self._header_bytes = 0
        self._body: list[bytes] = []
        self._head_at_hand = False
        self._complete = False
        self._keep_alive = False
        self.transport: asyncio.Transport | None = None
        self.idle_since = 0.0
        self.idle_seconds = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        self.transport = cast(asyncio.Transport, transport)

    def is_open(self) -> bool:
        """Whether it can still be written to, as far as anyone knows."""
        return self.transport is not None and not self.transport.is_closing()

    def start(self, exchange: HttpExchange, request: bytes) -> None:
        """Put `exchange` on this connection and send its request."""
        self._exchange = exchange
        assert self.transport is not None
        self.transport.write(request)

    def pause(self) -> None:
        """Leave what comes to the kernel's buffers."""
        if self.transport is not None and self.is_open():
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self.transport is not None and self.is_open():
            self.transport.resume_reading()

    def close(self) -> None:
        """Drop the socket at once, unsent bytes too."""
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse, and hand the exchange all that this read brought in one piece."""
        exchange = self._exchange
        if exchange is None:
            self.close()
            return
        exchange.received = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            # What came before the mistake counts; if that was a whole answer, the rest is nobody's.
            self._keep_alive = False
            self._deliver(exchange)
            kind = FaultKind.CUT if exchange.answering else FaultKind.EMPTY
            self._break(Fault(kind, f"The provider does not speak HTTP/1.1: {error}", reason="bad_http"))
            return
        self._deliver(exchange)

    def _deliver(self, exchange: HttpExchange) -> None:
        if self._body:
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            self._body.clear()
            exchange.on_data(body)
        if self._complete and self._exchange is exchange:
            self._release(exchange)

    def _release(self, exchange: HttpExchange) -> None:
        """The answer is whole: the connection is free before the sink hears of the end."""
        keep = self._keep_alive and self.is_open()
        self._exchange = None
        self._complete = self._head_at_hand = False
        if keep:
            self._on_free(self)
        else:
            self.close()
        exchange.on_end()

    def _break(self, fault: Exception) -> None:
        exchange, self._exchange = self._exchange, None
        self.close()
        if exchange is not None:
            exchange.on_fail(fault)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer or we closed it: the end of a body without a length, else a cut."""
        exchange, self._exchange = self._exchange, None
        self._on_lost(self)
        # The parser holds methods of this object, and the transport the object: circles that would
        # keep some 3 KB for each lost connection until the garbage collector's next round.
        del self._parser
        self.transport = None
        if exchange is None:
            return
        if exc is None and self._head_at_hand and self._ends_with_connection():
            exchange.on_end()
        elif self.idle_seconds >= STALE_AFTER_SECONDS and not exchange.received:
            exchange.on_fail(StaleConnection())
        elif exchange.answering:
            exchange.on_fail(Fault(FaultKind.CUT, "The provider broke off its answer.", reason="cut"))
        else:
            exchange.on_fail(
                Fault(FaultKind.UNREACHABLE, "The provider closed the connection.", reason="reset")
            )

    def _ends_with_connection(self) -> bool:
        """RFC 9112, 6.3: neither length nor chunks, so the close is the end."""
        return "content-length" not in self._headers and "transfer-encoding" not in self._headers

    def on_message_begin(self) -> None:
        """Parser callback. Raises where an answer comes that nobody asked for."""
        if self._complete:
            raise httptools.HttpParserError("a second answer to one request")
        self._headers = {}
        self._header_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser callback. Raises to stop the parser where the head grows past its bound."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_HEADER_BYTES:
            raise httptools.HttpParserError("too many header bytes")
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Parser callback."""
        status = self._parser.get_status_code()
        if status >= 200 and self._exchange is not None:
            self._head_at_hand = True
            self._exchange.on_head(status, self._headers)

    def on_body(self, body: bytes) -> None:
        """Parser callback."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Parser callback; an interim answer (1xx) is none."""
        self._complete = self._head_at_hand
        self._keep_alive = self._parser.should_keep_alive()
