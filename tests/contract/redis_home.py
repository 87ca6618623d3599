"""The home of limits in Redis, for the common suites: a real server, whose clock is the suite's too."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.config.settings import LimitSettings
from service.limits.redis import RedisLink
from service.limits.shared import SharedLimitStore
from tests.fakes.clock import FakeClock
from tests.fakes.ledger_sums import LedgerSums
from tests.fakes.redis_server import shared_server

COMMAND_SECONDS = 5.0
"""The suite asks whether the counts are right; a busy machine must not turn that into an outage."""


class RedisHome:
    """One worker. began_at: Unix seconds."""

    def __init__(self, ledger: LedgerSums, url: str, began_at: float) -> None:
        self.ledger = ledger
        self.alerts: list[tuple[str, float, int]] = []
        self._wall = FakeClock(began_at)
        self._us = 5_000_000
        ahead_us = int(began_at * 1_000_000) - self._us
        self.store = SharedLimitStore(
            port=RedisLink(url, command_seconds=COMMAND_SECONDS, server_now_us=lambda: self._us + ahead_us),
            owner="worker",
            clock_us=lambda: self._us,
            now=self._wall.now,
            spent=ledger,
            settings=LimitSettings(),
            on_alert=lambda meter, start, spent: self.alerts.append((meter.name, start, spent)),
            lag_seconds=0,
            flush_seconds=0,
        )

    @property
    def now(self) -> float:
        """The wall clock, in Unix seconds."""
        return self._wall.now()

    async def advance(self, seconds: float) -> None:
        """Let time pass, on all clocks."""
        self._wall.advance(seconds)
        self._us += round(seconds * 1_000_000)

    def jump(self, seconds: float) -> None:
        """Set the wall clock only."""
        self._wall.advance(seconds)

    async def sync(self) -> None:
        """Until Redis knows."""
        await self.store.flush()

    async def sweep(self) -> None:
        """Reclaim, and tell."""
        self.store.sweep()
        await self.store.flush()


@asynccontextmanager
async def open_redis(ledger: LedgerSums, began_at: float) -> AsyncIterator[RedisHome]:
    """With a server that is empty."""
    server = shared_server()
    server.empty()
    home = RedisHome(ledger, server.url, began_at)
    await home.store.start()
    try:
        yield home
    finally:
        await home.store.close()
