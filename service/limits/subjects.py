"""Limits of tenants and users in the database. Times that processes compare are the database's own.

What was deleted stays a day as a row without limits, so that every process hears of it.
"""

from collections.abc import Callable
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, RowMapping, Table, case, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from service.config.limits import Limits
from service.database import CLOCK_STEP_SECONDS, Database
from service.limits.base import Subject
from service.limits.overrides import Changes, SubjectLimits
from service.tables import SUBJECT_LIMITS

MAX_SUBJECTS: Final = 100_000
"""Of each kind with limits of their own. Every worker holds all of them, at some 500 bytes each."""

KEPT_SECONDS: Final = 86_400.0
"""How long what was deleted stays known."""

_INSERT: Final[dict[str, Callable[[Table], sqlite.Insert | postgresql.Insert]]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}

_GONE: Final = "null"
_LIMITS = msgspec.json.Decoder(Limits | None)
_C = SUBJECT_LIMITS.c
_LIVE = _C.limits != _GONE


class SubjectLimitStore:
    """The `SubjectStore` of `service.limits.admin` and the `SubjectSource` of `service.limits.overrides`.

    Give it a Database that reports don't use: they may keep its readers busy for long. Every method
    raises StoreUnavailable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = _INSERT[database.dialect]
        # By code points everywhere: PostgreSQL's own order is the operator's choice, and may change.
        self._order = _C.subject_id.collate("C") if database.dialect == "postgresql" else _C.subject_id

    async def put(self, subject: Subject, subject_id: str, limits: Limits) -> SubjectLimits | None:
        """Set in place of what was there; None, and nothing is set, where MAX_SUBJECTS others are there."""
        async with self._database.begin() as connection:
            if await self._is_full(connection, subject, subject_id):
                return None
            row = self._insert(SUBJECT_LIMITS).values(
                subject=subject.value,
                subject_id=subject_id,
                limits=msgspec.json.encode(limits).decode(),
                changed_at=self._database.clock,
            )
            new = row.excluded
            replacing = row.on_conflict_do_update(
                index_elements=[_C.subject, _C.subject_id],
                set_={"limits": new.limits, "changed_at": _later(new.changed_at)},
            ).returning(_C.changed_at)
            changed_at = (await connection.execute(replacing)).scalar_one()
        return SubjectLimits(subject, subject_id, limits, changed_at)

    async def find(self, subject: Subject, subject_id: str) -> SubjectLimits | None:
        """What is set; None where nothing is."""
        wanted = select(SUBJECT_LIMITS).where(*_mine(subject, subject_id), _LIVE)
        async with self._database.read_soon() as connection:
            row = (await connection.execute(wanted)).mappings().one_or_none()
        return None if row is None else _row(row)

    async def page(self, subject: Subject, *, after: str | None, limit: int) -> list[SubjectLimits]:
        """Those that have limits, ordered by id, at most `limit`; those behind `after`, if it is given."""
        wanted = select(SUBJECT_LIMITS).where(_C.subject == subject.value, _LIVE)
        if after is not None:
            wanted = wanted.where(self._order > after)
        async with self._database.read_soon() as connection:
            rows = await connection.execute(wanted.order_by(self._order).limit(limit))
            return [_row(row) for row in rows.mappings()]

    async def delete(self, subject: Subject, subject_id: str) -> SubjectLimits | None:
        """Take away what is set, and tell of it; None where nothing is."""
        ending = (
            update(SUBJECT_LIMITS)
            .where(*_mine(subject, subject_id), _LIVE)
            .values(limits=_GONE, changed_at=_later(self._database.clock))
            .returning(_C.changed_at)
        )
        long_gone = delete(SUBJECT_LIMITS).where(~_LIVE, _C.changed_at < self._database.clock - KEPT_SECONDS)
        async with self._database.begin() as connection:
            changed_at = (await connection.execute(ending)).scalar_one_or_none()
            await connection.execute(long_gone)
        return None if changed_at is None else SubjectLimits(subject, subject_id, None, changed_at)

    async def changed_since(self, since: float | None) -> Changes:
        """What was set or deleted at `since` or later, by the database's clock; None: only its time."""
        async with self._database.read_soon() as connection:
            # Before the rows: what commits meanwhile is then in the next answer.
            now = await self._database.time(connection)
            if since is None:
                return Changes(now, ())
            wanted = select(SUBJECT_LIMITS).where(_C.changed_at >= since)
            return Changes(now, tuple(_row(row) for row in (await connection.execute(wanted)).mappings()))

    async def _is_full(self, connection: AsyncConnection, subject: Subject, subject_id: str) -> bool:
        others = select(func.count()).where(_C.subject == subject.value, _C.subject_id != subject_id, _LIVE)
        return int((await connection.execute(others)).scalar_one()) >= MAX_SUBJECTS


def _mine(subject: Subject, subject_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return _C.subject == subject.value, _C.subject_id == subject_id


def _later(now: ColumnElement[float]) -> ColumnElement[float]:
    """`now`, or a step after the row's own time where that is later: of two versions the last one is known."""
    least = _C.changed_at + CLOCK_STEP_SECONDS
    return case((now > least, now), else_=least)


def _row(row: RowMapping) -> SubjectLimits:
    return SubjectLimits(
        Subject(row["subject"]), row["subject_id"], _LIMITS.decode(row["limits"]), row["changed_at"]
    )
