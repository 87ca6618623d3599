"""A provider in memory: each call plays a script into its sink."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.providers.base import Clocks, Sink, UpstreamRequest

SSE = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Head:
    """Status and headers."""

    status: int = 200
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True)
class End:
    """The body is whole."""


@dataclass(frozen=True)
class Pause:
    """Nothing for so long, by the loop's clock. Infinite silence is a script that just stops."""

    seconds: float


Step = Head | bytes | End | Pause | Exception
Script = Sequence[Step]


class ScriptedExchange:
    """One call: what it was sent, what the sink did to it. closes: how often it really was closed."""

    def __init__(
        self, script: Script, request: UpstreamRequest, sink: Sink, clocks: Clocks, *, fresh: bool
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._left = list(script)
        self._sink = sink
        self._open = True
        self._paused = False
        self.request = request
        self.clocks = clocks
        self.fresh = fresh
        self.began = False
        self.finished = False
        self.closes = 0
        self.pauses = 0
        self.opened_at = self._loop.time()
        self._loop.call_soon(self.play)

    @property
    def open(self) -> bool:
        """Whether the provider still is at work."""
        return self._open

    @property
    def paused(self) -> bool:
        """Whether it has to wait."""
        return self._paused

    def play(self) -> None:
        """Go on until a pause, or the end. Each step is a read of its own."""
        while self._left and self._open and not self._paused:
            step = self._left.pop(0)
            if isinstance(step, Pause):
                self._loop.call_later(step.seconds, self.play)
                return
            self._tell(step)

    def then(self, *steps: Step) -> None:
        """Go on with these now."""
        self._left.extend(steps)
        self.play()

    def _tell(self, step: Head | bytes | End | Exception) -> None:
        if isinstance(step, Head):
            self._sink.head(step.status, SSE if step.headers is None else step.headers)
        elif isinstance(step, bytes):
            self._sink.data(step)
        else:
            self._open = False
            if isinstance(step, End):
                self._sink.end()
            else:
                self._sink.fail(step)

    def started(self) -> None:
        """The answer proper began."""
        self.began = True

    def pause(self) -> None:
        """Read no more."""
        if not self._paused:
            self.pauses += 1
        self._paused = True

    def resume(self) -> None:
        """Read on; as a socket does, not within this very call."""
        if self._paused:
            self._paused = False
            self._loop.call_soon(self.play)

    def finish(self) -> None:
        """The rest is nobody's."""
        self.finished = True
        self._open = False

    def abort(self) -> None:
        """Close at once; once closed, it stays so."""
        if self._open:
            self._open = False
            self.closes += 1


class ScriptedUpstream:
    """An `Upstream`: the first call plays the first script, and so on. calls: those that were made.

    A script that is an exception is raised by `open`: no connection was had.
    """

    def __init__(self, *scripts: Script | Exception) -> None:
        self._scripts = list(scripts)
        self._opened = asyncio.Event()
        self.calls: list[ScriptedExchange] = []
        self.refused = 0

    async def open(
        self, request: UpstreamRequest, sink: Sink, clocks: Clocks, *, fresh: bool = False
    ) -> ScriptedExchange:
        """Play the next script into `sink`."""
        script = self._scripts.pop(0)
        if isinstance(script, Exception):
            self.refused += 1
            raise script
        exchange = ScriptedExchange(script, request, sink, clocks, fresh=fresh)
        self.calls.append(exchange)
        self._opened.set()
        return exchange

    async def opened(self, count: int = 1) -> ScriptedExchange:
        """Wait for call number `count`, counted from 1."""
        while len(self.calls) < count:
            self._opened.clear()
            await self._opened.wait()
        return self.calls[count - 1]
