"""What a provider says when all is well: whole answers and events of both dialects, as bytes.

Written out by hand from the providers' references, and not with the gateway's own Structs, so
that a mistake there isn't repeated here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

CREATED = 1_700_000_000

STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", None: None}
"""OpenAI's finish reasons as Anthropic calls them."""

Request = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call; `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Said:
    """One answer's content, whatever the dialect.

    extra: unknown members for the top of every JSON object. output_tokens: None counts the words.
    """

    text: str = "Hello from upstream."
    model: str = "upstream-model"
    finish_reason: str | None = "stop"
    calls: tuple[Call, ...] = ()
    input_tokens: int = 11
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    output_tokens: int | None = None
    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def tokens(self) -> list[str]:
        """The text's words, each with the space before it."""
        first, *rest = self.text.split(" ")
        return [first, *(f" {word}" for word in rest)] if self.text else []

    @property
    def output(self) -> int:
        """The output tokens that the provider reports."""
        return len(self.tokens) if self.output_tokens is None else self.output_tokens


def event(data: object, name: str | None = None) -> bytes:
    """One server-sent event around `data`, encoded as JSON unless it is bytes."""
    payload = data if isinstance(data, bytes) else msgspec.json.encode(data)
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + payload + b"\n\n"


DONE = event(b"[DONE]")


def openai_usage(said: Said) -> dict[str, object]:
    """Usage as OpenAI reports it: prompt_tokens includes the cached ones."""
    return {
        "prompt_tokens": said.input_tokens,
        "completion_tokens": said.output,
        "total_tokens": said.input_tokens + said.output,
        "prompt_tokens_details": {"cached_tokens": said.cached_input_tokens},
        "completion_tokens_details": {"reasoning_tokens": said.reasoning_tokens},
    }


def anthropic_usage(said: Said) -> dict[str, object]:
    """Usage as Anthropic reports it: input_tokens is what was neither read from nor put in a cache."""
    return {
        "input_tokens": said.input_tokens - said.cached_input_tokens - said.cache_write_tokens,
        "cache_creation_input_tokens": said.cache_write_tokens,
        "cache_read_input_tokens": said.cached_input_tokens,
        "output_tokens": said.output,
    }


def chat_json(said: Said, request: Request) -> dict[str, object]:
    """A whole chat completion."""
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in said.calls
    ]
    message = {"role": "assistant", "content": said.text or None, "refusal": None}
    return {
        "id": "chatcmpl-up",
        "object": "chat.completion",
        "created": CREATED,
        "model": said.model,
        "choices": [
            {
                "index": 0,
                "message": message | ({"tool_calls": calls} if calls else {}),
                "logprobs": None,
                "finish_reason": said.finish_reason,
            }
        ],
        "usage": openai_usage(said),
        "system_fingerprint": "fp_up",
        **said.extra,
    }


def chat_events(said: Said, request: Request) -> list[bytes]:
    """A streamed chat completion, `[DONE]` last; the usage chunk where the request asks for it."""
    frame: dict[str, object] = {
        "id": "chatcmpl-up",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": said.model,
        "system_fingerprint": "fp_up",
        **said.extra,
    }

    def chunk(delta: Mapping[str, object], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return event(frame | {"choices": [choice]})

    made = [chunk({"role": "assistant", "content": ""})]
    made += [chunk({"content": token}) for token in said.tokens]
    made += [chunk({"tool_calls": [delta]}) for delta in _call_deltas(said.calls)]
    if said.finish_reason is not None:
        made.append(chunk({}, said.finish_reason))
    if _wants_usage(request):
        made.append(event(frame | {"choices": [], "usage": openai_usage(said)}))
    return [*made, DONE]


def _call_deltas(calls: tuple[Call, ...]) -> list[dict[str, object]]:
    deltas: list[dict[str, object]] = []
    for index, call in enumerate(calls):
        function = {"name": call.name, "arguments": ""}
        deltas.append({"index": index, "id": call.id, "type": "function", "function": function})
        for start in range(0, len(call.arguments), 7):
            piece = call.arguments[start : start + 7]
            deltas.append({"index": index, "function": {"arguments": piece}})
    return deltas


def _wants_usage(request: Request) -> bool:
    options = request.get("stream_options")
    return isinstance(options, Mapping) and bool(options.get("include_usage"))


def completion_json(said: Said, request: Request) -> dict[str, object]:
    """A whole text completion."""
    choice = {"index": 0, "text": said.text, "logprobs": None, "finish_reason": said.finish_reason}
    return {
        "id": "cmpl-up",
        "object": "text_completion",
        "created": CREATED,
        "model": said.model,
        "choices": [choice],
        "usage": openai_usage(said),
        **said.extra,
    }


def completion_events(said: Said, request: Request) -> list[bytes]:
    """A streamed text completion."""
    frame = {
        "id": "cmpl-up",
        "object": "text_completion",
        "created": CREATED,
        "model": said.model,
        **said.extra,
    }

    def chunk(text: str, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}
        return event(frame | {"choices": [choice]})

    made = [chunk(token) for token in said.tokens]
    if said.finish_reason is not None:
        made.append(chunk("", said.finish_reason))
    if _wants_usage(request):
        made.append(event(frame | {"choices": [], "usage": openai_usage(said)}))
    return [*made, DONE]


def embeddings_json(said: Said, request: Request) -> dict[str, object]:
    """Three numbers for each input."""
    given = request.get("input")
    count = len(given) if isinstance(given, list) else 1
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": [0.5, -0.5, float(index)]}
            for index in range(count)
        ],
        "model": said.model,
        "usage": {"prompt_tokens": said.input_tokens, "total_tokens": said.input_tokens},
        **said.extra,
    }


def messages_json(said: Said, request: Request) -> dict[str, object]:
    """A whole Anthropic message."""
    text = [{"type": "text", "text": said.text}] if said.text else []
    tools = [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": msgspec.Raw(call.arguments.encode())}
        for call in said.calls
    ]
    return {
        "id": "msg_up",
        "type": "message",
        "role": "assistant",
        "model": said.model,
        "content": [*text, *tools],
        "stop_reason": STOP_REASONS.get(said.finish_reason, said.finish_reason),
        "stop_sequence": None,
        "usage": anthropic_usage(said),
        **said.extra,
    }


def messages_events(said: Said, request: Request) -> list[bytes]:
    """A streamed Anthropic message with its full event sequence, a ping among it."""
    started = messages_json(said, request) | {"content": [], "stop_reason": None}
    started["usage"] = anthropic_usage(said) | {"output_tokens": 1}
    made = [_named({"type": "message_start", "message": started}), _named({"type": "ping"})]
    blocks: list[tuple[dict[str, object], list[dict[str, object]]]] = []
    if said.text:
        deltas: list[dict[str, object]] = [{"type": "text_delta", "text": token} for token in said.tokens]
        blocks.append(({"type": "text", "text": ""}, deltas))
    for call in said.calls:
        halves = (call.arguments[: len(call.arguments) // 2], call.arguments[len(call.arguments) // 2 :])
        deltas = [{"type": "input_json_delta", "partial_json": half} for half in ("", *halves)]
        blocks.append(({"type": "tool_use", "id": call.id, "name": call.name, "input": {}}, deltas))
    for index, (block, deltas) in enumerate(blocks):
        made.append(_named({"type": "content_block_start", "index": index, "content_block": block}))
        made += [_named({"type": "content_block_delta", "index": index, "delta": delta}) for delta in deltas]
        made.append(_named({"type": "content_block_stop", "index": index}))
    if said.finish_reason is not None:
        reason = STOP_REASONS.get(said.finish_reason, said.finish_reason)
        delta = {"stop_reason": reason, "stop_sequence": None}
        made.append(
            _named({"type": "message_delta", "delta": delta, "usage": {"output_tokens": said.output}})
        )
    return [*made, _named({"type": "message_stop"})]


def _named(data: dict[str, object]) -> bytes:
    return event(data, str(data["type"]))


def count_tokens_json(said: Said, request: Request) -> dict[str, object]:
    """Anthropic's count."""
    return {"input_tokens": said.input_tokens, **said.extra}


def no_events(said: Said, request: Request) -> list[bytes]:
    """A route that never streams."""
    return []


@dataclass(frozen=True, slots=True)
class Surface:
    """One route: how its answers look, whole and as events."""

    whole: Callable[[Said, Request], dict[str, object]]
    events: Callable[[Said, Request], list[bytes]] = no_events
    anthropic: bool = False


SURFACES = {
    "/v1/chat/completions": Surface(chat_json, chat_events),
    "/v1/completions": Surface(completion_json, completion_events),
    "/v1/embeddings": Surface(embeddings_json),
    "/v1/messages": Surface(messages_json, messages_events, anthropic=True),
    "/v1/messages/count_tokens": Surface(count_tokens_json, anthropic=True),
}


def error_json(
    message: str, *, type: str, code: str | None = None, param: str | None = None, anthropic: bool = False
) -> dict[str, object]:
    """An error's body, or the data of an error event."""
    if anthropic:
        return {"type": "error", "error": {"type": type, "message": message}, "request_id": "req_up"}
    return {"error": {"message": message, "type": type, "param": param, "code": code}}
