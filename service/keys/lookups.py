"""Reading a key once, however many callers wait for it, and few keys at a time.

Anybody may ask for keys that don't exist. Without a bound they would take all of the database's
connections, and with them the polls by which a revoked key ends.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Final

from service.ending import end_all
from service.errors import StoreUnavailable
from service.keys.key import Key

AT_ONCE: Final = 1
"""Of SQLite's two readers the other one is left to the polls. A read takes a millisecond or two."""

TURN_SECONDS: Final = 2.0
"""How long a caller waits for its turn."""


class Lookups:
    """Keys on their way from the store. find: reads one. found: is told of each that was not forgotten meanwhile."""

    def __init__(
        self, find: Callable[[str], Coroutine[None, None, Key | None]], found: Callable[[Key], None]
    ) -> None:
        self._find = find
        self._found = found
        self._latest: dict[str, asyncio.Task[Key | None]] = {}
        self._running: set[asyncio.Task[Key | None]] = set()
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def find(self, id: str) -> Key | None:
        """The key with this id. Raises what the store raises, and StoreUnavailable after TURN_SECONDS without a turn.

        Whoever stops waiting stops nobody else.
        """
        task = self._latest.get(id)
        if task is None:
            task = asyncio.create_task(self._find_in_turn(id))  # noqa: TID251 - owned here; `close` ends it
            self._latest[id] = task
            self._running.add(task)
            task.add_done_callback(partial(self._done, id))
        return await asyncio.shield(task)

    def forget(self, id: str) -> None:
        """What is on its way is old: whoever asks from now on gets a new answer."""
        self._latest.pop(id, None)

    async def close(self) -> None:
        """Stop all, and wait until they have."""
        await end_all(self._running)

    async def _find_in_turn(self, id: str) -> Key | None:
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self._turns.acquire()
        except TimeoutError:
            raise StoreUnavailable(
                "Too many unknown keys are being looked up; ask again shortly.", retry_after_seconds=1
            ) from None
        try:
            return await self._find(id)
        finally:
            self._turns.release()

    def _done(self, id: str, task: "asyncio.Task[Key | None]") -> None:
        self._running.discard(task)
        latest = self._latest.get(id) is task
        if latest:
            del self._latest[id]
        if task.cancelled() or task.exception() is not None:
            return
        key = task.result()
        if key is not None and latest:
            self._found(key)
