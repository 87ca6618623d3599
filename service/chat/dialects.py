"""The bridges between the client's dialect and the provider's: a table. Pure.

Where both speak the same, the client's own bytes go on, but for the model's name and, in a
stream, the wish for usage; the provider's bytes come back as they are.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from service.chat.call import Call
from service.chat.routing import Target
from service.chat.translate import (
    ChunksToMessages,
    MessagesToChunks,
    Untranslatable,
    chat_to_messages,
    completion_to_message,
    message_to_completion,
    messages_to_chat,
)
from service.limits import bound
from service.providers.base import Dialect, Fault, FaultKind, Operation
from service.streams.ports import Translator
from service.wire.anthropic import MessagesRequest
from service.wire.openai import ChatCompletionRequest, CompletionRequest

_ENCODE = msgspec.json.Encoder().encode
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TRUE = msgspec.Raw(b"true")
_WITH_USAGE = msgspec.Raw(b'{"include_usage":true}')


class Prepared(msgspec.Struct, frozen=True, gc=False):
    """A request in the provider's dialect. dropped: hints that it can't say."""

    operation: Operation
    body: bytes
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bridge:
    """How a call crosses over: its request, a whole answer, and a stream's translators."""

    prepare: Callable[[Call, Target, bool], Prepared]
    answer: Callable[[bytes, int], bytes]
    translators: Callable[[Call, int], tuple[Translator, ...]]


def wants_usage(call: Call) -> bool:
    """Whether the client asked for OpenAI's usage chunk at the end of its stream."""
    request = call.request
    if not isinstance(request, ChatCompletionRequest | CompletionRequest):
        return False
    return bool(request.stream_options and request.stream_options.include_usage)


def passes_usage(call: Call, dialect: Dialect) -> bool:
    """Whether a usage chunk of the provider is for the client's stream, or for its translators."""
    return dialect is not call.surface.dialect or _reads_usage(call)


def _reads_usage(call: Call) -> bool:
    """Whether whoever reads the chunks in OpenAI's dialect looks for usage: the client, or the last stage."""
    return call.last_stage is not None or wants_usage(call)


def prepare(call: Call, target: Target, dialect: Dialect, *, stream_usage: bool) -> Prepared:
    """`call` as `target` wants it. Raises Fault (UNSPEAKABLE) where its dialect can't say it."""
    bridge = BRIDGES[call.surface.dialect, dialect]
    try:
        return bridge.prepare(call, target, stream_usage)
    except Untranslatable as error:
        raise Fault(FaultKind.UNSPEAKABLE, error.detail, reason="untranslatable", param=error.param) from None


def _forward(call: Call, target: Target, stream_usage: bool) -> Prepared:
    members = dict(call.members)
    if call.maximum is not None:
        # A fallback's larger maximum was reserved, but this model may refuse it.
        maximum = min(call.maximum, target.max_output_tokens)
        members = bound.with_maximum(members, call.request, maximum, target.model)
    members["model"] = msgspec.Raw(_ENCODE(target.model))
    if call.stream and stream_usage and call.surface.dialect is Dialect.OPENAI and not wants_usage(call):
        members["stream_options"] = _asking_for_usage(members.get("stream_options"))
    return Prepared(call.surface.operation, _ENCODE(members))


def _asking_for_usage(options: msgspec.Raw | None) -> msgspec.Raw:
    if options is None or bytes(options) == b"null":
        return _WITH_USAGE
    return msgspec.Raw(_ENCODE({**_OBJECT.decode(options), "include_usage": _TRUE}))


def _to_anthropic(call: Call, target: Target, stream_usage: bool) -> Prepared:
    request = call.request
    if not isinstance(request, ChatCompletionRequest):
        raise Untranslatable("model", "This model's provider has no such operation; use a chat completion.")
    made = chat_to_messages(
        request, call.members, model=target.model, max_output_tokens=target.max_output_tokens
    )
    return Prepared(Operation.MESSAGES, made.body, made.dropped)


def _to_openai(call: Call, target: Target, stream_usage: bool) -> Prepared:
    request = call.request
    if not isinstance(request, MessagesRequest):
        raise Untranslatable("model", "This model's provider has no such operation.")
    made = messages_to_chat(request, call.members, model=target.model)
    body = made.body if stream_usage or not call.stream else _without_stream_options(made.body)
    return Prepared(Operation.CHAT, body, made.dropped)


def _without_stream_options(body: bytes) -> bytes:
    return _ENCODE({name: value for name, value in _OBJECT.decode(body).items() if name != "stream_options"})


def _same_answer(body: bytes, created: int) -> bytes:
    return body


def _answer_to_openai(body: bytes, created: int) -> bytes:
    return message_to_completion(body, created=created)


def _answer_to_anthropic(body: bytes, created: int) -> bytes:
    return completion_to_message(body)


def _no_translators(call: Call, created: int) -> tuple[Translator, ...]:
    return ()


def _stream_to_openai(call: Call, created: int) -> tuple[Translator, ...]:
    return (MessagesToChunks(created=created, include_usage=_reads_usage(call)),)


def _stream_to_anthropic(call: Call, created: int) -> tuple[Translator, ...]:
    return (ChunksToMessages(),)


BRIDGES: dict[tuple[Dialect, Dialect], Bridge] = {
    (Dialect.OPENAI, Dialect.OPENAI): Bridge(_forward, _same_answer, _no_translators),
    (Dialect.ANTHROPIC, Dialect.ANTHROPIC): Bridge(_forward, _same_answer, _no_translators),
    (Dialect.OPENAI, Dialect.ANTHROPIC): Bridge(_to_anthropic, _answer_to_openai, _stream_to_openai),
    (Dialect.ANTHROPIC, Dialect.OPENAI): Bridge(_to_openai, _answer_to_anthropic, _stream_to_anthropic),
}
"""(client's dialect, provider's dialect) to the bridge between them."""
