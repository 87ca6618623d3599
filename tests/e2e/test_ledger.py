"""Every request that reached a provider has one row, whatever its end was."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.e2e.admin import AUTH_TOML, Admin
from tests.e2e.conftest import StartGateway
from tests.e2e.gateway import NO_TLS, Gateway, forget
from tests.e2e.raw import Peer, request
from tests.fakes import faults
from tests.fakes.answers import Said
from tests.fakes.behaviours import Answer, Behaviour, Status
from tests.fakes.gate import Gate
from tests.fakes.provider import FakeProvider

CHAT, MESSAGES, EMBEDDINGS = "/v1/chat/completions", "/v1/messages", "/v1/embeddings"
SIMPLE, SIMPLE_STREAM = "/chat", "/stream"

PRICED = "price = { input = 1.0, output = 2.0 }"


def config(up: FakeProvider, more: str = "") -> str:
    """One model at one provider, without retries, with clocks that tests can wait for."""
    return f"""
        {AUTH_TOML}
        [retries]
        max_attempts = 1
        [timeouts]
        connect_seconds = 2
        first_token_seconds = 0.8
        answer_seconds = 0.8
        idle_seconds = 0.8
        total_seconds = 5
        {more}
        [[providers]]
        name = "up"
        kind = "openai"
        base_url = "{up.base_url}"
        [[models]]
        name = "m"
        targets = [{{ provider = "up", model = "x" }}]
        {PRICED}
        [[providers]]
        name = "claude"
        kind = "anthropic"
        base_url = "{up.origin}"
        [[models]]
        name = "c"
        targets = [{{ provider = "claude", model = "x" }}]
        {PRICED}
        """


@pytest.fixture(scope="module")
def gateway(start_gateway: StartGateway, provider: FakeProvider) -> Gateway:
    return start_gateway(config(provider, "[streams]\nlinger_seconds = 0.2"))


@pytest.fixture
def admin(gateway: Gateway) -> Iterator[Admin]:
    """The administrator of the module's gateway."""
    made = Admin(gateway)
    yield made
    made.close()


def body_for(path: str, *, stream: bool, model: str = "m") -> bytes:
    """A request's body for any of the routes; eight bytes of text."""
    text = "Hi there"
    if path in {SIMPLE, SIMPLE_STREAM}:
        return msgspec.json.encode({"model": model, "message": text})
    if path == EMBEDDINGS:
        return msgspec.json.encode({"model": model, "input": text})
    body: dict[str, object] = {"model": model, "messages": [{"role": "user", "content": text}]}
    body |= {"stream": True} if stream else {}
    return msgspec.json.encode(body | ({"max_tokens": 50} if path == MESSAGES else {}))


KINDS: dict[str, tuple[str, bool]] = {
    "chat-json": (CHAT, False),
    "chat-stream": (CHAT, True),
    "messages-json": (MESSAGES, False),
    "messages-stream": (MESSAGES, True),
    "embeddings": (EMBEDDINGS, False),
    "simple-json": (SIMPLE, False),
    "simple-stream": (SIMPLE_STREAM, True),
}
"""Route, and whether it is asked for a stream."""

SURFACES = [pytest.param(*kind, id=name) for name, kind in KINDS.items()]
STREAMS = [pytest.param(*kind, id=name) for name, kind in KINDS.items() if kind[1]]


def send(gateway: Gateway, path: str, stream: bool, request_id: str, model: str = "m") -> httpx.Response:
    """The whole answer."""
    return httpx.post(
        gateway.origin + path,
        content=body_for(path, stream=stream, model=model),
        headers={"Content-Type": "application/json", "X-Request-ID": request_id},
        trust_env=False,
        verify=NO_TLS,
        timeout=20.0,
    )


ON_DISCONNECT = b"X-Penstock-On-Disconnect: %b"


def ask_for(path: str, stream: bool, request_id: str, *lines: bytes) -> bytes:
    """The same request as bytes, with further header lines."""
    line = b"X-Request-ID: " + request_id.encode()
    return request(b"POST", path.encode(), line, *lines, body=body_for(path, stream=stream))


def only_row(admin: Admin, request_id: str) -> dict[str, object]:
    """The one row of this request; a second one would have come with it."""
    [row] = admin.wait_rows(1, request_id=request_id)
    return row


MODELS = {"openai": "m", "anthropic": "c"}

FAILURES: dict[str, tuple[Behaviour, str, bool]] = {
    "500": (Status(500), "upstream_error", False),
    "400": (Status(400), "upstream_error", False),
    "reset-before-a-byte": (faults.Reset(), "upstream_error", False),
    "silence": (faults.Silence(), "timeout", True),
}
"""What the provider does, the row's outcome, and whether tokens were used."""

