"""Four bridges: each vendor's SDK before each dialect of provider, JSON and streams."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import anthropic
import httpx
import msgspec
import openai
import pytest
from anthropic.types import MessageParam, ToolParam
from openai.types.chat import (
    ChatCompletion,
    ChatCompletionMessageParam,
    ChatCompletionToolParam,
)

from tests.e2e.conftest import StartGateway
from tests.e2e.gateway import NO_TLS, Gateway, model_toml, provider_toml
from tests.e2e.sdk import anthropic_client, openai_client
from tests.fakes.answers import Call, Said
from tests.fakes.behaviours import Answer, Behaviour, Json, Status
from tests.fakes.connection import Recorded
from tests.fakes.faults import ErrorEvent, Hangup, NoDone, NoFinishReason, RawEvents
from tests.fakes.provider import FakeProvider
from tests.fakes.streams import whole_without_ids

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCHEMA: dict[str, object] = {"type": "object", "properties": {"city": {"type": "string"}}}
CALLS = (Call("call_1", "weather", '{"city":"Łódź","days":3}'), Call("call_2", "time", '{"zone":"UTC"}'))
ASKED: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello!"}]
ASKED_ANTHROPIC: list[MessageParam] = [{"role": "user", "content": "Hello!"}]
TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "weather", "description": "The weather.", "parameters": SCHEMA},
}
TOOL_ANTHROPIC: ToolParam = {"name": "weather", "description": "The weather.", "input_schema": SCHEMA}


@pytest.fixture(scope="module")
def gateway(start_gateway: StartGateway, provider: FakeProvider) -> Gateway:
    config = [
        provider_toml("up", "openai", provider.base_url),
        provider_toml("claude", "anthropic", provider.origin),
        model_toml("gpt", "up/gpt-4o"),
        model_toml("haiku", "claude/claude-haiku-4-5", max_output_tokens="1234"),
        "[retries]\nmax_attempts = 1\n",
    ]
    return start_gateway("\n".join(config), {"UP_KEY": "k", "CLAUDE_KEY": "k"})


@pytest.fixture
def chat(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai_client(gateway) as made:
        yield made


@pytest.fixture
def messages(gateway: Gateway) -> Iterator[anthropic.Anthropic]:
    with anthropic_client(gateway) as made:
        yield made


Complete = Callable[..., ChatCompletion]


@pytest.fixture(params=["whole", "streamed"])
def complete(request: pytest.FixtureRequest, chat: openai.OpenAI) -> Complete:
    """A chat completion, whole or put together from its stream by the SDK itself."""
    if request.param == "whole":
        return chat.chat.completions.create

    def streamed(**asked: object) -> ChatCompletion:
        with chat.chat.completions.stream(
            **asked,  # type: ignore[arg-type]
            stream_options={"include_usage": True},
        ) as stream:
            return stream.get_final_completion()

    return streamed


def _streamed_message(client: anthropic.Anthropic, **asked: object) -> anthropic.types.Message:
    with client.messages.stream(**asked) as stream:  # type: ignore[arg-type]
        return stream.get_final_message()


Send = Callable[..., anthropic.types.Message]


@pytest.fixture(params=["whole", "streamed"])
def send(request: pytest.FixtureRequest, messages: anthropic.Anthropic) -> Send:
    """A message, whole or put together from its stream by the SDK itself."""
    if request.param == "whole":
        return messages.messages.create
    return partial(_streamed_message, messages)


# OpenAI's client before an Anthropic provider.


def test_chat_before_anthropic(complete: Complete, up: FakeProvider) -> None:
    """Text, stop reason and usage with cached tokens; system and developer turns become `system`."""
    up.script(Answer(said=Said(cached_input_tokens=4, cache_write_tokens=3)))
    answer = complete(
        model="haiku",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": "Be kind."},
            *ASKED,
        ],
        temperature=0.5,
        stop=["END"],
        user="user-7",
        max_completion_tokens=77,
    )
    choice = answer.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("Hello from upstream.", "stop")
    assert answer.model == "upstream-model"
    assert answer.usage is not None and answer.usage.prompt_tokens_details is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 3)
    assert answer.usage.prompt_tokens_details.cached_tokens == 4
    sent = up.requests[0].json
    assert up.requests[0].path == "/v1/messages"
    assert up.requests[0].headers["anthropic-version"] == "2023-06-01"
    assert sent["messages"] == [{"role": "user", "content": "Hello!"}]
    assert [block["text"] for block in sent["system"]] == ["Be brief.", "Be kind."]  # type: ignore[attr-defined]
    assert (sent["model"], sent["max_tokens"]) == ("claude-haiku-4-5", 77)
    assert (sent["temperature"], sent["stop_sequences"]) == (0.5, ["END"])
    assert sent["metadata"] == {"user_id": "user-7"}
    assert "stream_options" not in sent and "user" not in sent


def test_no_maximum_and_a_high_temperature(chat: openai.OpenAI, up: FakeProvider) -> None:
    """The model's max_output_tokens is sent, and Anthropic's highest temperature."""
    chat.chat.completions.create(model="haiku", messages=ASKED, temperature=1.8)
    assert (up.requests[0].json["max_tokens"], up.requests[0].json["temperature"]) == (1234, 1)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param("stop", "stop", id="end_turn"),
        pytest.param("stop_sequence", "stop", id="stop_sequence"),
        pytest.param("length", "length", id="max_tokens"),
        pytest.param("refusal", "content_filter", id="refusal"),
        pytest.param("pause_turn", "stop", id="pause_turn"),
        pytest.param("model_context_window_exceeded", "length", id="model_context_window_exceeded"),
    ],
)
@pytest.mark.parametrize("stream", [pytest.param(False, id="whole"), pytest.param(True, id="streamed")])
def test_stop_reasons_to_openai(
    gateway: Gateway, up: FakeProvider, said: str, expected: str, stream: bool
) -> None:
    """Each has its finish reason. Not by the SDK, which raises on `length` in a stream."""
    up.script(Answer(said=Said(finish_reason=said)))
    body = {"model": "haiku", "messages": ASKED, "stream": stream}
    answer = httpx.post(f"{gateway.openai_url}/chat/completions", json=body, trust_env=False, verify=NO_TLS)
    assert f'"finish_reason":"{expected}"' in answer.text
    assert answer.text.endswith("data: [DONE]\n\n") is stream


def test_tools_round_trip_from_openai(complete: Complete, up: FakeProvider) -> None:
    """Tools, parallel calls with their arguments, and both results in one user turn."""
    up.script(Answer(said=Said(text="Let me see.", calls=CALLS, finish_reason="tool_calls")))
    answer = complete(model="haiku", messages=ASKED, tools=[TOOL], tool_choice="required")
    message = answer.choices[0].message
    calls = [call for call in message.tool_calls or [] if call.type == "function"]
    assert message.content == "Let me see."
    assert [(call.id, call.function.name) for call in calls] == [("call_1", "weather"), ("call_2", "time")]
    assert [openai_arguments(call.function.arguments) for call in calls] == [
        {"city": "Łódź", "days": 3},
        {"zone": "UTC"},
    ]
    assert answer.choices[0].finish_reason == "tool_calls"
    assert up.requests[0].json["tools"] == [TOOL_ANTHROPIC]
    assert up.requests[0].json["tool_choice"] == {"type": "any"}
    up.script(Answer())
    complete(
        model="haiku",
        messages=[
            *ASKED,
            message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"}),
            {"role": "tool", "tool_call_id": "call_1", "content": "18 °C"},
            {"role": "tool", "tool_call_id": "call_2", "content": "12:00"},
        ],
        tools=[TOOL],
        parallel_tool_calls=False,
    )
    _, said, results = turns_of(up.requests[1])
    uses = [block for block in said["content"] if block["type"] == "tool_use"]
    assert [(use["id"], use["input"]) for use in uses] == [
        ("call_1", {"city": "Łódź", "days": 3}),
        ("call_2", {"zone": "UTC"}),
    ]
    assert results["role"] == "user"
    assert [(block["type"], block["tool_use_id"]) for block in results["content"]] == [
        ("tool_result", "call_1"),
        ("tool_result", "call_2"),
    ]
    assert "18 °C" in str(results["content"][0]["content"])
    choice = up.requests[1].json["tool_choice"]
    assert choice == {"type": "auto", "disable_parallel_tool_use": True}


def turns_of(request: Recorded) -> list[dict[str, Any]]:
    """The conversation that a provider was sent."""
    return msgspec.json.decode(request.body)["messages"]  # type: ignore[no-any-return]


def openai_arguments(text: str) -> object:
    """A call's arguments, which are JSON text."""
    return msgspec.json.decode(text)


