"""Requests and answers of Anthropic's routes, as the simulated model has them. Data only."""

from service.docs.example_events import ANTHROPIC_CUT, events
from service.docs.schemas import Json

_HELLO: Json = {"role": "user", "content": "Say hello."}

MESSAGES_REQUESTS: Json = {
    "answer": {
        "summary": "A whole message",
        "value": {
            "model": "sim",
            "max_tokens": 100,
            "system": "You are a helpful assistant.",
            "messages": [_HELLO],
        },
    },
    "stream": {
        "summary": "A stream",
        "value": {"model": "sim-40-50ms", "max_tokens": 100, "stream": True, "messages": [_HELLO]},
    },
}

_ANTHROPIC_USAGE: Json = {
    "input_tokens": 2,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 5,
}

_MESSAGE: Json = {
    "id": "msg_dce5ef5137e06e2f4364e04d",
    "type": "message",
    "role": "assistant",
    "model": "sim",
    "content": [{"type": "text", "text": "This is a simulated answer."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": _ANTHROPIC_USAGE,
}

MESSAGES_ANSWERS: Json = {"answer": {"summary": "A message", "value": _MESSAGE}}


def _piece(text: str) -> Json:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


_BEGINNING: tuple[Json, ...] = (
    {
        "type": "message_start",
        "message": _MESSAGE
        | {"content": [], "stop_reason": None, "usage": {"input_tokens": 2, "output_tokens": 0}},
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    _piece("This"),
)

MESSAGES_STREAMS: Json = {
    "complete": {
        "summary": "A complete stream",
        "value": events(
            *_BEGINNING,
            _piece(" is"),
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": _ANTHROPIC_USAGE,
            },
            {"type": "message_stop"},
            named=True,
        ),
    },
    "broken": {
        "summary": "One that broke off: an error, and no message_stop",
        "value": events(*_BEGINNING, named=True, end=ANTHROPIC_CUT),
    },
}

COUNT_TOKENS_REQUESTS: Json = {
    "count": {"summary": "One message", "value": {"model": "sim", "messages": [_HELLO]}}
}

COUNT_TOKENS_ANSWERS: Json = {
    "counted": {"summary": "Counted by the provider", "value": {"input_tokens": 10}},
    "estimated": {"summary": "An estimate", "value": {"input_tokens": 10, "estimated": True}},
}
