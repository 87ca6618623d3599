"""Keys on their way from the store, where many ask for keys that don't exist."""

import asyncio

import pytest

from service.errors import StoreUnavailable
from service.keys.key import Key
from service.keys.lookups import AT_ONCE, Lookups
from tests.fakes.loops import virtual_time

READ_SECONDS = 0.25


class SlowSource:
    """A store of no keys, where each read takes its time. most: how many ran at one time."""

    def __init__(self) -> None:
        self.running = self.most = self.reads = 0

    async def find(self, id: str) -> Key | None:
        """None, in the end."""
        self.reads += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(READ_SECONDS)
        finally:
            self.running -= 1
        return None


def _ignore(key: Key) -> None:
    return


@virtual_time
async def test_a_flood_of_unknown_keys_leaves_the_database_to_others() -> None:
    """Few are read at a time; who gets no turn in two seconds is told to ask again, not that the key is wrong."""
    source = SlowSource()
    lookups = Lookups(source.find, _ignore)
    ends = await asyncio.gather(*(lookups.find(f"id{n}") for n in range(100)), return_exceptions=True)
    assert source.most == AT_ONCE
    assert 1 <= source.reads < 100
    assert ends[: source.reads] == [None] * source.reads
    for end in ends[source.reads :]:
        assert isinstance(end, StoreUnavailable) and end.retry_after_seconds == 1
    # Nobody who gave up keeps a turn.
    assert await lookups.find("later") is None


@virtual_time
async def test_closing_ends_those_that_wait_for_their_turn() -> None:
    """None of them is read after."""
    source = SlowSource()
    lookups = Lookups(source.find, _ignore)
    async with asyncio.TaskGroup() as group:
        callers = [group.create_task(lookups.find(f"id{n}")) for n in range(5)]
        await asyncio.sleep(READ_SECONDS / 2)
        await lookups.close()
        for caller in callers:
            with pytest.raises(asyncio.CancelledError):
                await caller
    assert source.reads == AT_ONCE and source.running == 0
