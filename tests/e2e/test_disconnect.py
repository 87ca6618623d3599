"""A client that leaves ends the provider's work within 500 ms, whatever was going on."""

import time

import msgspec
import pytest

from tests.e2e.conftest import StartGateway
from tests.e2e.gateway import Gateway
from tests.e2e.raw import Peer, post, request
from tests.fakes import faults
from tests.fakes.answers import Said
from tests.fakes.behaviours import Answer, Behaviour
from tests.fakes.gate import Gate
from tests.fakes.provider import FakeProvider

CLOSED_SECONDS = 1.5
"""The contract says 0.5; two busy cores may be late."""

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"


@pytest.fixture(scope="module")
def gateway(start_gateway: StartGateway, provider: FakeProvider) -> Gateway:
    return start_gateway(
        f"""
        [[providers]]
        name = "up"
        kind = "openai"
        base_url = "{provider.base_url}"
        [[models]]
        name = "m"
        targets = [{{ provider = "up", model = "x" }}]
        """
    )


def body_for(path: str, *, stream: bool) -> bytes:
    """A request's body for any of the routes."""
    if path in {"/chat", "/stream"}:
        return b'{"model":"m","message":"Hi"}'
    if path == "/v1/embeddings":
        return b'{"model":"m","input":"Hi"}'
    if path == "/v1/completions":
        return msgspec.json.encode({"model": "m", "prompt": "Hi", "stream": stream})
    body = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}
    return msgspec.json.encode(body | ({"max_tokens": 9} if path == MESSAGES else {}))


def half_an_answer() -> Behaviour:
    """A whole answer that stops in the middle of its body, and never goes on."""
    gate = Gate()
    gate.release()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    return faults.RawBytes((head + b'{"choices": [', b"]}"), gate)


@pytest.mark.parametrize("abrupt", [pytest.param(False, id="in-order"), pytest.param(True, id="by-reset")])
@pytest.mark.parametrize(
    ("path", "stream", "behaviour"),
    [
        pytest.param(CHAT, True, faults.Silence(), id="stream-before-the-head"),
        pytest.param(CHAT, True, faults.Silence(after=0), id="stream-before-its-first-event"),
        pytest.param(MESSAGES, True, faults.Silence(after=0), id="messages-before-the-first-event"),
        pytest.param("/stream", True, faults.Silence(after=0), id="simple-stream-before-its-first-token"),
        pytest.param("/v1/completions", True, faults.Silence(), id="completions-stream-before-the-head"),
        pytest.param(CHAT, False, faults.Silence(), id="whole-answer-before-the-head"),
        pytest.param(CHAT, False, half_an_answer(), id="whole-answer-in-its-middle"),
        pytest.param(MESSAGES, False, faults.Silence(), id="messages-whole"),
        pytest.param("/chat", False, faults.Silence(), id="simple-chat"),
        pytest.param("/v1/embeddings", False, faults.Silence(), id="embeddings"),
    ],
)
def test_leaving_before_anything_came(
    gateway: Gateway, up: FakeProvider, path: str, stream: bool, behaviour: Behaviour, abrupt: bool
) -> None:
    up.script(behaviour)
    request_id = f"early-{path[1:].replace('/', '.')}-{stream}-{abrupt}-{type(behaviour).__name__}"
    line = b"X-Request-ID: " + request_id.encode()
    with Peer(gateway.base_url) as peer:
        peer.send(request(b"POST", path.encode(), line, body=body_for(path, stream=stream)))
        assert up.wait_requests(1)
        left_at = leave(peer, abrupt)
        assert_closed(up, left_at)
    assert gateway.wait_line(request_id=request_id)["outcome"] == "client_abort"
    assert_serves(gateway)


