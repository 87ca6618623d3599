"""Closed loops, and clients that leave: against the mock provider over real sockets."""

import asyncio
import random
from collections.abc import Callable

import pytest

from benchmarks.lab.accounts import Errors
from benchmarks.load.checking import Dialect
from benchmarks.load.client import Client
from benchmarks.load.closed_loop import ClosedLoop, storm
from benchmarks.load.requests import LARGE, Ask, streamed
from benchmarks.load.tally import Tally
from benchmarks.scenarios.pressure import leaving
from benchmarks.upstream.script import Fault, Script
from tests.fakes.loops import on_uvloop, until
from tests.unit.benchmarks.load.wire import JSON, WHOLE, client_of
from tests.unit.benchmarks.serving import Serving, serving


async def closed(
    mock: Serving, ask: Ask, connections: int = 3, repeats: int = 2, limit_seconds: float = 10
) -> Tally:
    loop = ClosedLoop(mock.asked(ask), repeats=repeats, limit_seconds=limit_seconds)
    async with Client(mock.port, connections) as client:
        return await loop.run(client)


def stream_of(dialect: Dialect, tokens: int, interval_ms: float = 0, fault: Fault | None = None) -> Ask:
    return Ask(
        stream=True, dialect=dialect, script=Script(tokens=tokens, interval_ms=interval_ms, fault=fault)
    )


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize(
    ("make", "events"),
    [
        pytest.param(lambda dialect: Ask(dialect=dialect), 0, id="json"),
        pytest.param(lambda dialect: Ask(dialect=dialect, text=LARGE), 0, id="json-with-a-large-prompt"),
        pytest.param(lambda dialect: stream_of(dialect, 50), 50, id="burst"),
        pytest.param(lambda dialect: stream_of(dialect, 1), 1, id="a-burst-of-one-token"),
        pytest.param(lambda dialect: stream_of(dialect, 3000), 3000, id="a-burst-beyond-the-sockets-buffers"),
        pytest.param(lambda dialect: stream_of(dialect, 20, 2), 20, id="paced"),
        pytest.param(lambda dialect: stream_of(dialect, 1, 2), 1, id="paced-with-one-token"),
        pytest.param(lambda dialect: stream_of(dialect, 20, 0.1), 20, id="paced-finer-than-the-timer"),
    ],
)
@on_uvloop
async def test_right_answers_are_counted(
    make: Callable[[Dialect], Ask], events: int, dialect: Dialect
) -> None:
    """By both sides alike, and each duration once."""
    async with serving() as mock:
        tally = await closed(mock, make(dialect))
        assert (mock.counts.requests, mock.counts.open_streams, mock.counts.left) == (6, 0, 0)
        assert mock.counts.finished == (6 if events else 0)
    assert (tally.errors, tally.answers, tally.events) == ({}, 6, 6 * events)
    assert tally.latency.count == 6
    assert tally.first_event.count == tally.begun == (6 if events else 0)
    assert tally.gap.count <= 6 * max(0, events - 1)


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize(
    "interval_ms",
    [pytest.param(0.0, id="burst"), pytest.param(1.0, id="paced"), pytest.param(None, id="json")],
)
@pytest.mark.parametrize(
    ("fault", "kinds"),
    [
        pytest.param("lost", {"lost event"}, id="lost"),
        pytest.param("extra", {"extra event"}, id="extra"),
        pytest.param("swapped", {"swapped order"}, id="swapped"),
        pytest.param("cut", {"cut in the middle"}, id="cut"),
        pytest.param("unfinished", {"no [DONE]", "no message_stop"}, id="unfinished"),
        pytest.param("refused", {"status 500"}, id="refused"),
        pytest.param("wrong", {"not an answer"}, id="wrong"),
    ],
)
@on_uvloop
async def test_a_broken_upstream_fails_the_run(
    fault: Fault, kinds: set[str], interval_ms: float | None, dialect: Dialect
) -> None:
    """The fault is named and counted; its answer, its events and its durations are nowhere."""
    if fault not in ("refused", "wrong") and interval_ms is None:
        return  # a whole answer has no events
    if fault == "wrong" and interval_ms is not None:
        return  # what is wrong about a stream has names of its own
    ask = (
        Ask(dialect=dialect, script=Script(fault=fault))
        if interval_ms is None
        else stream_of(dialect, 9, interval_ms, fault)
    )
    async with serving() as mock:
        tally = await closed(mock, ask)
    errors = Errors()
    errors.take("here", tally)
    assert set(tally.errors) <= kinds
    assert errors.counts.total() == 3
    assert (tally.answers, tally.events) == (0, 0)
    assert (tally.latency.count, tally.first_event.count, tally.gap.count) == (0, 0, 0)


