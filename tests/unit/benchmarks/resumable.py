"""A server whose streams can be read on, as the gateway's can: the mock provider's events with ids before them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from benchmarks.upstream.dialects import LAST_CHUNK, OPENAI, framed
from benchmarks.upstream.questions import Questions
from benchmarks.upstream.script import Script

Fault = Literal["gap", "doubled", "unknown", "no ids", "another stream", "restarted"]
"""What it does wrong: at returns, or (no ids) from the first answer on."""

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


class Resumable:
    """Streams are as their prompts say. asked, returned: how many requests of each kind came."""

    def __init__(self, fault: Fault | None = None) -> None:
        self.port = 0
        self.asked = 0
        self.returned = 0
        self._stopped = asyncio.get_running_loop().create_future()
        self._answering: set[asyncio.Task[None]] = set()
        self._fault = fault
        self._questions = Questions(Script())
        self._scripts: dict[str, Script] = {}

    async def stop(self) -> None:
        """Answer nothing more."""
        self._stopped.set_result(None)
        if self._answering:
            await asyncio.wait(self._answering)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, and no more on this connection."""
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            if head.startswith("POST"):
                self.asked += 1
                length = next(line for line in head.splitlines() if line.startswith("content-length: "))
                body = await reader.readexactly(int(length.partition(": ")[2]))
                self._scripts[f"st{self.asked}"] = self._questions.understand(body).script
                await self._send(writer, f"st{self.asked}", 0)
            else:
                self.returned += 1
                last = next(line for line in head.splitlines() if line.startswith("last-event-id: "))
                stream, _, number = last.partition(": ")[2].rpartition("-")
                assert head.startswith(f"GET /v1/streams/{stream} ")
                await self._send_rest(writer, stream, int(number) + 1)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # its reader was cut off, or never asked
        finally:
            writer.close()

    async def _send_rest(self, writer: asyncio.StreamWriter, stream: str, position: int) -> None:
        match self._fault:
            case "unknown":
                writer.write(_NOT_FOUND)
            case "gap":
                await self._send(writer, stream, position + 1)
            case "doubled":
                await self._send(writer, stream, position - 1)
            case "restarted":
                await self._send(writer, stream, 0)
            case "another stream":
                self._scripts["other"] = self._scripts[stream]
                await self._send(writer, "other", position)
            case _:
                await self._send(writer, stream, position)

    async def _send(self, writer: asyncio.StreamWriter, stream: str, position: int) -> None:
        script = self._scripts[stream]
        writer.write(_HEAD)
        for number, event in enumerate(_events(script.tokens)[position:], position):
            if writer.transport.is_closing() or self._stopped.done():
                return
            id_ = b"" if self._fault == "no ids" else f"id: {stream}-{number}\n".encode()
            writer.write(framed(id_ + event))
            await asyncio.wait([self._stopped], timeout=script.interval_ms / 1000)
        writer.write(LAST_CHUNK)
        await writer.drain()


def _events(tokens: int) -> list[bytes]:
    """A stream's events, without ids."""
    wire = b"".join(OPENAI.token(number) for number in range(tokens)) + OPENAI.end(tokens, True)
    return [event + b"\n\n" for event in wire.removesuffix(b"\n\n").split(b"\n\n")]


@asynccontextmanager
async def resumable(fault: Fault | None = None) -> AsyncIterator[Resumable]:
    """One that listens on loopback."""
    made = Resumable(fault)
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0, backlog=256)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        try:
            yield made
        finally:
            await made.stop()
