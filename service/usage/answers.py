"""The bodies of usage answers, as Structs: JSON is what they encode to, CSV their flat form. Pure.

Money is exact: nano-dollars as a decimal number with nine places, never a rounded float.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from service.usage.report import Group, GroupBy, Sums
from service.usage.row import LedgerRow, Outcome

JSON = msgspec.json.Encoder(decimal_format="number")
"""Encodes these Structs."""

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins with one of these is a formula to a spreadsheet."""


class UsageTotal(msgspec.Struct, frozen=True, kw_only=True):
    """What requests add up to. input_tokens includes the cached ones. outcomes: how many ended in which way."""

    requests: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    outcomes: dict[Outcome, int]


class UsageLine(UsageTotal, frozen=True, kw_only=True):
    """One day (UTC), model or key, whichever was asked for."""

    day: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    key: str | UnsetType = UNSET


class UsageAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a summary. total: of all groups, not only this page's. next_cursor: the next page's `after`."""

    object: str = "usage"
    data: list[UsageLine]
    total: UsageTotal
    has_more: bool
    next_cursor: str | None


class LedgerLine(msgspec.Struct, frozen=True, kw_only=True):
    """One request. Instants are Unix seconds. cost_usd: null where the price is not known."""

    id: str
    request_id: str
    key_id: str
    tenant: str
    user: str
    route: str
    model: str
    target: str
    attempts: int
    outcome: Outcome
    estimated: bool
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_usd: Decimal | None
    price_version: str
    started_at: float
    finished_at: float
    first_token_ms: float | None
    duration_ms: float


class LedgerAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the ledger, newest first. next_cursor: the next page's `after`."""

    object: str = "list"
    data: list[LedgerLine]
    has_more: bool
    next_cursor: str | None


def usd(nano: int) -> Decimal:
    """Nano-dollars as dollars, exactly."""
    return Decimal(nano).scaleb(-9)


def total(sums: Sums) -> UsageTotal:
    """The sums of all groups."""
    return UsageTotal(**_amounts(sums))


def usage_line(group_by: GroupBy, group: Group) -> UsageLine:
    """One group."""
    fields = _amounts(group.sums)
    fields[group_by.value] = group.name
    return UsageLine(**fields)


def ledger_line(row: LedgerRow) -> LedgerLine:
    """One row. An anonymous caller's address stays inside."""
    fields = msgspec.structs.asdict(row)
    cost = fields.pop("cost_nano_usd")
    del fields["address"]
    return LedgerLine(cost_usd=None if cost is None else usd(cost), **fields)


def usage_csv(group_by: GroupBy, lines: Iterable[UsageLine]) -> bytes:
    """A page as CSV: the group, the amounts, and a column for each outcome."""
    amounts = UsageTotal.__struct_fields__[:-1]
    columns = (group_by.value, *amounts)
    rows = [
        [*(getattr(line, name) for name in columns), *(line.outcomes.get(outcome, 0) for outcome in Outcome)]
        for line in lines
    ]
    return _csv((*columns, *(outcome.value for outcome in Outcome)), rows)


def ledger_csv(lines: Iterable[LedgerLine]) -> bytes:
    """A page as CSV."""
    return _csv(LedgerLine.__struct_fields__, [msgspec.structs.astuple(line) for line in lines])


def _amounts(sums: Sums) -> dict[str, Any]:
    fields = msgspec.structs.asdict(sums)
    fields["cost_usd"] = usd(fields.pop("cost_nano_usd"))
    return fields


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """RFC 4180, UTF-8, with a head."""
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return written.getvalue().encode()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, str):
        text = str(value)
        return f"'{text}" if text.startswith(FORMULA_SIGNS) else text
    return str(value)
