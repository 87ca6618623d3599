"""Connections opened together, held, and read slowly."""

import asyncio
import socket

import pytest

from benchmarks.load.client import Client, hold_open, read_to_end
from benchmarks.load.closed_loop import ClosedLoop
from benchmarks.load.connection import SlowConnection
from benchmarks.load.requests import Ask, streamed
from benchmarks.upstream.script import Script
from tests.fakes.loops import on_uvloop, until
from tests.unit.benchmarks.serving import Serving, serving

_BIG = 3000  # tokens: 720 KB, four times what is kept for a slow reader on its way


@pytest.mark.parametrize("size", [0, 1, 128, 129, 300])
@on_uvloop
async def test_all_connections_are_open_and_none_is_left(size: int) -> None:
    """More than are opened at once as well."""
    async with serving() as mock:
        async with Client(mock.port, size) as client:
            assert len(set(client.connections)) == size
            async with asyncio.timeout(5):
                await until(lambda: len(mock.connections) == size)
        assert all(each._transport.is_closing() for each in client.connections)


@pytest.mark.parametrize("bytes_per_second", [None, 1000.0], ids=["fast", "slow"])
@on_uvloop
async def test_a_port_that_refuses_is_an_error(bytes_per_second: float | None) -> None:
    """At once, and without a socket left."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            async with Client(taken.getsockname()[1], 5, bytes_per_second):
                pass


@on_uvloop
async def test_those_already_open_are_closed_where_others_are_refused() -> None:
    """Nobody else would close them."""
    async with serving() as mock:
        client = Client(mock.port, 200)
        first_batch = client.connect

        async def refused_later() -> SlowConnection:
            if len(client.connections) >= 128:
                raise ConnectionRefusedError
            return await first_batch()  # type: ignore[return-value] # the supertype will do

        client.connect = refused_later  # type: ignore[method-assign] # a server can't refuse by number
        with pytest.raises(ConnectionRefusedError):
            async with client:
                pass
        assert len(client.connections) == 128
        assert all(each._transport.is_closing() for each in client.connections)


@on_uvloop
async def test_a_slow_reader_gets_all_of_a_stream_while_the_provider_waits() -> None:
    """In pieces, each resting for as long as it takes; what isn't read isn't sent."""
    async with serving() as mock, Client(mock.port, 2, bytes_per_second=1e6) as client:
        assert all(isinstance(each, SlowConnection) for each in client.connections)
        tally = await ClosedLoop(mock.asked(streamed(_BIG, 0)), repeats=1).run(client)
        assert all(each.pauses for each in mock.connections)
        assert (mock.counts.finished, mock.counts.open_streams) == (2, 0)
    assert (tally.answers, tally.events, tally.errors) == (2, 2 * _BIG, {})


@on_uvloop
async def test_a_fast_reader_beside_slow_ones_is_not_held_up() -> None:
    """It is through while the slow one still reads."""
    async with (
        serving() as mock,
        Client(mock.port, 1, bytes_per_second=50_000) as slow,
        Client(mock.port, 1) as fast,
    ):
        reading = asyncio.ensure_future(ClosedLoop(mock.asked(streamed(_BIG, 0)), repeats=1).run(slow))
        tally = await ClosedLoop(mock.asked(streamed(20, 1)), repeats=1).run(fast)
        assert not reading.done()
        reading.cancel()
    assert (tally.answers, tally.errors) == (1, {})


@pytest.mark.parametrize("interval_ms", [0.0, 1.0], ids=["burst", "paced"])
@on_uvloop
async def test_a_slow_reader_that_leaves_takes_its_stream_along(interval_ms: float) -> None:
    """Also where the provider waited for it: nothing goes on for nobody."""
    async with serving() as mock:
        async with Client(mock.port, 1, bytes_per_second=1000) as client:
            client.connections[0].send(mock.asked(streamed(1_000_000, interval_ms)), 0)
            async with asyncio.timeout(5):
                if interval_ms:
                    await until(lambda: mock.counts.open_streams == 1)
                    mock.connections[0].pause_writing()
                await until(lambda: mock.pauses == 1)
        async with asyncio.timeout(5):
            await until(lambda: mock.counts.left == 1)
            await until(lambda: not mock.provider.wheel._turning)
        assert mock.counts.open_streams == 0


@pytest.mark.parametrize("count", [0, 1, 30])
@on_uvloop
async def test_held_streams_have_begun_and_leaving_them_is_no_error(count: int) -> None:
    """Every stream has brought its first token before the memory is read."""
    async with serving() as mock:
        async with Client(mock.port, count) as client:
            tally = await hold_open(client, mock.asked(streamed(100_000, 20)))
            assert mock.counts.open_streams == count
        assert (tally.begun, tally.errors) == (count, {})
        async with asyncio.timeout(5):
            await until(lambda: mock.counts.left == count)


@on_uvloop
async def test_a_paced_stream_begins_at_once() -> None:
    """With a minute between tokens the first is here, so time to first event has no timer in it."""
    async with serving() as mock, Client(mock.port, 2) as client:
        tally = await hold_open(client, mock.asked(streamed(2, 60_000)), limit_seconds=5)
        assert (tally.begun, tally.errors) == (2, {})


@pytest.mark.parametrize("count", [0, 1, 30])
@on_uvloop
async def test_held_streams_are_read_to_their_ends_when_the_provider_goes_on(count: int) -> None:
    """Each is judged as a whole then, what came before the silence included."""
    silent = Ask(stream=True, script=Script(tokens=8, silent_after=2))
    async with serving() as mock, Client(mock.port, count) as client:
        await hold_open(client, mock.asked(silent))
        assert (mock.counts.open_streams, client.tally.answers) == (count, 0)
        mock.provider.go_on()
        tally = await read_to_end(client, limit_seconds=10)
    assert (tally.answers, tally.events, tally.errors) == (count, 8 * count, {})


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        pytest.param(Script(tokens=8, silent_after=2, fault="swapped"), "swapped order", id="wrong-later"),
        pytest.param(Script(tokens=8, silent_after=2, fault="cut"), "cut in the middle", id="cut-later"),
        pytest.param(Script(tokens=8, interval_ms=60_000), "unfinished", id="never-ended"),
    ],
)
@on_uvloop
async def test_a_held_stream_that_does_not_end_right_is_an_error(script: Script, kind: str) -> None:
    async with serving() as mock, Client(mock.port, 3) as client:
        await hold_open(client, mock.asked(Ask(stream=True, script=script)))
        mock.provider.go_on()
        tally = await read_to_end(client, limit_seconds=10 if kind != "unfinished" else 0.05)
    assert (tally.answers, dict(tally.errors)) == (0, {kind: 3})


async def mute(mock: Serving, connections: int) -> dict[str, int]:
    """Hold streams open of which the provider refuses every second, while one of them is never begun."""
    async with Client(mock.port, connections) as client:
        client.connections[0]._transport.pause_reading()
        tally = await hold_open(client, mock.asked(streamed(5, 60_000)), limit_seconds=0.1)
    return dict(tally.errors)


@on_uvloop
async def test_streams_that_were_refused_or_never_began_are_each_one_error() -> None:
    """Of four the second and the fourth are refused, the first is never read, the third is right."""
    async with serving(Script(error_percent=50)) as mock:
        assert await mute(mock, 4) == {"status 500": 2, "not begun": 1}


@on_uvloop
async def test_a_question_of_another_kind_can_be_asked_on_the_same_connection() -> None:
    """A stream, then JSON, then a stream: nothing of the one is left for the other."""
    async with serving() as mock, Client(mock.port, 1) as client:
        for ask in (streamed(3, 0), Ask(), streamed(2, 1), Ask(dialect="anthropic")):
            await ClosedLoop(mock.asked(ask), repeats=2).run(client)
        assert mock.counts.requests == 8
    assert (client.tally.answers, client.tally.events, client.tally.errors) == (8, 10, {})
