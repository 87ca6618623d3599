"""Opens the streams' use case: of this worker alone, or of all of them where there is Redis."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.clock import Clock
from service.config import Streams
from service.siblings.bus import Bus
from service.streams.feeds import Feeds
from service.streams.mirrors import Mirrors
from service.streams.registry import StreamRegistry
from service.streams.service import Elsewhere, Nowhere, StreamService

SECRET_BYTES = 32


@asynccontextmanager
async def open_sharing(
    settings: Streams, registry: StreamRegistry, bus: Bus | None, tag: str, clock: Clock
) -> AsyncIterator[StreamService]:
    """The use case; what is left of the streams is handed over at the end. bus: None, there is one worker."""

    def service(elsewhere: Elsewhere) -> StreamService:
        return StreamService(
            registry=registry,
            elsewhere=elsewhere,
            tag=tag,
            secret=secrets.token_bytes(SECRET_BYTES),
            now=clock.now,
            heartbeat_seconds=settings.heartbeat_seconds,
        )

    if bus is None:
        yield service(Nowhere())
        return
    mirrors = Mirrors(bus=bus, registry=registry, max_bytes_per_stream=settings.max_bytes_per_stream)
    streams = service(mirrors)
    feeds = Feeds(bus=bus, streams=streams, kept=lambda: registry.all, keep_seconds=settings.keep_seconds)
    try:
        yield streams
    finally:
        await feeds.close()
        await mirrors.close()
