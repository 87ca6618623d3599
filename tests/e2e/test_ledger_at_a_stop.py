"""Requests that a stopping gateway cuts have their row, said to be what they were."""

import signal
from pathlib import Path

import msgspec
import pytest

from tests.e2e.admin import AUTH_TOML, Admin
from tests.e2e.gateway import Gateway, model_toml, provider_toml
from tests.e2e.raw import Peer, request
from tests.fakes.answers import Said
from tests.fakes.behaviours import Answer
from tests.fakes.gate import Gate
from tests.fakes.provider import FakeProvider

CHAT = b"/v1/chat/completions"
STREAM = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
BATCH = {"items": [{"model": "m", "message": "Hi"}] * 5}
KEY = {"UP_KEY": "sk-up"}


def config(up: FakeProvider, more: str) -> str:
    """A gateway that gives its running requests little time."""
    drain = "[server]\ndrain_seconds = 1"
    return "\n".join(
        (AUTH_TOML, drain, more, provider_toml("up", "openai", up.base_url), model_toml("m", "up/x"))
    )


def rows_after_a_restart(gateway: Gateway, count: int) -> list[dict[str, object]]:
    """All that the next one finds."""
    gateway.start(gateway.config_path.read_text(), KEY)
    admin = Admin(gateway)
    rows = admin.wait_rows(count)
    admin.close()
    return rows


def test_a_stream_that_is_read_on_for_its_bill(tmp_path: Path, up: FakeProvider) -> None:
    """It ends with the server's drain, long before its own, and so the worker is not killed over it."""
    with Gateway(tmp_path) as gateway:
        gateway.start(config(up, '[usage]\non_abort = "drain"\ndrain_seconds = 60'), KEY)
        gate = Gate()
        gate.release(4)
        up.script(Answer(said=Said("one two three four five six"), gate=gate))
        with Peer(gateway.origin) as peer:
            line = b"X-Penstock-On-Disconnect: cancel"
            peer.send(request(b"POST", CHAT, line, body=msgspec.json.encode(STREAM)))
            peer.head()
            peer.body_until(b"one")
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(4.0) == 0
        assert up.wait_closed(0)
        [row] = rows_after_a_restart(gateway, 1)
    assert row["outcome"] == "client_abort" and row["output_tokens"]


@pytest.mark.parametrize("policy", ["linger", "finish"])
def test_a_stream_without_its_client(tmp_path: Path, up: FakeProvider, policy: str) -> None:
    """It waits for its client, or goes on without: the drain's end is its end, and it was cancelled by us."""
    with Gateway(tmp_path) as gateway:
        gateway.start(config(up, "[streams]\nlinger_seconds = 60"), KEY)
        gate = Gate()
        gate.release(4)
        up.script(Answer(said=Said("one two three four five six"), gate=gate))
        with Peer(gateway.origin) as peer:
            line = b"X-Penstock-On-Disconnect: " + policy.encode()
            peer.send(request(b"POST", CHAT, line, body=msgspec.json.encode(STREAM)))
            peer.head()
            peer.body_until(b"one")
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(4.0) == 0
        assert up.wait_closed(0)
        [row] = rows_after_a_restart(gateway, 1)
    assert row["outcome"] == "cancelled" and row["output_tokens"]


def test_the_items_of_a_batch(tmp_path: Path, up: FakeProvider) -> None:
    """Each was cancelled by us, and not by its client."""
    with Gateway(tmp_path) as gateway:
        gateway.start(config(up, ""), KEY)
        up.script(*[Answer(head_gate=Gate())] * 5)
        with Peer(gateway.origin) as peer:
            peer.send(request(b"POST", b"/chat/batch", body=msgspec.json.encode(BATCH)))
            assert up.wait_requests(5)
            gateway.send_signal(signal.SIGTERM)
            assert gateway.wait() == 0
        rows = rows_after_a_restart(gateway, 5)
    assert [row["outcome"] for row in rows] == ["cancelled"] * 5
