"""The fake provider keeps its word: good answers fit the real SDKs, and each fault is that fault."""

import socket
from collections.abc import Iterator

import anthropic
import httpx
import msgspec
import openai
import pytest
from openai.types.chat import ChatCompletionToolParam, ChatCompletionUserMessageParam

from tests.fakes import faults
from tests.fakes.answers import Call, Said
from tests.fakes.behaviours import Answer, Behaviour, Html, Json, Status
from tests.fakes.gate import Gate
from tests.fakes.provider import FakeProvider

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
STREAM = {**CHAT, "stream": True}
USER: ChatCompletionUserMessageParam = {"role": "user", "content": "Hi"}
TOOL: ChatCompletionToolParam = {"type": "function", "function": {"name": "f"}}
CALLED = Said(text="", finish_reason="tool_calls", calls=(Call("call_1", "f", '{"city": "Bern"}'),))


@pytest.fixture(name="up")
def running_provider() -> Iterator[FakeProvider]:
    with FakeProvider() as up:
        yield up


@pytest.fixture(name="client")
def http_client(up: FakeProvider) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=up.origin, timeout=5.0, trust_env=False) as client:
        yield client


@pytest.fixture(name="ai")
def openai_client(up: FakeProvider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=up.base_url, api_key="sk-test", max_retries=0, timeout=5.0) as client:
        yield client


@pytest.fixture(name="claude")
def anthropic_client(up: FakeProvider) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=up.origin, api_key="sk-ant", max_retries=0, timeout=5.0) as client:
        yield client


