"""What can go wrong with a provider, for the fake provider to play.

Where a fault starts like a good answer, it is the answer that `said` describes, in the dialect
and form that the request asks for; `after` counts its events: None is before the answer's head,
0 behind the head.
"""

import itertools
from dataclasses import dataclass, field, replace

import msgspec

from tests.fakes.answers import DONE, Said, error_json, event
from tests.fakes.behaviours import JSON, Framing, Json, events_of, finish, stream, surface_of
from tests.fakes.connection import Exchange
from tests.fakes.gate import Gate


@dataclass(frozen=True)
class Reset:
    """An RST: before any byte (after=None), after the head (0), or after some events."""

    after: int | None = None
    said: Said = field(default_factory=Said)

    async def play(self, exchange: Exchange) -> None:
        """Begin well, and reset."""
        if self.after is not None:
            await stream(exchange, events_of(exchange.request, self.said)[: self.after])
        exchange.reset()


@dataclass(frozen=True)
class Hangup:
    """An orderly close (FIN) in the middle: before any byte, after the head, or after some events.

    framing: with `chunked` the last chunk is missing, with `close` the body seems complete.
    """

    after: int | None = None
    framing: Framing = "chunked"
    said: Said = field(default_factory=Said)

    async def play(self, exchange: Exchange) -> None:
        """Begin well, and close."""
        if self.after is not None:
            await stream(exchange, events_of(exchange.request, self.said)[: self.after], framing=self.framing)
        exchange.close()


@dataclass(frozen=True)
class TruncatedJson:
    """A whole answer that breaks off. honest: its Content-Length says so few bytes, so HTTP is fine."""

    keep_bytes: int = 100
    honest: bool = False
    said: Said = field(default_factory=Said)

    async def play(self, exchange: Exchange) -> None:
        """Send the beginning and close."""
        body = msgspec.json.encode(surface_of(exchange.request).whole(self.said, exchange.request.json))
        kept = body[: self.keep_bytes]
        await exchange.head(200, JSON, length=len(kept) if self.honest else len(body))
        await exchange.body(kept)
        exchange.close()


@dataclass(frozen=True)
class Silence:
    """Nothing more, for ever: after the request came (None), after the head (0), or after some events."""

    after: int | None = None
    said: Said = field(default_factory=Said)

    async def play(self, exchange: Exchange) -> None:
        """Begin well, and fall silent until the client goes."""
        if self.after is not None:
            await stream(exchange, events_of(exchange.request, self.said)[: self.after])
        await exchange.silence()


@dataclass(frozen=True)
class TornWrites:
    """A good stream in writes of `size` bytes: lines, line ends and UTF-8 characters are torn apart."""

    size: int = 1
    said: Said = field(default_factory=lambda: Said("Grüße – 水 🌊 end"))

    async def play(self, exchange: Exchange) -> None:
        """Send all of it in small pieces."""
        wire = b"".join(events_of(exchange.request, self.said))
        await stream(exchange, (wire[start : start + self.size] for start in range(0, len(wire), self.size)))
        await exchange.end()


@dataclass(frozen=True)
class BrokenUtf8:
    """A stream whose event number `after` is not UTF-8, or a whole answer that isn't."""

    after: int = 2
    said: Said = field(default_factory=lambda: Said("Grüße from upstream"))

    async def play(self, exchange: Exchange) -> None:
        """Cut the u-umlaut's second byte out."""
        events = events_of(exchange.request, self.said) if exchange.request.streams else []
        if not events:
            body = msgspec.json.encode(surface_of(exchange.request).whole(self.said, exchange.request.json))
            await Json(body.replace("ü".encode(), b"\xc3")).play(exchange)
            return
        events[self.after] = events[self.after].replace(b"}", b',"broken":"\xc3"}', 1)
        await stream(exchange, events)
        await exchange.end()


@dataclass(frozen=True)
class NoDone:
    """A complete stream that lacks its end mark."""

    said: Said = field(default_factory=Said)
    framing: Framing = "chunked"

    async def play(self, exchange: Exchange) -> None:
        """Send all but the last event."""
        await stream(exchange, events_of(exchange.request, self.said)[:-1], framing=self.framing)
        await finish(exchange, self.framing)


@dataclass(frozen=True)
class NoFinishReason:
    """A stream that ends in order but never says why. done: with the end mark all the same."""

    done: bool = True
    said: Said = field(default_factory=Said)

    async def play(self, exchange: Exchange) -> None:
        """Send all but the finish reason."""
        events = events_of(exchange.request, replace(self.said, finish_reason=None))
        await stream(exchange, events if self.done else events[:-1])
        await exchange.end()


@dataclass(frozen=True)
class ErrorEvent:
    """An error within a 200's stream, as first event or after some, and then the stream's end."""

    after: int = 0
    message: str = "The provider broke."
    type: str = "server_error"
    code: str | None = None
    done: bool = False
    said: Said = field(default_factory=Said)

    async def play(self, exchange: Exchange) -> None:
        """Begin well, and send the error."""
        anthropic = surface_of(exchange.request).anthropic
        data = error_json(self.message, type=self.type, code=self.code, anthropic=anthropic)
        events = events_of(exchange.request, self.said)[: self.after]
        error = event(data, "error" if anthropic else None)
        await stream(exchange, [*events, error, *([DONE] if self.done else [])])
        await exchange.end()


@dataclass(frozen=True)
class HugeEvent:
    """A good stream in whose middle one event has `size_bytes` of text."""

    size_bytes: int
    after: int = 2
    said: Said = field(default_factory=Said)

    async def play(self, exchange: Exchange) -> None:
        """Send the huge event where event number `after` would be."""
        events = events_of(exchange.request, self.said)
        huge = events_of(exchange.request, replace(self.said, text="x" * self.size_bytes))
        events[self.after] = max(huge, key=len)
        await stream(exchange, events)
        await exchange.end()


@dataclass(frozen=True)
class RawBytes:
    """Any bytes, head and all, each piece its own write, then a close. gate: one permit for each."""

    pieces: tuple[bytes, ...]
    gate: Gate | None = None

    async def play(self, exchange: Exchange) -> None:
        """Send them."""
        for piece in self.pieces:
            if self.gate:
                await self.gate.passed()
            await exchange.raw(piece)
        exchange.close()


@dataclass(frozen=True)
class RawEvents:
    """A good head, and any bytes as the body of a stream, each piece its own write."""

    pieces: tuple[bytes, ...]
    gate: Gate | None = None

    async def play(self, exchange: Exchange) -> None:
        """Send them, and end in order."""
        await stream(exchange, ())
        for piece in self.pieces:
            if self.gate:
                await self.gate.passed()
            await exchange.body(piece)
        await exchange.end()


@dataclass(frozen=True)
class Flood:
    """A stream of `count` tokens of `event_bytes` each, as fast as the client takes them."""

    event_bytes: int
    count: int

    async def play(self, exchange: Exchange) -> None:
        """Send until all is sent or the client has gone."""
        events = events_of(exchange.request, Said("x" * self.event_bytes))
        token = events.index(max(events, key=len))
        flood = (events[token] for _ in range(self.count))
        await stream(exchange, itertools.chain(events[:token], flood, events[token + 1 :]))
        await exchange.end()
