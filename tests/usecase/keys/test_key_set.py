"""When a key set is fetched, who waits for it, and what serves while it can't be had."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import structlog

from service.errors import StoreUnavailable
from service.keys import jwks
from service.keys.key_set import UNKNOWN_KEY_SECONDS, CachedKeySet, KeysUnavailable
from tests.fakes.identity_provider import jwks as document_of
from tests.fakes.identity_provider import signing_key
from tests.fakes.jwks_source import ScriptedJwksSource
from tests.fakes.loops import virtual_time

OLD, NEW = document_of(signing_key("old", "EdDSA")), document_of(signing_key("new", "EdDSA", 1))
REFRESH, STALE = 300.0, 3600.0


@asynccontextmanager
async def started(source: ScriptedJwksSource, stale_seconds: float = STALE) -> AsyncIterator[CachedKeySet]:
    """A cached set at work."""
    cached = CachedKeySet(
        source,
        lambda document: jwks.read(document, ["EdDSA"]),
        refresh_seconds=REFRESH,
        stale_seconds=stale_seconds,
    )
    await cached.start()
    try:
        yield cached
    finally:
        await cached.close()


def kids(found: jwks.KeySet | None) -> list[str | None]:
    """The names of the keys."""
    assert found is not None
    return [key.kid for key in found.keys]


def ages(source: ScriptedJwksSource) -> list[float]:
    """When each fetch began, from the first on."""
    return [at - source.fetched_at[0] for at in source.fetched_at]


@virtual_time
async def test_requests_wait_for_the_first_fetch_and_share_it() -> None:
    source = ScriptedJwksSource(OLD)
    source.takes_seconds = 3
    async with started(source) as cached:
        assert cached.usable() is None and cached.state() == "away"
        found = await asyncio.gather(*(cached.keys() for _ in range(100)))
        assert {id(each) for each in found} == {id(cached.usable())}
        assert kids(found[0]) == ["old"] and cached.state() == "fresh"
    assert ages(source) == [0] and source.closed


@virtual_time
async def test_nobody_waits_for_a_refresh() -> None:
    source = ScriptedJwksSource(OLD)
    async with started(source) as cached:
        before = await cached.keys()
        source.document, source.takes_seconds = NEW, 4
        await asyncio.sleep(REFRESH + 2)
        assert source.running == 1
        assert await cached.keys() is before
        await asyncio.sleep(3)
        assert kids(await cached.keys()) == ["new"]


@virtual_time
async def test_a_refresh_that_changes_nothing_gives_the_same_object() -> None:
    """Whoever remembers what these keys verified may go on."""
    source = ScriptedJwksSource(OLD)
    async with started(source) as cached:
        before = await cached.keys()
        await asyncio.sleep(REFRESH * 3.5)
        assert await cached.keys() is before
    assert ages(source) == [0, 300, 600, 900]


@virtual_time
async def test_an_old_set_serves_while_the_provider_is_away_but_not_for_ever() -> None:
    source = ScriptedJwksSource(OLD)
    async with started(source) as cached:
        await cached.keys()
        source.fail()
        await asyncio.sleep(REFRESH + 1)
        assert cached.state() == "stale" and kids(await cached.keys()) == ["old"]
        await asyncio.sleep(STALE - 2)
        assert kids(await cached.keys()) == ["old"]
        await asyncio.sleep(2)
        assert cached.usable() is None and cached.state() == "away"
        with pytest.raises(StoreUnavailable):
            await cached.keys()
        source.document = OLD
        await asyncio.sleep(30)
        assert kids(await cached.keys()) == ["old"] and cached.state() == "fresh"


@virtual_time
async def test_a_set_that_may_not_be_stale_ends_when_it_is_no_longer_fresh() -> None:
    """Requests wait for the fetch that runs then."""
    source = ScriptedJwksSource(OLD)
    async with started(source, stale_seconds=0) as cached:
        await cached.keys()
        source.document, source.takes_seconds = NEW, 1
        await asyncio.sleep(REFRESH + 0.5)
        assert cached.usable() is None
        assert kids(await cached.keys()) == ["new"]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(KeysUnavailable("away"), id="away"),
        pytest.param(b"<html>", id="nonsense"),
        pytest.param(RuntimeError("a bug"), id="whatever-else"),
    ],
)
def test_without_keys_it_is_503_at_once_and_tried_again(answer: bytes | Exception) -> None:
    """Slower and slower, and never because of requests."""

    @virtual_time
    async def scenario() -> None:
        source = ScriptedJwksSource(answer)
        async with started(source) as cached:
            for _ in range(1000):
                with pytest.raises(StoreUnavailable) as caught:
                    await cached.keys()
                assert caught.value.retry_after_seconds == 1
            await asyncio.sleep(100)
            assert ages(source) == [0, 1, 3, 7, 15, 31, 61, 91]
            source.document = OLD
            with pytest.raises(StoreUnavailable) as caught:
                await cached.keys()
            assert caught.value.retry_after_seconds is not None
            await asyncio.sleep(caught.value.retry_after_seconds + 0.001)
            assert kids(await cached.keys()) == ["old"]

    scenario()


@virtual_time
async def test_a_rotated_key_is_found_at_once() -> None:
    source = ScriptedJwksSource(OLD)
    async with started(source) as cached:
        await cached.keys()
        source.document, source.takes_seconds = NEW, 1
        await asyncio.sleep(UNKNOWN_KEY_SECONDS)
        found = await asyncio.gather(*(cached.newer() for _ in range(100)))
        assert {id(each) for each in found} == {id(cached.usable())}
        assert kids(found[0]) == ["new"]
    assert ages(source) == [0, 10]


@virtual_time
async def test_unknown_keys_cannot_make_us_hammer_the_provider() -> None:
    """One fetch in ten seconds, however many ask, and the others don't wait."""
    source = ScriptedJwksSource(OLD)
    async with started(source) as cached:
        await cached.keys()
        for _ in range(60):
            for _ in range(50):
                await cached.newer()
            await asyncio.sleep(1)
    assert ages(source) == [0, 10, 20, 30, 40, 50]
    assert source.most_running == 1


