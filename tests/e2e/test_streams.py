"""A provider's stream on its way to the client: re-framed, never cut in silence, never held in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from tests.e2e.conftest import StartGateway
from tests.e2e.gateway import Gateway
from tests.e2e.raw import Peer, Reply, post, request
from tests.fakes import faults
from tests.fakes.answers import DONE, Said, event
from tests.fakes.behaviours import Answer, Behaviour, Html, Status, finish, stream
from tests.fakes.connection import Exchange
from tests.fakes.gate import Gate
from tests.fakes.provider import FakeProvider
from tests.fakes.streams import whole_without_ids, without_ids

CONFIG = """
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
name = "backed"
targets = [{{ provider = "up", model = "first" }}]
fallbacks = ["m"]
[[models]]
name = "c"
targets = [{{ provider = "claude", model = "y" }}]
[retries]
max_attempts = 2
[streams]
{streams}
"""

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"

TOKEN = b'{"id":"1","choices":[{"index":0,"delta":{"content":"a"}}],"unknown":{"kept":[1, 2]}}'
END = b'{"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
GOOD = event(TOKEN) + event(END) + DONE


@dataclass(frozen=True)
class Held:
    """Another behaviour, behind a gate."""

    gate: Gate
    then: Behaviour

    async def play(self, exchange: Exchange) -> None:
        """Wait, then do as it does."""
        await self.gate.passed()
        await self.then.play(exchange)


@dataclass(frozen=True)
class Numbered:
    """A complete stream of `count` numbered events of some `size_bytes` each, as fast as they are taken."""

    count: int
    size_bytes: int

    async def play(self, exchange: Exchange) -> None:
        """Send them all."""
        filler = "x" * self.size_bytes
        tokens = (
            event({"choices": [{"index": 0, "delta": {"content": f"{number} {filler}"}}]})
            for number in range(self.count)
        )
        await stream(exchange, tokens)
        await exchange.body(event(END) + DONE)
        await finish(exchange, "chunked")


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    """With a small send buffer, so that back-pressure soon reaches it."""
    with FakeProvider(send_buffer_bytes=65536) as fake:
        yield fake


@pytest.fixture(scope="module")
def gateway(start_gateway: StartGateway, provider: FakeProvider) -> Gateway:
    """Patient: no heartbeat and no early head within a test."""
    return start_gateway(CONFIG.format(openai=provider.base_url, origin=provider.origin, streams=""))


@pytest.fixture(scope="module")
def hasty(start_gateway: StartGateway, provider: FakeProvider) -> Gateway:
    """With heartbeats and an early head."""
    quick = "heartbeat_seconds = 0.1\ncommit_after_seconds = 0.2"
    return start_gateway(CONFIG.format(openai=provider.base_url, origin=provider.origin, streams=quick))


def body_for(path: str, model: str = "m") -> bytes:
    """A streaming request's body."""
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    return msgspec.json.encode(body | ({"max_tokens": 9} if path == MESSAGES else {}))


def ask_stream(gateway: Gateway, path: str = CHAT, model: str = "m", request_id: bytes = b"r") -> Reply:
    """A whole streamed answer. Raises Cut where its body doesn't end in order."""
    return post(gateway.base_url, path, body_for(path, model), b"X-Request-ID: " + request_id)


def events_in(body: bytes) -> list[bytes]:
    """A body's blocks without the comments."""
    assert body.endswith(b"\n\n")
    return [block for block in body[:-2].split(b"\n\n") if not block.startswith(b":")]


def error_in(block: bytes) -> dict[str, object]:
    """The error that an event holds."""
    data = block.rpartition(b"data: ")[2]
    return msgspec.json.decode(data, type=dict[str, dict[str, object] | str])["error"]  # type: ignore[return-value]


