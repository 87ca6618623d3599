"""The in-process home of limits: exact for one worker, and never waits once its budgets are counted.

Everything between two awaits is one step of the loop, so what is checked and taken together is atomic.
Rates and deadlines go by the store's own clock, which no jump of the wall clock moves; windows go by
the wall clock's `started_at`.

What it keeps of a subject is forgotten by `sweep` as soon as it makes no difference: a rate when it has
drained, slots when none is held, a budget's window an hour after its end. A budget that never renews
is kept for good, for the ledger doesn't say which of its rows were counted here.
"""

from collections.abc import Callable
from math import inf

from service.limits import budgets, rates
from service.limits.base import Level, Meter, Need, Refusal, Reservation, SpentSoFar, Used
from service.limits.budgets import Count
from service.limits.opening import Opening
from service.limits.rates import Short
from service.limits.shelf import Shelf
from service.limits.states import (
    MICROSECONDS,
    Held,
    Holds,
    Pours,
    Tally,
    rate_level,
    refusal,
    sum_of,
    tally_level,
    tally_wait,
)


class MemoryLimitStore:
    """A `service.limits.base.LimitStore` for one process."""

    def __init__(
        self,
        *,
        now_us: Callable[[], int],
        spent: SpentSoFar,
        began_at: float,
        on_alert: Callable[[Meter, float, int], None],
        on_overrun: Callable[[Meter, int], None] = lambda meter, amount: None,
    ) -> None:
        """A store that has counted nothing yet.

        now_us: a clock that only moves forward, in microseconds. spent: what was used before. began_at:
        Unix seconds; whatever finished before is in `spent`, however the wall clock jumps. on_alert: called with the meter, its window's start and what is spent, once a window. on_overrun: (meter, by how much) when a request spent more than it had reserved.
        """
        self._now_us = now_us
        self._on_alert = on_alert
        self._on_overrun = on_overrun
        self._shelf = Shelf(began_at)
        self._opening = Opening(spent)
        self._running: set[Held] = set()
        self._earliest_us: float = inf

    @property
    def running(self) -> int:
        """Reservations that are neither settled nor reclaimed."""
        return len(self._running)

    @property
    def kept(self) -> int:
        """States in memory: rates, budgets' windows, subjects with slots."""
        return len(self._shelf)

    async def reserve(
        self, meters: tuple[Meter, ...], need: Need, *, id: str, started_at: float, lasts_seconds: float
    ) -> Reservation | Refusal:
        """Take from every meter at once, or from none; see the port.

        Waits only for a budget's window that nobody has asked for yet.
        """
        while True:
            answer = self._take(meters, need, id, started_at, lasts_seconds)
            if not isinstance(answer, Tally):
                return answer
            await self._opening.count(answer)

    def extend(self, reservation: Reservation, *, nano_usd: int, tokens: int) -> bool:
        """Hold more of all its budgets, or of none; False too for one that is over. See the port."""
        held = _ours(reservation)
        if not held.holds:
            return False
        more = Need(nano_usd=nano_usd, budget_tokens=tokens)
        counts: list[tuple[Tally, Count]] = []
        for tally, (meter, _) in held.tallies.items():
            if meter.per is not None and (asked := tally.asked(more)):
                count = budgets.take(tally.count, asked, meter.capacity)
                if count is None:
                    return False
                counts.append((tally, count))
        for tally, count in counts:
            tally.count = count
        held.need = sum_of(held.need, more)
        return True

    def settle(self, reservation: Reservation, used: Used) -> None:
        """Replace what was reserved by what was used, once; see the port."""
        held = _ours(reservation)
        if held.settled:
            return
        holds, held.holds, held.settled = held.holds, False, True
        self._running.discard(held)
        self._settle_rates(held, used)
        need = held.need
        alarms: list[tuple[Tally, Meter]] = []
        for tally, (meter, _) in held.tallies.items():
            amount = tally.asked(need) if holds else 0
            if meter.per is None:
                tally.count = budgets.settle(tally.count, amount, 0)
                continue
            spent = tally.used(used)
            tally.count = budgets.settle(tally.count, amount, spent)
            if holds and spent > amount:
                self._on_overrun(meter, spent - amount)
            if not tally.alerted and budgets.alarming(tally.count.spent, meter.capacity, meter.alert_at):
                alarms.append((tally, meter))
        for tally, meter in alarms:
            self._alert(tally, meter)

    def spend(
        self, places: tuple[str, ...], used: Used, *, started_at: float, reservation: Reservation | None
    ) -> None:
        """Spend from the budgets that the request holds nothing of; see the port."""
        shelf = self._shelf
        shelf.finished_at = max(shelf.finished_at, used.finished_at)
        if not shelf.budgets or not (used.tokens or used.nano_usd):
            return
        held = () if reservation is None else _ours(reservation).tallies
        for place in places:
            for tally in shelf.budgets.get(place, ()):
                if tally not in held and tally.start <= started_at < tally.end and tally.misses(used):
                    tally.count = budgets.settle(tally.count, 0, tally.used(used))

    def book(self, meters: tuple[Meter, ...], used: Used, *, started_at: float) -> None:
        """Spend from the budgets of whoever used it, as far as the ledger's sum doesn't have it.

        Rates have forgotten a worker that died.
        """
        tallies = {self._shelf.tally(meter, started_at): meter for meter in meters if meter.per is not None}
        for tally in tallies:
            if used.finished_at >= tally.cutoff:
                tally.count = budgets.settle(tally.count, 0, tally.used(used))
        for tally, meter in tallies.items():
            if not tally.alerted and budgets.alarming(tally.count.spent, meter.capacity, meter.alert_at):
                self._alert(tally, meter)

    async def levels(self, meters: tuple[Meter, ...], *, now: float) -> tuple[Level, ...]:
        """Where meters stand; see the port."""
        for meter in meters:
            while meter.per is not None and not (tally := self._shelf.tally(meter, now)).counted:
                await self._opening.count(tally)
        return self._levels(meters, self._now_us(), now)

    def sweep(self, now_unix: float) -> int:
        """Let go of what overdue reservations hold, and forget what makes no difference; for every second or so.

        now_unix: Unix seconds. Returns how many reservations were reclaimed.
        """
        now_us = self._now_us()
        reclaimed = self._reclaim(now_us) if now_us >= self._earliest_us else 0
        self._shelf.sweep(now_us, now_unix)
        return reclaimed

    def _take(
        self, meters: tuple[Meter, ...], need: Need, id: str, started_at: float, lasts_seconds: float
    ) -> Held | Refusal | Tally:
        """All in one step; a tally that has to be counted first."""
        now_us = self._now_us()
        # Each state once, whichever of its meters come; what it would be with the request.
        pours: Pours = {}
        holds: Holds = {}
        passes = True
        for meter in meters:
            if meter.per_minute:
                rate = self._shelf.rate(meter)
                bucket = rates.take(rate.bucket, now_us, rate.asked(need), meter.capacity, meter.per_minute)
                if isinstance(bucket, Short):
                    passes = False
                else:
                    pours[rate] = (meter, bucket)
            else:
                tally = self._shelf.tally(meter, started_at)
                if not tally.counted:
                    return tally
                count = budgets.take(tally.count, tally.asked(need), meter.capacity)
                if count is None:
                    passes = False
                else:
                    holds[tally] = (meter, count)
        if not passes:
            return self._refuse(meters, need, now_us, started_at)
        deadline_us = now_us + int(lasts_seconds * MICROSECONDS)
        return self._hold(Held(id, need, pours, holds, now_us, started_at, deadline_us))

    def _hold(self, held: Held) -> Held:
        for rate, (meter, bucket) in held.rates.items():
            rate.meter, rate.bucket = meter, bucket
        for tally, (_, count) in held.tallies.items():
            tally.count = count
        self._running.add(held)
        self._earliest_us = min(self._earliest_us, held.deadline_us)
        return held

    def _refuse(self, meters: tuple[Meter, ...], need: Need, now_us: int, started_at: float) -> Refusal:
        waits: list[tuple[Meter, float]] = []
        for meter in meters:
            asked = need.of(meter.kind)
            if meter.per_minute:
                short = rates.take(self._shelf.bucket(meter), now_us, asked, meter.capacity, meter.per_minute)
                if isinstance(short, Short):
                    waits.append((meter, short.wait_us / MICROSECONDS))
                continue
            tally = self._shelf.tally(meter, started_at)
            if budgets.take(tally.count, asked, meter.capacity) is None:
                waits.append((meter, tally_wait(meter, tally.end - started_at)))
        return refusal(waits, self._levels(meters, now_us, started_at))

    def _levels(self, meters: tuple[Meter, ...], now_us: int, now: float) -> tuple[Level, ...]:
        return tuple(
            rate_level(meter, self._shelf.bucket(meter), now_us)
            if meter.per_minute
            else tally_level(meter, (tally := self._shelf.tally(meter, now)).count, tally.end - now)
            for meter in meters
        )

    def _settle_rates(self, held: Held, used: Used) -> None:
        """Correct those of tokens. A state may have been forgotten since, and is another one now."""
        now_us = self._now_us()
        tokens = held.need.tokens
        for state, (meter, taken) in held.rates.items():
            if state.refunds:
                rate = self._shelf.rate(meter)
                reserved = rates.reserved_units(tokens, meter.capacity)
                rate.bucket = rates.settle(
                    rate.bucket, taken, now_us, reserved, used.tokens, meter.per_minute
                )

    def _alert(self, tally: Tally, meter: Meter) -> None:
        if tally.counted:
            tally.alerted = True
            self._on_alert(meter, tally.start, tally.count.spent)

    def _reclaim(self, now_us: int) -> int:
        overdue = [held for held in self._running if held.deadline_us <= now_us]
        for held in overdue:
            held.holds = False
            self._running.discard(held)
            for tally in held.tallies:
                tally.count = budgets.settle(tally.count, tally.asked(held.need), 0)
        self._earliest_us = min((held.deadline_us for held in self._running), default=inf)
        return len(overdue)


def _ours(reservation: Reservation) -> Held:
    if not isinstance(reservation, Held):
        raise TypeError("the reservation is another store's")
    return reservation
