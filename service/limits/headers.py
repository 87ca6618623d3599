"""What clients are told of their limits: headers, the wait after a refusal, and a sentence about it. Pure.

Sources: draft-ietf-httpapi-ratelimit-headers-11 (`RateLimit-Policy`, `RateLimit`; RFC 9651 structured
fields), OpenAI's rate limit guide (`x-ratelimit-*`). Nothing here shows an id: a policy's name says whose
limit it is by its kind alone. All times are rounded up, so that whoever waits them is not too early.

Two meters take some 3 µs. What stays the same between requests is remembered per size of limit, not per
meter, so that a million addresses under one limit share one line.
"""

from decimal import Decimal
from functools import lru_cache
from math import ceil, inf

import msgspec

from service.config.limits import Per
from service.limits.base import BUDGETS, RATES, Kind, Level, Meter, Refusal, Subject

MAX_INTEGER = 999_999_999_999_999
"""The largest integer of a structured field (RFC 9651, 3.3.1)."""

NANO_PER_MICRO = 1000
"""Money is shown in micro-dollars: nano-dollars would pass MAX_INTEGER at a million dollars."""

CONCURRENCY_RETRY_SECONDS = 1.0
"""Nobody knows when a running request ends."""

ROUNDING_SECONDS = 1e-6
"""Stores count microseconds: less than one is the noise of floats, and no reason to wait a second more."""

