"""OpenAI's own SDK, sync and async, against a real gateway before an OpenAI-compatible provider."""

import base64
import struct
from collections.abc import AsyncIterator, Iterator

import openai
import pytest
from openai.types.chat import (
    ChatCompletionChunk,
    ChatCompletionMessageParam,
    ChatCompletionStreamOptionsParam,
    ChatCompletionToolParam,
)

from tests.e2e.conftest import StartGateway
from tests.e2e.gateway import Gateway, model_toml, provider_toml
from tests.e2e.sdk import CLIENT_KEY, async_openai_client, openai_client
from tests.fakes.answers import Call, Said
from tests.fakes.behaviours import Answer, Behaviour, Json, Status
from tests.fakes.faults import ErrorEvent, NoFinishReason, Reset, Silence
from tests.fakes.provider import FakeProvider

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello!"}]
WITH_USAGE: ChatCompletionStreamOptionsParam = {"include_usage": True}
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CALLS = (Call("call_1", "weather", '{"city":"Graz","days":3}'), Call("call_2", "weather", '{"city":"Łódź"}'))


@pytest.fixture(scope="module")
def gateway(start_gateway: StartGateway, provider: FakeProvider) -> Gateway:
    config = [
        provider_toml("up", "openai", provider.base_url),
        provider_toml("sim", "sim"),
        model_toml("fast", "up/gpt-4o-mini"),
        model_toml("slow", "up/o3", timeouts="{ first_token_seconds = 0.3 }"),
        "[retries]\nmax_attempts = 1\n",
    ]
    return start_gateway("\n".join(config), {"UP_KEY": "up-secret-key"})


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai_client(gateway) as made:
        yield made