@pytest.mark.parametrize("ask", [Ask(), streamed(3, 0)], ids=["json", "burst"])
@pytest.mark.parametrize(
    ("percent", "requests", "errors"),
    [
        pytest.param(1, 500, 5, id="one-percent"),
        pytest.param(10, 100, 10, id="ten-percent"),
        pytest.param(0.5, 400, 2, id="half-a-percent"),
        pytest.param(0, 300, 0, id="none"),
    ],
)
@on_uvloop
async def test_a_share_of_errors_is_counted_to_the_last(
    ask: Ask, percent: float, requests: int, errors: int
) -> None:
    """Spread evenly, and each is in the run's errors while the rest is counted as right."""
    async with serving(Script(error_percent=percent)) as mock:
        tally, request = Tally(), mock.asked(ask)
        while tally.answers + tally.errors.total() < requests:
            # A connection that met an error is closed, so one at a time makes exactly so many requests.
            left = requests - tally.answers - tally.errors.total()
            async with Client(mock.port, 1) as client:
                client.connections[0].tally = tally
                await ClosedLoop(request, repeats=left).run(client)
        assert (mock.counts.requests, mock.counts.refused) == (requests, errors)
    assert tally.errors.total() == tally.errors["status 500"] == errors
    assert tally.answers == tally.latency.count == requests - errors


@on_uvloop
async def test_one_wrong_answer_among_many_is_not_averaged_away() -> None:
    """A single bad answer leaves its mark on a run that is right otherwise."""
    async with serving() as mock, Client(mock.port, 20) as client:
        await ClosedLoop(mock.asked(streamed(5, 0)), repeats=5).run(client)
        client.connections = client.connections[:1]
        wrong = mock.asked(stream_of("openai", 5, 0, "swapped"))
        tally = await ClosedLoop(wrong, repeats=1).run(client)
    errors = Errors()
    errors.take("run", tally)
    assert (tally.answers, tally.events) == (100, 500)
    assert (errors.counts, list(errors.examples)) == ({"run: swapped order": 1}, ["run: swapped order"])


@on_uvloop
async def test_an_answer_that_never_comes_is_an_error() -> None:
    """A closed loop ends at its limit, and what is open then is counted; of what it brought nothing is."""
    async with serving() as mock:
        tally = await closed(mock, streamed(2, 60_000), connections=2, limit_seconds=0.05)
    assert tally.errors == {"unfinished": 2}
    assert (tally.begun, tally.events, tally.first_event.count) == (2, 0, 0)


@on_uvloop
async def test_what_has_begun_when_the_time_is_over_is_finished() -> None:
    """`seconds` ends the asking, not the answers."""
    async with serving() as mock, Client(mock.port, 3) as client:
        tally = await ClosedLoop(mock.asked(streamed(5, 10)), seconds=0.01).run(client)
    assert (tally.answers, tally.events, tally.errors) == (3, 15, {})


@pytest.mark.parametrize(
    ("connections", "repeats"),
    [pytest.param(0, 3, id="no-connections"), pytest.param(3, 0, id="no-requests")],
)
@on_uvloop
async def test_a_run_of_nothing_ends_and_is_no_success(connections: int, repeats: int) -> None:
    async with serving() as mock:
        tally = await closed(mock, Ask(), connections, repeats)
    errors = Errors()
    errors.take("here", tally)
    assert errors.counts == {"here: nothing was answered": 1}


@on_uvloop
async def test_a_connection_that_fails_before_its_turn_is_passed_over() -> None:
    """Where the first requests are spread, something unasked may come before."""
    client, wires = client_of(2)
    loop = ClosedLoop(JSON, repeats=1, spread_seconds=0.02, limit_seconds=5)
    first, second = client.connections
    first.on_idle(first)
    running = asyncio.ensure_future(loop.run(client))
    async with asyncio.timeout(5):
        await until(lambda: bool(wires[0].sent))
        second.data_received(b"nonsense\r\n\r\n")
        first.data_received(WHOLE)
        tally = await running
    await asyncio.sleep(0.03)
    assert (tally.answers, tally.errors) == (1, {"answer without a question": 1})
    assert wires[1].sent == []


