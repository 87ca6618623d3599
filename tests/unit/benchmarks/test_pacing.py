"""The open loop's schedule."""

import time

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.pacing import Metronome, schedule_ns


@given(st.integers(0, 10**18), st.floats(0.1, 100_000), st.integers(0, 10**6))
def test_the_schedule_does_not_drift(start_ns: int, rate: float, number: int) -> None:
    """However far, a request is due within a nanosecond of number ÷ rate after the start."""
    due_ns = schedule_ns(start_ns, rate, number)
    assert abs((due_ns - start_ns) - number * 1e9 / rate) <= max(1, number * 1e9 / rate * 1e-12)
    assert schedule_ns(start_ns, rate, number + 1) >= due_ns


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


async def test_a_metronome_can_be_stopped_twice() -> None:
    """Closing gives the descriptor back once."""
    metronome = Metronome(10, 5, lambda number, due: None)
    metronome.close()
    metronome.close()
    assert not metronome.finished.done()
