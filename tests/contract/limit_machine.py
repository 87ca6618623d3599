"""A model checker's steps through a home of limits, beside the sums that it must never get wrong."""

import asyncio
from contextlib import AsyncExitStack
from fractions import Fraction

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from service.errors import StoreUnavailable
from service.limits.base import BUDGETS, Kind, Meter, Need, Refusal, Reservation, Subject, Used
from service.limits.windows import window
from tests.contract.homes import BEGAN_AT, OpenHome
from tests.contract.limit_steps import DAY, budget, meter
from tests.fakes.ledger_sums import LedgerSums, SummedRow

METERS = (
    meter(Kind.REQUESTS, 12, per_minute=30),
    meter(Kind.TOKENS, 120, per_minute=240),
    meter(Kind.CONCURRENCY, 6),
    budget(100, "day"),
    budget(150, "total"),
    meter(Kind.BUDGET_TOKENS, 150, per="month"),
    meter(Kind.CONCURRENCY, 5, subject=Subject.TENANT, subject_id="t"),
    budget(200, "week", Subject.TENANT, "t"),
)
RESIZED = [place for place, each in enumerate(METERS) if not each.per_minute]

Window = tuple[str, int]

NEEDS = st.builds(
    Need, tokens=st.integers(1, 150), nano_usd=st.integers(1, 60), budget_tokens=st.integers(1, 60)
)
LASTS = st.sampled_from([10, 60, 600])
PICK = st.integers(0, 10**6)


class Entry(msgspec.Struct, kw_only=True, eq=False):
    """One request as the model sees it. Instants are seconds of time that passed, not of the wall clock."""

    meters: tuple[Meter, ...]
    reservation: Reservation
    need: Need
    windows: dict[str, int]
    started_at: float
    taken_at: float
    due_at: float
    holds: bool = True
    tokens_used: int | None = None


