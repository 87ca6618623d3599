"""One connection of the load generator: what it counts, and how little it can be deceived."""

import asyncio
import time

import pytest

from benchmarks.load.connection import SlowConnection
from benchmarks.load.requests import Request
from benchmarks.load.tally import Tally
from benchmarks.upstream.dialects import ANTHROPIC, LAST_CHUNK, OPENAI, framed
from benchmarks.upstream.server import whole
from tests.fakes.loops import virtual_time
from tests.unit.benchmarks.load.wire import (
    JSON,
    STREAM_HEAD,
    WHOLE,
    connected,
    message_stream,
    stream,
    streaming,
    wired,
)

NO_LENGTH = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n" + OPENAI.whole


def seen(tally: Tally) -> tuple[int, int, int, int, int, int]:
    """All that a right answer adds to, and a wrong one must not; the errors beside it."""
    durations = (tally.latency.count, tally.first_event.count, tally.gap.count)
    return (tally.answers, tally.events, *durations, tally.errors.total())


@pytest.mark.parametrize(
    ("request_", "answer", "expected"),
    [
        pytest.param(JSON, WHOLE, (1, 0, 1, 0, 0, 0), id="json"),
        pytest.param(Request(b"", "anthropic"), whole(ANTHROPIC.whole), (1, 0, 1, 0, 0, 0), id="a-message"),
        pytest.param(streaming(1), stream(0), (1, 1, 1, 1, 0, 0), id="a-stream-of-one-token"),
        pytest.param(streaming(3), stream(0, 1, 2), (1, 3, 1, 1, 2, 0), id="a-stream"),
        pytest.param(Request(b"", "anthropic", 2), message_stream(0, 1), (1, 2, 1, 1, 1, 0), id="messages"),
        pytest.param(
            Request(b"", None),
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            (1, 0, 1, 0, 0, 0),
            id="any",
        ),
    ],
)
def test_an_answer_is_the_same_however_it_is_torn(
    request_: Request, answer: bytes, expected: tuple[int, ...]
) -> None:
    """Whole, byte by byte, and cut in two at every place."""
    cuts = [[answer], [answer[at : at + 1] for at in range(len(answer))]]
    cuts += [[answer[:at], answer[at:]] for at in range(1, len(answer))]
    for pieces in cuts:
        connection, wire = connected()
        connection.send(request_, time.monotonic_ns())
        for piece in pieces:
            assert connection.busy
            connection.data_received(piece)
        assert not connection.busy
        assert seen(connection.tally) == expected
        assert not wire.aborted


