"""What a dead worker's requests used, told to the limits that live on.

The rows come from its journal (`service.usage.ledger`), one after the other, when they are in the
database. Whose limits they count against is asked of the store of keys, so this goes on behind the
scenes; a store that is away is waited for.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from service.ending import end_all
from service.errors import StoreUnavailable
from service.limits.base import Meter, Used
from service.principal import Principal
from service.usage.row import LedgerRow, Outcome

AGAIN_SECONDS = 1.0

_log = structlog.get_logger()


class SharedBook(Protocol):
    """Limits that outlive a worker (`service.limits.shared`)."""

    def book(self, meters: tuple[Meter, ...], used: Used, *, started_at: float, owner: str) -> None:
        """Count what was used, unless `owner` had told of it before it died; "": nobody has."""


class Bookings:
    """Rows that wait to be booked, and the task that does it."""

    def __init__(
        self,
        book: SharedBook,
        principal_of: Callable[[LedgerRow], Awaitable[Principal | None]],
        meters_of: Callable[[Principal, str, str], tuple[Meter, ...]],
    ) -> None:
        """principal_of: whose row it is; None: a key that is gone. meters_of: by caller, model and route."""
        self._book = book
        self._principal_of = principal_of
        self._meters_of = meters_of
        self._waiting: deque[tuple[LedgerRow, str]] = deque()
        self._more = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="bookings")  # noqa: TID251 - close awaits it

    def note(self, row: LedgerRow, owner: str) -> None:
        """A row of the dead worker `owner` is in the database."""
        self._waiting.append((row, owner))
        self._more.set()

    async def close(self) -> None:
        """Stop; what is not booked yet is in the ledger, from which counters are made anew."""
        await end_all((self._task,))
        if self._waiting:
            _log.warning("limits.not_booked", rows=len(self._waiting))

    async def _run(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                try:
                    await self._count(*self._waiting[0])
                except StoreUnavailable:
                    await asyncio.sleep(AGAIN_SECONDS)
                else:
                    self._waiting.popleft()

    async def _count(self, row: LedgerRow, owner: str) -> None:
        principal = await self._principal_of(row)
        if principal is None:
            return
        used = Used(
            tokens=row.input_tokens + row.output_tokens,
            nano_usd=row.cost_nano_usd or 0,
            finished_at=row.finished_at,
        )
        meters = self._meters_of(principal, row.model, row.route)
        # What the worker's death ended, it can't have told of.
        told_by = "" if row.outcome is Outcome.GATEWAY_CRASH else owner
        self._book.book(meters, used, started_at=row.started_at, owner=told_by)
