"""What follows a failed attempt: each sentence of the contract as a row, and what holds for any sequence."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.chat.attempts import RULES, Attempt, Budget, GiveUp, Spent, backoff_seconds, next_step, spend
from service.providers.base import Fault, FaultKind

REPEATED = [
    FaultKind.UNREACHABLE,
    FaultKind.TIMED_OUT,
    FaultKind.OVERLOADED,
    FaultKind.FAILED,
    FaultKind.EMPTY,
]
PASSED_ON = [FaultKind.UNAUTHORIZED, FaultKind.MISSING, FaultKind.UNSPEAKABLE]
FINAL = [FaultKind.REJECTED, FaultKind.CUT, FaultKind.STALLED]

ONCE = Spent(attempts=1)
BUDGET = Budget(max_attempts=3, max_wait_seconds=5.0, deadline_at=600.0)


def fault(kind: FaultKind, retry_after_seconds: float | None = None) -> Fault:
    """A fault of which only these two matter here."""
    return Fault(kind, "It failed.", reason="test", retry_after_seconds=retry_after_seconds)


def step(
    kind: FaultKind,
    *,
    asked: float | None = None,
    spent: Spent = ONCE,
    budget: Budget = BUDGET,
    targets: int = 1,
    now: float = 0.0,
    chance: float = 0.0,
) -> Attempt | GiveUp:
    """The step after a fault that asked for a pause of `asked` seconds."""
    return next_step(fault(kind, asked), spent, budget, targets=targets, now=now, chance=chance)


def kinds(*chosen: FaultKind) -> list[object]:
    """Rows, named by their kind."""
    return [pytest.param(kind, id=kind.value) for kind in chosen]


def test_every_kind_of_fault_has_a_rule() -> None:
    """A new kind needs a decision; these three lists hold all that were made."""
    assert set(RULES) == set(FaultKind) == {*REPEATED, *PASSED_ON, *FINAL}


@pytest.mark.parametrize("kind", kinds(*REPEATED))
def test_is_asked_of_the_same_target_again(kind: FaultKind) -> None:
    assert step(kind) == Attempt(0, 0.05)


@pytest.mark.parametrize("kind", kinds(*REPEATED, *PASSED_ON))
def test_is_passed_on_at_once_where_calls_are_left_for_fallbacks_only(kind: FaultKind) -> None:
    assert step(kind, spent=Spent(attempts=2), targets=2) == Attempt(1, 0.0)


@pytest.mark.parametrize("kind", kinds(*PASSED_ON))
def test_is_not_repeated(kind: FaultKind) -> None:
    assert step(kind) == GiveUp(None)
    assert step(kind, targets=2) == Attempt(1, 0.0)


@pytest.mark.parametrize("kind", kinds(*FINAL))
def test_is_final_whatever_is_left(kind: FaultKind) -> None:
    assert step(kind, targets=3) == GiveUp(None)


@pytest.mark.parametrize(
    ("max_attempts", "made", "index", "targets", "expected"),
    [
        pytest.param(3, 1, 0, 1, Attempt(0, 0.05), id="alone-with-two-calls-left"),
        pytest.param(3, 3, 0, 1, GiveUp(None), id="alone-with-none-left"),
        pytest.param(1, 1, 0, 1, GiveUp(None), id="one-call-is-no-retry"),
        pytest.param(3, 1, 0, 2, Attempt(0, 0.05), id="one-of-two-left-is-kept-for-the-fallback"),
        pytest.param(3, 2, 0, 2, Attempt(1, 0.0), id="the-last-one-is-the-fallbacks"),
        pytest.param(3, 1, 0, 3, Attempt(1, 0.0), id="two-left-for-two-fallbacks"),
        pytest.param(3, 2, 1, 3, Attempt(2, 0.0), id="the-second-target-gets-one-call-too"),
        pytest.param(3, 3, 2, 3, GiveUp(None), id="all-calls-and-targets-used"),
        pytest.param(3, 2, 1, 2, Attempt(1, 0.05), id="the-last-target-gets-what-is-left"),
        pytest.param(2, 1, 0, 4, Attempt(1, 0.0), id="fewer-calls-than-targets"),
        pytest.param(2, 2, 1, 4, GiveUp(None), id="as-far-as-the-number-goes"),
        pytest.param(1, 1, 0, 2, GiveUp(None), id="not-even-one-fallback-beyond-the-number"),
        pytest.param(10, 2, 0, 3, Attempt(0, 0.05), id="plenty-left"),
    ],
)
def test_calls_are_counted_and_kept_for_fallbacks(
    max_attempts: int, made: int, index: int, targets: int, expected: Attempt | GiveUp
) -> None:
    budget = Budget(max_attempts, 5.0, 600.0)
    spent = Spent(attempts=made, target_index=index)
    assert step(FaultKind.FAILED, spent=spent, budget=budget, targets=targets) == expected


@pytest.mark.parametrize(
    ("asked", "targets", "waited", "now", "expected"),
    [
        pytest.param(2.0, 1, 0.0, 0.0, Attempt(0, 2.0), id="a-pause-that-fits-is-kept-to-the-letter"),
        pytest.param(0.0, 1, 0.0, 0.0, Attempt(0, 0.0), id="no-pause-at-all"),
        pytest.param(5.0, 1, 0.0, 0.0, Attempt(0, 5.0), id="just-as-long-as-may-be-waited"),
        pytest.param(5.1, 1, 0.0, 0.0, GiveUp(6, too_long=True), id="longer-goes-to-the-client-rounded-up"),
        pytest.param(3600.0, 1, 0.0, 0.0, GiveUp(3600, too_long=True), id="an-hour-goes-to-the-client"),
        pytest.param(2.0, 1, 4.0, 0.0, GiveUp(2, too_long=True), id="all-waits-count-together"),
        pytest.param(2.0, 1, 0.0, 599.0, GiveUp(2, too_long=True), id="never-past-the-total-time"),
        pytest.param(2.0, 1, 0.0, 598.0, GiveUp(2, too_long=True), id="not-up-to-the-total-time-either"),
        pytest.param(0.1, 2, 0.0, 0.0, Attempt(1, 0.0), id="a-fallback-is-better-than-any-pause"),
        pytest.param(3600.0, 2, 0.0, 0.0, Attempt(1, 0.0), id="a-fallback-is-better-than-an-hour"),
        pytest.param(None, 1, 4.97, 0.0, GiveUp(None), id="our-own-wait-counts-too"),
        pytest.param(None, 2, 4.97, 0.0, Attempt(1, 0.0), id="no-wait-left-but-a-fallback"),
        pytest.param(None, 2, 0.0, 599.99, Attempt(1, 0.0), id="no-time-to-wait-but-a-fallback"),
        pytest.param(None, 2, 0.0, 600.0, GiveUp(None), id="nothing-once-the-time-is-over"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", kinds(FaultKind.OVERLOADED, FaultKind.FAILED))
def test_pauses(
    kind: FaultKind, asked: float | None, targets: int, waited: float, now: float, expected: Attempt | GiveUp
) -> None:
    spent = Spent(attempts=1, waited_seconds=waited)
    assert step(kind, asked=asked, spent=spent, targets=targets, now=now) == expected


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        pytest.param(None, None, id="none-asked"),
        pytest.param(0.0, 1, id="never-less-than-one"),
        pytest.param(0.2, 1, id="a-fraction"),
        pytest.param(29.01, 30, id="rounded-up"),
        pytest.param(30.0, 30, id="whole"),
    ],
)
def test_after_the_last_call_the_pause_is_the_clients(asked: float | None, shown: int | None) -> None:
    assert step(FaultKind.OVERLOADED, asked=asked, spent=Spent(attempts=3)) == GiveUp(shown)


@pytest.mark.parametrize(
    ("repeats", "least", "most"),
    [
        pytest.param(0, 0.05, 0.1, id="first"),
        pytest.param(1, 0.1, 0.2, id="second"),
        pytest.param(4, 0.8, 1.6, id="fifth"),
        pytest.param(1000, 3276.8, 6553.6, id="no-overflow"),
    ],
)
def test_waits_double_and_are_spread_over_their_upper_half(repeats: int, least: float, most: float) -> None:
    assert backoff_seconds(repeats, 0.0) == pytest.approx(least)
    assert backoff_seconds(repeats, 0.5) == pytest.approx((least + most) / 2)
    assert backoff_seconds(repeats, 1.0) == pytest.approx(most)


def test_an_attempt_is_spent() -> None:
    """Calls and waits add up; retries count for one target only."""
    first = spend(Spent(), Attempt(0, 0.0))
    again = spend(first, Attempt(0, 0.1))
    other = spend(again, Attempt(1, 0.0))
    assert [first, again, other] == [Spent(1, 0.0, 0, 0), Spent(2, 0.1, 0, 1), Spent(3, 0.1, 1, 0)]


FAULTS = st.builds(fault, st.sampled_from(FaultKind), st.none() | st.floats(0, 20))
BUDGETS = st.builds(Budget, st.integers(1, 8), st.floats(0, 10), st.floats(0, 30))


@given(st.lists(FAULTS, min_size=12), BUDGETS, st.integers(1, 5), st.floats(0, 2), st.floats(0, 0.999))
def test_any_sequence_of_faults_keeps_within_the_budget_and_ends(
    faults: list[Fault], budget: Budget, targets: int, call_seconds: float, chance: float
) -> None:
    """A whole request: each call takes a while and fails; the end comes by itself."""
    now, spent, taken = 0.0, Spent(), Attempt(0, 0.0)
    for ended in itertools.cycle(faults):
        now += taken.wait_seconds
        spent = spend(spent, taken)
        untried = targets - spent.target_index - 1
        assert spent.attempts <= budget.max_attempts
        assert spent.waited_seconds <= budget.max_wait_seconds
        assert spent.attempts == 1 or now < budget.deadline_at
        assert spent.repeats == 0 or budget.max_attempts - spent.attempts >= untried
        now += call_seconds
        following = next_step(ended, spent, budget, targets=targets, now=now, chance=chance)
        if isinstance(following, GiveUp):
            break
        assert following.target_index in (spent.target_index, spent.target_index + 1)
        assert following.target_index < targets
        assert following.target_index == spent.target_index or following.wait_seconds == 0.0
        taken = following


@given(
    st.lists(st.sampled_from([*REPEATED, *PASSED_ON]), min_size=12),
    st.integers(1, 5),
    st.integers(0, 4),
    st.floats(0, 5),
)
def test_every_target_gets_its_call_where_the_number_allows_it(
    kinds: list[FaultKind], targets: int, more: int, max_wait_seconds: float
) -> None:
    """With as many calls as targets or more, none is passed over, whatever else is retried."""
    spent, taken = Spent(), Attempt(0, 0.0)
    budget = Budget(targets + more, max_wait_seconds, 600.0)
    tried = set[int]()
    for kind in itertools.cycle(kinds):
        spent = spend(spent, taken)
        tried.add(spent.target_index)
        following = step(kind, spent=spent, budget=budget, targets=targets)
        if isinstance(following, GiveUp):
            break
        taken = following
    assert tried == set(range(targets))
