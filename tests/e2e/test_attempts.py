"""What follows a failed attempt: the contract's paragraph "Attempts", against a provider with faults."""

import time
from email.utils import formatdate

import httpx
import msgspec
import pytest

from tests.e2e.conftest import StartGateway
from tests.e2e.gateway import NO_TLS, Gateway, model_toml, provider_toml
from tests.fakes.answers import Said
from tests.fakes.behaviours import Answer, Behaviour, Html, Json, Status
from tests.fakes.faults import (
    BrokenUtf8,
    ErrorEvent,
    Hangup,
    NoFinishReason,
    RawBytes,
    RawEvents,
    Reset,
    Silence,
    TruncatedJson,
)
from tests.fakes.provider import FakeProvider
from tests.fakes.streams import whole_without_ids

CUT_503 = RawBytes((b'HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\n{"error": {"mess',))

EMPTY = RawBytes((b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n",))

STREAM_OR_WHOLE = pytest.mark.parametrize(
    "stream", [pytest.param(False, id="whole"), pytest.param(True, id="streamed")]
)


@pytest.fixture(scope="module")
def gateway(start_gateway: StartGateway, provider: FakeProvider) -> Gateway:
    config = [
        provider_toml("a", "openai", provider.base_url),
        provider_toml("b", "openai", provider.base_url),
        provider_toml("claude", "anthropic", provider.origin),
        model_toml("alone", "a/first"),
        model_toml("backed", "a/first", fallbacks='["backup"]'),
        model_toml("backup", "b/second"),
        model_toml("chain", "a/first", fallbacks='["backup", "third"]'),
        model_toml("third", "b/third"),
        model_toml("long", "a/first", fallbacks='["backup", "third", "fourth"]'),
        model_toml("fourth", "b/fourth"),
        model_toml("weighted", "a/heavy=3", "b/light=1", "b/spare=0"),
        model_toml("hasty", "a/first", timeouts="{ first_token_seconds = 0.2 }"),
        model_toml("bridged", "claude/haiku"),
        model_toml("to-a-claude", "a/first", fallbacks='["bridged"]'),
        "[retries]\nmax_attempts = 3\nmax_wait_seconds = 2\n",
    ]
    keys = {"A_KEY": "a-secret-key-1", "B_KEY": "b-secret-key-2", "CLAUDE_KEY": "c-secret-key-3"}
    return start_gateway("\n".join(config), keys)


def ask(gateway: Gateway, model: str, *, stream: bool = False) -> httpx.Response:
    """One chat completion."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    return httpx.post(
        f"{gateway.openai_url}/chat/completions", json=body, trust_env=False, verify=NO_TLS, timeout=20
    )


def asked(up: FakeProvider) -> list[str]:
    """The models that the provider was asked for, in order."""
    return [str(request.json["model"]) for request in up.requests]


RETRIED = [
    *(pytest.param(Status(status), id=str(status)) for status in (408, 409, 429, 500, 502, 503, 504, 529)),
    pytest.param(Html(502), id="an-html-page-with-502"),
    pytest.param(Html(200), id="an-html-page-with-200"),
    pytest.param(EMPTY, id="an-empty-200"),
    pytest.param(CUT_503, id="a-503-whose-body-is-cut"),
    pytest.param(Reset(), id="a-reset"),
    pytest.param(Hangup(), id="a-close-before-the-head"),
    pytest.param(Status(429, retry_after="0"), id="429-with-a-pause-of-zero"),
    pytest.param(Status(503, retry_after="1"), id="503-with-a-pause-that-fits"),
]


@STREAM_OR_WHOLE
@pytest.mark.parametrize("behaviour", RETRIED)
def test_retried(gateway: Gateway, up: FakeProvider, behaviour: Behaviour, stream: bool) -> None:
    """The same target again, and the client sees only the good answer and how many it took."""
    up.close_idle()
    up.script(behaviour, Answer())
    answer = ask(gateway, "alone", stream=stream)
    assert answer.status_code == 200
    assert answer.headers["x-penstock-attempts"] == "2"
    assert answer.headers["x-penstock-target"] == "a/first"
    assert asked(up) == ["first", "first"]
    assert "upstream." in answer.text


RETRIED_STREAMS = [
    pytest.param(ErrorEvent(), id="an-error-as-first-event"),
    pytest.param(Reset(after=0), id="a-reset-behind-the-head"),
    pytest.param(Hangup(after=0), id="a-close-behind-the-head"),
    pytest.param(RawEvents(()), id="no-event-at-all"),
    pytest.param(RawEvents((b": only a comment\n\n",)), id="only-a-comment"),
    pytest.param(RawEvents((b"data: [DONE]\n\n",)), id="only-an-end-mark"),
]


@pytest.mark.parametrize("behaviour", [Reset(after=0), Hangup(after=0)], ids=["a-reset", "a-close"])
def test_a_head_alone_is_retried(gateway: Gateway, up: FakeProvider, behaviour: Behaviour) -> None:
    """A 200 of which not one byte of the body came."""
    up.script(behaviour, Answer())
    answer = ask(gateway, "alone")
    assert (answer.status_code, answer.headers["x-penstock-attempts"]) == (200, "2")


@pytest.mark.parametrize("behaviour", RETRIED_STREAMS)
def test_a_stream_that_brought_nothing_is_retried(
    gateway: Gateway, up: FakeProvider, behaviour: Behaviour
) -> None:
    """Nothing of an answer was there, so nothing was spoken twice."""
    up.script(behaviour, Answer())
    answer = ask(gateway, "alone", stream=True)
    assert (answer.status_code, answer.headers["x-penstock-attempts"]) == (200, "2")
    assert answer.text.count('"role":"assistant"') == 1
    assert answer.text.endswith("data: [DONE]\n\n")


def test_a_timeout_before_the_first_byte_is_retried(gateway: Gateway, up: FakeProvider) -> None:
    """The target was silent once."""
    up.script(Silence(), Answer())
    answer = ask(gateway, "hasty", stream=True)
    assert (answer.status_code, answer.headers["x-penstock-attempts"]) == (200, "2")
    assert up.wait_closed(0)


@STREAM_OR_WHOLE
def test_at_most_max_attempts(gateway: Gateway, up: FakeProvider, stream: bool) -> None:
    """Three calls in all; then the failure goes to the client."""
    up.default = Status(500)
    answer = ask(gateway, "alone", stream=stream)
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "provider_error"
    assert asked(up) == ["first"] * 3
    line = gateway.wait_line(request_id=answer.headers["x-request-id"])
    assert (line["attempts"], line["outcome"], line["problem"]) == (3, "upstream_error", "provider_error")
    assert line["faults"] == ["http_500"] * 3


ORDERS = [
    pytest.param("alone", ["first", "first", "first"], id="alone-all-calls-are-its-own"),
    pytest.param("backed", ["first", "first", "second"], id="one-fallback-one-call-is-kept-for-it"),
    pytest.param("chain", ["first", "second", "third"], id="two-fallbacks-one-call-each"),
    pytest.param("long", ["first", "second", "third"], id="three-fallbacks-as-far-as-the-number-goes"),
]


@STREAM_OR_WHOLE
@pytest.mark.parametrize(("model", "order"), ORDERS)
def test_one_call_is_kept_for_each_fallback(
    gateway: Gateway, up: FakeProvider, model: str, order: list[str], stream: bool
) -> None:
    """A target with a fallback behind it is retried only with what is left."""
    up.default = Status(503)
    answer = ask(gateway, model, stream=stream)
    assert asked(up) == order
    assert answer.status_code == 502


def test_the_fallback_answers(gateway: Gateway, up: FakeProvider) -> None:
    """The headers tell the alias that was asked and the target that answered."""
    up.script(Status(500), Status(500), Answer(said=Said(model="second-2026")))
    answer = ask(gateway, "backed")
    assert answer.status_code == 200
    assert answer.headers["x-penstock-model"] == "backed"
    assert answer.headers["x-penstock-target"] == "b/second"
    assert answer.headers["x-penstock-attempts"] == "3"
    assert answer.json()["model"] == "second-2026"
    assert [request.headers["authorization"] for request in up.requests] == [
        "Bearer a-secret-key-1",
        "Bearer a-secret-key-1",
        "Bearer b-secret-key-2",
    ]


def test_a_fallback_of_the_other_dialect_answers(gateway: Gateway, up: FakeProvider) -> None:
    """The request is translated for it, and its answer back."""
    up.script(Status(500), Status(500), Answer())
    answer = ask(gateway, "to-a-claude", stream=True)
    assert [request.path for request in up.requests] == ["/v1/chat/completions"] * 2 + ["/v1/messages"]
    assert answer.headers["x-penstock-target"] == "claude/haiku"
    assert '"content":" upstream."' in answer.text
    assert answer.text.endswith("data: [DONE]\n\n")


LONG_PAUSES = [
    pytest.param(Status(429, retry_after="2.5"), 429, "3", "provider_rate_limited", id="429"),
    pytest.param(Status(429, retry_after="3600"), 429, "3600", "provider_rate_limited", id="429-for-an-hour"),
    pytest.param(Status(503, retry_after="60"), 503, "60", "provider_error", id="503"),
]


@STREAM_OR_WHOLE
@pytest.mark.parametrize(("behaviour", "status", "retry_after", "code"), LONG_PAUSES)
def test_a_pause_that_is_too_long_goes_to_the_client(
    gateway: Gateway,
    up: FakeProvider,
    behaviour: Behaviour,
    status: int,
    retry_after: str,
    code: str,
    stream: bool,
) -> None:
    """Nobody waits here for longer than max_wait_seconds: asked once, answered at once."""
    up.script(behaviour)
    began = time.monotonic()
    answer = ask(gateway, "alone", stream=stream)
    assert time.monotonic() - began < 1.5
    assert (answer.status_code, answer.headers["retry-after"]) == (status, retry_after)
    assert answer.json()["error"]["code"] == code
    assert len(up.requests) == 1


@pytest.mark.parametrize(
    "pause", [pytest.param("60", id="longer-than-may-be-waited"), pytest.param("1", id="one-that-would-fit")]
)
def test_with_a_fallback_nobody_waits(gateway: Gateway, up: FakeProvider, pause: str) -> None:
    """A Retry-After with an untried fallback means: next target at once."""
    up.script(Status(429, retry_after=pause), Answer())
    began = time.monotonic()
    answer = ask(gateway, "backed")
    assert time.monotonic() - began < 0.9
    assert (answer.status_code, answer.headers["x-penstock-target"]) == (200, "b/second")
    assert asked(up) == ["first", "second"]


def test_a_pause_that_fits_is_waited(gateway: Gateway, up: FakeProvider) -> None:
    """Not asked again before the provider's time."""
    up.script(Status(429, retry_after="0.4"), Answer())
    assert ask(gateway, "alone").status_code == 200
    first, second = up.requests
    assert second.arrived_at - first.arrived_at >= 0.4


def test_a_pause_may_be_a_date(gateway: Gateway, up: FakeProvider) -> None:
    """RFC 9110's other form of Retry-After; the client gets seconds."""
    up.script(Status(429, retry_after=formatdate(time.time() + 600, usegmt=True)))
    answer = ask(gateway, "alone")
    assert answer.status_code == 429
    assert 590 <= int(answer.headers["retry-after"]) <= 600


FIRST_EVENTS = [
    pytest.param({"code": 502, "message": "x"}, 502, "provider_error", 3, id="a-status-as-code"),
    pytest.param({"code": 429, "message": "x"}, 429, "provider_rate_limited", 3, id="429-as-code"),
    pytest.param({"type": "rate_limit_error", "message": "x"}, 429, "provider_rate_limited", 3, id="by-type"),
    pytest.param({"type": "overloaded_error", "message": "x"}, 502, "provider_error", 3, id="overloaded"),
    pytest.param({"type": "authentication_error", "message": "x"}, 502, "provider_auth", 1, id="credentials"),
    pytest.param("x", 502, "provider_error", 3, id="a-string"),
]


@pytest.mark.parametrize(("error", "status", "code", "calls"), FIRST_EVENTS)
def test_an_error_as_first_event_is_an_http_error(
    gateway: Gateway, up: FakeProvider, error: object, status: int, code: str, calls: int
) -> None:
    """Its words stand for the status that it lacks."""
    up.default = RawEvents((b"data: " + msgspec.json.encode({"error": error}) + b"\n\n",))
    answer = ask(gateway, "alone", stream=True)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert len(up.requests) == calls


def test_all_waits_together_are_bounded(gateway: Gateway, up: FakeProvider) -> None:
    """1.2 s twice is more than two seconds: the second pause goes to the client."""
    up.default = Status(429, retry_after="1.2")
    answer = ask(gateway, "alone")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert len(up.requests) == 2


@STREAM_OR_WHOLE
@pytest.mark.parametrize("status", [401, 403, 404])
def test_passed_on_not_repeated(gateway: Gateway, up: FakeProvider, status: int, stream: bool) -> None:
    """Another target may have other credentials and models."""
    up.script(Status(status), Answer())
    answer = ask(gateway, "backed", stream=stream)
    assert (answer.status_code, answer.headers["x-penstock-attempts"]) == (200, "2")
    assert asked(up) == ["first", "second"]


@pytest.mark.parametrize("status", [401, 403])
def test_bad_credentials_alone(gateway: Gateway, up: FakeProvider, status: int) -> None:
    """Asked once; it is the operator's to repair, and the provider's words, half a key maybe, stay here."""
    up.script(Status(status, message="Incorrect API key provided: a-secr*****ey-1.", code="invalid_api_key"))
    answer = ask(gateway, "alone")
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "provider_auth"
    assert "a-secr" not in answer.text
    assert len(up.requests) == 1


FINAL = [pytest.param(status, id=str(status)) for status in (400, 413, 422)]


@STREAM_OR_WHOLE
@pytest.mark.parametrize("status", FINAL)
def test_final(gateway: Gateway, up: FakeProvider, status: int, stream: bool) -> None:
    """The request itself is at fault: no retry, no fallback, and the provider's own words."""
    up.script(Status(status, message="No such field.", type="bad", code="nope", param="messages"))
    answer = ask(gateway, "backed", stream=stream)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["error"] == {
        "message": "No such field.",
        "type": "bad",
        "param": "messages",
        "code": "nope",
    }
    assert len(up.requests) == 1


def test_a_404_alone_keeps_the_providers_words(gateway: Gateway, up: FakeProvider) -> None:
    """Nobody else is there to ask."""
    up.script(Status(404, message="No such model.", type="t", code="model_not_found", param="model"))
    answer = ask(gateway, "alone")
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "No such model."
    assert answer.json()["error"]["code"] == "model_not_found"
    assert len(up.requests) == 1


CONTENT_FILTERS = [
    pytest.param(Status(400, code="content_filter"), id="as-azure-says-it"),
    pytest.param(ErrorEvent(code="content_filter"), id="as-an-error-event"),
]


@pytest.mark.parametrize("behaviour", CONTENT_FILTERS)
def test_a_content_filter_is_final(gateway: Gateway, up: FakeProvider, behaviour: Behaviour) -> None:
    """What one provider filters isn't carried to the next."""
    up.script(behaviour)
    answer = ask(gateway, "backed", stream=True)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "content_filter"
    assert len(up.requests) == 1


ONCE = [
    pytest.param(TruncatedJson(), id="cut-json"),
    pytest.param(TruncatedJson(honest=True), id="cut-json-of-honest-length"),
    pytest.param(BrokenUtf8(), id="not-utf-8"),
    pytest.param(Json(b'{"choices": [}'), id="not-json"),
    pytest.param(Json(b"ok"), id="plain-text"),
    pytest.param(Json(b"data: {}\n\n"), id="events-that-nobody-asked-for"),
    pytest.param(Json(b"[]"), id="no-object"),
    pytest.param(Json(b'{"choices": [], "choices"'), id="unfinished-json"),
]


@pytest.mark.parametrize("behaviour", ONCE)
def test_a_broken_whole_answer_is_asked_for_once(
    gateway: Gateway, up: FakeProvider, behaviour: Behaviour
) -> None:
    """Its body had begun, so it may have been billed."""
    up.script(behaviour)
    answer = ask(gateway, "backed")
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "provider_error"
    assert len(up.requests) == 1
    line = gateway.wait_line(request_id=answer.headers["x-request-id"])
    assert (line["attempts"], line["problem"]) == (1, "provider_error")


ONCE_BEGUN = [
    pytest.param(Reset(after=2), id="a-reset"),
    pytest.param(Hangup(after=2), id="a-cut"),
    pytest.param(Hangup(after=2, framing="close"), id="a-cut-that-http-does-not-see"),
    pytest.param(NoFinishReason(), id="an-end-without-a-reason"),
    pytest.param(NoFinishReason(done=False), id="an-end-without-reason-and-mark"),
    pytest.param(ErrorEvent(after=2), id="an-error-event"),
    pytest.param(ErrorEvent(after=2, done=True), id="an-error-event-and-done"),
    pytest.param(BrokenUtf8(after=2), id="broken-utf-8"),
]


@pytest.mark.parametrize("behaviour", ONCE_BEGUN)
def test_a_broken_stream_is_asked_for_once(gateway: Gateway, up: FakeProvider, behaviour: Behaviour) -> None:
    """One error event, then the end: no stop, no end mark, no second answer."""
    up.script(behaviour)
    answer = ask(gateway, "backed", stream=True)
    assert answer.status_code == 200
    sent = whole_without_ids(answer.content, answer.headers["x-stream-id"])
    *_, last = sent.removesuffix(b"\n\n").split(b"\n\n")
    assert last.startswith(b'data: {"error":')
    assert b'"code":"provider_error"' in last
    assert "[DONE]" not in answer.text and '"finish_reason":"stop"' not in answer.text
    assert answer.text.count('"error":{') == 1
    assert len(up.requests) == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(Status(400, message="Call http://127.0.0.1:{port}/v1 with sk-abcdefgh12345."), id="400"),
        pytest.param(Status(404, message="http://127.0.0.1:{port} knows no a-secret-key-1."), id="404"),
        pytest.param(Status(500, message="http://127.0.0.1:{port} is down for a-secret-key-1"), id="500"),
        pytest.param(Status(429, message="http://127.0.0.1:{port} limits a-secret-key-1"), id="429"),
        pytest.param(Reset(), id="reset"),
        pytest.param(ErrorEvent(message="127.0.0.1:{port} broke for a-secret-key-1"), id="error-event"),
        pytest.param(ErrorEvent(after=2, message="http://127.0.0.1:{port} broke"), id="later-error-event"),
    ],
)
@STREAM_OR_WHOLE
def test_no_address_and_no_key_in_any_answer(
    gateway: Gateway, up: FakeProvider, behaviour: Behaviour, stream: bool
) -> None:
    """Whatever the provider says, where it lives and what it is paid with stays here."""
    up.default = _with_port(behaviour, up.port)
    answer = ask(gateway, "alone", stream=stream)
    told = answer.text + str(answer.headers)
    assert str(up.port) not in told
    assert "secret-key" not in told and "sk-abcdefgh" not in told