@pytest.fixture
async def async_client(gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with async_openai_client(gateway) as made:
        yield made


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    """What the deltas of a stream say together."""
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def test_a_whole_answer(client: openai.OpenAI, up: FakeProvider) -> None:
    """The answer is the provider's: its id, model, text, usage and fingerprint."""
    answer = client.chat.completions.create(model="fast", messages=HELLO, temperature=0.5)
    assert answer.id == "chatcmpl-up"
    assert answer.model == "upstream-model"
    assert answer.choices[0].message.content == "Hello from upstream."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None and answer.usage.total_tokens == 14
    assert answer.system_fingerprint == "fp_up"
    assert up.requests[0].json == {"model": "gpt-4o-mini", "messages": HELLO, "temperature": 0.5}
    assert up.requests[0].path == "/v1/chat/completions"


async def test_a_whole_answer_async(async_client: openai.AsyncOpenAI, up: FakeProvider) -> None:
    """The same with the async client."""
    answer = await async_client.chat.completions.create(model="fast", messages=HELLO)
    assert answer.choices[0].message.content == "Hello from upstream."


def test_a_stream_without_usage(client: openai.OpenAI, up: FakeProvider) -> None:
    """Usage is always asked for, and kept from a client that did not."""
    chunks = list(client.chat.completions.create(model="fast", messages=HELLO, stream=True))
    assert text_of(chunks) == "Hello from upstream."
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "stop"
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    assert up.requests[0].json["stream_options"] == {"include_usage": True}


def test_a_stream_with_usage(client: openai.OpenAI, up: FakeProvider) -> None:
    """The usage chunk comes last, without choices, for a client that asked."""
    up.script(Answer(said=Said(cached_input_tokens=4, reasoning_tokens=2)))
    with client.chat.completions.create(
        model="fast", messages=HELLO, stream=True, stream_options=WITH_USAGE
    ) as stream:
        *_, last = chunks = list(stream)
    assert text_of(chunks) == "Hello from upstream."
    assert last.choices == []
    assert last.usage is not None and last.usage.completion_tokens_details is not None
    assert last.usage.prompt_tokens_details is not None
    assert last.usage.prompt_tokens_details.cached_tokens == 4
    assert last.usage.completion_tokens_details.reasoning_tokens == 2
    assert sum(chunk.usage is not None for chunk in chunks) == 1


async def test_a_stream_async(async_client: openai.AsyncOpenAI, up: FakeProvider) -> None:
    """The same events for the async client."""
    stream = await async_client.chat.completions.create(
        model="fast", messages=HELLO, stream=True, stream_options=WITH_USAGE
    )
    chunks = [chunk async for chunk in stream]
    assert text_of(chunks) == "Hello from upstream."
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == 3


def test_parallel_tools(client: openai.OpenAI, up: FakeProvider) -> None:
    """Two calls come whole, and the tools go up as they were."""
    up.script(Answer(said=Said(text="", calls=CALLS, finish_reason="tool_calls")))
    answer = client.chat.completions.create(
        model="fast", messages=HELLO, tools=[WEATHER], tool_choice="auto", parallel_tool_calls=True
    )
    calls = answer.choices[0].message.tool_calls or []
    assert [
        (call.id, call.function.name, call.function.arguments) for call in calls if call.type == "function"
    ] == [(call.id, call.name, call.arguments) for call in CALLS]
    assert answer.choices[0].finish_reason == "tool_calls"
    assert up.requests[0].json["tools"] == [WEATHER]


def test_parallel_tools_streamed(client: openai.OpenAI, up: FakeProvider) -> None:
    """The SDK's own accumulator puts both calls' arguments together."""
    up.script(Answer(said=Said(text="", calls=CALLS, finish_reason="tool_calls")))
    with client.chat.completions.stream(model="fast", messages=HELLO, tools=[WEATHER]) as stream:
        answer = stream.get_final_completion()
    calls = answer.choices[0].message.tool_calls or []
    assert [(call.id, call.function.arguments) for call in calls] == [(c.id, c.arguments) for c in CALLS]
    assert answer.choices[0].finish_reason == "tool_calls"


def test_a_tools_result_goes_up(client: openai.OpenAI, up: FakeProvider) -> None:
    """The second turn of a tool loop arrives as it was sent."""
    arguments = '{"city":"Graz"}'
    turns: list[ChatCompletionMessageParam] = [
        *HELLO,
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": arguments}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "18 °C"},
    ]
    client.chat.completions.create(model="fast", messages=turns, tools=[WEATHER])
    assert up.requests[0].json["messages"] == turns


def test_completions(client: openai.OpenAI, up: FakeProvider) -> None:
    """The legacy route, whole and as a stream."""
    answer = client.completions.create(model="fast", prompt="Say hello")
    assert answer.choices[0].text == "Hello from upstream."
    assert up.requests[0].path == "/v1/completions"
    chunks = list(client.completions.create(model="fast", prompt="Say hello", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "Hello from upstream."
    assert all(chunk.usage is None for chunk in chunks)


def test_embeddings_as_numbers(client: openai.OpenAI, up: FakeProvider) -> None:
    """One vector for each input, in order."""
    answer = client.embeddings.create(model="fast", input=["one", "two"], encoding_format="float")
    assert [found.embedding for found in answer.data] == [[0.5, -0.5, 0.0], [0.5, -0.5, 1.0]]
    assert answer.usage.prompt_tokens == 11
    assert up.requests[0].json["input"] == ["one", "two"]


def test_embeddings_as_base64(client: openai.OpenAI, up: FakeProvider) -> None:
    """What the SDK asks for by itself: base64, which it decodes."""
    packed = base64.b64encode(struct.pack("<3f", 0.5, -0.5, 2.0)).decode()
    data = [{"object": "embedding", "index": 0, "embedding": packed}]
    usage = {"prompt_tokens": 2, "total_tokens": 2}
    up.script(Json({"object": "list", "data": data, "model": "m", "usage": usage}))
    answer = client.embeddings.create(model="fast", input="one")
    assert answer.data[0].embedding == [0.5, -0.5, 2.0]
    assert up.requests[0].json["encoding_format"] == "base64"


async def test_embeddings_of_the_simulated_model(async_client: openai.AsyncOpenAI) -> None:
    """Both encodings hold the same unit vector."""
    plain = await async_client.embeddings.create(
        model="sim-embed", input="a b c", encoding_format="float", dimensions=8
    )
    packed = await async_client.embeddings.create(model="sim-embed", input="a b c", dimensions=8)
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)
    assert sum(number**2 for number in plain.data[0].embedding) == pytest.approx(1.0, abs=1e-5)
    assert plain.usage.prompt_tokens == 3


REFUSALS = [
    pytest.param(
        Status(400, message="Bad n.", type="t", code="c", param="n"),
        openai.BadRequestError,
        400,
        ("c", "n", "t"),
        id="400-with-the-providers-words",
    ),
    pytest.param(Status(404, code="x"), openai.NotFoundError, 404, ("x", None, "some_error"), id="404"),
    pytest.param(Status(413, code="x"), openai.APIStatusError, 413, ("x", None, "some_error"), id="413"),
    pytest.param(
        Status(422, code="x"), openai.UnprocessableEntityError, 422, ("x", None, "some_error"), id="422"
    ),
    pytest.param(
        Status(429),
        openai.RateLimitError,
        429,
        ("provider_rate_limited", None, "rate_limit_error"),
        id="429",
    ),
    *(
        pytest.param(
            Status(status),
            openai.InternalServerError,
            502,
            ("provider_error", None, "server_error"),
            id=f"{status}-is-our-502",
        )
        for status in (408, 409, 500, 502, 503, 529)
    ),
    *(
        pytest.param(
            Status(status),
            openai.InternalServerError,
            502,
            ("provider_auth", None, "server_error"),
            id=f"{status}-is-the-operators-fault",
        )
        for status in (401, 403)
    ),
    pytest.param(
        Reset(),
        openai.InternalServerError,
        502,
        ("provider_error", None, "server_error"),
        id="a-reset-is-our-502",
    ),
]


@pytest.mark.parametrize("stream", [pytest.param(False, id="whole"), pytest.param(True, id="streamed")])
@pytest.mark.parametrize(("behaviour", "kind", "status", "error"), REFUSALS)
def test_each_error_is_the_sdks_own(
    client: openai.OpenAI,
    up: FakeProvider,
    behaviour: Behaviour,
    kind: type[openai.APIStatusError],
    status: int,
    error: tuple[str | None, str | None, str],
    stream: bool,
) -> None:
    """The right exception, with code, param and type, also where a stream was asked for."""
    # A reset of a connection that was kept alive is no attempt, and would be asked again.
    up.close_idle()
    up.script(behaviour)
    with pytest.raises(kind) as caught:
        client.chat.completions.create(model="fast", messages=HELLO, stream=stream)
    found = caught.value
    assert (found.status_code, found.code, found.param, found.type) == (status, *error)
    assert found.request_id == found.response.headers["x-request-id"]
    assert found.response.headers["content-type"] == "application/problem+json"
    assert len(up.requests) == 1


def test_a_refusals_message_is_the_providers(client: openai.OpenAI, up: FakeProvider) -> None:
    """What the provider says about the request reaches the one who wrote it."""
    up.script(Status(400, message="Unknown parameter: 'foo'."))
    with pytest.raises(openai.BadRequestError, match="Unknown parameter: 'foo'\\."):
        client.chat.completions.create(model="fast", messages=HELLO)


@pytest.mark.parametrize("stream", [pytest.param(False, id="whole"), pytest.param(True, id="streamed")])
def test_a_timeout_is_504(client: openai.OpenAI, up: FakeProvider, stream: bool) -> None:
    """The SDK knows it as a server's error."""
    up.script(Silence())
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="slow", messages=HELLO, stream=stream)
    assert (caught.value.status_code, caught.value.code) == (504, "provider_timeout")


def test_retry_after_reaches_the_sdk(client: openai.OpenAI, up: FakeProvider) -> None:
    """A provider's limit comes with its pause, whole seconds rounded up."""
    up.script(Status(429, retry_after="7.2"))
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="fast", messages=HELLO)
    assert caught.value.response.headers["retry-after"] == "8"


