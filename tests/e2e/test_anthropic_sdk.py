"""Anthropic's own SDK, sync and async, against a real gateway before an Anthropic provider."""

from collections.abc import AsyncIterator, Iterator

import anthropic
import httpx
import pytest
from anthropic.types import MessageParam, ToolParam

from tests.e2e.conftest import StartGateway
from tests.e2e.gateway import NO_TLS, Gateway, model_toml, provider_toml
from tests.e2e.sdk import CLIENT_KEY, anthropic_client, async_anthropic_client
from tests.fakes.answers import Call, Said
from tests.fakes.behaviours import Answer, Behaviour, Json, Status
from tests.fakes.faults import ErrorEvent, NoDone, NoFinishReason, RawEvents, Reset
from tests.fakes.provider import FakeProvider
from tests.fakes.streams import whole_without_ids

HELLO: list[MessageParam] = [{"role": "user", "content": "Hello!"}]
WEATHER: ToolParam = {
    "name": "weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
CALL = Call("toolu_1", "weather", '{"city":"Łódź","days":3}')


@pytest.fixture(scope="module")
def gateway(start_gateway: StartGateway, provider: FakeProvider) -> Gateway:
    config = [
        provider_toml("claude", "anthropic", provider.origin),
        provider_toml("versioned", "anthropic", provider.base_url),
        provider_toml("up", "openai", provider.base_url),
        model_toml("haiku", "claude/claude-haiku-4-5"),
        model_toml("other", "up/gpt-4o-mini"),
        "[retries]\nmax_attempts = 1\n",
    ]
    keys = {"CLAUDE_KEY": "claude-secret-key", "VERSIONED_KEY": "k", "UP_KEY": "k"}
    return start_gateway("\n".join(config), keys)


@pytest.fixture
def client(gateway: Gateway) -> Iterator[anthropic.Anthropic]:
    with anthropic_client(gateway) as made:
        yield made


@pytest.fixture
async def async_client(gateway: Gateway) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with async_anthropic_client(gateway) as made:
        yield made


def test_a_whole_message(client: anthropic.Anthropic, up: FakeProvider) -> None:
    """The message is the provider's, and the request went up as it came but for the model's name."""
    up.script(Answer(said=Said(cached_input_tokens=4, cache_write_tokens=2)))
    message = client.messages.create(
        model="haiku",
        max_tokens=50,
        messages=HELLO,
        system="Be brief.",
        stop_sequences=["END"],
        extra_body={"top_k": 5},
    )
    assert message.id == "msg_up"
    assert message.content[0].type == "text" and message.content[0].text == "Hello from upstream."
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens == 5
    assert (message.usage.cache_read_input_tokens, message.usage.cache_creation_input_tokens) == (4, 2)
    assert up.requests[0].path == "/v1/messages"
    assert up.requests[0].json == {
        "model": "claude-haiku-4-5",
        "max_tokens": 50,
        "messages": HELLO,
        "system": "Be brief.",
        "top_k": 5,
        "stop_sequences": ["END"],
    }


async def test_a_whole_message_async(async_client: anthropic.AsyncAnthropic, up: FakeProvider) -> None:
    """The same with the async client, through a provider whose address ends in /v1."""
    message = await async_client.messages.create(model="versioned/m", max_tokens=50, messages=HELLO)
    assert message.content[0].type == "text" and message.content[0].text == "Hello from upstream."
    assert up.requests[0].path == "/v1/messages"


EVENTS = [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_delta",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
]


def test_a_streams_events(client: anthropic.Anthropic, up: FakeProvider) -> None:
    """The full event sequence; the SDK swallows the ping."""
    with client.messages.create(model="haiku", max_tokens=50, messages=HELLO, stream=True) as stream:
        assert [event.type for event in stream] == EVENTS
    assert up.requests[0].json["stream"] is True
    assert "stream_options" not in up.requests[0].json


def test_a_streams_text_and_message(client: anthropic.Anthropic, up: FakeProvider) -> None:
    """`text_stream` and `get_final_message`."""
    with client.messages.stream(model="haiku", max_tokens=50, messages=HELLO) as stream:
        assert list(stream.text_stream) == ["Hello", " from", " upstream."]
        message = stream.get_final_message()
    assert message.stop_reason == "end_turn"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (11, 3)


async def test_a_streams_text_async(async_client: anthropic.AsyncAnthropic, up: FakeProvider) -> None:
    """The async client reads the same."""
    async with async_client.messages.stream(model="haiku", max_tokens=50, messages=HELLO) as stream:
        assert [text async for text in stream.text_stream] == ["Hello", " from", " upstream."]
        assert (await stream.get_final_message()).stop_reason == "end_turn"


def test_tool_use_with_streamed_input(client: anthropic.Anthropic, up: FakeProvider) -> None:
    """The SDK puts the partial JSON together."""
    up.script(Answer(said=Said(calls=(CALL,), finish_reason="tool_calls")))
    with client.messages.stream(model="haiku", max_tokens=50, messages=HELLO, tools=[WEATHER]) as stream:
        message = stream.get_final_message()
    text, use = message.content
    assert text.type == "text" and text.text == "Hello from upstream."
    assert use.type == "tool_use" and use.id == "toolu_1" and use.input == {"city": "Łódź", "days": 3}
    assert message.stop_reason == "tool_use"
    assert up.requests[0].json["tools"] == [WEATHER]


def test_a_tools_result_goes_up(client: anthropic.Anthropic, up: FakeProvider) -> None:
    """The second turn of a tool loop arrives as it was sent, thinking and cache marks too."""
    turns: list[MessageParam] = [
        *HELLO,
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Graz"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [{"type": "text", "text": "18 °C", "cache_control": {"type": "ephemeral"}}],
                    "is_error": False,
                }
            ],
        },
    ]
    client.messages.create(model="haiku", max_tokens=50, messages=turns, tools=[WEATHER])
    assert up.requests[0].json["messages"] == turns