def _with_port(behaviour: Behaviour, port: int) -> Behaviour:
    if isinstance(behaviour, Status):
        return Status(behaviour.status, message=behaviour.message.format(port=port))
    if isinstance(behaviour, ErrorEvent):
        return ErrorEvent(behaviour.after, message=behaviour.message.format(port=port))
    return behaviour


def test_a_provider_that_is_away(start_gateway: StartGateway) -> None:
    """Nobody listens: all attempts, then 502 without the address."""
    gateway = start_gateway(provider_toml("gone", "openai", "http://127.0.0.1:9"), {"GONE_KEY": "k"})
    answer = ask(gateway, "gone/m")
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "provider_error"
    assert "127.0.0.1:9" not in answer.text
    assert gateway.wait_line(request_id=answer.headers["x-request-id"])["attempts"] == 3


def test_weights(gateway: Gateway, up: FakeProvider) -> None:
    """Three to one over 200 requests, within what chance allows (six sigma), and never weight 0."""
    with httpx.Client(base_url=gateway.openai_url, trust_env=False, verify=NO_TLS) as client:
        body = {"model": "weighted", "messages": [{"role": "user", "content": "Hi"}]}
        targets = [
            client.post("/chat/completions", json=body).headers["x-penstock-target"] for _ in range(200)
        ]
    assert set(targets) == {"a/heavy", "b/light"}
    assert 113 <= targets.count("a/heavy") <= 187


def test_weight_zero_is_fallen_back_to(gateway: Gateway, up: FakeProvider) -> None:
    """The other targets of an alias are its first fallbacks, in the order written."""
    up.script(Status(500), Status(500), Answer())
    answer = ask(gateway, "weighted")
    assert answer.headers["x-penstock-target"] == "b/spare"
    assert sorted(asked(up)[:2]) == ["heavy", "light"]
