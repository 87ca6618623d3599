"""A network that can be cut: a TCP proxy on loopback before one server, in its own thread.

with Network(gateway.port) as network:
    … a client of network.origin …
    network.fail()      # every connection is reset, and new ones are refused
    network.recover()
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Final, Self

from tests.e2e.gateway import free_port

LIMIT_SECONDS: Final = 10.0
CHUNK_BYTES: Final = 65536
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Network:
    """What is between a client and a server.

    cut_after_bytes: each connection is reset when this much has come back on it; None, none is.
    """

    def __init__(self, server_port: int, *, cut_after_bytes: int | None = None) -> None:
        self.port = free_port()
        self.cut_after_bytes = cut_after_bytes
        self.connections = 0
        self._server_port = server_port
        self._writers: set[asyncio.StreamWriter] = set()
        self._listener: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)

    @property
    def origin(self) -> str:
        """The server's address by way of this network."""
        return f"http://127.0.0.1:{self.port}"

    def fail(self) -> None:
        """Reset every connection and refuse new ones; returns when it is done."""
        self._do(self._fail())

    def recover(self) -> None:
        """Take connections again."""
        self._do(self._listen())

    def __enter__(self) -> Self:
        self._thread.start()
        self.recover()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT_SECONDS)
        self._loop.close()

    def _do(self, work: Coroutine[object, object, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(LIMIT_SECONDS)

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _fail(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for writer in tuple(self._writers):
            _reset(writer)

    async def _close(self) -> None:
        await self._fail()
        if serving := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(serving, timeout=LIMIT_SECONDS)

    async def _serve(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        self.connections += 1
        writers = {to_client}
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
            writers.add(to_server)
            # It may have failed meanwhile.
            if self._listener is not None:
                self._writers |= writers
                await asyncio.gather(
                    _carry(from_client, to_server, None), _carry(from_server, to_client, self.cut_after_bytes)
                )
        except OSError:
            pass
        finally:
            self._writers -= writers
            for writer in writers:
                _reset(writer)


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, limit_bytes: int | None) -> None:
    """Pass on what comes, until its end or the limit. Raises ConnectionResetError at either, for the other way too."""
    left = limit_bytes
    while data := await source.read(CHUNK_BYTES if left is None else min(left, CHUNK_BYTES)):
        target.write(data)
        await target.drain()
        left = None if left is None else left - len(data)
    raise ConnectionResetError


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with an RST, as a router that forgot the connection does."""
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
