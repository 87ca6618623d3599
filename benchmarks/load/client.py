"""Connections to one port, opened together; loopback only."""

import asyncio
import socket
import time
from types import TracebackType
from typing import Self

from benchmarks.load.connection import Connection, SlowConnection
from benchmarks.load.requests import HOST, Request
from benchmarks.load.tally import Tally

_CONNECTS_AT_ONCE = 128  # below every backlog (nginx: 511), so that no SYN is dropped and retried after 1 s
_SMALL_BUFFER_BYTES = 4096  # the kernel makes 8 KB of it
# Loopback's segments have 64 KB, and for ten of those a sender's kernel keeps 3 MB: no gateway would notice
# for a minute that its reader is slow.
_ETHERNET_MSS_BYTES = 1460


class Client:
    """`size` open connections to one port, and the tally of the one run that they are for.

    bytes_per_second: None reads as fast as it comes. Use as an async context manager; opening is
    not timed. Raises ConnectionError where the port refuses.
    """

    def __init__(self, port: int, size: int, bytes_per_second: float | None = None) -> None:
        self._port = port
        self._size = size
        self._bytes_per_second = bytes_per_second
        self.connections: list[Connection] = []
        self.tally = Tally()

    async def __aenter__(self) -> Self:
        while missing := self._size - len(self.connections):
            batch = (self.connect() for _ in range(min(missing, _CONNECTS_AT_ONCE)))
            opened = await asyncio.gather(*batch, return_exceptions=True)
            self.connections += [each for each in opened if isinstance(each, Connection)]
            if problem := next((each for each in opened if isinstance(each, BaseException)), None):
                await self._leave()
                raise problem
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave()

    async def _leave(self) -> None:
        for connection in self.connections:
            connection.leave()
        # The loop closes the sockets in its next turn.
        await asyncio.sleep(0)

    async def connect(self) -> Connection:
        """One more connection, which isn't in `connections` yet."""
        loop = asyncio.get_running_loop()
        slow = self._bytes_per_second
        if slow is None:
            _, connection = await loop.create_connection(lambda: Connection(self.tally), HOST, self._port)
            return connection
        sock = socket.socket()
        sock.setblocking(False)
        # Before connecting: the window is agreed upon in the handshake.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER_BYTES)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _ETHERNET_MSS_BYTES)
        try:
            await loop.sock_connect(sock, (HOST, self._port))
        except BaseException:
            sock.close()
            raise
        _, slow_connection = await loop.create_connection(lambda: SlowConnection(self.tally, slow), sock=sock)
        return slow_connection


async def hold_open(client: Client, request: Request, *, limit_seconds: float = 30.0) -> Tally:
    """Start one stream on each connection; return once each has brought its first token.

    The streams stay open until the client leaves. One that hasn't begun in time is an error.
    """
    tally = client.tally
    for number, connection in enumerate(client.connections):
        connection.send(request, time.monotonic_ns())
        if number % _CONNECTS_AT_ONCE == 0:
            await asyncio.sleep(0)
    for _ in range(int(limit_seconds * 100)):
        if _awaited(client) <= 0:
            return tally
        await asyncio.sleep(0.01)
    if (awaited := _awaited(client)) > 0:
        tally.fail("not begun", awaited)
    return tally


async def read_to_end(client: Client, *, limit_seconds: float = 30.0) -> Tally:
    """Wait for the ends of streams that `hold_open` began; one that is still open at the limit is an error."""
    for _ in range(int(limit_seconds * 100)):
        if not any(connection.busy for connection in client.connections):
            break
        await asyncio.sleep(0.01)
    for connection in client.connections:
        connection.give_up()
    return client.tally


def _awaited(client: Client) -> int:
    """How many streams have neither begun nor failed."""
    return len(client.connections) - client.tally.begun - sum(client.tally.errors.values())
