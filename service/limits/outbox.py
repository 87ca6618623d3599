"""What a worker has to tell Redis and to ask of it, packed for one exchange. No I/O and no clock."""

from collections import deque
from collections.abc import Callable

import msgspec

from service.limits.accounts import MAX_REFUNDS, Account, Sent
from service.limits.base import Meter
from service.limits.demands import Demand, Reply
from service.limits.rates import MICRO
from service.limits.wire import Answer, Booking, Cell, Verdict

MAX_CELLS = 256
"""In one exchange: some two milliseconds of the server's time."""

Booked = tuple[Account, str, float, int]
"""(account, who may have told of it itself, finished_at, amount)."""


class Letter(msgspec.Struct, frozen=True, gc=False):
    """An exchange on its way."""

    sequence: int
    accounts: list[Account]
    cells: list[Cell]
    sent: list[Sent]
    demands: list[Demand]
    asks: list[list[int]]
    booked: list[Booked]


class Outbox:
    """What is to be told. dirty: accounts that have something to tell, each once."""

    def __init__(self, ticks_ahead: int) -> None:
        self._ticks_ahead = ticks_ahead
        self._booked: list[Booked] = []
        self.dirty: list[Account] = []

    @property
    def empty(self) -> bool:
        """Whether nothing was spent or given back that isn't told."""
        return not self._booked and not any(account.used or account.refunds for account in self.dirty)

    def book(self, booked: Booked) -> None:
        """Without a reservation."""
        self._booked.append(booked)

    def pack(self, sequence: int, queue: deque[Demand], now: float, *, ripe: bool, leaving: bool) -> Letter:
        """The next letter: demands, and if it is time (`ripe`) what else there is to tell, as far as it fits.

        now: Unix seconds. leaving: want nothing in advance any more.
        """
        wants: dict[Account, tuple[int, int]] = {}
        for account in self._ripe() if ripe else []:
            account.dirty = False
            wants[account] = (0, 0) if leaving else account.plan(self._ticks_ahead)
        demands: list[Demand] = []
        while queue and len(wants) < MAX_CELLS:
            demand = queue.popleft()
            demands.append(demand)
            for part in demand.parts:
                wants.setdefault(part.account, (0, 0))
        booked, self._booked = self._booked, []
        for account, *_ in booked:
            wants.setdefault(account, (0, 0))
        told = [account.tell(now, *want) for account, want in wants.items()]
        numbers = {account: number for number, account in enumerate(wants, 1)}
        return Letter(
            sequence=sequence,
            accounts=list(wants),
            cells=[cell for cell, _ in told],
            sent=[sent for _, sent in told],
            demands=demands,
            asks=[demand.asks(numbers) for demand in demands],
            booked=booked,
        )

    def _ripe(self) -> list[Account]:
        weight = count = 0
        while count < len(self.dirty) and weight < MAX_CELLS:
            weight += 1 + min(len(self.dirty[count].refunds), MAX_REFUNDS)
            count += 1
        ripe, self.dirty = self.dirty[:count], self.dirty[count:]
        return ripe

    def bookings(self, letter: Letter, cutoff: float) -> list[Booking]:
        """Its booked amounts; what finished before `cutoff` is in the ledger's sum."""
        numbers = {account: number for number, account in enumerate(letter.accounts, 1)}
        return [
            Booking(owner, finished_at, numbers[account], amount)
            for account, owner, finished_at, amount in letter.booked
            if finished_at >= cutoff
        ]

    def conclude(self, letter: Letter, *, done: bool) -> None:
        """Its answer is lost, but it is known now whether it was done. All its accounts have to tell again."""
        for account, sent in zip(letter.accounts, letter.sent, strict=True):
            if done:
                account.told = 0
            else:
                account.told_in_vain(sent)
        if not done:
            self._booked = letter.booked + self._booked

    def hear(
        self, letter: Letter, answer: Answer, on_alert: Callable[[Meter, float, int], None]
    ) -> list[Account]:
        """Take in the answer and hand the demands theirs. Returns the accounts that go on at the next tick."""
        going_on: list[Account] = []
        for account, cell, state in zip(letter.accounts, letter.cells, answer.cells, strict=True):
            if cell.seed == account.seed:
                account.seed = -1
            account.hear(state)
            if account.idle or account.pace or account.refunds:
                going_on.append(account)
            if state.alarming:
                on_alert(account.meter, account.start, state.spent)
        for demand, (verdict, details) in zip(letter.demands, answer.verdicts, strict=True):
            if verdict == Verdict.TAKEN:
                demand.answer(Reply(Verdict.TAKEN, tops=_tops(demand, details, answer.now_us)))
            else:
                numbers = [number for number in details if isinstance(number, int)]
                demand.answer(Reply(Verdict(verdict), tuple(letter.accounts[n - 1] for n in numbers)))
        return going_on


def _tops(
    demand: Demand, details: list[bool | int | tuple[int, int]], now_us: int
) -> tuple[tuple[int, int, int] | None, ...]:
    return tuple(
        (detail[0] * MICRO + detail[1], now_us, part.account.bucket.refunded_micro)
        if isinstance(detail, tuple)
        else None
        for part, detail in zip(demand.parts, details, strict=not demand.look)
    )