BREAKS: dict[str, tuple[Behaviour, str]] = {
    "reset": (faults.Reset(after=3), "upstream_truncated"),
    "hangup": (faults.Hangup(after=3), "upstream_truncated"),
    "no-finish-reason": (faults.NoFinishReason(), "upstream_truncated"),
    "error-event": (faults.ErrorEvent(after=3), "upstream_error"),
    "idle": (faults.Silence(after=3), "timeout"),
}


def named(kind: str, path: str, stream: bool, what: str) -> str:
    """The ID of the request of that kind."""
    return f"{kind}{path.replace('/', '-')}-{'stream' if stream else 'json'}-{what}"


@pytest.fixture(scope="module")
def answers(gateway: Gateway, provider: FakeProvider) -> dict[str, httpx.Response]:
    """By their IDs, the answers to all requests of the tables, whose rows are then waited for together."""
    found: dict[str, httpx.Response] = {}

    def play(request_id: str, path: str, stream: bool, behaviour: Behaviour, model: str = "m") -> None:
        provider.script(behaviour)
        found[request_id] = send(gateway, path, stream, request_id, model)

    forget(provider)
    good = Answer(said=Said("one two three", input_tokens=7, output_tokens=3))
    for path, stream in KINDS.values():
        for provider_name, model in MODELS.items():
            asked = "m" if path == EMBEDDINGS else model
            play(named("whole", path, stream, provider_name), path, stream, good, asked)
        for what, (behaviour, *_) in FAILURES.items():
            play(named("before", path, stream, what), path, stream, behaviour)
        for what, (behaviour, _) in BREAKS.items() if stream else ():
            play(named("break", path, stream, what), path, stream, behaviour)
    return found


@pytest.mark.parametrize("at", MODELS)
@pytest.mark.parametrize(("path", "stream"), SURFACES)
def test_a_complete_answer(
    answers: dict[str, httpx.Response], admin: Admin, path: str, stream: bool, at: str
) -> None:
    """The provider's own figures, at the configured price."""
    request_id = named("whole", path, stream, at)
    assert answers[request_id].status_code == 200
    row = only_row(admin, request_id)
    output = 0 if path == EMBEDDINGS else 3
    assert (row["outcome"], row["estimated"], row["attempts"]) == ("complete", False, 1)
    assert (row["input_tokens"], row["output_tokens"]) == (7, output)
    assert row["cost_usd"] == pytest.approx((7 * 1.0 + output * 2.0) / 1e6, abs=1e-12)
    model = "m" if path == EMBEDDINGS else MODELS[at]
    assert (row["route"], row["model"], row["price_version"]) == (path, model, "config")


@pytest.mark.parametrize("what", FAILURES)
@pytest.mark.parametrize(("path", "stream"), SURFACES)
def test_a_provider_that_fails_before_its_answer(
    answers: dict[str, httpx.Response], admin: Admin, path: str, stream: bool, what: str
) -> None:
    """A row all the same; tokens only where the provider may have worked."""
    _, outcome, used = FAILURES[what]
    request_id = named("before", path, stream, what)
    assert answers[request_id].status_code >= 400
    row = only_row(admin, request_id)
    assert (row["outcome"], row["input_tokens"] != 0) == (outcome, used)
    assert (row["output_tokens"], row["estimated"]) == (0, used)


@pytest.mark.parametrize("what", BREAKS)
@pytest.mark.parametrize(("path", "stream"), STREAMS)
def test_a_stream_that_breaks(
    answers: dict[str, httpx.Response], admin: Admin, path: str, stream: bool, what: str
) -> None:
    """What came of it was used, and is counted as an estimate."""
    request_id = named("break", path, stream, what)
    answer = answers[request_id]
    assert answer.status_code == 200 and "[DONE]" not in answer.text
    row = only_row(admin, request_id)
    assert row["outcome"] == BREAKS[what][1]
    assert int(str(row["output_tokens"])) > 0 and int(str(row["input_tokens"])) > 0


