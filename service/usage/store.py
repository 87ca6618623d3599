"""The ledger in the database: rows go in once each, and come out one by one or summed up."""

from collections.abc import Sequence
from itertools import chain
from operator import attrgetter, itemgetter

from service.database import Database
from service.limits.base import Subject
from service.usage import queries
from service.usage.report import Group, GroupBy, NewCost, Position, Selection, Sums
from service.usage.row import LedgerRow

_ID = itemgetter(0)

AT_ONCE = 64
"""Rows of one statement in SQLite: 1,472 values, of at most 32,766."""


class LedgerStore:
    """The table `ledger`. All methods raise StoreUnavailable while the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = queries.insert_text(database.dialect)
        self._at_once = AT_ONCE if database.dialect == "sqlite" else 0
        self._insert_several = queries.insert_several_text(self._insert, AT_ONCE) if self._at_once else ""

    async def insert(self, rows: Sequence[LedgerRow]) -> None:
        """Add all rows in one transaction; those whose id is there already are left as they are."""
        if not rows:
            return
        # In one order everywhere: two transactions with the same rows wait for each other, but only one way.
        values = sorted((queries.to_values(row) for row in rows), key=_ID)
        several = len(values) // self._at_once * self._at_once if self._at_once else 0
        async with self._database.begin() as connection:
            for start in range(0, several, AT_ONCE):
                together = tuple(chain.from_iterable(values[start : start + AT_ONCE]))
                await connection.exec_driver_sql(self._insert_several, together)
            if rest := values[several:]:
                await connection.exec_driver_sql(self._insert, rest)

    async def spent(
        self, subject: Subject, subject_id: str, *, since: float, until: float | None, finished_before: float
    ) -> tuple[int, int]:
        """(nano-dollars, tokens) of the subject's rows; see `service.limits.base.SpentSoFar`."""
        period = Selection(since=since, until=until)
        statement = queries.spent(subject, subject_id, period, finished_before)
        async with self._database.read() as connection:
            nano_usd, tokens = (await connection.execute(statement)).one()
        return int(nano_usd), int(tokens)

    async def latest_end(self, started_since: float) -> float:
        """The latest `finished_at` of the rows that started since then; 0 where there is none."""
        async with self._database.read() as connection:
            latest = (await connection.execute(queries.latest_end(started_since))).scalar_one()
        return latest or 0.0

    async def summary(
        self, selection: Selection, group_by: GroupBy, *, after: str | None, limit: int
    ) -> tuple[list[Group], Sums]:
        """At most `limit` groups behind the one called `after`, in order; and the sums of all groups."""
        page = queries.groups(selection, group_by, after, limit, self._database.dialect)
        async with self._database.read() as connection:
            lines = (await connection.execute(page)).all()
            total = (await connection.execute(queries.total(selection))).one()
        return [queries.to_group(group_by, line) for line in lines], queries.to_sums(total)

    async def rows(self, selection: Selection, *, after: Position | None, limit: int) -> list[LedgerRow]:
        """At most `limit` rows that are older than `after`, newest first."""
        async with self._database.read() as connection:
            lines = (await connection.execute(queries.rows(selection, after, limit))).all()
        return [queries.to_row(line) for line in lines]

    async def reprice(self, costs: Sequence[NewCost]) -> None:
        """Write other costs into rows, in one transaction."""
        if not costs:
            return
        values = [
            {"row_id": new.id, "new_cost": new.cost_nano_usd, "new_version": new.price_version}
            for new in sorted(costs, key=attrgetter("id"))
        ]
        async with self._database.begin() as connection:
            await connection.execute(queries.SET_COST, values)
