"""Ending tasks for good."""

import asyncio
from collections.abc import Iterable

AGAIN_SECONDS = 0.2


async def end_all(tasks: Iterable[asyncio.Task[None]]) -> None:
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
