"""Streams that outlive their client's connection, over real sockets: read again, and read along."""

import random
import re
from collections.abc import Iterator

import pytest

from tests.e2e.admin import AUTH_TOML, Admin
from tests.e2e.conftest import StartGateway
from tests.e2e.gateway import Gateway, eventually
from tests.e2e.raw import Peer, ask, assert_problem, get, request
from tests.e2e.sdk import anthropic_client, openai_client
from tests.e2e.streaming import (
    CHAT,
    COMPLETIONS,
    DIALECTS,
    MESSAGES,
    TEXT,
    WORDS,
    begin,
    config,
    events,
    finished,
    held,
    id_of,
    line_for,
    read_from,
    whole_of,
)
from tests.fakes.answers import DONE, Said
from tests.fakes.behaviours import Answer
from tests.fakes.provider import FakeProvider
from tests.fakes.streams import numbers_of

CUTS = 100

LEAST_BYTES = 45
"""Of an event with its id, whatever the dialect."""

LITTLE = """
[streams]
max_bytes_per_stream = 5000
keep_seconds = 1
[server]
body_timeout_seconds = 0.5
"""


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


@pytest.fixture(scope="module")
def small(start_gateway: StartGateway, provider: FakeProvider) -> Gateway:
    """Keeps little, and not for long."""
    return start_gateway(config(provider, LITTLE))


@pytest.mark.parametrize("path", DIALECTS)
def test_a_stream_that_was_cut_anywhere_is_whole_once_resumed(
    gateway: Gateway, up: FakeProvider, path: str
) -> None:
    """At a hundred random places, inside an event's bytes too: nothing is lost, nothing comes twice."""
    chance = random.Random(path)
    for _ in range(CUTS):
        released = chance.randrange(5, WORDS)
        cut_bytes = chance.randrange(0, (released - 4) * LEAST_BYTES)
        gate, answer = held(released=released)
        up.script(answer)
        with Peer(gateway.base_url) as peer:
            stream_id = begin(peer, path)
            got = b""
            chunks = peer.chunks()
            while len(got) < cut_bytes:
                got += next(chunks)
            chance.choice((peer.reset, peer.close))()
        seen = events(got[:cut_bytes])
        if early := chance.random() < 0.5:
            gate.open()
        with Peer(gateway.base_url) as again:
            read_from(again, stream_id, *([b"Last-Event-ID: " + id_of(seen[-1])] if seen else []))
            if not early:
                gate.open()
            resumed = b"".join(again.chunks())
        assert b"".join(seen) + resumed == whole_of(gateway, stream_id)


@pytest.mark.parametrize("path", DIALECTS)
def test_viewers_that_come_at_any_time_see_the_same_bytes(
    gateway: Gateway, up: FakeProvider, path: str
) -> None:
    """Ten of them, from the start or from some event on, while their driver leaves in the middle."""
    chance = random.Random(path)
    gate, answer = held(released=10)
    up.script(answer)
    joined: list[tuple[Peer, int]] = []
    with Peer(gateway.base_url) as driver:
        stream_id = begin(driver, path)
        driver.body_until(f"{stream_id}-4\n".encode())
        for number in range(10):
            peer, after = Peer(gateway.base_url), chance.choice((None, chance.randrange(0, 5)))
            read_from(peer, stream_id, after=after)
            joined.append((peer, 0 if after is None else after + 1))
            gate.release(chance.randrange(0, 12))
            if number == 5:
                driver.reset()
    gate.open()
    bodies = [(position, b"".join(peer.chunks())) for peer, position in joined]
    whole = events(whole_of(gateway, stream_id))
    for position, body in bodies:
        assert body == b"".join(whole[position:])
    for peer, _ in joined:
        peer.close()


@pytest.mark.parametrize(
    ("path", "ends"),
    [
        pytest.param(CHAT, b"\n" + DONE, id="chat"),
        pytest.param(MESSAGES, b'\nevent: message_stop\ndata: {"type":"message_stop"}\n\n', id="messages"),
        pytest.param(COMPLETIONS, b"\n" + DONE, id="completions"),
    ],
)
def test_the_original_and_every_copy_are_the_same(
    gateway: Gateway, up: FakeProvider, path: str, ends: bytes
) -> None:
    """In the surface's own format; after the last event there is nothing."""
    with Peer(gateway.base_url) as peer:
        stream_id = begin(peer, path)
        original = b"".join(peer.chunks())
    assert original.endswith(ends)
    assert whole_of(gateway, stream_id) == original
    every = events(original)
    for number in range(len(every) - 1):
        by_address = get(gateway.base_url, f"/v1/streams/{stream_id}?after={number}")
        by_header = get(gateway.base_url, f"/v1/streams/{stream_id}", line_for(stream_id, number))
        assert by_address.body == by_header.body == b"".join(every[number + 1 :])
    last = line_for(stream_id, len(every) - 1)
    reply = get(gateway.base_url, f"/v1/streams/{stream_id}", last)
    assert (reply.status, reply.headers["x-stream-id"], reply.body) == (204, stream_id, b"")


