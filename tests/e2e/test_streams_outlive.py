"""What becomes of streams and their readers elsewhere when a worker or Redis goes: real processes on one Redis."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.e2e.admin import Admin
from tests.e2e.conftest import StartGateway
from tests.e2e.elsewhere import CHAT, begin, config, farewell_of, join, read
from tests.e2e.gateway import Gateway, eventually
from tests.e2e.raw import Cut, Peer
from tests.fakes import faults
from tests.fakes.answers import Said
from tests.fakes.behaviours import Answer
from tests.fakes.gate import Gate
from tests.fakes.provider import FakeProvider
from tests.fakes.redis_server import RedisServer
from tests.fakes.streams import numbers_of

WORDS = " ".join(f"word-{number}" for number in range(30))


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """A Redis of this module's own: tests stop it."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def pair(start_gateway: StartGateway, provider: FakeProvider, redis: RedisServer) -> tuple[Gateway, Gateway]:
    """Two gateways that stay."""
    text = config(provider, redis)
    return start_gateway(text), start_gateway(text)


@pytest.fixture
def own(tmp_path: Path, up: FakeProvider, redis: RedisServer) -> Iterator[tuple[Gateway, Gateway]]:
    """Two gateways of one test's own, which it may end; the drain is short."""
    text = config(up, redis, "drain_seconds = 0.5")
    with ExitStack() as stack:
        made = []
        for name in ("owner", "other"):
            (tmp_path / name).mkdir()
            made.append(stack.enter_context(Gateway(tmp_path / name)))
            made[-1].start(text)
        yield made[0], made[1]


def test_an_owner_that_is_killed(own: tuple[Gateway, Gateway], up: FakeProvider) -> None:
    """Its viewers elsewhere are told; the request has one row; the other one still stops in order."""
    owner, other = own
    up.script(faults.Silence(after=4))
    with Peer(owner.origin) as peer, Peer(other.origin) as viewer:
        stream_id, _ = begin(peer, CHAT, b"X-Request-ID: killed")
        assert join(viewer, stream_id) == 200
        viewer.body_until(b"\n\n")
        os.killpg(owner.pid, signal.SIGKILL)
        owner.wait()
        rest = b"".join(viewer.chunks())
    assert b'"code":"server_shutdown"' in rest.split(b"\n\n")[-2]
    assert rest.split(b"\n\n")[-2].startswith(b"id:")
    assert read(other, stream_id).status == 404
    assert other.stop() == 0
    assert "refused to gracefully stop" not in other.stderr + other.log
    owner.start(owner.config_path.read_text())
    admin = Admin(owner)
    [row] = admin.wait_rows(1)
    assert (row["request_id"], row["outcome"]) == ("killed", "gateway_crash")
    assert len(admin.rows()) == 1
    admin.close()


def test_an_owner_that_is_told_to_stop(own: tuple[Gateway, Gateway], up: FakeProvider) -> None:
    """What ran ends with an event that has its number; that and what was finished are read at the other one."""
    owner, other = own
    up.script(Answer(said=Said("done")), faults.Silence(after=4))
    with Peer(owner.origin) as peer:
        done_id, done = begin(peer)
        done += b"".join(peer.chunks())
    with Peer(owner.origin) as peer, Peer(other.origin) as viewer:
        stream_id, got = begin(peer)
        assert join(viewer, stream_id) == 200
        owner.send_signal(signal.SIGTERM)
        got += b"".join(peer.chunks())
        assert b"".join(viewer.chunks()) == got
    assert owner.wait() == 0
    assert b'"code":"server_shutdown"' in got
    last = numbers_of(got)[-1]
    assert read(other, stream_id, 0).body == got[got.index(b"id: %b-1\n" % stream_id.encode()) :]
    assert read(other, stream_id, last).status == 204
    assert read(other, done_id).body == done
    assert "Traceback" not in owner.stderr + owner.log + other.stderr + other.log


