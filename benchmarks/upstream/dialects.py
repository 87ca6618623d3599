"""The mock provider's two languages: OpenAI's chat completions and Anthropic's messages. Pure."""

import functools
from collections.abc import Callable

import msgspec

from benchmarks.upstream.script import PROMPT_TOKENS, SAID, WHOLE_TOKENS, said


class Dialect(msgspec.Struct, frozen=True):
    """How one API says things. All bytes are bodies, without HTTP framing.

    token(number): the event, or events, of one token; the first opens the stream.
    end(tokens, include_usage): what follows the last token.
    """

    whole: bytes
    refusal: bytes
    token: Callable[[int], bytes]
    end: Callable[[int, bool], bytes]


def _openai_chunk(**members: object) -> bytes:
    head = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "mock",
        "system_fingerprint": "fp_bench",
    }
    return b"data: " + msgspec.json.encode({**head, **members}) + b"\n\n"


def _openai_choice(delta: dict[str, str], finish_reason: str | None) -> list[dict[str, object]]:
    return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]


@functools.cache
def _openai_token(number: int) -> bytes:
    role = {"role": "assistant"} if number == 0 else {}
    return _openai_chunk(choices=_openai_choice({**role, "content": said(number)}, None))


@functools.cache
def _openai_end(tokens: int, include_usage: bool) -> bytes:
    usage = {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": tokens,
        "total_tokens": PROMPT_TOKENS + tokens,
    }
    counted = _openai_chunk(choices=[], usage=usage) if include_usage else b""
    return _openai_chunk(choices=_openai_choice({}, "stop")) + counted + b"data: [DONE]\n\n"


OPENAI = Dialect(
    whole=msgspec.json.encode(
        {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": "mock",
            "system_fingerprint": "fp_bench",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": SAID, "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {
                "prompt_tokens": PROMPT_TOKENS,
                "completion_tokens": WHOLE_TOKENS,
                "total_tokens": PROMPT_TOKENS + WHOLE_TOKENS,
            },
        }
    ),
    refusal=msgspec.json.encode({"error": {"message": "asked to refuse", "type": "server_error"}}),
    token=_openai_token,
    end=_openai_end,
)


def _anthropic_event(type_: str, **members: object) -> bytes:
    data = msgspec.json.encode({"type": type_, **members})
    return b"event: " + type_.encode() + b"\ndata: " + data + b"\n\n"


def _message(**members: object) -> dict[str, object]:
    return {
        "id": "msg_bench",
        "type": "message",
        "role": "assistant",
        "model": "mock",
        "stop_sequence": None,
        **members,
    }


@functools.cache
def _anthropic_token(number: int) -> bytes:
    delta = _anthropic_event(
        "content_block_delta", index=0, delta={"type": "text_delta", "text": said(number)}
    )
    if number:
        return delta
    usage = {"input_tokens": PROMPT_TOKENS, "output_tokens": 1}
    started = _message(content=[], stop_reason=None, usage=usage)
    block = {"type": "text", "text": ""}
    return (
        _anthropic_event("message_start", message=started)
        + _anthropic_event("content_block_start", index=0, content_block=block)
        + delta
    )


@functools.cache
def _anthropic_end(tokens: int, include_usage: bool) -> bytes:
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    return (
        _anthropic_event("content_block_stop", index=0)
        + _anthropic_event("message_delta", delta=delta, usage={"output_tokens": tokens})
        + _anthropic_event("message_stop")
    )


ANTHROPIC = Dialect(
    whole=msgspec.json.encode(
        _message(
            content=[{"type": "text", "text": SAID}],
            stop_reason="end_turn",
            usage={"input_tokens": PROMPT_TOKENS, "output_tokens": WHOLE_TOKENS},
        )
    ),
    refusal=msgspec.json.encode(
        {"type": "error", "error": {"type": "api_error", "message": "asked to refuse"}}
    ),
    token=_anthropic_token,
    end=_anthropic_end,
)


def framed(payload: bytes) -> bytes:
    """`payload` as one chunk of a chunked body (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


LAST_CHUNK = b"0\r\n\r\n"
