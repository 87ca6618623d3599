"""Budgets in every home of limits: what they admit, where their counts begin, and what streams and the dead owe."""

import asyncio
from datetime import UTC, datetime

import pytest

from service.config.limits import Per
from service.errors import StoreUnavailable
from service.limits.base import Kind, Meter, Need, Refusal, Reservation, Used
from tests.contract.homes import BEGAN_AT, Home
from tests.contract.limit_steps import (
    DAY,
    FIVE_A_MINUTE,
    MIDNIGHT,
    SLOTS,
    TOKENS,
    ask,
    budget,
    level,
    meter,
    refused,
    remaining,
    reserve,
    row,
    settle,
)
from tests.fakes.loops import until


async def test_a_budget_is_held_to_its_last_nano_dollar_and_no_further(home: Home) -> None:
    await reserve(home, (budget(100),), Need(nano_usd=60))
    await refused(home, (budget(100),), Need(nano_usd=41))
    await reserve(home, (budget(100),), Need(nano_usd=40))
    await refused(home, (budget(100),), Need(nano_usd=1))
    assert await remaining(home, budget(100)) == [0]


async def test_what_was_not_used_is_free_again(home: Home) -> None:
    await settle(home, await reserve(home, (budget(100),), Need(nano_usd=100)), nano_usd=30)
    assert await remaining(home, budget(100)) == [70]
    await reserve(home, (budget(100),), Need(nano_usd=70))


async def test_what_was_used_beyond_the_bound_is_booked(home: Home) -> None:
    await settle(home, await reserve(home, (budget(100),), Need(nano_usd=50)), nano_usd=130)
    assert await remaining(home, budget(100)) == [0]
    await refused(home, (budget(120),), Need(nano_usd=1))
    assert await remaining(home, budget(140)) == [10]


async def test_a_budget_of_tokens_counts_tokens(home: Home) -> None:
    tokens = meter(Kind.BUDGET_TOKENS, 100, per="month")
    need = Need(budget_tokens=80, tokens=10**6, nano_usd=10**6)
    await settle(home, await reserve(home, (tokens,), need), tokens=25, nano_usd=10**6)
    assert await remaining(home, tokens) == [75]


async def test_settling_twice_counts_once(home: Home) -> None:
    meters = (budget(100), SLOTS, TOKENS)
    first = await reserve(home, meters, Need(nano_usd=40, tokens=40))
    await reserve(home, meters, Need(nano_usd=40, tokens=40))
    for nano_usd in (30, 90):
        await settle(home, first, nano_usd=nano_usd, tokens=nano_usd)
    assert await remaining(home, *meters) == [30, 1, 530]


@pytest.mark.parametrize(
    ("per", "wait"),
    [
        pytest.param("day", DAY / 2, id="to-midnight"),
        pytest.param("week", DAY * 5.5, id="to-monday"),
        pytest.param("month", DAY * 17.5, id="to-the-first"),
        pytest.param("total", None, id="never"),
    ],
)
async def test_a_budget_used_up_says_when_it_renews(home: Home, per: Per, wait: float | None) -> None:
    refusal = await refused(home, (budget(100, per),), Need(nano_usd=101))
    assert (refusal.meter.per, refusal.retry_after_seconds) == (per, wait)
    await reserve(home, (budget(100, per),), Need(nano_usd=100))
    assert (await level(home, budget(100, per))).reset_seconds == wait


async def test_a_window_that_begins_has_all_of_its_budget(home: Home) -> None:
    await settle(home, await reserve(home, (budget(100),), Need(nano_usd=100)), nano_usd=100)
    refusal = await refused(home, (budget(100),), Need(nano_usd=1))
    assert refusal.retry_after_seconds is not None
    await home.advance(refusal.retry_after_seconds - 1)
    await refused(home, (budget(100),), Need(nano_usd=1))
    await home.advance(1)
    await reserve(home, (budget(100),), Need(nano_usd=100))


