"""A provider on loopback and our way to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from service.providers.base import Clocks, Operation, UpstreamRequest
from service.providers.transport import HttpUpstream
from tests.fakes.loops import AheadLoop, until
from tests.fakes.peer import Peer, PeerServer, listening
from tests.fakes.sink import RecordingSink

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST = UpstreamRequest(Operation.CHAT, b'{"a":1}', (("X-Request-ID", "req_1"),))


@dataclass
class Site:
    """A provider's server and our way to it."""

    server: PeerServer
    upstream: HttpUpstream

    async def ask(self, *, fresh: bool = False, connect: float = 5.0, total: float = 600.0) -> RecordingSink:
        """Send a request; its answer goes to the sink that is returned."""
        sink = RecordingSink()
        clocks = Clocks(connect, 30, 30, asyncio.get_running_loop().time() + total)
        sink.exchange = await self.upstream.open(REQUEST, sink, clocks, fresh=fresh)
        return sink

    async def ask_and_answer(self, number: int) -> Peer:
        """A request that connection `number` answers whole."""
        sink = await self.ask()
        peer = await self.server.peer(number)
        await peer.request()
        peer.send(OK)
        assert await sink.over() == "end"
        return peer


@asynccontextmanager
async def site(path: str = "/v1") -> AsyncIterator[Site]:
    """Both, closed in the end."""
    async with listening() as server:
        upstream = HttpUpstream(
            f"http://127.0.0.1:{server.port}{path}", (("Authorization", "Bearer k"),), None
        )
        try:
            yield Site(server, upstream)
        finally:
            await shut(server, upstream)


async def shut(server: PeerServer, upstream: HttpUpstream) -> None:
    """Close the provider's side, then see that nothing is left of ours."""
    for peer in server.peers:
        await peer.dropped()
    upstream.close()
    await until(lambda: upstream._count == 0)


def advance(seconds: float) -> None:
    """Let time pass at once."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, AheadLoop)
    loop.advance(seconds)