class LimitMachine(RuleBasedStateMachine):
    """Set, clear, reserve, settle, extend, crash, expire, at once, and clocks that jump.

    exact: the home knows all at any time, so what it says is compared to the unit, and it refuses
    nobody who fits. Otherwise it may err on the safe side.
    """

    def __init__(self, open_home: OpenHome, *, exact: bool) -> None:
        """A home that has counted nothing yet."""
        super().__init__()
        self._exact = exact
        self._meters = dict(enumerate(METERS))
        self._passed = 0.0
        self._jumped = False
        self._entries, self._running = list[Entry](), list[Entry]()
        self._spent: dict[Window, int] = {}
        self._known: set[Window] = set()
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._ledger = LedgerSums()
        self._home = self._runner.run(self._stack.enter_async_context(open_home(self._ledger)))

    # Steps

    @initialize(rows=st.lists(st.tuples(st.integers(1, 40 * DAY), st.integers(1, 60)), max_size=4))
    def begin_with_a_ledger(self, rows: list[tuple[int, int]]) -> None:
        """rows: how long ago, and how much."""
        for subject, subject_id in ((Subject.KEY, "k1"), (Subject.TENANT, "t")):
            self._ledger.rows += [
                SummedRow(
                    subject=subject,
                    subject_id=subject_id,
                    started_at=BEGAN_AT - ago,
                    finished_at=BEGAN_AT - ago / 2,
                    nano_usd=amount,
                    tokens=amount,
                )
                for ago, amount in rows
            ]

    @rule(place=st.sampled_from(RESIZED), capacity=st.integers(1, 300))
    def set_a_limit(self, place: int, capacity: int) -> None:
        """Set it, anew or to another size; what was used stays used."""
        self._meters[place] = msgspec.structs.replace(METERS[place], capacity=capacity)

    @rule(place=st.integers(0, len(METERS) - 1))
    def clear_a_limit(self, place: int) -> None:
        """The requests to come don't have it."""
        self._meters.pop(place, None)

    @rule(need=NEEDS, lasts=LASTS)
    def reserve(self, need: Need, lasts: int) -> None:
        """One request begins."""
        self._runner.run(self._reserve([need], lasts))

    @rule(needs=st.lists(NEEDS, min_size=2, max_size=12), lasts=LASTS)
    def reserve_at_once(self, needs: list[Need], lasts: int) -> None:
        """Several, at one time."""
        self._runner.run(self._reserve(needs, lasts))

    @precondition(lambda self: self._running)
    @rule(pick=PICK, nano_usd=st.integers(0, 80), tokens=st.integers(0, 180), twice=st.booleans())
    def settle(self, pick: int, nano_usd: int, tokens: int, *, twice: bool) -> None:
        """One request ends with what it used, which may be more than its bounds."""
        self._settle(self._running.pop(pick % len(self._running)), nano_usd, tokens, twice=twice)

    @precondition(lambda self: self._running)
    @rule(pick=PICK, nano_usd=st.integers(0, 60), tokens=st.integers(0, 60))
    def extend(self, pick: int, nano_usd: int, tokens: int) -> None:
        """A stream wants more."""
        entry = self._running[pick % len(self._running)]
        extended = self._runner.run(self._extend(entry, nano_usd, tokens))
        more = Need(nano_usd=nano_usd, budget_tokens=tokens)
        fits = entry.holds and all(
            not more.of(each.kind)
            or self._spent[each.name, start] + self._held(each, start) + more.of(each.kind) <= each.capacity
            for each, start in _budgets(entry)
        )
        assert extended <= fits
        if self._exact:
            assert extended == fits
        if extended:
            entry.need = Need(
                tokens=entry.need.tokens,
                nano_usd=entry.need.nano_usd + nano_usd,
                budget_tokens=entry.need.budget_tokens + tokens,
            )

    @precondition(lambda self: self._running)
    @rule(pick=PICK)
    def crash(self, pick: int) -> None:
        """Nobody will settle it."""
        self._running.pop(pick % len(self._running))

    @precondition(lambda self: not self._jumped)
    @rule(nano_usd=st.integers(0, 30), tokens=st.integers(0, 30))
    def book(self, nano_usd: int, tokens: int) -> None:
        """A row of somebody that died is found."""
        meters, now = tuple(self._meters.values()), self._home.now
        used = Used(nano_usd=nano_usd, tokens=tokens, finished_at=now)
        self._runner.run(self._book(meters, used, now))
        for each in meters:
            if each.per is not None:
                self._open(each, now)
                self._spent[each.name, window(each.per, now).start] += _used(each, used)

    @rule(seconds=st.sampled_from([1, 2, 9, 10, 50, 60]))
    def let_time_pass(self, seconds: int) -> None:
        """Less than an hour in all, so that no window is forgotten."""
        self._runner.run(self._home.advance(seconds))
        self._passed += seconds

    @rule(seconds=st.sampled_from([-40 * DAY, -DAY, -5, 5, 3600, DAY, 9 * DAY, 40 * DAY]))
    def set_the_clock(self, seconds: int) -> None:
        """The wall clock jumps."""
        self._jumped = True
        self._home.jump(seconds)

    @rule()
    def sweep(self) -> None:
        """What is overdue is let go."""
        self._runner.run(self._home.sweep())
        for entry in self._entries:
            entry.holds = entry.holds and entry.due_at > self._passed

    @rule(away=st.booleans())
    def the_database_goes_away_or_comes_back(self, *, away: bool) -> None:
        """Counts that have begun are no matter."""
        self._ledger.away = away

    # Claims

    @invariant()
    def what_it_says_is_what_the_model_counts(self) -> None:
        """Budgets and slots, to the unit."""
        now = self._home.now
        meters = tuple(each for each in self._meters.values() if self._looked_at(each, now))
        for level in self._runner.run(self._home.store.levels(meters, now=now)):
            left = self._left(level.meter, now)
            assert level.remaining <= left
            if self._exact:
                assert level.remaining == left

    def teardown(self) -> None:
        """When all are settled or overdue nothing is held, and what is spent is what was used."""
        try:
            self._ledger.away = False
            for number, entry in enumerate(self._running):
                self._settle(entry, number * 7 % 60, number * 11 % 120, twice=True)
            self._runner.run(self._home.advance(601))
            self._passed += 601
            self.sweep()
            for each in METERS:
                self._nothing_leaked(each)
                self._never_too_fast(each)
        finally:
            self._runner.run(self._stack.aclose())
            self._runner.close()

    def _nothing_leaked(self, each: Meter) -> None:
        starts = {start for name, start in self._known if name == each.name}
        for now in starts if each.per else {self._home.now}:
            if not each.per_minute:
                (level,) = self._runner.run(self._home.store.levels((each,), now=now))
                spent = self._spent[each.name, int(now)] if each.per else 0
                assert level.remaining == max(0, each.capacity - spent)

    def _never_too_fast(self, each: Meter) -> None:
        if not each.per_minute:
            return
        taken = [(entry.taken_at, _passed(each, entry)) for entry in self._entries if each in entry.meters]
        for first, (begin, _) in enumerate(taken):
            total = 0
            for end, units in taken[first:]:
                total += units
                assert total <= each.capacity + Fraction((end - begin) * each.per_minute) / 60

    # What the model does

    async def _reserve(self, needs: list[Need], lasts: int) -> None:
        meters, now, store = tuple(self._meters.values()), self._home.now, self._home.store
        calls = [store.reserve(meters, need, id="r", started_at=now, lasts_seconds=lasts) for need in needs]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for need, answer in zip(needs, answers, strict=True):
            if isinstance(answer, BaseException):
                assert isinstance(answer, StoreUnavailable) and self._ledger.away, answer
                continue
            for each in meters:
                self._open(each, now)
                if each.per is not None:
                    self._known.add((each.name, window(each.per, now).start))
            if isinstance(answer, Refusal):
                assert not self._exact or self._short(answer, need, now)
                continue
            entry = Entry(
                meters=meters,
                reservation=answer,
                need=need,
                windows={each.name: window(each.per or "total", now).start for each in meters},
                started_at=now,
                taken_at=self._passed,
                due_at=self._passed + lasts,
            )
            self._entries.append(entry)
            self._running.append(entry)
            for each in meters:
                if not each.per_minute:
                    assert self._used_up(each, now) <= each.capacity

    def _short(self, refusal: Refusal, need: Need, now: float) -> bool:
        """Whether the meter named really has too little."""
        named, asked = refusal.meter, need.of(refusal.meter.kind)
        if not named.per_minute:
            return self._left(named, now) < asked
        left = {level.meter.name: level.remaining for level in refusal.levels}
        return left[named.name] < min(asked, named.capacity)

    def _settle(self, entry: Entry, nano_usd: int, tokens: int, *, twice: bool) -> None:
        self._runner.run(self._home.advance(1))
        self._passed += 1
        used = Used(nano_usd=nano_usd, tokens=tokens, finished_at=self._home.now)
        self._runner.run(self._tell(entry.reservation, used, times=1 + twice))
        entry.holds = False
        entry.tokens_used = tokens
        for each, start in _budgets(entry):
            self._spent[each.name, start] += _used(each, used)
        if self._exact or not self._jumped:
            self._runner.run(self._tell_the_others(entry, used))

    async def _tell_the_others(self, entry: Entry, used: Used) -> None:
        """Those budgets that it didn't have, and the ledger. Instants of two rows and of a count differ."""
        places = ("key:k1:", "tenant:t:", "model:m:")
        self._home.store.spend(places, used, started_at=entry.started_at, reservation=entry.reservation)
        await self._home.sync()
        for each in METERS:
            place = (each.name, window(each.per or "total", entry.started_at).start)
            if each.name not in entry.windows and place in self._spent:
                self._spent[place] += _used(each, used)
        for subject, subject_id in ((Subject.KEY, "k1"), (Subject.TENANT, "t")):
            self._ledger.rows.append(
                SummedRow(
                    subject=subject,
                    subject_id=subject_id,
                    started_at=entry.started_at,
                    finished_at=used.finished_at,
                    nano_usd=used.nano_usd,
                    tokens=used.tokens,
                )
            )
        await self._home.advance(1)
        self._passed += 1

    async def _tell(self, reservation: Reservation, used: Used, times: int) -> None:
        for _ in range(times):
            self._home.store.settle(reservation, used)
        await self._home.sync()

    async def _extend(self, entry: Entry, nano_usd: int, tokens: int) -> bool:
        extended = self._home.store.extend(entry.reservation, nano_usd=nano_usd, tokens=tokens)
        await self._home.sync()
        return extended

    async def _book(self, meters: tuple[Meter, ...], used: Used, started_at: float) -> None:
        self._home.store.book(meters, used, started_at=started_at)
        await self._home.sync()

    def _open(self, each: Meter, now: float) -> None:
        """A budget's count begins with the ledger's sum."""
        if each.per is None:
            return
        span = window(each.per, now)
        if (each.name, span.start) not in self._spent:
            self._spent[each.name, span.start] = sum(
                row.nano_usd if each.kind is Kind.USD else row.tokens
                for row in self._ledger.rows
                if (row.subject, row.subject_id) == (each.subject, each.subject_id)
                and span.start <= row.started_at
                and (span.end is None or row.started_at < span.end)
            )

    def _held(self, each: Meter, start: int) -> int:
        """A home that isn't exact may let go of what is overdue before it is swept."""
        return sum(
            entry.need.of(each.kind)
            for entry in self._entries
            if entry.holds
            and entry.windows.get(each.name) == start
            and (self._exact or entry.due_at > self._passed)
        )

    def _used_up(self, each: Meter, now: float) -> int:
        start = window(each.per or "total", now).start
        return self._spent.get((each.name, start), 0) + self._held(each, start)

    def _left(self, each: Meter, now: float) -> int:
        return max(0, each.capacity - self._used_up(each, now))

    def _looked_at(self, each: Meter, now: float) -> bool:
        """Rates are judged at the end; a window that nobody asked for may wait for the database."""
        if each.kind in BUDGETS:
            return (each.name, window(each.per or "total", now).start) in self._known
        return not each.per_minute


def _budgets(entry: Entry) -> list[tuple[Meter, int]]:
    return [(each, entry.windows[each.name]) for each in entry.meters if each.per is not None]


def _used(each: Meter, used: Used) -> int:
    return used.nano_usd if each.kind is Kind.USD else used.tokens


def _passed(each: Meter, entry: Entry) -> int:
    """What one request let through: what it asked for, or what it used of that."""
    asked = min(entry.need.of(each.kind), each.capacity)
    if each.kind is Kind.REQUESTS or entry.tokens_used is None:
        return asked
    return min(asked, entry.tokens_used)


def machine_of(open_home: OpenHome, *, exact: bool) -> type[LimitMachine]:
    """The machine for one home, as hypothesis wants it."""

    class Machine(LimitMachine):
        def __init__(self) -> None:
            super().__init__(open_home, exact=exact)

    return Machine
