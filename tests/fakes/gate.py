"""A hold that a test's thread opens, step by step, for a coroutine in another thread."""

import asyncio
import threading


class Gate:
    """Everyone who wants to pass takes one permit, and waits until there is one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._permits = 0
        self._opened = False
        self._waiting: list[asyncio.Future[None]] = []

    def release(self, count: int = 1) -> None:
        """Let `count` more pass; from any thread."""
        with self._lock:
            self._permits += count
            self._wake()

    def open(self) -> None:
        """Let everyone pass from now on; from any thread."""
        with self._lock:
            self._opened = True
            self._wake()

    async def passed(self) -> None:
        """Wait for a permit and take it."""
        while (waiting := self._take_or_wait()) is not None:
            await waiting

    def _take_or_wait(self) -> "asyncio.Future[None] | None":
        with self._lock:
            if self._opened:
                return None
            if self._permits:
                self._permits -= 1
                return None
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            return waiting

    def _wake(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.get_loop().call_soon_threadsafe(_finish, waiting)
        self._waiting.clear()


def _finish(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)
