"""The mock provider inside a test's own loop, where its counts and its connections can be looked at."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from benchmarks.lab.subjects import Subject
from benchmarks.load.requests import Ask, Request, request
from benchmarks.upstream.script import Script
from benchmarks.upstream.server import Connection, Counts, Provider


class Watched(Connection):
    """A provider's connection that counts how often its reader was behind."""

    def __init__(self, provider: Provider) -> None:
        super().__init__(provider)
        self.pauses = 0
        self.connected = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As every connection does, and noted."""
        self.connected = True
        super().connection_made(transport)

    def pause_writing(self) -> None:
        """As every connection does, and counted."""
        self.pauses += 1
        super().pause_writing()


class Serving:
    """A mock provider that listens on `port`. connections: all there were, open or not."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.port = 0
        self.connections: list[Watched] = []
        self.stop_listening: Callable[[], None] = lambda: None

    @property
    def counts(self) -> Counts:
        """What it has seen."""
        return self.provider.counts

    @property
    def pauses(self) -> int:
        """How often a reader was behind."""
        return sum(each.pauses for each in self.connections)

    def asked(self, ask: Ask) -> Request:
        """`ask` in the bytes for this provider."""
        return request(ask, Subject(name="direct", port=self.port))

    def connection(self) -> Watched:
        """One more."""
        self.connections.append(Watched(self.provider))
        return self.connections[-1]


@asynccontextmanager
async def serving(otherwise: Script | None = None) -> AsyncIterator[Serving]:
    """A mock provider on loopback; no connection is left open. otherwise: as of `Provider`."""
    loop = asyncio.get_running_loop()
    mock = Serving(Provider(loop, otherwise or Script()))
    server = await loop.create_server(mock.connection, "127.0.0.1", 0, backlog=1024)
    mock.stop_listening = server.close
    mock.port = server.sockets[0].getsockname()[1]
    try:
        yield mock
    finally:
        server.close()
        # Those that were accepted in this very turn are made in the next.
        await asyncio.sleep(0)
        for each in mock.connections:
            if each.connected:
                each._transport.abort()
        async with asyncio.timeout(5):
            await server.wait_closed()
