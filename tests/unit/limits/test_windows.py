"""Windows of budgets against the calendar."""

import calendar
import time
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.config.limits import Per
from service.limits.windows import DAY_SECONDS, TOTAL, Window, window

RENEWED: list[Per] = ["day", "week", "month"]
MOMENTS = st.floats(
    datetime(1971, 1, 1, tzinfo=UTC).timestamp(), datetime(2999, 1, 1, tzinfo=UTC).timestamp()
)


def unix(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("per", "moment", "start", "end"),
    [
        pytest.param("day", "2026-07-14T13:37:01.5", "2026-07-14", "2026-07-15", id="a-day-is-a-utc-day"),
        pytest.param("day", "2026-07-14", "2026-07-14", "2026-07-15", id="midnight-begins-the-new-day"),
        pytest.param("day", "2026-03-29T02:30", "2026-03-29", "2026-03-30", id="summer-time-is-no-matter"),
        pytest.param("day", "2024-02-29T23:59", "2024-02-29", "2024-03-01", id="leap-day"),
        pytest.param("week", "2026-07-14", "2026-07-13", "2026-07-20", id="a-week-begins-on-monday"),
        pytest.param("week", "2026-07-19T23:59:59", "2026-07-13", "2026-07-20", id="sunday-ends-it"),
        pytest.param("week", "2026-07-20", "2026-07-20", "2026-07-27", id="monday-begins-the-next"),
        pytest.param("week", "2027-01-01", "2026-12-28", "2027-01-04", id="a-week-crosses-the-year"),
        pytest.param("week", "1970-01-01", "1969-12-29", "1970-01-05", id="the-epoch-was-a-thursday"),
        pytest.param("month", "2026-07-14", "2026-07-01", "2026-08-01", id="a-month-is-a-calendar-month"),
        pytest.param("month", "2026-12-31T23:59:59", "2026-12-01", "2027-01-01", id="december-ends-the-year"),
        pytest.param("month", "2024-02-29", "2024-02-01", "2024-03-01", id="february-of-a-leap-year"),
        pytest.param("month", "2100-02-28", "2100-02-01", "2100-03-01", id="february-of-no-leap-year"),
    ],
)
def test_windows(per: Per, moment: str, start: str, end: str) -> None:
    assert window(per, unix(moment)) == Window(int(unix(start)), int(unix(end)))


def test_the_last_moment_of_a_month_is_not_rounded_into_the_next() -> None:
    moment = unix("2026-08-01") - 2e-7
    assert window("month", moment) == window("month", unix("2026-07-01"))


@given(MOMENTS)
def test_total_never_renews(moment: float) -> None:
    assert window("total", moment) == TOTAL == Window(0, None)


@given(st.sampled_from(RENEWED), MOMENTS)
def test_windows_tile_the_calendar(per: Per, moment: float) -> None:
    found = window(per, moment)
    assert found.end is not None
    assert found.start <= moment < found.end
    assert window(per, found.start) == found
    assert window(per, found.end - 1e-3) == found
    assert window(per, found.end).start == found.end
    before = window(per, found.start - 1e-3)
    assert before.end == found.start


@given(MOMENTS)
def test_their_lengths_are_those_of_the_calendar(moment: float) -> None:
    lengths: dict[Per, float] = {}
    for per in RENEWED:
        found = window(per, moment)
        assert found.end is not None
        lengths[per] = (found.end - found.start) / DAY_SECONDS
    day = datetime.fromtimestamp(window("day", moment).start, UTC)
    assert lengths == {"day": 1, "week": 7, "month": calendar.monthrange(day.year, day.month)[1]}
    monday = datetime.fromtimestamp(window("week", moment).start, UTC)
    assert (monday.weekday(), monday.hour, monday.minute) == (0, 0, 0)
    assert day - monday < timedelta(days=7)


def test_the_machines_own_time_zone_is_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = unix("2026-07-31T23:30")
    here = [window(per, moment) for per in get_args(Per)]
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    try:
        assert [window(per, moment) for per in get_args(Per)] == here
    finally:
        monkeypatch.undo()
        time.tzset()
