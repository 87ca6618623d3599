"""Reading the configuration again: what is used then, who is told, and what a bad one leaves as it is."""

import asyncio
import threading

import pytest

from service.config import ConfigInvalid, Mistake, Retries, Settings
from service.errors import InvalidRequest
from service.reload.service import Reloaded, ReloadService

BAD = ConfigInvalid((Mistake("penstock.toml: a", "1", "2"), Mistake("penstock.toml: b", "3", "4")))


class House:
    """A worker. file: what it reads, or what is wrong with it."""

    def __init__(self) -> None:
        self.file: Settings | ConfigInvalid = Settings()
        self.used: list[Settings] = []
        self.told = 0
        self.read_by: set[threading.Thread] = set()
        self.service = ReloadService(
            Settings(), read=self._read, use=self.used.append, tell_others=self._tell
        )

    def _read(self) -> Settings:
        self.read_by.add(threading.current_thread())
        if isinstance(self.file, ConfigInvalid):
            raise self.file
        return self.file

    def _tell(self) -> None:
        self.told += 1


async def test_what_changed_is_used_and_the_others_are_told() -> None:
    house = House()
    house.file = Settings(retries=Retries(max_attempts=9))
    assert await house.service.reload() == Reloaded(("retries.max_attempts",), ())
    assert house.used == [house.file]
    assert house.told == 1
    assert threading.current_thread() not in house.read_by


async def test_who_was_told_tells_nobody() -> None:
    """Or there would be no end of it."""
    house = House()
    house.file = Settings(retries=Retries(max_attempts=9))
    await house.service.follow()
    assert (house.used, house.told) == ([house.file], 0)


async def test_it_goes_by_what_it_used_last() -> None:
    house = House()
    house.file = Settings(retries=Retries(max_attempts=9))
    await house.service.reload()
    assert await house.service.reload() == Reloaded((), ())


async def test_a_burst_reads_it_twice() -> None:
    """Once for those told before the reading began, once for those after."""
    house = House()
    await asyncio.gather(*(house.service.follow() for _ in range(100)))
    assert len(house.used) == 2
    await asyncio.gather(*(house.service.follow() for _ in range(100)))
    assert len(house.used) == 4


async def test_a_bad_one_leaves_all_as_it_is() -> None:
    house = House()
    house.file = BAD
    with pytest.raises(InvalidRequest) as caught:
        await house.service.reload()
    await house.service.follow()
    assert (house.used, house.told) == ([], 0)
    assert [(error.path, error.message) for error in caught.value.errors] == [
        ("penstock.toml: a", "found 1; expected 2"),
        ("penstock.toml: b", "found 3; expected 4"),
    ]
    assert "the old one stays" in caught.value.detail
    house.file = Settings(retries=Retries(max_attempts=9))
    assert await house.service.reload() == Reloaded(("retries.max_attempts",), ())