def test_tokens_are_counted_by_the_provider(client: anthropic.Anthropic, up: FakeProvider) -> None:
    """An Anthropic provider's own figure."""
    assert client.messages.count_tokens(model="haiku", messages=HELLO).input_tokens == 11
    assert up.requests[0].path == "/v1/messages/count_tokens"
    assert up.requests[0].json == {"model": "claude-haiku-4-5", "messages": HELLO}


def test_tokens_are_estimated_for_others(client: anthropic.Anthropic, up: FakeProvider) -> None:
    """No provider is asked, and the figure says that it is an estimate."""
    short = client.messages.count_tokens(model="other", messages=HELLO)
    longer = client.messages.count_tokens(
        model="other", messages=[{"role": "user", "content": "Hello! " * 100}], system="Be brief."
    )
    assert 1 <= short.input_tokens < longer.input_tokens
    assert short.model_extra == {"estimated": True}
    assert up.requests == []


REFUSALS = [
    pytest.param(Status(400), anthropic.BadRequestError, 400, "some_error", id="400"),
    pytest.param(Status(404), anthropic.NotFoundError, 404, "some_error", id="404"),
    pytest.param(Status(413), anthropic.APIStatusError, 413, "some_error", id="413"),
    pytest.param(Status(422), anthropic.UnprocessableEntityError, 422, "some_error", id="422"),
    pytest.param(Status(429), anthropic.RateLimitError, 429, "rate_limit_error", id="429"),
    pytest.param(Status(401), anthropic.InternalServerError, 502, "api_error", id="401-is-our-502"),
    pytest.param(Status(500), anthropic.InternalServerError, 502, "api_error", id="500-is-our-502"),
    pytest.param(Status(529), anthropic.InternalServerError, 502, "api_error", id="529-is-our-502"),
]


@pytest.mark.parametrize("stream", [pytest.param(False, id="whole"), pytest.param(True, id="streamed")])
@pytest.mark.parametrize(("behaviour", "kind", "status", "error_type"), REFUSALS)
def test_each_error_is_the_sdks_own(
    client: anthropic.Anthropic,
    up: FakeProvider,
    behaviour: Behaviour,
    kind: type[anthropic.APIStatusError],
    status: int,
    error_type: str,
    stream: bool,
) -> None:
    """The right exception and Anthropic's own error body, also where a stream was asked for."""
    up.script(behaviour)
    with pytest.raises(kind) as caught:
        client.messages.create(model="haiku", max_tokens=50, messages=HELLO, stream=stream)
    found = caught.value
    assert found.status_code == status
    assert isinstance(found.body, dict)
    assert found.body["type"] == "error"
    assert found.body["error"]["type"] == error_type
    assert found.body["status"] == status
    assert found.body["request_id"] == found.response.headers["x-request-id"]
    assert found.response.headers["content-type"] == "application/problem+json"


