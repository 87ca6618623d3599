"""The simple routes, and the simulated model that a first visitor meets behind them."""

import time
from collections.abc import Iterator

import httpx
import msgspec
import openai
import pytest
from anthropic.types import MessageParam

from tests.e2e.conftest import StartGateway
from tests.e2e.gateway import NO_TLS, Gateway, model_toml, provider_toml
from tests.e2e.sdk import anthropic_client, openai_client
from tests.fakes.answers import Said
from tests.fakes.behaviours import Answer, Json, Status
from tests.fakes.faults import ErrorEvent, NoFinishReason, Reset
from tests.fakes.provider import FakeProvider
from tests.fakes.streams import whole_without_ids

Event = dict[str, object]


@pytest.fixture(scope="module")
def gateway(start_gateway: StartGateway, provider: FakeProvider) -> Gateway:
    config = [
        provider_toml("up", "openai", provider.base_url),
        provider_toml("claude", "anthropic", provider.origin),
        provider_toml("sim", "sim"),
        model_toml("first", "up/gpt", price="{ input = 1.0, cached_input = 0.1, output = 4.0 }"),
        model_toml("haiku", "claude/haiku", price="{ input = 1.0, output = 4.0 }"),
        model_toml("free", "up/unknown-and-unpriced"),
        "[retries]\nmax_attempts = 1\n",
    ]
    return start_gateway("\n".join(config), {"UP_KEY": "k", "CLAUDE_KEY": "k"})


@pytest.fixture(scope="module")
def http(gateway: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.origin, trust_env=False, verify=NO_TLS, timeout=20) as made:
        yield made


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai_client(gateway) as made:
        yield made


def events_of(answer: httpx.Response) -> tuple[list[Event], bool]:
    """A stream's events, and whether `[DONE]` ended it."""
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    sent = whole_without_ids(answer.content, answer.headers["x-stream-id"])
    *blocks, nothing = sent.split(b"\n\n")
    assert nothing == b""
    data = [block.removeprefix(b"data: ") for block in blocks]
    done = data[-1] == b"[DONE]"
    return [msgspec.json.decode(one, type=Event) for one in (data[:-1] if done else data)], done


def test_chat(http: httpx.Client, up: FakeProvider) -> None:
    """One message in, one answer out, with tokens, cost and time. Without a model: the first configured."""
    up.script(Answer(said=Said(cached_input_tokens=4)))
    answer = http.post("/chat", json={"message": "Hello!"})
    found = answer.json()
    assert found.pop("latency_ms") >= 0
    # 7 x 1.0 + 4 x 0.1 + 3 x 4.0 USD per million.
    assert found.pop("cost_usd") == pytest.approx(19.4e-6)
    assert found == {
        "id": "chatcmpl-up",
        "response": "Hello from upstream.",
        "model": "upstream-model",
        "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14},
    }
    assert answer.headers["x-penstock-target"] == "up/gpt"
    assert up.requests[0].json == {"model": "gpt", "messages": [{"role": "user", "content": "Hello!"}]}


@pytest.mark.parametrize("model", ["first", "haiku"])
def test_chat_with_everything(http: httpx.Client, up: FakeProvider, model: str) -> None:
    """System, temperature and maximum reach a provider of either dialect."""
    body = {"message": "Hi", "model": model, "system": "Be brief.", "temperature": 0.5, "max_tokens": 9}
    answer = http.post("/chat", json=body).json()
    assert answer["response"] == "Hello from upstream."
    assert answer["usage"] == {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
    assert answer["cost_usd"] == pytest.approx(23e-6)
    sent = up.requests[0].json
    assert (sent["temperature"], sent["max_tokens"]) == (0.5, 9)
    assert "Be brief." in str(sent)


def test_an_unknown_price_is_null(http: httpx.Client, up: FakeProvider) -> None:
    """Not zero, which would be a lie."""
    assert http.post("/chat", json={"message": "Hi", "model": "free"}).json()["cost_usd"] is None


@pytest.mark.parametrize("model", ["first", "haiku"])
def test_stream(http: httpx.Client, up: FakeProvider, model: str) -> None:
    """Tokens, one summary, the end mark."""
    events, done = events_of(http.post("/stream", json={"message": "Hi", "model": model}))
    *tokens, last = events
    assert [event["token"] for event in tokens] == ["Hello", " from", " upstream."]
    assert done
    assert last.pop("latency_ms") is not None
    assert last.pop("id") in ("chatcmpl-up", "msg_up")
    assert last.pop("cost_usd") == pytest.approx(23e-6)
    assert last == {
        "done": True,
        "model": "upstream-model",
        "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14},
    }


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(ErrorEvent(after=3), id="an-error-event"),
        pytest.param(Reset(after=3), id="a-reset"),
        pytest.param(NoFinishReason(), id="no-reason"),
    ],
)
def test_a_stream_that_breaks(http: httpx.Client, up: FakeProvider, behaviour: ErrorEvent) -> None:
    """An error event is the last; neither `done` nor the end mark follows."""
    up.script(behaviour)
    events, done = events_of(http.post("/stream", json={"message": "Hi"}))
    error = events[-1]["error"]
    assert isinstance(error, dict) and error["code"] == "provider_error"
    assert not done and not any("done" in event for event in events)


