"""The ledger's statements, and its rows between SQL and Python. Pure."""

import re
from collections.abc import Sequence
from datetime import date
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Select,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite

from service.limits.base import Subject
from service.limits.policy import split_user_subject
from service.tables import LEDGER, LEFT_OUT
from service.usage.report import Group, GroupBy, Position, Selection, Sums
from service.usage.row import LedgerRow, Outcome

DAY_SECONDS = 86_400
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()

MAX_INTEGER = 2**63 - 1
"""The largest that a column holds; $9 billion for one request."""

_ROW = LEDGER.c
_OUTCOMES = tuple(Outcome)

SET_COST = (
    update(LEDGER)
    .where(_ROW.id == bindparam("row_id"))
    .values(cost_nano_usd=bindparam("new_cost"), price_version=bindparam("new_version"))
)


def insert_text(dialect: str) -> str:
    """The driver's own text: SQLAlchemy's work for each row would cost more than the database's."""
    if dialect == "postgresql":
        statement = postgresql_insert(LEDGER).on_conflict_do_nothing(index_elements=["id"])
        return str(statement.compile(dialect=PGDialect_asyncpg()))  # type: ignore[no-untyped-call]  # SQLAlchemy's gap
    return str(sqlite_insert(LEDGER).on_conflict_do_nothing().compile(dialect=SQLiteDialect_aiosqlite()))


def insert_several_text(text: str, count: int) -> str:
    """One statement for `count` rows of what `insert_text` makes for one, for SQLite.

    Its driver lets go of Python's lock for each statement, and whoever serves requests then has it: a
    row by row insert waits for it as often as it has rows.
    """
    before, values, after = re.split(r"(\([?, ]+\))", text, maxsplit=1)
    return before + ", ".join([values] * count) + after


def to_values(row: LedgerRow) -> tuple[object, ...]:
    """A row's fields as drivers take them; their order is the columns'."""
    return (
        row.id,
        _text(row.request_id),
        _text(row.key_id),
        _text(row.tenant),
        _text(row.user),
        _text(row.address),
        _text(row.route),
        _text(row.model),
        _text(row.target),
        row.attempts,
        row.outcome.value,
        row.estimated,
        min(row.input_tokens, MAX_INTEGER),
        min(row.cached_input_tokens, MAX_INTEGER),
        min(row.cache_write_tokens, MAX_INTEGER),
        min(row.output_tokens, MAX_INTEGER),
        min(row.reasoning_tokens, MAX_INTEGER),
        None if row.cost_nano_usd is None else min(row.cost_nano_usd, MAX_INTEGER),
        _text(row.price_version),
        row.started_at,
        row.finished_at,
        row.first_token_ms,
        row.duration_ms,
    )


def _text(text: str) -> str:
    """What every database can hold, since one row must not hold up all others: no NUL, no half character."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def to_row(line: Sequence[object]) -> LedgerRow:
    """A line of the table."""
    return msgspec.convert(tuple(line), LedgerRow)


def spent(subject: Subject, subject_id: str, period: Selection, finished_before: float) -> Select[int, int]:
    """Nano-dollars and tokens of a subject."""
    return select(
        func.coalesce(func.sum(_ROW.cost_nano_usd), 0),
        func.coalesce(func.sum(_ROW.input_tokens + _ROW.output_tokens), 0),
    ).where(*_of(subject, subject_id), *_fitting(period), _ROW.finished_at < finished_before)


def latest_end(started_since: float) -> Select[float]:
    """None where no row started since then."""
    return select(func.max(_ROW.finished_at)).where(_ROW.started_at >= started_since)


def rows(selection: Selection, after: Position | None, limit: int) -> Select[*tuple[object, ...]]:
    """Whole rows, newest first."""
    newest_first = (_ROW.started_at.desc(), _ROW.id.desc())
    statement = select(LEDGER).where(*_fitting(selection)).order_by(*newest_first).limit(limit)
    if after is None:
        return statement
    return statement.where(tuple_(after.started_at, after.id) > tuple_(_ROW.started_at, _ROW.id))


def total(selection: Selection) -> Select[*tuple[object, ...]]:
    """One line, as `to_sums` reads it."""
    return select(*_sums()).where(*_fitting(selection))


def groups(
    selection: Selection, group_by: GroupBy, after: str | None, limit: int, dialect: str
) -> Select[*tuple[object, ...]]:
    """A line for each group, as `to_group` reads it, in order."""
    group = _group(group_by, dialect, bounded=selection.since is not None)
    statement = (
        select(group, *_sums()).where(*_fitting(selection)).group_by(group).order_by(group).limit(limit)
    )
    return statement if after is None else statement.where(_behind(group_by, after))


def to_group(group_by: GroupBy, line: Sequence[object]) -> Group:
    """A line of `groups`."""
    name = str(line[0])
    if group_by is GroupBy.DAY:
        name = date.fromordinal(EPOCH_ORDINAL + int(name)).isoformat()
    return Group(name=name, sums=to_sums(line[1:]))


def to_sums(line: Sequence[Any]) -> Sums:
    """A line of `total`. PostgreSQL's sums are decimals; those of no rows are None."""
    numbers = [int(number or 0) for number in line]
    requests, input_tokens, cached, output_tokens, cost, *counts = numbers
    return Sums(
        requests=requests,
        input_tokens=input_tokens,
        cached_input_tokens=cached,
        output_tokens=output_tokens,
        cost_nano_usd=cost,
        outcomes={outcome: count for outcome, count in zip(_OUTCOMES, counts, strict=True) if count},
    )


