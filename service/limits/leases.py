"""How much of a meter a worker holds in advance. Pure.

A lease is a reservation without a request: what is leased is held in Redis, so that the sum of all
leases and all that is used never exceeds a limit. It only pays where many requests use the same
meter; where few do, each asks for itself.
"""

import msgspec

TICKS_AHEAD = 4
"""A lease lasts about 200 ms at the present pace: less, and a burst runs out of it between two ticks;
more, and others wait for what lies idle here."""

PIECES_WORTH_IT = 2
"""Requests a tick below which asking each time is cheaper than keeping a lease."""


class Plan(msgspec.Struct, frozen=True, gc=False):
    """keep: of what is idle, the rest is given back. want: more. piece: less than that is of no use.

    pace: what a tick uses on average, for the next plan.
    """

    keep: int
    want: int
    piece: int
    pace: int


NOTHING = Plan(0, 0, 0, 0)


def plan(
    *, idle: int, taken: int, pieces: int, pace: int, recalled: bool, ticks_ahead: int = TICKS_AHEAD
) -> Plan:
    """What to do at a tick.

    taken: units that the last tick's requests took, pieces: how many requests those were. recalled:
    somebody was refused while leases lay idle, so all give theirs back.
    """
    average = (pace + taken + 1) // 2 if pieces >= PIECES_WORTH_IT else pace // 4
    if recalled or not average or not ticks_ahead:
        return Plan(0, 0, 0, average)
    target = average * ticks_ahead
    piece = -(-taken // pieces) if pieces else 0
    if pieces < PIECES_WORTH_IT:
        return Plan(min(max(idle, 0), target), 0, 0, average)
    return Plan(min(max(idle, 0), target), max(0, target - max(idle, 0)), piece, average)
