"""What a worker opens at its start, in order, and closes in reverse at its end."""

import asyncio
import random  # noqa: TID251 - the one place that has chance to hand out
import secrets
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from service.chat.service import ChatService
from service.clock import SystemClock
from service.config import Settings, Streams
from service.health.service import HealthService
from service.http.edge import Edge
from service.http.links import Links
from service.idempotency.alone import Alone
from service.idempotency.heard import Heard
from service.idempotency.service import IdempotencyService
from service.keys.authenticator import Authenticator
from service.keys.service import KeyService
from service.limits.admin import LimitAdmin
from service.limits.standing import Standing
from service.reload.service import ReloadService
from service.serving import Serving
from service.siblings.opening import open_bus
from service.stores import Stores, open_stores
from service.streams.joining import Joining
from service.streams.registry import StreamRegistry
from service.streams.service import TAG_CHARACTERS, StreamService
from service.streams.sharing import open_sharing
from service.telemetry.access import AccessLog
from service.telemetry.metrics import Metrics
from service.telemetry.recorder import Recorder
from service.usage.service import UsageService

ReadAgain = Callable[[Callable[[], bool]], Settings]
"""The configuration as it is now. Given: whether there are keys. Raises ConfigInvalid."""

METRICS_SAVE_SECONDS = 1.0
"""How old another worker's numbers may be when one is scraped; scrapes come every 5 s or less often."""


@dataclass(frozen=True, slots=True)
class Services:
    """What the controllers call. Frozen: made once per worker, inside its loop."""

    gatekeeper: Authenticator
    health: HealthService
    idempotency: IdempotencyService
    keys: KeyService
    links: Links
    metrics: Metrics
    recorder: Recorder
    reload: ReloadService
    serving: Serving
    standing: Standing
    streams: StreamService
    subjects: LimitAdmin
    usage: UsageService

    @property
    def chat(self) -> ChatService:
        """As the configuration has it now."""
        return self.serving.chat

    @property
    def metrics_open(self) -> bool:
        """Whether operators' numbers are shown without a key."""
        return self.serving.metrics_open


@asynccontextmanager
async def open_services(
    settings: Settings,
    edge: Edge,
    routes: frozenset[str],
    metrics_directory: Path | None = None,
    read_again: ReadAgain | None = None,
    tell_others: Callable[[], None] = lambda: None,
) -> AsyncIterator[Services]:
    """Open everything.

    routes: the paths that metrics tell apart. metrics_directory: shared by several workers. read_again,
    tell_others: see `ReloadService`.
    """
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        access = AccessLog(sys.stdout.buffer, readable=sys.stdout.isatty())
        stack.callback(access.close)
        metrics = Metrics(routes, metrics_directory)
        stores = await stack.enter_async_context(open_stores(settings, clock, metrics))
        tag = _random_text(TAG_CHARACTERS)
        registry = _open_registry(settings.streams, tag)
        serving = Serving(settings, stores=stores, registry=registry, clock=clock, draw=random.random)
        stack.callback(serving.close)
        stack.callback(registry.close)
        bus = await stack.enter_async_context(open_bus(settings.store.redis, tag))
        streams = await stack.enter_async_context(open_sharing(settings.streams, registry, bus, tag, clock))
        health = HealthService(
            now=clock.now,
            default_model=lambda: serving.default_model,
            is_served=serving.has_model,
            accepting=lambda: edge.ready,
            stores=stores.state,
        )
        siblings = Alone(tag) if bus is None else Heard(bus)
        idempotency = IdempotencyService(
            stores.idempotency,
            siblings,
            Joining(streams, registry, stores.gatekeeper),
            settings.server.max_body_bytes,
        )
        if isinstance(siblings, Heard):
            siblings.answer(idempotency.over)
        stack.push_async_callback(idempotency.close)
        await idempotency.start()
        recorder = Recorder((metrics.record, health.record, access.write), access.flush)
        stack.callback(recorder.flush)
        if metrics_directory is not None:
            stack.callback(_Saving(metrics).end)
        yield Services(
            gatekeeper=stores.gatekeeper,
            health=health,
            idempotency=idempotency,
            keys=stores.keys,
            links=Links(settings.server),
            metrics=metrics,
            recorder=recorder,
            reload=ReloadService(
                settings,
                read=partial(read_again, stores.gatekeeper.may_have_keys) if read_again else lambda: settings,
                use=partial(_use, stores, serving, edge),
                tell_others=tell_others,
            ),
            serving=serving,
            standing=stores.standing,
            streams=streams,
            subjects=stores.subjects,
            usage=stores.usage,
        )


def _use(stores: Stores, serving: Serving, edge: Edge, settings: Settings) -> None:
    """In one step of the loop: no request sees some of it."""
    stores.use(settings)
    serving.use(settings)
    edge.use(settings)


def _open_registry(settings: Streams, tag: str) -> StreamRegistry:
    return StreamRegistry(
        tag=tag,
        draw=_random_text,
        keep_seconds=settings.keep_seconds,
        max_bytes_per_stream=settings.max_bytes_per_stream,
        max_bytes_total=settings.max_bytes_total,
    )


def _random_text(characters: int) -> str:
    """That many of `[A-Za-z0-9_-]`, six bits each."""
    return secrets.token_urlsafe(characters)[:characters]


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
