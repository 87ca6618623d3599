"""Rates: what passes, how long the others wait, and what settling gives back."""

from fractions import Fraction
from itertools import accumulate, pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.limits.rates import (
    MICRO,
    UNUSED,
    Bucket,
    Short,
    drained_micro,
    forgettable_at_us,
    level_micro,
    remaining,
    reserved_units,
    reset_us,
    settle,
    standing,
    take,
)

SECOND = 1_000_000
MINUTE = 60 * SECOND


@pytest.mark.parametrize(
    ("elapsed_us", "per_minute", "drained"),
    [
        pytest.param(MINUTE, 5, 5 * MICRO, id="a-minute-drains-what-a-minute-admits"),
        pytest.param(12 * SECOND, 5, MICRO, id="five-a-minute-is-one-every-twelve-seconds"),
        pytest.param(59, 1, 0, id="a-fraction-is-rounded-down"),
        pytest.param(60, 1, 1, id="and-whole-when-it-is-whole"),
        pytest.param(0, 5, 0, id="no-time-drains-nothing"),
        pytest.param(-MINUTE, 5, 0, id="time-that-goes-back-drains-nothing"),
    ],
)
def test_draining(elapsed_us: int, per_minute: int, drained: int) -> None:
    assert drained_micro(elapsed_us, per_minute) == drained


@pytest.mark.parametrize(
    ("bucket", "now_us", "units", "answer"),
    [
        pytest.param(UNUSED, 7, 1, Bucket(MICRO, 7), id="an-unused-rate-passes"),
        pytest.param(UNUSED, 7, 5, Bucket(5 * MICRO, 7), id="all-of-it-at-once"),
        pytest.param(UNUSED, 7, 6, Bucket(5 * MICRO, 7), id="more-than-all-of-it-asks-for-all-of-it"),
        pytest.param(Bucket(5 * MICRO, 7), 7, 1, Short(12 * SECOND), id="a-full-one-waits-for-one-unit"),
        pytest.param(Bucket(5 * MICRO, 7), 7, 9, Short(MINUTE), id="and-for-all-of-it-until-it-is-empty"),
        pytest.param(Bucket(5 * MICRO, 7), 7, 0, Bucket(5 * MICRO, 7), id="nothing-passes-a-full-one"),
        pytest.param(Bucket(6 * MICRO, 7), 7, 0, Short(12 * SECOND), id="nothing-waits-where-there-is-debt"),
        pytest.param(
            Bucket(5 * MICRO, 100), 40, 1, Short(12 * SECOND + 60), id="a-clock-that-went-back-catches-up"
        ),
        pytest.param(Bucket(MICRO, 100), 40, 1, Bucket(2 * MICRO, 100), id="and-never-takes-the-state-back"),
        pytest.param(Bucket(5 * MICRO, 0, 3), MINUTE, 1, Bucket(MICRO, MINUTE, 3), id="a-minute-empties-it"),
    ],
)
def test_taking_from_five_a_minute(bucket: Bucket, now_us: int, units: int, answer: Bucket | Short) -> None:
    assert take(bucket, now_us, units, capacity=5, per_minute=5) == answer


PER_MINUTE = st.sampled_from([1, 5, 59, 60, 61, 1000, 10**6, 10**12])
CAPACITY = st.sampled_from([1, 2, 5, 60, 1000, 10**12])
PAUSE_US = st.one_of(st.integers(0, 200), st.integers(0, 2 * MINUTE), st.integers(-MINUTE, -1))


@given(st.lists(st.tuples(PAUSE_US, st.integers(0, 7)), max_size=60), CAPACITY, PER_MINUTE)
def test_no_interval_admits_more_than_the_capacity_and_what_its_time_drains(
    asked: list[tuple[int, int]], capacity: int, per_minute: int
) -> None:
    bucket, now_us, latest_us = UNUSED, 0, 0
    admitted: list[tuple[int, int]] = []
    for pause_us, units in asked:
        now_us += pause_us
        latest_us = max(latest_us, now_us)
        answer = take(bucket, now_us, units, capacity, per_minute)
        if isinstance(answer, Bucket):
            bucket = answer
            admitted.append((latest_us, reserved_units(units, capacity)))
    totals = [0, *accumulate(units for _, units in admitted)]
    for first, (begin_us, _) in enumerate(admitted):
        for last, (end_us, _) in enumerate(admitted[first:], first):
            passed = totals[last + 1] - totals[first]
            assert passed <= capacity + Fraction((end_us - begin_us) * per_minute, MINUTE)


LEVEL = st.integers(0, 3 * 1000 * MICRO)


