"""The home of limits that workers and machines share: Redis, by way of `service.limits.courier`.

Exact: what a worker may use without asking is held in Redis for it (a lease), so leases, running requests
and what is spent never exceed a limit. `reserve` answers at once where a lease covers it, after one
round trip where none does, and by policy where Redis is away; it knows nothing of Redis itself.

Rates forget what a worker had in advance when it dies: it counts as used. A request's tokens are given
back as far as they have not drained, measured from the last exchange before it: never too generous.
"""

import asyncio
from collections.abc import Callable

import structlog

from service.config.settings import LimitSettings
from service.ending import end_all
from service.errors import StoreUnavailable
from service.limits.accounts import Account, Needs, needs_of
from service.limits.base import BUDGETS, Kind, Level, Meter, Need, Refusal, Reservation, SpentSoFar, Used
from service.limits.courier import FLUSH_SECONDS, OWNER_SECONDS, Courier
from service.limits.demands import Away, Part, Reply
from service.limits.held import Entry, Held
from service.limits.leases import TICKS_AHEAD
from service.limits.ledger_sums import LedgerSums
from service.limits.link import LAG_SECONDS, Link, LinkDown
from service.limits.outage import Shares
from service.limits.registry import Registry
from service.limits.states import refusal
from service.limits.unreserved import spend
from service.limits.wire import Form, Verdict

RECALL_SECONDS = 0.06
"""A little more than a tick: by then the others have given back what lay idle."""
ATTEMPTS = 3
LEAVE_SECONDS = 1.0

_log = structlog.get_logger()
_TOKENS = Kind.TOKENS


