"""What workers rely on between each other: on the hub of the tests, and over a real Redis or Valkey."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress

import pytest

from service.errors import StoreUnavailable
from service.siblings.bus import Bus, NobodyThere
from service.siblings.redis_bus import PREFIX, RedisBus
from tests.fakes.bus import Hub, MemoryBus
from tests.fakes.loops import until
from tests.fakes.redis_server import RedisServer

SECONDS = 10.0
"""No wait of these tests is longer."""

MakeBus = Callable[[str], Awaitable[Bus]]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """A server of this module's own: tests stop it."""
    with RedisServer() as server:
        yield server


@pytest.fixture(params=["memory", "redis"])
async def make(request: pytest.FixtureRequest) -> AsyncIterator[MakeBus]:
    """Makes the bus of one more worker, of each kind in turn."""
    made: list[MemoryBus | RedisBus] = []
    hub = Hub()

    async def make_one(tag: str) -> Bus:
        server = request.getfixturevalue("redis") if request.param == "redis" else None
        bus = hub.bus(tag) if server is None else RedisBus(server.url, tag)
        await bus.start()
        made.append(bus)
        if server is not None:
            await heard(server, tag)
        return bus

    yield make_one
    for bus in made:
        await bus.close()
    assert len(asyncio.all_tasks()) == 1


async def heard(server: RedisServer, tag: str, *, by: int = 1) -> None:
    """Wait until so many listen to that worker's channel."""

    def subscribed() -> bool:
        with server.client() as client:
            return bool(client.pubsub_numsub(PREFIX + tag) == [(PREFIX + tag, by)])

    async with asyncio.timeout(SECONDS):
        while not subscribed():  # noqa: ASYNC110 - a server in another process tells nobody
            await asyncio.sleep(0.01)


async def echo(sender: str, body: bytes) -> bytes:
    """Answers with who asked what."""
    return sender.encode() + b" " + body


async def opened(server: RedisServer, tag: str) -> RedisBus:
    """A bus over Redis that listens."""
    bus = RedisBus(server.url, tag)
    await bus.start()
    await heard(server, tag)
    return bus


async def test_a_question_is_answered(make: MakeBus) -> None:
    """By the one who was asked, and each by its own answer."""
    one, two = await make("one000"), await make("two000")
    two.on("echo", echo)
    answers = await asyncio.gather(*(one.ask("two000", "echo", b"%d" % n) for n in range(100)))
    assert answers == [b"one000 %d" % n for n in range(100)]


async def test_whoever_is_told_hears_it(make: MakeBus) -> None:
    """Bytes of any kind; there is no answer."""
    one, two = await make("one000"), await make("two000")
    told: list[tuple[str, bytes]] = []

    async def take(sender: str, body: bytes) -> None:
        told.append((sender, body))

    two.on("tell", take)
    assert await one.tell("two000", "tell", bytes(range(256)))
    async with asyncio.timeout(SECONDS):
        await until(lambda: bool(told))
    assert told == [("one000", bytes(range(256)))]
    assert not await one.tell("nobody", "tell", b"")


async def test_nobody_is_there(make: MakeBus) -> None:
    """Known at once, however patient the asker is."""
    one = await make("one000")
    async with asyncio.timeout(SECONDS):
        with pytest.raises(NobodyThere):
            await one.ask("nobody", "echo", b"")


async def test_an_answer_that_does_not_come_in_time(make: MakeBus) -> None:
    """The sibling lives, but can't say."""
    one, two = await make("one000"), await make("two000")

    async def never(sender: str, body: bytes) -> None:
        await asyncio.get_running_loop().create_future()

    two.on("echo", never)
    with pytest.raises(StoreUnavailable):
        await one.ask("two000", "echo", b"", within_seconds=0.2)


async def test_a_slow_answer_is_waited_for_and_asked_for_once(make: MakeBus) -> None:
    """The question is repeated, the work is not."""
    one, two = await make("one000"), await make("two000")
    asked = 0

    async def slow(sender: str, body: bytes) -> bytes:
        nonlocal asked
        asked += 1
        await asyncio.sleep(1.5)
        return b"done"

    two.on("echo", slow)
    assert await one.ask("two000", "echo", b"") == b"done"
    assert asked == 1


async def test_lists_are_read_from_any_entry_on(make: MakeBus) -> None:
    """In order, each worker from where it was, and what is too old not at all."""
    one, two = await make("one000"), await make("two000")
    names = [await one.append("p:list", b"%d" % n, keep_seconds=60.0) for n in range(10)]
    assert await two.read("p:list", "0") == [(name, b"%d" % n) for n, name in enumerate(names)]
    assert [data for _, data in await two.read("p:list", names[6])] == [b"7", b"8", b"9"]
    assert await two.read("p:list", names[-1]) == []
    await one.append("p:list", b"10", keep_seconds=60.0, oldest=names[8])
    assert [data for _, data in await two.read("p:list", "0")] == [b"8", b"9", b"10"]
    await two.drop("p:list")
    assert await one.read("p:list", "0") == []


async def test_long_lists_come_in_parts(make: MakeBus) -> None:
    """Whoever asks again after the last entry gets them all."""
    one = await make("one000")
    for number in range(200):
        await one.append("p:long", b"%d" % number, keep_seconds=60.0)
    found, after = list[bytes](), "0"
    while entries := await one.read("p:long", after):
        after = entries[-1][0]
        found += [data for _, data in entries]
    assert found == [b"%d" % number for number in range(200)]
    await one.drop("p:long")


