"""How a budget's count begins: with the ledger's sum, asked for once however many wait for it."""

import asyncio
from math import inf

from service.errors import StoreUnavailable
from service.limits.base import Kind, SpentSoFar
from service.limits.states import Tally


class _Query:
    """One question to the ledger. error: what became of it, for those who waited along."""

    def __init__(self) -> None:
        self.done = asyncio.Event()
        self.error: StoreUnavailable | None = None


class Opening:
    """Asks the ledger for what was spent before it was counted here."""

    def __init__(self, spent: SpentSoFar) -> None:
        self._spent = spent
        self._queries: dict[Tally, _Query] = {}

    async def count(self, tally: Tally) -> None:
        """Count what was spent before; look at `tally.counted` again after it.

        The first to come asks, the others wait for it; if it was cancelled, one of them asks anew.
        Raises StoreUnavailable; the next to come tries again.
        """
        query = self._queries.get(tally)
        if query is not None:
            await query.done.wait()
            if query.error is not None:
                raise StoreUnavailable(
                    query.error.detail, retry_after_seconds=query.error.retry_after_seconds
                ) from query.error
            return
        query = self._queries[tally] = _Query()
        tally.opening = True
        try:
            tally.begin(await self._ask(tally))
        except StoreUnavailable as error:
            query.error = error
            raise
        finally:
            tally.opening = False
            del self._queries[tally]
            query.done.set()

    async def _ask(self, tally: Tally) -> int:
        meter = tally.meter
        nano_usd, tokens = await self._spent.spent(
            meter.subject,
            meter.subject_id,
            since=tally.start,
            until=None if tally.end == inf else tally.end,
            finished_before=tally.cutoff,
        )
        return nano_usd if meter.kind is Kind.USD else tokens
