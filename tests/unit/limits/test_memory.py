"""What only the in-process home does: it never waits, shares its questions, and forgets."""

import asyncio

import pytest

from service.errors import StoreUnavailable
from service.limits.base import Kind, Level, Meter, Need, Refusal, Reservation, Subject, Used
from service.limits.memory import MemoryLimitStore
from tests.contract.homes import BEGAN_AT, MemoryHome
from tests.contract.limit_steps import (
    DAY,
    FIVE_A_MINUTE,
    SLOTS,
    TOKENS,
    budget,
    remaining,
    reserve,
    row,
    settle,
)
from tests.fakes.ledger_sums import LedgerSums
from tests.fakes.loops import until


@pytest.fixture
async def home() -> MemoryHome:
    """A home that has counted nothing."""
    return MemoryHome(LedgerSums())


async def test_once_counted_nobody_waits(home: MemoryHome) -> None:
    meters = (FIVE_A_MINUTE, TOKENS, SLOTS, budget(100))
    await reserve(home, meters, Need())
    step = home.store.reserve(meters, Need(), id="r", started_at=home.now, lasts_seconds=60)
    with pytest.raises(StopIteration):
        step.send(None)


async def test_whoever_waits_for_one_that_is_cancelled_asks_anew(home: MemoryHome) -> None:
    home.ledger.answers.clear()
    first = asyncio.create_task(reserve(home, (budget(100),), Need(nano_usd=10)))
    await until(lambda: home.ledger.asked == 1)
    second = asyncio.create_task(reserve(home, (budget(100),), Need(nano_usd=20)))
    await asyncio.sleep(0)
    first.cancel()
    await until(lambda: home.ledger.asked == 2)
    home.ledger.answers.set()
    await second
    assert first.cancelled()
    assert await remaining(home, budget(100)) == [80]


async def test_all_who_wait_hear_that_it_failed(home: MemoryHome) -> None:
    home.ledger.answers.clear()
    home.ledger.away = True
    asked = [asyncio.create_task(reserve(home, (budget(100),), Need())) for _ in range(5)]
    await until(lambda: home.ledger.asked > 0)
    home.ledger.answers.set()
    heard = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(each) for each in heard] == [StoreUnavailable] * 5
    assert home.ledger.asked == 1


async def test_one_who_waits_along_may_leave(home: MemoryHome) -> None:
    home.ledger.answers.clear()
    first = asyncio.create_task(reserve(home, (budget(100),), Need(nano_usd=10)))
    await until(lambda: home.ledger.asked == 1)
    second = asyncio.create_task(reserve(home, (budget(100),), Need(nano_usd=20)))
    await asyncio.sleep(0)
    second.cancel()
    home.ledger.answers.set()
    await first
    assert (home.ledger.asked, await remaining(home, budget(100))) == (1, [90])


async def test_sweeps_leave_alone_whoever_waits_for_a_slow_ledger(home: MemoryHome) -> None:
    home.ledger.answers.clear()
    waiting = asyncio.create_task(reserve(home, (budget(100),), Need(nano_usd=10)))
    await until(lambda: home.ledger.asked == 1)
    await home.sweep()
    home.ledger.answers.set()
    await waiting
    assert home.ledger.asked == 1


async def test_another_stores_reservation_is_a_mistake(home: MemoryHome) -> None:
    class Other:
        id = "r"
        levels: tuple[Level, ...] = ()

    with pytest.raises(TypeError, match="another store"):
        home.store.settle(Other(), Used(finished_at=0.0))


async def test_a_sweep_says_how_many_it_reclaimed(home: MemoryHome) -> None:
    for seconds in (10, 20, 30):
        await reserve(home, (SLOTS,) if seconds < 30 else (), Need(), lasts_seconds=seconds)
    settled = await reserve(home, (), Need(), lasts_seconds=5)
    await settle(home, settled)
    counts = []
    for _ in range(4):
        counts.append((home.store.sweep(home.now), home.store.running))
        await home.advance(10)
    assert counts == [(0, 3), (1, 2), (1, 1), (1, 0)]


def of_address(number: int) -> tuple[Meter, ...]:
    def meter(kind: Kind, capacity: int, per_minute: int = 0) -> Meter:
        return Meter(
            name=f"address:{number}:{kind.value}",
            kind=kind,
            subject=Subject.ADDRESS,
            subject_id=str(number),
            capacity=capacity,
            per_minute=per_minute,
        )

    return (
        meter(Kind.REQUESTS, 5, 5),
        meter(Kind.TOKENS, 600, 600),
        meter(Kind.CONCURRENCY, 2),
        budget(100, subject=Subject.ADDRESS, subject_id=str(number)),
    )


async def test_memory_is_bounded_by_who_came_lately(home: MemoryHome) -> None:
    """A day's addresses are forgotten with their day, their rates and slots within minutes."""
    kept = []
    for minute in range(3 * 24 * 6):
        for number in range(minute * 10, minute * 10 + 10):
            await settle(home, await reserve(home, of_address(number), Need(tokens=9)), tokens=5)
        for _ in range(2):
            await home.advance(300)
            home.store.sweep(home.now)
        kept.append(home.store.kept)
    a_day = 24 * 6 * 10
    assert max(kept) < 1.5 * a_day
    for _ in range(4):
        await home.advance(DAY)
        await home.sweep()
    assert home.store.kept == 0


