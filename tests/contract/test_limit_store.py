"""What every home of limits does; one suite for all of them. Budgets: `test_limit_budgets.py`."""

import pytest

from service.limits.base import Kind, Need, Subject
from tests.contract.homes import Home
from tests.contract.limit_steps import (
    DAY,
    FIVE_A_MINUTE,
    LASTS_SECONDS,
    SLOTS,
    TOKENS,
    budget,
    level,
    meter,
    refused,
    remaining,
    reserve,
    settle,
    waits,
)


async def test_nothing_limited_is_never_refused(home: Home) -> None:
    reservation = await reserve(home, (), Need(tokens=10**9, nano_usd=10**15))
    assert (reservation.id, reservation.levels) == ("r", ())
    await settle(home, reservation, nano_usd=10**15)


async def test_a_stream_gets_more_while_its_budgets_have_it(home: Home) -> None:
    meters = (budget(100), meter(Kind.BUDGET_TOKENS, 50, per="total"), SLOTS, FIVE_A_MINUTE)
    reservation = await reserve(home, meters, Need(nano_usd=40, budget_tokens=10))
    assert home.store.extend(reservation, nano_usd=30, tokens=20)
    assert not home.store.extend(reservation, nano_usd=30, tokens=21)
    assert not home.store.extend(reservation, nano_usd=31, tokens=20)
    await home.sync()
    assert await remaining(home, *meters) == [30, 20, 1, 4]
    await settle(home, reservation, nano_usd=65, tokens=25)
    assert await remaining(home, *meters) == [35, 25, 2, 4]


async def test_a_stream_without_a_budget_gets_all_it_wants(home: Home) -> None:
    reservation = await reserve(home, (SLOTS,), Need())
    assert home.store.extend(reservation, nano_usd=10**15, tokens=10**9)


async def test_a_stream_that_is_over_gets_no_more(home: Home) -> None:
    settled = await reserve(home, (budget(100),), Need(nano_usd=10))
    await settle(home, settled, nano_usd=10)
    overdue = await reserve(home, (budget(100),), Need(nano_usd=10))
    await home.advance(LASTS_SECONDS + 1)
    await home.sweep()
    assert not home.store.extend(settled, nano_usd=1, tokens=1)
    assert not home.store.extend(overdue, nano_usd=1, tokens=1)
    assert await remaining(home, budget(100)) == [90]


async def test_what_nobody_settles_is_given_back_after_its_time_and_no_earlier(home: Home) -> None:
    await reserve(home, (budget(100), SLOTS), Need(nano_usd=100), lasts_seconds=60)
    await reserve(home, (SLOTS,), Need(), lasts_seconds=58)
    await home.advance(59)
    await home.sweep()
    assert await remaining(home, budget(100), SLOTS) == [0, 1]
    await home.advance(2)
    await home.sweep()
    assert await remaining(home, budget(100), SLOTS) == [100, 2]


async def test_who_settles_late_still_pays(home: Home) -> None:
    meters = (budget(100), SLOTS)
    late = await reserve(home, meters, Need(nano_usd=50), lasts_seconds=60)
    await home.advance(61)
    await home.sweep()
    await reserve(home, meters, Need(nano_usd=20))
    await settle(home, late, nano_usd=40)
    assert await remaining(home, *meters) == [40, 1]
    await settle(home, late, nano_usd=40)
    assert await remaining(home, *meters) == [40, 1]


async def test_a_wall_clock_that_jumps_makes_nobody_overdue(home: Home) -> None:
    reservation = await reserve(home, (budget(100, "total"), SLOTS), Need(nano_usd=100))
    home.jump(3 * DAY)
    await home.sweep()
    home.jump(-3 * DAY)
    assert await remaining(home, budget(100, "total"), SLOTS) == [0, 1]
    assert home.store.extend(reservation, nano_usd=0, tokens=0)


