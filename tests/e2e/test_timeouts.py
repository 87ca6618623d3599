"""Each clock on a call to a provider: connect, first token, whole answer, idle, total."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import msgspec
import pytest

from tests.e2e.conftest import StartGateway
from tests.e2e.gateway import Gateway
from tests.e2e.raw import Peer, post, request
from tests.fakes import faults
from tests.fakes.answers import DONE, event
from tests.fakes.behaviours import Answer, Behaviour
from tests.fakes.gate import Gate
from tests.fakes.provider import FakeProvider

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"

CONFIG = """
[[providers]]
name = "up"
kind = "openai"
base_url = "{base_url}"
[[providers]]
name = "full"
kind = "openai"
base_url = "http://127.0.0.1:{full_port}/v1"
timeouts = {{ connect_seconds = 0.3 }}
[[models]]
name = "unreachable"
targets = [{{ provider = "full", model = "x" }}]
[[models]]
name = "first"
targets = [{{ provider = "up", model = "x" }}]
timeouts = {{ first_token_seconds = 0.3, answer_seconds = 20 }}
[[models]]
name = "whole"
targets = [{{ provider = "up", model = "x" }}]
timeouts = {{ answer_seconds = 0.3 }}
[[models]]
name = "idle"
targets = [{{ provider = "up", model = "x" }}]
timeouts = {{ idle_seconds = 0.3 }}
[[models]]
name = "total"
targets = [{{ provider = "up", model = "x" }}]
timeouts = {{ total_seconds = 0.6 }}
[retries]
max_attempts = 1
"""


@pytest.fixture(scope="module")
def full_port() -> Iterator[int]:
    """A port whose listener never accepts and whose backlog is full: the kernel drops who knocks."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    """With a small send buffer, so that back-pressure soon reaches it."""
    with FakeProvider(send_buffer_bytes=65536) as fake:
        yield fake


@pytest.fixture(scope="module")
def gateway(start_gateway: StartGateway, provider: FakeProvider, full_port: int) -> Gateway:
    return start_gateway(CONFIG.format(base_url=provider.base_url, full_port=full_port))


def body_for(model: str, *, stream: bool, path: str = CHAT) -> bytes:
    """A request's body."""
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}
    return msgspec.json.encode(body | ({"max_tokens": 9} if path == MESSAGES else {}))


def first_piece_only(*pieces: bytes) -> Gate:
    """A gate that lets one piece through and then nothing."""
    gate = Gate()
    gate.release()
    return gate


JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.parametrize("path", [pytest.param(CHAT, id="chat"), pytest.param(MESSAGES, id="messages")])
@pytest.mark.parametrize(
    ("model", "stream", "behaviour", "reason"),
    [
        pytest.param("unreachable", False, None, "timeout_connect", id="connect"),
        pytest.param("unreachable", True, None, "timeout_connect", id="connect-of-a-stream"),
        pytest.param("first", True, faults.Silence(), "timeout_first_token", id="first-token-without-a-head"),
        pytest.param(
            "first", True, faults.Silence(after=0), "timeout_first_token", id="first-token-behind-the-head"
        ),
        pytest.param(
            "first",
            True,
            faults.RawEvents((b": still here\n\n", b""), first_piece_only()),
            "timeout_first_token",
            id="a-comment-is-no-first-token",
        ),
        pytest.param("whole", False, faults.Silence(), "timeout_first_token", id="whole-answer"),
        pytest.param(
            "idle",
            False,
            faults.RawBytes((JSON_HEAD + b'{"choices": [', b"]}"), first_piece_only()),
            "timeout_idle",
            id="idle-in-a-whole-answer",
        ),
        pytest.param("total", False, faults.Silence(), "timeout_total", id="total"),
        pytest.param("total", True, faults.Silence(after=0), "timeout_total", id="total-of-a-stream"),
    ],
)
def test_too_late_for_an_answer(
    gateway: Gateway,
    up: FakeProvider,
    path: str,
    model: str,
    stream: bool,
    behaviour: Behaviour | None,
    reason: str,
) -> None:
    """504, the provider's connection closed, and the log says which clock it was."""
    if isinstance(behaviour, faults.RawEvents | faults.RawBytes):
        # Gates are used up: each run needs its own.
        behaviour = type(behaviour)(behaviour.pieces, first_piece_only())
    if behaviour is not None:
        up.script(behaviour)
    request_id = f"late-{path[-4:]}-{model}-{stream}-{reason}-{type(behaviour).__name__}"
    reply = post(
        gateway.base_url,
        path,
        body_for(model, stream=stream, path=path),
        b"X-Request-ID: " + request_id.encode(),
    )
    assert (reply.status, reply.code) == (504, "provider_timeout")
    assert reply.headers["content-type"] == "application/problem+json"
    assert b"127.0.0.1" not in reply.body
    line = gateway.wait_line(request_id=request_id)
    assert line["outcome"] == "timeout"
    assert line["faults"] == [reason]
    assert line["status"] == 504
    if behaviour is not None:
        assert up.wait_closed(0)