def test_images_from_openai(chat: openai.OpenAI, up: FakeProvider) -> None:
    """A data URL becomes base64, any other URL goes on as it is and is never fetched."""
    remote = f"{up.origin}/never-fetched.png"
    chat.chat.completions.create(
        model="haiku",
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Which is larger?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                    {"type": "image_url", "image_url": {"url": remote}},
                ],
            }
        ],
    )
    assert len(up.requests) == 1
    assert up.requests[0].json["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Which is larger?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                {"type": "image", "source": {"type": "url", "url": remote}},
            ],
        }
    ]


UNSPEAKABLE = [
    pytest.param({"n": 2}, "n", id="several-choices"),
    pytest.param({"logprobs": True}, "logprobs", id="logprobs"),
    pytest.param({"response_format": {"type": "json_object"}}, "response_format", id="response-format"),
    pytest.param(
        {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}},
        ("audio", "modalities"),
        id="audio",
    ),
]


@pytest.mark.parametrize(("asked", "param"), UNSPEAKABLE)
@pytest.mark.parametrize("stream", [pytest.param(False, id="whole"), pytest.param(True, id="streamed")])
def test_what_anthropic_cannot_say_is_refused(
    chat: openai.OpenAI,
    up: FakeProvider,
    asked: dict[str, object],
    param: str | tuple[str, ...],
    stream: bool,
) -> None:
    """400 names the field, and nobody is asked."""
    with pytest.raises(openai.BadRequestError) as caught:
        chat.chat.completions.create(model="haiku", messages=ASKED, extra_body=asked, stream=stream)
    assert caught.value.code == "invalid_request"
    assert caught.value.param in ((param,) if isinstance(param, str) else param)
    assert str(caught.value.param) in caught.value.message
    assert up.requests == []


