"""Open loops: requests go out when they are due, and a stall can't hide."""

import asyncio
import time
from typing import cast

import pytest

from benchmarks.load.client import Client
from benchmarks.load.open_loop import Lane, open_loop
from benchmarks.load.requests import Ask, streamed
from benchmarks.load.tally import Tally
from tests.fakes.loops import on_uvloop, until
from tests.unit.benchmarks.load.wire import JSON, WHOLE, client_of
from tests.unit.benchmarks.serving import serving

SECOND_NS = 1_000_000_000


class Noted(Lane):
    """A lane that only notes when it was its turn."""

    def __init__(self, name: str, turns: list[tuple[str, int]]) -> None:
        super().__init__(Client(0, 0), JSON)
        self._name = name
        self._turns = turns

    def send(self, due_ns: int) -> None:
        """Note it."""
        self._turns.append((self._name, due_ns))


@pytest.mark.parametrize(
    ("names", "order"),
    [
        pytest.param("a", "aaaaaa", id="one"),
        pytest.param("ab", "abbaabbaabba", id="two-to-and-fro"),
        pytest.param("abc", "abccbaabccbaabccba", id="three-to-and-fro"),
    ],
)
@on_uvloop
async def test_lanes_take_turns_to_and_fro(names: str, order: str) -> None:
    turns: list[tuple[str, int]] = []
    await open_loop([Noted(name, turns) for name in names], 1000, 0.006)
    assert "".join(name for name, _ in turns) == order
    start_ns = turns[0][1]
    step_ns = 1e9 / (1000 * len(names))
    assert [due_ns for _, due_ns in turns] == [start_ns + round(k * step_ns) for k in range(len(turns))]


@pytest.mark.parametrize(
    ("rate", "seconds", "count"),
    [
        pytest.param(200, 0.1, 20, id="twenty"),
        pytest.param(1000, 0.0001, 1, id="at-least-one"),
    ],
)
@on_uvloop
async def test_each_lane_gets_its_share(rate: float, seconds: float, count: int) -> None:
    """Two lanes, JSON and streams, all answered."""
    async with serving() as mock, Client(mock.port, 4) as one, Client(mock.port, 4) as other:
        lanes = [Lane(one, mock.asked(Ask())), Lane(other, mock.asked(streamed(3, 0)))]
        await open_loop(lanes, rate, seconds)
    assert [lane.tally.answers for lane in lanes] == [count, count]
    assert [lane.tally.late.count for lane in lanes] == [count, count]
    assert lanes[1].tally.first_event.count == count
    assert [lane.tally.errors for lane in lanes] == [{}, {}]


class Stalling(asyncio.Protocol):
    """One connection of a server that answers nobody until twenty have asked."""

    def __init__(self, waiting: list[asyncio.Transport]) -> None:
        self._waiting = waiting

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """One question; small enough to come in one read."""
        self._waiting.append(self._transport)
        if len(self._waiting) == 20:
            for transport in self._waiting:
                transport.write(WHOLE)


@on_uvloop
async def test_a_stall_is_in_the_latency_of_all_that_were_due_meanwhile() -> None:
    """The server answers the first when the last has asked: each waits at least for those due after it."""
    loop = asyncio.get_running_loop()
    asked: list[asyncio.Transport] = []
    async with await loop.create_server(lambda: Stalling(asked), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Client(port, 20) as client:
            await open_loop([Lane(client, JSON)], 500, 0.04)
        for transport in asked:
            transport.abort()
    waited_ms = sorted(client.tally.latency.samples_ms(), reverse=True)
    assert client.tally.errors == {}
    assert len(waited_ms) == 20
    assert all(waited >= (19 - number) * 2 for number, waited in enumerate(waited_ms))


def test_requests_behind_a_stalled_one_wait_with_their_clocks_running() -> None:
    """One connection, its server silent for a second, ten requests due meanwhile: each has waited since its own time."""
    client, (wire,) = client_of(1)
    lane = Lane(client, JSON)
    now_ns = time.monotonic_ns()
    for number in range(10):
        lane.send(now_ns - (10 - number) * SECOND_NS // 10)
    assert len(wire.sent) == 1
    for _ in range(10):
        assert lane.open
        client.connections[0].data_received(WHOLE)
    assert not lane.open
    taken_ns = time.monotonic_ns() - now_ns
    waited_ns = [round(each * 1e6) for each in lane.tally.latency.samples_ms()]
    due_for_ns = [(10 - number) * SECOND_NS // 10 for number in range(10)]
    assert all(due <= waited <= due + taken_ns for due, waited in zip(due_for_ns, waited_ns, strict=True))
    assert (lane.tally.answers, lane.tally.errors, len(wire.sent)) == (10, {}, 10)


def test_the_generators_own_delay_is_told_apart() -> None:
    """`late` is how far behind the schedule a request was when this side got to it."""
    client, _ = client_of(1)
    lane = Lane(client, JSON)
    lane.send(time.monotonic_ns() - 2 * SECOND_NS)
    lane.send(time.monotonic_ns())
    (on_time_ms,) = sorted(lane.tally.late.samples_ms())[:1]
    assert lane.tally.late.count == 2
    assert lane.tally.late.samples_ms().max() >= 2000 > on_time_ms


def test_what_was_never_sent_is_an_error() -> None:
    """Requests still waiting at the end are counted, and so is the one that blocked them."""
    client, _ = client_of(1)
    lane = Lane(client, JSON)
    for _ in range(3):
        lane.send(time.monotonic_ns())
    lane.finish()
    assert lane.tally.errors == {"unfinished": 1, "never sent": 2}
    assert lane.tally.latency.count == 0


def test_a_connection_that_failed_gets_no_further_request() -> None:
    """The others take them over."""
    client, wires = client_of(2)
    lane = Lane(client, JSON)
    for _ in range(4):
        lane.send(time.monotonic_ns())
    client.connections[0].data_received(b"nonsense\r\n\r\n")
    for _ in range(3):
        client.connections[1].data_received(WHOLE)
    assert [len(wire.sent) for wire in wires] == [1, 3]
    assert (lane.tally.answers, lane.tally.errors, lane.open) == (3, {"bad HTTP": 1}, False)


def test_a_lane_without_connections_sends_nothing_and_says_so() -> None:
    """It is no success."""
    lane = Lane(Client(0, 0), JSON)
    lane.send(time.monotonic_ns())
    lane.finish()
    assert lane.tally.errors == {"never sent": 1}


@on_uvloop
async def test_whoever_stops_an_open_loop_leaves_no_request_uncounted() -> None:
    """Cancelled in the middle, what is open is an error, and the descriptor is given back."""
    async with serving() as mock, Client(mock.port, 2) as client:
        lane = Lane(client, mock.asked(streamed(2, 60_000)))
        running = asyncio.ensure_future(open_loop([lane], 1000, 60))
        async with asyncio.timeout(10):
            await until(lambda: lane.tally.begun == 2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    tally: Tally = lane.tally
    assert tally.errors["unfinished"] == 2
    assert tally.errors.total() == tally.late.count