async def test_a_request_belongs_to_the_window_in_which_it_started(home: Home) -> None:
    await home.advance(DAY / 2 - 10)
    before = home.now
    reservation = await reserve(home, (budget(100),), Need(nano_usd=60))
    await home.advance(20)
    await reserve(home, (budget(100),), Need(nano_usd=100))
    await settle(home, reservation, nano_usd=50)
    assert await remaining(home, budget(100)) == [0]
    await reserve(home, (budget(100),), Need(nano_usd=50), started_at=before)
    await refused(home, (budget(100),), Need(nano_usd=1), started_at=before)


async def test_several_budgets_of_one_subject_hold_together(home: Home) -> None:
    day, total = budget(100, "day"), budget(150, "total")
    await settle(home, await reserve(home, (day, total), Need(nano_usd=100)), nano_usd=100)
    await home.advance(DAY / 2)
    refusal = await refused(home, (day, total), Need(nano_usd=60))
    assert (refusal.meter.per, refusal.retry_after_seconds) == ("total", None)
    await reserve(home, (day, total), Need(nano_usd=50))


async def test_a_budget_changed_keeps_what_was_used(home: Home) -> None:
    await settle(home, await reserve(home, (budget(100),), Need(nano_usd=90)), nano_usd=90)
    assert await remaining(home, budget(200)) == [110]
    assert await remaining(home, budget(50)) == [0]
    await refused(home, (budget(50),), Need(nano_usd=0))
    await reserve(home, (budget(200),), Need(nano_usd=110))


async def test_a_count_begins_with_what_the_ledger_says_of_its_window(home: Home) -> None:
    home.ledger.rows += [
        row(1, MIDNIGHT - 1, MIDNIGHT + 5),
        row(10, MIDNIGHT, MIDNIGHT + 5),
        row(20, BEGAN_AT - 9, BEGAN_AT - 1),
        row(500, BEGAN_AT - 9, BEGAN_AT - 1, "k2"),
    ]
    tokens = meter(Kind.BUDGET_TOKENS, 100, per="day")
    assert await remaining(home, budget(100), budget(100, "total"), tokens) == [70, 69, 40]
    await refused(home, (budget(100),), Need(nano_usd=71))
    await reserve(home, (budget(100),), Need(nano_usd=70))


async def test_a_budget_that_is_set_later_counts_what_was_spent_before_it_was(home: Home) -> None:
    await home.advance(3600)
    home.ledger.rows.append(row(30, home.now - 1800, home.now - 1795))
    assert await remaining(home, budget(100)) == [70]


async def test_what_was_counted_here_is_not_counted_again_from_the_ledger(home: Home) -> None:
    reservation = await reserve(home, (budget(100),), Need(nano_usd=40))
    await home.advance(5)
    await settle(home, reservation, nano_usd=40)
    home.ledger.rows.append(row(40, home.now - 5, home.now))
    await home.advance(5)
    assert await remaining(home, budget(100)) == [60]


async def test_however_many_wait_the_ledger_is_asked_once(home: Home) -> None:
    home.ledger.rows.append(row(20, BEGAN_AT - 9, BEGAN_AT - 1))
    home.ledger.answers.clear()
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(ask(home, (budget(100),), Need(nano_usd=30))) for _ in range(5)]
        await until(lambda: home.ledger.asked > 0)
        home.ledger.answers.set()
    assert sum(isinstance(each.result(), Refusal) for each in asked) == 3
    await reserve(home, (budget(100),), Need(nano_usd=20))
    assert home.ledger.asked == 1


async def test_without_the_ledger_nothing_is_decided_and_nothing_taken(home: Home) -> None:
    home.ledger.away = True
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await ask(home, (FIVE_A_MINUTE, SLOTS, budget(100)), Need(nano_usd=10))
        with pytest.raises(StoreUnavailable):
            await home.store.levels((budget(100),), now=home.now)
    home.ledger.away = False
    assert await remaining(home, FIVE_A_MINUTE, SLOTS, budget(100)) == [5, 2, 100]
    await reserve(home, (FIVE_A_MINUTE, SLOTS, budget(100)), Need(nano_usd=100))


