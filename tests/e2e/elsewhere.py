"""Gateways that share a Redis, and clients that read at one of them what runs at another."""

import msgspec

from tests.e2e.admin import AUTH_TOML
from tests.e2e.gateway import Gateway
from tests.e2e.raw import Peer, Reply, get, request
from tests.fakes.provider import FakeProvider
from tests.fakes.redis_server import RedisServer

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"


def config(up: FakeProvider, redis: RedisServer, server: str = "", streams: str = "") -> str:
    """One model at one provider, and a body that must come within a second."""
    return f"""
        {AUTH_TOML}
        [server]
        body_timeout_seconds = 1
        {server}
        [store]
        redis = "{redis.url}"
        [streams]
        {streams}
        [retries]
        max_attempts = 1
        [[providers]]
        name = "up"
        kind = "openai"
        base_url = "{up.base_url}"
        [[models]]
        name = "m"
        targets = [{{ provider = "up", model = "x" }}]
        price = {{ input = 1.0, output = 2.0 }}
        """


def body_for(path: str) -> bytes:
    """A streaming request's."""
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    return msgspec.json.encode(body | ({"max_tokens": 99} if path == MESSAGES else {}))


def begin(peer: Peer, path: str = CHAT, *lines: bytes) -> tuple[str, bytes]:
    """Ask for a stream; its id, and what came until its first event was there."""
    peer.send(request(b"POST", path.encode(), *lines, body=body_for(path)))
    status, headers = peer.head()
    assert status == 200
    return headers["x-stream-id"], peer.body_until(b"\n\n")


def join(peer: Peer, stream_id: str, *lines: bytes) -> int:
    """Ask for a stream that there is; the status."""
    peer.send(request(b"GET", f"/v1/streams/{stream_id}".encode(), *lines))
    return peer.head()[0]


def read(gateway: Gateway, stream_id: str, after: int | None = None) -> Reply:
    """A stream to its end, over a connection of its own."""
    lines = [b"Connection: close"]
    if after is not None:
        lines.append(f"Last-Event-ID: {stream_id}-{after}".encode())
    return get(gateway.origin, f"/v1/streams/{stream_id}", *lines)


def whole_events(got: bytes) -> bytes:
    """All but an event that was cut."""
    return got[: got.rfind(b"\n\n") + 2] if b"\n\n" in got else b""


def farewell_of(sent: bytes) -> bytes:
    """The last event, which has no id."""
    last = sent.rstrip(b"\n").rpartition(b"\n\n")[2]
    assert not last.startswith(b"id:")
    return last