async def test_five_a_minute_are_five_at_once_then_one_every_twelve_seconds(home: Home) -> None:
    for left in (4, 3, 2, 1, 0):
        reservation = await reserve(home, (FIVE_A_MINUTE,), Need())
        assert [found.remaining for found in reservation.levels] == [left]
    for _ in range(3):
        refusal = await refused(home, (FIVE_A_MINUTE,), Need())
        assert refusal.meter == FIVE_A_MINUTE
        assert refusal.retry_after_seconds == pytest.approx(12, abs=0.5)
        assert refusal.levels[0].reset_seconds == pytest.approx(60, abs=0.5)
        await home.advance(waits(refusal) - 0.5)
        await refused(home, (FIVE_A_MINUTE,), Need())
        await home.advance(0.5)
        await reserve(home, (FIVE_A_MINUTE,), Need())


async def test_requests_are_never_given_back(home: Home) -> None:
    for _ in range(5):
        await settle(home, await reserve(home, (FIVE_A_MINUTE,), Need()))
    await refused(home, (FIVE_A_MINUTE,), Need())


async def test_tokens_not_used_are_given_back(home: Home) -> None:
    reservation = await reserve(home, (TOKENS,), Need(tokens=600))
    await refused(home, (TOKENS,), Need(tokens=1))
    await settle(home, reservation, tokens=150)
    assert await remaining(home, TOKENS) == [pytest.approx(450, abs=10)]


async def test_tokens_that_have_drained_are_not_given_back(home: Home) -> None:
    reservation = await reserve(home, (TOKENS,), Need(tokens=600))
    await home.advance(50)
    await reserve(home, (TOKENS,), Need(tokens=500))
    await settle(home, reservation, tokens=0)
    assert await remaining(home, TOKENS) == [pytest.approx(100, abs=10)]


async def test_tokens_used_beyond_the_estimate_are_owed(home: Home) -> None:
    await settle(home, await reserve(home, (TOKENS,), Need(tokens=100)), tokens=900)
    refusal = await refused(home, (TOKENS,), Need(tokens=1))
    assert refusal.retry_after_seconds == pytest.approx(30.1, abs=0.5)
    await home.advance(waits(refusal))
    await reserve(home, (TOKENS,), Need(tokens=1))


async def test_a_request_larger_than_the_rate_waits_for_all_of_it_and_owes_the_rest(home: Home) -> None:
    reservation = await reserve(home, (TOKENS,), Need(tokens=10_000))
    await settle(home, reservation, tokens=1_200)
    refusal = await refused(home, (TOKENS,), Need(tokens=10_000))
    assert refusal.retry_after_seconds == pytest.approx(120, abs=0.5)
    await home.advance(waits(refusal))
    await reserve(home, (TOKENS,), Need(tokens=10_000))


async def test_a_wall_clock_that_jumps_is_no_matter_to_rates(home: Home) -> None:
    for _ in range(5):
        await reserve(home, (FIVE_A_MINUTE,), Need())
    home.jump(DAY)
    await refused(home, (FIVE_A_MINUTE,), Need())
    home.jump(-2 * DAY)
    await refused(home, (FIVE_A_MINUTE,), Need())


async def test_a_rate_changed_keeps_what_was_used(home: Home) -> None:
    for _ in range(4):
        await reserve(home, (FIVE_A_MINUTE,), Need())
    assert await remaining(home, meter(Kind.REQUESTS, 10, per_minute=10)) == [6]
    smaller = meter(Kind.REQUESTS, 2, per_minute=2)
    refusal = await refused(home, (smaller,), Need())
    assert refusal.retry_after_seconds == pytest.approx(90, abs=0.5)


async def test_slots_are_taken_until_they_are_settled(home: Home) -> None:
    first = await reserve(home, (SLOTS,), Need())
    await reserve(home, (SLOTS,), Need())
    refusal = await refused(home, (SLOTS,), Need())
    assert (refusal.meter, refusal.retry_after_seconds) == (SLOTS, 1.0)
    await settle(home, first)
    await reserve(home, (SLOTS,), Need())
    assert (await level(home, SLOTS)).reset_seconds is None