@pytest.mark.parametrize("policy", ["cancel", "linger"])
@pytest.mark.parametrize(("path", "stream"), SURFACES)
def test_a_client_that_leaves(
    gateway: Gateway, up: FakeProvider, admin: Admin, path: str, stream: bool, policy: str
) -> None:
    """What was generated until then; a stream waits a little for its client to come back."""
    request_id = f"gone{path.replace('/', '-')}{stream}{policy}"
    # Longer than it waits, and never silent for as long as the provider may be.
    said = Said("one two three four five six " * 8)
    up.script(Answer(said=said, interval_seconds=0.1) if stream else Answer(said=said, head_gate=Gate()))
    with Peer(gateway.origin) as peer:
        peer.send(ask_for(path, stream, request_id, ON_DISCONNECT % policy.encode()))
        if stream:
            peer.head()
            peer.body_until(b"one" if path != MESSAGES else b"message_start")
        else:
            assert up.wait_requests(1)
    row = only_row(admin, request_id)
    assert (row["outcome"], row["estimated"]) == ("client_abort", True)
    assert int(str(row["input_tokens"])) > 0
    if stream and path != MESSAGES:
        assert int(str(row["output_tokens"])) > 0


def test_a_stream_that_goes_on_without_its_client(gateway: Gateway, up: FakeProvider, admin: Admin) -> None:
    """To its end, so the provider's own figures are the row's."""
    said = Said("one two three four five six", input_tokens=9, output_tokens=6)
    up.script(Answer(said=said, interval_seconds=0.1))
    with Peer(gateway.origin) as peer:
        peer.send(ask_for(CHAT, True, "alone", ON_DISCONNECT % b"finish"))
        peer.head()
        peer.body_until(b"one")
    row = only_row(admin, "alone")
    assert (row["outcome"], row["estimated"]) == ("complete", False)
    assert (row["input_tokens"], row["output_tokens"]) == (9, 6)


def test_a_killed_gateway(tmp_path: Path, up: FakeProvider) -> None:
    """kill -9 loses no row of a finished request, and leaves one for each that ran; each exactly once."""
    with Gateway(tmp_path) as gateway:
        gateway.start(config(up, "[usage]").replace("idle_seconds = 0.8", "idle_seconds = 60"))
        for number in range(5):
            up.script(Answer(said=Said("one two")))
            assert send(gateway, CHAT, False, f"done-{number}").status_code == 200
        gate = Gate()
        gate.release(4)
        up.script(Answer(said=Said("one two three four five six"), gate=gate))
        with Peer(gateway.origin) as peer:
            peer.send(ask_for(CHAT, True, "cut"))
            peer.head()
            peer.body_until(b"one")
            os.killpg(gateway.pid, signal.SIGKILL)
            gateway.wait()
        gateway.start(gateway.config_path.read_text())
        admin = Admin(gateway)
        rows = {str(row["request_id"]): row for row in admin.wait_rows(6)}
        assert len(admin.rows()) == 6
        admin.close()
    assert rows["cut"]["outcome"] == "gateway_crash" and rows["cut"]["input_tokens"] > 0
    assert {rows[f"done-{number}"]["outcome"] for number in range(5)} == {"complete"}


def test_a_gateway_that_is_told_to_stop(tmp_path: Path, up: FakeProvider) -> None:
    """Streams that the drain's limit cuts have their row when the next one starts."""
    with Gateway(tmp_path) as gateway:
        gateway.start(
            config(up, "[server]\ndrain_seconds = 0.3").replace("idle_seconds = 0.8", "idle_seconds = 60")
        )
        gate = Gate()
        gate.release(4)
        up.script(Answer(said=Said("one two three four five six"), gate=gate))
        with Peer(gateway.origin) as peer:
            peer.send(ask_for(CHAT, True, "cut"))
            peer.head()
            peer.body_until(b"one")
            gateway.send_signal(signal.SIGTERM)
            peer.body_until(b"server_shutdown")
            assert gateway.wait() == 0
        gateway.start(gateway.config_path.read_text())
        admin = Admin(gateway)
        [row] = admin.wait_rows(1)
        admin.close()
    assert (row["outcome"], row["request_id"]) == ("cancelled", "cut")
    assert row["output_tokens"] > 0


def test_a_client_that_leaves_where_the_bill_is_wanted(tmp_path: Path, up: FakeProvider) -> None:
    """With on_abort = "drain" the provider finishes, and its own figures are the row's."""
    with Gateway(tmp_path) as gateway:
        drain = '[usage]\non_abort = "drain"'
        gateway.start(config(up, drain).replace("idle_seconds = 0.8", "idle_seconds = 60"))
        up.script(
            Answer(
                said=Said("one two three four five six", input_tokens=9, output_tokens=6),
                interval_seconds=0.2,
            )
        )
        with Peer(gateway.origin) as peer:
            peer.send(ask_for(CHAT, True, "drained", ON_DISCONNECT % b"cancel"))
            peer.head()
            peer.body_until(b"one")
        admin = Admin(gateway)
        [row] = admin.wait_rows(1)
        admin.close()
    assert (row["outcome"], row["estimated"]) == ("client_abort", False)
    assert (row["input_tokens"], row["output_tokens"]) == (9, 6)
