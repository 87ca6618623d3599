"""What an operator sees: the access line, the metrics, the health routes; and what nobody may see."""

from collections.abc import Iterator
from datetime import datetime

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.conftest import StartGateway
from tests.e2e.gateway import Gateway, eventually
from tests.e2e.raw import Peer, Reply, ask, get, post, request
from tests.fakes import faults
from tests.fakes.answers import Said
from tests.fakes.behaviours import Answer, Behaviour, Json, Status
from tests.fakes.provider import FakeProvider

CHAT = "/v1/chat/completions"

PROVIDER_KEY = "sk-provider-5ecre7-0123456789abcdef"
SECRET = "s3cr3t-5ecre7"
"""In everything that a client or a provider sends and no log or error may repeat."""


@pytest.fixture(scope="module")
def gateway(start_gateway: StartGateway, provider: FakeProvider) -> Gateway:
    return start_gateway(
        f"""
        [[providers]]
        name = "up"
        kind = "openai"
        base_url = "{provider.base_url}"
        api_key = "env:UP_KEY"
        [[providers]]
        name = "open"
        kind = "openai"
        base_url = "{provider.base_url}"
        api_key = "env:UP_KEY"
        [[models]]
        name = "m"
        targets = [{{ provider = "up", model = "x" }}]
        price = {{ input = 1.0, output = 2.0, cached_input = 0.5 }}
        [retries]
        max_attempts = 2
        max_wait_seconds = 0.2
        """,
        {"UP_KEY": PROVIDER_KEY},
    )


@pytest.fixture
def fresh(start_gateway: StartGateway, up: FakeProvider) -> Gateway:
    """A gateway whose counters are all at nothing."""
    return start_gateway(
        f'[[providers]]\nname = "open"\nkind = "openai"\nbase_url = "{up.base_url}"\n'
        "[retries]\nmax_attempts = 2\n"
    )


def body(model: str = "m", *, stream: bool = False, content: str = "Hi") -> bytes:
    """A chat completion's body."""
    message = {"role": "user", "content": content}
    return msgspec.json.encode({"model": model, "stream": stream, "messages": [message]})


def line_for(gateway: Gateway, request_id: str, data: bytes) -> dict[str, object]:
    """The access line of one chat completion."""
    post(gateway.base_url, CHAT, data, b"X-Request-ID: " + request_id.encode())
    return gateway.wait_line(request_id=request_id)


def test_the_line_of_a_whole_answer(gateway: Gateway, up: FakeProvider) -> None:
    """All that the contract names, and JSON on one line."""
    up.script(Answer(said=Said(input_tokens=100, cached_input_tokens=40, output_tokens=10)))
    line = line_for(gateway, "whole", body())
    assert line["event"] == "request"
    assert (line["method"], line["path"], line["status"]) == ("POST", CHAT, 200)
    assert (line["model"], line["target"], line["attempts"]) == ("m", "up/x", 1)
    assert (line["input_tokens"], line["output_tokens"], line["tokens"]) == (100, 10, 110)
    assert line["cost_usd"] == pytest.approx((60 * 1.0 + 40 * 0.5 + 10 * 2.0) / 1e6)
    assert line["outcome"] == "complete"
    assert isinstance(line["duration_ms"], float) and 0 < line["duration_ms"] < 10_000
    assert datetime.fromisoformat(str(line["timestamp"])).tzinfo is not None


def test_the_line_of_a_stream(gateway: Gateway, up: FakeProvider) -> None:
    """Tokens as the provider reported them, though the client didn't ask for usage."""
    up.script(Answer(said=Said(input_tokens=100, output_tokens=10)))
    line = line_for(gateway, "streamed", body(stream=True))
    assert (line["status"], line["outcome"], line["stream"], line["tokens"]) == (200, "complete", True, 110)
    assert isinstance(line["first_token_ms"], float)
    assert 0 < line["first_token_ms"] <= float(str(line["duration_ms"]))


