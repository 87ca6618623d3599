"""The load generator against the mock provider over real sockets, and its clocks without any."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from benchmarks import answers
from benchmarks.load import Client, ClosedLoop, Connection, Lane, Request, hold_open, open_loop, post
from benchmarks.rounds import Errors
from benchmarks.tally import Tally
from benchmarks.upstream import Provider, provider_factory, whole


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    """The mock provider on loopback; yields its port, and leaves no connection open."""
    loop = asyncio.get_running_loop()
    make, made = provider_factory(loop), list[Provider]()

    def remember() -> Provider:
        made.append(make())
        return made[-1]

    async with await loop.create_server(remember, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        for provider in made:
            provider._transport.abort()
        await asyncio.sleep(0)


def asking(members: str, tokens: int | None = None) -> Request:
    return post(f"{{{members}}}".encode(), tokens)


def streaming(tokens: int, interval_ms: float = 0, fault: str | None = None) -> Request:
    named = f', "x_fault": "{fault}"' if fault else ""
    return asking(
        '"stream": true, "stream_options": {"include_usage": true}, '
        f'"x_tokens": {tokens}, "x_interval_ms": {interval_ms}{named}',
        tokens,
    )


async def closed(
    request: Request, connections: int = 3, repeats: int = 2, limit_seconds: float = 10
) -> Tally:
    loop = ClosedLoop(request, repeats=repeats, limit_seconds=limit_seconds)
    async with serving() as port, Client(port, connections) as client:
        return await loop.run(client)


@pytest.mark.parametrize(
    ("request_", "events"),
    [
        pytest.param(asking('"model": "m"'), 0, id="json"),
        pytest.param(streaming(50), 50, id="burst"),
        pytest.param(streaming(3000), 3000, id="a-burst-beyond-the-socket-buffers"),
        pytest.param(streaming(20, 2), 20, id="paced"),
    ],
)
async def test_right_answers_are_counted(request_: Request, events: int) -> None:
    tally = await closed(request_)
    assert (tally.errors, tally.answers, tally.events) == ({}, 6, 6 * events)
    assert tally.latency.count == 6


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        pytest.param(streaming(9, fault="lost"), "lost event", id="a-lost-event"),
        pytest.param(streaming(9, fault="extra"), "extra event", id="an-extra-event"),
        pytest.param(streaming(9, fault="swapped"), "swapped order", id="two-swapped"),
        pytest.param(streaming(9, fault="unfinished"), "no [DONE]", id="no-end"),
        pytest.param(streaming(9, fault="cut"), "cut in the middle", id="a-cut-connection"),
        pytest.param(streaming(9, 1, "lost"), "lost event", id="a-lost-event-in-a-paced-stream"),
        pytest.param(streaming(9, fault="refused"), "status 500", id="a-stream-refused"),
        pytest.param(asking('"x_fault": "refused"'), "status 500", id="an-answer-refused"),
        pytest.param(asking('"x_fault": "wrong"'), "not an answer", id="a-wrong-answer"),
    ],
)
async def test_a_broken_upstream_fails_the_run(request_: Request, kind: str) -> None:
    """The fault is named, its answer isn't counted, and its duration enters no histogram."""
    tally = await closed(request_)
    errors = Errors()
    errors.take("here", tally)
    assert errors.counts == {f"here: {kind}": 3}
    assert (tally.answers, tally.latency.count) == (0, 0)


async def test_one_wrong_answer_among_many_is_not_averaged_away() -> None:
    """A single bad answer leaves its mark on a run that is right otherwise."""
    async with serving() as port, Client(port, 20) as client:
        await ClosedLoop(streaming(5), repeats=5).run(client)
        client.connections = client.connections[:1]
        tally = await ClosedLoop(streaming(5, fault="swapped"), repeats=1).run(client)
    errors = Errors()
    errors.take("run", tally)
    assert (tally.answers, errors.counts) == (100, {"run: swapped order": 1})


async def test_an_answer_that_never_comes_is_an_error() -> None:
    """A closed loop ends at its limit, and what is open then is counted."""
    tally = await closed(streaming(2, 60_000), connections=2, limit_seconds=0.05)
    assert tally.errors == {"unfinished": 2}


