"""From where a caller wants a stream, and whether it can have it from there."""

import pytest

from service.errors import InvalidRequest, StreamExpired
from service.streams.position import check_position, wanted_position

ID = "abc-def_ghi-0123456789-x"


@pytest.mark.parametrize(
    ("last_event_id", "after", "position"),
    [
        pytest.param(None, None, 0, id="nothing-is-said"),
        pytest.param("", None, 0, id="an-empty-header-as-of-a-browser-that-saw-no-id"),
        pytest.param(None, "0", 1, id="after-the-first"),
        pytest.param(None, "41", 42, id="after-some"),
        pytest.param(None, "007", 8, id="leading-zeros"),
        pytest.param(f"{ID}-0", None, 1, id="the-header"),
        pytest.param(f"{ID}-41", None, 42, id="the-header-of-an-id-with-dashes"),
        pytest.param(f"{ID}-41", "3", 42, id="the-header-counts-more-than-the-address"),
        pytest.param("", "3", 4, id="an-empty-header-counts-nothing"),
        pytest.param(f"{ID}-41", "nonsense", 42, id="an-address-that-is-not-looked-at"),
        pytest.param(None, "9" * 15, 10**15, id="the-largest"),
    ],
)
def test_the_position_that_is_wanted(last_event_id: str | None, after: str | None, position: int) -> None:
    assert wanted_position(ID, last_event_id, after) == position


@pytest.mark.parametrize(
    ("last_event_id", "after", "param"),
    [
        pytest.param("nonsense", None, "Last-Event-ID", id="no-number"),
        pytest.param(ID, None, "Last-Event-ID", id="the-streams-id-alone"),
        pytest.param(f"{ID}-", None, "Last-Event-ID", id="an-empty-number"),
        pytest.param(f"{ID}--1", None, "Last-Event-ID", id="a-negative-number"),
        pytest.param(f"{ID}-1.0", None, "Last-Event-ID", id="a-fraction"),
        pytest.param(f"{ID}-\u0661", None, "Last-Event-ID", id="a-digit-of-another-script"),
        pytest.param(f"{ID}-\u00b2", None, "Last-Event-ID", id="a-superscript"),
        pytest.param(f"{ID}-" + "1" * 16, None, "Last-Event-ID", id="more-digits-than-there-are-events"),
        pytest.param(f"{ID}-1 ", None, "Last-Event-ID", id="a-space"),
        pytest.param(f"{ID[:-1]}y-1", None, "Last-Event-ID", id="another-streams"),
        pytest.param("5", None, "Last-Event-ID", id="a-number-alone"),
        pytest.param(None, "", "after", id="after-nothing"),
        pytest.param(None, "-1", "after", id="after-minus-one"),
        pytest.param(None, "1e3", "after", id="after-a-power"),
        pytest.param(None, f"{ID}-1", "after", id="after-a-whole-id"),
        pytest.param(None, "1" * 5_000, "after", id="after-too-many-digits"),
    ],
)
def test_what_is_no_position_is_refused_by_name(
    last_event_id: str | None, after: str | None, param: str
) -> None:
    with pytest.raises(InvalidRequest) as raised:
        wanted_position(ID, last_event_id, after)
    assert raised.value.param == param


@pytest.mark.parametrize(
    ("position", "first", "next_number"),
    [
        pytest.param(0, 0, 0, id="from-the-start-of-what-has-none"),
        pytest.param(0, 0, 5, id="from-the-start"),
        pytest.param(5, 0, 5, id="from-the-next-that-will-come"),
        pytest.param(3, 3, 5, id="from-the-oldest-that-is-kept"),
    ],
)
def test_where_a_stream_can_be_read_from(position: int, first: int, next_number: int) -> None:
    check_position(position, first, next_number)


@pytest.mark.parametrize(
    ("position", "first", "next_number", "error", "says"),
    [
        pytest.param(6, 0, 5, InvalidRequest, "event 5 was not sent yet; the last one is 4", id="too-early"),
        pytest.param(
            1, 0, 0, InvalidRequest, "event 0 was not sent yet; there is none yet", id="there-is-none"
        ),
        pytest.param(2, 3, 5, StreamExpired, "before 3 were dropped", id="too-late"),
        pytest.param(0, 3, 5, StreamExpired, "after=2", id="from-a-start-that-is-gone"),
    ],
)
def test_where_it_cannot(
    position: int, first: int, next_number: int, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        check_position(position, first, next_number)