def test_our_own_refusals(client: openai.OpenAI, up: FakeProvider) -> None:
    """An unknown model and a value out of range never reach a provider."""
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="no-such-model", messages=HELLO)
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as hot:
        client.chat.completions.create(model="fast", messages=HELLO, temperature=3)
    assert (hot.value.code, hot.value.param) == ("invalid_request", "temperature")
    with pytest.raises(openai.BadRequestError) as empty:
        client.chat.completions.create(model="fast", messages=[])
    assert (empty.value.code, empty.value.param) == ("invalid_request", "messages")
    with pytest.raises(openai.BadRequestError) as nested:
        client.chat.completions.create(
            model="fast",
            messages=[*HELLO, {"role": 7, "content": "x"}],  # type: ignore[misc, list-item]
        )
    assert nested.value.param == "messages[1].role"
    assert up.requests == []


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        pytest.param(ErrorEvent(after=3), "The provider broke.", id="an-error-event"),
        pytest.param(Reset(after=3), "broke off", id="a-reset"),
        pytest.param(NoFinishReason(), "broke off", id="an-end-without-a-reason"),
    ],
)
def test_an_error_in_the_middle_raises(
    client: openai.OpenAI, up: FakeProvider, behaviour: Behaviour, message: str
) -> None:
    """What came before stays; the SDK raises where the stream broke, and never sees a stop."""
    up.script(behaviour)
    chunks: list[ChatCompletionChunk] = []
    with pytest.raises(openai.APIError) as caught:
        chunks.extend(client.chat.completions.create(model="fast", messages=HELLO, stream=True))
    assert (caught.value.code, caught.value.type) == ("provider_error", "server_error")
    assert message in caught.value.message
    assert "Hello from upstream.".startswith(text_of(chunks))
    assert all(chunk.choices[0].finish_reason is None for chunk in chunks)


