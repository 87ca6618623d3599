"""The simple surface in OpenAI's terms, there and back. Pure."""

from collections.abc import Callable

import msgspec

from service.wire import sse
from service.wire.openai import ChatCompletionRequest
from service.wire.simple import SimpleAnswer, SimpleDone, SimpleRequest, SimpleToken, SimpleUsage
from service.wire.strict import Members

_ENCODE = msgspec.json.Encoder().encode
_REQUEST = msgspec.json.Decoder(ChatCompletionRequest)
_MEMBERS = msgspec.json.Decoder(Members)


class _Message(msgspec.Struct, frozen=True):
    role: str
    content: str


class _ChatBody(msgspec.Struct, frozen=True, omit_defaults=True):
    model: str
    messages: list[_Message]
    stream: bool = False
    temperature: float | None = None
    max_tokens: int | None = None


class _Text(msgspec.Struct, frozen=True, gc=False):
    content: str | None = None


class _Choice(msgspec.Struct, frozen=True, gc=False):
    message: _Text | None = None
    delta: _Text | None = None


class _Completion(msgspec.Struct, frozen=True):
    """A whole answer or a chunk, as far as this surface shows it."""

    id: str = ""
    model: str = ""
    choices: list[_Choice] = []
    usage: SimpleUsage | None = None


_COMPLETION = msgspec.json.Decoder(_Completion)


def to_chat(request: SimpleRequest, model: str, *, stream: bool) -> tuple[ChatCompletionRequest, Members]:
    """The chat completion that `request` stands for: validated, and as top-level members."""
    messages = [_Message("system", request.system)] if request.system is not None else []
    messages.append(_Message("user", request.message))
    body = _ENCODE(_ChatBody(model, messages, stream, request.temperature, request.max_tokens))
    return _REQUEST.decode(body), _MEMBERS.decode(body)


def to_answer(body: bytes, *, cost_usd: float | None, latency_ms: int) -> SimpleAnswer:
    """A chat completion's JSON as this surface answers it. Raises msgspec.MsgspecError."""
    found = _COMPLETION.decode(body)
    text = "".join(choice.message.content or "" for choice in found.choices if choice.message)
    return SimpleAnswer(found.id, text, found.model, _summed(found.usage), cost_usd, latency_ms)


def _summed(usage: SimpleUsage | None) -> SimpleUsage:
    """`usage` with its total, which some servers leave out."""
    if usage is None or usage.total_tokens:
        return usage or SimpleUsage()
    total_tokens = usage.prompt_tokens + usage.completion_tokens
    return SimpleUsage(usage.prompt_tokens, usage.completion_tokens, total_tokens)


class ChunksToTokens:
    """From OpenAI's chunks to this surface's events; a state machine without I/O."""

    def __init__(self, cost_usd: Callable[[], float | None], latency_ms: Callable[[], int]) -> None:
        """Both are asked once, at the end."""
        self._cost_usd = cost_usd
        self._latency_ms = latency_ms
        self._id = self._model = ""
        self._usage = SimpleUsage()

    def feed(self, event: sse.Event) -> list[sse.Event]:
        """One token event for each piece of text."""
        found = _COMPLETION.decode(event.data)
        self._id = self._id or found.id
        self._model = self._model or found.model
        self._usage = found.usage or self._usage
        texts = [choice.delta.content for choice in found.choices if choice.delta and choice.delta.content]
        return [sse.Event(_ENCODE(SimpleToken(text))) for text in texts]

    def close(self) -> list[sse.Event]:
        """The last event: what it was and what it took."""
        done = SimpleDone(self._id, self._model, _summed(self._usage), self._cost_usd(), self._latency_ms())
        return [sse.Event(_ENCODE(done))]
