"""What clients are told of their limits, by the letter of the draft and as OpenAI writes it."""

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.config.limits import Per
from service.limits.base import Kind, Level, Meter, Refusal, Subject
from service.limits.headers import (
    MAX_INTEGER,
    duration,
    limit_headers,
    refusal_detail,
    refusal_headers,
    retry_after,
)

# RFC 9651, 3.1.2 and 3.3: a string with parameters that are integers of at most 15 digits or strings.
ITEM = re.compile(rb'"[a-z-]+"(;[a-z]+=([0-9]{1,15}|"[a-z-]+"))+')

NOISE = Fraction(1, 500_000)
"""Two microseconds: stores count in single ones."""


def meter(
    kind: Kind,
    capacity: int = 60,
    per_minute: int = 60,
    per: Per | None = None,
    subject: Subject = Subject.KEY,
) -> Meter:
    """A meter of somebody whose id must not show."""
    return Meter(
        name="somebody's-id",
        kind=kind,
        subject=subject,
        subject_id="somebody's-id",
        capacity=capacity,
        per_minute=per_minute if kind in (Kind.REQUESTS, Kind.TOKENS) else 0,
        per=per,
    )


REQUESTS = meter(Kind.REQUESTS)
TOKENS = meter(Kind.TOKENS, 1000, 1000)
SLOTS = meter(Kind.CONCURRENCY, 4)
DAY_USD = meter(Kind.USD, 1_500_000_000, per="day")
TOTAL_USD = meter(Kind.USD, 1_500_000_000, per="total")


def level(of: Meter, remaining: int, reset_seconds: float | None) -> Level:
    """Where `of` stands."""
    return Level(meter=of, remaining=remaining, reset_seconds=reset_seconds)


def told(*levels: Level, refused: Meter | None = None) -> dict[str, str]:
    """The header lines by name."""
    return {name.decode(): value.decode() for name, value in limit_headers(levels, refused)}


@pytest.mark.parametrize(
    ("one", "policy", "limit"),
    [
        pytest.param(level(meter(Kind.REQUESTS, 5, 5), 4, 12.0), '"key-requests";q=5;w=60', '"key-requests";r=4;t=12', id="the-next-request-in-twelve-seconds"),
        pytest.param(level(meter(Kind.REQUESTS, 5, 5), 0, 60.0), '"key-requests";q=5;w=60', '"key-requests";r=0;t=12', id="none-left"),
        pytest.param(level(meter(Kind.REQUESTS, 5, 5), 0, 53.5), '"key-requests";q=5;w=60', '"key-requests";r=0;t=6', id="none-left-and-five-and-a-half-seconds-to-the-next"),
        pytest.param(level(meter(Kind.REQUESTS, 5, 5), 5, 0.0), '"key-requests";q=5;w=60', '"key-requests";r=5;t=0', id="unused"),
        pytest.param(level(meter(Kind.REQUESTS, 2, 60), 0, 2.0), '"key-requests";q=2;w=2', '"key-requests";r=0;t=1', id="a-burst-smaller-than-the-rate"),
        pytest.param(level(meter(Kind.REQUESTS, 1, 6000), 0, 0.01), '"key-requests";q=1;w=1', '"key-requests";r=0;t=1', id="a-window-is-at-least-a-second"),
        pytest.param(level(meter(Kind.REQUESTS, 7, 7), 0, 60.0), '"key-requests";q=7;w=60', '"key-requests";r=0;t=9', id="a-fraction-is-rounded-up"),
        pytest.param(level(TOKENS, 0, 90.0), '"key-tokens";q=1000;qu="tokens";w=60', '"key-tokens";r=0;t=31', id="a-debt-of-tokens"),
        pytest.param(level(SLOTS, 3, None), '"key-concurrency";q=4;qu="concurrent-requests"', '"key-concurrency";r=3', id="slots-have-no-time"),
        pytest.param(level(DAY_USD, 1_234_567_899, 3600.2), '"key-usd-day";q=1500000;qu="micro-usd";w=86400', '"key-usd-day";r=1234567;t=3601', id="money-in-micro-dollars-rounded-down"),
        pytest.param(level(TOTAL_USD, 0, None), '"key-usd-total";q=1500000;qu="micro-usd"', '"key-usd-total";r=0', id="a-budget-that-never-renews"),
        pytest.param(level(meter(Kind.BUDGET_TOKENS, 10, per="month", subject=Subject.TENANT), 3, 9.0), '"tenant-budget-tokens-month";q=10;qu="tokens";w=2419200', '"tenant-budget-tokens-month";r=3;t=9', id="a-tenants-tokens"),
        pytest.param(level(meter(Kind.USD, 10**21, per="week"), 10**21, 1.0), f'"key-usd-week";q={MAX_INTEGER};qu="micro-usd";w=604800', f'"key-usd-week";r={MAX_INTEGER};t=0', id="never-more-than-fifteen-digits"),
    ],
)  # fmt: skip
def test_standard_headers(one: Level, policy: str, limit: str) -> None:
    lines = told(one)
    assert (lines["ratelimit-policy"], lines["ratelimit"]) == (policy, limit)


