"""What both dialects can say, as hypothesis strategies, and streams put together again."""

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import strategies as st

from service.wire.sse import Event

Json = dict[str, Any]

WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
IDS = st.text("abcXYZ019_-", min_size=1, max_size=8)
NAMES = st.sampled_from(["get_weather", "search", "run-it"])
ARGUMENTS = st.dictionaries(WORDS, st.none() | st.booleans() | st.integers(-9, 9) | WORDS | st.lists(WORDS, max_size=2), max_size=3)  # fmt: skip
TOKENS = st.integers(0, 10_000)


def encode(value: object) -> bytes:
    """JSON as a provider or a client sends it."""
    return msgspec.json.encode(value)


def decode(body: bytes) -> Json:
    """Any JSON object."""
    found: Json = msgspec.json.decode(body)
    return found


def members(body: bytes) -> dict[str, msgspec.Raw]:
    """The top-level members, as the edge hands them over."""
    return msgspec.json.decode(body, type=dict[str, msgspec.Raw])


@st.composite
def messages_answers(draw: st.DrawFn) -> Json:
    """A whole message of Anthropic's whose every member OpenAI can say."""
    thoughts = draw(st.lists(st.builds(_thought, WORDS, WORDS) | st.builds(_redacted, WORDS), max_size=2))
    texts = [{"type": "text", "text": text} for text in draw(st.lists(WORDS, max_size=1))]
    uses = [_use(number, name, arguments) for number, (name, arguments) in enumerate(draw(st.lists(st.tuples(NAMES, ARGUMENTS), max_size=3)))]  # fmt: skip
    endings = ["tool_use"] if uses else ["end_turn", "refusal"]
    return {
        "id": draw(IDS),
        "type": "message",
        "role": "assistant",
        "model": draw(IDS),
        "content": [*thoughts, *texts, *uses],
        "stop_reason": draw(st.sampled_from([*endings, "max_tokens"])),
        "stop_sequence": None,
        "usage": {
            "input_tokens": draw(TOKENS),
            "cache_creation_input_tokens": draw(TOKENS),
            "cache_read_input_tokens": draw(TOKENS),
            "output_tokens": draw(TOKENS),
        },
    }


def _thought(text: str, signature: str) -> Json:
    return {"type": "thinking", "thinking": text, "signature": signature}


def _redacted(data: str) -> Json:
    return {"type": "redacted_thinking", "data": data}


def _use(number: int, name: str, arguments: Json) -> Json:
    return {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": arguments}


def pieces(draw: st.DrawFn, text: str) -> list[str]:
    """`text` cut at random places."""
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=4)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def messages_streams(draw: st.DrawFn) -> tuple[Json, list[Event]]:
    """A message and the stream that Anthropic would send for it."""
    message = draw(messages_answers())
    opening = message | {"content": [], "stop_reason": None, "usage": message["usage"] | {"output_tokens": 1}}
    events: list[Json] = [{"type": "message_start", "message": opening}, {"type": "ping"}]
    for index, block in enumerate(message["content"]):
        empty, deltas = _deltas(draw, block)
        events.append({"type": "content_block_start", "index": index, "content_block": empty})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    ending = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    usage = {"output_tokens": message["usage"]["output_tokens"]}
    events += [{"type": "message_delta", "delta": ending, "usage": usage}, {"type": "message_stop"}]
    return message, [Event(encode(event), event["type"].encode()) for event in events]


def _deltas(draw: st.DrawFn, block: Json) -> tuple[Json, list[Json]]:
    kind = block["type"]
    if kind == "text":
        return block | {"text": ""}, [
            {"type": "text_delta", "text": text} for text in pieces(draw, block["text"])
        ]
    if kind == "tool_use":
        parts = pieces(draw, encode(block["input"]).decode() if block["input"] else "")
        return block | {"input": {}}, [{"type": "input_json_delta", "partial_json": part} for part in parts]
    if kind == "thinking":
        thoughts = [{"type": "thinking_delta", "thinking": text} for text in pieces(draw, block["thinking"])]
        return _thought("", ""), [*thoughts, {"type": "signature_delta", "signature": block["signature"]}]
    return block, []