def _sums() -> tuple[ColumnElement[object], ...]:
    return (
        func.count(),
        func.sum(_ROW.input_tokens),
        func.sum(_ROW.cached_input_tokens),
        func.sum(_ROW.output_tokens),
        func.sum(_ROW.cost_nano_usd),
        *(func.sum(case((_ROW.outcome == outcome.value, 1), else_=0)) for outcome in _OUTCOMES),
    )


def _group(group_by: GroupBy, dialect: str, *, bounded: bool) -> ColumnElement[str] | ColumnElement[int]:
    if group_by is not GroupBy.DAY:
        column = _column(group_by)
        # SQLite would walk all rows in the groups' order rather than look up the few of the time.
        return column.concat(literal_column("''")) if bounded and dialect == "sqlite" else column
    days = _ROW.started_at / literal_column(str(DAY_SECONDS))
    # PostgreSQL rounds where SQLite cuts off, and not every SQLite has floor().
    return cast(func.floor(days) if dialect == "postgresql" else days, BigInteger)


def _behind(group_by: GroupBy, name: str) -> ColumnElement[bool]:
    if group_by is GroupBy.DAY:
        day = date.fromisoformat(name).toordinal() - EPOCH_ORDINAL
        return _ROW.started_at >= float((day + 1) * DAY_SECONDS)
    return _column(group_by) > name


def _column(group_by: GroupBy) -> Column[str]:
    return _ROW.model if group_by is GroupBy.MODEL else _ROW.key_id


def _fitting(selection: Selection) -> list[ColumnElement[bool]]:
    wanted = (
        (_ROW.key_id, selection.key_id),
        (_ROW.tenant, selection.tenant),
        (_ROW.user_name, selection.user),
        (_ROW.model, selection.model),
        (_ROW.request_id, selection.request_id),
        (_ROW.outcome, None if selection.outcome is None else selection.outcome.value),
    )
    conditions = [part for column, value in wanted if value is not None for part in _equal(column, value)]
    if selection.since is not None:
        conditions.append(_ROW.started_at >= selection.since)
    if selection.until is not None:
        conditions.append(_ROW.started_at < selection.until)
    return conditions


def _of(subject: Subject, subject_id: str) -> list[ColumnElement[bool]]:
    if subject is Subject.USER:
        tenant, user = split_user_subject(subject_id)
        return [*_equal(_ROW.user_name, user), _ROW.tenant == tenant]
    # The others' columns are called as they are; only a key's is not.
    return _equal(_ROW["key_id" if subject is Subject.KEY else subject.value], subject_id)


def _equal(column: Column[str], value: str) -> list[ColumnElement[bool]]:
    """Where an index leaves one value out, the databases use it only if they are told that it isn't asked for."""
    left_out = LEFT_OUT.get(column.name)
    if left_out is None or value == left_out:
        return [column == value]
    return [column == value, column != literal_column(f"'{left_out}'")]
