"""What a budget's count begins with: the ledger's sums, with all rows that are on their way or from a wrong clock."""

import asyncio
from collections.abc import Callable
from math import inf, nextafter
from typing import Protocol

from service.errors import StoreUnavailable
from service.limits.base import Subject

CATCH_UP_SECONDS = 2.0
"""A budget's count begins with the ledger's sum, for which rows that are on their way are waited for so long."""


class Rows(Protocol):
    """The ledger in the database (`service.usage.store`). All raise StoreUnavailable."""

    async def spent(
        self, subject: Subject, subject_id: str, *, since: float, until: float | None, finished_before: float
    ) -> tuple[int, int]:
        """(nano-dollars, tokens) of the subject's rows."""

    async def latest_end(self, started_since: float) -> float:
        """The latest `finished_at` of the rows that started since then; 0 where there is none."""


class Writer(Protocol):
    """The ledger as this worker writes it (`service.usage.ledger`)."""

    @property
    def replayed(self) -> bool:
        """Whether all that dead workers had left is in the database."""

    async def flush_now(self) -> None:
        """Return when all that has ended by now is in the database."""


class CaughtUp:
    """A `service.limits.base.SpentSoFar`. writer: this worker's, once there is one."""

    def __init__(self, rows: Rows, now: Callable[[], float], *, lag_seconds: float = 0.0) -> None:
        """now: Unix seconds. lag_seconds: how far the clocks of others who write rows may be ahead."""
        self._rows = rows
        self._now = now
        self._lag_seconds = lag_seconds
        self._latest_end: float | None = None
        self.writer: Writer | None = None

    async def spent(
        self, subject: Subject, subject_id: str, *, since: float, until: float | None, finished_before: float
    ) -> tuple[int, int]:
        """See the port. Rows that were there before the wall clock was set back have ended, whatever they say."""
        if self.writer is not None:
            await self._catch_up(self.writer)
        if self._latest_end is None:
            self._latest_end = await self._rows.latest_end(self._now() + self._lag_seconds)
        if self._latest_end >= finished_before:
            finished_before = nextafter(self._latest_end, inf)
        return await self._rows.spent(
            subject, subject_id, since=since, until=until, finished_before=finished_before
        )

    async def _catch_up(self, writer: Writer) -> None:
        try:
            async with asyncio.timeout(CATCH_UP_SECONDS):
                await writer.flush_now()
        except TimeoutError:
            raise StoreUnavailable(
                "The database is away, so it is not known what was spent; ask again shortly.",
                retry_after_seconds=1,
            ) from None
        if not writer.replayed:
            raise StoreUnavailable(
                "What was spent before the last restart is still being read; ask again shortly.",
                retry_after_seconds=1,
            )
