"""Opens the home of limits that the configuration asks for: this process, or Redis for several."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

import structlog

from service.clock import Clock
from service.config import Settings
from service.limits.base import Meter, SpentSoFar
from service.limits.memory import MemoryLimitStore

if TYPE_CHECKING:
    from service.limits.shared import SharedLimitStore

SWEEP_SECONDS = 1.0
"""How often the in-process limits forget what makes no difference any more."""

MICROSECONDS = 1_000_000

State = Callable[[], dict[str, str]]

_log = structlog.get_logger()


class Counters(Protocol):
    """Where what happens beside requests is counted (`service.telemetry.metrics`)."""

    def count_alert(self, kind: str) -> None:
        """A budget's soft alert was raised."""

    def count_overrun(self, kind: str) -> None:
        """A provider billed more than had been reserved."""


@asynccontextmanager
async def open_home(
    settings: Settings, clock: Clock, spent: SpentSoFar, counters: Counters, *, owner: str
) -> "AsyncIterator[tuple[MemoryLimitStore | SharedLimitStore, State]]":
    """The store, and how it is. owner: this worker's name, the one of its journal."""
    reports = _Reports(counters)
    if settings.store.redis is None:
        store = MemoryLimitStore(
            now_us=_microseconds(),
            spent=spent,
            began_at=clock.now(),
            on_alert=reports.alert,
            on_overrun=reports.overrun,
        )
        sweeping = _Sweeping(store, clock)
        try:
            yield store, dict
        finally:
            sweeping.end()
        return
    # The client of Redis is 23 MB, which a process without Redis shall not have.
    from service.limits.redis import RedisLink
    from service.limits.shared import SharedLimitStore

    shared = SharedLimitStore(
        port=RedisLink(settings.store.redis),
        owner=owner,
        clock_us=_microseconds(),
        now=clock.now,
        spent=spent,
        settings=settings.limits,
        on_alert=reports.alert,
        on_overrun=reports.overrun,
    )
    await shared.start()
    try:
        yield shared, shared.state
    finally:
        await shared.close()


class _Reports:
    """What budgets tell: a line in the log and a count."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def alert(self, meter: Meter, window_start: float, spent: int) -> None:
        self._counters.count_alert(meter.kind.value)
        _log.warning("budget.alert", **_told(meter), window_start=window_start, spent=spent)

    def overrun(self, meter: Meter, amount: int) -> None:
        self._counters.count_overrun(meter.kind.value)
        _log.warning("budget.overrun", **_told(meter), amount=amount)


def _told(meter: Meter) -> dict[str, object]:
    return {
        "subject": meter.subject.value,
        "subject_id": meter.subject_id,
        "kind": meter.kind.value,
        "per": meter.per,
        "budget": meter.capacity,
    }


class _Sweeping:
    """Calls the in-process store's sweep now and then."""

    def __init__(self, store: MemoryLimitStore, clock: Clock) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        self._store = store
        self._timer = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def end(self) -> None:
        self._timer.cancel()

    def _sweep(self) -> None:
        self._store.sweep(self._clock.now())
        self._timer = self._loop.call_later(SWEEP_SECONDS, self._sweep)


def _microseconds() -> Callable[[], int]:
    now = asyncio.get_running_loop().time
    return lambda: int(now() * MICROSECONDS)
