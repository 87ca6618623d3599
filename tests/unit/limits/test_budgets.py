"""Budgets: what passes, and what settling lets go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.limits.budgets import NOTHING, Count, alarming, remaining, settle, take


@pytest.mark.parametrize(
    ("count", "amount", "after"),
    [
        pytest.param(NOTHING, 10, Count(0, 10), id="all-of-it"),
        pytest.param(NOTHING, 11, None, id="more-than-all-of-it"),
        pytest.param(Count(4, 3), 3, Count(4, 6), id="to-the-last-unit"),
        pytest.param(Count(4, 3), 4, None, id="one-beyond-what-is-held-and-spent"),
        pytest.param(Count(10), 0, Count(10), id="what-costs-nothing-passes-a-budget-used-up"),
        pytest.param(Count(11), 0, None, id="but-not-one-overdrawn"),
    ],
)
def test_taking_from_ten(count: Count, amount: int, after: Count | None) -> None:
    assert take(count, amount, capacity=10) == after


@pytest.mark.parametrize(
    ("held", "used", "after"),
    [
        pytest.param(6, 2, Count(5, 1), id="what-was-not-used-is-free-again"),
        pytest.param(6, 6, Count(9, 1), id="all-of-it-was-used"),
        pytest.param(6, 9, Count(12, 1), id="what-is-owed-beyond-it-is-booked"),
        pytest.param(0, 2, Count(5, 7), id="a-hold-reclaimed-before-is-not-let-go-again"),
    ],
)
def test_settling(held: int, used: int, after: Count) -> None:
    assert settle(Count(3, 7), held, used) == after


@pytest.mark.parametrize(
    ("count", "left"),
    [
        pytest.param(NOTHING, 10, id="all"),
        pytest.param(Count(4, 3), 3, id="without-what-is-held"),
        pytest.param(Count(12), 0, id="never-less-than-nothing"),
    ],
)
def test_what_remains(count: Count, left: int) -> None:
    assert remaining(count, capacity=10) == left


@pytest.mark.parametrize(
    ("spent", "alarms"),
    [pytest.param(7, False, id="below"), pytest.param(8, True, id="at"), pytest.param(99, True, id="beyond")],
)
def test_alarms(spent: int, alarms: bool) -> None:
    assert alarming(spent, capacity=10, alert_at=0.8) is alarms


@given(st.lists(st.tuples(st.integers(0, 40), st.floats(0, 1), st.booleans())), st.integers(0, 100))
def test_spent_and_held_never_exceed_the_capacity_while_bounds_hold(
    requests: list[tuple[int, float, bool]], capacity: int
) -> None:
    """requests: bound, the share of it that is used, whether it ends before the next begins."""
    count, used, running = NOTHING, 0, list[tuple[int, int]]()
    for bound, share, ends in requests:
        if (after := take(count, bound, capacity)) is not None:
            count = after
            running.append((bound, int(bound * share)))
        if ends and running:
            held, spent = running.pop(0)
            count, used = settle(count, held, spent), used + spent
        assert count == Count(used, sum(held for held, _ in running))
        assert count.spent + count.held + remaining(count, capacity) == capacity
