"""A client that leaves before its answer began ends the provider's work within 500 ms, whatever was going on.

In the middle of a stream `streams.on_disconnect` says what follows: the same, the same a little later, or nothing.
"""

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

LINGER_SECONDS = 1
LEAVES_WITH_IT = b"X-Penstock-On-Disconnect: cancel"
GOES_ON = b"X-Penstock-On-Disconnect: finish"

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
        [streams]
        linger_seconds = {LINGER_SECONDS}
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
    """After the first event was read, by a caller that wants no more then."""
    up.script(behaviour)
    request_id = f"middle-{path[1:].replace('/', '.')}-{abrupt}-{type(behaviour).__name__}"
    with Peer(gateway.base_url) as peer:
        begin_stream(peer, path, request_id, LEAVES_WITH_IT)
        left_at = leave(peer, abrupt)
        assert_closed(up, left_at)
    found = gateway.wait_line(request_id=request_id)
    assert (found["outcome"], found["status"]) == ("client_abort", 200)
    assert_serves(gateway)


def test_leaving_a_server_whose_streams_end_with_their_clients(
    start_gateway: StartGateway, gateway: Gateway, up: FakeProvider
) -> None:
    """`streams.on_disconnect` says it for all that say nothing themselves, and not for the others."""
    text = gateway.config_path.read_text().replace("[streams]", '[streams]\non_disconnect = "cancel"')
    hasty = start_gateway(text)
    up.script(faults.Silence(after=2))
    with Peer(hasty.base_url) as peer:
        begin_stream(peer, CHAT, "all")
        left_at = leave(peer, abrupt=False)
        assert_closed(up, left_at)
    assert hasty.wait_line(request_id="all")["outcome"] == "client_abort"
    up.script(Answer("word " * 20, interval_seconds=0.02))
    with Peer(hasty.base_url) as peer:
        begin_stream(peer, CHAT, "but-one", GOES_ON)
    assert hasty.wait_line(request_id="but-one")["outcome"] == "complete"


@pytest.mark.parametrize("abrupt", [pytest.param(False, id="in-order"), pytest.param(True, id="by-reset")])
@pytest.mark.parametrize(
    ("path", "behaviour"),
    [
        pytest.param(CHAT, faults.Silence(after=2), id="chat-in-silence"),
        pytest.param(CHAT, Answer("word " * 2_000, interval_seconds=0.01), id="chat-while-it-streams"),
        pytest.param(MESSAGES, faults.Silence(after=3), id="messages-in-silence"),
        pytest.param("/stream", faults.Silence(after=3), id="simple-stream-in-silence"),
    ],
)
def test_a_stream_waits_for_its_client(
    gateway: Gateway, up: FakeProvider, path: str, behaviour: Behaviour, abrupt: bool
) -> None:
    """The provider goes on for `streams.linger_seconds`; nobody came back, so it is closed then."""
    up.script(behaviour)
    request_id = f"linger-{path[1:].replace('/', '.')}-{abrupt}-{type(behaviour).__name__}"
    with Peer(gateway.base_url) as peer:
        begin_stream(peer, path, request_id)
        left_at = leave(peer, abrupt)
        assert_closed(up, left_at, after_seconds=LINGER_SECONDS)
    found = gateway.wait_line(request_id=request_id)
    assert (found["outcome"], found["status"]) == ("client_abort", 200)
    assert_serves(gateway)


def test_a_stream_ends_by_itself_while_it_waits(gateway: Gateway, up: FakeProvider) -> None:
    """Then it is complete, as if its client had read it."""
    up.script(Answer("word " * 20, interval_seconds=0.02))
    with Peer(gateway.base_url) as peer:
        begin_stream(peer, CHAT, "ended")
    assert up.wait_answered(0)
    assert gateway.wait_line(request_id="ended")["outcome"] == "complete"


@pytest.mark.parametrize(
    "behaviour",
    [
        # Longer than `linger_seconds`.
        pytest.param(Answer("word " * 100, interval_seconds=0.02), id="while-it-streams"),
        pytest.param(faults.Flood(event_bytes=10_000, count=5_000), id="while-the-client-is-behind"),
    ],
)
def test_a_stream_goes_on_without_its_client(
    gateway: Gateway, up: FakeProvider, behaviour: Behaviour
) -> None:
    """The provider sends all of it, and the client's leaving is no one's end."""
    up.script(behaviour)
    request_id = f"finish-{type(behaviour).__name__}"
    with Peer(gateway.base_url, receive_buffer_bytes=65536) as peer:
        begin_stream(peer, CHAT, request_id, GOES_ON)
        assert not up.wait_answered(0, timeout_seconds=0.5)
        leave(peer, abrupt=True)
    assert up.wait_answered(0)
    found = gateway.wait_line(request_id=request_id)
    assert (found["outcome"], found["status"]) == ("complete", 200)
    assert_serves(gateway)


def test_a_wish_that_nobody_knows(gateway: Gateway, up: FakeProvider) -> None:
    """400 with the choices, and no provider is asked."""
    reply = post(gateway.base_url, CHAT, body_for(CHAT, stream=True), b"X-Penstock-On-Disconnect: sometimes")
    assert (reply.status, reply.code) == (400, "invalid_request")
    assert reply.param == "X-Penstock-On-Disconnect"
    assert "cancel, linger, finish" in str(reply.json["detail"])
    assert not up.requests


def test_leaving_while_behind(gateway: Gateway, up: FakeProvider) -> None:
    """A client that has stopped reading, so that the provider is paused, and then goes."""
    up.script(faults.Flood(event_bytes=10_000, count=5_000))
    with Peer(gateway.base_url, receive_buffer_bytes=65536) as peer:
        begin_stream(peer, CHAT, "behind", LEAVES_WITH_IT)
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


def begin_stream(peer: Peer, path: str, request_id: str, *lines: bytes) -> None:
    """Ask for a stream, and read its first event."""
    line = b"X-Request-ID: " + request_id.encode()
    peer.send(request(b"POST", path.encode(), line, *lines, body=body_for(path, stream=True)))
    assert peer.head()[0] == 200
    peer.body_until(b"\n\n")


def leave(peer: Peer, abrupt: bool) -> float:
    """Close the connection; the moment of it, on `time.monotonic()`."""
    left_at = time.monotonic()
    if abrupt:
        peer.reset()
    else:
        peer.close()
    return left_at


def assert_closed(up: FakeProvider, left_at: float, after_seconds: float = 0) -> None:
    """The provider's side of the first request was closed then, or soon after, and no earlier."""
    assert up.wait_closed(0)
    closed_at = up.closed_at(0)
    assert closed_at is not None
    assert after_seconds <= closed_at - left_at < after_seconds + CLOSED_SECONDS


def assert_serves(gateway: Gateway) -> None:
    """The next request is answered as ever."""
    assert post(gateway.base_url, CHAT, body_for(CHAT, stream=False)).status == 200
