"""What a worker opens at its start, in order, and closes in reverse at its end."""

import asyncio
import random  # noqa: TID251 - the one place that has chance to hand out
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from service.chat.accounts import Accounts
from service.chat.catalog import Catalog
from service.chat.service import ChatService
from service.clock import SystemClock
from service.config import Settings
from service.health.service import HealthService
from service.http.edge import Edge
from service.idempotency.alone import Alone, NoStreams, Unheard
from service.idempotency.service import IdempotencyService
from service.keys.authenticator import Authenticator
from service.keys.service import KeyService
from service.limits.admin import LimitAdmin
from service.limits.standing import Standing
from service.pricing.prices import SettingsPrices
from service.providers.registry import open_providers
from service.stores import open_stores
from service.telemetry.access import AccessLog
from service.telemetry.metrics import Metrics
from service.telemetry.recorder import Recorder
from service.usage.service import UsageService

TAG_CHARACTERS = 6
"""Of a worker's tag, by which the others know it; 36 bits, drawn at its start."""

METRICS_SAVE_SECONDS = 1.0
"""How old another worker's numbers may be when one is scraped; scrapes come every 5 s or less often."""


@dataclass(frozen=True, slots=True)
class Services:
    """What the controllers call. Frozen: made once per worker, inside its loop."""

    chat: ChatService
    gatekeeper: Authenticator
    health: HealthService
    idempotency: IdempotencyService
    keys: KeyService
    metrics: Metrics
    metrics_open: bool
    recorder: Recorder
    standing: Standing
    subjects: LimitAdmin
    usage: UsageService


@asynccontextmanager
async def open_services(
    settings: Settings, edge: Edge, routes: frozenset[str], metrics_directory: Path | None = None
) -> AsyncIterator[Services]:
    """Open everything.

    routes: the paths that metrics tell apart. metrics_directory: shared by several workers.
    """
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        access = AccessLog(sys.stdout.buffer, readable=sys.stdout.isatty())
        stack.callback(access.close)
        metrics = Metrics(routes, metrics_directory)
        stores = await stack.enter_async_context(open_stores(settings, clock, metrics))
        providers = open_providers(settings, clock)
        for provider in providers.values():
            stack.callback(provider.close)
        catalog = Catalog(settings, SettingsPrices())
        cards = catalog.cards()
        accounts = Accounts(
            limits=stores.limits,
            ledger=stores.ledger,
            clock=clock,
            aliases=catalog.aliases,
            dialect_of=lambda name: providers[name].codec.dialect,
        )
        stack.callback(accounts.stop)
        health = HealthService(
            now=clock.now,
            default_model=cards[0].id if cards else None,
            accepting=lambda: edge.ready,
            stores=stores.state,
        )
        tag = secrets.token_urlsafe(TAG_CHARACTERS)[:TAG_CHARACTERS]
        idempotency = IdempotencyService(
            stores.idempotency,
            Alone(tag) if settings.store.redis is None else Unheard(tag),
            NoStreams(),
            settings.server.max_body_bytes,
        )
        stack.push_async_callback(idempotency.close)
        await idempotency.start()
        recorder = Recorder((metrics.record, health.record, access.write), access.flush)
        stack.callback(recorder.flush)
        if metrics_directory is not None:
            stack.callback(_Saving(metrics).end)
        yield Services(
            chat=ChatService(
                catalog=catalog,
                providers=providers,
                retries=settings.retries,
                streams=settings.streams,
                usage=settings.usage,
                accounts=accounts,
                clock=clock,
                draw=random.random,
            ),
            gatekeeper=stores.gatekeeper,
            health=health,
            idempotency=idempotency,
            keys=stores.keys,
            metrics=metrics,
            metrics_open=settings.server.metrics_open,
            recorder=recorder,
            standing=stores.standing,
            subjects=stores.subjects,
            usage=stores.usage,
        )


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