PLENTY = {
    Kind.REQUESTS: meter(Kind.REQUESTS, 10, per_minute=10),
    Kind.TOKENS: meter(Kind.TOKENS, 1000, per_minute=1000),
    Kind.CONCURRENCY: meter(Kind.CONCURRENCY, 10),
    Kind.USD: meter(Kind.USD, 1000, per="day"),
    Kind.BUDGET_TOKENS: meter(Kind.BUDGET_TOKENS, 1000, per="total"),
}
SCANT = {
    Kind.REQUESTS: meter(Kind.REQUESTS, 1, per_minute=1, subject=Subject.TENANT),
    Kind.TOKENS: meter(Kind.TOKENS, 100, per_minute=100, subject=Subject.TENANT),
    Kind.CONCURRENCY: meter(Kind.CONCURRENCY, 1, subject=Subject.TENANT),
    Kind.USD: meter(Kind.USD, 100, per="day", subject=Subject.TENANT),
    Kind.BUDGET_TOKENS: meter(Kind.BUDGET_TOKENS, 100, per="total", subject=Subject.TENANT),
}
NEED = Need(tokens=100, nano_usd=100, budget_tokens=100)


@pytest.mark.parametrize("place", [0, 2, 5], ids=["asked-first", "asked-between", "asked-last"])
@pytest.mark.parametrize("kind", list(Kind), ids=str)
async def test_a_refusal_takes_nothing_anywhere(home: Home, kind: Kind, place: int) -> None:
    plenty, scant = tuple(PLENTY.values()), SCANT[kind]
    await reserve(home, (scant,), NEED)
    before = await remaining(home, scant, *plenty)
    for _ in range(20):
        refusal = await refused(home, (*plenty[:place], scant, *plenty[place:]), NEED)
        assert refusal.meter == scant
        assert {found.meter.name for found in refusal.levels} == {each.name for each in (scant, *plenty)}
    assert await remaining(home, scant, *plenty) == before == [0, 10, 1000, 10, 1000, 1000]


async def test_all_that_a_reservation_took_is_in_its_levels(home: Home) -> None:
    reservation = await reserve(home, tuple(PLENTY.values()), NEED)
    found = {each.meter.kind: each.remaining for each in reservation.levels}
    assert found == {
        Kind.REQUESTS: 9,
        Kind.TOKENS: 900,
        Kind.CONCURRENCY: 9,
        Kind.USD: 900,
        Kind.BUDGET_TOKENS: 900,
    }


async def test_of_several_that_refuse_the_longest_wait_is_named(home: Home) -> None:
    day, total = budget(10), budget(10, "total", Subject.TENANT)
    for _ in range(5):
        await reserve(home, (FIVE_A_MINUTE,), Need())
    assert (await refused(home, (FIVE_A_MINUTE, day), Need(nano_usd=11))).meter == day
    assert (await refused(home, (day, FIVE_A_MINUTE), Need(nano_usd=11))).meter == day
    refusal = await refused(home, (FIVE_A_MINUTE, total, day), Need(nano_usd=11))
    assert (refusal.meter, refusal.retry_after_seconds) == (total, None)


async def test_a_meter_named_twice_counts_once_and_holds_by_both_its_sizes(home: Home) -> None:
    twice = (budget(100), meter(Kind.CONCURRENCY, 3), budget(50), meter(Kind.CONCURRENCY, 2))
    reservation = await reserve(home, twice, Need(nano_usd=20))
    assert await remaining(home, budget(100), SLOTS) == [80, 1]
    await refused(home, twice, Need(nano_usd=31))
    await settle(home, reservation, nano_usd=10)
    assert await remaining(home, budget(100), SLOTS) == [90, 2]


async def test_looking_takes_nothing(home: Home) -> None:
    for _ in range(3):
        assert await remaining(home, *PLENTY.values()) == [10, 1000, 10, 1000, 1000]
