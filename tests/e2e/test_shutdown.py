"""How the gateway ends: what runs may finish, what is late is told why, and nothing stays behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.e2e.gateway import NO_TLS, Gateway, eventually, free_port
from tests.e2e.raw import Peer, get, post, request
from tests.fakes import faults
from tests.fakes.answers import DONE
from tests.fakes.behaviours import Answer
from tests.fakes.gate import Gate
from tests.fakes.provider import FakeProvider
from tests.fakes.streams import without_ids

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"

STREAM = b'{"model":"m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}'
WHOLE = STREAM.replace(b"true", b"false")


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """One for each test: they all end it."""
    with Gateway(tmp_path) as made:
        yield made


def start(gateway: Gateway, up: FakeProvider, server: str = "") -> str:
    """Start with one model; `server` adds to its section."""
    return gateway.start(
        f"""
        [server]
        {server}
        [[providers]]
        name = "up"
        kind = "openai"
        base_url = "{up.base_url}"
        [[models]]
        name = "m"
        targets = [{{ provider = "up", model = "x" }}]
        """
    )


CLOSED_LISTENER = """
import socket
from service.server import _stop_listening

with socket.create_server(("127.0.0.1", 0)) as listener:
    port = listener.getsockname()[1]
    _stop_listening()
    try:
        socket.create_connection(("127.0.0.1", port))
    except ConnectionRefusedError:
        print("refused")
    try:
        listener.accept()
    except BlockingIOError:
        print("nobody called")
"""


def refuses(gateway: Gateway) -> bool | None:
    """True once nobody listens any more; None while someone does."""
    try:
        socket.create_connection(("127.0.0.1", gateway.port), timeout=1.0).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        # It was still in the listener's queue when that closed.
        return None
    return None


def begin_stream(peer: Peer, path: str = CHAT) -> None:
    """Ask for a stream, and read its first event."""
    peer.send(request(b"POST", path.encode(), b"X-Request-ID: running", body=STREAM))
    assert peer.head()[0] == 200
    peer.body_until(b"\n\n")


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGTERM, id="sigterm"), pytest.param(signal.SIGINT, id="sigint")]
)
def test_a_running_stream_finishes(gateway: Gateway, up: FakeProvider, number: signal.Signals) -> None:
    """New connections are refused meanwhile, and the exit status is 0."""
    gate = Gate()
    gate.release(2)
    up.script(Answer(gate=gate))
    with Peer(start(gateway, up)) as peer:
        begin_stream(peer)
        gateway.send_signal(number)
        assert eventually(lambda: refuses(gateway))
        gate.open()
        assert b"".join(peer.chunks()).endswith(DONE)
    assert gateway.wait() == 0
    assert gateway.wait_line(request_id="running")["outcome"] == "complete"


def test_a_running_whole_answer_finishes(gateway: Gateway, up: FakeProvider) -> None:
    """As a stream does."""
    gate = Gate()
    up.script(Answer(gate=gate))
    with Peer(start(gateway, up)) as peer:
        peer.send(request(body=WHOLE))
        assert up.wait_requests(1)
        gateway.send_signal(signal.SIGTERM)
        assert eventually(lambda: refuses(gateway))
        gate.open()
        assert peer.reply().status == 200
    assert gateway.wait() == 0


@pytest.mark.parametrize(
    "number",
    [pytest.param(signal.SIGINT, id="a-terminals"), pytest.param(signal.SIGTERM, id="a-supervisors")],
)
def test_a_signal_to_everyone_still_drains(
    gateway: Gateway, up: FakeProvider, number: signal.Signals
) -> None:
    """To the workers too, whose server must be told to end once only."""
    gate = Gate()
    gate.release(2)
    up.script(Answer(gate=gate))
    with Peer(start(gateway, up)) as peer:
        begin_stream(peer)
        os.killpg(gateway.pid, number)
        assert eventually(lambda: refuses(gateway))
        gate.open()
        assert b"".join(peer.chunks()).endswith(DONE)
    assert gateway.wait() == 0


@pytest.mark.parametrize(
    ("path", "begins"),
    [
        pytest.param(CHAT, b'data: {"error":', id="chat"),
        pytest.param(MESSAGES, b"event: error\n", id="messages"),
    ],
)
def test_a_stream_at_the_deadline_is_told(
    gateway: Gateway, up: FakeProvider, path: str, begins: bytes
) -> None:
    """An error event of code server_shutdown, and no end mark; the provider's connection is closed."""
    up.script(faults.Silence(after=3))
    with Peer(start(gateway, up, "drain_seconds = 0.3")) as peer:
        begin_stream(peer, path)
        gateway.send_signal(signal.SIGTERM)
        rest = b"".join(peer.chunks())
    last = without_ids(rest).removesuffix(b"\n\n").split(b"\n\n")[-1]
    assert last.startswith(begins)
    assert b'"code":"server_shutdown"' in last
    assert b"[DONE]" not in rest
    assert b"message_stop" not in rest
    assert up.wait_closed(0)
    assert gateway.wait() == 0
    line = gateway.wait_line(request_id="running")
    assert (line["outcome"], line["problem"]) == ("server_shutdown", "server_shutdown")