@pytest.mark.parametrize(
    ("behaviours", "status", "outcome", "problem", "count"),
    [
        pytest.param(
            (Status(429), Status(429)), 429, "upstream_error", "provider_rate_limited", 2, id="limit"
        ),
        pytest.param((Status(500), Status(503)), 502, "upstream_error", "provider_error", 2, id="failure"),
        pytest.param((Status(401),), 502, "upstream_error", "provider_auth", 1, id="credentials"),
        pytest.param((faults.TruncatedJson(),), 502, None, "provider_error", 1, id="truncated"),
    ],
)
def test_the_line_of_a_failure(
    gateway: Gateway,
    up: FakeProvider,
    behaviours: tuple[Behaviour, ...],
    status: int,
    outcome: str | None,
    problem: str,
    count: int,
) -> None:
    up.script(*behaviours)
    line = line_for(gateway, f"failed-{status}-{problem}-{count}", body())
    assert (line["status"], line["problem"], line["attempts"]) == (status, problem, count)
    assert outcome is None or line["outcome"] == outcome
    assert isinstance(line["faults"], list) and len(line["faults"]) == count


def test_the_line_of_a_refusal(gateway: Gateway) -> None:
    """No provider was asked."""
    line = line_for(gateway, "refused", b"{")
    assert (line["status"], line["outcome"], line["problem"]) == (400, "refused", "invalid_request")
    assert "target" not in line


def test_each_request_has_one_line(gateway: Gateway, up: FakeProvider) -> None:
    """Whatever it was for."""
    for path in ("/livez", "/nowhere", "/metrics", "/docs"):
        get(gateway.base_url, path, b"X-Request-ID: one" + path.replace("/", "-").encode())
    gateway.wait_line(request_id="one-docs")
    for path in ("/livez", "/nowhere", "/metrics", "/docs"):
        lines = [line for line in gateway.lines if line["request_id"] == "one" + path.replace("/", "-")]
        assert [line["path"] for line in lines] == [path]


def test_a_trace_is_followed(gateway: Gateway) -> None:
    """The trace id of `traceparent` is in the line."""
    trace = b"0af7651916cd43dd8448eb211c80319c"
    get(
        gateway.base_url,
        "/livez",
        b"traceparent: 00-" + trace + b"-b7ad6b7169203331-01",
        b"X-Request-ID: traced",
    )
    assert gateway.wait_line(request_id="traced")["trace_id"] == trace.decode()


def secretive_answers(gateway: Gateway, up: FakeProvider) -> Iterator[Reply]:
    """Requests with the secret everywhere, each sent to its own kind of trouble."""
    lines = (
        b"Authorization: Bearer psk_" + SECRET.encode(),
        b"x-api-key: " + SECRET.encode(),
        b"Cookie: session=" + SECRET.encode(),
        b"X-Other: " + SECRET.encode(),
    )
    troubles: list[tuple[Behaviour, ...]] = [
        (Answer(),),
        (Status(401, message=f"Incorrect API key provided: {PROVIDER_KEY}."),),
        (Status(400, message=f"Bad request at https://internal.example/{SECRET} with {PROVIDER_KEY}"),),
        (Status(500, message=f"Key {PROVIDER_KEY} broke"), Status(500, message=PROVIDER_KEY)),
        (Json(b'{"oops": "' + SECRET.encode()),),
        (faults.Reset(), faults.Reset()),
        (faults.TruncatedJson(),),
        (faults.ErrorEvent(message=f"Bearer {PROVIDER_KEY} refused"),) * 2,
        (faults.ErrorEvent(after=2, message=f"Bearer {PROVIDER_KEY} refused"),),
    ]
    query = f"?api_key={SECRET}&ticket={SECRET}"
    for stream in (False, True):
        for trouble in troubles:
            up._script.clear()
            up.script(*trouble)
            yield post(gateway.base_url, CHAT + query, body(stream=stream, content=SECRET), *lines)
    up._script.clear()
    for bad in (
        b'{"model":"m","messages":[{"role":"user","content":"' + SECRET.encode() + b'"}],"temperature":9}',
        b'{"model":"m","user":5,"messages":"' + SECRET.encode() + b'"}',
        b'{"' + SECRET.encode(),
    ):
        yield post(gateway.base_url, CHAT + query, bad, *lines)
    yield get(gateway.base_url, f"/livez{query}", *lines)
    yield get(gateway.base_url, f"/nowhere{query}", *lines)
    yield ask(gateway.base_url, request(b"PUT", f"{CHAT}{query}".encode(), *lines))
    yield ask(gateway.base_url, request(b"BREW", f"/livez{query}".encode(), *lines))
    yield ask(gateway.base_url, request(b"GET", f"/livez{query}".encode(), *lines, host=b"evil.example"))