@pytest.mark.parametrize("abrupt", [pytest.param(False, id="in-order"), pytest.param(True, id="by-reset")])
@pytest.mark.parametrize(
    ("path", "behaviour"),
    [
        pytest.param(CHAT, faults.Silence(after=2), id="chat-in-silence"),
        pytest.param(CHAT, Answer("word " * 2_000, interval_seconds=0.01), id="chat-while-it-streams"),
        pytest.param(MESSAGES, faults.Silence(after=3), id="messages-in-silence"),
        pytest.param("/stream", faults.Silence(after=3), id="simple-stream-in-silence"),
        pytest.param("/v1/completions", faults.Silence(after=2), id="completions-in-silence"),
    ],
)
def test_leaving_in_the_middle(
    gateway: Gateway, up: FakeProvider, path: str, behaviour: Behaviour, abrupt: bool
) -> None:
    """After the first event was read."""
    up.script(behaviour)
    request_id = f"middle-{path[1:].replace('/', '.')}-{abrupt}-{type(behaviour).__name__}"
    line = b"X-Request-ID: " + request_id.encode()
    with Peer(gateway.base_url) as peer:
        peer.send(request(b"POST", path.encode(), line, body=body_for(path, stream=True)))
        assert peer.head()[0] == 200
        peer.body_until(b"\n\n")
        left_at = leave(peer, abrupt)
        assert_closed(up, left_at)
    found = gateway.wait_line(request_id=request_id)
    assert (found["outcome"], found["status"]) == ("client_abort", 200)
    assert_serves(gateway)


def test_leaving_while_behind(gateway: Gateway, up: FakeProvider) -> None:
    """A client that has stopped reading, so that the provider is paused, and then goes."""
    up.script(faults.Flood(event_bytes=10_000, count=5_000))
    with Peer(gateway.base_url, receive_buffer_bytes=65536) as peer:
        peer.send(request(b"POST", CHAT.encode(), b"X-Request-ID: behind", body=body_for(CHAT, stream=True)))
        assert peer.head()[0] == 200
        assert not up.wait_answered(0, timeout_seconds=0.5)
        left_at = leave(peer, abrupt=True)
        assert_closed(up, left_at)
    assert gateway.wait_line(request_id="behind")["outcome"] == "client_abort"
    assert_serves(gateway)


def test_nothing_is_asked_again_for_nobody(gateway: Gateway, up: FakeProvider) -> None:
    """The call that was cut is not taken for one that failed."""
    up.script(Answer(head_gate=Gate(), said=Said("never")))
    with Peer(gateway.base_url) as peer:
        peer.send(request(b"POST", CHAT.encode(), body=body_for(CHAT, stream=False)))
        assert up.wait_requests(1)
        left_at = leave(peer, abrupt=True)
        assert_closed(up, left_at)
    assert_serves(gateway)
    assert len(up.requests) == 2


def test_a_body_that_breaks_off(gateway: Gateway, up: FakeProvider) -> None:
    """The client goes before its request was whole: no provider is asked."""
    with Peer(gateway.base_url) as peer:
        peer.send(
            request(b"POST", CHAT.encode(), b"X-Request-ID: torso", body=body_for(CHAT, stream=False))[:-5]
        )
    line = gateway.wait_line(request_id="torso")
    assert line["outcome"] in {"client_abort", "refused"}
    assert not up.requests


def leave(peer: Peer, abrupt: bool) -> float:
    """Close the connection; the moment of it, on `time.monotonic()`."""
    left_at = time.monotonic()
    if abrupt:
        peer.reset()
    else:
        peer.close()
    return left_at


def assert_closed(up: FakeProvider, left_at: float) -> None:
    """The provider's side of the first request was closed soon after."""
    assert up.wait_closed(0)
    closed_at = up.closed_at(0)
    assert closed_at is not None
    assert closed_at - left_at < CLOSED_SECONDS


def assert_serves(gateway: Gateway) -> None:
    """The next request is answered as ever."""
    assert post(gateway.base_url, CHAT, body_for(CHAT, stream=False)).status == 200