@given(LEVEL, st.integers(-100, MINUTE), st.integers(0, 12), st.sampled_from([1, 5, 10, 1000]), PER_MINUTE)
def test_the_wait_is_the_least_that_helps(
    level: int, now_us: int, units: int, capacity: int, per_minute: int
) -> None:
    bucket = Bucket(level, 0)
    answer = take(bucket, now_us, units, capacity, per_minute)
    if isinstance(answer, Short):
        assert answer.wait_us > 0
        then_us = now_us + answer.wait_us
        assert isinstance(take(bucket, then_us, units, capacity, per_minute), Bucket)
        assert take(bucket, then_us - 1, units, capacity, per_minute) == Short(1)


@given(LEVEL, st.integers(-100, MINUTE), st.sampled_from([1, 5, 10, 1000]), PER_MINUTE)
def test_what_remains_passes_and_one_more_does_not(
    level: int, now_us: int, capacity: int, per_minute: int
) -> None:
    bucket = Bucket(level, 0)
    left = remaining(bucket, now_us, capacity, per_minute)
    if left:
        assert isinstance(take(bucket, now_us, left, capacity, per_minute), Bucket)
    if left < capacity:
        assert isinstance(take(bucket, now_us, left + 1, capacity, per_minute), Short)


@given(LEVEL, st.integers(-100, MINUTE), PER_MINUTE)
def test_the_reset_is_the_moment_at_which_it_is_empty(level: int, now_us: int, per_minute: int) -> None:
    bucket = Bucket(level, 0)
    wait_us = reset_us(bucket, now_us, per_minute)
    assert level_micro(bucket, now_us + wait_us, per_minute) == 0
    if wait_us:
        assert level_micro(bucket, now_us + wait_us - 1, per_minute) > 0


@given(LEVEL, st.integers(-100, 2 * MINUTE), st.sampled_from([1, 5, 10, 1000]), PER_MINUTE)
def test_both_at_one_go_are_the_same(level: int, now_us: int, capacity: int, per_minute: int) -> None:
    bucket = Bucket(level, 0)
    each = remaining(bucket, now_us, capacity, per_minute), reset_us(bucket, now_us, per_minute)
    assert standing(bucket, now_us, capacity, per_minute) == each


TAKEN = Bucket(60 * MICRO, 0)
"""Ten units on top of fifty, of sixty a minute: one drains each second."""


@pytest.mark.parametrize(
    ("bucket", "now_us", "used", "after"),
    [
        pytest.param(TAKEN, 0, 10, TAKEN, id="as-reserved-changes-nothing"),
        pytest.param(TAKEN, 0, 3, Bucket(53 * MICRO, 0, 7 * MICRO), id="unused-comes-back-at-once"),
        pytest.param(
            TAKEN, 50 * SECOND, 0, Bucket(0, 50 * SECOND, 10 * MICRO), id="and-late-while-it-has-not-drained"
        ),
        pytest.param(
            TAKEN, 54 * SECOND, 0, Bucket(0, 54 * SECOND, 6 * MICRO), id="what-has-drained-does-not-come-back"
        ),
        pytest.param(TAKEN, 60 * SECOND, 0, TAKEN, id="nothing-comes-back-when-all-has-drained"),
        pytest.param(TAKEN, 0, 25, Bucket(75 * MICRO, 0), id="what-was-used-beyond-is-debt"),
        pytest.param(TAKEN, 90 * SECOND, 12, Bucket(2 * MICRO, 90 * SECOND), id="late-debt-is-debt-still"),
        pytest.param(
            Bucket(58 * MICRO, 0, 57 * MICRO), 0, 0, Bucket(55 * MICRO, 0, 60 * MICRO),
            id="what-others-gave-back-may-have-been-below",
        ),
        pytest.param(
            Bucket(9 * MICRO, 99 * SECOND), 100 * SECOND, 0, Bucket(9 * MICRO, 99 * SECOND),
            id="a-state-forgotten-since-owes-nothing",
        ),
    ],
)  # fmt: skip
def test_settling_ten_units(bucket: Bucket, now_us: int, used: int, after: Bucket) -> None:
    assert settle(bucket, TAKEN, now_us, reserved=10, used=used, per_minute=60) == after


def exact_levels(arrivals: list[tuple[int, int]], at_us: list[int], per_minute: int) -> list[Fraction]:
    """How full a bucket is at those instants that knew all it was to get as it came."""
    events = sorted([(when, 0, units) for when, units in arrivals] + [(when, 1, 0) for when in at_us])
    level, then, found = Fraction(0), 0, []
    for when, looks, units in events:
        level = max(Fraction(0), level - Fraction((when - then) * per_minute, 60)) + units * MICRO
        then = when
        if looks:
            found.append(level)
    return found


