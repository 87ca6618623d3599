"""What follows a failed attempt: the same target again, the next one, or the end. Pure.

The rules are rows (`RULES`) and one function over what has happened so far; how long to wait is
arithmetic on a number drawn elsewhere. Times are seconds on one clock of the caller's choice.
"""

import math

import msgspec

from service.providers.base import Fault, FaultKind

BASE_WAIT_SECONDS = 0.1
"""The first wait is 50 to 100 ms: enough for a connection blip, not noticed by a person."""


class Rule(msgspec.Struct, frozen=True, gc=False):
    """Whether the same target may be asked again, and whether another one may."""

    repeats: bool
    passes_on: bool


RULES: dict[FaultKind, Rule] = {
    FaultKind.UNREACHABLE: Rule(repeats=True, passes_on=True),
    FaultKind.TIMED_OUT: Rule(repeats=True, passes_on=True),
    FaultKind.OVERLOADED: Rule(repeats=True, passes_on=True),
    FaultKind.FAILED: Rule(repeats=True, passes_on=True),
    FaultKind.EMPTY: Rule(repeats=True, passes_on=True),
    FaultKind.UNAUTHORIZED: Rule(repeats=False, passes_on=True),
    FaultKind.MISSING: Rule(repeats=False, passes_on=True),
    FaultKind.UNSPEAKABLE: Rule(repeats=False, passes_on=True),
    FaultKind.REJECTED: Rule(repeats=False, passes_on=False),
    FaultKind.CUT: Rule(repeats=False, passes_on=False),
    FaultKind.STALLED: Rule(repeats=False, passes_on=False),
}
"""CUT and STALLED: the answer had begun, so it may have been billed, and two are never spliced."""


class Budget(msgspec.Struct, frozen=True, gc=False):
    """What one request may spend: provider calls, seconds of waiting, and time as a whole."""

    max_attempts: int
    max_wait_seconds: float
    deadline_at: float


class Spent(msgspec.Struct, frozen=True, gc=False):
    """What it has spent: calls made, seconds waited, targets behind it, retries of this one."""

    attempts: int = 0
    waited_seconds: float = 0.0
    target_index: int = 0
    repeats: int = 0


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """Ask target number `target_index` after waiting `wait_seconds`."""

    target_index: int
    wait_seconds: float


class GiveUp(msgspec.Struct, frozen=True, gc=False):
    """No more calls.

    retry_after_seconds: the caller may come back then, because the provider said so.
    too_long: that pause is why no further attempt is made.
    """

    retry_after_seconds: int | None
    too_long: bool = False


def next_step(
    fault: Fault, spent: Spent, budget: Budget, *, targets: int, now: float, chance: float
) -> Attempt | GiveUp:
    """Decide what follows `fault`, the end of the attempt that `spent` counts last.

    targets: how many the plan has. chance: drawn from [0, 1), spreads the waits.
    """
    rule = RULES[fault.kind]
    untried = targets - spent.target_index - 1
    left = budget.max_attempts - spent.attempts
    # 1. The request itself is at fault, or nothing is left to spend.
    if left <= 0 or now >= budget.deadline_at or not (rule.repeats or rule.passes_on):
        return GiveUp(whole_seconds(fault.retry_after_seconds))
    # 2. The same target again: one call stays kept for each fallback that was not tried.
    if (
        rule.repeats
        and left > untried
        and (wait := _wait(fault, spent, budget, untried, now, chance)) is not None
    ):
        return Attempt(spent.target_index, wait)
    # 3. The next target, at once.
    if rule.passes_on and untried > 0:
        return Attempt(spent.target_index + 1, 0.0)
    return GiveUp(whole_seconds(fault.retry_after_seconds), too_long=fault.retry_after_seconds is not None)


def _wait(
    fault: Fault, spent: Spent, budget: Budget, untried: int, now: float, chance: float
) -> float | None:
    """Seconds to wait before the same target; None if that is too long, or a fallback is better."""
    asked = fault.retry_after_seconds
    if asked is not None and untried > 0:
        return None
    wait = backoff_seconds(spent.repeats, chance) if asked is None else asked
    fits = spent.waited_seconds + wait <= budget.max_wait_seconds and now + wait < budget.deadline_at
    return wait if fits else None


def backoff_seconds(repeats: int, chance: float) -> float:
    """Exponential, with equal jitter: half fixed, half drawn. 0.05 to 0.1 s, then twice that, and so on."""
    ceiling = BASE_WAIT_SECONDS * 2.0 ** min(repeats, 16)
    return ceiling / 2 + chance * ceiling / 2


def spend(spent: Spent, step: Attempt) -> Spent:
    """The account after `step`'s call was begun."""
    same = step.target_index == spent.target_index and spent.attempts > 0
    return Spent(
        attempts=spent.attempts + 1,
        waited_seconds=spent.waited_seconds + step.wait_seconds,
        target_index=step.target_index,
        repeats=spent.repeats + 1 if same else 0,
    )


def whole_seconds(seconds: float | None) -> int | None:
    """A pause as `Retry-After` has it: rounded up, at least 1; None stays None."""
    return None if seconds is None else max(1, math.ceil(seconds))