@pytest.mark.parametrize(
    ("request_", "answer", "kind"),
    [
        pytest.param(streaming(3), stream(0, 2, tokens=3), "lost event", id="a-lost-event"),
        pytest.param(streaming(3), stream(0, 1, 2, 2, tokens=3), "extra event", id="an-extra-event"),
        pytest.param(streaming(3), stream(0, 2, 1), "swapped order", id="two-swapped"),
        pytest.param(streaming(3), STREAM_HEAD + LAST_CHUNK, "no [DONE]", id="an-empty-stream"),
        pytest.param(streaming(1), stream(), "lost event", id="an-end-without-a-token"),
        pytest.param(streaming(3), WHOLE, "no [DONE]", id="json-in-place-of-a-stream"),
        pytest.param(JSON, stream(0), "not an answer", id="a-stream-in-place-of-json"),
        pytest.param(JSON, whole(b""), "not an answer", id="an-empty-body"),
        pytest.param(JSON, whole(b"{}", "502 Bad Gateway"), "status 502", id="a-status"),
        pytest.param(streaming(3), whole(b"{}", "429 Slow"), "status 429", id="a-status-for-a-stream"),
        pytest.param(JSON, b"HTTP/1.1 204 No Content\r\n\r\n", "status 204", id="no-content"),
        pytest.param(JSON, b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n", "status 302", id="elsewhere"),
        pytest.param(
            JSON,
            b"HTTP/1.1 101 Other\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
            "status 101",
            id="upgrade",
        ),
        pytest.param(JSON, b"nonsense\r\n\r\n", "bad HTTP", id="no-http"),
        pytest.param(streaming(1), STREAM_HEAD + b"zz\r\n", "bad HTTP", id="no-chunk"),
        pytest.param(
            streaming(2), STREAM_HEAD + framed(OPENAI.token(0))[:-2] + b"5\r\n", "bad HTTP", id="a-torn-chunk"
        ),
    ],
)
def test_a_wrong_answer_is_one_error_and_nothing_else(request_: Request, answer: bytes, kind: str) -> None:
    """None of its durations and events count, in one read and byte by byte; the connection is closed."""
    for pieces in ([answer], [answer[at : at + 1] for at in range(len(answer))]):
        connection, wire = connected()
        failed: list[object] = []
        connection.on_failed = failed.append
        connection.send(request_, time.monotonic_ns())
        for piece in pieces:
            if not wire.aborted:
                connection.data_received(piece)
        tally = connection.tally
        assert dict(tally.errors) == {kind: 1}
        assert seen(tally) == (0, 0, 0, 0, 0, 1)
        assert wire.aborted and failed == [connection] and not connection.busy


def test_the_same_answer_again_is_not_the_next_ones() -> None:
    """In a closed loop the next question goes out while the first answer is read; a second one is no answer to it."""
    connection, wire = connected()
    connection.on_idle = lambda idle: idle.send(JSON, time.monotonic_ns())
    connection.send(JSON, time.monotonic_ns())
    connection.data_received(WHOLE + WHOLE + WHOLE)
    assert len(wire.sent) == 2
    assert (connection.tally.answers, dict(connection.tally.errors)) == (1, {"answer without a question": 1})


def test_an_answer_in_the_next_read_is_the_next_ones() -> None:
    """What comes after the question may be its answer, also where the last read ended with the one before."""
    connection, _ = connected()
    connection.on_idle = lambda idle: idle.send(JSON, time.monotonic_ns())
    connection.send(JSON, time.monotonic_ns())
    for _ in range(5):
        connection.data_received(WHOLE)
    assert (connection.tally.answers, connection.tally.errors) == (5, {})


@pytest.mark.parametrize(
    "more",
    [
        pytest.param(WHOLE, id="the-same-answer-again"),
        pytest.param(b"HTTP/1.1 2", id="the-beginning-of-another"),
        pytest.param(b"{}", id="more-body-than-was-said"),
        pytest.param(b"data: [DONE]\n\n", id="events-after-the-last-chunk"),
    ],
)
@pytest.mark.parametrize("reads", [1, 2], ids=["in-the-same-read", "in-a-later-read"])
def test_what_nobody_asked_for_is_an_error(more: bytes, reads: int) -> None:
    connection, wire = connected()
    connection.send(JSON, time.monotonic_ns())
    for piece in [WHOLE + more] if reads == 1 else [WHOLE, more]:
        connection.data_received(piece)
    assert seen(connection.tally) == (1, 0, 1, 0, 0, 1)
    assert dict(connection.tally.errors) == {"answer without a question": 1}
    assert wire.aborted


def test_empty_lines_between_answers_are_none() -> None:
    """Old servers send them; RFC 9112, 2.2, would have them passed over."""
    connection, _ = connected()
    for _ in range(2):
        connection.send(JSON, time.monotonic_ns())
        connection.data_received(WHOLE + b"\r\n")
    assert seen(connection.tally) == (2, 0, 2, 0, 0, 0)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(b"", "cut in the middle", id="before-the-first-byte"),
        pytest.param(WHOLE[:20], "cut in the middle", id="in-the-head"),
        pytest.param(WHOLE[:-1], "cut in the middle", id="before-the-last-byte"),
        pytest.param(NO_LENGTH, "cut in the middle", id="a-body-that-ends-with-the-connection"),
    ],
)
def test_a_connection_lost_in_the_middle_cuts_its_answer(answer: bytes, kind: str) -> None:
    connection, _ = connected()
    connection.send(JSON, time.monotonic_ns())
    if answer:
        connection.data_received(answer)
    connection.connection_lost(None)
    assert dict(connection.tally.errors) == {kind: 1}
    assert connection.tally.answers == 0


def test_a_stream_without_its_last_chunk_is_cut() -> None:
    """Even where every event has come, [DONE] included: a client would wait for ever."""
    connection, _ = connected()
    connection.send(streaming(2), time.monotonic_ns())
    connection.data_received(stream(0, 1).removesuffix(LAST_CHUNK))
    connection.connection_lost(None)
    assert seen(connection.tally) == (0, 0, 0, 0, 0, 1)


