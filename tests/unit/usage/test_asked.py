"""From a query string's texts to what is meant, or to what is wrong with them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidRequest
from service.usage.asked import group_cursor, row_cursor, rows_asked, selection, usage_asked
from service.usage.report import GroupBy, Position, Selection
from service.usage.row import Outcome

JAN_2 = datetime(2026, 1, 2, tzinfo=UTC).timestamp()
DAY = 86_400.0


@pytest.mark.parametrize(
    ("text", "as_from", "as_to"),
    [
        pytest.param("2026-01-02", JAN_2, JAN_2 + DAY, id="a-date-is-a-whole-day-of-utc"),
        pytest.param("2026-01-02T00:00:00Z", JAN_2, JAN_2, id="an-instant"),
        pytest.param("2026-01-02T00:00:00", JAN_2, JAN_2, id="without-a-zone-it-is-utc"),
        pytest.param("2026-01-02T02:00:00+02:00", JAN_2, JAN_2, id="another-zone"),
        pytest.param("2026-01-02T02:00:00 02:00", JAN_2, JAN_2, id="a-plus-that-nobody-escaped"),
        pytest.param("2026-01-02T00:00:00.25Z", JAN_2 + 0.25, JAN_2 + 0.25, id="parts-of-a-second"),
        pytest.param("1767312000", JAN_2, JAN_2, id="unix-seconds"),
        pytest.param("1767312000.5", JAN_2 + 0.5, JAN_2 + 0.5, id="and-parts-of-them"),
        pytest.param("0", 0.0, 0.0, id="the-epoch"),
    ],
)
def test_a_time_is_read_as_people_write_it(text: str, as_from: float, as_to: float) -> None:
    assert selection({"from": text}) == Selection(since=as_from)
    assert selection({"to": text}) == Selection(until=as_to)


@pytest.mark.parametrize("name", ["from", "to"])
@pytest.mark.parametrize(
    "text",
    [
        *("", "today", "-1", "1e9", "nan", "inf", "2026-13-01", "2026-02-30", "0001-01-01", "10000-01-01"),
        *("2026-01-02T25:00:00", "9" * 400, "١٢٣", "2026-01-02 ", "253402300801"),
    ],
)
def test_what_is_no_time_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(InvalidRequest, match=f"'{name}' must be a date") as caught:
        selection({name: text})
    assert caught.value.param == name


def test_a_time_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        selection({"from": "2026-01-03", "to": "2026-01-01"})
    assert caught.value.param == "from"


def test_one_day_is_from_and_to_the_same_date() -> None:
    assert selection({"from": "2026-01-02", "to": "2026-01-02"}) == Selection(since=JAN_2, until=JAN_2 + DAY)


def test_the_rest_of_a_selection_is_taken_as_it_is() -> None:
    texts = {"key": "k", "tenant": "t", "user": "", "model": "a/b", "request_id": "r", "outcome": "timeout"}
    assert selection(texts) == Selection(
        key_id="k", tenant="t", user="", model="a/b", request_id="r", outcome=Outcome.TIMEOUT
    )


@pytest.mark.parametrize(
    ("texts", "limit"),
    [
        pytest.param({}, 100, id="not-written"),
        pytest.param({"limit": "1"}, 1, id="the-least"),
        pytest.param({"limit": "1000"}, 1000, id="the-most"),
        pytest.param({"limit": "1001"}, 1000, id="more-is-the-most"),
        pytest.param({"limit": "9" * 18}, 1000, id="far-more-too"),
    ],
)
def test_a_limit_is_kept_within_its_bounds(texts: dict[str, str], limit: int) -> None:
    assert rows_asked(texts).limit == limit


def test_a_summary_is_by_day_and_long_unless_it_says_otherwise() -> None:
    asked = usage_asked({})
    assert (asked.group_by, asked.limit) == (GroupBy.DAY, 1000)
    assert usage_asked({"group_by": "key"}).group_by is GroupBy.KEY


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("limit", text) for text in ("0", "-1", "ten", "", "1.5", "9" * 400)),
        *(("group_by", text) for text in ("", "hour", "DAY")),
        *(("outcome", text) for text in ("", "ok")),
        *((name, "a\0b") for name in ("key", "tenant", "user", "model", "request_id")),
        ("key", "\ud800"),
        *(("after", text) for text in ("", "!", "AAAA", "bnVsbA", "é", "W10", "WyJkYXkiLCJuby1kYXkiXQ")),
    ],
)
def test_what_is_wrong_is_named(name: str, text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        usage_asked({name: text})
    assert caught.value.param == name


@given(
    st.floats(min_value=0, max_value=1e11),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
)
def test_a_position_survives_its_cursor(started_at: float, id: str) -> None:
    place = Position(started_at, id)
    assert rows_asked({"after": row_cursor(place)}).after == place


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_a_groups_name_survives_its_cursor(name: str) -> None:
    assert usage_asked({"group_by": "model", "after": group_cursor(GroupBy.MODEL, name)}).after == name


@pytest.mark.parametrize(
    "cursor",
    [
        pytest.param(group_cursor(GroupBy.KEY, "k"), id="of-other-groups"),
        pytest.param(row_cursor(Position(1.0, "id")), id="of-rows"),
        pytest.param(group_cursor(GroupBy.MODEL, "a\0"), id="with-what-no-name-has"),
    ],
)
def test_a_cursor_of_something_else_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        usage_asked({"group_by": "model", "after": cursor})
    assert caught.value.param == "after"


def test_a_rows_cursor_with_what_no_id_has_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        rows_asked({"after": row_cursor(Position(1.0, "\0"))})