def test_hints_are_dropped_and_listed(chat: openai.OpenAI, up: FakeProvider) -> None:
    """They steer but don't decide the answer."""
    raw = chat.chat.completions.with_raw_response.create(
        model="haiku",
        messages=ASKED,
        seed=1,
        logit_bias={"1": 5},
        presence_penalty=0.5,
        frequency_penalty=0.5,
    )
    dropped = set(raw.headers["x-penstock-dropped"].split(", "))
    assert dropped == {"seed", "logit_bias", "presence_penalty", "frequency_penalty"}
    assert not dropped & up.requests[0].json.keys()


def test_nothing_dropped_is_not_listed(chat: openai.OpenAI, up: FakeProvider) -> None:
    """The header is there only when it has something to say."""
    raw = chat.chat.completions.with_raw_response.create(model="haiku", messages=ASKED)
    assert "x-penstock-dropped" not in raw.headers


THOUGHT = {"type": "thinking", "thinking": "Hm, let me see.", "signature": "c2lnbmF0dXJl"}


def _sse(*events: Mapping[str, object]) -> bytes:
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), msgspec.json.encode(event))
        for event in events
    )


def _thinking_stream() -> RawEvents:
    start = {
        "type": "message_start",
        "message": {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "model": "c",
            "content": [],
            "usage": {"input_tokens": 5, "output_tokens": 1},
        },
    }
    blocks = (
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "thinking", "thinking": "", "signature": ""},
        },
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm, "}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "thinking_delta", "thinking": "let me see."},
        },
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "signature_delta", "signature": THOUGHT["signature"]},
        },
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Four."}},
        {"type": "content_block_stop", "index": 1},
    )
    end = (
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    )
    return RawEvents((_sse(start, *blocks, *end),))


def _thinking_message() -> Json:
    return Json(
        {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "model": "c",
            "content": [THOUGHT, {"type": "text", "text": "Four."}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 5, "output_tokens": 9},
        }
    )


def test_thinking_travels_to_openai_and_back(chat: openai.OpenAI, up: FakeProvider) -> None:
    """Signed blocks come as `thinking_blocks`, and a tool loop may send them back unchanged."""
    up.script(_thinking_message(), Answer())
    message = (
        chat.chat.completions.create(
            model="haiku", messages=ASKED, reasoning_effort="low", max_completion_tokens=8000
        )
        .choices[0]
        .message
    )
    assert up.requests[0].json["thinking"] == {"type": "enabled", "budget_tokens": 2048}
    extra = message.model_extra or {}
    assert message.content == "Four."
    assert extra["thinking_blocks"] == [THOUGHT]
    assert extra["reasoning_content"] == "Hm, let me see."
    turn = {"role": "assistant", "content": "Four.", "thinking_blocks": extra["thinking_blocks"]}
    chat.chat.completions.create(model="haiku", messages=[*ASKED, turn, *ASKED])  # type: ignore[list-item]
    assert turns_of(up.requests[1])[1]["content"][0] == THOUGHT