@pytest.mark.parametrize(
    ("levels", "refused", "name"),
    [
        pytest.param((level(REQUESTS, 30, 1.0), level(TOKENS, 499, 1.0)), None, "key-tokens", id="the-smaller-share"),
        pytest.param((level(TOKENS, 499, 1.0), level(REQUESTS, 30, 1.0)), None, "key-tokens", id="in-any-order"),
        pytest.param((level(REQUESTS, 30, 1.0), level(TOKENS, 500, 2.0)), None, "key-tokens", id="of-equals-the-longest-reset"),
        pytest.param((level(TOTAL_USD, 0, None), level(REQUESTS, 0, 99.0)), None, "key-usd-total", id="never-is-longer-than-any-time"),
        pytest.param((level(REQUESTS, 59, 1.0), level(meter(Kind.CONCURRENCY, 1), 0, None)), None, "key-requests", id="the-requests-own-slot-counts-as-free"),
        pytest.param((level(REQUESTS, 59, 1.0), level(meter(Kind.CONCURRENCY, 10), 1, None)), None, "key-concurrency", id="slots-of-others-are-taken"),
        pytest.param((level(REQUESTS, 0, 1.0), level(TOKENS, 999, 2.0)), TOKENS, "key-tokens", id="the-one-that-refused"),
    ],
)  # fmt: skip
def test_the_tightest_meter_is_told_of(levels: tuple[Level, ...], refused: Meter | None, name: str) -> None:
    lines = told(*levels, refused=refused)
    assert lines["ratelimit"].startswith(f'"{name}";') and lines["ratelimit-policy"].startswith(f'"{name}";')


def test_openai_headers() -> None:
    """Each of the two kinds has its own tightest meter; resets are until all is as good as unused."""
    tenant_requests = meter(Kind.REQUESTS, 100, 100, subject=Subject.TENANT)
    lines = told(level(REQUESTS, 59, 1.0), level(TOKENS, 1, 59.94), level(tenant_requests, 20, 48.0))
    assert {name: value for name, value in lines.items() if name.startswith("x-")} == {
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-remaining-requests": "20",
        "x-ratelimit-reset-requests": "48s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "1",
        "x-ratelimit-reset-tokens": "1m0s",
    }