async def test_a_refused_address_leaves_nothing_behind(home: MemoryHome) -> None:
    home.ledger.away = True
    for number in range(100):
        with pytest.raises(StoreUnavailable):
            await reserve(home, of_address(number), Need())
    await home.advance(60)
    await home.sweep()
    assert home.store.kept == 0


async def test_a_debt_is_owed_though_the_rate_was_forgotten_meanwhile(home: MemoryHome) -> None:
    long = await reserve(home, (TOKENS,), Need(tokens=100))
    await home.advance(300)
    await home.sweep()
    assert home.store.kept == 0
    await reserve(home, (TOKENS,), Need(tokens=600))
    await settle(home, long, tokens=50)
    assert await remaining(home, TOKENS) == [0]
    await home.advance(120)
    await home.sweep()
    late = await reserve(home, (TOKENS,), Need(tokens=100))
    await home.advance(120)
    await home.sweep()
    await settle(home, late, tokens=400)
    assert await remaining(home, TOKENS) == [300]


async def test_a_budget_that_never_renews_is_kept(home: MemoryHome) -> None:
    await settle(home, await reserve(home, (budget(100, "total"),), Need(nano_usd=60)), nano_usd=60)
    for _ in range(3):
        await home.advance(400 * DAY)
        await home.sweep()
    assert await remaining(home, budget(100, "total")) == [40]


async def test_a_wall_clock_that_was_wrong_for_a_while_finds_what_was_counted(home: MemoryHome) -> None:
    await settle(home, await reserve(home, (budget(100),), Need(nano_usd=60)), nano_usd=60)
    home.jump(40 * DAY)
    await home.sweep()
    await home.advance(3000)
    await home.sweep()
    home.jump(-40 * DAY)
    await home.sweep()
    await home.advance(3000)
    home.jump(40 * DAY)
    await home.sweep()
    home.jump(-40 * DAY)
    assert await remaining(home, budget(100)) == [40]


async def end(home: MemoryHome, nano_usd: int) -> None:
    """A request without limits ends now, after five seconds; its row is in the ledger."""
    started_at = home.now - 5
    used = Used(nano_usd=nano_usd, finished_at=home.now)
    home.store.spend(("key:k1:",), used, started_at=started_at, reservation=None)
    home.ledger.rows.append(row(nano_usd, started_at, home.now))
    await home.advance(1)


async def test_a_wall_clock_set_back_hides_nothing_that_was_spent_before(home: MemoryHome) -> None:
    await home.advance(10)
    await end(home, 10)
    home.jump(3600)
    await end(home, 20)
    home.jump(-3600)
    assert await remaining(home, budget(100)) == [70]
    await end(home, 30)
    assert await remaining(home, budget(100)) == [40]


async def test_what_ends_before_the_ledger_could_be_asked_counts_once(home: MemoryHome) -> None:
    home.jump(3600)
    await end(home, 20)
    home.jump(-3600)
    home.ledger.away = True
    with pytest.raises(StoreUnavailable):
        await remaining(home, budget(100))
    await home.advance(10)
    await end(home, 30)
    home.ledger.away = False
    assert await remaining(home, budget(100)) == [50]


async def test_of_a_budget_forgotten_nothing_is_left(home: MemoryHome) -> None:
    assert await remaining(home, budget(100), budget(100, "total")) == [100, 100]
    await home.advance(2 * DAY)
    await home.sweep()
    await home.advance(3600)
    await home.sweep()
    assert home.store.kept == 1
    await end(home, 30)
    assert await remaining(home, budget(100), budget(100, "total")) == [70, 70]


async def test_a_process_begun_anew_counts_on_from_the_ledger(home: MemoryHome) -> None:
    """Whoever wrote the rows; a request that was running then costs what its row says."""
    reservation = await reserve(home, (budget(100),), Need(nano_usd=60))
    await settle(home, reservation, nano_usd=50)
    home.ledger.rows.append(row(50, BEGAN_AT, BEGAN_AT))
    heir = MemoryLimitStore(
        now_us=lambda: 1, spent=home.ledger, began_at=BEGAN_AT + 5, on_alert=lambda *_: None
    )
    answer = await heir.reserve(
        (budget(100),), Need(nano_usd=51), id="r", started_at=BEGAN_AT + 9, lasts_seconds=60
    )
    assert isinstance(answer, Refusal)
    again: Reservation | Refusal = await heir.reserve(
        (budget(100),), Need(nano_usd=50), id="r", started_at=BEGAN_AT + 9, lasts_seconds=60
    )
    assert not isinstance(again, Refusal)


async def test_what_is_spent_beyond_the_bound_is_told() -> None:
    """Booked all the same; what stays within it is not."""
    told: list[tuple[str, int]] = []
    store = MemoryLimitStore(
        now_us=lambda: 0,
        spent=LedgerSums(),
        began_at=BEGAN_AT,
        on_alert=lambda meter, start, spent: None,
        on_overrun=lambda meter, amount: told.append((meter.name, amount)),
    )
    meter = budget(100)
    for used in (10, 13):
        need = Need(nano_usd=10, budget_tokens=10)
        held = await store.reserve((meter,), need, id="r", started_at=BEGAN_AT, lasts_seconds=60)
        assert not isinstance(held, Refusal)
        store.settle(held, Used(nano_usd=used, tokens=used, finished_at=BEGAN_AT))
    assert told == [(meter.name, 3)]