@pytest.mark.parametrize(
    ("path", "begins"),
    [
        pytest.param(CHAT, b'data: {"error":', id="chat"),
        pytest.param(MESSAGES, b"event: error\n", id="messages"),
    ],
)
@pytest.mark.parametrize(
    ("model", "behaviour", "reason"),
    [
        pytest.param("idle", faults.Silence(after=4), "timeout_idle", id="idle"),
        pytest.param("total", faults.Silence(after=4), "timeout_total", id="total-in-silence"),
        pytest.param(
            "total",
            Answer("word " * 500, interval_seconds=0.02),
            "timeout_total",
            id="total-while-it-streams",
        ),
    ],
)
def test_too_late_in_a_stream(
    gateway: Gateway,
    up: FakeProvider,
    path: str,
    begins: bytes,
    model: str,
    behaviour: Behaviour,
    reason: str,
) -> None:
    """An error event, no end mark, the provider's connection closed."""
    up.script(behaviour)
    request_id = f"stall-{path[-4:]}-{model}-{type(behaviour).__name__}"
    reply = post(
        gateway.base_url,
        path,
        body_for(model, stream=True, path=path),
        b"X-Request-ID: " + request_id.encode(),
    )
    assert reply.status == 200
    *good, last = reply.unnumbered.removesuffix(b"\n\n").split(b"\n\n")
    assert good
    assert last.startswith(begins)
    assert b'"code":"provider_timeout"' in last
    assert b"[DONE]" not in reply.body
    assert b"message_stop" not in reply.body
    assert up.wait_closed(0)
    line = gateway.wait_line(request_id=request_id)
    assert (line["outcome"], line["faults"]) == ("timeout", [reason])


def test_a_live_stream_outlasts_the_first_and_the_idle_clock(gateway: Gateway, up: FakeProvider) -> None:
    """They count silence, not length: this one takes longer than either."""
    up.script(
        Answer("word " * 20, interval_seconds=0.02),
        Answer("word " * 20, interval_seconds=0.02),
    )
    for model in ("first", "idle"):
        reply = post(gateway.base_url, CHAT, body_for(model, stream=True))
        assert reply.body.endswith(DONE)


def test_a_paused_provider_is_not_idle(gateway: Gateway, up: FakeProvider) -> None:
    """While the client is behind, only the total clock counts."""
    up.script(faults.Flood(event_bytes=10_000, count=2_000))
    with Peer(gateway.base_url, receive_buffer_bytes=65536) as peer:
        peer.send(request(body=body_for("idle", stream=True)))
        assert peer.head()[0] == 200
        assert not up.wait_answered(0, timeout_seconds=1.0)
        body = b"".join(peer.chunks())
    assert body.count(b"x" * 10_000) == 2_000
    assert body.endswith(DONE)


def test_a_paused_provider_still_has_the_total_clock(gateway: Gateway, up: FakeProvider) -> None:
    """A client that never reads cannot hold a provider for ever."""
    up.script(faults.Flood(event_bytes=10_000, count=2_000))
    with Peer(gateway.base_url, receive_buffer_bytes=65536) as peer:
        peer.send(request(body=body_for("total", stream=True)))
        assert peer.head()[0] == 200
        assert up.wait_closed(0)
        body = b"".join(peer.chunks())
    assert body.count(b"x" * 10_000) < 2_000
    assert b'"code":"provider_timeout"' in body
    assert b"[DONE]" not in body


def test_attempts_share_the_total_clock(start_gateway: StartGateway, up: FakeProvider) -> None:
    """A second attempt does not get the whole time again, and none begins after it."""
    config = CONFIG.format(base_url=up.base_url, full_port=up.port).replace(
        "max_attempts = 1", "max_attempts = 3"
    )
    patient = start_gateway(config)
    up.script(faults.Silence(), faults.Silence(), faults.Silence())
    reply = post(patient.base_url, CHAT, body_for("total", stream=False), b"X-Request-ID: shared")
    assert (reply.status, reply.code) == (504, "provider_timeout")
    assert len(up.requests) == 1
    assert patient.wait_line(request_id="shared")["faults"] == ["timeout_total"]


def test_a_first_token_timeout_is_tried_again(start_gateway: StartGateway, up: FakeProvider) -> None:
    """Nothing had begun, so the same target may be asked once more."""
    config = CONFIG.format(base_url=up.base_url, full_port=up.port).replace(
        "max_attempts = 1", "max_attempts = 2"
    )
    eager = start_gateway(config)
    good = event({"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}) + DONE
    up.script(faults.Silence(after=0), faults.RawEvents((good,)))
    reply = post(eager.base_url, CHAT, body_for("first", stream=True))
    assert (reply.status, reply.unnumbered, reply.headers["x-penstock-attempts"]) == (200, good, "2")
