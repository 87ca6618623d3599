"""Which window of a budget an instant falls into: UTC calendar days, weeks from Monday, months. Pure."""

import math
from datetime import UTC, datetime
from typing import assert_never

import msgspec

from service.config.limits import Per

DAY_SECONDS = 86_400
_WEEK_SECONDS = 7 * DAY_SECONDS
_FIRST_MONDAY = -3 * DAY_SECONDS
"""The Unix epoch was a Thursday."""


class Window(msgspec.Struct, frozen=True, gc=False):
    """From `start` up to, but without, `end`, in Unix seconds. end: None for one that never ends."""

    start: int
    end: int | None


TOTAL = Window(0, None)


def window(per: Per, unix_seconds: float) -> Window:
    """The window of that instant; its neighbours begin and end where it does."""
    match per:
        case "day":
            return _regular(0, DAY_SECONDS, unix_seconds)
        case "week":
            return _regular(_FIRST_MONDAY, _WEEK_SECONDS, unix_seconds)
        case "month":
            return _month(unix_seconds)
        case "total":
            return TOTAL
        case _:
            assert_never(per)


def _regular(origin: int, length: int, unix_seconds: float) -> Window:
    start = origin + math.floor((unix_seconds - origin) / length) * length
    return Window(start, start + length)


def _month(unix_seconds: float) -> Window:
    # Whole seconds first: fromtimestamp rounds, and would move a month's last moment into the next.
    moment = datetime.fromtimestamp(math.floor(unix_seconds), UTC)
    start = datetime(moment.year, moment.month, 1, tzinfo=UTC)
    end = datetime(moment.year + moment.month // 12, moment.month % 12 + 1, 1, tzinfo=UTC)
    return Window(int(start.timestamp()), int(end.timestamp()))
