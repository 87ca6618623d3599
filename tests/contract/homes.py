"""The homes of limits, as their common suites need them: a store, and the time in the suite's hands.

A home that joins adds itself to HOMES and passes `test_limit_store.py` and `test_limit_state_machine.py`.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from service.limits.base import LimitStore
from service.limits.memory import MemoryLimitStore
from tests.contract.redis_home import open_redis
from tests.fakes.clock import FakeClock
from tests.fakes.ledger_sums import LedgerSums

BEGAN_AT = 1_784_030_400.0
"""When a home opens: 2026-07-14 12:00 UTC, a Tuesday."""


class Home(Protocol):
    """One opened home.

    alerts: (name of the meter, its window's start, what is spent), in the order in which they were raised.
    """

    ledger: LedgerSums
    alerts: list[tuple[str, float, int]]

    @property
    def store(self) -> LimitStore:
        """The store under test."""

    @property
    def now(self) -> float:
        """The wall clock, in Unix seconds."""

    async def advance(self, seconds: float) -> None:
        """Let time pass, on all clocks."""

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back; no time passes."""

    async def sync(self) -> None:
        """Until what was settled and booked counts everywhere."""

    async def sweep(self) -> None:
        """Until what is overdue is reclaimed."""


OpenHome = Callable[[LedgerSums], AbstractAsyncContextManager[Home]]


class MemoryHome:
    """In process, at a time of its own."""

    def __init__(self, ledger: LedgerSums) -> None:
        self.ledger = ledger
        self.alerts: list[tuple[str, float, int]] = []
        self._wall = FakeClock(BEGAN_AT)
        self._us = 5_000_000
        self.store = MemoryLimitStore(
            now_us=lambda: self._us,
            spent=ledger,
            began_at=BEGAN_AT,
            on_alert=lambda meter, start, spent: self.alerts.append((meter.name, start, spent)),
        )

    @property
    def now(self) -> float:
        """The wall clock, in Unix seconds."""
        return self._wall.now()

    async def advance(self, seconds: float) -> None:
        """Let time pass, on both clocks."""
        self._wall.advance(seconds)
        self._us += round(seconds * 1_000_000)

    def jump(self, seconds: float) -> None:
        """Set the wall clock only."""
        self._wall.advance(seconds)

    async def sync(self) -> None:
        """All counts at once."""

    async def sweep(self) -> None:
        """Reclaim and forget, until each state was looked at."""
        for _ in range(300):
            self.store.sweep(self.now)


@asynccontextmanager
async def open_memory(ledger: LedgerSums) -> AsyncIterator[MemoryHome]:
    """Nothing to close."""
    yield MemoryHome(ledger)


HOMES: dict[str, OpenHome] = {
    "memory": open_memory,
    "redis": lambda ledger: open_redis(ledger, BEGAN_AT),
}
