"""Opens the way to the other workers, where there can be any."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.siblings.bus import Bus


@asynccontextmanager
async def open_bus(redis_url: str | None, tag: str) -> AsyncIterator[Bus | None]:
    """The bus of the worker of that name; None without Redis: then it is alone."""
    if redis_url is None:
        yield None
        return
    # The client of Redis is 23 MB, which a process without Redis shall not have.
    from service.siblings.redis_bus import RedisBus

    bus = RedisBus(redis_url, tag)
    await bus.start()
    try:
        yield bus
    finally:
        await bus.close()