def test_no_secret_is_in_any_log_or_error(gateway: Gateway, up: FakeProvider) -> None:
    """Neither a client's, nor the operator's, nor what was asked and answered, nor a query, nor an address."""
    replies = list(secretive_answers(gateway, up))
    post(gateway.base_url, CHAT, body(), b"X-Request-ID: end-of-secrets")
    gateway.wait_line(request_id="end-of-secrets")
    for asked in up.requests:
        assert SECRET not in str(asked.headers)
        assert asked.headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    for reply in replies:
        shown = reply.body.decode() + str(dict(reply.headers))
        assert PROVIDER_KEY not in shown
        assert f"127.0.0.1:{up.port}" not in shown
        assert reply.status == 200 or SECRET not in shown
    for secret in (SECRET, PROVIDER_KEY, "Hello from upstream", "api_key=", "ticket=", "internal.example"):
        assert secret not in gateway.log, secret
        assert secret not in gateway.stderr, secret


def test_contents_are_not_in_the_log(gateway: Gateway, up: FakeProvider) -> None:
    """Nor those of an answer that broke."""
    for behaviour in (
        faults.RawEvents(
            (b'data: {"choices":[{"delta":{"content":"very private"}}]}\n\n', b"data: {very private\n\n")
        ),
        Json(b'{"choices": "very private"}'),
        Json({"error": {"message": "You said: very private", "type": "x"}}, status=422),
    ):
        up._script.clear()
        up.script(behaviour)
        stream = isinstance(behaviour, faults.RawEvents)
        post(gateway.base_url, CHAT, body(stream=stream, content="very private"))
    post(gateway.base_url, CHAT, body(), b"X-Request-ID: end-of-contents")
    gateway.wait_line(request_id="end-of-contents")
    assert "very private" not in gateway.log


def samples(gateway: Gateway) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """`/metrics` as Prometheus' own parser reads it: by name and labels."""
    reply = get(gateway.base_url, "/metrics")
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(reply.body.decode())
        for sample in family.samples
    }


def total(gateway: Gateway, name: str, **labels: str) -> float:
    """The sum of a metric's series that have these labels."""
    return sum(
        value
        for (found, have), value in samples(gateway).items()
        if found == name and labels.items() <= dict(have).items()
    )


