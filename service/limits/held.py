"""A reservation of a worker that shares its limits. No I/O and no clock."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from service.limits.accounts import Account, Top
from service.limits.base import Level, Meter, Used
from service.limits.extensions import Grown

Entry = tuple[Account, int, Meter, Top | None]
"""What a request holds of an account under which limit; for a rate of tokens, what its level was right after."""

Touch = Callable[[Account], None]
_NOTHING: Mapping[Account, int] = {}


class Place(Protocol):
    """Where a worker stands with Redis: `service.limits.courier.Courier`."""

    epoch: int

    @property
    def generation(self) -> str:
        """Of counts."""

    @property
    def cutoff(self) -> float:
        """Unix seconds: when that generation's counts began."""


class Levels(Protocol):
    """Where accounts stand."""

    def levels_of(self, accounts: list[Account], now: float) -> tuple[Level, ...]:
        """As far as this worker knows. now: Unix seconds."""


class Held:
    """A `service.limits.base.Reservation`.

    generation, epoch: the courier's when it was made: later, Redis doesn't know any more what it held. unasked: what
    it holds only here, for Redis was away. extended: what it got while it ran. holds: until it is settled
    or reclaimed.
    """

    __slots__ = (
        "deadline_us", "entries", "epoch", "extended", "generation", "holds", "id", "known", "settled", "started_at", "store",
        "unasked",
    )  # fmt: skip

    def __init__(self, store: Levels, id: str, entries: list[Entry], started_at: float, at: Place) -> None:
        self.store = store
        self.id = id
        self.entries = entries
        self.started_at = started_at
        self.generation = at.generation
        self.epoch = at.epoch
        self.unasked: Sequence[tuple[Account, int]] = ()
        self.extended: Mapping[Account, int] = _NOTHING
        self.known: tuple[Level, ...] | None = None
        self.deadline_us = 0
        self.holds = True
        self.settled = False

    @property
    def levels(self) -> tuple[Level, ...]:
        """All its meters, after the reservation, as far as is known here."""
        if self.known is None:
            self.known = self.store.levels_of([entry[0] for entry in self.entries], self.started_at)
        return self.known

    def settles(self, account: Account) -> bool:
        """Whether what is used will be spent from it: by its key, for it may have been forgotten and made anew."""
        key = account.key
        return any(entry[0].key == key for entry in self.entries) or any(
            a.key == key for a, _ in self.unasked
        )

    def grow_from_idle(self, wanted: Grown, touch: Touch) -> bool:
        """Hold more, of what lies idle; False, and nothing changed, where that isn't enough."""
        if not all(a.meter is meter and a.idle >= amount for a, (meter, amount) in wanted.items()):
            return False
        for account, (_, amount) in wanted.items():
            account.take(amount)
            touch(account)
        more = {account: amount for account, (_, amount) in wanted.items()}
        self.entries = [(a, n + more.get(a, 0), meter, top) for a, n, meter, top in self.entries]
        return True

    def grow(self, granted: Grown) -> None:
        """Redis holds more for it."""
        more = {account: self.extended.get(account, 0) + amount for account, (_, amount) in granted.items()}
        self.extended = {**self.extended, **more}

    def reclaim(self, epoch: int, touch: Touch) -> None:
        """It is overdue: let go of what it holds."""
        self.holds = False
        leased = self.epoch == epoch
        for account, amount, _, _ in self.entries:
            if not account.is_rate:
                account.release(amount, 0, leased=leased)
                touch(account)
        for account, amount in self.unasked:
            account.release(amount, 0, leased=False)
            touch(account)

    def settle(self, used: Used, at: Place, touch: Touch) -> list[tuple[Meter, int]]:
        """Let go of it, and tell what was used. Returns the budgets that were overrun, and by how much."""
        holds, self.holds, self.settled = self.holds, False, True
        leased = self.epoch == at.epoch
        # Redis lost its counts meanwhile, and begins anew with the ledger's sum, which has this one.
        counted = self.generation != at.generation and used.finished_at < at.cutoff
        overruns: list[tuple[Meter, int]] = []
        for account, amount, meter, top in self.entries:
            if account.is_rate:
                if top is None:
                    continue
                account.correct(amount, used.tokens, top)
            else:
                spent = account.spent_of(used)
                if holds:
                    account.release(amount, spent, leased=leased)
                if spent and not counted:
                    account.spend(spent, used.finished_at)
                if spent > amount + self.extended.get(account, 0):
                    overruns.append((meter, spent - amount - self.extended.get(account, 0)))
            if not account.dirty:
                touch(account)
        for account, amount in self.unasked:
            spent = account.spent_of(used)
            if holds:
                account.release(amount, spent, leased=False)
            if spent and not counted:
                account.spend(spent, used.finished_at)
            touch(account)
        return overruns