@pytest.mark.parametrize(
    ("levels", "names"),
    [
        pytest.param((), [], id="nothing-is-limited"),
        pytest.param((level(DAY_USD, 1, 1.0),), ["ratelimit-policy", "ratelimit"], id="a-budget-alone"),
        pytest.param((level(TOKENS, 1, 1.0),), ["ratelimit-policy", "ratelimit", "x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"], id="tokens-alone"),
    ],
)  # fmt: skip
def test_what_has_no_limit_is_left_out(levels: tuple[Level, ...], names: list[str]) -> None:
    assert [name.decode() for name, _ in limit_headers(levels)] == names


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        pytest.param(0.0, "0s", id="nothing"),
        pytest.param(-1.0, "0s", id="past"),
        pytest.param(0.12, "120ms", id="milliseconds"),
        pytest.param(0.0001, "1ms", id="less-than-a-millisecond"),
        pytest.param(0.9995, "1s", id="rounded-to-a-second"),
        pytest.param(1.0, "1s", id="a-second"),
        pytest.param(1.0000000001, "1s", id="the-noise-of-floats"),
        pytest.param(1.5, "2s", id="rounded-up"),
        pytest.param(59.0, "59s", id="just-under-a-minute"),
        pytest.param(60.0, "1m0s", id="a-minute"),
        pytest.param(360.0, "6m0s", id="minutes"),
        pytest.param(3600.0, "1h0m0s", id="an-hour"),
        pytest.param(90_061.0, "25h1m1s", id="more-than-a-day"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(seconds=st.floats(min_value=0, max_value=10**7))
def test_a_duration_is_never_too_short(seconds: float) -> None:
    """Read as OpenAI's clients read it, it is the time or less than a second more."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    read = sum(int(count) * units[unit] for count, unit in re.findall(r"(\d+)(ms|h|m|s)", duration(seconds)))
    assert seconds - 2e-6 <= read < seconds + 1


@given(
    capacity=st.integers(min_value=1, max_value=10**6),
    per_minute=st.integers(min_value=1, max_value=10**6),
    used=st.integers(min_value=1, max_value=3 * 10**12),
)
def test_whoever_waits_for_t_finds_another_unit(capacity: int, per_minute: int, used: int) -> None:
    """`t` is the time until one more unit is free than now, rounded up, for any level of a bucket."""
    remaining = max(capacity - -(-used // 10**6), 0)
    seconds_a_unit = Fraction(60, per_minute)
    one = level(
        meter(Kind.REQUESTS, capacity, per_minute), remaining, float(Fraction(used, 10**6) * seconds_a_unit)
    )
    needed = (Fraction(used, 10**6) - (capacity - remaining - 1)) * seconds_a_unit
    wait = int(told(one)["ratelimit"].rpartition("t=")[2])
    assert needed - NOISE <= wait < needed + 1 + NOISE


METERS = st.builds(
    meter,
    st.sampled_from(Kind),
    st.integers(min_value=1, max_value=10**21),
    st.integers(min_value=1, max_value=10**12),
    st.sampled_from(["day", "week", "month", "total"]),
    st.sampled_from(Subject),
)


@given(
    of=st.lists(METERS, min_size=1, max_size=6), share=st.floats(0, 1), reset=st.none() | st.floats(0, 10**7)
)
def test_headers_are_structured_fields_without_ids(
    of: list[Meter], share: float, reset: float | None
) -> None:
    """Whatever meters there are."""
    lines = limit_headers(tuple(level(one, int(one.capacity * share), reset) for one in of))
    assert all(ITEM.fullmatch(value) for name, value in lines[:2])
    assert b"somebody" not in b"".join(value for _, value in lines)


@pytest.mark.parametrize(
    ("refusal", "seconds"),
    [
        pytest.param(Refusal(meter=REQUESTS, retry_after_seconds=1.5), 1.5, id="a-rate"),
        pytest.param(Refusal(meter=SLOTS, retry_after_seconds=None), 1.0, id="slots-a-second"),
        pytest.param(Refusal(meter=DAY_USD, retry_after_seconds=3600.0), 3600.0, id="to-the-windows-end"),
        pytest.param(Refusal(meter=TOTAL_USD, retry_after_seconds=None), None, id="never"),
        pytest.param(
            Refusal(meter=TOTAL_USD, retry_after_seconds=9.0), None, id="never-whatever-a-store-says"
        ),
    ],
)
def test_retry_after(refusal: Refusal, seconds: float | None) -> None:
    assert retry_after(refusal) == seconds


def test_a_refusal_tells_of_the_meter_that_refused() -> None:
    """Also where another one is tighter, and where the store gave no levels."""
    levels = (level(REQUESTS, 0, 60.0), level(TOKENS, 10, 50.0))
    some = dict(refusal_headers(Refusal(meter=TOKENS, retry_after_seconds=9.0, levels=levels)))
    none = dict(refusal_headers(Refusal(meter=SLOTS, retry_after_seconds=None)))
    assert some[b"ratelimit"].startswith(b'"key-tokens";r=10;')
    assert none[b"ratelimit"] == b'"key-concurrency";r=0'


@pytest.mark.parametrize(
    ("refusal", "detail"),
    [
        pytest.param(Refusal(meter=meter(Kind.REQUESTS, 1000, 6000), retry_after_seconds=0.2), "The limit of this API key is reached: 6,000 requests a minute, 1,000 at once. Send it again in 1 s.", id="requests"),
        pytest.param(Refusal(meter=meter(Kind.TOKENS, subject=Subject.TENANT), retry_after_seconds=12.0), "The limit of this tenant is reached: 60 tokens a minute. Send it again in 12 s.", id="tokens"),
        pytest.param(Refusal(meter=meter(Kind.TOKENS, subject=Subject.MODEL), retry_after_seconds=None), "The limit of this model is reached: 60 tokens a minute. Have the limit raised.", id="a-rate-that-never-passes"),
        pytest.param(Refusal(meter=SLOTS, retry_after_seconds=None), "The limit of this API key is reached: 4 requests at one time. Send it again when another one has ended.", id="slots"),
        pytest.param(Refusal(meter=DAY_USD, retry_after_seconds=3599.5), "The budget of this API key, 1.5 USD a day, has less left than this request may cost. It renews in 3600 s: wait, ask for fewer tokens (max_tokens), or have the budget raised.", id="money"),
        pytest.param(Refusal(meter=meter(Kind.USD, 100 * 10**9, per="total"), retry_after_seconds=None), "The budget of this API key, 100 USD in all, has less left than this request may cost. It never renews: ask for fewer tokens (max_tokens), or have the budget raised.", id="money-that-never-renews"),
        pytest.param(Refusal(meter=meter(Kind.BUDGET_TOKENS, 5000, per="week", subject=Subject.ADDRESS), retry_after_seconds=5.0), "The budget of this client address, 5,000 tokens a week, has less left than this request may cost. It renews in 5 s: wait, ask for fewer tokens (max_tokens), or have the budget raised.", id="a-budget-of-tokens"),
    ],
)  # fmt: skip
def test_details(refusal: Refusal, detail: str) -> None:
    assert refusal_detail(refusal) == detail