def test_headers(client: openai.OpenAI, up: FakeProvider) -> None:
    """The request id goes through; alias, target, attempts and our time are told."""
    raw = client.chat.completions.with_raw_response.create(
        model="fast", messages=HELLO, extra_headers={"X-Request-ID": "my-request.1"}
    )
    assert raw.headers["x-request-id"] == raw.request_id == "my-request.1"
    assert up.requests[0].headers["x-request-id"] == "my-request.1"
    assert raw.headers["x-penstock-model"] == "fast"
    assert raw.headers["x-penstock-target"] == "up/gpt-4o-mini"
    assert raw.headers["x-penstock-attempts"] == "1"
    assert raw.headers["x-penstock-upstream-request-id"] == "req_up"
    assert 0 <= float(raw.headers["x-penstock-overhead-ms"]) < 1000
    assert raw.parse().choices[0].message.content == "Hello from upstream."


def test_headers_of_a_stream(client: openai.OpenAI, up: FakeProvider) -> None:
    """A stream's head says the same."""
    with client.chat.completions.with_streaming_response.create(
        model="fast", messages=HELLO, stream=True, extra_headers={"X-Request-ID": "my-request.2"}
    ) as raw:
        assert raw.headers["x-request-id"] == "my-request.2"
        assert raw.headers["x-penstock-target"] == "up/gpt-4o-mini"
        assert raw.headers["x-penstock-attempts"] == "1"
        assert float(raw.headers["x-penstock-overhead-ms"]) >= 0
        assert raw.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert raw.headers["cache-control"] == "no-cache, no-store"
        assert raw.headers["x-accel-buffering"] == "no"
        assert [line for line in raw.iter_lines() if line][-1] == "data: [DONE]"
    assert up.requests[0].headers["x-request-id"] == "my-request.2"


def test_a_bad_request_id_is_replaced(client: openai.OpenAI, up: FakeProvider) -> None:
    """An id with other characters, or too long, is not repeated."""
    for bad in ("a b", "x" * 129, "a/b"):
        raw = client.chat.completions.with_raw_response.create(
            model="fast", messages=HELLO, extra_headers={"X-Request-ID": bad}
        )
        assert raw.headers["x-request-id"] not in ("", bad)
        assert up.requests[-1].headers["x-request-id"] == raw.headers["x-request-id"]


def test_unknown_fields_go_both_ways(client: openai.OpenAI, up: FakeProvider) -> None:
    """What we never heard of reaches the provider, and its own new fields the client."""
    up.default = Answer(said=Said(extra={"x_provider": {"deep": [1, 2.5, None]}}))
    answer = client.chat.completions.create(
        model="fast", messages=HELLO, extra_body={"x_client": {"deep": ["a", 1]}}
    )
    assert up.requests[0].json["x_client"] == {"deep": ["a", 1]}
    assert answer.model_extra is not None
    assert answer.model_extra["x_provider"] == {"deep": [1, 2.5, None]}
    chunks = list(client.chat.completions.create(model="fast", messages=HELLO, stream=True))
    assert all((chunk.model_extra or {})["x_provider"] == {"deep": [1, 2.5, None]} for chunk in chunks)


def test_the_clients_key_stays_here(client: openai.OpenAI, up: FakeProvider) -> None:
    """Upstream goes the operator's key and none of the caller's other headers."""
    client.chat.completions.create(
        model="fast", messages=HELLO, extra_headers={"OpenAI-Beta": "assistants=v2", "X-Mine": "secret"}
    )
    headers = up.requests[0].headers
    assert headers["authorization"] == "Bearer up-secret-key"
    assert headers["openai-beta"] == "assistants=v2"
    assert CLIENT_KEY not in "".join(headers.values())
    assert not {"x-mine", "cookie", "openai-organization"} & headers.keys()
    assert not [name for name in headers if name.startswith("x-stainless")]