@st.composite
def completion_streams(draw: st.DrawFn) -> tuple[Json, list[Event]]:
    """A chat completion, and a stream of it whose calls come mixed."""
    text = draw(st.none() | WORDS)
    reasoning = draw(st.none() | WORDS)
    calls = [_call(number, name, arguments) for number, (name, arguments) in enumerate(draw(st.lists(st.tuples(NAMES, ARGUMENTS), max_size=3)))]  # fmt: skip
    usage = {"prompt_tokens": draw(TOKENS), "completion_tokens": draw(TOKENS), "total_tokens": 0}
    reason = draw(st.sampled_from(["tool_calls" if calls else "stop", "content_filter"]))
    message = {"role": "assistant", "content": text, "reasoning_content": reasoning, "tool_calls": calls}
    completion = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "usage": usage,
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
    }  # fmt: skip
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in pieces(draw, reasoning or "")]
    deltas += [{"content": piece} for piece in pieces(draw, text or "")]
    deltas += [{"tool_calls": [call]} for call in _mixed(draw, calls)]
    choices: list[list[Json]] = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas]
    choices.append([{"index": 0, "delta": {}, "finish_reason": reason}])
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    chunks = [base | {"choices": choice} for choice in choices] + [base | {"choices": [], "usage": usage}]
    return completion, [*(Event(encode(chunk)) for chunk in chunks), Event(b"[DONE]")]


def _call(number: int, name: str, arguments: Json) -> Json:
    function = {"name": name, "arguments": encode(arguments).decode() if arguments else ""}
    return {"id": f"call_{number}", "type": "function", "function": function}


def _mixed(draw: st.DrawFn, calls: list[Json]) -> list[Json]:
    """The calls' pieces: each call's own in order, those of different calls in any, first pieces by index."""
    queues: list[list[Json]] = []
    for index, call in enumerate(calls):
        function = call["function"]
        head = call | {"index": index, "function": {"name": function["name"], "arguments": ""}}
        parts = pieces(draw, function["arguments"])
        queues.append([head, *({"index": index, "function": {"arguments": part}} for part in parts)])
    found: list[Json] = []
    begun = 0
    while live := [number for number, queue in enumerate(queues[: begun + 1]) if queue]:
        number = draw(st.sampled_from(live))
        begun = max(begun, number + 1)
        found.append(queues[number].pop(0))
    return found


def assembled_completion(events: Sequence[Event]) -> Json:
    """The chat completion that chunks add up to."""
    message: Json = {"role": "assistant", "content": None, "refusal": None}
    calls: list[Json] = []
    whole: Json = {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "logprobs": None}],
    }
    for chunk in map(decode, (event.data for event in events)):
        whole |= {name: chunk[name] for name in ("id", "created", "model")}
        whole |= {"usage": chunk["usage"]} if chunk.get("usage") else {}
        for choice in chunk["choices"]:
            whole["choices"][0]["finish_reason"] = choice["finish_reason"]
            delta = choice["delta"]
            for name in ("content", "reasoning_content", "refusal"):
                if delta.get(name):
                    message[name] = (message.get(name) or "") + delta[name]
            for block in delta.get("thinking_blocks", []):
                assert block.pop("index") == len(message.setdefault("thinking_blocks", []))
                message["thinking_blocks"].append(block)
            for piece in delta.get("tool_calls", []):
                if piece["index"] == len(calls):
                    calls.append(
                        {"id": piece["id"], "type": piece["type"], "function": dict(piece["function"])}
                    )
                else:
                    calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]
    return whole if not calls else _with_calls(whole, calls)


def _with_calls(whole: Json, calls: list[Json]) -> Json:
    whole["choices"][0]["message"]["tool_calls"] = calls
    return whole


def assembled_message(events: Sequence[Event]) -> Json:
    """The message that events add up to; asserts that blocks come one after the other, each closed."""
    whole: Json = {}
    arguments = ""
    open_index = None
    for event, name in ((decode(event.data), event.name) for event in events):
        kind = event["type"]
        assert name == kind.encode()
        if kind == "message_start":
            whole = event["message"]
        elif kind == "content_block_start":
            assert open_index is None
            assert event["index"] == len(whole["content"])
            open_index, arguments = event["index"], ""
            whole["content"].append(event["content_block"])
        elif kind == "content_block_delta":
            assert event["index"] == open_index
            delta = {name: value for name, value in event["delta"].items() if name != "type"}
            arguments += delta.pop("partial_json", "")
            block = whole["content"][-1]
            block |= {name: block[name] + value for name, value in delta.items()}
        elif kind == "content_block_stop":
            assert event["index"] == open_index
            open_index = None
            if arguments:
                whole["content"][-1]["input"] = msgspec.json.decode(arguments)
        elif kind == "message_delta":
            whole |= event["delta"] | {"usage": event["usage"]}
    assert open_index is None
    return whole