class SharedLimitStore:
    """A `service.limits.base.LimitStore`, one for each worker; `start` before use, `close` after.

    owner: this worker's name, of this one start of it. clock_us: monotonic microseconds. now: Unix
    seconds. on_alert: (meter, window's start, spent), once a window among all workers. on_overrun:
    (meter, by how much) when a request spent more than it had reserved. ticks_ahead: 0 for no leases.
    """

    def __init__(
        self,
        *,
        port: Link,
        owner: str,
        clock_us: Callable[[], int],
        now: Callable[[], float],
        spent: SpentSoFar,
        settings: LimitSettings,
        on_alert: Callable[[Meter, float, int], None],
        on_overrun: Callable[[Meter, int], None] = lambda meter, amount: None,
        owner_seconds: float = OWNER_SECONDS,
        lag_seconds: float = LAG_SECONDS,
        flush_seconds: float = FLUSH_SECONDS,
        ticks_ahead: int = TICKS_AHEAD,
    ) -> None:
        self._port = port
        self._clock_us = clock_us
        self._now = now
        self._settings = settings
        self._on_overrun = on_overrun
        self._shares = Shares(settings)
        self._registry = Registry()
        self._running: set[Held] = set()
        self._work: asyncio.Task[None] | None = None
        self._courier = Courier(
            port,
            owner=owner,
            clock_us=clock_us,
            now=now,
            accounts=self._registry.accounts,
            on_alert=on_alert,
            on_beat=self.sweep,
            owner_seconds=owner_seconds,
            lag_seconds=lag_seconds,
            flush_seconds=flush_seconds,
            ticks_ahead=ticks_ahead,
        )
        self._sums = LedgerSums(spent, self._courier)

    @property
    def running(self) -> int:
        """Reservations that are neither settled nor reclaimed."""
        return len(self._running)

    def state(self) -> dict[str, str]:
        """`redis`: its breaker (closed, open, half_open); `budgets`; `workers`: how many share the limits."""
        courier = self._courier
        budgets = "shared"
        if courier.away or courier.opens_in_seconds() > 0:
            budgets = self._settings.budgets_without_redis
        return {"redis": courier.state(), "budgets": budgets, "workers": str(courier.workers)}

    async def start(self) -> None:
        """Join the others; where Redis has lost its counts, wait until budgets may be counted anew.

        That takes three seconds. Never fails: without Redis it starts as it would go on.
        """
        self._work = asyncio.create_task(self._courier.run())  # noqa: TID251 - ended by close(), its one owner
        await self._courier.tried()
        if not self._courier.away:
            await asyncio.sleep(self._courier.opens_in_seconds())

    async def close(self) -> None:
        """Tell what is left to tell and give everything back, within a second."""
        if self._work is not None:
            await end_all([self._work])
        await self._sums.close()
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._courier.leave()
        except (LinkDown, TimeoutError) as error:
            _log.warning("limits.leases_not_returned", reason=str(error) or "timeout")
        await self._port.close()

    async def flush(self) -> None:
        """Wait until all that was settled by now counts in Redis."""
        await self._courier.flush()

    async def reserve(
        self, meters: tuple[Meter, ...], need: Need, *, id: str, started_at: float, lasts_seconds: float
    ) -> Reservation | Refusal:
        """See the port. Does not wait where leases cover it."""
        now_us = self._clock_us()
        needs = needs_of(need)
        held = self._take(meters, needs, id, started_at) if now_us < self._courier.lease_until_us else None
        if held is None:
            answer = await self._ask(meters, needs, id, started_at)
            if isinstance(answer, Refusal):
                return answer
            held = answer
        held.deadline_us = now_us + int(lasts_seconds * 1_000_000)
        self._running.add(held)
        return held

    def extend(self, reservation: Reservation, *, nano_usd: int, tokens: int) -> bool:
        """See the port. Where no lease covers it, holds up the loop for a round trip to Redis."""
        held = _ours(reservation)
        if not held.holds:
            return False
        needs = needs_of(Need(nano_usd=nano_usd, budget_tokens=tokens))
        budgets = [(account, meter) for account, _, meter, _ in held.entries if account.form is Form.BUDGET]
        wanted = {account: (meter, amount) for account, meter in budgets if (amount := account.asked(needs))}
        unasked = [account for account, _ in held.unasked if account.form is Form.BUDGET]
        if not wanted and not unasked:
            return True
        if self._courier.away or unasked:
            return all(self._shares.extends(account) for account in (*wanted, *unasked))
        leased = self._clock_us() < self._courier.lease_until_us and held.epoch == self._courier.epoch
        if leased and held.grow_from_idle(wanted, self._courier.touch):
            return True
        if not self._courier.extend(wanted):
            return False
        held.grow(wanted)
        return True

    def settle(self, reservation: Reservation, used: Used) -> None:
        """See the port. Told to Redis within a tick."""
        held = _ours(reservation)
        if held.settled:
            return
        self._running.discard(held)
        for meter, amount in held.settle(used, self._courier, self._courier.touch):
            self._on_overrun(meter, amount)
        if held.extended:
            self._shrink(held)

    def _shrink(self, held: Held) -> None:
        for account, amount in held.extended.items():
            self._courier.shrink(account, amount)
        held.extended = {}

    def spend(
        self, places: tuple[str, ...], used: Used, *, started_at: float, reservation: Reservation | None
    ) -> None:
        """See the port. Knows the budgets that were ever asked for at this worker."""
        if used.tokens or used.nano_usd:
            held = None if reservation is None else _ours(reservation)
            spend(self._registry.budgets(places, started_at), used, held, self._courier)

    def book(self, meters: tuple[Meter, ...], used: Used, *, started_at: float, owner: str = "") -> None:
        """See the port. owner: whose `settle` may have counted it before it died; "" where none has."""
        now_us = self._clock_us()
        for meter in meters:
            if meter.kind in BUDGETS:
                account = self._registry.find(meter, started_at, now_us)
                self._courier.book(account, owner, used.finished_at, account.spent_of(used))

    async def levels(self, meters: tuple[Meter, ...], *, now: float) -> tuple[Level, ...]:
        """See the port."""
        now_us = self._clock_us()
        accounts = [self._registry.find(meter, now, now_us) for meter in meters]
        while True:
            if self._courier.away:
                raise StoreUnavailable("Limits can't be read now.", retry_after_seconds=1.0)
            reply = await self._courier.submit([Part(account, 0, 0) for account in accounts], look=True)
            match reply.verdict:
                case Away.AWAY | Verdict.CLOSED:
                    raise StoreUnavailable("Limits can't be read now.", retry_after_seconds=1.0)
                case Verdict.UNSEEDED:
                    await self._sums.count(reply.faults)
                case _:
                    return self.levels_of(accounts, now)

    def levels_of(self, accounts: list[Account], now: float) -> tuple[Level, ...]:
        """Where they stand as far as this worker knows. now: Unix seconds."""
        server_now_us = self._courier.server_now_us()
        return tuple([account.level(server_now_us, now) for account in accounts])

    def sweep(self) -> None:
        """Let go of what overdue reservations hold, and of accounts that nobody uses."""
        now_us = self._clock_us()
        self._reclaim(now_us)
        if not self._courier.away:
            self._shares.clear()
        self._registry.forget_unused(now_us, self._now())

    def _reclaim(self, now_us: int) -> int:
        overdue = [held for held in self._running if held.deadline_us <= now_us]
        for held in overdue:
            held.reclaim(self._courier.epoch, self._courier.touch)
            self._shrink(held)
            self._running.discard(held)
        return len(overdue)

    def _take(self, meters: tuple[Meter, ...], needs: Needs, id: str, started_at: float) -> Held | None:
        """From leases alone, in one step; None where they don't cover it."""
        route = self._registry.route(meters, started_at)
        if route is None:
            return None
        entries: list[Entry] = []
        for account, meter in zip(route.accounts, meters, strict=False):
            if account.meter is not meter:
                account.serve(meter)
            amount = needs[account.index]
            if account.is_rate and amount > account.capacity:
                amount = account.capacity
            if account.idle < (amount or 1):
                return None
            entries.append((account, amount, meter, None))
        touch = self._courier.touch
        for n, (account, amount, meter, _) in enumerate(entries):
            # As `Account.take` does it.
            account.idle -= amount
            account.taken += amount
            account.pieces += 1
            if not account.is_rate:
                account.held += amount
            else:
                account.used += amount
                if account.kind is _TOKENS:
                    entries[n] = (account, amount, meter, account.top())
            if not account.dirty:
                touch(account)
        return Held(self, id, entries, started_at, self._courier)

    async def _ask(
        self, meters: tuple[Meter, ...], needs: Needs, id: str, started_at: float
    ) -> Held | Refusal:
        """Of Redis, and by policy where it is away."""
        accounts = self._registry.find_all(meters, started_at, self._clock_us())
        unasked: list[Account] = []
        attempts = 0
        while True:
            if self._courier.away:
                return self._without(accounts + unasked, [], needs, id, started_at)
            parts = [self._part(account, needs) for account in accounts]
            reply = await self._courier.submit(parts)
            match reply.verdict:
                case Away.AWAY:
                    return self._without(accounts + unasked, [], needs, id, started_at)
                case Verdict.TAKEN:
                    return self._without(unasked, self._entries(parts, reply), needs, id, started_at)
                case Verdict.UNSEEDED:
                    await self._sums.count(reply.faults)
                case Verdict.CLOSED:
                    unasked = [account for account in accounts if account.form is Form.BUDGET]
                    accounts = [account for account in accounts if account.form is not Form.BUDGET]
                    self._shares.check_closed(unasked, self._courier.opens_in_seconds())
                case Verdict.REFUSED | Verdict.RECALLING:
                    attempts += 1
                    if attempts == ATTEMPTS or not await self._worth_another(reply, needs):
                        return self._refuse(accounts, reply.faults, needs, started_at)

    async def _worth_another(self, reply: Reply, needs: Needs) -> bool:
        """Whether what refused may have changed since it was asked; waits for the others where they gave back."""
        if self._reclaim(self._clock_us()):
            return True
        if all(account.idle >= (account.asked(needs) or 1) for account in reply.faults):
            return True
        if reply.verdict is not Verdict.RECALLING:
            return False
        await asyncio.sleep(RECALL_SECONDS)
        return True

    def _entries(self, parts: list[Part], reply: Reply) -> list[Entry]:
        entries: list[Entry] = []
        for part, top in zip(parts, reply.tops, strict=True):
            account = part.account
            amount = part.pledged + part.asked
            entries.append((account, amount, account.meter, top if account.kind is _TOKENS else None))
            self._courier.touch(account)
        return entries

    def _part(self, account: Account, needs: Needs) -> Part:
        amount = account.asked(needs)
        # Leases that Redis may have taken for a dead worker's are no longer to be used.
        leased = self._clock_us() < self._courier.lease_until_us
        pledged = account.pledge(amount) if leased else 0
        return Part(account, pledged, amount - pledged)

    def _without(
        self, accounts: list[Account], entries: list[Entry], needs: Needs, id: str, started_at: float
    ) -> Held | Refusal:
        """What Redis granted, and the rest without it."""
        held = Held(self, id, entries, started_at, self._courier)
        if not accounts:
            return held
        answer = self._shares.take(accounts, needs, self._courier.workers, self._clock_us(), started_at)
        if isinstance(answer, list):
            # The others were granted already: let go of them.
            held.settle(Used(finished_at=0.0), self._courier, self._courier.touch)
            return refusal([(w.meter, w.seconds) for w in answer], self.levels_of(accounts, started_at))
        held.known = self.levels_of([entry[0] for entry in entries], started_at) + answer
        held.unasked = [(account, account.asked(needs)) for account in accounts if not account.is_rate]
        for account, amount in held.unasked:
            account.held += amount
        return held

    def _refuse(
        self, accounts: list[Account], faults: tuple[Account, ...], needs: Needs, started_at: float
    ) -> Refusal:
        now_us = self._courier.server_now_us()
        waits = [(a.meter, a.wait_seconds(a.asked(needs), now_us, started_at)) for a in faults]
        return refusal(waits, self.levels_of(accounts, started_at))


def _ours(reservation: Reservation) -> Held:
    if not isinstance(reservation, Held):
        raise TypeError("the reservation is another store's")
    return reservation