@pytest.mark.parametrize(
    ("of", "last_event_id", "query", "status", "code"),
    [
        pytest.param("{id}", "nonsense", "", 400, "invalid_request", id="a-malformed-id"),
        pytest.param("{id}", "{other}-0", "", 400, "invalid_request", id="an-event-of-another-stream"),
        pytest.param("{id}", "{id}-{count}", "", 400, "invalid_request", id="an-event-not-yet-sent"),
        pytest.param("{id}", None, "?after={count}", 400, "invalid_request", id="after-one-not-yet-sent"),
        pytest.param("{id}", None, "?after=-1", 400, "invalid_request", id="after-a-negative-one"),
        pytest.param("{id}", None, "?after=", 400, "invalid_request", id="after-nothing"),
        pytest.param("{id}x", None, "", 404, "not_found", id="an-id-that-is-too-long"),
        pytest.param("nobody-ever-made-this-id", None, "", 404, "not_found", id="another-workers"),
        pytest.param("x", None, "", 404, "not_found", id="no-id-at-all"),
        pytest.param("{id}", None, "?ticket=1.x", 401, "invalid_api_key", id="a-ticket-that-is-none"),
    ],
)
def test_what_cannot_be_read(
    gateway: Gateway,
    up: FakeProvider,
    of: str,
    last_event_id: str | None,
    query: str,
    status: int,
    code: str,
) -> None:
    stream_id, count = finished(gateway)
    other, _ = finished(gateway)
    names = {"id": stream_id, "other": other, "count": count}
    lines = [] if last_event_id is None else [b"Last-Event-ID: " + last_event_id.format(**names).encode()]
    reply = get(gateway.base_url, f"/v1/streams/{of.format(**names)}{query.format(**names)}", *lines)
    assert (reply.status, reply.code) == (status, code)
    assert reply.json["instance"] == f"/v1/streams/{of.format(**names)}"


def test_events_that_were_dropped_and_streams_that_expired(small: Gateway, up: FakeProvider) -> None:
    """410 both times, and the first one tells from where on there is something left."""
    up.script(Answer(said=Said(TEXT)))
    stream_id, count = finished(small)
    reply = get(small.base_url, f"/v1/streams/{stream_id}")
    assert_problem(reply, 410, "stream_expired")
    found = re.search(r"after=(\d+)", str(reply.json["detail"]))
    assert found is not None
    rest = get(small.base_url, f"/v1/streams/{stream_id}?after={found[1]}")
    assert numbers_of(rest.body) == list(range(int(found[1]) + 1, count))
    assert len(rest.body) < 6_000
    eventually(
        lambda: (
            True if get(small.base_url, f"/v1/streams/{stream_id}?after={count - 1}").status == 410 else None
        )
    )
    assert_problem(
        get(small.base_url, f"/v1/streams/{stream_id}", line_for(stream_id, 0)), 410, "stream_expired"
    )
    reply = ask(small.base_url, request(b"DELETE", f"/v1/streams/{stream_id}".encode()))
    assert_problem(reply, 410, "stream_expired")


def test_a_stream_is_its_keys_alone(guarded: Gateway, admin: Admin, up: FakeProvider) -> None:
    """Another key learns nothing of it, and no key at all even less."""
    mine, yours = (admin.make_key() for _ in range(2))
    me, you = (b"Authorization: Bearer " + made["key"].encode() for made in (mine, yours))
    gate, answer = held()
    up.script(answer)
    with Peer(guarded.base_url) as peer:
        stream_id = begin(peer, CHAT, me)
        path = f"/v1/streams/{stream_id}"
        assert_problem(get(guarded.base_url, path, you), 404, "not_found")
        assert get(guarded.base_url, path).status == 401
        assert_problem(ask(guarded.base_url, request(b"DELETE", path.encode(), you)), 404, "not_found")
        assert ask(guarded.base_url, request(b"DELETE", path.encode())).status == 401
        gate.open()
        whole = b"".join(peer.chunks())
    assert whole.endswith(DONE)
    assert get(guarded.base_url, path, me).body == whole


def test_a_viewer_has_no_body_to_be_late_with(small: Gateway, up: FakeProvider) -> None:
    """It reads for longer than a body may take."""
    up.script(Answer(said=Said("word " * 12), interval_seconds=0.1))
    with Peer(small.base_url) as driver, Peer(small.base_url) as along:
        read_from(along, begin(driver))
        assert b"".join(along.chunks()).endswith(DONE)


def test_openais_own_client_does_not_mind_the_ids(gateway: Gateway, up: FakeProvider) -> None:
    """It reads the same text, and the stream's id is in its headers."""
    up.script(Answer(said=Said(TEXT)))
    with openai_client(gateway) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="m", messages=[{"role": "user", "content": "Hi"}], stream=True
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in raw.parse() if chunk.choices)
    assert text == TEXT
    assert whole_of(gateway, raw.headers["x-stream-id"]).endswith(DONE)


def test_anthropics_own_client_does_not_mind_the_ids(gateway: Gateway, up: FakeProvider) -> None:
    """The same."""
    up.script(Answer(said=Said(TEXT)))
    with (
        anthropic_client(gateway) as client,
        client.messages.stream(
            model="c", max_tokens=999, messages=[{"role": "user", "content": "Hi"}]
        ) as events_,
    ):
        assert "".join(events_.text_stream) == TEXT