async def visit(mock: Serving, ask: Ask, draws: list[int | None], seconds: float = 0.1) -> tuple[Tally, int]:
    """A storm of ten whose visitors leave after these many tokens, over and over; and how many visits there were."""
    visits = 0

    def leave_after() -> int | None:
        nonlocal visits
        visits += 1
        return draws[visits % len(draws)]

    async with Client(mock.port, 10) as client:
        tally = await storm(client, mock.asked(ask), leave_after, seconds)
    return tally, visits


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@on_uvloop
async def test_every_visitor_of_a_storm_leaves_and_the_provider_sees_it(dialect: Dialect) -> None:
    """Before the first token, at it, and later; in the end no stream is open."""
    async with serving() as mock:
        tally, visits = await visit(mock, stream_of(dialect, 10_000, 1), [0, 1, 2, 7])
        async with asyncio.timeout(5):
            await until(lambda: mock.counts.requests == visits and mock.counts.open_streams == 0)
        assert (mock.counts.left, mock.counts.finished) == (visits, 0)
    assert (tally.errors, tally.answers, tally.left) == ({}, 0, visits)
    assert visits > 10
    assert tally.begun < visits


@on_uvloop
async def test_visitors_have_seen_what_was_drawn_when_they_leave() -> None:
    """Seven tokens each; but those whom the end of the storm caught have fewer."""
    async with serving() as mock:
        tally, visits = await visit(mock, streamed(100_000, 1), [7])
    assert 7 * (visits - 10) <= tally.events <= 7 * visits
    assert tally.gap.count <= 6 * visits
    assert tally.latency.count == 0


@on_uvloop
async def test_those_who_stay_are_answered_on_the_same_connection() -> None:
    """Leaving, staying: each visit is counted once, by both sides."""
    async with serving() as mock:
        tally, visits = await visit(mock, streamed(20, 0), [None, 3, None, 0, 19], 0.5)
        async with asyncio.timeout(5):
            await until(lambda: mock.counts.requests == visits and mock.counts.open_streams == 0)
        assert mock.counts.left + mock.counts.finished == visits
    assert (tally.errors, tally.answers + tally.left) == ({}, visits)
    assert tally.answers > 0 and tally.left > 0
    assert tally.latency.count == tally.answers


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        pytest.param("lost", "lost event", id="lost"),
        pytest.param("extra", "extra event", id="extra"),
        pytest.param("swapped", "swapped order", id="swapped"),
        pytest.param("refused", "status 500", id="refused"),
    ],
)
@on_uvloop
async def test_what_is_wrong_before_they_leave_is_found(fault: Fault, kind: str) -> None:
    """Leaving at the eighth of ten tokens, after the fault in the middle."""
    async with serving() as mock:
        tally, visits = await visit(mock, stream_of("openai", 10, 0, fault), [8])
    # All but those whom the end of the storm met before the fault.
    assert tally.errors[kind] >= visits - 10 > 0
    assert tally.errors.total() + tally.left == visits
    assert tally.answers == 0


@on_uvloop
async def test_a_gateway_that_dies_in_a_storm_is_a_plain_error() -> None:
    """Those who come again are refused, which ends the storm as it ends every other load."""
    async with serving() as mock, Client(mock.port, 5) as client:
        request = mock.asked(streamed(100, 0))

        def close_the_door() -> int:
            mock.stop_listening()
            return 1

        with pytest.raises(ConnectionRefusedError):
            await storm(client, request, close_the_door, 30)


def test_a_tenth_of_visitors_leaves_before_the_first_token_and_a_fifth_stays() -> None:
    """The others leave somewhere in between, everywhere about equally often; the same seed, the same visitors."""
    draws = [draw() for draw in [leaving(random.Random(1), 60)] * 20_000]
    again = leaving(random.Random(1), 60)
    assert draws[:100] == [again() for _ in range(100)]
    assert draws.count(0) / 20_000 == pytest.approx(0.1, abs=0.01)
    assert draws.count(None) / 20_000 == pytest.approx(0.2, abs=0.01)
    between = [draw for draw in draws if draw]
    assert set(between) == set(range(1, 60))
    assert sum(between) / len(between) == pytest.approx(30, abs=1)
