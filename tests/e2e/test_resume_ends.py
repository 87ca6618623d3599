"""How streams that others may read end: cancelled, left by all, cut short, shut down."""

import contextlib
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.admin import AUTH_TOML, Admin
from tests.e2e.conftest import StartGateway
from tests.e2e.gateway import Gateway, eventually
from tests.e2e.raw import Cut, Peer, ask, post, request
from tests.e2e.streaming import (
    CHAT,
    CLOSED_SECONDS,
    DIALECTS,
    MESSAGES,
    TEXT,
    WORDS,
    begin,
    body_for,
    config,
    events,
    held,
    id_of,
    read_from,
    ticket_for,
    whole_for,
    whole_of,
)
from tests.fakes import faults
from tests.fakes.answers import DONE, Said
from tests.fakes.behaviours import events_of, stream
from tests.fakes.connection import Exchange
from tests.fakes.gate import Gate
from tests.fakes.provider import FakeProvider
from tests.fakes.streams import numbers_of


@pytest.fixture(scope="module")
def gateway(start_gateway: StartGateway, provider: FakeProvider) -> Gateway:
    """As it comes."""
    return start_gateway(config(provider))


@pytest.fixture(scope="module")
def guarded(start_gateway: StartGateway, provider: FakeProvider) -> Gateway:
    """With keys."""
    return start_gateway(config(provider, AUTH_TOML))


@pytest.fixture(scope="module")
def admin(guarded: Gateway) -> Iterator[Admin]:
    """Its administrator."""
    made = Admin(guarded)
    yield made
    made.close()


@pytest.mark.parametrize("path", DIALECTS)
def test_a_stream_that_is_cancelled(guarded: Gateway, admin: Admin, up: FakeProvider, path: str) -> None:
    """Its provider is closed, its viewers are told, and the ledger and the log call it by its name."""
    key = admin.make_key()
    me = b"Authorization: Bearer " + key["key"].encode()
    up.script(faults.Silence(after=5, said=Said(TEXT)))
    with Peer(guarded.base_url) as driver, Peer(guarded.base_url) as viewer:
        stream_id = begin(driver, path, me, b"X-Request-ID: cancelled-" + path[1:].replace("/", ".").encode())
        driver.body_until(b"\n\n")
        read_from(viewer, stream_id, me)
        cancelled_at = time.monotonic()
        reply = ask(guarded.base_url, request(b"DELETE", f"/v1/streams/{stream_id}".encode(), me))
        assert (reply.status, reply.body) == (204, b"")
        assert up.wait_closed(0)
        closed_at = up.closed_at(0)
        assert closed_at is not None
        assert closed_at - cancelled_at < 1.0
        driver_saw, viewer_saw = b"".join(driver.chunks()), b"".join(viewer.chunks())
    assert events(viewer_saw)[-1] == events(driver_saw)[-1]
    assert b'"code":"cancelled"' in events(viewer_saw)[-1]
    assert id_of(events(viewer_saw)[-1]) == f"{stream_id}-{len(events(viewer_saw)) - 1}".encode()
    assert b"[DONE]" not in viewer_saw
    assert b"message_stop" not in viewer_saw
    assert b'"stop"' not in viewer_saw
    assert whole_for(guarded, stream_id, me) == viewer_saw
    again = ask(guarded.base_url, request(b"DELETE", f"/v1/streams/{stream_id}".encode(), me))
    assert again.status == 204
    row = admin.wait_rows(1, key=key["id"])[0]
    assert row["outcome"] == "cancelled"
    line = guarded.wait_line(request_id="cancelled-" + path[1:].replace("/", "."))
    assert line["outcome"] == "cancelled"


def test_a_stream_that_lingers_and_is_then_cancelled(
    guarded: Gateway, admin: Admin, up: FakeProvider
) -> None:
    """Its client has left: that is not how it ended."""
    key = admin.make_key()
    me = b"Authorization: Bearer " + key["key"].encode()
    up.script(faults.Silence(after=5, said=Said(TEXT)))
    with Peer(guarded.base_url) as driver:
        stream_id = begin(driver, CHAT, me)
        driver.body_until(b"\n\n")
        driver.reset()
    assert ask(guarded.base_url, request(b"DELETE", f"/v1/streams/{stream_id}".encode(), me)).status == 204
    assert up.wait_closed(0, 1.5)
    assert admin.wait_rows(1, key=key["id"])[0]["outcome"] == "cancelled"