def test_a_stream_before_its_first_event_at_the_deadline(gateway: Gateway, up: FakeProvider) -> None:
    """Its status was not sent yet, so it is a plain 503."""
    up.script(faults.Silence(after=0))
    with Peer(start(gateway, up, "drain_seconds = 0.3")) as peer:
        peer.send(request(body=STREAM))
        assert up.wait_requests(1)
        gateway.send_signal(signal.SIGTERM)
        reply = peer.reply()
    assert (reply.status, reply.code) == (503, "server_shutdown")
    assert gateway.wait() == 0


def test_a_whole_answer_at_the_deadline_is_a_503(gateway: Gateway, up: FakeProvider) -> None:
    """It says when to come back, and the provider's connection is closed."""
    up.script(faults.Silence())
    with Peer(start(gateway, up, "drain_seconds = 0.3")) as peer:
        peer.send(request(b"POST", CHAT.encode(), b"X-Request-ID: late", body=WHOLE))
        assert up.wait_requests(1)
        gateway.send_signal(signal.SIGTERM)
        reply = peer.reply()
    assert (reply.status, reply.code) == (503, "server_shutdown")
    assert int(reply.headers["retry-after"]) >= 1
    assert up.wait_closed(0)
    assert gateway.wait() == 0
    line = gateway.wait_line(request_id="late")
    assert (line["outcome"], line["status"]) == ("server_shutdown", 503)


def test_clients_that_do_nothing_do_not_hold_the_end_up(gateway: Gateway, up: FakeProvider) -> None:
    """One reads nothing of its stream, one never ends its head: neither can even be told."""
    up.script(faults.Flood(event_bytes=10_000, count=5_000))
    base_url = start(gateway, up, "drain_seconds = 0.3")
    with Peer(base_url, receive_buffer_bytes=65536) as peer, Peer(base_url) as half_a_head:
        half_a_head.send(b"GET /livez HTTP/1.1\r\nHost:")
        peer.send(request(body=STREAM))
        assert peer.head()[0] == 200
        assert not up.wait_answered(0, timeout_seconds=0.3)
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(12.0) == 0


def test_half_a_head_does_not_hold_the_end_up(gateway: Gateway, up: FakeProvider) -> None:
    """Nothing runs, so nobody waits for the drain's end; what a slow reader still gets, it gets."""
    up.script(faults.Flood(event_bytes=10_000, count=200))
    with (
        Peer(start(gateway, up, "drain_seconds = 20")) as half_a_head,
        Peer(gateway.base_url, receive_buffer_bytes=65536) as peer,
    ):
        half_a_head.send(b"GET /livez HTTP/1.1\r\nHost:")
        peer.send(request(body=STREAM))
        assert peer.head()[0] == 200
        gateway.send_signal(signal.SIGTERM)
        assert eventually(lambda: refuses(gateway))
        assert b"".join(peer.chunks()).endswith(DONE)
        assert gateway.wait(8.0) == 0
        assert half_a_head.closed_within(1.0)
    assert "Killing" not in gateway.stderr


def test_balancers_are_told_first(gateway: Gateway, up: FakeProvider) -> None:
    """During drain_delay_seconds /readyz is 503 while all else, new connections too, is served."""
    base_url = start(gateway, up, "drain_delay_seconds = 1.5")
    gateway.send_signal(signal.SIGTERM)
    answer = eventually(lambda: found if (found := get(base_url, "/readyz")).status == 503 else None)
    assert answer.code == "server_shutdown"
    assert get(base_url, "/livez").status == 200
    assert post(base_url, CHAT, WHOLE).status == 200
    assert eventually(lambda: refuses(gateway))
    assert gateway.wait() == 0


