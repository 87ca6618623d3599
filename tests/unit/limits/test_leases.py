"""How large a lease is, and when it is given back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.limits.leases import TICKS_AHEAD, Plan, plan

amounts = st.integers(0, 10**15)


@pytest.mark.parametrize(
    ("idle", "taken", "pieces", "pace", "expected"),
    [
        pytest.param(0, 0, 0, 0, Plan(0, 0, 0, 0), id="nobody-asked-nothing-is-kept"),
        pytest.param(0, 10, 1, 0, Plan(0, 0, 0, 0), id="a-single-request-is-not-worth-a-lease"),
        pytest.param(0, 100, 10, 100, Plan(0, 400, 10, 100), id="four-ticks-of-the-present-pace"),
        pytest.param(150, 100, 10, 100, Plan(150, 250, 10, 100), id="what-is-idle-counts-towards-them"),
        pytest.param(900, 100, 10, 100, Plan(400, 0, 10, 100), id="what-is-beyond-them-is-given-back"),
        pytest.param(-5, 100, 10, 100, Plan(0, 400, 10, 100), id="what-is-owed-is-not-idle"),
        pytest.param(400, 0, 0, 100, Plan(100, 0, 0, 25), id="when-requests-stop-less-is-kept"),
        pytest.param(3, 0, 0, 3, Plan(0, 0, 0, 0), id="and-in-the-end-nothing"),
    ],
)
def test_what_is_kept_and_what_is_wanted(
    idle: int, taken: int, pieces: int, pace: int, expected: Plan
) -> None:
    assert plan(idle=idle, taken=taken, pieces=pieces, pace=pace, recalled=False) == expected


@given(idle=amounts, taken=amounts, pieces=st.integers(0, 1000), pace=amounts)
def test_what_others_wait_for_is_given_back_whole(idle: int, taken: int, pieces: int, pace: int) -> None:
    made = plan(idle=idle, taken=taken, pieces=pieces, pace=pace, recalled=True)
    assert (made.keep, made.want) == (0, 0)


@given(idle=amounts, taken=amounts, pieces=st.integers(0, 1000), pace=amounts)
def test_no_more_is_kept_than_there_is_and_no_more_held_than_was_used_lately(
    idle: int, taken: int, pieces: int, pace: int
) -> None:
    made = plan(idle=idle, taken=taken, pieces=pieces, pace=pace, recalled=False)
    assert 0 <= made.keep <= idle
    assert made.keep + made.want <= max(pace, taken) * TICKS_AHEAD
    assert made.piece <= taken


@given(idle=amounts, taken=amounts, pieces=st.integers(0, 1000), pace=amounts)
def test_without_leases_nothing_is(idle: int, taken: int, pieces: int, pace: int) -> None:
    made = plan(idle=idle, taken=taken, pieces=pieces, pace=pace, recalled=False, ticks_ahead=0)
    assert (made.keep, made.want) == (0, 0)


@given(pace=amounts)
def test_an_idle_lease_is_back_within_some_ticks(pace: int) -> None:
    idle, ticks = pace * TICKS_AHEAD, 0
    while idle:
        made = plan(idle=idle, taken=0, pieces=0, pace=pace, recalled=False)
        idle, pace, ticks = made.keep, made.pace, ticks + 1
    assert ticks <= 26