async def test_values_are_there_until_they_are_dropped(make: MakeBus) -> None:
    """The last one counts."""
    one, two = await make("one000"), await make("two000")
    assert await two.get("p:value") is None
    await one.put("p:value", b"a", keep_seconds=60.0)
    await one.put("p:value", b"\x00b", keep_seconds=60.0)
    assert await two.get("p:value") == b"\x00b"
    await one.drop("p:value")
    assert await two.get("p:value") is None
    await one.drop("p:value")


async def test_lists_and_values_expire(make: MakeBus) -> None:
    """A list some time after its last entry."""
    one = await make("one000")
    await one.append("p:short", b"a", keep_seconds=0.3)
    await one.append("p:kept", b"a", keep_seconds=0.3)
    await one.append("p:kept", b"b", keep_seconds=60.0)
    await one.put("p:brief", b"a", keep_seconds=0.3)
    async with asyncio.timeout(SECONDS):
        while await one.read("p:short", "0") or await one.get("p:brief"):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)
    assert [data for _, data in await one.read("p:kept", "0")] == [b"a", b"b"]
    await one.drop("p:kept")


async def test_a_handler_that_fails_fails_alone(make: MakeBus) -> None:
    """Others are answered; what was asked of it is not."""
    one, two = await make("one000"), await make("two000")

    async def away(sender: str, body: bytes) -> bytes:
        raise StoreUnavailable("away")

    two.on("away", away)
    two.on("echo", echo)
    with pytest.raises(StoreUnavailable):
        await one.ask("two000", "away", b"", within_seconds=0.2)
    assert await one.ask("two000", "echo", b"x") == b"one000 x"


async def test_a_worker_that_closed_is_nobody_at_once(redis: RedisServer) -> None:
    """It takes its sign of life along."""
    one, two = await opened(redis, "one000"), await opened(redis, "two000")
    await two.close()
    with redis.client() as client:
        assert not client.exists(f"{PREFIX}two000")
    async with asyncio.timeout(SECONDS):
        with pytest.raises(NobodyThere):
            await one.ask("two000", "echo", b"")
    await one.close()


async def test_a_worker_that_was_killed_is_nobody_soon(redis: RedisServer) -> None:
    """Its sign of life outlives it for some seconds, in which nobody hears its channel."""
    one = await opened(redis, "one000")
    await one.put(f"{PREFIX}killed", b"1", keep_seconds=10.0)
    async with asyncio.timeout(SECONDS / 2):
        with pytest.raises(NobodyThere):
            await one.ask("killed", "echo", b"")
    await one.drop(f"{PREFIX}killed")
    await one.close()


async def test_a_worker_that_lost_its_subscription_is_found_again(redis: RedisServer) -> None:
    """It was cut off by the server; meanwhile nobody takes it for dead."""
    one, two = await opened(redis, "one000"), await opened(redis, "two000")
    two.on("echo", echo)
    for _ in range(3):
        with redis.client() as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        assert await one.ask("two000", "echo", b"x") == b"one000 x"
        await heard(redis, "one000")
    assert two.losses == 3
    await one.close()
    await two.close()


@pytest.mark.parametrize("moment_seconds", [0.0, 0.1, 0.7])
async def test_a_redis_that_was_stopped_and_started(redis: RedisServer, moment_seconds: float) -> None:
    """Whatever is asked meanwhile fails as `away`; nobody is taken for dead, though Redis knows nobody at first."""
    one, two = await opened(redis, "one000"), await opened(redis, "two000")
    two.on("echo", echo)
    redis.stop()
    with pytest.raises(StoreUnavailable):
        await one.ask("two000", "echo", b"x")
    with pytest.raises(StoreUnavailable):
        await one.append("p:list", b"x", keep_seconds=1.0)
    with pytest.raises(StoreUnavailable):
        await one.get("p:value")
    await asyncio.sleep(moment_seconds)
    redis.start()
    async with asyncio.timeout(SECONDS):
        while True:
            with suppress(StoreUnavailable):
                assert await one.ask("two000", "echo", b"x") == b"one000 x"
                break
    assert one.losses == two.losses == 1
    async with asyncio.timeout(SECONDS):
        with pytest.raises(NobodyThere):
            await one.ask("nobody", "echo", b"x")
    await one.close()
    await two.close()


async def test_a_redis_that_hangs_is_away_soon(redis: RedisServer) -> None:
    """And a bus that is closed meanwhile closes soon."""
    one = await opened(redis, "one000")
    redis.freeze()
    try:
        async with asyncio.timeout(SECONDS):
            with pytest.raises(StoreUnavailable):
                await one.ask("two000", "echo", b"x")
            await one.close()
    finally:
        redis.thaw()
    assert len(asyncio.all_tasks()) == 1


async def test_a_bus_whose_redis_never_was_there(redis: RedisServer) -> None:
    """It starts, says so when asked, and hears as soon as there is one."""
    redis.stop()
    one = RedisBus(redis.url, "one000")
    await one.start()
    with pytest.raises(StoreUnavailable):
        await one.tell("two000", "tell", b"")
    redis.start()
    await heard(redis, "one000")
    await one.close()


async def test_closing_leaves_nothing_behind(redis: RedisServer) -> None:
    """Whatever goes on: no task, no connection, no sign of life."""
    for _ in range(5):
        one, two = await opened(redis, "one000"), await opened(redis, "two000")
        two.on("echo", echo)
        crowd = [asyncio.ensure_future(one.ask("two000", "echo", b"x")) for _ in range(50)]
        await asyncio.sleep(0)
        for task in crowd:
            task.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)
        await asyncio.gather(one.close(), two.close())
    assert len(asyncio.all_tasks()) == 1
    gc.collect()
    with redis.client() as client:
        assert client.keys(f"{PREFIX}*") == []
        async with asyncio.timeout(SECONDS):
            while len(client.client_list()) > 1:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