def test_a_reader_that_is_told_to_stop(own: tuple[Gateway, Gateway], up: FakeProvider) -> None:
    """Its viewers get an event without a number, and the rest at the owner."""
    owner, other = own
    gate = Gate()
    gate.release(4)
    up.script(Answer(said=Said(WORDS), gate=gate))
    with Peer(owner.origin) as peer, Peer(other.origin) as viewer:
        stream_id, got = begin(peer)
        assert join(viewer, stream_id) == 200
        other.send_signal(signal.SIGTERM)
        sent = b"".join(viewer.chunks())
        assert b'"code":"server_shutdown"' in farewell_of(sent)
        prefix = sent.removesuffix(farewell_of(sent) + b"\n\n")
        gate.open()
        got += b"".join(peer.chunks())
    assert prefix + read(owner, stream_id, numbers_of(prefix)[-1]).body == got
    assert other.wait() == 0


def test_redis_away_while_a_resumed_stream_runs(
    pair: tuple[Gateway, Gateway], up: FakeProvider, redis: RedisServer
) -> None:
    """Started again and empty: the viewer at the other one misses nothing and sees nothing twice."""
    owner, other = pair
    for _ in range(2):
        gate = Gate()
        gate.release(4)
        up.script(Answer(said=Said(WORDS), gate=gate))
        with Peer(owner.origin) as peer, Peer(other.origin) as viewer:
            stream_id, got = begin(peer)
            assert join(viewer, stream_id) == 200
            sent = viewer.body_until(b"\n\n")
            redis.stop()
            gate.release(4)
            got += peer.body_until(b"word-4")
            assert read(other, "x" * 24).status == 503
            redis.start()
            gate.open()
            got += b"".join(peer.chunks())
            sent += b"".join(viewer.chunks())
        assert sent == got
        assert b"[DONE]" in got


def test_a_stop_under_load_leaves_in_time(own: tuple[Gateway, Gateway], up: FakeProvider) -> None:
    """Both at once, with fifty streams that are read here and there, and more being asked for."""
    owner, other = own
    up.default = Answer(said=Said(WORDS), interval_seconds=0.05)
    stopping = threading.Event()

    def storm() -> None:
        while not stopping.is_set():
            try:
                with Peer(owner.origin) as peer, Peer(other.origin) as viewer:
                    stream_id, _ = begin(peer)
                    join(viewer, stream_id)
                    viewer.body_until(b"word-3")
                    peer.reset()
                    viewer.body_until(b"word-9")
            except (OSError, Cut, AssertionError, ValueError, httpx.HTTPError):
                continue

    threads = [threading.Thread(target=storm) for _ in range(20)]
    for thread in threads:
        thread.start()
    try:
        assert up.wait_requests(50, timeout_seconds=30.0)
        other.send_signal(signal.SIGTERM)
        owner.send_signal(signal.SIGTERM)
        assert owner.wait() == 0
        assert other.wait() == 0
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    for gateway in (owner, other):
        assert "refused to gracefully stop" not in gateway.stderr
        assert "Traceback" not in gateway.stderr + gateway.log


def test_a_gateway_leaves_nothing_in_redis_but_what_expires(
    pair: tuple[Gateway, Gateway], redis: RedisServer
) -> None:
    """Signs of life go with their workers, and all else has its time."""

    def lasting() -> bool | None:
        with redis.client() as client:
            keys = [key for key in client.keys("{penstock}:*") if "stream" in key or "worker" in key]
            return True if all(client.ttl(key) != -1 for key in keys) else None

    assert eventually(lasting)
    assert all(gateway.process is not None for gateway in pair)


def test_a_stop_while_redis_hangs(own: tuple[Gateway, Gateway], up: FakeProvider, redis: RedisServer) -> None:
    """It takes connections and answers nothing, and both still end by themselves."""
    owner, other = own
    up.script(faults.Silence(after=4))
    with Peer(owner.origin) as peer, Peer(other.origin) as viewer:
        stream_id, got = begin(peer)
        assert join(viewer, stream_id) == 200
        viewer.body_until(b"\n\n")
        redis.freeze()
        try:
            owner.send_signal(signal.SIGTERM)
            other.send_signal(signal.SIGTERM)
            got += b"".join(peer.chunks())
            sent = b"".join(viewer.chunks())
            assert owner.wait() == other.wait() == 0
        finally:
            redis.thaw()
    assert b'"code":"server_shutdown"' in got
    assert b'"code":"server_shutdown"' in farewell_of(sent)
    for gateway in own:
        assert "refused to gracefully stop" not in gateway.stderr
