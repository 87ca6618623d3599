"""What budgets begin with: the ledger's sums, each asked once however many requests wait for it."""

import asyncio
from math import inf

from service.ending import end_all
from service.errors import StoreUnavailable
from service.limits.accounts import Account
from service.limits.base import SpentSoFar, Used
from service.limits.courier import Courier

WAIT_SECONDS = 1.0
"""The longest that a request waits; the question goes on for those who come later."""


class LedgerSums:
    """Owns the questions that are on their way; `close` ends them."""

    def __init__(self, spent: SpentSoFar, courier: Courier) -> None:
        self._spent = spent
        self._courier = courier
        self._tasks: dict[Account, asyncio.Task[StoreUnavailable | None]] = {}

    async def count(self, accounts: tuple[Account, ...]) -> None:
        """Have their sums told to Redis with the next exchange. Raises StoreUnavailable."""
        for account in accounts:
            if account not in self._tasks:
                task = asyncio.create_task(self._ask(account))  # noqa: TID251 - ended by close(), its one owner
                self._tasks[account] = task
        done, pending = await asyncio.wait(
            [self._tasks[account] for account in accounts], timeout=WAIT_SECONDS
        )
        if pending:
            raise StoreUnavailable("What was spent so far can't be read now.", retry_after_seconds=1.0)
        for task in done:
            if (error := task.result()) is not None:
                raise error

    async def close(self) -> None:
        """Nobody waits any more."""
        await end_all(self._tasks.values())

    async def _ask(self, account: Account) -> StoreUnavailable | None:
        generation, cutoff, meter = self._courier.generation, account.cutoff, account.meter
        try:
            nano_usd, tokens = await self._spent.spent(
                meter.subject,
                meter.subject_id,
                since=account.start,
                until=None if account.end == inf else account.end,
                finished_before=cutoff,
            )
        except StoreUnavailable as error:
            return error
        finally:
            del self._tasks[account]
        # Another generation counts from another moment.
        if (generation, cutoff) == (self._courier.generation, account.cutoff):
            account.seed = account.spent_of(Used(nano_usd=nano_usd, tokens=tokens, finished_at=cutoff))
        return None