async def test_a_run_without_any_answer_is_an_error() -> None:
    """Nothing sent, nothing wrong: that is no success."""
    errors = Errors()
    errors.take("here", Tally())
    assert errors.counts == {"here: nothing was answered": 1}


async def test_open_loop_sends_each_lane_its_share() -> None:
    """Two lanes at 200/s each for 0.1 s are 20 requests each, all answered."""
    async with serving() as port, Client(port, 4) as one, Client(port, 4) as other:
        lanes = [Lane(one, asking('"model": "m"')), Lane(other, streaming(3))]
        await open_loop(lanes, 200, 0.1)
    assert [lane.tally.answers for lane in lanes] == [20, 20]
    assert lanes[1].tally.first_event.count == 20
    assert [lane.tally.errors for lane in lanes] == [{}, {}]


async def test_held_streams_have_begun_and_leaving_them_is_no_error() -> None:
    """Every stream has brought its first token before the memory is read."""
    async with serving() as port:
        async with Client(port, 30) as client:
            tally = await hold_open(client, streaming(100_000, 20))
        assert (tally.begun, tally.errors) == (30, {})


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it."""
        self.sent.append(bytes(data))

    def is_closing(self) -> bool:
        """Whether it was aborted."""
        return self.aborted

    def abort(self) -> None:
        """End it."""
        self.aborted = True


def connected() -> tuple[Client, Connection, Wire]:
    client, wire = Client(0, 1), Wire()
    connection = Connection(client.tally)
    connection.connection_made(wire)
    client.connections = [connection]
    return client, connection, wire


WHOLE = whole(answers.WHOLE_ANSWER)


def test_latency_counts_from_when_the_request_was_due() -> None:
    """A request that was due two seconds ago took two seconds, however fast its answer was."""
    client, connection, _ = connected()
    connection.send(asking(""), time.monotonic_ns() - 2_000_000_000)
    connection.data_received(WHOLE)
    assert client.tally.latency.percentile_ms(50) >= 1990


def test_a_request_without_an_idle_connection_waits_with_its_clock_running() -> None:
    """The stall of one answer is seen in the latency of the request behind it."""
    client, connection, wire = connected()
    lane = Lane(client, asking(""))
    due_ns = time.monotonic_ns() - 1_000_000_000
    lane.send(due_ns)
    lane.send(due_ns)
    assert len(wire.sent) == 1
    connection.data_received(WHOLE)
    assert len(wire.sent) == 2
    connection.data_received(WHOLE)
    assert not lane.open
    assert (lane.tally.answers, lane.tally.errors) == (2, {})
    assert lane.tally.latency.percentile_ms(1) >= 990


def test_what_was_never_sent_is_an_error() -> None:
    """Requests still waiting at the end are counted, and so is the one that blocked them."""
    client, _, _ = connected()
    lane = Lane(client, asking(""))
    for _ in range(3):
        lane.send(time.monotonic_ns())
    lane.finish()
    assert lane.tally.errors == {"unfinished": 1, "never sent": 2}


def test_a_connection_that_closed_while_idle_is_an_error() -> None:
    """Kept connections are part of what is promised."""
    client, connection, wire = connected()
    wire.abort()
    connection.send(asking(""), time.monotonic_ns())
    assert client.tally.errors == {"closed while idle": 1}


def test_bytes_that_are_not_http_are_an_error() -> None:
    """The parser's complaint is kept as the example."""
    client, connection, _ = connected()
    connection.send(asking(""), time.monotonic_ns())
    connection.data_received(b"nonsense\r\n\r\n")
    assert client.tally.errors == {"bad HTTP": 1}


async def test_a_paced_stream_begins_at_once() -> None:
    """With a minute between tokens the first is here, so time to first event has no timer in it."""
    async with serving() as port, Client(port, 2) as client:
        tally = await hold_open(client, streaming(2, 60_000), limit_seconds=5)
        assert (tally.begun, tally.events, tally.errors) == (2, 2, {})
