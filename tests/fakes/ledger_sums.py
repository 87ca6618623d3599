"""The ledger's sums in memory, for the homes of limits."""

import asyncio

import msgspec

from service.errors import StoreUnavailable
from service.limits.base import Subject


class SummedRow(msgspec.Struct, frozen=True, kw_only=True):
    """As much of a row as sums need; instants are Unix seconds."""

    subject: Subject
    subject_id: str
    started_at: float
    finished_at: float
    nano_usd: int = 0
    tokens: int = 0


class LedgerSums:
    """A `service.limits.base.SpentSoFar`.

    away: nobody gets an answer but StoreUnavailable. answers: cleared, and they wait for it. asked: how
    often somebody began to ask.
    """

    def __init__(self) -> None:
        self.rows: list[SummedRow] = []
        self.away = False
        self.asked = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def spent(
        self, subject: Subject, subject_id: str, *, since: float, until: float | None, finished_before: float
    ) -> tuple[int, int]:
        """(nano-dollars, tokens) of the rows that fit; see the port."""
        self.asked += 1
        # A database always lets others have a turn.
        await asyncio.sleep(0)
        await self.answers.wait()
        if self.away:
            raise StoreUnavailable("The database is away.")
        rows = [
            row
            for row in self.rows
            if (row.subject, row.subject_id) == (subject, subject_id)
            and since <= row.started_at
            and (until is None or row.started_at < until)
            and row.finished_at < finished_before
        ]
        return sum(row.nano_usd for row in rows), sum(row.tokens for row in rows)
