"""Streams that are read, ended and survived at another worker than their own: real processes on one Redis."""

import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.conftest import StartGateway
from tests.e2e.elsewhere import CHAT, MESSAGES, begin, config, join, read, whole_events
from tests.e2e.gateway import Gateway
from tests.e2e.raw import Peer, ask, get, request
from tests.fakes import faults
from tests.fakes.answers import Said
from tests.fakes.behaviours import Answer
from tests.fakes.gate import Gate
from tests.fakes.provider import FakeProvider
from tests.fakes.redis_server import RedisServer
from tests.fakes.streams import numbers_of

WORDS = " ".join(f"word-{number}" for number in range(30))

CUTS = 12
"""A dialect."""


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


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_what_was_cut_goes_on_at_the_other_one(
    pair: tuple[Gateway, Gateway], up: FakeProvider, path: str
) -> None:
    """At random bytes: what came before and what comes after are the whole, byte for byte."""
    chance = random.Random(5)
    for number in range(CUTS):
        owner, other = pair[number % 2], pair[1 - number % 2]
        up.script(Answer(said=Said(WORDS), interval_seconds=0.004))
        with Peer(owner.origin) as peer:
            stream_id, got = begin(peer, path)
            size = chance.randrange(200, 3000)
            for chunk in peer.chunks():
                got += chunk
                if len(got) > size:
                    break
            peer.reset()
        prefix = whole_events(got[: max(size, got.index(b"\n\n") + 2)])
        rest = read(other, stream_id, numbers_of(prefix)[-1])
        assert rest.status == 200
        assert rest.headers["x-stream-id"] == stream_id
        whole = read(owner, stream_id).body
        assert prefix + rest.body == whole
        assert read(other, stream_id).body == whole
        numbers = numbers_of(whole)
        assert numbers == list(range(len(numbers)))
        assert read(other, stream_id, numbers[-1]).status == 204


def test_any_worker_of_a_gateway_serves_a_resume(
    tmp_path: Path, up: FakeProvider, redis: RedisServer
) -> None:
    """Each connection goes to whichever takes it."""
    with Gateway(tmp_path) as gateway:
        gateway.start(config(up, redis, "workers = 2"))
        for _ in range(4):
            up.script(Answer(said=Said(WORDS), interval_seconds=0.004))
            with Peer(gateway.origin) as peer:
                stream_id, got = begin(peer)
                resumed = [read(gateway, stream_id, 0).body for _ in range(6)]
                got += b"".join(peer.chunks())
            assert all(got.endswith(each) and numbers_of(each)[0] == 1 for each in resumed)
        assert get(gateway.origin, "/v1/streams/" + "x" * 24).status == 404
        assert gateway.stop() == 0
        assert "Traceback" not in gateway.stderr + gateway.log


def test_ten_viewers_at_both_join_at_any_time(pair: tuple[Gateway, Gateway], up: FakeProvider) -> None:
    """All see the same."""
    gate = Gate()
    gate.release(2)
    up.script(Answer(said=Said(WORDS), gate=gate))
    with ExitStack() as stack:
        first = stack.enter_context(Peer(pair[0].origin))
        stream_id, got = begin(first)
        viewers = []
        for number in range(10):
            viewers.append(stack.enter_context(Peer(pair[number % 2].origin)))
            assert join(viewers[-1], stream_id) == 200
            gate.release(2)
        gate.open()
        got += b"".join(first.chunks())
        assert [b"".join(viewer.chunks()) == got for viewer in viewers] == [True] * 10


def test_delete_at_the_other_one(pair: tuple[Gateway, Gateway], up: FakeProvider) -> None:
    """The provider is closed, and viewers at both see the error event."""
    owner, other = pair
    up.script(faults.Silence(after=3))
    with Peer(owner.origin) as peer, Peer(other.origin) as viewer:
        stream_id, got = begin(peer)
        assert join(viewer, stream_id) == 200
        answer = ask(other.origin, request(b"DELETE", f"/v1/streams/{stream_id}".encode()))
        assert answer.status == 204
        assert up.wait_closed(0, timeout_seconds=1.0)
        got += b"".join(peer.chunks())
        assert b"".join(viewer.chunks()) == got
    assert b'"code":"cancelled"' in got
    assert read(other, stream_id, numbers_of(got)[-1]).status == 204
    unknown = ask(other.origin, request(b"DELETE", f"/v1/streams/{stream_id[:-1]}~".encode()))
    assert unknown.status == 404


def test_the_last_viewers_leaving_at_the_other_one(pair: tuple[Gateway, Gateway], up: FakeProvider) -> None:
    """It was the only one left, so with `cancel` the provider is closed at once."""
    owner, other = pair
    up.script(faults.Silence(after=3))
    with Peer(owner.origin) as peer, Peer(other.origin) as viewer:
        stream_id, _ = begin(peer, CHAT, b"X-Penstock-On-Disconnect: cancel")
        assert join(viewer, stream_id) == 200
        viewer.body_until(b"\n\n")
        peer.reset()
        assert not up.wait_closed(0, timeout_seconds=1.5)
        viewer.reset()
        assert up.wait_closed(0, timeout_seconds=2.0)


def test_reading_takes_as_long_as_it_takes(pair: tuple[Gateway, Gateway], up: FakeProvider) -> None:
    """A request that has no body has no time limit for one."""
    up.script(Answer(said=Said(WORDS), interval_seconds=0.08))
    with Peer(pair[0].origin) as peer, Peer(pair[0].origin) as near, Peer(pair[1].origin) as far:
        stream_id, got = begin(peer)
        assert join(near, stream_id) == join(far, stream_id) == 200
        got += b"".join(peer.chunks())
        assert b"".join(near.chunks()) == got
        assert b"".join(far.chunks()) == got
    assert b"[DONE]" in got
