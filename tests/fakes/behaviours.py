"""How the fake provider answers one request: well, with any JSON, or with an honest error.

`tests.fakes.faults` has what breaks.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import msgspec

from tests.fakes.answers import SURFACES, Said, Surface, error_json
from tests.fakes.connection import Exchange, Recorded
from tests.fakes.gate import Gate

JSON = {"Content-Type": "application/json", "X-Request-ID": "req_up"}
EVENTS = {"Content-Type": "text/event-stream; charset=utf-8", "X-Request-ID": "req_up"}

Framing = Literal["chunked", "close"]


class Behaviour(Protocol):
    """One way to treat one request."""

    async def play(self, exchange: Exchange) -> None:
        """Answer, or don't. PeerClosed may come from every write."""


def surface_of(request: Recorded) -> Surface:
    """The route's way to answer; chat completions where it has none."""
    return SURFACES.get(request.path.partition("?")[0], SURFACES["/v1/chat/completions"])


def events_of(request: Recorded, said: Said) -> list[bytes]:
    """The events of a good stream, the end mark (OpenAI's `[DONE]`, Anthropic's stop) last."""
    return surface_of(request).events(said, request.json)


async def stream(
    exchange: Exchange,
    events: Iterable[bytes],
    *,
    framing: Framing = "chunked",
    headers: Mapping[str, str] | None = None,
) -> None:
    """A 200's head and `events`, each its own write; the body is left open."""
    await exchange.head(200, {**EVENTS, **(headers or {})}, chunked=framing == "chunked")
    for one in events:
        await exchange.body(one)


async def finish(exchange: Exchange, framing: Framing) -> None:
    """End a stream's body in order."""
    await exchange.end()
    if framing == "close":
        exchange.close()


@dataclass(frozen=True)
class Answer:
    """A good answer in the request's dialect, JSON or a stream as it asks.

    said: its content; `Answer("text")` is short for a `Said` with that text. interval_seconds: the
    pause before each event. gate: one permit for each event, or for the whole of a JSON answer.
    head_gate: one permit for the head of either.
    """

    text: str = ""
    said: Said = field(default_factory=Said)
    interval_seconds: float = 0.0
    gate: Gate | None = None
    head_gate: Gate | None = None
    framing: Framing = "chunked"
    headers: Mapping[str, str] = field(default_factory=dict)

    async def play(self, exchange: Exchange) -> None:
        """Answer well."""
        said = replace(self.said, text=self.text) if self.text else self.said
        if self.head_gate:
            await self.head_gate.passed()
        events = events_of(exchange.request, said) if exchange.request.streams else []
        if not events:
            await self._play_whole(exchange, said)
            return
        await stream(exchange, (), framing=self.framing, headers=self.headers)
        async for one in self._paced(events):
            await exchange.body(one)
        await finish(exchange, self.framing)

    async def _play_whole(self, exchange: Exchange, said: Said) -> None:
        if self.gate:
            await self.gate.passed()
        body = msgspec.json.encode(surface_of(exchange.request).whole(said, exchange.request.json))
        await exchange.whole(200, {**JSON, **self.headers}, body)

    async def _paced(self, events: Iterable[bytes]) -> AsyncIterator[bytes]:
        for one in events:
            if self.gate:
                await self.gate.passed()
            if self.interval_seconds:
                await asyncio.sleep(self.interval_seconds)
            yield one


@dataclass(frozen=True)
class Json:
    """Any JSON answer; `body` is encoded unless it is bytes."""

    body: object
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    async def play(self, exchange: Exchange) -> None:
        """Send it whole."""
        body = self.body if isinstance(self.body, bytes) else msgspec.json.encode(self.body)
        await exchange.whole(self.status, {**JSON, **self.headers}, body)


@dataclass(frozen=True)
class Status:
    """An error in the request's dialect."""

    status: int
    retry_after: str | None = None
    message: str = "The provider says no."
    type: str = "some_error"
    code: str | None = None
    param: str | None = None

    async def play(self, exchange: Exchange) -> None:
        """Refuse."""
        anthropic = surface_of(exchange.request).anthropic
        body = error_json(self.message, type=self.type, code=self.code, param=self.param, anthropic=anthropic)
        headers = {"Retry-After": self.retry_after} if self.retry_after is not None else {}
        await Json(body, self.status, headers).play(exchange)


@dataclass(frozen=True)
class Html:
    """An error page, as proxies in between send it; with 200 as captive portals do."""

    status: int = 502

    async def play(self, exchange: Exchange) -> None:
        """Send the page."""
        page = f"<!DOCTYPE html><html><body><h1>{self.status}</h1></body></html>".encode()
        await exchange.whole(self.status, {"Content-Type": "text/html"}, page)