def test_a_stream_whose_client_left_is_complete_all_the_same(
    guarded: Gateway, admin: Admin, up: FakeProvider
) -> None:
    """It came back in time, so row and log say so."""
    key = admin.make_key()
    me = b"Authorization: Bearer " + key["key"].encode()
    gate, answer = held()
    up.script(answer)
    with Peer(guarded.base_url) as driver, Peer(guarded.base_url) as viewer:
        stream_id = begin(driver, CHAT, me, b"X-Request-ID: came-back")
        driver.body_until(b"\n\n")
        driver.reset()
        read_from(viewer, stream_id, me)
        gate.open()
        assert b"".join(viewer.chunks()).endswith(DONE)
    row = admin.wait_rows(1, key=key["id"])[0]
    assert (row["outcome"], row["output_tokens"]) == ("complete", WORDS)
    assert guarded.wait_line(request_id="came-back")["outcome"] == "complete"


@pytest.mark.parametrize("abrupt", [pytest.param(False, id="in-order"), pytest.param(True, id="by-reset")])
def test_the_last_viewers_leaving_is_noticed_whoever_it_is(
    gateway: Gateway, up: FakeProvider, abrupt: bool
) -> None:
    """One that only read along, too."""
    up.script(faults.Silence(after=5, said=Said(TEXT)))
    with Peer(gateway.base_url) as driver, Peer(gateway.base_url) as along:
        stream_id = begin(driver, CHAT, b"X-Penstock-On-Disconnect: cancel")
        driver.body_until(b"\n\n")
        read_from(along, stream_id)
        driver.reset()
        assert not up.wait_closed(0, 0.7)
        left_at = time.monotonic()
        (along.reset if abrupt else along.close)()
        assert up.wait_closed(0)
        closed_at = up.closed_at(0)
        assert closed_at is not None
        assert closed_at - left_at < CLOSED_SECONDS
    assert b'"code":"cancelled"' in events(whole_of(gateway, stream_id))[-1]


def test_a_policy_that_there_is_none_of_is_refused(gateway: Gateway, up: FakeProvider) -> None:
    """Before any provider is asked."""
    reply = post(gateway.base_url, CHAT, body_for(CHAT), b"X-Penstock-On-Disconnect: sometimes")
    assert (reply.status, reply.code, reply.param) == (400, "invalid_request", "X-Penstock-On-Disconnect")
    assert not up.requests


def test_whoever_asks_for_the_head_alone_is_no_viewer(gateway: Gateway, up: FakeProvider) -> None:
    """Its connection, which stays, keeps nothing running."""
    up.script(faults.Silence(after=5, said=Said(TEXT)))
    with Peer(gateway.base_url) as driver, Peer(gateway.base_url) as other:
        stream_id = begin(driver, CHAT, b"X-Penstock-On-Disconnect: cancel")
        driver.body_until(b"\n\n")
        other.send(request(b"HEAD", f"/v1/streams/{stream_id}".encode()))
        reply = other.reply(head_only=True)
        assert (reply.status, reply.headers["x-stream-id"]) == (200, stream_id)
        driver.reset()
        assert up.wait_closed(0)
        other.send(request(b"GET", b"/livez"))
        assert other.reply().status == 200


@dataclass(frozen=True)
class Burst:
    """An event, then behind the gate a great many, then silence."""

    gate: Gate
    event_bytes: int
    count: int

    async def play(self, exchange: Exchange) -> None:
        """Send them, and wait until the client goes."""
        made = events_of(exchange.request, Said("x" * self.event_bytes))
        await stream(exchange, made[:1])
        await self.gate.passed()
        for _ in range(self.count):
            await exchange.body(made[1])
        await exchange.silence()


@pytest.mark.parametrize("driver", [pytest.param(True, id="the-driver"), pytest.param(False, id="another")])
def test_a_viewer_that_reads_nothing_is_cut_and_slows_nobody(
    start_gateway: StartGateway, up: FakeProvider, driver: bool
) -> None:
    """While the stream goes on; whoever was cut can go on from where it was."""
    gateway = start_gateway(config(up))
    gate = Gate()
    up.script(Burst(gate, 20_000, 1_500))
    with (
        Peer(gateway.base_url, receive_buffer_bytes=65536) as slow,
        Peer(gateway.base_url) as fast,
        Peer(gateway.base_url) as again,
    ):
        first, second = (slow, fast) if driver else (fast, slow)
        stream_id = begin(first)
        read_from(second, stream_id)
        gate.open()
        fast.body_until(f"{stream_id}-1500\n".encode())
        got = b""
        try:
            for chunk in slow.chunks():
                got += chunk
        except Cut:
            assert not driver
        seen = events(got)
        assert numbers_of(b"".join(seen)) == list(range(len(seen)))
        assert 1 < len(seen) < 1_500
        assert b"[DONE]" not in got
        read_from(again, stream_id, after=1_450)
        again.body_until(f"{stream_id}-1500\n".encode())


