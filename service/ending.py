"""Ending tasks for good, and saying which don't end."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

AGAIN_SECONDS = 0.2


async def end_all(tasks: "Iterable[asyncio.Task[Any]]") -> None:
    """Cancel tasks until they have ended; what they raise is dropped.

    Once is not enough: up to Python 3.11 `asyncio.wait_for`, with which redis-py sends every command,
    loses a cancellation that comes in the moment in which it is done, and the task goes on for ever.
    """
    ending = set(tasks)
    left = ending
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_SECONDS)
    await asyncio.gather(*ending, return_exceptions=True)


def what_waits(loop: asyncio.AbstractEventLoop) -> list[str]:
    """The tasks that are not over, and where each waits, outermost first: `name: function:line > function:line`.

    From any thread, for whoever finds out why an end doesn't come.
    """
    return sorted(f"{task.get_name()}: {' > '.join(_places(task))}" for task in asyncio.all_tasks(loop))


def _places(task: "asyncio.Task[Any]") -> list[str]:
    found: list[str] = []
    waiting: object = task.get_coro()
    while isinstance(waiting, Coroutine) and (frame := getattr(waiting, "cr_frame", None)) is not None:
        found.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
        waiting = getattr(waiting, "cr_await", None)
    return found
