"""Streams for browsers: an address with a ticket, and what it opens."""

import re
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.admin import AUTH_TOML, Admin
from tests.e2e.conftest import StartGateway
from tests.e2e.gateway import NO_TLS, Gateway
from tests.e2e.raw import Peer, ask, post, request
from tests.e2e.streaming import (
    CHAT,
    body_for,
    config,
    events,
    held,
    read_from,
    ticket_for,
    whole_for,
    whole_of,
)
from tests.fakes.answers import DONE
from tests.fakes.behaviours import Status
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


def test_a_ticket_streams_to_whoever_has_it(guarded: Gateway, admin: Admin, up: FakeProvider) -> None:
    """Without a key; as often as it likes, and from where it was."""
    me = b"Authorization: Bearer " + admin.make_key()["key"].encode()
    gate, answer = held()
    up.script(answer)
    ticket = ticket_for(guarded, me)
    url, stream_id = str(ticket["url"]), str(ticket["id"])
    assert url.startswith(f"http://localhost/v1/streams/{stream_id}?ticket=")
    address = url.replace("http://localhost", guarded.base_url)
    expires_at = ticket["expires_at"]
    assert isinstance(expires_at, int)
    assert 0 < expires_at - time.time() <= 60
    with httpx.Client(trust_env=False, verify=NO_TLS) as client:
        with client.stream("GET", address) as answer_:
            assert answer_.headers["x-stream-id"] == stream_id
            gate.open()
            body = answer_.read()
        advice, _, sent = body.partition(b"\n\n")
        assert re.fullmatch(rb"retry: \d+", advice)
        assert numbers_of(sent) == list(range(len(events(sent))))
        assert sent.endswith(DONE)
        assert whole_for(guarded, stream_id, me) == sent
        again = client.get(address, headers={"Last-Event-ID": f"{stream_id}-9"})
        assert again.content == advice + b"\n\n" + b"".join(events(sent)[10:])
        last = {"Last-Event-ID": f"{stream_id}-{len(events(sent)) - 1}"}
        assert client.get(address, headers=last).status_code == 204
    assert "ticket" not in guarded.log


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("DELETE", "/v1/streams/{id}", id="it-ends-nothing"),
        pytest.param("GET", "/v1/streams/{other}", id="it-reads-no-other-stream"),
        pytest.param("GET", "/v1/models", id="it-lists-nothing"),
        pytest.param("POST", "/v1/streams", id="it-starts-nothing"),
    ],
)
def test_a_ticket_opens_nothing_else(
    guarded: Gateway, admin: Admin, up: FakeProvider, method: str, path: str
) -> None:
    me = b"Authorization: Bearer " + admin.make_key()["key"].encode()
    ticket, other = ticket_for(guarded, me), ticket_for(guarded, me)
    query = str(ticket["url"]).partition("?")[2]
    target = path.format(id=ticket["id"], other=other["id"]) + f"?{query}"
    body = body_for(CHAT) if method == "POST" else None
    reply = ask(guarded.base_url, request(method.encode(), target.encode(), body=body))
    assert (reply.status, reply.code) == (401, "invalid_api_key")
    assert query not in str(reply.json)


def test_an_error_before_the_first_event_answers_the_request_for_a_ticket(
    gateway: Gateway, up: FakeProvider
) -> None:
    """In its own words, as everywhere."""
    up.script(Status(400, message="Too long.", code="context_length_exceeded"))
    reply = post(gateway.base_url, "/v1/streams", body_for(CHAT))
    assert (reply.status, reply.code) == (400, "context_length_exceeded")
    assert "Too long." in str(reply.json["detail"])


def test_a_connection_that_got_a_ticket_can_be_used_on(gateway: Gateway, up: FakeProvider) -> None:
    """While the stream still runs, and for reading it, too."""
    gate, answer = held()
    up.script(answer)
    with Peer(gateway.base_url) as peer:
        peer.send(request(b"POST", b"/v1/streams", body=body_for(CHAT)))
        reply = peer.reply()
        assert reply.status == 201
        stream_id = str(reply.json["id"])
        peer.send(request(b"GET", b"/livez"))
        assert peer.reply().status == 200
        read_from(peer, stream_id)
        gate.open()
        assert b"".join(peer.chunks()).endswith(DONE)
        peer.send(request(b"GET", b"/livez"))
        assert peer.reply().status == 200


def test_whoever_got_a_ticket_may_leave(gateway: Gateway, up: FakeProvider) -> None:
    """The stream goes on for whom it was asked for, however the connection ends."""
    for reset in (True, False):
        gate, answer = held()
        up.script(answer)
        with Peer(gateway.base_url) as peer:
            peer.send(request(b"POST", b"/v1/streams", body=body_for(CHAT)))
            stream_id = str(peer.reply().json["id"])
            if reset:
                peer.reset()
        with Peer(gateway.base_url) as viewer:
            read_from(viewer, stream_id)
            gate.open()
            assert b"".join(viewer.chunks()).endswith(DONE)


def test_a_body_that_asks_for_no_stream_gets_one_all_the_same(gateway: Gateway, up: FakeProvider) -> None:
    """It is what the route is for."""
    reply = post(gateway.base_url, "/v1/streams", body_for(CHAT).replace(b"true", b"false"))
    assert reply.status == 201
    assert whole_of(gateway, str(reply.json["id"])).endswith(DONE)
    assert up.requests[0].json["stream"] is True
