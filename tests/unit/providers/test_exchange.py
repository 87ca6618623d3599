"""The clocks of one exchange, to the second."""

import asyncio

import pytest

from service.grace import Grace
from service.providers.base import Clocks
from service.providers.exchange import DRAIN_SECONDS, GRACE_SECONDS, HttpExchange
from tests.fakes.loops import virtual_time
from tests.fakes.sink import RecordingSink


class Socket:
    """The exchange's connection, as far as it acts on one."""

    def __init__(self) -> None:
        self.closes = 0
        self.paused = False

    def is_open(self) -> bool:
        """Until it is closed."""
        return self.closes == 0

    def pause(self) -> None:
        """Read no more."""
        self.paused = True

    def resume(self) -> None:
        """Read on."""
        self.paused = False

    def close(self) -> None:
        """Drop it."""
        self.closes += 1


class Timed:
    """An exchange, its socket, its sink, and the time since it was opened."""

    def __init__(self, *, first: float = 30.0, idle: float = 20.0, total: float = 600.0) -> None:
        self._loop = asyncio.get_running_loop()
        self._opened_at = self._loop.time()
        self.socket = Socket()
        self.sink = RecordingSink()
        clocks = Clocks(5, first, idle, self._opened_at + total)
        self.exchange = HttpExchange(
            self._loop, self.socket, self.sink, clocks, Grace(self._loop, GRACE_SECONDS)
        )

    async def until(self, seconds: float) -> None:
        """Wait until so long after it was opened."""
        await asyncio.sleep(self._opened_at + seconds - self._loop.time())

    async def over(self) -> tuple[str | None, float]:
        """The outcome, and when it came."""
        outcome = await self.sink.over()
        return outcome, round(self._loop.time() - self._opened_at, 2)


@pytest.mark.parametrize(
    ("first", "total", "outcome", "after"),
    [
        pytest.param(30.0, 600.0, "timed_out: timeout_first_token", 30.0, id="the-first-token"),
        pytest.param(0.2, 600.0, "timed_out: timeout_first_token", 0.2, id="a-short-clock-is-kept-too"),
        pytest.param(30.0, 12.0, "timed_out: timeout_total", 12.0, id="the-total"),
        pytest.param(30.0, 0.3, "timed_out: timeout_total", 0.3, id="a-short-total"),
    ],
)
@virtual_time
async def test_a_provider_that_says_nothing(first: float, total: float, outcome: str, after: float) -> None:
    timed = Timed(first=first, total=total)
    assert await timed.over() == (outcome, after)
    assert timed.socket.closes == 1


@virtual_time
async def test_bytes_that_are_no_answer_do_not_stop_the_first_clock() -> None:
    """A head, and a provider's heartbeats."""
    timed = Timed()
    for second in range(1, 30):
        await timed.until(second)
        timed.exchange.on_data(b": ping\n\n")
    assert await timed.over() == ("timed_out: timeout_first_token", 30.0)


@virtual_time
async def test_an_answer_that_stalls_is_cut_by_the_idle_clock() -> None:
    """Counted from its last byte; heartbeats are bytes."""
    timed = Timed(idle=20)
    await timed.until(10)
    timed.exchange.started()
    timed.exchange.on_data(b"x")
    await timed.until(25)
    timed.exchange.on_data(b"x")
    assert await timed.over() == ("stalled: timeout_idle", 45.0)


@virtual_time
async def test_an_answer_that_goes_on_and_on_is_cut_by_the_total_clock() -> None:
    """It never was idle."""
    timed = Timed(total=100)
    timed.exchange.started()
    for second in range(1, 100):
        await timed.until(second)
        timed.exchange.on_data(b"x")
    assert await timed.over() == ("stalled: timeout_total", 100.0)


@virtual_time
async def test_paused_time_counts_for_the_total_alone() -> None:
    """A slow client is no fault of the provider's; the idle clock starts anew when it reads again."""
    timed = Timed(idle=20, total=600)
    timed.exchange.started()
    timed.exchange.on_data(b"x")
    timed.exchange.pause()
    await timed.until(300)
    assert timed.sink.outcome is None
    timed.exchange.resume()
    assert await timed.over() == ("stalled: timeout_idle", 320.0)


@virtual_time
async def test_a_pause_without_end_ends_with_the_total() -> None:
    """Nothing is held forever."""
    timed = Timed(total=600)
    timed.exchange.started()
    timed.exchange.on_data(b"x")
    timed.exchange.pause()
    assert await timed.over() == ("stalled: timeout_total", 600.0)


@pytest.mark.parametrize(
    "seconds", [pytest.param(0.1, id="within-the-grace"), pytest.param(5.0, id="after-it")]
)
@virtual_time
async def test_an_answer_in_time_leaves_no_clock_behind(seconds: float) -> None:
    """Its end is told once."""
    timed = Timed()
    await timed.until(seconds)
    timed.exchange.on_data(b"x")
    timed.exchange.on_end()
    assert await timed.over() == ("end", seconds)
    await timed.until(1000)
    assert timed.socket.closes == 0


@virtual_time
async def test_an_end_is_told_only_once() -> None:
    """Whatever comes after it."""
    timed = Timed()
    timed.exchange.on_fail(ValueError())
    timed.exchange.on_end()
    timed.exchange.on_fail(ValueError())
    assert timed.sink.outcome == "ValueError"


@virtual_time
async def test_what_is_finished_may_drain_for_a_moment() -> None:
    """A body that goes on and on is cut; nobody hears of it."""
    timed = Timed()
    timed.exchange.started()
    timed.exchange.on_data(b"x")
    timed.exchange.finish()
    await timed.until(DRAIN_SECONDS - 0.1)
    assert timed.socket.closes == 0
    timed.exchange.on_data(b"more")
    await timed.until(DRAIN_SECONDS + 0.1)
    assert timed.socket.closes == 1
    assert (timed.sink.reads, timed.sink.outcome) == ([b"x"], None)


@virtual_time
async def test_what_is_finished_while_paused_reads_on() -> None:
    """Else its body could never end."""
    timed = Timed()
    timed.exchange.pause()
    timed.exchange.finish()
    assert timed.socket.paused is False
    timed.exchange.on_end()
    await timed.until(100)
    assert timed.socket.closes == 0


@virtual_time
async def test_an_aborted_exchange_has_no_clocks() -> None:
    """It is closed once, and its sink hears nothing."""
    timed = Timed()
    timed.exchange.abort()
    timed.exchange.resume()
    await timed.until(1000)
    assert timed.socket.closes == 1 and timed.sink.outcome is None
