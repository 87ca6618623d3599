"""Tasks that are to end, and one that doesn't hear it."""

import asyncio

from service.ending import end_all, what_waits
from tests.fakes.loops import virtual_time


async def deaf(times: int) -> None:
    """Lose so many cancellations, as a wait that is done in the same moment does."""
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if not times:
                raise
            times -= 1


async def failing() -> None:
    raise RuntimeError("it has failed long ago")


@virtual_time
async def test_a_lost_cancellation_is_repeated() -> None:
    tasks = [asyncio.ensure_future(work) for work in (deaf(0), deaf(1), deaf(3), failing())]
    await asyncio.sleep(1)
    async with asyncio.timeout(10):
        await end_all(tasks)
    assert [task.cancelled() for task in tasks] == [True, True, True, False]


async def test_nothing_to_end() -> None:
    await end_all([])


async def test_what_waits_is_named_with_its_places() -> None:
    """A coroutine within another one, and whoever asks."""

    async def inner() -> None:
        await asyncio.get_running_loop().create_future()

    async def outer() -> None:
        await inner()

    task = asyncio.get_running_loop().create_task(outer(), name="a task")
    await asyncio.sleep(0)
    (found,) = (line for line in what_waits(asyncio.get_running_loop()) if line.startswith("a task: "))
    places = [
        place.rpartition(":")[0].rpartition(".")[2] for place in found.removeprefix("a task: ").split(" > ")
    ]
    assert places == ["outer", "inner"]
    await end_all([task])
