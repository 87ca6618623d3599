"""The mock provider's two languages, read by the vendors' own types."""

import anthropic.types
import msgspec
import openai.types.chat
import pytest

from benchmarks.upstream.dialects import ANTHROPIC, LAST_CHUNK, OPENAI, framed
from benchmarks.upstream.script import PROMPT_TOKENS, SAID, WHOLE_TOKENS


def data(wire: bytes) -> list[dict[str, object]]:
    """The events' JSON; `[DONE]` must be last, and is left out."""
    lines = [line.removeprefix("data: ") for line in wire.decode().splitlines() if line.startswith("data: ")]
    if lines[-1] == "[DONE]":
        lines.pop()
    return [msgspec.json.decode(line, type=dict[str, object]) for line in lines]


def test_chat_completions_are_openais() -> None:
    """Whole and streamed, they are what OpenAI's SDK takes them for; no member has a wrong type."""
    whole = openai.types.chat.ChatCompletion.model_validate_json(OPENAI.whole)
    assert whole.choices[0].message.content == SAID
    assert whole.usage is not None
    assert whole.usage.total_tokens == PROMPT_TOKENS + WHOLE_TOKENS
    wire = b"".join(map(OPENAI.token, range(3))) + OPENAI.end(3, True)
    chunks = [openai.types.chat.ChatCompletionChunk.model_validate(each) for each in data(wire)]
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == "000000 000001 000002 "
    assert [delta.role for delta in deltas] == ["assistant", None, None, None]
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices] == [None] * 3 + ["stop"]
    assert [chunk.usage.completion_tokens for chunk in chunks if chunk.usage] == [3]
    assert wire.endswith(b"\n\ndata: [DONE]\n\n")


def test_usage_comes_only_where_it_was_asked_for() -> None:
    """As of OpenAI's `stream_options`."""
    assert b'"usage"' not in OPENAI.end(3, False)


def test_messages_are_anthropics() -> None:
    """Whole and streamed; the stream adds up to a message by the SDK's own accumulation."""
    whole = anthropic.types.Message.model_validate_json(ANTHROPIC.whole)
    block = whole.content[0]
    assert isinstance(block, anthropic.types.TextBlock)
    assert (block.text, whole.stop_reason, whole.usage.output_tokens) == (SAID, "end_turn", WHOLE_TOKENS)
    wire = b"".join(map(ANTHROPIC.token, range(3))) + ANTHROPIC.end(3, True)
    names = [line.removeprefix("event: ") for line in wire.decode().splitlines() if line.startswith("event")]
    assert names == [each["type"] for each in data(wire)]
    start = anthropic.types.RawMessageStartEvent.model_validate(data(wire)[0])
    assert start.message.content == []
    deltas = [
        anthropic.types.RawContentBlockDeltaEvent.model_validate(each).delta
        for each in data(wire)
        if each["type"] == "content_block_delta"
    ]
    texts = [delta.text for delta in deltas if isinstance(delta, anthropic.types.TextDelta)]
    assert "".join(texts) == "000000 000001 000002 "
    ended = anthropic.types.RawMessageDeltaEvent.model_validate(data(wire)[-2])
    assert (ended.delta.stop_reason, ended.usage.output_tokens) == ("end_turn", 3)


@pytest.mark.parametrize(
    ("payload", "chunk"),
    [
        pytest.param(b"x", b"1\r\nx\r\n", id="one-byte"),
        pytest.param(b"x" * 26, b"1a\r\n" + b"x" * 26 + b"\r\n", id="the-length-is-hexadecimal"),
    ],
)
def test_chunks(payload: bytes, chunk: bytes) -> None:
    assert framed(payload) == chunk
    assert LAST_CHUNK == b"0\r\n\r\n"
