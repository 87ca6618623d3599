"""An application between its startup and its shutdown, as under a server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.http.context import Message
from service.http.edge import Edge


@asynccontextmanager
async def started(app: Edge) -> AsyncIterator[None]:
    """Its lifespan runs in a task of its own."""
    asked: asyncio.Queue[Message] = asyncio.Queue()
    told: asyncio.Queue[Message] = asyncio.Queue()
    asked.put_nowait({"type": "lifespan.startup"})
    async with asyncio.TaskGroup() as group:
        group.create_task(app({"type": "lifespan", "state": {}}, asked.get, told.put))
        assert (await told.get())["type"] == "lifespan.startup.complete"
        yield
        asked.put_nowait({"type": "lifespan.shutdown"})
