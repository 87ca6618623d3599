"""A provider's socket, spoken by hand: the test says each byte."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


class Peer:
    """One connection that the gateway made."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def request(self) -> tuple[bytes, bytes]:
        """Wait for a whole request: its head without the last empty line, and its body."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return head.removesuffix(b"\r\n\r\n"), await self._reader.readexactly(int(length.partition(b":")[2]))

    def send(self, data: bytes) -> None:
        """Write."""
        self._writer.write(data)

    async def send_until_full(self, data: bytes, most_bytes: int) -> int:
        """Write until nothing more fits; return how many bytes did."""
        sent = 0
        while sent < most_bytes and self._writer.transport.get_write_buffer_size() == 0:
            self._writer.write(data)
            sent += len(data)
            await asyncio.sleep(0)
        return sent

    async def drained(self) -> None:
        """Wait until all that was written is on its way."""
        self._writer.transport.set_write_buffer_limits(0)
        await self._writer.drain()

    def close(self) -> None:
        """Close properly."""
        self._writer.close()

    def reset(self) -> None:
        """Close with a RST."""
        found: socket.socket = self._writer.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def dropped(self) -> None:
        """Close at once, and wait until the socket is gone."""
        self._writer.transport.abort()
        try:
            await self._writer.wait_closed()
        except (ConnectionError, ssl.SSLError):
            return

    async def gone(self) -> None:
        """Wait until the gateway has closed it."""
        try:
            while await self._reader.read(65536):
                pass
        except ConnectionError:
            return


@dataclass
class PeerServer:
    """Listens on loopback. peers: every connection that was made, in order."""

    port: int = 0
    peers: list[Peer] = field(default_factory=list)
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    async def peer(self, number: int = 1) -> Peer:
        """Wait for connection number `number`, counted from 1."""
        while len(self.peers) < number:
            self._came.clear()
            await self._came.wait()
        return self.peers[number - 1]

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """From the listener."""
        self.peers.append(Peer(reader, writer))
        self._came.set()


@asynccontextmanager
async def listening(context: ssl.SSLContext | None = None) -> AsyncIterator[PeerServer]:
    """A server on a free port, closed with its connections at the end."""
    found = PeerServer()
    server = await asyncio.start_server(found.accept, "127.0.0.1", 0, ssl=context)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        for peer in found.peers:
            await peer.dropped()