@virtual_time
async def test_an_unknown_key_joins_the_fetch_that_runs() -> None:
    source = ScriptedJwksSource(OLD)
    source.takes_seconds = 2
    async with started(source) as cached:
        assert kids(await cached.newer()) == ["old"]
        assert ages(source) == [0]
        await asyncio.sleep(30)
    assert ages(source) == [0]


@virtual_time
async def test_an_unknown_key_joins_a_refresh_that_has_just_begun() -> None:
    """It may bring the key, and another look would have to wait for ten seconds."""
    source = ScriptedJwksSource(OLD)
    async with started(source) as cached:
        await cached.keys()
        source.document, source.takes_seconds = NEW, 2
        await asyncio.sleep(REFRESH + 1)
        assert cached.state() == "fresh"
        assert kids(await cached.newer()) == ["new"]
    assert ages(source) == [0, 300]


@virtual_time
async def test_after_a_look_for_an_unknown_key_the_next_refresh_is_a_whole_period_away() -> None:
    source = ScriptedJwksSource(OLD)
    async with started(source) as cached:
        await asyncio.sleep(200)
        await cached.newer()
        await asyncio.sleep(REFRESH + 1)
    assert ages(source) == [0, 200, 500]


@virtual_time
async def test_an_unknown_key_while_the_provider_is_away_is_nobodys_fault() -> None:
    """Known keys go on."""
    source = ScriptedJwksSource(OLD)
    async with started(source) as cached:
        await cached.keys()
        await asyncio.sleep(UNKNOWN_KEY_SECONDS)
        source.fail()
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await cached.newer()
        assert kids(await cached.keys()) == ["old"]
        assert len(source.fetched_at) == 2


@virtual_time
async def test_who_gives_up_waiting_leaves_the_others_alone() -> None:
    source = ScriptedJwksSource(OLD)
    source.takes_seconds = 3
    async with started(source) as cached:
        impatient, patient = asyncio.create_task(cached.keys()), asyncio.create_task(cached.keys())
        await asyncio.sleep(1)
        impatient.cancel()
        assert kids(await patient) == ["old"]
        assert impatient.cancelled()


@virtual_time
async def test_closing_wakes_whoever_waits() -> None:
    source = ScriptedJwksSource(OLD)
    source.takes_seconds = 1000
    async with started(source) as cached:
        waiting = [asyncio.create_task(cached.keys()), asyncio.create_task(cached.newer())]
        await asyncio.sleep(1)
    for each in waiting:
        with pytest.raises(StoreUnavailable):
            await each
    assert source.running == 0 and source.closed


@virtual_time
async def test_the_log_has_one_line_for_each_turn() -> None:
    source = ScriptedJwksSource(OLD)
    with structlog.testing.capture_logs() as lines:
        async with started(source) as cached:
            await cached.keys()
            source.fail()
            await asyncio.sleep(REFRESH * 4)
            source.document = OLD
            await asyncio.sleep(REFRESH * 4)
            source.document = NEW
            await asyncio.sleep(REFRESH * 4)
    assert [(line["event"], line.get("reason")) for line in lines] == [
        ("jwt.keys_changed", None),
        ("jwt.keys_away", "away"),
        ("jwt.keys_back", None),
        ("jwt.keys_changed", None),
    ]
