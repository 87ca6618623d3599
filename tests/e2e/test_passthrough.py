"""Where both sides speak the same dialect, bytes pass: what nobody here has heard of too."""

import httpx
import pytest

from tests.e2e.conftest import StartGateway
from tests.e2e.gateway import NO_TLS, Gateway, model_toml, provider_toml
from tests.fakes.behaviours import Json, Status
from tests.fakes.faults import RawEvents
from tests.fakes.provider import FakeProvider
from tests.fakes.streams import whole_without_ids

JSON = {"Content-Type": "application/json"}

ODD_MESSAGES = (
    '[ {"role":"user" ,"content":"h\\u00e9llo \\/ 水", "x_weight": 1.0e1, "x_big": 12345678901234567890123},'
    '\t{"content":[{"type":"x_new","y":{"z":[]}}],"role":"user"} ]'
).encode()
ODD_TOOLS = (
    b'[{"type":"function","function":{"name":"f","parameters":{"type":"object", "minimum" : 1.50}},"x":null}]'
)
"""Valid JSON that no encoder would write this way: any decoding and encoding in between would show."""


@pytest.fixture(scope="module")
def gateway(start_gateway: StartGateway, provider: FakeProvider) -> Gateway:
    config = [
        provider_toml("up", "openai", provider.base_url),
        provider_toml("shy", "openai", provider.base_url) + "stream_usage = false\n",
        provider_toml("claude", "anthropic", provider.origin),
        model_toml("m", "up/real-name"),
        "[retries]\nmax_attempts = 1\n",
    ]
    return start_gateway("\n".join(config), {"UP_KEY": "k", "SHY_KEY": "k", "CLAUDE_KEY": "k"})


def post(gateway: Gateway, path: str, body: bytes, **headers: str) -> httpx.Response:
    """One request of exactly these bytes."""
    return httpx.post(
        f"{gateway.origin}{path}", content=body, headers={**JSON, **headers}, trust_env=False, verify=NO_TLS
    )


@pytest.mark.parametrize("stream", [pytest.param(b"false", id="whole"), pytest.param(b"true", id="streamed")])
def test_a_chats_bytes_go_up(gateway: Gateway, up: FakeProvider, stream: bytes) -> None:
    """Only the model's name and, in a stream, the wish for usage are ours."""
    body = b'{"messages":%b,"model":"m","tools":%b,"stream":%b,"x_new":{"a" : 1e2}}' % (
        ODD_MESSAGES,
        ODD_TOOLS,
        stream,
    )
    assert post(gateway, "/v1/chat/completions", body).status_code == 200
    sent = up.requests[0]
    for part in (ODD_MESSAGES, ODD_TOOLS, b'{"a" : 1e2}'):
        assert part in sent.body
    assert sent.json["model"] == "real-name"
    added = {"stream_options"} if stream == b"true" else set()
    assert sent.json.keys() == {"messages", "model", "tools", "stream", "x_new"} | added


def test_a_messages_bytes_go_up(gateway: Gateway, up: FakeProvider) -> None:
    """Anthropic's dialect too."""
    body = (
        b'{"model":"claude/c","max_tokens":5,"messages":%b,"stream":true,"x_new":{"a" : 1e2}}' % ODD_MESSAGES
    )
    assert post(gateway, "/v1/messages", body).status_code == 200
    assert ODD_MESSAGES in up.requests[0].body and b'{"a" : 1e2}' in up.requests[0].body
    assert up.requests[0].json.keys() == {"model", "max_tokens", "messages", "stream", "x_new"}
    assert up.requests[0].headers["anthropic-version"] == "2023-06-01"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/v1/embeddings", b'{"model":"m","input":["a" , "b"],"x":[1.0]}', id="embeddings"),
        pytest.param("/v1/completions", b'{"model":"m","prompt":"a\\u0062","x":[1.0]}', id="completions"),
    ],
)
def test_other_routes_bytes_go_up(gateway: Gateway, up: FakeProvider, path: str, body: bytes) -> None:
    """Embeddings and completions alike."""
    assert post(gateway, path, body).status_code == 200
    assert up.requests[0].body.replace(b'"real-name"', b'"m"') == body


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param(b"null", {"include_usage": True}, id="null"),
        pytest.param(
            b'{"include_usage":false,"x_new":1}', {"include_usage": True, "x_new": 1}, id="false-with-another"
        ),
        pytest.param(b'{"include_usage":true}', {"include_usage": True}, id="true"),
    ],
)
def test_usage_is_always_asked_for(
    gateway: Gateway, up: FakeProvider, options: bytes, expected: object
) -> None:
    """Whatever the caller says, other options stay."""
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true,"stream_options":%b}'
    post(gateway, "/v1/chat/completions", body % options)
    assert up.requests[0].json["stream_options"] == expected


