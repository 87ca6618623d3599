"""Budgets and slots as two integers: what is spent, and what is held for requests that still run. Pure.

Amounts are nano-dollars or tokens, never negative. Concurrency is the same with one slot held by each
request and nothing ever spent.
"""

import msgspec


class Count(msgspec.Struct, frozen=True, gc=False):
    """One budget's state in one window."""

    spent: int
    held: int = 0


NOTHING = Count(0)


def take(count: Count, amount: int, capacity: int) -> Count | None:
    """Hold `amount` more; None where it, all that is held and all that is spent exceed the capacity."""
    if count.spent + count.held + amount > capacity:
        return None
    return Count(count.spent, count.held + amount)


def settle(count: Count, held: int, used: int) -> Count:
    """Let go of what a request held and spend what it used, which may be more: what is owed is booked.

    held: 0 where the hold was reclaimed before.
    """
    return Count(count.spent + used, count.held - held)


def remaining(count: Count, capacity: int) -> int:
    """What the next request could hold."""
    return max(0, capacity - count.spent - count.held)


def alarming(spent: int, capacity: int, alert_at: float) -> bool:
    """Whether that share of the capacity is spent."""
    return spent >= alert_at * capacity