def bytewise(wire: bytes) -> tuple[bytes, ...]:
    """Each byte a piece of its own."""
    return tuple(bytes([byte]) for byte in wire)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param((GOOD,), GOOD, id="in-one-piece"),
        pytest.param(bytewise(GOOD), GOOD, id="byte-by-byte"),
        pytest.param(bytewise(GOOD.replace(b"\n", b"\r\n")), GOOD, id="torn-crlf"),
        pytest.param(bytewise(GOOD.replace(b"\n", b"\r")), GOOD, id="cr-alone"),
        pytest.param((b"\xef", b"\xbb\xbf" + GOOD), GOOD, id="a-torn-byte-order-mark"),
        pytest.param((GOOD.replace(b"data: ", b"data:"),), GOOD, id="no-space-behind-the-colon"),
        pytest.param((b": a comment\n\n:\n", GOOD), GOOD, id="comments-are-dropped"),
        pytest.param((b"retry: 5\nfoo: bar\n\n", GOOD), GOOD, id="fields-without-data-are-no-event"),
        pytest.param(
            (b"event: token\ndata: " + TOKEN + b"\n\n", event(END), DONE),
            event(TOKEN, "token") + event(END) + DONE,
            id="an-events-name-is-kept",
        ),
        pytest.param(
            (event(TOKEN.replace(b",", b",\ndata: ")), event(END), DONE),
            event(TOKEN.replace(b",", b",\ndata: ")) + event(END) + DONE,
            id="data-of-several-lines",
        ),
        pytest.param((event(TOKEN), event(END)), GOOD, id="a-missing-done-is-added"),
        pytest.param(
            (event(TOKEN), event(END), DONE, event(b'{"late":true}')), GOOD, id="nothing-follows-done"
        ),
    ],
)
def test_events_are_passed_on_one_by_one(
    gateway: Gateway, up: FakeProvider, pieces: tuple[bytes, ...], expected: bytes
) -> None:
    up.script(faults.RawEvents(pieces))
    reply = ask_stream(gateway)
    assert (reply.status, reply.unnumbered) == (200, expected)


def test_torn_characters_arrive_whole(gateway: Gateway, up: FakeProvider) -> None:
    """UTF-8 split anywhere makes no difference."""
    torn = faults.TornWrites()
    up.script(torn, Answer(said=torn.said))
    assert ask_stream(gateway).unnumbered == ask_stream(gateway).unnumbered


def test_the_head_says_what_it_is(gateway: Gateway, up: FakeProvider) -> None:
    """Nothing between here and the client may keep or hold back a stream."""
    reply = ask_stream(gateway, request_id=b"head")
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["cache-control"] == "no-cache, no-store"
    assert reply.headers["x-accel-buffering"] == "no"
    assert reply.headers["x-request-id"] == "head"
    assert reply.headers["x-penstock-model"] == "m"
    assert reply.headers["x-penstock-target"] == "up/x"
    assert reply.headers["x-penstock-attempts"] == "1"
    assert float(reply.headers["x-penstock-overhead-ms"]) >= 0
    assert "content-length" not in reply.headers


def test_nothing_is_held_back(gateway: Gateway, up: FakeProvider) -> None:
    """Each event is at the client before the provider sends the next."""
    gate = Gate()
    up.script(faults.RawEvents((event(TOKEN), event(TOKEN), event(END)), gate))
    with Peer(gateway.base_url) as peer:
        peer.send(request(body=body_for(CHAT)))
        gate.release()
        assert peer.head()[0] == 200
        chunks = peer.chunks()
        assert without_ids(next(chunks)) == event(TOKEN)
        gate.release()
        assert without_ids(next(chunks)) == event(TOKEN)
        gate.open()
        assert without_ids(b"".join(chunks)) == event(END) + DONE


@pytest.mark.parametrize("path", [pytest.param(CHAT, id="chat"), pytest.param(MESSAGES, id="messages")])
@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        pytest.param(faults.Hangup(after=4), "upstream_truncated", id="a-hangup"),
        pytest.param(faults.Hangup(after=4, framing="close"), "upstream_truncated", id="a-cut-in-good-order"),
        pytest.param(faults.Reset(after=4), "upstream_truncated", id="a-reset"),
        pytest.param(faults.NoFinishReason(done=False), "upstream_truncated", id="no-finish-reason"),
        pytest.param(faults.NoFinishReason(done=True), "upstream_truncated", id="an-end-without-reason"),
        pytest.param(faults.ErrorEvent(after=4), "upstream_error", id="an-error-event"),
        pytest.param(faults.ErrorEvent(after=4, done=True), "upstream_error", id="an-error-event-and-an-end"),
        pytest.param(faults.HugeEvent(2 << 20, after=4), "upstream_truncated", id="an-event-beyond-1-mib"),
        pytest.param(faults.BrokenUtf8(after=4), "upstream_truncated", id="an-event-that-is-not-utf-8"),
        pytest.param(
            faults.RawEvents((event(TOKEN), b"data: {oops\n\n")), "upstream_truncated", id="no-json"
        ),
        pytest.param(
            faults.RawEvents((event(TOKEN), b"data: [1]\n\n")), "upstream_truncated", id="no-object"
        ),
    ],
)
def test_what_breaks_in_the_middle_is_an_error_event(
    gateway: Gateway, up: FakeProvider, path: str, behaviour: Behaviour, outcome: str
) -> None:
    """One error, last, in the route's own form, after what was good, and no end mark at all."""
    up.script(behaviour)
    request_id = f"mid-{path[-4:]}-{type(behaviour).__name__}-{id(behaviour)}"
    reply = ask_stream(gateway, path, request_id=request_id.encode())
    assert reply.status == 200
    *good, last = events_in(reply.unnumbered)
    assert good
    assert b'"error":{' not in b"".join(good)
    assert b"[DONE]" not in reply.body
    assert b"message_stop" not in reply.body
    assert last.startswith(b"event: error\ndata: " if path == MESSAGES else b'data: {"error":')
    assert error_in(last)["code"] == "provider_error"
    assert error_in(last)["message"]
    assert b'"finish_reason":"stop"' not in reply.body
    assert b'"stop_reason":"end_turn"' not in reply.body
    assert len(up.requests) == 1
    line = gateway.wait_line(request_id=request_id)
    assert (line["outcome"], line["problem"], line["status"]) == (outcome, "provider_error", 200)


