"""What the mock provider says, and so what a correct client must have received.

The script of one answer is chosen by fields of the request's own body, whose names begin with
`x_`: a gateway passes fields that it doesn't know, and nginx passes every byte, so each subject
is sent the same request. Every token's text is its number, by which the client sees the order.
"""

import functools

import msgspec

FAULTS = ("lost", "extra", "swapped", "cut", "unfinished", "refused", "wrong")
"""The ways in which the mock provider can be told to answer wrongly, to prove that it is seen."""


class Asked(
    msgspec.Struct,
    frozen=True,
    rename={"tokens": "x_tokens", "interval_ms": "x_interval_ms", "fault": "x_fault"},
):
    """The part of a chat completion request that the mock provider reads."""

    stream: bool = False
    stream_options: dict[str, bool] = {}
    tokens: int = 100
    interval_ms: float = 0.0
    fault: str | None = None

    @property
    def include_usage(self) -> bool:
        """Whether the caller wants the usage chunk before the end."""
        return self.stream_options.get("include_usage", False)


SAID = "The sluice opens when the water stands a hand below the sill, and closes by itself. " * 4
"""The text of every whole answer; with the rest of the object about 0.7 KB."""

_WHOLE = {
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
    "usage": {"prompt_tokens": 180, "completion_tokens": 84, "total_tokens": 264},
}

WHOLE_ANSWER = msgspec.json.encode(_WHOLE)


def order(tokens: int, fault: str | None = None) -> list[int]:
    """The numbers of the tokens in the order in which they are sent; `fault` is put in the middle."""
    numbers = list(range(tokens))
    middle = tokens // 2
    match fault:
        case "lost":
            del numbers[middle]
        case "extra":
            numbers.insert(middle, middle)
        case "swapped":
            numbers[middle - 1 : middle + 1] = numbers[middle], numbers[middle - 1]
        case "cut" | "unfinished":
            del numbers[middle:]
        case _:
            pass  # a whole answer, or none
    return numbers


def _chunk(**members: object) -> bytes:
    head = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "mock",
        "system_fingerprint": "fp_bench",
    }
    return b"data: " + msgspec.json.encode({**head, **members}) + b"\n\n"


def _choice(delta: dict[str, str], finish_reason: str | None) -> list[dict[str, object]]:
    return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]


@functools.cache
def token_event(number: int) -> bytes:
    """The event of one token; the first also names the role, as OpenAI's does."""
    role = {"role": "assistant"} if number == 0 else {}
    return _chunk(choices=_choice({**role, "content": f"{number:06d} "}, None))


@functools.cache
def end_events(tokens: int, *, include_usage: bool) -> bytes:
    """What follows the last token, sent in one piece: finish_reason, the usage if asked, [DONE]."""
    usage = {"prompt_tokens": 180, "completion_tokens": tokens, "total_tokens": 180 + tokens}
    counted = _chunk(choices=[], usage=usage) if include_usage else b""
    return _chunk(choices=_choice({}, "stop")) + counted + b"data: [DONE]\n\n"


def framed(payload: bytes) -> bytes:
    """`payload` as one chunk of a chunked body (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


LAST_CHUNK = b"0\r\n\r\n"
