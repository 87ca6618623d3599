"""Requests and answers of OpenAI's routes, as the simulated model has them. Data only."""

from service.docs.example_events import OPENAI_CANCELLED, OPENAI_CUT, events
from service.docs.schemas import Json

CREATED = 1_795_251_851

CHAT_REQUESTS: Json = {
    "answer": {
        "summary": "A whole answer",
        "value": {
            "model": "sim",
            "messages": [
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": "Say hello."},
            ],
        },
    },
    "stream": {
        "summary": "A stream",
        "value": {
            "model": "sim-40-50ms",
            "stream": True,
            "stream_options": {"include_usage": True},
            "messages": [{"role": "user", "content": "Say hello."}],
        },
    },
    "tools": {
        "summary": "With a tool",
        "value": {
            "model": "sim",
            "tool_choice": "required",
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "get_weather",
                        "description": "The weather of a place.",
                        "parameters": {
                            "type": "object",
                            "properties": {"place": {"type": "string"}},
                            "required": ["place"],
                        },
                    },
                }
            ],
            "messages": [{"role": "user", "content": "What is the weather in Bern?"}],
        },
    },
}

_OPENAI_USAGE: Json = {
    "prompt_tokens": 2,
    "completion_tokens": 5,
    "total_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0},
}

_TOOL_CALL: Json = {
    "id": "call_b0e7b548fda4f05b05178233",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"place":"Bern"}'},
}


def _completion(message: Json, finish_reason: str) -> Json:
    choice = {"index": 0, "message": {"role": "assistant", "refusal": None} | message, "logprobs": None}
    return {
        "id": "chatcmpl_fe14a61f9ecca4bd117861f4",
        "object": "chat.completion",
        "created": CREATED,
        "model": "sim",
        "choices": [choice | {"finish_reason": finish_reason}],
        "usage": _OPENAI_USAGE,
        "system_fingerprint": "penstock-sim",
    }


CHAT_ANSWERS: Json = {
    "answer": {
        "summary": "Text",
        "value": _completion({"content": "This is a simulated answer."}, "stop"),
    },
    "tools": {
        "summary": "A tool call",
        "value": _completion({"content": None, "tool_calls": [_TOOL_CALL]}, "tool_calls"),
    },
}


def _chunk(delta: Json, finish_reason: str | None = None) -> Json:
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]
    return {
        "id": "chatcmpl_38bd265f4272d9d45d74350f",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": "sim",
        "system_fingerprint": "penstock-sim",
        "choices": choices,
    }


CHAT_STREAMS: Json = {
    "complete": {
        "summary": "A complete stream, with usage",
        "value": events(
            _chunk({"role": "assistant", "content": ""}),
            _chunk({"content": "This"}),
            _chunk({"content": " is"}),
            _chunk({}, "stop"),
            _chunk({}) | {"choices": [], "usage": _OPENAI_USAGE},
            "[DONE]",
        ),
    },
    "broken": {
        "summary": "One that broke off: an error, and no [DONE]",
        "value": events(
            _chunk({"role": "assistant", "content": ""}), _chunk({"content": "This"}), end=OPENAI_CUT
        ),
    },
}

RESUMED_STREAMS: Json = {
    "resumed": {
        "summary": "With after=1: what came after the event 1",
        "value": events(_chunk({"content": " is"}), _chunk({}, "stop"), "[DONE]", first=2),
    },
    "broken": {
        "summary": "One that was cancelled: an error, and no [DONE]",
        "value": events(_chunk({"content": "This"}), end=OPENAI_CANCELLED, first=1),
    },
}

COMPLETION_REQUESTS: Json = {
    "answer": {
        "summary": "A whole text",
        "value": {"model": "sim", "prompt": "Once upon a time", "max_tokens": 8},
    },
    "stream": {
        "summary": "A stream",
        "value": {"model": "sim-40-50ms", "prompt": "Once upon a time", "stream": True},
    },
}


def _text(text: str, finish_reason: str | None) -> Json:
    return {
        "id": "cmpl_4a78b1711214ac4aec4f056c",
        "object": "text_completion",
        "created": CREATED,
        "model": "sim",
        "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}],
        "system_fingerprint": "penstock-sim",
    }


COMPLETION_ANSWERS: Json = {
    "answer": {
        "summary": "A text",
        "value": _text("This is a simulated answer.", "stop") | {"usage": _OPENAI_USAGE},
    }
}

COMPLETION_STREAMS: Json = {
    "complete": {
        "summary": "A complete stream",
        "value": events(_text("This", None), _text(" is", None), _text("", "stop"), "[DONE]"),
    }
}

EMBEDDING_REQUESTS: Json = {
    "one": {"summary": "One text", "value": {"model": "sim", "input": "A text.", "dimensions": 4}},
    "several": {
        "summary": "Several",
        "value": {"model": "sim", "input": ["A text.", "Another one."], "dimensions": 4},
    },
}

EMBEDDING_ANSWERS: Json = {
    "one": {
        "summary": "One vector",
        "value": {
            "object": "list",
            "data": [{"object": "embedding", "index": 0, "embedding": [1.0, 0.0, 0.0, 0.0]}],
            "model": "sim",
            "usage": {"prompt_tokens": 2, "total_tokens": 2},
        },
    }
}

_CARD: Json = {"id": "sim", "object": "model", "created": 0, "owned_by": "sim"}

MODELS_ANSWERS: Json = {
    "models": {"summary": "One model", "value": {"object": "list", "data": [_CARD]}},
}

MODEL_ANSWERS: Json = {"model": {"summary": "A model", "value": _CARD}}