def test_usage_is_not_asked_of_those_who_refuse_the_question(gateway: Gateway, up: FakeProvider) -> None:
    """`stream_usage = false` on the provider."""
    for model in ("shy/x", "shy/y"):
        body = b'{"model":"%b","messages":[{"role":"user","content":"x"}],"stream":true}' % model.encode()
        assert post(gateway, "/v1/chat/completions", body).text.endswith("data: [DONE]\n\n")
    assert all("stream_options" not in request.json for request in up.requests)
    message = b'{"model":"shy/x","max_tokens":1,"messages":[{"role":"user","content":"x"}],"stream":true}'
    assert "message_stop" in post(gateway, "/v1/messages", message).text
    assert "stream_options" not in up.requests[2].json


ANSWER = (
    b'{"id" : "c","object":"chat.completion","choices":[ {"index":0,"x":1.0e2} ],"x_new":{"a":"\\u00e9"}}\n'
)


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        pytest.param(
            "/v1/chat/completions",
            b'{"model":"m","messages":[{"role":"user","content":"x"}]}',
            ANSWER,
            id="chat",
        ),
        pytest.param("/v1/completions", b'{"model":"m","prompt":"x"}', ANSWER, id="completions"),
        pytest.param(
            "/v1/embeddings", b'{"model":"m","input":"x"}', b'{"data":[ {"x":1e0} ]}', id="embeddings"
        ),
        pytest.param(
            "/v1/messages",
            b'{"model":"claude/c","max_tokens":5,"messages":[{"role":"user","content":"x"}]}',
            b'{"type":"message" ,"content":[ {"type":"x_new"} ],"x":1e0}',
            id="messages",
        ),
        pytest.param(
            "/v1/messages/count_tokens",
            b'{"model":"claude/c","messages":[{"role":"user","content":"x"}]}',
            b'{"input_tokens" :  7,"x":1e0}',
            id="count-tokens",
        ),
    ],
)
def test_an_answers_bytes_come_back(
    gateway: Gateway, up: FakeProvider, path: str, body: bytes, answer: bytes
) -> None:
    """Byte for byte, as `application/json`."""
    up.script(
        Json(answer, headers={"X-Provider": "internal", "Set-Cookie": "a=b", "openai-organization": "org"})
    )
    found = post(gateway, path, body)
    assert (found.status_code, found.content) == (200, answer)
    assert found.headers["content-type"] == "application/json"
    assert not {"x-provider", "set-cookie", "openai-organization"} & found.headers.keys()


CHUNKS = (
    b'data: {"id" : "c","choices":[{"index":0,"delta":{"content":"a","x_new":[ ]}}],"x":1.0e2}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"reasoning_content":"\\u00e9"}}],"usage":{"prompt_tokens":1}}\n\n',
    b'data: {"choices":[],"x_meta":true}\n\n',
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"x_new_reason"}]}\n\n',
    b"data: [DONE]\n\n",
)


def test_a_streams_bytes_come_back(gateway: Gateway, up: FakeProvider) -> None:
    """Unknown fields, usage beside choices and chunks without either; only a usage chunk stays here."""
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n'
    up.script(RawEvents((*CHUNKS[:-1], usage, CHUNKS[-1])))
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true}'
    answer = post(gateway, "/v1/chat/completions", body)
    assert whole_without_ids(answer.content, answer.headers["x-stream-id"]) == b"".join(CHUNKS)


def test_the_callers_headers_stay_here(gateway: Gateway, up: FakeProvider) -> None:
    """Only the listed four go up, each to the dialect that knows it."""
    sent = {
        "Authorization": "Bearer psk_mine",
        "x-api-key": "psk_mine",
        "Cookie": "session=1",
        "X-Forwarded-For": "10.0.0.1",
        "OpenAI-Organization": "org",
        "OpenAI-Beta": "beta-1",
        "anthropic-beta": "beta-2",
        "Accept-Language": "de",
        "X-Request-ID": "r-1",
    }
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}]}'
    post(gateway, "/v1/chat/completions", body, **sent)
    headers = up.requests[0].headers
    assert headers["openai-beta"] == "beta-1" and headers["x-request-id"] == "r-1"
    assert headers["authorization"] == "Bearer k"
    assert headers.keys() <= {
        "host",
        "content-type",
        "content-length",
        "accept",
        "accept-encoding",
        "user-agent",
        "authorization",
        "x-request-id",
        "openai-beta",
    }


def test_the_providers_request_id_has_its_own_header(gateway: Gateway, up: FakeProvider) -> None:
    """On errors the client's own id stays the only one in the body."""
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}]}'
    good = post(gateway, "/v1/chat/completions", body, **{"X-Request-ID": "r-2"})
    assert good.headers["x-penstock-upstream-request-id"] == "req_up"
    up.script(Status(400))
    bad = post(gateway, "/v1/chat/completions", body, **{"X-Request-ID": "r-3"})
    assert (bad.headers["x-request-id"], bad.json()["request_id"]) == ("r-3", "r-3")