def test_metrics_count_right(fresh: Gateway, up: FakeProvider) -> None:
    """Requests, attempts, tokens, durations."""
    for number in range(3):
        up.script(Answer(said=Said(input_tokens=7, output_tokens=5)))
        post(fresh.base_url, CHAT, body("open/x", stream=number == 0))
    up.script(Status(500), Status(500))
    post(fresh.base_url, CHAT, body("open/x"))
    post(fresh.base_url, CHAT, b"{")
    post(fresh.base_url, CHAT, b"{}", b"X-Request-ID: counted")
    fresh.wait_line(request_id="counted")
    assert total(fresh, "penstock_requests_total", route=CHAT) == 6
    assert total(fresh, "penstock_requests_total", route=CHAT, status="200", outcome="complete") == 3
    assert total(fresh, "penstock_requests_total", route=CHAT, status="400") == 2
    assert total(fresh, "penstock_requests_total", route=CHAT, status="502") == 1
    assert total(fresh, "penstock_request_duration_seconds_count", route=CHAT) == 6
    assert total(fresh, "penstock_request_duration_seconds_bucket", route=CHAT, le="+Inf") == 6
    assert total(fresh, "penstock_attempts_total") == 5
    assert total(fresh, "penstock_attempt_faults_total") == 2
    assert total(fresh, "penstock_tokens_total", **{"class": "input"}) == 21
    assert total(fresh, "penstock_tokens_total", **{"class": "output"}) == 15
    assert total(fresh, "penstock_time_to_first_event_seconds_count") == 1


def test_series_are_bounded(fresh: Gateway, up: FakeProvider) -> None:
    """A thousand made-up models, paths and methods make no thousand series, and everything is still counted."""
    with Peer(fresh.base_url) as peer:
        for number in range(1_000):
            peer.send(request(b"POST", CHAT.encode(), body=body(f"open/model-{number}")))
            assert peer.reply().status == 200
            peer.send(request(b"POST", CHAT.encode(), body=body(f"nobody/{number}")))
            assert peer.reply().status == 404
            peer.send(request(b"GET", b"/made-up/%d" % number))
            assert peer.reply().status == 404
        peer.send(request(b"GET", b"/livez", b"X-Request-ID: bounded"))
        assert peer.reply().status == 200
    fresh.wait_line(request_id="bounded")
    assert total(fresh, "penstock_requests_total", route=CHAT) == 2_000
    assert total(fresh, "penstock_attempts_total") == 1_000
    assert len(samples(fresh)) < 3_000
    labels = str(list(samples(fresh)))
    assert "nobody/" not in labels
    assert "made-up" not in labels
    assert len(get(fresh.base_url, "/health").body) < 200_000


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/livez", id="livez"),
        pytest.param("/readyz", id="readyz"),
        pytest.param("/healthz", id="healthz"),
    ],
)
def test_health_routes(gateway: Gateway, path: str) -> None:
    """What orchestrators ask."""
    reply = get(gateway.base_url, path)
    assert (reply.status, reply.json) == (200, {"status": "ok"})
    assert reply.headers["content-type"].startswith("application/json")


def test_readyz_names_its_checks(gateway: Gateway) -> None:
    """With ?verbose more than the status."""
    reply = get(gateway.base_url, "/readyz?verbose")
    assert reply.json["status"] == "ok"
    assert len(reply.json) > 1


def test_health_follows_the_models(fresh: Gateway, up: FakeProvider) -> None:
    """From what passed through: no provider is asked, and a failure shows as a code, not as its text."""
    assert get(fresh.base_url, "/health").json["status"] == "ok"
    assert not up.requests

    def status_of(model: str) -> object:
        models = get(fresh.base_url, "/health").json.get("models", {})
        return models.get(model) if isinstance(models, dict) else None

    post(fresh.base_url, CHAT, body("open/good"))
    good = eventually(lambda: status_of("open/good"))
    assert isinstance(good, dict)
    assert good["last_error"] is None
    assert good["last_success_at"]
    assert good["latency_ms_p50"] > 0
    up.script(Status(500, message="private text"), Status(500, message="private text"))
    post(fresh.base_url, CHAT, body("open/bad"))
    bad = eventually(lambda: status_of("open/bad"))
    assert isinstance(bad, dict)
    assert bad["last_error"] == "provider_error"
    health = get(fresh.base_url, "/health")
    assert health.status == 200
    assert health.json["status"] == "degraded"
    assert b"private text" not in health.body
    assert health.json.keys() >= {"status", "version", "uptime_seconds", "model", "embedding_model", "models"}
    assert get(fresh.base_url, "/readyz").status == 200