def test_thinking_streams_to_openai(chat: openai.OpenAI, up: FakeProvider) -> None:
    """The thoughts come as `reasoning_content`, the signed block too."""
    up.script(_thinking_stream())
    deltas = [
        chunk.choices[0].delta
        for chunk in chat.chat.completions.create(model="haiku", messages=ASKED, stream=True)
        if chunk.choices
    ]
    thoughts = [(delta.model_extra or {}).get("reasoning_content") or "" for delta in deltas]
    assert "".join(thoughts) == "Hm, let me see."
    assert "".join(delta.content or "" for delta in deltas) == "Four."
    assert THOUGHT["signature"] in str([delta.model_extra for delta in deltas])


def test_usage_only_when_asked(chat: openai.OpenAI, up: FakeProvider) -> None:
    """Anthropic's stream always has usage; OpenAI's client asks first."""
    chunks = list(chat.chat.completions.create(model="haiku", messages=ASKED, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    assert chunks[0].choices[0].delta.role == "assistant"


STREAM_BREAKS: list[Behaviour] = [
    ErrorEvent(after=5),
    Hangup(after=5),
    NoFinishReason(),
    NoFinishReason(done=False),
]


def events_sent(answer: httpx.Response) -> str:
    """A stream's text without its events' ids."""
    return whole_without_ids(answer.content, answer.headers["x-stream-id"]).decode()


@pytest.mark.parametrize("behaviour", STREAM_BREAKS, ids=repr)
def test_a_broken_anthropic_stream_breaks_openais(
    gateway: Gateway, up: FakeProvider, behaviour: Behaviour
) -> None:
    """One error event, no finish reason and no end mark."""
    up.script(behaviour)
    body = {"model": "haiku", "messages": ASKED, "stream": True}
    text = events_sent(
        httpx.post(f"{gateway.openai_url}/chat/completions", json=body, trust_env=False, verify=NO_TLS)
    )
    assert text.removesuffix("\n\n").split("\n\n")[-1].startswith('data: {"error":')
    assert '"code":"provider_error"' in text
    assert "[DONE]" not in text and '"finish_reason":"' not in text


@pytest.mark.parametrize("behaviour", STREAM_BREAKS, ids=repr)
def test_a_broken_openai_stream_breaks_anthropics(
    gateway: Gateway, up: FakeProvider, behaviour: Behaviour
) -> None:
    """One `event: error`, no stop reason and no end mark."""
    up.script(behaviour)
    body = {"model": "gpt", "max_tokens": 5, "messages": ASKED, "stream": True}
    text = events_sent(httpx.post(f"{gateway.origin}/v1/messages", json=body, trust_env=False, verify=NO_TLS))
    assert text.removesuffix("\n\n").split("\n\n")[-1].startswith("event: error\ndata: ")
    assert text.count("event: error") == 1
    assert "message_stop" not in text and "end_turn" not in text


def test_a_missing_end_mark_is_added(
    chat: openai.OpenAI, messages: anthropic.Anthropic, up: FakeProvider
) -> None:
    """The reason came, so the answer is whole, on either bridge."""
    up.script(NoDone(), NoDone())
    chunks = list(chat.chat.completions.create(model="haiku", messages=ASKED, stream=True))
    assert chunks[-1].choices[0].finish_reason == "stop"
    message = _streamed_message(messages, model="gpt", max_tokens=5, messages=ASKED_ANTHROPIC)
    assert message.stop_reason == "end_turn"


def test_errors_keep_the_clients_shape(
    chat: openai.OpenAI, messages: anthropic.Anthropic, up: FakeProvider
) -> None:
    """An Anthropic provider's refusal reads as OpenAI's, and the other way."""
    up.script(Status(400, message="Too long.", type="invalid_request_error"))
    with pytest.raises(openai.BadRequestError) as first:
        chat.chat.completions.create(model="haiku", messages=ASKED)
    assert first.value.type == "invalid_request_error" and "Too long." in first.value.message
    up.script(Status(400, message="Too long.", type="invalid_request_error", param="messages", code="long"))
    with pytest.raises(anthropic.BadRequestError) as second:
        messages.messages.create(model="gpt", max_tokens=5, messages=ASKED_ANTHROPIC)
    assert isinstance(second.value.body, dict)
    assert second.value.body["type"] == "error"
    assert second.value.body["error"]["message"] == "Too long."


def test_operations_that_anthropic_lacks(chat: openai.OpenAI, up: FakeProvider) -> None:
    """Embeddings and completions before an Anthropic provider are refused, naming the model."""
    with pytest.raises(openai.BadRequestError) as first:
        chat.embeddings.create(model="haiku", input="x")
    with pytest.raises(openai.BadRequestError) as second:
        chat.completions.create(model="haiku", prompt="x")
    assert first.value.param == second.value.param == "model"
    assert up.requests == []


# Anthropic's client before an OpenAI-compatible provider.


def test_messages_before_openai(send: Send, up: FakeProvider) -> None:
    """Text, stop reason and usage with cached and reasoning tokens; `system` becomes the first turn."""
    up.script(Answer(said=Said(cached_input_tokens=4, reasoning_tokens=2)))
    message = send(
        model="gpt",
        max_tokens=50,
        system="Be brief.",
        messages=ASKED_ANTHROPIC,
        stop_sequences=["END"],
        metadata={"user_id": "user-7"},
        extra_body={"top_k": 4, "temperature": 0.5},
    )
    assert [block.text for block in message.content if block.type == "text"] == ["Hello from upstream."]
    assert (message.role, message.type, message.stop_reason) == ("assistant", "message", "end_turn")
    assert message.model == "upstream-model"
    usage = message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (7, 4, 3)
    details = usage.model_dump()["output_tokens_details"]
    assert details["thinking_tokens"] == 2
    sent = up.requests[0].json
    assert up.requests[0].path == "/v1/chat/completions"
    assert sent["messages"] == [{"role": "system", "content": "Be brief."}, *ASKED]
    assert (sent["model"], sent["max_tokens"], sent["stop"]) == ("gpt-4o", 50, ["END"])
    assert (sent["user"], sent["temperature"]) == ("user-7", 0.5)
    assert "top_k" not in sent and "metadata" not in sent


def test_dropped_towards_openai(messages: anthropic.Anthropic, up: FakeProvider) -> None:
    """`top_k` is a hint that OpenAI doesn't know."""
    raw = messages.messages.with_raw_response.create(
        model="gpt", max_tokens=5, messages=ASKED_ANTHROPIC, extra_body={"top_k": 4}
    )
    assert raw.headers["x-penstock-dropped"] == "top_k"


def test_the_event_sequence_before_openai(messages: anthropic.Anthropic, up: FakeProvider) -> None:
    """As Anthropic's own: starts, deltas and stops in order, and the usage in the right events."""
    with messages.messages.create(
        model="gpt", max_tokens=50, messages=ASKED_ANTHROPIC, stream=True
    ) as stream:
        events = list(stream)
    kinds = [event.type for event in events]
    assert kinds == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * 3,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    ended = events[-2]
    assert ended.type == "message_delta"
    assert (ended.delta.stop_reason, ended.usage.output_tokens) == ("end_turn", 3)
    assert up.requests[0].json["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("said", "expected"),
    [("stop", "end_turn"), ("length", "max_tokens"), ("content_filter", "refusal")],
)
def test_stop_reasons_to_anthropic(send: Send, up: FakeProvider, said: str, expected: str) -> None:
    """Each has its stop reason."""
    up.script(Answer(said=Said(finish_reason=said)))
    assert send(model="gpt", max_tokens=5, messages=ASKED_ANTHROPIC).stop_reason == expected


def test_tools_round_trip_from_anthropic(send: Send, up: FakeProvider) -> None:
    """Tools, parallel calls with their input, and results as tool turns before the user's words."""
    up.script(Answer(said=Said(text="Let me see.", calls=CALLS, finish_reason="tool_calls")))
    message = send(
        model="gpt",
        max_tokens=50,
        messages=ASKED_ANTHROPIC,
        tools=[TOOL_ANTHROPIC],
        tool_choice={"type": "tool", "name": "weather"},
    )
    uses = [block for block in message.content if block.type == "tool_use"]
    assert [(use.id, use.name, use.input) for use in uses] == [
        ("call_1", "weather", {"city": "Łódź", "days": 3}),
        ("call_2", "time", {"zone": "UTC"}),
    ]
    assert message.stop_reason == "tool_use"
    assert up.requests[0].json["tools"] == [TOOL]
    assert up.requests[0].json["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    up.script(Answer())
    send(
        model="gpt",
        max_tokens=50,
        messages=[
            *ASKED_ANTHROPIC,
            {
                "role": "assistant",
                "content": [use.model_dump(include={"type", "id", "name", "input"}) for use in uses],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": "18 °C"},
                    {
                        "type": "tool_result",
                        "tool_use_id": "call_2",
                        "content": [{"type": "text", "text": "12:00"}],
                    },
                    {"type": "text", "text": "And now?"},
                ],
            },
        ],
        tools=[TOOL_ANTHROPIC],
    )
    _, said, first, second, words = turns_of(up.requests[1])
    assert [(call["id"], openai_arguments(call["function"]["arguments"])) for call in said["tool_calls"]] == [
        ("call_1", {"city": "Łódź", "days": 3}),
        ("call_2", {"zone": "UTC"}),
    ]
    assert (first["role"], first["tool_call_id"]) == ("tool", "call_1") and "18 °C" in str(first["content"])
    assert (second["role"], second["tool_call_id"]) == ("tool", "call_2") and "12:00" in str(
        second["content"]
    )
    assert words["role"] == "user" and "And now?" in str(words["content"])


def test_images_from_anthropic(messages: anthropic.Anthropic, up: FakeProvider) -> None:
    """Base64 becomes a data URL, a URL stays one and is never fetched."""
    remote = f"{up.origin}/never-fetched.png"
    messages.messages.create(
        model="gpt",
        max_tokens=5,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                    {"type": "image", "source": {"type": "url", "url": remote}},
                    {"type": "text", "text": "Which?"},
                ],
            }
        ],
    )
    assert len(up.requests) == 1
    assert up.requests[0].json["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                {"type": "image_url", "image_url": {"url": remote}},
                {"type": "text", "text": "Which?"},
            ],
        }
    ]