def test_a_connection_lost_while_idle_is_seen_when_it_is_wanted() -> None:
    """Kept connections are part of what is promised, so closing one is no error until somebody asks."""
    connection, wire = connected()
    connection.send(JSON, time.monotonic_ns())
    connection.data_received(WHOLE)
    wire.abort()
    connection.connection_lost(None)
    assert connection.tally.errors == {}
    connection.send(JSON, time.monotonic_ns())
    assert dict(connection.tally.errors) == {"closed while idle": 1}
    assert len(wire.sent) == 1


def test_only_what_is_still_open_is_given_up() -> None:
    """At the end of a run's time; doing it twice counts it once."""
    (idle, _), (busy, wire) = connected(), connected()
    busy.send(JSON, time.monotonic_ns())
    for connection in (idle, busy, busy):
        connection.give_up()
    assert idle.tally.errors == {}
    assert dict(busy.tally.errors) == {"unfinished": 1}
    assert wire.aborted


def test_latency_counts_from_when_the_request_was_due() -> None:
    """A request that was due two seconds ago took two seconds, however fast its answer was."""
    connection, _ = connected()
    connection.send(streaming(2), time.monotonic_ns() - 2_000_000_000)
    connection.data_received(stream(0, 1))
    for seen_durations in (connection.tally.latency, connection.tally.first_event):
        assert seen_durations.samples_ms().min() >= 2000
    assert connection.tally.gap.samples_ms().max() < 2000


@pytest.mark.parametrize("reads", [1, 4], ids=["in-one-read", "one-read-for-each"])
def test_who_leaves_after_two_tokens_has_seen_two(reads: int) -> None:
    """What comes later, in the same read too, is neither counted nor judged."""
    connection, wire = connected()
    left: list[object] = []
    connection.on_left = left.append
    connection.send(streaming(4), time.monotonic_ns(), leave_after=2)
    parts = [STREAM_HEAD, *(framed(OPENAI.token(number)) for number in (0, 1, 3, 3))]
    for piece in [b"".join(parts)] if reads == 1 else parts:
        connection.data_received(piece)
    tally = connection.tally
    assert (tally.left, tally.begun, tally.answers, tally.events, tally.errors) == (1, 1, 0, 2, {})
    assert (tally.first_event.count, tally.gap.count, tally.latency.count) == (1, 1, 0)
    assert wire.aborted and left == [connection]


def test_what_was_wrong_before_leaving_is_an_error() -> None:
    """Leaving early doesn't excuse the answer."""
    connection, _ = connected()
    connection.send(streaming(4), time.monotonic_ns(), leave_after=3)
    connection.data_received(stream(0, 2, 1, 3))
    assert (connection.tally.left, dict(connection.tally.errors)) == (0, {"swapped order": 1})


def test_leaving_after_the_end_is_nothing() -> None:
    """An answer that came in the last moment counts once, as an answer."""
    connection, _ = connected()
    connection.send(JSON, time.monotonic_ns())
    connection.data_received(WHOLE)
    connection.leave_on_purpose()
    assert (connection.tally.answers, connection.tally.left) == (1, 0)


@virtual_time
async def test_a_slow_reader_rests_for_as_long_as_what_it_read_takes() -> None:
    """At 100 bytes a second a read of 100 bytes is followed by a second without any."""
    connection = SlowConnection(Tally(), bytes_per_second=100)
    wire = wired(connection)
    connection.send(streaming(3), time.monotonic_ns())
    answer = stream(0, 1, 2)
    for start in range(0, len(answer), 100):
        read = answer[start : start + 100]
        connection.data_received(read)
        rests = [wire.reading]
        await asyncio.sleep(len(read) / 100 - 0.01)
        rests.append(wire.reading)
        await asyncio.sleep(0.02)
        rests.append(wire.reading)
        assert rests == [False, False, True]
    assert (connection.tally.answers, connection.tally.errors) == (1, {})


@virtual_time
async def test_a_slow_reader_that_has_left_reads_no_more() -> None:
    """Its transport is gone when the rest is over."""
    connection = SlowConnection(Tally(), bytes_per_second=100)
    wire = wired(connection)
    connection.send(streaming(3), time.monotonic_ns())
    connection.data_received(stream(0, 1, 2)[:200])
    connection.leave()
    await asyncio.sleep(5)
    assert not wire.reading