async def test_a_ledger_away_is_no_matter_to_who_has_no_budget_or_was_counted(home: Home) -> None:
    await reserve(home, (budget(100),), Need(nano_usd=10))
    home.ledger.away = True
    await reserve(home, (budget(100),), Need(nano_usd=10))
    await reserve(home, (FIVE_A_MINUTE, SLOTS, TOKENS), Need())


async def test_what_a_worker_that_died_used_is_booked(home: Home) -> None:
    meters = (budget(100), meter(Kind.BUDGET_TOKENS, 100, per="day"), SLOTS)
    assert await remaining(home, *meters) == [100, 100, 2]
    home.store.book(meters, Used(nano_usd=30, tokens=20, finished_at=home.now + 1), started_at=home.now - 9)
    await home.sync()
    assert await remaining(home, *meters) == [70, 80, 2]


async def test_what_is_booked_before_the_count_has_begun_is_added_to_it(home: Home) -> None:
    home.ledger.rows.append(row(20, BEGAN_AT - 9, BEGAN_AT - 1))
    await home.advance(5)
    home.store.book((budget(100),), Used(nano_usd=30, finished_at=home.now), started_at=BEGAN_AT - 9)
    await home.sync()
    home.ledger.rows.append(row(30, BEGAN_AT - 9, home.now))
    assert await remaining(home, budget(100)) == [50]


async def test_what_is_booked_first_does_not_hide_what_was_spent_before(home: Home) -> None:
    await home.advance(3600)
    await spend(home, 20)
    home.store.book((budget(100),), Used(nano_usd=30, finished_at=home.now), started_at=home.now - 9)
    await home.sync()
    home.ledger.rows.append(row(30, home.now - 9, home.now))
    assert await remaining(home, budget(100)) == [50]


async def test_what_is_booked_but_in_the_ledgers_sum_counts_once(home: Home) -> None:
    home.ledger.rows.append(row(20, BEGAN_AT - 9, BEGAN_AT - 1))
    assert await remaining(home, budget(100)) == [80]
    home.store.book((budget(100),), Used(nano_usd=20, finished_at=BEGAN_AT - 1), started_at=BEGAN_AT - 9)
    await home.sync()
    assert await remaining(home, budget(100)) == [80]


async def spend(home: Home, nano_usd: int, meters: tuple[Meter, ...] = (), *, subject_id: str = "k1") -> None:
    """One request to its end, as whoever calls the store does it, with its row in the ledger."""
    started_at = home.now
    reservation = await reserve(home, meters, Need(nano_usd=nano_usd)) if meters else None
    await home.advance(1)
    await end(home, nano_usd, started_at, reservation, subject_id=subject_id)


async def end(
    home: Home, nano_usd: int, started_at: float, reservation: Reservation | None, *, subject_id: str = "k1"
) -> None:
    """The request's end."""
    used = Used(nano_usd=nano_usd, tokens=2 * nano_usd, finished_at=home.now)
    if reservation is not None:
        home.store.settle(reservation, used)
    places = ("key:k2:", "model:m:", f"key:{subject_id}:")
    home.store.spend(places, used, started_at=started_at, reservation=reservation)
    home.ledger.rows.append(row(nano_usd, started_at, home.now, subject_id))
    await home.sync()
    await home.advance(1)


@pytest.mark.parametrize("per", ["day", "total"])
async def test_a_budget_taken_away_and_set_again_counts_what_was_spent_between(home: Home, per: Per) -> None:
    tokens = meter(Kind.BUDGET_TOKENS, 1000, per=per)
    both = (budget(100, per), tokens)
    await spend(home, 10, both)
    await spend(home, 20)
    await home.advance(3600)
    await home.sweep()
    await spend(home, 30)
    await spend(home, 500, subject_id="k3")
    assert await remaining(home, *both) == [40, 880]
    await refused(home, both, Need(nano_usd=41))
    await spend(home, 40, both)
    assert await remaining(home, *both) == [0, 800]


async def test_a_request_that_runs_while_its_budget_is_first_set_counts_at_its_end(home: Home) -> None:
    started_at = home.now
    await home.advance(5)
    await spend(home, 10)
    assert await remaining(home, budget(100)) == [90]
    await spend(home, 20, (budget(100),))
    await end(home, 30, started_at, None)
    assert await remaining(home, budget(100)) == [40]


