"""The values and the port of limits: what is metered, what a request needs, what a store answers. Pure.

Units: requests and tokens count ones, money integer nano-dollars. Rates are leaky buckets (the
generic cell rate algorithm in its continuous form, ITU-T I.371 annex A): a level in micro-units
that drains at `per_minute`; see `service.limits.rates`.
"""

from enum import StrEnum
from typing import Protocol

import msgspec

from service.config.limits import Per


class Kind(StrEnum):
    """What a meter counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    CONCURRENCY = "concurrency"
    USD = "usd"
    BUDGET_TOKENS = "budget_tokens"

    # The enumeration's own is written in Python, and caches ask for it with every request.
    __hash__ = str.__hash__


RATES = frozenset({Kind.REQUESTS, Kind.TOKENS})
BUDGETS = frozenset({Kind.USD, Kind.BUDGET_TOKENS})


class Subject(StrEnum):
    """Whose meter it is; the ledger has a column for each."""

    KEY = "key"
    USER = "user"
    TENANT = "tenant"
    MODEL = "model"
    ROUTE = "route"
    ADDRESS = "address"

    __hash__ = str.__hash__


def place_of(subject: Subject, subject_id: str) -> str:
    """Whose a meter is, as one string; meters' names begin with it. Unambiguous: no subject has a colon."""
    return f"{subject.value}:{subject_id}:"


class Meter(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One limit of one subject.

    name: identifies its state in every store (`key:01ab:usd:day`), free of the limit's size, so that
    a changed limit keeps what was used. capacity: the burst, the slots, or the budget in nano-dollars
    or tokens. per_minute: a rate's refill, 0 for all others. per: a budget's window, else None.
    """

    name: str
    kind: Kind
    subject: Subject
    subject_id: str
    capacity: int
    per_minute: int = 0
    per: Per | None = None
    alert_at: float = 0.8


class Need(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a request may use at most, by kind of meter; CONCURRENCY is always 1.

    tokens: the estimate for rates; where it exceeds a meter's capacity, the whole capacity is asked.
    budget_tokens, nano_usd: upper bounds, so that budgets hold whatever the answer is.
    """

    requests: int = 1
    tokens: int = 0
    nano_usd: int = 0
    budget_tokens: int = 0

    def of(self, kind: Kind) -> int:
        """The amount that a meter of `kind` is asked for."""
        if kind is Kind.REQUESTS:
            return self.requests
        if kind is Kind.TOKENS:
            return self.tokens
        if kind is Kind.USD:
            return self.nano_usd
        return self.budget_tokens if kind is Kind.BUDGET_TOKENS else 1


class Used(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a request used in truth. finished_at: Unix seconds, the same value as in its ledger row."""

    tokens: int = 0
    nano_usd: int = 0
    finished_at: float


class Level(msgspec.Struct, frozen=True, gc=False):
    """Where one meter stands after a step.

    remaining: whole units. reset_seconds: until it is as good as unused; None for a budget that
    never renews and for concurrency.
    """

    meter: Meter
    remaining: int
    reset_seconds: float | None


class Refusal(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Nothing was consumed anywhere. meter: the one that refused, with the longest wait of all that did.

    retry_after_seconds: when the same request passes if nobody else asks; None: never by waiting.
    """

    meter: Meter
    retry_after_seconds: float | None
    levels: tuple[Level, ...] = ()


class Reservation(Protocol):
    """What a store handed out; opaque but for these."""

    @property
    def id(self) -> str:
        """The one that `reserve` was given."""

    @property
    def levels(self) -> tuple[Level, ...]:
        """All its meters, after the reservation."""


class SpentSoFar(Protocol):
    """The ledger, as stores need it to begin a budget's count."""

    async def spent(
        self, subject: Subject, subject_id: str, *, since: float, until: float | None, finished_before: float
    ) -> tuple[int, int]:
        """(nano-dollars, tokens) of its rows with since <= started_at < until and finished_at < finished_before.

        until: None for no end. Raises StoreUnavailable.
        """


class LimitStore(Protocol):
    """Where meters live. One behaviour, whatever the home: `tests/contract/test_limit_store.py`."""

    async def reserve(
        self, meters: tuple[Meter, ...], need: Need, *, id: str, started_at: float, lasts_seconds: float
    ) -> Reservation | Refusal:
        """Take `need` from every meter at once, or from none.

        started_at: Unix seconds, the same value as in the ledger row; it chooses the budgets' windows.
        lasts_seconds: when a reservation that nobody settled is given back. Raises StoreUnavailable.
        """

    def extend(self, reservation: Reservation, *, nano_usd: int, tokens: int) -> bool:
        """Reserve more of the budgets for a running stream, at once or not at all; False: it must end.

        Nothing more of a budget is had from one that is overspent, too.
        """

    def settle(self, reservation: Reservation, used: Used) -> None:
        """Replace what was reserved by what was used. The first call counts, the others do nothing."""

    def spend(
        self, places: tuple[str, ...], used: Used, *, started_at: float, reservation: Reservation | None
    ) -> None:
        """Count what a request used, at its end, with those budgets of its caller that it holds nothing of.

        Such a budget was set while it ran, or had been taken away when it began; whoever sets it again finds
        all that was spent meanwhile. places: whose request it was (`place_of`). To be called once, after `settle`.
        """

    def book(self, meters: tuple[Meter, ...], used: Used, *, started_at: float) -> None:
        """Count what was used without a reservation: rows of a worker that died."""

    async def levels(self, meters: tuple[Meter, ...], *, now: float) -> tuple[Level, ...]:
        """Where meters stand, for whoever looks at them. now: Unix seconds. Raises StoreUnavailable."""
