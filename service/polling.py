"""A step that is repeated while the server runs."""

import asyncio
from collections.abc import Awaitable, Callable

from service.ending import end_all


class Poller:
    """Runs `step` again `every_seconds` after its end, in a task of its own; what it raises ends the task."""

    def __init__(self, step: Callable[[], Awaitable[None]], every_seconds: float) -> None:
        self._step = step
        self._every_seconds = every_seconds
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Run the step once, then go on in the background."""
        await self._step()
        self._task = asyncio.create_task(self._run())  # noqa: TID251 - owned here; `close` ends it

    async def close(self) -> None:
        """Stop, and wait until it has."""
        if self._task is not None:
            await end_all((self._task,))
            self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every_seconds)
            await self._step()