def test_an_error_event_of_anthropics_dialect(gateway: Gateway, up: FakeProvider) -> None:
    """Passed through its own dialect it is still `event: error`, and message_stop never comes."""
    up.script(faults.ErrorEvent(after=4, type="overloaded_error", message="Overloaded"))
    reply = ask_stream(gateway, MESSAGES, "c")
    *good, last = events_in(reply.unnumbered)
    assert good[0].startswith(b"event: message_start\n")
    assert last.startswith(b"event: error\ndata: {")
    data = msgspec.json.decode(last.partition(b"data: ")[2])
    assert data["type"] == "error"
    assert data["error"]["message"]
    assert b"message_stop" not in reply.body


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(faults.ErrorEvent(), id="an-error-event"),
        pytest.param(faults.Hangup(), id="a-hangup-before-the-head"),
        pytest.param(faults.Hangup(after=0), id="a-hangup-behind-the-head"),
        pytest.param(faults.Reset(), id="a-reset-before-the-head"),
        pytest.param(faults.Reset(after=0), id="a-reset-behind-the-head"),
        pytest.param(faults.RawEvents(()), id="an-empty-body"),
        pytest.param(faults.RawEvents((b": only a comment\n\n",)), id="nothing-but-comments"),
        pytest.param(faults.RawEvents((DONE,)), id="nothing-but-done"),
        pytest.param(Html(200), id="a-page-instead-of-events"),
        pytest.param(Status(503), id="a-plain-error"),
    ],
)
@pytest.mark.parametrize("path", [pytest.param(CHAT, id="chat"), pytest.param(MESSAGES, id="messages")])
def test_what_breaks_before_the_first_event_is_a_plain_error(
    gateway: Gateway, up: FakeProvider, path: str, behaviour: Behaviour
) -> None:
    """Tried again; in the end a status and a problem, no stream."""
    # A kept-alive connection that turns out to be dead costs no attempt, so it would be one request more.
    up.close_idle()
    up.script(behaviour, behaviour, behaviour)
    reply = ask_stream(gateway, path)
    assert (reply.status, reply.code) == (502, "provider_error")
    assert reply.headers["content-type"] == "application/problem+json"
    assert len(up.requests) == 2


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(faults.ErrorEvent(), id="an-error-event"),
        pytest.param(faults.Reset(after=0), id="a-reset-behind-the-head"),
        pytest.param(faults.RawEvents(()), id="an-empty-body"),
    ],
)
def test_a_second_attempt_leaves_no_trace_of_the_first(
    gateway: Gateway, up: FakeProvider, behaviour: Behaviour
) -> None:
    up.script(behaviour, faults.RawEvents((GOOD,)))
    reply = ask_stream(gateway)
    assert (reply.status, reply.unnumbered, reply.headers["x-penstock-attempts"]) == (200, GOOD, "2")


def test_an_event_of_a_megabyte_passes(gateway: Gateway, up: FakeProvider) -> None:
    """The bound is 1 MiB, and what is below it arrives whole."""
    up.script(faults.HugeEvent(1_000_000))
    assert b"x" * 1_000_000 in ask_stream(gateway).body