def test_chat_fits_openais_sdk(ai: openai.OpenAI) -> None:
    """Whole and streamed, the SDK reads the same text and usage."""
    whole = ai.chat.completions.create(model="m", messages=[USER])
    assert whole.choices[0].message.content == "Hello from upstream."
    assert whole.usage and (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (11, 3)
    chunks = list(
        ai.chat.completions.create(
            model="m", messages=[USER], stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "Hello from upstream."
    assert chunks[-1].usage == whole.usage


def test_tool_calls_fit_openais_sdk(up: FakeProvider, ai: openai.OpenAI) -> None:
    """Streamed arguments join to the whole ones."""
    up.default = Answer(said=CALLED)
    whole = ai.chat.completions.create(model="m", messages=[USER], tools=[TOOL])
    calls = whole.choices[0].message.tool_calls or []
    assert [call.function.arguments for call in calls if call.type == "function"] == ['{"city": "Bern"}']
    with ai.chat.completions.stream(model="m", messages=[USER], tools=[TOOL]) as stream:
        final = stream.get_final_completion()
    assert [call.function.arguments for call in final.choices[0].message.tool_calls or []] == [
        '{"city": "Bern"}'
    ]


def test_completions_and_embeddings_fit_openais_sdk(ai: openai.OpenAI) -> None:
    """The older API and vectors."""
    assert ai.completions.create(model="m", prompt="Hi").choices[0].text == "Hello from upstream."
    chunks = ai.completions.create(model="m", prompt="Hi", stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == "Hello from upstream."
    made = ai.embeddings.create(model="m", input=["a", "b"], encoding_format="float")
    assert [item.embedding for item in made.data] == [[0.5, -0.5, 0.0], [0.5, -0.5, 1.0]]


def test_messages_fit_anthropics_sdk(up: FakeProvider, claude: anthropic.Anthropic) -> None:
    """Text and tools, whole and streamed, and the count."""
    said = Said(
        finish_reason="tool_calls", calls=(Call("toolu_1", "f", '{"city": "Bern"}'),), cached_input_tokens=4
    )
    up.default = Answer(said=said)
    whole = claude.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hi"}])
    with claude.messages.stream(
        model="m", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]
    ) as stream:
        final = stream.get_final_message()
    for message in (whole, final):
        text, tool = message.content
        assert text.type == "text" and text.text == "Hello from upstream."
        assert tool.type == "tool_use" and tool.input == {"city": "Bern"}
        assert message.stop_reason == "tool_use"
        assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (7, 4)
        assert message.usage.output_tokens == 3
    counted = claude.messages.count_tokens(model="m", messages=[{"role": "user", "content": "Hi"}])
    assert counted.input_tokens == 11


def test_errors_are_in_the_routes_own_dialect(
    up: FakeProvider, ai: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    """Each SDK raises the class for the status, with the message."""
    up.default = Status(429, retry_after="7", message="Slow down.", type="rate_limit_error")
    with pytest.raises(openai.RateLimitError, match=r"Slow down\.") as from_openai:
        ai.chat.completions.create(model="m", messages=[USER])
    assert from_openai.value.response.headers["retry-after"] == "7"
    with pytest.raises(anthropic.RateLimitError, match=r"Slow down\."):
        claude.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hi"}])


def test_requests_are_recorded_as_they_came(up: FakeProvider, client: httpx.Client) -> None:
    """Method, path, lower-case headers, body, and which of them shared a connection."""
    client.post("/v1/chat/completions?a=1", json=CHAT, headers={"X-Some": "Thing"})
    client.post("/v1/chat/completions", content=iter((b'{"model":', b'"m"}')))
    first, second = up.requests
    assert (first.method, first.path, first.headers["x-some"]) == (
        "POST",
        "/v1/chat/completions?a=1",
        "Thing",
    )
    assert first.json == CHAT
    assert second.body == b'{"model":"m"}'
    assert first.connection == second.connection
    assert first.arrived_at < second.arrived_at


def test_the_script_is_played_in_order_then_the_default(up: FakeProvider, client: httpx.Client) -> None:
    """One behaviour a request."""
    up.script(Status(503), Html(502), Json({"a": 1}, headers={"X-One": "1"}))
    answers = [client.post("/v1/chat/completions", json=CHAT) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [503, 502, 200, 200]
    assert answers[1].headers["content-type"] == "text/html"
    assert (answers[2].json(), answers[2].headers["x-one"]) == ({"a": 1}, "1")
    assert client.get("/elsewhere").status_code == 404


def read(client: httpx.Client, body: object) -> tuple[bytes, type[Exception] | None]:
    """What of an answer came, and what ended it."""
    got = b""
    try:
        with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            for piece in answer.iter_raw():
                got += piece
    except httpx.TransportError as error:
        return got, type(error)
    return got, None


@pytest.mark.parametrize(
    ("behaviour", "error", "events", "done"),
    [
        pytest.param(Answer(), None, 6, True, id="a-good-stream"),
        pytest.param(Answer(framing="close"), None, 6, True, id="a-good-stream-until-the-close"),
        pytest.param(faults.Hangup(), httpx.RemoteProtocolError, 0, False, id="a-hangup-before-the-head"),
        pytest.param(
            faults.Hangup(after=2), httpx.RemoteProtocolError, 2, False, id="a-hangup-in-the-middle"
        ),
        pytest.param(faults.Hangup(after=2, framing="close"), None, 2, False, id="a-cut-that-looks-complete"),
        pytest.param(faults.NoDone(), None, 5, False, id="no-end-mark"),
        pytest.param(faults.NoFinishReason(), None, 5, True, id="no-finish-reason"),
        pytest.param(
            faults.NoFinishReason(done=False), None, 4, False, id="no-finish-reason-and-no-end-mark"
        ),
        pytest.param(faults.ErrorEvent(), None, 1, False, id="an-error-first"),
        pytest.param(faults.ErrorEvent(after=2, done=True), None, 4, True, id="an-error-in-the-middle"),
    ],
)
def test_streams(
    up: FakeProvider,
    client: httpx.Client,
    behaviour: Behaviour,
    error: type[Exception] | None,
    events: int,
    done: bool,
) -> None:
    up.script(behaviour)
    got, ended = read(client, STREAM)
    assert (ended, got.count(b"\n\n"), got.endswith(b"data: [DONE]\n\n")) == (error, events, done)


@pytest.mark.parametrize(
    ("after", "events"),
    [pytest.param(None, 0, id="before-the-head"), pytest.param(0, 0, id="behind-the-head")],
)
def test_resets(up: FakeProvider, client: httpx.Client, after: int | None, events: int) -> None:
    up.script(faults.Reset(after))
    got, ended = read(client, STREAM)
    assert ended is httpx.ReadError
    assert got == b""


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        pytest.param(faults.TruncatedJson(), httpx.RemoteProtocolError, id="shorter-than-it-says"),
        pytest.param(faults.TruncatedJson(honest=True), None, id="as-short-as-it-says"),
    ],
)
def test_truncated_json(
    up: FakeProvider, client: httpx.Client, behaviour: Behaviour, error: type[Exception] | None
) -> None:
    up.script(behaviour)
    got, ended = read(client, CHAT)
    assert (len(got), ended) == (100, error)
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(got)


def test_torn_writes_are_whole_in_the_end(up: FakeProvider, client: httpx.Client) -> None:
    """Every byte its own write, and nothing is lost."""
    up.script(faults.TornWrites(), Answer(said=faults.TornWrites().said))
    torn, whole = read(client, STREAM)[0], read(client, STREAM)[0]
    assert torn == whole
    assert "🌊" in torn.decode()


@pytest.mark.parametrize(
    "body", [pytest.param(STREAM, id="an-event"), pytest.param(CHAT, id="a-whole-answer")]
)
def test_broken_utf8(up: FakeProvider, client: httpx.Client, body: object) -> None:
    up.script(faults.BrokenUtf8())
    with pytest.raises(UnicodeDecodeError):
        read(client, body)[0].decode()


def test_a_huge_event(up: FakeProvider, client: httpx.Client) -> None:
    """One event is as large as told, the others are as ever."""
    up.script(faults.HugeEvent(2_000_000))
    sizes = sorted(map(len, read(client, STREAM)[0].split(b"\n\n")))
    assert sizes[-1] > 2_000_000
    assert sizes[-2] < 1_000


def test_raw_bytes_and_raw_events(up: FakeProvider, client: httpx.Client) -> None:
    """Anything at all can be sent."""
    up.script(
        faults.RawBytes((b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 2\r\nConnection: close\r\n\r\nok")),
        faults.RawEvents((b"data: 1\r", b"\n\r\n")),
        faults.RawBytes((b"SSH-2.0-nonsense\r\n\r\n",)),
    )
    assert read(client, CHAT) == (b"ok", None)
    assert read(client, STREAM) == (b"data: 1\r\n\r\n", None)
    assert read(client, CHAT) == (b"", httpx.RemoteProtocolError)


def test_a_gate_holds_each_event(up: FakeProvider, client: httpx.Client) -> None:
    """The test says when the next event comes; the head does not wait for it."""
    gate = Gate()
    up.script(Answer(gate=gate))
    with client.stream("POST", "/v1/chat/completions", json=STREAM) as answer:
        events = answer.iter_raw()
        for _ in range(2):
            gate.release()
            assert next(events).count(b"\n\n") == 1
        assert not up.wait_answered(0, timeout_seconds=0)
        gate.open()
        assert b"".join(events).endswith(b"[DONE]\n\n")
    assert up.wait_answered(0)


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(faults.Silence(), id="before-the-head"),
        pytest.param(faults.Silence(after=0), id="behind-the-head"),
        pytest.param(faults.Silence(after=2), id="in-the-middle"),
        pytest.param(Answer(gate=Gate()), id="held-at-a-gate"),
        pytest.param(Answer(head_gate=Gate()), id="held-before-the-head"),
        pytest.param(Answer("word " * 500, interval_seconds=0.01), id="while-it-streams"),
    ],
)
@pytest.mark.parametrize(
    "abrupt", [pytest.param(False, id="in-order"), pytest.param(True, id="with-a-reset")]
)
def test_the_clients_close_is_noticed(up: FakeProvider, behaviour: Behaviour, abrupt: bool) -> None:
    """Whatever goes on, and whichever way the client goes."""
    up.script(behaviour)
    body = msgspec.json.encode(STREAM)
    with socket.create_connection(("127.0.0.1", up.port)) as client:
        client.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        assert up.wait_requests(1)
        assert not up.wait_closed(0, timeout_seconds=0)
        if abrupt:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    assert up.wait_closed(0)
    closed_at = up.closed_at(0)
    assert closed_at is not None and closed_at >= up.requests[0].arrived_at
    assert not up.wait_answered(0, timeout_seconds=0)


def test_back_pressure_is_seen(client: httpx.Client) -> None:
    """A client that doesn't read stops the flood; one that reads gets all of it."""
    with FakeProvider(send_buffer_bytes=65536) as up:
        up.script(faults.Flood(event_bytes=10_000, count=2_000))
        with client.stream("POST", f"{up.base_url}/chat/completions", json=STREAM) as answer:
            pieces = answer.iter_raw()
            got = len(next(pieces))
            assert not up.wait_answered(0, timeout_seconds=0.2)
            assert up.bytes_written(0) < 15_000_000
            got += sum(map(len, pieces))
        assert got > 20_000_000
        assert up.wait_answered(0)
        assert up.bytes_written(0) > 20_000_000


def test_idle_connections_can_be_closed(up: FakeProvider, client: httpx.Client) -> None:
    """The next request finds its connection stale and takes another."""
    client.post("/v1/chat/completions", json=CHAT)
    up.close_idle()
    client.post("/v1/chat/completions", json=CHAT)
    assert up.requests[0].connection != up.requests[1].connection
    assert not up.wait_closed(0, timeout_seconds=0)


def test_a_broken_behaviour_fails_the_test() -> None:
    """A mistake in a behaviour is not taken for a provider's fault."""
    with pytest.raises(TypeError), FakeProvider(Json(object())) as up:
        httpx.post(f"{up.base_url}/chat/completions", json=CHAT, trust_env=False)
