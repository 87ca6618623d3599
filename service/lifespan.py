"""What a worker opens at its start, in order, and closes in reverse at its end."""

import asyncio
import random  # noqa: TID251 - the one place that has chance to hand out
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from service.chat.catalog import Catalog
from service.chat.service import ChatService
from service.clock import SystemClock
from service.config import Settings
from service.health.service import HealthService
from service.http.edge import Edge
from service.pricing.prices import SettingsPrices
from service.providers.registry import open_providers
from service.telemetry.access import AccessLog
from service.telemetry.metrics import Metrics
from service.telemetry.recorder import Recorder

METRICS_SAVE_SECONDS = 1.0
"""How old another worker's numbers may be when one is scraped; scrapes come every 5 s or less often."""


@dataclass(frozen=True, slots=True)
class Services:
    """What the controllers call. Frozen: made once per worker, inside its loop."""

    chat: ChatService
    health: HealthService
    metrics: Metrics
    recorder: Recorder


@asynccontextmanager
async def open_services(
    settings: Settings, edge: Edge, routes: frozenset[str], metrics_directory: Path | None = None
) -> AsyncIterator[Services]:
    """Open everything.

    routes: the paths that metrics tell apart. metrics_directory: shared by several workers.
    """
    clock = SystemClock()
    providers = open_providers(settings, clock)
    catalog = Catalog(settings, SettingsPrices())
    cards = catalog.cards()
    access = AccessLog(sys.stdout.buffer, readable=sys.stdout.isatty())
    metrics = Metrics(routes, metrics_directory)
    health = HealthService(
        now=clock.now,
        default_model=cards[0].id if cards else None,
        accepting=lambda: edge.ready,
    )
    services = Services(
        chat=ChatService(
            catalog=catalog,
            providers=providers,
            retries=settings.retries,
            streams=settings.streams,
            clock=clock,
            draw=random.random,
        ),
        health=health,
        metrics=metrics,
        recorder=Recorder((metrics.record, health.record, access.write), access.flush),
    )
    saving = _Saving(services.metrics) if metrics_directory is not None else None
    try:
        yield services
    finally:
        for provider in providers.values():
            provider.close()
        services.recorder.flush()
        access.close()
        if saving is not None:
            saving.end()


class _Saving:
    """Leaves a worker's numbers for the others now and then, and once more at the end."""

    def __init__(self, metrics: Metrics) -> None:
        self._loop = asyncio.get_running_loop()
        self._metrics = metrics
        self._timer = self._loop.call_later(METRICS_SAVE_SECONDS, self._save)

    def end(self) -> None:
        self._timer.cancel()
        self._metrics.save()

    def _save(self) -> None:
        self._metrics.save()
        self._timer = self._loop.call_later(METRICS_SAVE_SECONDS, self._save)
