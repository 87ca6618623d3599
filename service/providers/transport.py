"""Connections to one provider: kept alive, counted, waited for in order.

The fast path (an idle connection is there) never gives up the loop: `open` writes the request
before it returns. Redirects are not followed, and nothing of an environment's proxies is read.
"""

import asyncio
import ssl
from collections import deque
from urllib.parse import urlsplit

from service import __version__
from service.grace import Grace
from service.providers.base import Clocks, Exchange, Fault, FaultKind, HeaderLines, Sink, UpstreamRequest
from service.providers.connection import Connection
from service.providers.exchange import GRACE_SECONDS, HttpExchange

MAX_CONNECTIONS = 10_000
"""To one provider. A stream holds one, so this bounds streams too; the rest wait their turn."""

MAX_IDLE_SECONDS = 50.0
"""Below the 60 s at which common servers and balancers drop an idle connection."""


class HttpUpstream:
    """An `Upstream` over HTTP/1.1 and TLS. Made inside the loop that uses it."""

    def __init__(self, base_url: str, headers: HeaderLines, ssl_context: ssl.SSLContext | None) -> None:
        """base_url: scheme, host and path prefix. headers: sent with each request."""
        parts = urlsplit(base_url)
        self._loop = asyncio.get_running_loop()
        self._host = parts.hostname or ""
        self._ssl = ssl_context if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._ssl else 80)
        self._prefix = parts.path.rstrip("/")
        self._fixed = "".join(
            f"{name}: {value}\r\n" for name, value in (*_own_headers(parts.netloc), *headers)
        )
        # In the order in which they fell idle; the freshest is taken first, so that the rest can age.
        self._idle: dict[Connection, None] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._count = 0
        self._closing = False
        self._grace = Grace(self._loop, GRACE_SECONDS)

    async def open(
        self, request: UpstreamRequest, sink: Sink, clocks: Clocks, *, fresh: bool = False
    ) -> Exchange:
        """Send `request`; its answer goes to `sink`.

        Raises Fault: UNREACHABLE, or TIMED_OUT where no connection was had in time.
        """
        connection = None if fresh else self._take_idle()
        if connection is None:
            connection = await self._connect(clocks)
        exchange = HttpExchange(self._loop, connection, sink, clocks, self._grace)
        connection.start(exchange, self._encode(request))
        return exchange

    def close(self) -> None:
        """Drop the idle connections, and each other one as it falls idle."""
        self._closing = True
        while self._idle:
            self._idle.popitem()[0].close()

    def _encode(self, request: UpstreamRequest) -> bytes:
        lines = "".join([f"{name}: {value}\r\n" for name, value in request.headers])
        head = (
            f"POST {self._prefix}{request.operation.value} HTTP/1.1\r\n{self._fixed}{lines}"
            f"Content-Length: {len(request.body)}\r\n\r\n"
        )
        return head.encode("latin-1") + request.body

    def _take_idle(self) -> Connection | None:
        now = self._loop.time()
        while self._idle:
            connection, _ = self._idle.popitem()
            connection.idle_seconds = now - connection.idle_since
            if connection.is_open() and connection.idle_seconds < MAX_IDLE_SECONDS:
                return connection
            connection.close()
        return None

    async def _connect(self, clocks: Clocks) -> Connection:
        seconds = min(clocks.connect_seconds, clocks.deadline_at - self._loop.time())
        try:
            async with asyncio.timeout(seconds):
                return await self._connect_in_turn()
        except TimeoutError:
            raise Fault(FaultKind.TIMED_OUT, "No connection in time.", reason="timeout_connect") from None
        except OSError as error:
            # The text of an OSError holds the address, which clients must not see: detail is for logs only.
            raise Fault(FaultKind.UNREACHABLE, str(error), reason="connect") from None

    async def _connect_in_turn(self) -> Connection:
        while self._count >= MAX_CONNECTIONS:
            if (idle := self._take_idle()) is not None:
                return idle
            await self._turn()
        self._count += 1
        try:
            _, connection = await self._loop.create_connection(
                lambda: Connection(self._loop, self._on_free, self._on_lost),
                self._host,
                self._port,
                ssl=self._ssl,
            )
        except BaseException:
            self._count -= 1
            self._wake_next()
            raise
        return connection

    async def _turn(self) -> None:
        turn = self._loop.create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            # A turn that came just before its waiter left belongs to the next one.
            if turn.done() and not turn.cancelled():
                self._wake_next()
            raise

    def _on_free(self, connection: Connection) -> None:
        if self._closing:
            connection.close()
            return
        connection.idle_since = self._loop.time()
        self._idle[connection] = None
        self._wake_next()

    def _on_lost(self, connection: Connection) -> None:
        self._count -= 1
        self._idle.pop(connection, None)
        self._wake_next()

    def _wake_next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return


def _own_headers(netloc: str) -> HeaderLines:
    return (
        ("Host", netloc.rpartition("@")[2]),
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("Accept-Encoding", "identity"),
        ("User-Agent", f"penstock/{__version__}"),
    )