_REQUEST_LINES = (
    b"x-ratelimit-limit-requests",
    b"x-ratelimit-remaining-requests",
    b"x-ratelimit-reset-requests",
)
_TOKEN_LINES = (b"x-ratelimit-limit-tokens", b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens")
# Names of the module's own: reading a member of an enumeration's class takes 130 ns with Python 3.11.
_REQUESTS, _TOKENS, _CONCURRENCY = Kind.REQUESTS, Kind.TOKENS, Kind.CONCURRENCY
_UNITS = {
    Kind.TOKENS: "tokens",
    Kind.BUDGET_TOKENS: "tokens",
    Kind.CONCURRENCY: "concurrent-requests",
    Kind.USD: "micro-usd",
}
# A month is told at its shortest: a client that spreads its quota over it is never too fast.
_WINDOW_SECONDS = {"day": 86_400, "week": 604_800, "month": 2_419_200}

_OWNERS = {
    Subject.KEY: "this API key",
    Subject.USER: "this user",
    Subject.TENANT: "this tenant",
    Subject.MODEL: "this model",
    Subject.ROUTE: "this route",
    Subject.ADDRESS: "this client address",
}
_PERIODS = {"day": "a day", "week": "a week", "month": "a month", "total": "in all"}

Line = tuple[bytes, bytes]
Lines = list[Line]


class _Text(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a limit's size alone decides. divisor: units in a shown one. seconds_a_unit: 0 for what is no rate."""

    name: bytes
    policy: Line
    divisor: int
    seconds_a_unit: float


def limit_headers(levels: tuple[Level, ...], refused: Meter | None = None) -> Lines:
    """Header lines for where a request's meters stand; none where nothing is limited.

    `RateLimit-Policy` and `RateLimit` tell of the tightest meter: the one that refused, if one did,
    else the one with the smallest share remaining (of equals, the longest reset). The `x-ratelimit-*`
    ones tell of the tightest meter of requests and the tightest of tokens.
    """
    tightest: Level | None = None
    requests: Level | None = None
    tokens: Level | None = None
    for level in levels:
        kind = level.meter.kind
        if kind is _REQUESTS:
            requests = level if requests is None else _tighter(requests, level)
        elif kind is _TOKENS:
            tokens = level if tokens is None else _tighter(tokens, level)
        tightest = level if tightest is None else _tighter(tightest, level)
    if tightest is None:
        return []
    if refused is not None:
        tightest = next((level for level in levels if level.meter == refused), tightest)
    lines = _standard(tightest)
    if requests is not None:
        lines += _openai(requests, _REQUEST_LINES)
    if tokens is not None:
        lines += _openai(tokens, _TOKEN_LINES)
    return lines


def refusal_headers(refusal: Refusal) -> Lines:
    """Header lines of a refusal: those of the meter that refused, even where its store gave no levels."""
    meter = refusal.meter
    alone = (Level(meter=meter, remaining=0, reset_seconds=refusal.retry_after_seconds),)
    return limit_headers(refusal.levels or alone, meter)


def retry_after(refusal: Refusal) -> float | None:
    """Seconds until asking again may help, not rounded; None where waiting never does."""
    if refusal.meter.kind is Kind.CONCURRENCY:
        return CONCURRENCY_RETRY_SECONDS
    return None if refusal.meter.per == "total" else refusal.retry_after_seconds


def refusal_detail(refusal: Refusal) -> str:
    """A sentence or two: whose limit it is, which one, and what helps. Names no id."""
    meter = refusal.meter
    limit = f"The limit of {_OWNERS[meter.subject]} is reached: {_amount(meter)}."
    if meter.kind in BUDGETS:
        limit = f"The budget of {_OWNERS[meter.subject]}, {_amount(meter)}, has less left than this request may cost."
    return f"{limit} {_remedy(meter, retry_after(refusal))}"


def policy_name(subject: Subject, kind: Kind, per: Per | None) -> str:
    """A limit's name in `RateLimit-Policy`: whose it is and of what, such as `key-usd-day`."""
    name = f"{subject.value}-{kind.value.replace('_', '-')}"
    return f"{name}-{per}" if per else name


def _amount(meter: Meter) -> str:
    capacity = meter.capacity
    if meter.kind is Kind.REQUESTS:
        return f"{meter.per_minute:,} requests a minute, {capacity:,} at once"
    if meter.kind is Kind.TOKENS:
        return f"{meter.per_minute:,} tokens a minute"
    if meter.kind is Kind.CONCURRENCY:
        return f"{capacity:,} requests at one time"
    period = _PERIODS[meter.per or "total"]
    if meter.kind is Kind.BUDGET_TOKENS:
        return f"{capacity:,} tokens {period}"
    return f"{Decimal(capacity).scaleb(-9).normalize():f} USD {period}"


def _remedy(meter: Meter, wait_seconds: float | None) -> str:
    if meter.kind is Kind.CONCURRENCY:
        return "Send it again when another one has ended."
    if meter.kind in BUDGETS:
        cheaper = "ask for fewer tokens (max_tokens), or have the budget raised"
        if wait_seconds is None:
            return f"It never renews: {cheaper}."
        return f"It renews in {_whole_seconds(wait_seconds)} s: wait, {cheaper}."
    if wait_seconds is None:
        return "Have the limit raised."
    return f"Send it again in {_whole_seconds(wait_seconds)} s."


def duration(seconds: float) -> str:
    """A time as OpenAI writes it: `120ms`, `1s`, `6m0s`, `1h0m0s`.

    Below a second in whole milliseconds, else in whole seconds, both rounded up: all that read such
    times read these.
    """
    return _rounded(seconds).decode()


def _rounded(seconds: float) -> bytes:
    if seconds >= 1:
        return _duration(ceil(seconds - ROUNDING_SECONDS) * 1000)
    return _duration(max(ceil((seconds - ROUNDING_SECONDS) * 1000), 0))


# Rounded, there are some thousand different ones that occur.
@lru_cache(maxsize=4096)
def _duration(milliseconds: int) -> bytes:
    if milliseconds % 1000:
        return b"%dms" % milliseconds
    minutes, seconds = divmod(milliseconds // 1000, 60)
    if not minutes:
        return b"%ds" % seconds
    hours, minutes = divmod(minutes, 60)
    return b"%dh%dm%ds" % (hours, minutes, seconds) if hours else b"%dm%ds" % (minutes, seconds)


def _whole_seconds(seconds: float) -> int:
    return max(ceil(seconds - ROUNDING_SECONDS), 0)


def _tighter(one: Level, other: Level) -> Level:
    # Shares compared without dividing: remaining / capacity, the other way round.
    this, that = one.meter, other.meter
    left, right = one.remaining * that.capacity, other.remaining * this.capacity
    # The request's own slot is free again when its answer ends: with one slot, none left says nothing.
    if this.kind is _CONCURRENCY:
        left += that.capacity
    if that.kind is _CONCURRENCY:
        right += this.capacity
    if left != right:
        return one if left < right else other
    return one if _reset(one) >= _reset(other) else other


def _reset(level: Level) -> float:
    if level.reset_seconds is not None:
        return level.reset_seconds
    return inf if level.meter.kind in BUDGETS else 0.0


def _standard(level: Level) -> Lines:
    meter = level.meter
    text = _text(meter.subject, meter.kind, meter.per, meter.capacity, meter.per_minute)
    remaining = min(level.remaining // text.divisor, MAX_INTEGER)
    seconds = level.reset_seconds
    if seconds is None:
        return [text.policy, (b"ratelimit", b"%s;r=%d" % (text.name, remaining))]
    if text.seconds_a_unit:
        # `t` is when more becomes available: for a rate the next unit, not the last one.
        seconds -= (meter.capacity - level.remaining - 1) * text.seconds_a_unit
    wait = _whole_seconds(seconds) if level.remaining < meter.capacity else 0
    return [text.policy, (b"ratelimit", b"%s;r=%d;t=%d" % (text.name, remaining, wait))]


def _openai(level: Level, names: tuple[bytes, bytes, bytes]) -> Lines:
    limit, remaining, reset = names
    return [
        (limit, b"%d" % level.meter.capacity),
        (remaining, b"%d" % level.remaining),
        (reset, _rounded(level.reset_seconds or 0.0)),
    ]


@lru_cache(maxsize=1024)
def _text(subject: Subject, kind: Kind, per: Per | None, capacity: int, per_minute: int) -> _Text:
    name = policy_name(subject, kind, per)
    divisor = NANO_PER_MICRO if kind is Kind.USD else 1
    policy = f'"{name}";q={min(capacity // divisor, MAX_INTEGER)}'
    if kind in _UNITS:
        policy += f';qu="{_UNITS[kind]}"'
    # How long all of it takes to come back, so that q / w is the rate whatever the burst.
    window = -(-capacity * 60 // per_minute) if kind in RATES else _WINDOW_SECONDS.get(per or "total")
    if window:
        policy += f";w={min(window, MAX_INTEGER)}"
    return _Text(
        name=f'"{name}"'.encode(),
        policy=(b"ratelimit-policy", policy.encode()),
        divisor=divisor,
        seconds_a_unit=60 / per_minute if kind in RATES else 0.0,
    )