def test_a_refusal_before_openai(messages: anthropic.Anthropic, up: FakeProvider) -> None:
    """OpenAI's refusal text is shown, with Anthropic's stop reason for it."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": None, "refusal": "I can't help with that."},
        "finish_reason": "stop",
    }
    up.script(Json({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}))
    message = messages.messages.create(model="gpt", max_tokens=5, messages=ASKED_ANTHROPIC)
    assert message.stop_reason == "refusal"
    assert "I can't help with that." in str(message.content)


def test_reasoning_before_openai(messages: anthropic.Anthropic, up: FakeProvider) -> None:
    """A thinking budget asks for effort; `reasoning_content` comes as a thinking block."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "Four.", "reasoning_content": "Two and two."},
        "finish_reason": "stop",
    }
    up.script(Json({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}))
    message = messages.messages.create(
        model="gpt",
        max_tokens=9000,
        messages=ASKED_ANTHROPIC,
        thinking={"type": "enabled", "budget_tokens": 2048},
    )
    thought, text = message.content
    assert thought.type == "thinking" and thought.thinking == "Two and two."
    assert text.type == "text" and text.text == "Four."
    assert up.requests[0].json["reasoning_effort"] == "low"


def test_the_headers_of_a_translated_call(gateway: Gateway, up: FakeProvider) -> None:
    """A caller's version belongs to Anthropic, its beta too; OpenAI's providers see neither."""
    headers = {"anthropic-version": "2023-01-01", "anthropic-beta": "x", "openai-beta": "y"}
    body = {"max_tokens": 5, "messages": ASKED}
    for model in ("gpt", "haiku"):
        url = f"{gateway.origin}/v1/messages"
        httpx.post(
            url, json={**body, "model": model}, headers=headers, trust_env=False, verify=NO_TLS
        ).raise_for_status()
    to_openai, to_anthropic = (request.headers for request in up.requests)
    assert "anthropic-version" not in to_openai and "anthropic-beta" not in to_openai
    assert to_openai["openai-beta"] == "y"
    assert (to_anthropic["anthropic-version"], to_anthropic["anthropic-beta"]) == ("2023-01-01", "x")
    assert "openai-beta" not in to_anthropic
