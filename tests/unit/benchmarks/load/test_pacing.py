"""The open loop's schedule."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load.pacing import Metronome, schedule_ns
from tests.fakes.loops import on_uvloop


@given(st.integers(0, 10**18), st.floats(0.1, 100_000), st.integers(0, 10**6))
def test_the_schedule_does_not_drift(start_ns: int, rate: float, number: int) -> None:
    """However far, a request is due within a nanosecond of number ÷ rate after the start."""
    due_ns = schedule_ns(start_ns, rate, number)
    assert abs((due_ns - start_ns) - number * 1e9 / rate) <= max(1, number * 1e9 / rate * 1e-12)
    assert schedule_ns(start_ns, rate, number + 1) >= due_ns


@pytest.mark.parametrize("rate", [3, 7, 30_000])
def test_a_million_requests_end_when_they_should(rate: int) -> None:
    """Where steps of 1 ÷ rate were added up, rounded each, the last would be early or late by 0.1 ms and more."""
    summed_ns = round(1e9 / rate) * 10**6
    exact_ns = 10**6 * 10**9 / rate
    assert abs(schedule_ns(0, rate, 10**6) - exact_ns) <= 1
    assert abs(summed_ns - exact_ns) > 100_000


def test_each_second_has_its_share() -> None:
    """No second of a long run at an odd rate has more than one request too many or too few."""
    rate, counts = 333, [0] * 100
    for number in range(rate * 100):
        counts[schedule_ns(0, rate, number) // 10**9] += 1
    assert set(counts) <= {rate - 1, rate, rate + 1}
    assert sum(counts) == rate * 100


@on_uvloop
async def test_every_tick_comes_once_in_order_and_never_early() -> None:
    """The times handed on are the planned ones, not those of the wake-ups."""
    ticks: list[tuple[int, int, int]] = []
    metronome = Metronome(1000, 50, lambda number, due: ticks.append((number, due, time.monotonic_ns())))
    await metronome.finished
    first_due = ticks[0][1]
    assert [(number, due) for number, due, _ in ticks] == [
        (number, first_due + number * 1_000_000) for number in range(50)
    ]
    assert all(now >= due for _, due, now in ticks)


@on_uvloop
async def test_a_stall_is_followed_by_all_that_were_missed_as_they_were_due() -> None:
    """A loop that was busy for ten ticks gets each of them, with the time at which it should have come."""
    ticks: list[tuple[int, int]] = []

    def on_tick(number: int, due_ns: int) -> None:
        ticks.append((number, due_ns))
        while number == 2 and time.monotonic_ns() < due_ns + 10_000_000:
            pass  # someone holds the loop

    await Metronome(1000, 20, on_tick).finished
    first_due = ticks[0][1]
    assert ticks == [(number, first_due + number * 1_000_000) for number in range(20)]


@on_uvloop
async def test_a_metronome_can_be_stopped_twice() -> None:
    """Closing gives the descriptor back once."""
    metronome = Metronome(10, 5, lambda number, due: None)
    metronome.close()
    metronome.close()
    assert not metronome.finished.done()


@on_uvloop
async def test_no_ticks_are_soon_over() -> None:
    """A run of nothing ends."""
    ticks: list[int] = []
    await Metronome(1000, 0, lambda number, due: ticks.append(number)).finished
    assert ticks == []