@pytest.mark.parametrize("path", ["/chat", "/stream"])
def test_errors(http: httpx.Client, up: FakeProvider, path: str) -> None:
    """The contract's problems, as everywhere."""
    up.script(Status(429, retry_after="7"))
    limited = http.post(path, json={"message": "Hi"})
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "7")
    assert limited.json()["error"]["code"] == "provider_rate_limited"
    assert limited.json()["instance"] == path
    unknown = http.post(path, json={"message": "Hi", "model": "nobody"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
    for body, param in (
        ({}, "message"),
        ({"message": ""}, "message"),
        ({"message": "x", "temperature": 9}, "temperature"),
        ({"message": "x", "max_tokens": 0}, "max_tokens"),
    ):
        refused = http.post(path, json=body)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)
    assert len(up.requests) == 1


def test_a_batch(http: httpx.Client, up: FakeProvider) -> None:
    """Each item has its own result or problem, in order; one bad item spoils no other."""
    items: list[object] = [
        {"message": "one", "model": "sim"},
        {"message": "two", "model": "nobody"},
        {"message": 3},
        {"message": "four"},
        "five",
    ]
    answer = http.post("/chat/batch", json={"items": items})
    assert answer.status_code == 200
    one, two, three, four, five = answer.json()["items"]
    assert one["model"] == "sim" and one["response"]
    assert (two["status"], two["error"]["code"]) == (404, "model_not_found")
    assert (three["status"], three["error"]["code"], three["error"]["param"]) == (
        400,
        "invalid_request",
        "message",
    )
    assert four["response"] == "Hello from upstream."
    assert five["status"] == 400
    assert two["request_id"] == answer.headers["x-request-id"]


def test_a_batch_runs_concurrently(http: httpx.Client) -> None:
    """20 items of half a second each in far less than ten seconds; the order stays."""
    items = [{"message": f"number {index}", "model": "sim-10-50ms"} for index in range(20)]
    began = time.monotonic()
    answers = http.post("/chat/batch", json={"items": items}).json()["items"]
    assert time.monotonic() - began < 3
    assert all(f"number {index}" in answer["response"] for index, answer in enumerate(answers))


def test_a_batch_that_is_too_large(http: httpx.Client) -> None:
    """100 items are served, 101 and none refused."""
    item = {"message": "Hi", "model": "sim"}
    assert len(http.post("/chat/batch", json={"items": [item] * 100}).json()["items"]) == 100
    for count in (101, 0):
        refused = http.post("/chat/batch", json={"items": [item] * count})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "items")


def test_an_answer_that_is_none(http: httpx.Client, up: FakeProvider) -> None:
    """A provider's 200 whose members have wrong types is its error, not ours."""
    up.script(Json({"choices": [{"message": "a string"}]}))
    answer = http.post("/chat", json={"message": "Hi"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_error")


# The simulated model.


def said(client: openai.OpenAI, model: str, text: str) -> str:
    """What it says to one message, as a stream."""
    chunks = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": text}], stream=True
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_the_same_request_brings_the_same_text(client: openai.OpenAI) -> None:
    """Whole or streamed, twice; another request brings another text."""
    whole = client.chat.completions.create(model="sim", messages=[{"role": "user", "content": "Hello!"}])
    assert whole.choices[0].message.content == said(client, "sim", "Hello!") == said(client, "sim", "Hello!")
    assert whole.system_fingerprint == "penstock-sim"
    assert said(client, "sim", "Bye!") != said(client, "sim", "Hello!")


def test_usage_is_exact(client: openai.OpenAI) -> None:
    """A token per word: as many content chunks, and words, as usage says; the prompt's words too."""
    chunks = list(
        client.chat.completions.create(
            model="sim",
            messages=[
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "one two three"},
            ],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    pieces = [
        chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content
    ]
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.prompt_tokens == 5
    assert usage.completion_tokens == len(pieces) == len("".join(pieces).split())
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert all(chunk.system_fingerprint == "penstock-sim" for chunk in chunks)


def test_a_paced_variant(client: openai.OpenAI) -> None:
    """`sim-<tokens>-<ms>ms`: that many tokens, and not faster than that."""
    began = time.monotonic()
    text = said(client, "sim-12-20ms", "Hello!")
    assert time.monotonic() - began >= 11 * 0.020
    assert len(text.split()) == 12


@pytest.mark.parametrize("name", ["sim-0-20ms", "sim-5", "sim-5-20", "sim--5-20ms", "simulated"])
def test_no_such_variant(client: openai.OpenAI, name: str) -> None:
    """Only the documented form exists."""
    with pytest.raises(openai.NotFoundError) as caught:
        said(client, name, "Hello!")
    assert caught.value.code == "model_not_found"


def test_a_maximum_cuts(client: openai.OpenAI) -> None:
    """As a real model's: `length`, and exactly so many tokens."""
    answer = client.chat.completions.create(
        model="sim", messages=[{"role": "user", "content": "Hello!"}], max_completion_tokens=4
    )
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None and answer.usage.completion_tokens == 4


def test_anthropics_client_before_the_simulated_model(gateway: Gateway) -> None:
    """The same text through the other dialect, whole and streamed, and tokens as an estimate."""
    with anthropic_client(gateway) as client, openai_client(gateway) as other:
        asked: list[MessageParam] = [{"role": "user", "content": "Hello!"}]
        whole = client.messages.create(model="sim", max_tokens=100, messages=asked)
        with client.messages.stream(model="sim", max_tokens=100, messages=asked) as stream:
            streamed = stream.get_final_message()
        texts = [block.text for block in (*whole.content, *streamed.content) if block.type == "text"]
        assert texts == [said(other, "sim", "Hello!")] * 2
        assert whole.usage.output_tokens == streamed.usage.output_tokens == len(texts[0].split())
        counted = client.messages.count_tokens(model="sim", messages=asked)
        assert counted.input_tokens >= 1 and counted.model_extra == {"estimated": True}
