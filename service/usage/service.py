"""What the ledger tells its readers: summaries and rows, page by page."""

from typing import Protocol

from service.usage import answers
from service.usage.answers import LedgerAnswer, UsageAnswer
from service.usage.asked import RowsAsked, UsageAsked, group_cursor, row_cursor
from service.usage.report import Group, GroupBy, Position, Selection, Sums
from service.usage.row import LedgerRow


class LedgerReader(Protocol):
    """The ledger, to be read. All methods raise StoreUnavailable."""

    async def summary(
        self, selection: Selection, group_by: GroupBy, *, after: str | None, limit: int
    ) -> tuple[list[Group], Sums]:
        """At most `limit` groups behind the one called `after`, in order; and the sums of all groups."""

    async def rows(self, selection: Selection, *, after: Position | None, limit: int) -> list[LedgerRow]:
        """At most `limit` rows that are older than `after`, newest first."""


class UsageService:
    """Answers questions about what was used. Raises StoreUnavailable while the ledger can't be read."""

    def __init__(self, ledger: LedgerReader) -> None:
        self._ledger = ledger

    async def usage(self, asked: UsageAsked) -> UsageAnswer:
        """A page of a summary, and the sums of all its groups."""
        # One more than is shown tells whether there are more.
        groups, sums = await self._ledger.summary(
            asked.selection, asked.group_by, after=asked.after, limit=asked.limit + 1
        )
        shown = groups[: asked.limit]
        has_more = len(groups) > len(shown)
        return UsageAnswer(
            data=[answers.usage_line(asked.group_by, group) for group in shown],
            total=answers.total(sums),
            has_more=has_more,
            next_cursor=group_cursor(asked.group_by, shown[-1].name) if has_more else None,
        )

    async def ledger(self, asked: RowsAsked) -> LedgerAnswer:
        """A page of rows, newest first."""
        rows = await self._ledger.rows(asked.selection, after=asked.after, limit=asked.limit + 1)
        shown = rows[: asked.limit]
        has_more = len(rows) > len(shown)
        return LedgerAnswer(
            data=[answers.ledger_line(row) for row in shown],
            has_more=has_more,
            next_cursor=row_cursor(Position.of(shown[-1])) if has_more else None,
        )