REQUESTS = st.lists(
    st.tuples(
        st.integers(0, 20 * SECOND), st.integers(0, 30 * SECOND), st.integers(0, 9), st.integers(0, 12)
    ),
    max_size=14,
)


# The first gives back what the second lies on; the third came when all that had drained.
@example(
    requests=[(0, 0, 5, 0), (0, 5 * SECOND + 1, 5, 0), (5 * SECOND, 0, 5, 5)], capacity=10, per_minute=60
)
@given(REQUESTS, st.sampled_from([10, 25]), st.sampled_from([7, 60, 600]))
def test_giving_back_never_makes_it_more_generous_than_the_truth_would_have_been(
    requests: list[tuple[int, int, int, int]], capacity: int, per_minute: int
) -> None:
    """requests: when after the one before, how long, reserved, used."""
    begins = list(accumulate(pause for pause, *_ in requests))
    steps = sorted(
        [(begin, 0, number) for number, begin in enumerate(begins)]
        + [(begin + requests[number][1], 1, number) for number, begin in enumerate(begins)]
    )
    bucket, taken = UNUSED, dict[int, Bucket]()
    truth: list[tuple[int, int]] = []
    seen: list[tuple[int, int]] = []
    for now_us, ends, number in steps:
        _, _, reserved, used = requests[number]
        if not ends:
            answer = take(bucket, now_us, reserved, capacity, per_minute)
            if isinstance(answer, Bucket):
                bucket = taken[number] = answer
        elif number in taken:
            bucket = settle(bucket, taken[number], now_us, reserved, used, per_minute)
            truth.append((begins[number], used))
            # Of those that still run nothing is known yet: this is the least that the truth can be.
            seen.append((now_us, level_micro(bucket, now_us, per_minute)))
            assert seen[-1][1] >= exact_levels(truth, [now_us], per_minute)[0]
    end_us = max((when for when, *_ in steps), default=0)
    later = list(range(end_us, end_us + 30 * SECOND, SECOND))
    for now_us, exact in zip(later, exact_levels(truth, later, per_minute), strict=True):
        assert level_micro(bucket, now_us, per_minute) >= exact


@given(
    st.lists(st.tuples(st.integers(0, 5 * SECOND), st.integers(0, 9), st.integers(0, 9)), max_size=10),
    st.sampled_from([10, 25]),
)
def test_what_is_settled_at_once_leaves_just_the_truth(
    requests: list[tuple[int, int, int]], capacity: int
) -> None:
    """At sixty a minute a microsecond drains one micro-unit, so nothing is rounded."""
    bucket, now_us, truth = UNUSED, 0, list[tuple[int, int]]()
    for pause_us, reserved, used in requests:
        now_us += pause_us
        answer = take(bucket, now_us, reserved, capacity, 60)
        if isinstance(answer, Bucket):
            bucket = settle(answer, answer, now_us, reserved, used, 60)
            truth.append((now_us, used))
        assert level_micro(bucket, now_us, 60) == exact_levels(truth, [now_us], 60)[0]


@given(st.lists(st.tuples(st.integers(-MINUTE, MINUTE), st.integers(0, 9)), max_size=30), PER_MINUTE)
def test_a_state_never_moves_back_in_time(asked: list[tuple[int, int]], per_minute: int) -> None:
    bucket, now_us, states = UNUSED, 0, [UNUSED]
    for pause_us, units in asked:
        now_us += pause_us
        answer = take(bucket, now_us, units, 10, per_minute)
        bucket = answer if isinstance(answer, Bucket) else bucket
        bucket = settle(bucket, bucket, now_us, 1, units, per_minute)
        states.append(bucket)
    assert all(before.at_us <= after.at_us for before, after in pairwise(states))


@given(LEVEL, st.integers(0, 1000), st.sampled_from([1, 5, 1000]), PER_MINUTE)
def test_what_is_forgotten_makes_no_difference(
    level: int, others: int, capacity: int, per_minute: int
) -> None:
    bucket = Bucket(level, 0, others * MICRO)
    taken = Bucket(capacity * MICRO, 0, others * MICRO)
    then_us = forgettable_at_us(bucket, capacity, per_minute)
    assert level_micro(bucket, then_us, per_minute) == 0
    assert settle(UNUSED, taken, then_us, capacity, 0, per_minute) is UNUSED
    fresh = Bucket(capacity * MICRO, then_us)
    assert settle(fresh, taken, then_us, capacity, 0, per_minute) is fresh
