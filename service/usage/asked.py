"""What a caller asks of the ledger, from the texts of a query string to values. Pure.

All functions raise InvalidRequest, which names the parameter.
"""

import base64
import binascii
import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import TypeVar

import msgspec

from service.errors import InvalidRequest
from service.usage.report import GroupBy, Position, Selection
from service.usage.row import Outcome

DEFAULT_GROUPS = 1000
DEFAULT_ROWS = 100
MAX_LIMIT = 1000

LAST_SECOND = 253_402_300_800
"""The end of the year 9999, where calendars of most languages end."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_PLUS_LOST = re.compile(r"(T.*) (\d\d:\d\d)$")
_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)
_TEXTS = ("key", "tenant", "user", "model", "request_id")

Texts = Mapping[str, str]
Choice = TypeVar("Choice", bound=StrEnum)


class UsageAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A summary. after: the name of the group that the last page ended with."""

    selection: Selection
    group_by: GroupBy
    limit: int
    after: str | None = None


class RowsAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Rows. after: where the last page ended."""

    selection: Selection
    limit: int
    after: Position | None = None


def usage_asked(texts: Texts) -> UsageAsked:
    """A question for a summary. texts: the parameters that were given, by name."""
    group_by = _choice(texts, "group_by", GroupBy) or GroupBy.DAY
    return UsageAsked(
        selection=selection(texts),
        group_by=group_by,
        limit=_limit(texts, DEFAULT_GROUPS),
        after=_group_cursor(texts, group_by),
    )


def rows_asked(texts: Texts) -> RowsAsked:
    """A question for rows. texts: the parameters that were given, by name."""
    after = None if "after" not in texts else _cursor(texts["after"], Position)
    return RowsAsked(selection=selection(texts), limit=_limit(texts, DEFAULT_ROWS), after=after)


def selection(texts: Texts) -> Selection:
    """Which rows are meant."""
    since, until = (_instant(texts, name) for name in ("from", "to"))
    if since is not None and until is not None and since > until:
        raise InvalidRequest("'from' must not be later than 'to'.", param="from")
    key_id, tenant, user, model, request_id = (_text(texts, name) for name in _TEXTS)
    return Selection(
        since=since,
        until=until,
        key_id=key_id,
        tenant=tenant,
        user=user,
        model=model,
        request_id=request_id,
        outcome=_choice(texts, "outcome", Outcome),
    )


def group_cursor(group_by: GroupBy, name: str) -> str:
    """Where the next page of groups begins."""
    return _encode((group_by, name))


def row_cursor(position: Position) -> str:
    """Where the next page of rows begins."""
    return _encode(position)


def _instant(texts: Texts, name: str) -> float | None:
    """Unix seconds of a date (midnight UTC; as `to` the end of that day), an ISO instant or a number."""
    text = texts.get(name)
    if text is None:
        return None
    try:
        seconds = _seconds(text, days=1 if name == "to" else 0)
    except (ValueError, OverflowError):
        seconds = math.inf
    if not 0 <= seconds <= LAST_SECOND:
        raise InvalidRequest(
            f"{name!r} must be a date (2026-01-31), an instant (2026-01-31T12:00:00Z) or Unix seconds.",
            param=name,
        )
    return seconds


def _seconds(text: str, days: int) -> float:
    if _NUMBER.fullmatch(text):
        return float(text)
    if _DATE.fullmatch(text):
        day = date.fromisoformat(text)
        return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() + days * 86_400
    # An unescaped plus in a query string is a blank.
    found = datetime.fromisoformat(_PLUS_LOST.sub(r"\1+\2", text))
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return (found - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)


def _text(texts: Texts, name: str) -> str | None:
    text = texts.get(name)
    if text is not None and not text.isprintable():
        raise InvalidRequest(f"{name!r} must be printable text.", param=name)
    return text


def _limit(texts: Texts, default: int) -> int:
    text = texts.get("limit")
    if text is None:
        return default
    if not re.fullmatch(r"0*[1-9][0-9]{0,17}", text):
        raise InvalidRequest(f"'limit' must be a number from 1 to {MAX_LIMIT}.", param="limit")
    return min(int(text), MAX_LIMIT)


def _choice(texts: Texts, name: str, choices: type[Choice]) -> Choice | None:
    text = texts.get(name)
    if text is None:
        return None
    try:
        return choices(text)
    except ValueError:
        names = ", ".join(choice.value for choice in choices)
        raise InvalidRequest(f"{name!r} must be one of: {names}.", param=name) from None


def _group_cursor(texts: Texts, group_by: GroupBy) -> str | None:
    if "after" not in texts:
        return None
    made_for, name = _cursor(texts["after"], tuple[GroupBy, str])
    try:
        if group_by is GroupBy.DAY:
            date.fromisoformat(name)
    except ValueError:
        raise _bad_cursor() from None
    if made_for is not group_by or "\0" in name:
        raise _bad_cursor()
    return name


Cursor = TypeVar("Cursor")


def _cursor(text: str, holds: type[Cursor]) -> Cursor:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        found = msgspec.json.decode(raw, type=holds)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise _bad_cursor() from None
    if b"\\u0000" in raw:
        raise _bad_cursor()
    return found


def _encode(place: object) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).rstrip(b"=").decode()


def _bad_cursor() -> InvalidRequest:
    return InvalidRequest("'after' must be the next_cursor of the page before.", param="after")