async def test_a_request_that_holds_one_budget_counts_with_the_one_set_since(home: Home) -> None:
    started_at = home.now
    reservation = await reserve(home, (budget(100),), Need(nano_usd=50))
    assert await remaining(home, budget(100), budget(200, "total")) == [50, 200]
    await end(home, 30, started_at, reservation)
    assert await remaining(home, budget(100), budget(200, "total")) == [70, 170]


async def test_a_request_counts_in_the_window_in_which_it_started_alone(home: Home) -> None:
    assert await remaining(home, budget(100), budget(200, "total")) == [100, 200]
    started_at = home.now
    await home.advance(DAY)
    assert await remaining(home, budget(100)) == [100]
    await end(home, 30, started_at, None)
    assert await remaining(home, budget(100), budget(200, "total")) == [100, 170]


async def test_what_ends_while_the_ledger_is_asked_counts_once(home: Home) -> None:
    started_at = home.now
    await home.advance(5)
    await spend(home, 10)
    home.ledger.answers.clear()
    asked = asyncio.create_task(reserve(home, (budget(100),), Need(nano_usd=5)))
    await until(lambda: home.ledger.asked > 0)
    await home.advance(1)
    ending = asyncio.create_task(end(home, 30, started_at, None))
    await until(lambda: len(home.ledger.rows) == 2)
    home.ledger.answers.set()
    await ending
    await asked
    assert await remaining(home, budget(100)) == [55]


async def test_an_alert_is_raised_once_a_window(home: Home) -> None:
    async def spend(nano_usd: int) -> None:
        await settle(home, await reserve(home, (budget(100),), Need(nano_usd=nano_usd)), nano_usd=nano_usd)

    await spend(79)
    assert home.alerts == []
    await spend(1)
    await spend(1)
    assert home.alerts == [(budget(100).name, MIDNIGHT, 80)]
    await home.advance(DAY)
    await spend(90)
    assert home.alerts[1:] == [(budget(100).name, MIDNIGHT + DAY, 90)]


async def test_what_is_booked_raises_an_alert_too(home: Home) -> None:
    await settle(home, await reserve(home, (budget(100),), Need(nano_usd=50)), nano_usd=50)
    home.store.book((budget(100),), Used(nano_usd=45, finished_at=home.now + 1), started_at=home.now)
    await home.sync()
    assert home.alerts == [(budget(100).name, MIDNIGHT, 95)]


async def test_an_alert_that_was_raised_before_is_not_raised_again(home: Home) -> None:
    home.ledger.rows.append(row(85, BEGAN_AT - 9, BEGAN_AT - 1))
    await settle(home, await reserve(home, (budget(100),), Need(nano_usd=5)), nano_usd=5)
    assert home.alerts == []


async def test_a_thousand_at_once_never_overspend_ten_times_the_dearest_call(home: Home) -> None:
    """Each reserves the dearest call and uses less than it; nobody with money left is kept out for good."""
    dearest = 7_000_003
    cap = budget(10 * dearest, "total")
    spent = 0

    async def call(number: int) -> bool:
        nonlocal spent
        answer = await ask(home, (cap,), Need(nano_usd=dearest))
        if isinstance(answer, Refusal):
            return False
        for _ in range(number % 7):
            await asyncio.sleep(0)
        cost = dearest - number
        spent += cost
        home.store.settle(answer, Used(nano_usd=cost, finished_at=home.now))
        return True

    barrier = [asyncio.create_task(call(number)) for number in range(1000)]
    admitted = sum(await asyncio.gather(*barrier))
    await home.sync()
    assert 1 <= admitted <= 10
    assert spent <= cap.capacity
    assert await remaining(home, cap) == [cap.capacity - spent]


def test_the_suite_begins_at_noon_on_a_tuesday() -> None:
    moment = datetime.fromtimestamp(BEGAN_AT, UTC)
    assert (moment.isoformat(), moment.weekday()) == ("2026-07-14T12:00:00+00:00", 1)
