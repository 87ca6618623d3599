"""What the in-process home of limits keeps: states of rates and of budgets' windows, and who took from them.

The arithmetic is that of `service.limits.rates` and `service.limits.budgets`.
"""

from collections.abc import Callable
from math import inf
from operator import attrgetter

import msgspec

from service.limits.base import Kind, Level, Meter, Need, Refusal, Used
from service.limits.budgets import NOTHING, Count, alarming, remaining, settle
from service.limits.rates import UNUSED, Bucket, forgettable_at_us, level_micro, standing
from service.limits.windows import Window

MICROSECONDS = 1_000_000
CONCURRENCY_RETRY_SECONDS = 1.0
"""Nobody knows when a slot falls free."""

_ASKED: dict[Kind, Callable[[Need], int]] = {
    Kind.REQUESTS: attrgetter("requests"),
    Kind.TOKENS: attrgetter("tokens"),
    Kind.CONCURRENCY: lambda need: 1,
    Kind.USD: attrgetter("nano_usd"),
    Kind.BUDGET_TOKENS: attrgetter("budget_tokens"),
}
_USED: dict[Kind, Callable[[Used], int]] = {
    Kind.CONCURRENCY: lambda used: 0,
    Kind.USD: attrgetter("nano_usd"),
    Kind.BUDGET_TOKENS: attrgetter("tokens"),
}


class Rate:
    """The state of one rate. meter: as it was asked last, for whoever forgets the state.

    refunds: whether what was not used is given back.
    """

    __slots__ = ("asked", "bucket", "meter", "refunds")

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.bucket = UNUSED
        self.asked = _ASKED[meter.kind]
        self.refunds = meter.kind is Kind.TOKENS

    def idle(self, now_us: int) -> bool:
        """Whether it is as good as unused. A rate of tokens must wait for what may still be given back."""
        meter = self.meter
        if not self.refunds:
            return not level_micro(self.bucket, now_us, meter.per_minute)
        return now_us >= forgettable_at_us(self.bucket, meter.capacity, meter.per_minute)


class Tally:
    """The state of one budget in one window, or of the slots of one subject.

    start, end: Unix seconds; inf where it never ends. cutoff: what finished before is the ledger's to
    count, what finishes from then on is counted here. counted: whether the ledger's sum is in `count`;
    until then that has only what was booked here. opening: whether somebody waits for that sum.
    alerted: whether its alert was raised. past_since_us: when a sweep first found that its window had ended.
    """

    __slots__ = (
        "alerted",
        "asked",
        "count",
        "counted",
        "cutoff",
        "end",
        "meter",
        "opening",
        "past_since_us",
        "start",
        "used",
    )

    def __init__(self, meter: Meter, window: Window, cutoff: float) -> None:
        self.meter = meter
        self.start = window.start
        self.end = inf if window.end is None else window.end
        self.cutoff = cutoff
        self.count = NOTHING
        self.counted = meter.per is None
        self.opening = False
        self.alerted = False
        self.past_since_us: int | None = None
        self.asked = _ASKED[meter.kind]
        self.used = _USED[meter.kind]

    def begin(self, before: int) -> None:
        """Add what was spent before anything was counted here. An alert was raised by whoever counted then."""
        self.count = settle(self.count, 0, before)
        self.counted = True
        self.alerted = alarming(before, self.meter.capacity, self.meter.alert_at)

    def misses(self, used: Used) -> bool:
        """Whether the ledger's sum has not what ends now. In doubt, after the clock was set back, it counts twice."""
        return self.counted or self.opening or used.finished_at >= self.cutoff

    def past(self, now_us: int, now_unix: float, kept_us: int) -> bool:
        """Whether nobody will ask for it any more: its window has ended `kept_us` ago, by both clocks."""
        if self.count.held or self.opening:
            return False
        if self.meter.per is None or (not self.counted and self.count == NOTHING):
            return True
        if now_unix < self.end:
            self.past_since_us = None
            return False
        if self.past_since_us is None:
            self.past_since_us = now_us
        return now_us - self.past_since_us >= kept_us


Pours = dict[Rate, tuple[Meter, Bucket]]
"""Rates as one request takes from them: by which meter, and what they are after it."""
Holds = dict[Tally, tuple[Meter, Count]]
"""Tallies, likewise."""


class Held(msgspec.Struct, eq=False):
    """A `service.limits.base.Reservation`: what one request took, and what its meters were like then.

    need: what it may use at most; grows as a stream asks for more. rates, tallies: the states it took
    from, by the meter as it was then, with what they were right after it. holds: until it is settled
    or reclaimed. settled: at most once.
    """

    id: str
    need: Need
    rates: Pours
    tallies: Holds
    at_us: int
    started_at: float
    deadline_us: int
    holds: bool = True
    settled: bool = False

    @property
    def levels(self) -> tuple[Level, ...]:
        """All its meters, after the reservation; rates first."""
        found = [rate_level(meter, bucket, self.at_us) for meter, bucket in self.rates.values()]
        for tally, (meter, count) in self.tallies.items():
            found.append(tally_level(meter, count, tally.end - self.started_at))
        return tuple(found)


def sum_of(need: Need, more: Need) -> Need:
    """`need` with more of its bounds for budgets."""
    return Need(
        requests=need.requests,
        tokens=need.tokens,
        nano_usd=need.nano_usd + more.nano_usd,
        budget_tokens=need.budget_tokens + more.budget_tokens,
    )


def rate_level(meter: Meter, bucket: Bucket, now_us: int) -> Level:
    """Where a rate stands."""
    remaining_units, reset_us = standing(bucket, now_us, meter.capacity, meter.per_minute)
    return Level(meter, remaining_units, reset_us / MICROSECONDS)


def tally_level(meter: Meter, count: Count, ends_seconds: float) -> Level:
    """Where a budget or a number of slots stands. ends_seconds: until its window ends, or inf."""
    return Level(meter, remaining(count, meter.capacity), None if ends_seconds == inf else ends_seconds)


def refusal(waits: list[tuple[Meter, float]], levels: tuple[Level, ...]) -> Refusal:
    """Of those that refuse, with the seconds that each has to be waited for (inf: in vain), the longest."""
    meter, seconds = max(waits, key=lambda wait: wait[1])
    return Refusal(meter=meter, retry_after_seconds=None if seconds == inf else seconds, levels=levels)


def tally_wait(meter: Meter, ends_seconds: float) -> float:
    """Seconds until one that refused may pass; inf: never by waiting."""
    return CONCURRENCY_RETRY_SECONDS if meter.kind is Kind.CONCURRENCY else ends_seconds