def test_heartbeats_fill_a_silence(hasty: Gateway, up: FakeProvider) -> None:
    """Before the first event the head goes out early, with the alias alone; then comments, in the middle too."""
    gate = Gate()
    up.script(faults.RawEvents((event(TOKEN), event(END)), gate))
    with Peer(hasty.base_url) as peer:
        peer.send(request(body=body_for(CHAT)))
        status, headers = peer.head()
        assert status == 200
        assert headers["content-type"] == "text/event-stream; charset=utf-8"
        assert headers["x-penstock-model"] == "m"
        assert not headers.keys() & {
            "x-penstock-target",
            "x-penstock-attempts",
            "x-penstock-overhead-ms",
        }
        assert peer.body_until(b"\n\n").startswith(b":")
        gate.release()
        assert without_ids(peer.body_until(b'"content":"a"')).endswith(event(TOKEN))
        assert peer.body_until(b"\n\n").startswith(b":")
        gate.open()
        rest = b"".join(peer.chunks())
    assert events_in(without_ids(rest)) == [b"data: " + END, b"data: [DONE]"]


@pytest.mark.parametrize(
    ("path", "begins"),
    [
        pytest.param(CHAT, b'data: {"error":', id="chat"),
        pytest.param(MESSAGES, b"event: error\n", id="messages"),
    ],
)
def test_a_failure_behind_an_early_head_is_an_error_event(
    hasty: Gateway, up: FakeProvider, path: str, begins: bytes
) -> None:
    """The status is out: the error is the only event, in the route's own form."""
    gate = Gate()
    up.script(Held(gate, Status(500)), Status(429, message="Slow down.", retry_after="3600"))
    with Peer(hasty.base_url) as peer:
        peer.send(request(b"POST", path.encode(), body=body_for(path)))
        assert peer.head()[0] == 200
        gate.open()
        (only,) = events_in(without_ids(b"".join(peer.chunks())))
    assert only.startswith(begins)
    assert error_in(only)["code"] == "provider_rate_limited"
    assert len(up.requests) == 2


def test_a_fallback_works_behind_an_early_head(hasty: Gateway, up: FakeProvider) -> None:
    """Heartbeats are not bytes of the answer."""
    gate = Gate()
    up.script(Held(gate, Status(500)), faults.RawEvents((GOOD,)))
    with Peer(hasty.base_url) as peer:
        peer.send(request(body=body_for(CHAT, "backed")))
        assert peer.head()[0] == 200
        gate.open()
        body = b"".join(peer.chunks())
    assert b"\n\n".join(events_in(without_ids(body))) + b"\n\n" == GOOD
    assert [asked.json["model"] for asked in up.requests] == ["first", "x"]


def test_a_slow_reader_pauses_the_provider(gateway: Gateway, up: FakeProvider) -> None:
    """Most of the stream is not even asked for until it is read; then all comes, in order."""
    count, size = 2_500, 10_000
    up.script(Numbered(count, size))
    before = resident_bytes(gateway)
    with Peer(gateway.base_url, receive_buffer_bytes=65536) as peer:
        peer.send(request(body=body_for(CHAT)))
        status, headers = peer.head()
        assert status == 200
        chunks = peer.chunks()
        got = next(chunks)
        assert not up.wait_answered(0, timeout_seconds=1.0)
        # What the kernel's buffers on the way take is the machine's business: some 9 MB of 25 here.
        assert up.bytes_written(0) < 15_000_000
        assert resident_bytes(gateway) - before < 10_000_000
        got += b"".join(chunks)
    filler = "x" * size
    expected = [
        event({"choices": [{"index": 0, "delta": {"content": f"{number} {filler}"}}]})
        for number in range(count)
    ]
    assert whole_without_ids(got, headers["x-stream-id"]) == b"".join(expected) + event(END) + DONE
    assert resident_bytes(gateway) - before < 15_000_000


def test_a_slow_reader_still_learns_of_a_cut(gateway: Gateway, up: FakeProvider) -> None:
    """What was held for it comes first, then the error."""
    up.script(faults.Hangup(after=500, said=Said(" ".join(["x" * 10_000] * 500))))
    with Peer(gateway.base_url, receive_buffer_bytes=65536) as peer:
        peer.send(request(body=body_for(CHAT)))
        assert peer.head()[0] == 200
        up.wait_answered(0, timeout_seconds=0.5)
        *good, last = events_in(without_ids(b"".join(peer.chunks())))
    assert len(good) == 500
    assert error_in(last)["code"] == "provider_error"


def resident_bytes(gateway: Gateway) -> int:
    """Resident memory of the gateway's worker processes."""
    pages = [int(Path(f"/proc/{worker}/statm").read_text().split()[1]) for worker in gateway.workers]
    return sum(pages) * 4096
