"""The simulated provider: an upstream without a network, in OpenAI's dialect.

It answers through the same sinks, readers and relays as any other provider, as bytes, so that
what is tried on it holds for the rest. `service.providers.sim_text` decides what it says.
"""

import asyncio
from collections.abc import Callable, Iterator

import msgspec

from service import ids
from service.providers import sim_text
from service.providers.base import Clocks, Fault, FaultKind, Operation, Sink, UpstreamRequest
from service.wire import sse
from service.wire.openai import ChatCompletionRequest, CompletionRequest, EmbeddingRequest

BURST_EVENTS = 16
"""Events pushed in one go by a model without a pace, before other streams get their turn."""

_JSON = {"content-type": "application/json"}
_EVENTS = {"content-type": "text/event-stream"}

_CHAT = msgspec.json.Decoder(ChatCompletionRequest)
_COMPLETION = msgspec.json.Decoder(CompletionRequest)
_EMBEDDING = msgspec.json.Decoder(EmbeddingRequest)


class SimUpstream:
    """An `Upstream` whose provider is this process."""

    def __init__(self, now: Callable[[], float]) -> None:
        """now: Unix seconds, for `created`."""
        self._loop = asyncio.get_running_loop()
        self._now = now

    async def open(
        self, request: UpstreamRequest, sink: Sink, clocks: Clocks, *, fresh: bool = False
    ) -> "SimExchange":
        """Answer `request` into `sink`, at the pace that the model's name asks for."""
        exchange = SimExchange(self._loop, sink, clocks)
        try:
            _SAY[request.operation](request.body, exchange, int(self._now()))
        except sim_text.SimRefused as error:
            exchange.refuse(400, str(error), error.param, None)
        return exchange

    def close(self) -> None:
        """Nothing is held."""


class SimExchange:
    """One simulated answer: what a socket would push, pushed by timers."""

    __slots__ = ("_chunks", "_clocks", "_due_at", "_interval_seconds", "_loop", "_paused", "_sink", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, sink: Sink, clocks: Clocks) -> None:
        self._loop = loop
        self._sink = sink
        self._clocks = clocks
        self._chunks: Iterator[bytes] = iter(())
        self._due_at = 0.0
        self._interval_seconds = 0.0
        self._paused = False
        self._timer: asyncio.Handle | None = None

    def answer(self, body: bytes, seconds: float) -> None:
        """Bring a whole answer after as long as a model of this pace would take."""
        self._timer = self._loop.call_later(seconds, self._bring, 200, body)

    def refuse(self, status: int, message: str, param: str, code: str | None) -> None:
        """Answer as OpenAI does where it refuses a request."""
        error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
        self._timer = self._loop.call_later(0.0, self._bring, status, msgspec.json.encode({"error": error}))

    def stream(self, chunks: Iterator[bytes], interval_seconds: float) -> None:
        """Bring chunk after chunk, one each `interval_seconds`; without a pace as fast as they are taken."""
        self._chunks = chunks
        self._interval_seconds = interval_seconds
        self._due_at = self._loop.time() + interval_seconds
        self._timer = self._loop.call_soon(self._begin)

    def started(self) -> None:
        """The simulated provider has no idle clock."""

    def pause(self) -> None:
        """Bring nothing more until `resume`."""
        self._paused = True

    def resume(self) -> None:
        """Go on; a paced stream does not hurry to make up for the pause."""
        if self._paused and self._timer is not None:
            self._paused = False
            self._due_at = self._loop.time() + self._interval_seconds
            self._timer.cancel()
            self._timer = self._loop.call_at(self._due_at, self._push)

    def finish(self) -> None:
        """Nothing more is wanted."""
        self.abort()

    def abort(self) -> None:
        """Stop at once; the sink hears nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _bring(self, status: int, body: bytes) -> None:
        self._timer = None
        self._sink.head(status, _JSON)
        self._sink.data(body)
        self._sink.end()

    def _begin(self) -> None:
        self._sink.head(200, _EVENTS)
        self._push()

    def _push(self) -> None:
        if self._timer is None or self._paused:
            return
        if self._loop.time() >= self._clocks.deadline_at:
            self._timer = None
            self._sink.fail(
                Fault(FaultKind.STALLED, "The provider did not finish in time.", reason="timeout_total")
            )
            return
        burst = 1 if self._interval_seconds else BURST_EVENTS
        events = b"".join([sse.encode(chunk) for _, chunk in zip(range(burst), self._chunks, strict=False)])
        if not events:
            self._timer = None
            self._sink.data(sse.DONE)
            self._sink.end()
            return
        self._due_at += self._interval_seconds
        self._timer = self._loop.call_at(self._due_at, self._push)
        self._sink.data(events)


def _say_chat(body: bytes, exchange: SimExchange, created: int) -> None:
    asked = _CHAT.decode(body)
    if plan := _plan(asked.model, exchange):
        said = sim_text.chat_completion(asked, created=created, id=ids.new_id("chatcmpl"))
        _say(said, plan, exchange, stream=bool(asked.stream))


def _say_completion(body: bytes, exchange: SimExchange, created: int) -> None:
    asked = _COMPLETION.decode(body)
    if plan := _plan(asked.model, exchange):
        said = sim_text.completion(asked, created=created, id=ids.new_id("cmpl"))
        _say(said, plan, exchange, stream=bool(asked.stream))


def _say_vectors(body: bytes, exchange: SimExchange, created: int) -> None:
    asked = _EMBEDDING.decode(body)
    if _plan(asked.model, exchange):
        exchange.answer(sim_text.embeddings(asked), 0.0)


def _say(said: sim_text.SimAnswer, plan: sim_text.SimPlan, exchange: SimExchange, *, stream: bool) -> None:
    if stream:
        exchange.stream(said.chunks, plan.interval_seconds)
    else:
        exchange.answer(said.body, plan.interval_seconds * plan.tokens)


def _plan(model: str, exchange: SimExchange) -> sim_text.SimPlan | None:
    plan = sim_text.parse_model(model)
    if plan is None:
        exchange.refuse(404, f"The model {model!r} does not exist.", "model", "model_not_found")
    return plan


_SAY = {
    Operation.CHAT: _say_chat,
    Operation.COMPLETIONS: _say_completion,
    Operation.EMBEDDINGS: _say_vectors,
}
"""What each operation is answered with."""
