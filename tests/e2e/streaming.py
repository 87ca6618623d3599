"""Streams for tests of what they outlive: asked for, read from some place on, taken apart."""

import msgspec
import pytest

from tests.e2e.gateway import Gateway
from tests.e2e.raw import Peer, get, post, request
from tests.fakes.answers import Said
from tests.fakes.behaviours import Answer
from tests.fakes.gate import Gate
from tests.fakes.provider import FakeProvider
from tests.fakes.streams import numbers_of

CHAT, MESSAGES, SIMPLE, COMPLETIONS = "/v1/chat/completions", "/v1/messages", "/stream", "/v1/completions"

DIALECTS = [
    pytest.param(CHAT, id="chat"),
    pytest.param(MESSAGES, id="messages"),
    pytest.param(SIMPLE, id="simple"),
    pytest.param(COMPLETIONS, id="completions"),
]

CLOSED_SECONDS = 1.5
"""The contract says 0.5; two busy cores may be late."""

WORDS = 150

TEXT = " ".join(f"w\u00f6rt-{number}" for number in range(WORDS))

CONFIG = """
{more}
[[providers]]
name = "up"
kind = "openai"
base_url = "{openai}"
[[providers]]
name = "claude"
kind = "anthropic"
base_url = "{origin}"
[[models]]
name = "m"
targets = [{{ provider = "up", model = "x" }}]
[[models]]
name = "c"
targets = [{{ provider = "claude", model = "y" }}]
[retries]
max_attempts = 1
"""


def config(up: FakeProvider, more: str = "") -> str:
    """One model of either dialect."""
    return CONFIG.format(openai=up.base_url, origin=up.origin, more=more)


def body_for(path: str) -> bytes:
    """A streaming request's body."""
    if path == SIMPLE:
        return b'{"model":"m","message":"Hi"}'
    if path == COMPLETIONS:
        return b'{"model":"m","prompt":"Hi","stream":true}'
    body = {"model": "c" if path == MESSAGES else "m", "messages": [{"role": "user", "content": "Hi"}]}
    return msgspec.json.encode(body | {"stream": True, "max_tokens": 999})


def begin(peer: Peer, path: str = CHAT, *lines: bytes) -> str:
    """Ask for a stream; its id, once its head came."""
    peer.send(request(b"POST", path.encode(), *lines, body=body_for(path)))
    status, headers = peer.head()
    assert status == 200
    return headers["x-stream-id"]


def held(*, released: int = 3, text: str = TEXT) -> tuple[Gate, Answer]:
    """An answer of which so many events come at once, and the rest when the gate is opened."""
    gate = Gate()
    gate.release(released)
    return gate, Answer(said=Said(text), gate=gate)


def read_from(peer: Peer, stream_id: str, *lines: bytes, after: int | None = None) -> None:
    """Ask for the stream from some place on; its head must be good."""
    path = f"/v1/streams/{stream_id}" + ("" if after is None else f"?after={after}")
    peer.send(request(b"GET", path.encode(), *lines))
    status, headers = peer.head()
    assert (status, headers["x-stream-id"]) == (200, stream_id)
    assert headers["content-type"] == "text/event-stream; charset=utf-8"


def events(body: bytes) -> list[bytes]:
    """The whole events that a body holds; what was torn at its end is left out."""
    return [block + b"\n\n" for block in body.split(b"\n\n")[:-1] if not block.startswith(b":")]


def id_of(one: bytes) -> bytes:
    """An event's id."""
    return one.partition(b"\n")[0].removeprefix(b"id: ")


def whole_of(gateway: Gateway, stream_id: str) -> bytes:
    """The stream from its start to its end."""
    reply = get(gateway.base_url, f"/v1/streams/{stream_id}")
    assert reply.status == 200
    assert numbers_of(reply.body) == list(range(len(events(reply.body))))
    return reply.body


def whole_for(gateway: Gateway, stream_id: str, *lines: bytes) -> bytes:
    """The stream from its start, as the holder of a key."""
    return get(gateway.base_url, f"/v1/streams/{stream_id}", *lines).body


def line_for(stream_id: str, number: int) -> bytes:
    """The header of a client that saw that event last."""
    return f"Last-Event-ID: {stream_id}-{number}".encode()


def finished(gateway: Gateway, *lines: bytes) -> tuple[str, int]:
    """A stream that is over: its id, and how many events it has."""
    with Peer(gateway.base_url) as peer:
        stream_id = begin(peer, CHAT, *lines)
        return stream_id, len(events(b"".join(peer.chunks())))


def ticket_for(gateway: Gateway, *lines: bytes) -> dict[str, object]:
    """A ticket, from the answer of a `POST /v1/streams`."""
    reply = post(gateway.base_url, "/v1/streams", body_for(CHAT), *lines)
    assert (reply.status, reply.headers["content-type"]) == (201, "application/json")
    assert reply.headers["x-stream-id"] == reply.json["id"]
    return reply.json