def sockets(pid: int) -> int:
    """How many sockets a process has open; files don't count, for the database opens some more under load."""
    count = 0
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            count += str(each.readlink()).startswith("socket:")
    return count


def storm(gateway: Gateway, up: FakeProvider, count: int) -> None:
    """So many streams at once whose clients all go: by either policy, with and without a reset, some before the head."""
    peers = [Peer(gateway.base_url) for _ in range(count)]
    so_far = len(up.requests)
    for number, peer in enumerate(peers):
        policy = (b"cancel", b"linger")[number % 2]
        peer.send(
            request(b"POST", CHAT.encode(), b"X-Penstock-On-Disconnect: " + policy, body=body_for(CHAT))
        )
    assert up.wait_requests(so_far + count)
    for number, peer in enumerate(peers):
        if number % 5:
            assert peer.head()[0] == 200
        (peer.reset if number % 3 else peer.close)()


def test_after_a_storm_of_disconnects_nothing_is_left(tmp_path: Path, up: FakeProvider) -> None:
    """Each has its line, its provider is closed, and nothing keeps the server from stopping."""
    up.default = faults.Silence(after=2)
    with Gateway(tmp_path) as gateway:
        gateway.start(config(up, "[streams]\nlinger_seconds = 0.3\n"))
        pid = gateway.workers[0]
        storm(gateway, up, 10)
        gateway.wait_lines(10, outcome="client_abort")
        before = sockets(pid)
        for _ in range(3):
            storm(gateway, up, 100)
        gateway.wait_lines(310, outcome="client_abort")
        assert all(up.wait_closed(index) for index in range(310))
        eventually(lambda: True if sockets(pid) <= before else None)
        assert gateway.stop(8.0) == 0
    assert "Traceback" not in gateway.stderr


def test_a_client_that_is_behind_at_a_shutdown_is_told_once_it_reads(
    tmp_path: Path, up: FakeProvider
) -> None:
    """Behind all that was on its way; nothing of that is lost."""
    up.script(faults.Flood(event_bytes=10_000, count=5_000))
    with Gateway(tmp_path) as gateway:
        gateway.start(config(up, "[server]\ndrain_seconds = 0.3\n"))
        with Peer(gateway.base_url, receive_buffer_bytes=65536) as peer:
            begin(peer, CHAT, b"X-Request-ID: behind")
            assert not up.wait_answered(0, timeout_seconds=0.5)
            gateway.send_signal(signal.SIGTERM)
            assert up.wait_closed(0)
            body = b"".join(peer.chunks())
        assert numbers_of(body) == list(range(len(events(body))))
        assert b'"code":"server_shutdown"' in events(body)[-1]
        assert gateway.wait() == 0
        assert gateway.wait_line(request_id="behind")["outcome"] == "server_shutdown"
    assert "Traceback" not in gateway.stderr


def test_a_shutdown_ends_streams_that_linger_and_tells_who_reads_along(
    tmp_path: Path, up: FakeProvider
) -> None:
    """With an event that has its id, like all others."""
    up.default = faults.Silence(after=4)
    with Gateway(tmp_path) as gateway:
        streams = "[streams]\nlinger_seconds = 60\n[server]\ndrain_seconds = 0.3\n"
        gateway.start(config(up, streams))
        with (
            Peer(gateway.base_url) as alone,
            Peer(gateway.base_url) as driver,
            Peer(gateway.base_url) as along,
            Peer(gateway.base_url) as hosted,
            Peer(gateway.base_url) as left,
        ):
            begin(alone, CHAT, b"X-Request-ID: lingering")
            alone.body_until(b"\n\n")
            alone.reset()
            both = begin(driver, MESSAGES)
            read_from(along, both)
            only = begin(left, CHAT, b"X-Request-ID: read-along")
            left.body_until(b"\n\n")
            read_from(hosted, only)
            left.reset()
            ticket_for(gateway, b"X-Request-ID: hosted")
            gateway.send_signal(signal.SIGTERM)
            bodies = [b"".join(peer.chunks()) for peer in (driver, along, hosted)]
        assert bodies[0] == bodies[1]
        for body, stream_id in zip(bodies[1:], (both, only), strict=True):
            last = events(body)[-1]
            assert b'"code":"server_shutdown"' in last
            assert id_of(last) == f"{stream_id}-{len(events(body)) - 1}".encode()
            assert b"[DONE]" not in body
        assert gateway.wait() == 0
        for request_id in ("lingering", "read-along", "hosted"):
            assert gateway.wait_line(request_id=request_id)["outcome"] == "server_shutdown"
    assert "Traceback" not in gateway.stderr