def test_kept_connections_are_not_served_on(gateway: Gateway, up: FakeProvider) -> None:
    """A request on one gets 503 with `Connection: close`."""
    gate = Gate()
    gate.release(2)
    up.script(Answer(gate=gate))
    base_url = start(gateway, up)
    with Peer(base_url) as kept, Peer(base_url) as peer:
        kept.send(request(b"GET", b"/livez"))
        assert kept.reply().status == 200
        begin_stream(peer)
        gateway.send_signal(signal.SIGTERM)
        assert eventually(lambda: refuses(gateway))
        kept.send(request(b"GET", b"/readyz"))
        reply = kept.reply()
        assert (reply.status, reply.headers["connection"]) == (503, "close")
        assert kept.closed_within(3.0)
        gate.open()
        assert b"".join(peer.chunks()).endswith(DONE)
    assert gateway.wait() == 0


def test_idle_connections_and_unfinished_bodies_end_with_the_drain(
    gateway: Gateway, up: FakeProvider
) -> None:
    """Neither has anything to finish before the deadline."""
    base_url = start(gateway, up, "drain_seconds = 0.5")
    with Peer(base_url) as idle, Peer(base_url) as torso:
        idle.send(request(b"GET", b"/livez"))
        assert idle.reply().status == 200
        torso.send(request(b"POST", CHAT.encode(), b"X-Request-ID: torso", body=WHOLE)[:-10])
        # The server has read that much once it has answered a later request.
        assert get(base_url, "/livez").status == 200
        began_at = time.monotonic()
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait() == 0
        assert time.monotonic() - began_at < 5.0


def test_a_second_signal_ends_at_once(gateway: Gateway, up: FakeProvider) -> None:
    """Whatever still runs; nothing is left on the port."""
    up.script(faults.Silence(after=2))
    with Peer(start(gateway, up)) as peer:
        begin_stream(peer)
        gateway.send_signal(signal.SIGTERM)
        assert eventually(lambda: refuses(gateway))
        gateway.send_signal(signal.SIGTERM)
        gateway.wait(3.0)
        assert peer.closed_within(3.0)


def test_a_killed_main_process_leaves_no_worker(gateway: Gateway, up: FakeProvider) -> None:
    """SIGKILL can't be caught: the workers notice by themselves, even with a stream that never ends."""
    up.script(faults.Silence(after=2))
    with Peer(start(gateway, up, "drain_seconds = 0.5")) as peer:
        begin_stream(peer)
        gateway.kill()
        assert eventually(lambda: refuses(gateway))
        assert peer.closed_within(10.0)


def test_the_port_can_be_had_again_at_once(gateway: Gateway, up: FakeProvider) -> None:
    """Neither an orderly end nor a kill keeps it."""
    start(gateway, up)
    port = gateway.port
    assert gateway.stop() == 0
    config = gateway.config_path.read_text()
    gateway.start(config, port=port)
    gateway.kill()
    eventually(lambda: refuses(gateway))
    gateway.start(config, port=port)
    assert httpx.get(f"{gateway.base_url}/livez", trust_env=False, verify=NO_TLS).status_code == 200


def test_a_taken_port_is_said_plainly(gateway: Gateway) -> None:
    """Exit status 1, and what to do about it."""
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        gateway.spawn('[[providers]]\nname = "sim"\nkind = "sim"\n', port=port)
        assert gateway.wait() == 1
    assert f"127.0.0.1:{port} is in use" in gateway.stderr
    assert "--port" in gateway.stderr
    assert "Traceback" not in gateway.stderr


def test_nothing_is_said_twice_or_lost_at_the_end(gateway: Gateway, up: FakeProvider) -> None:
    """The last requests' lines are in the log, each once, and stderr has no traceback."""
    base_url = start(gateway, up)
    for number in range(20):
        post(base_url, CHAT, WHOLE, b"X-Request-ID: last-%d" % number)
    assert gateway.stop() == 0
    ids = [line["request_id"] for line in gateway.lines if str(line["request_id"]).startswith("last-")]
    assert ids == [f"last-{number}" for number in range(20)]
    assert "Traceback" not in gateway.stderr + gateway.log
    assert msgspec.json.encode(gateway.lines)


def test_who_accepts_from_a_closed_listener_finds_that_nobody_called() -> None:
    """Not an error: where one comes at once and for ever, Granian asks again and never hears that it is to end."""
    found = subprocess.run(
        [sys.executable, "-c", CLOSED_LISTENER], capture_output=True, text=True, timeout=60, check=True
    )
    assert found.stdout.split("\n") == ["refused", "nobody called", ""]
