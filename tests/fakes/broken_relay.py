"""A relay that spoils every so many answers in one way, to prove that a run through it fails.

By itself: `python broken_relay.py --port PORT --upstream PORT --spoil WAY --every N`. It passes
server-sent events on one by one, each in a chunk of its own, and any other answer whole.
"""

import argparse
import asyncio
import itertools
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing

SPOILS = (
    "nothing",
    *("drop", "double", "swap", "trim", "join", "cut", "unfinished"),
    *("alter", "twice", "refuse", "hang up", "die"),
)
"""Nothing proves that the relay itself is right; the second row spoils streams, the third any answer."""

_PLACE = 4  # of the event that is spoiled: neither what opens a stream nor what ends it
_ENDS = (b"data: [DONE]", b"event: message_stop")
_REFUSAL = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\n\r\n{}"
_ALIVE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Cut(Exception):
    """The connection is closed here."""


class Events:
    """One stream on its way: hand in its events in order, send what comes out."""

    def __init__(self, spoil: str) -> None:
        self._spoil = spoil
        self._held = b""
        self._numbers = itertools.count()

    def passed_on(self, event: bytes) -> bytes:
        """What is sent when `event` has come; empty for nothing. Raises Cut."""
        number = next(self._numbers)
        if self._spoil == "unfinished" and event.startswith(_ENDS):
            return b""
        if self._held:
            event, self._held = event + self._held, b""
        if number != _PLACE:
            return event
        match self._spoil:
            case "drop":
                return b""
            case "double":
                return event + event
            case "swap":
                self._held = event
                return b""
            case "trim":
                return event.replace(b' "', b'"')
            case "join":
                return event.removesuffix(b"\n")
            case "cut":
                raise Cut
            case _:
                return event


class Relay:
    """All connections together; `every`: which share of their answers is spoiled."""

    def __init__(self, upstream_port: int, spoil: str, every: int) -> None:
        self._upstream_port = upstream_port
        self._spoil = spoil
        self._every = every
        self._answers = itertools.count(1)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client's connection, with one of our own behind it."""
        provider, to_provider = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        try:
            while True:
                question = await _message(reader)
                if question.startswith(b"GET /livez "):
                    writer.write(_ALIVE)
                    continue
                to_provider.write(question)
                head = await provider.readuntil(b"\r\n\r\n")
                spoil = "nothing" if next(self._answers) % self._every else self._spoil
                if b"chunked" in head and spoil not in ("refuse", "hang up", "die"):
                    await self._stream(provider, writer, head, Events(spoil))
                else:
                    writer.write(self._whole(head + await _rest(provider, head), spoil))
                await writer.drain()
        except (Cut, OSError, asyncio.IncompleteReadError):
            pass  # somebody has gone, so both go
        finally:
            writer.close()
            to_provider.close()

    def _whole(self, answer: bytes, spoil: str) -> bytes:
        match spoil:
            case "alter":
                return answer.replace(b"sluice", b"slvice")
            case "twice":
                return answer + answer
            case "refuse":
                return _REFUSAL
            case "hang up":
                raise Cut
            case "die":
                sys.stderr.write("out of water\n")
                sys.stderr.flush()
                os._exit(9)
            case _:
                return answer

    async def _stream(
        self, provider: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes, events: Events
    ) -> None:
        writer.write(head)
        async with aclosing(_events(provider)) as coming:
            async for event in coming:
                if sent := events.passed_on(event):
                    writer.write(b"%x\r\n%b\r\n" % (len(sent), sent))
                    await writer.drain()
        writer.write(b"0\r\n\r\n")


async def _message(reader: asyncio.StreamReader) -> bytes:
    """A request, head and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    return head + await _rest(reader, head)


async def _rest(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """The body that `head` announces; a chunked one is read to its end, and given without chunks."""
    if b"chunked" in head:
        return b"".join([event async for event in _events(reader)])
    lengths = (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return await reader.readexactly(int(next(lengths, b":0").partition(b":")[2]))


async def _events(reader: asyncio.StreamReader) -> AsyncGenerator[bytes, None]:
    """The events of a chunked stream, each with its blank line."""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        chunk = (await reader.readexactly(size + 2))[:-2]
        for event in chunk.split(b"\n\n")[:-1]:
            yield event + b"\n\n"
    await reader.readexactly(2)


async def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", type=int, required=True)
    parser.add_argument("--spoil", choices=SPOILS, default="nothing")
    parser.add_argument("--every", type=int, default=1)
    asked = parser.parse_args()
    relay = Relay(asked.upstream, asked.spoil, asked.every)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", asked.port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