def test_our_own_refusals(client: anthropic.Anthropic, up: FakeProvider) -> None:
    """An unknown model and values out of range never reach a provider."""
    with pytest.raises(anthropic.NotFoundError) as unknown:
        client.messages.create(model="nobody", max_tokens=5, messages=HELLO)
    assert isinstance(unknown.value.body, dict)
    assert unknown.value.body["error"]["type"] == "not_found_error"
    assert unknown.value.body["error"]["code"] == "model_not_found"
    with pytest.raises(anthropic.BadRequestError) as hot:
        client.messages.create(model="haiku", max_tokens=5, messages=HELLO, extra_body={"temperature": 1.5})
    assert isinstance(hot.value.body, dict)
    assert hot.value.body["error"] == {
        "type": "invalid_request_error",
        "message": hot.value.body["detail"],
        "param": "temperature",
        "code": "invalid_request",
    }
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        client.messages.create(model="haiku", max_tokens=0, messages=HELLO)
    assert up.requests == []


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(ErrorEvent(after=4, type="overloaded_error"), id="an-error-event"),
        pytest.param(Reset(after=4), id="a-reset"),
        pytest.param(NoFinishReason(), id="an-end-without-a-reason"),
    ],
)
def test_an_error_in_the_middle_raises(
    client: anthropic.Anthropic, up: FakeProvider, behaviour: Behaviour
) -> None:
    """`event: error` makes the SDK raise; the message never ends as if it were whole."""
    up.script(behaviour)
    seen: list[str] = []
    with pytest.raises(anthropic.APIError) as caught:
        seen.extend(
            event.type
            for event in client.messages.create(model="haiku", max_tokens=5, messages=HELLO, stream=True)
        )
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["type"] == "error"
    assert "message_delta" not in seen and "message_stop" not in seen


def test_a_missing_message_stop_is_added(client: anthropic.Anthropic, up: FakeProvider) -> None:
    """The stop reason came, so the answer is whole."""
    up.script(NoDone())
    with client.messages.create(model="haiku", max_tokens=50, messages=HELLO, stream=True) as stream:
        assert [event.type for event in stream] == EVENTS


def test_headers(client: anthropic.Anthropic, up: FakeProvider) -> None:
    """Version and beta go up, credentials and the rest don't; the request id goes both ways."""
    raw = client.messages.with_raw_response.create(
        model="haiku",
        max_tokens=50,
        messages=HELLO,
        extra_headers={"anthropic-beta": "context-1m", "X-Request-ID": "mine-1", "X-Mine": "secret"},
    )
    sent = up.requests[0].headers
    assert sent["x-api-key"] == "claude-secret-key"
    assert sent["anthropic-version"] == client.default_headers["anthropic-version"]
    assert sent["anthropic-beta"] == "context-1m"
    assert sent["x-request-id"] == raw.headers["x-request-id"] == "mine-1"
    assert CLIENT_KEY not in "".join(sent.values()) and "x-mine" not in sent
    assert raw.headers["x-penstock-target"] == "claude/claude-haiku-4-5"
    assert raw.headers["x-penstock-upstream-request-id"] == "req_up"
    assert raw.headers["x-penstock-attempts"] == "1"


def test_unknown_fields_and_events_go_both_ways(client: anthropic.Anthropic, up: FakeProvider) -> None:
    """What we never heard of passes untouched, in the request, the message and the stream."""
    up.script(Answer(said=Said(extra={"x_new": [1, 2.5]})))
    message = client.messages.create(
        model="haiku", max_tokens=50, messages=HELLO, extra_body={"x_client": {"a": 1}}
    )
    assert up.requests[0].json["x_client"] == {"a": 1}
    assert (message.model_extra or {})["x_new"] == [1, 2.5]
    up.script(Json({"type": "message", "content": [{"type": "x_new_block", "y": 1}], "id": "m"}))
    raw = client.messages.with_raw_response.create(model="haiku", max_tokens=50, messages=HELLO)
    assert raw.http_response.json() == {
        "type": "message",
        "content": [{"type": "x_new_block", "y": 1}],
        "id": "m",
    }


def test_a_new_kind_of_event_passes(gateway: Gateway, up: FakeProvider) -> None:
    """An event that Anthropic invents tomorrow reaches the client with its name and bytes."""
    start = b'event: message_start\ndata: {"type":"message_start","message":{"id":"m"}}\n\n'
    new = b'event: x_new\ndata: {"type":"x_new",  "n": 1.0e0}\n\n'
    end = b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\n'
    stop = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    up.script(RawEvents((start, new, end, stop)))
    answer = httpx.post(
        f"{gateway.origin}/v1/messages",
        json={"model": "haiku", "max_tokens": 5, "messages": HELLO, "stream": True},
        trust_env=False,
        verify=NO_TLS,
    )
    assert whole_without_ids(answer.content, answer.headers["x-stream-id"]) == start + new + end + stop
