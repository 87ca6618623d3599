"""What a budget's count begins with: everything the ledger has, once all of it is there."""

import asyncio

import pytest

from service.errors import StoreUnavailable
from service.limits.base import Subject
from service.usage.spent import CaughtUp
from tests.fakes.clock import FakeClock
from tests.fakes.loops import virtual_time

NOW = 1_700_000_000.0


class Rows:
    """(started_at, finished_at, nano-dollars) of one subject. asked: how often for the latest end."""

    def __init__(self, *rows: tuple[float, float, int]) -> None:
        self.rows = list(rows)
        self.asked = 0

    async def spent(
        self, subject: Subject, subject_id: str, *, since: float, until: float | None, finished_before: float
    ) -> tuple[int, int]:
        """As the database sums them up; no tokens."""
        return sum(row[2] for row in self.rows if row[0] >= since and row[1] < finished_before), 0

    async def latest_end(self, started_since: float) -> float:
        """As the database finds it."""
        self.asked += 1
        return max((row[1] for row in self.rows if row[0] >= started_since), default=0.0)


class Writer:
    """A worker's ledger. unflushed: rows that `flush_now` adds to those; None: the database is away."""

    def __init__(self, rows: Rows, unflushed: list[tuple[float, float, int]] | None) -> None:
        self._rows = rows
        self._unflushed = unflushed
        self.replayed = True

    async def flush_now(self) -> None:
        """Until all is there."""
        if self._unflushed is None:
            await asyncio.Event().wait()
        else:
            self._rows.rows += self._unflushed


async def asked(sums: CaughtUp, finished_before: float = NOW) -> int:
    nano_usd, _ = await sums.spent(Subject.KEY, "k1", since=0, until=None, finished_before=finished_before)
    return nano_usd


async def test_rows_that_are_on_their_way_are_waited_for() -> None:
    rows = Rows((NOW - 20, NOW - 10, 1))
    sums = CaughtUp(rows, FakeClock(NOW).now)
    sums.writer = Writer(rows, [(NOW - 9, NOW - 1, 2)])
    assert await asked(sums) == 3


@virtual_time
async def test_a_database_that_is_away_is_not_waited_for_long() -> None:
    sums = CaughtUp(Rows(), FakeClock(NOW).now)
    sums.writer = Writer(Rows(), None)
    with pytest.raises(StoreUnavailable, match="not known what was spent"):
        await asked(sums)


async def test_nothing_is_known_before_the_journals_of_the_dead_are_read() -> None:
    rows = Rows((NOW - 20, NOW - 10, 1))
    sums = CaughtUp(rows, FakeClock(NOW).now)
    writer = sums.writer = Writer(rows, [])
    writer.replayed = False
    with pytest.raises(StoreUnavailable, match="before the last restart"):
        await asked(sums)
    writer.replayed = True
    assert await asked(sums) == 1


@pytest.mark.parametrize(
    ("lag_seconds", "ahead", "spent"),
    [
        pytest.param(0.0, 3600.0, 7, id="rows-from-before-the-clock-was-set-back-have-ended"),
        pytest.param(1.0, 3600.0, 7, id="with-several-machines-too"),
        pytest.param(1.0, 0.5, 1, id="a-row-of-another-machine-a-little-ahead-is-no-such-row"),
    ],
)
async def test_a_clock_that_was_set_back(lag_seconds: float, ahead: float, spent: int) -> None:
    rows = Rows(
        (NOW - 20, NOW - 10, 1), (NOW + ahead - 0.1, NOW + ahead - 0.1, 2), (NOW + ahead, NOW + ahead, 4)
    )
    sums = CaughtUp(rows, FakeClock(NOW).now, lag_seconds=lag_seconds)
    assert await asked(sums) == spent


async def test_what_this_worker_writes_is_no_matter_of_another_clock() -> None:
    """Asked once; what ends from `finished_before` on is counted elsewhere."""
    rows = Rows((NOW - 20, NOW - 10, 1))
    sums = CaughtUp(rows, FakeClock(NOW).now)
    assert await asked(sums) == 1
    rows.rows.append((NOW + 1, NOW + 2, 2))
    assert (await asked(sums), await asked(sums, NOW + 3), rows.asked) == (1, 3, 1)
