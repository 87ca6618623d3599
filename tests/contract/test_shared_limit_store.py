"""What only the shared home of limits does: leases, outages, a server that comes back empty.

What all homes do is in `test_limit_store.py`; several processes in `test_shared_processes.py`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress

import pytest
from structlog.testing import capture_logs

from service.config.settings import LimitSettings
from service.errors import StoreUnavailable
from service.limits.base import Kind, Meter, Need, Refusal, Reservation, Subject, Used
from service.limits.link import LinkDown
from service.limits.redis import RedisLink
from service.limits.shared import SharedLimitStore
from tests.contract.limit_steps import budget, meter
from tests.contract.shared_worker import shared_store
from tests.fakes.ledger_sums import LedgerSums, SummedRow
from tests.fakes.loops import until
from tests.fakes.redis_server import RedisAt, RedisServer, shared_server

AMPLE_SECONDS = 20
"""Far above what anything here takes: a busy machine is no failure."""
PROMPT_SECONDS = 2
"""The same for what answers within a tenth of a second."""

DEFAULTS = LimitSettings()
TOTAL = budget(1000, "total")
SLOTS = meter(Kind.CONCURRENCY, 8)
REQUESTS = meter(Kind.REQUESTS, 600, per_minute=600)


class Workers:
    """Stores of one server and one ledger; all are closed at the end."""

    def __init__(self, server: RedisAt) -> None:
        self.server = server
        self.ledger = LedgerSums()
        self._stack = AsyncExitStack()
        self._number = 0

    async def start(
        self, *, owner_seconds: float = 10.0, settings: LimitSettings = DEFAULTS
    ) -> SharedLimitStore:
        """One more."""
        self._number += 1
        owner = f"worker-{self._number}"
        store = shared_store(self.server.url, owner, self.ledger, owner_seconds, settings)
        await store.start()
        self._stack.push_async_callback(store.close)
        return store

    async def settle(self, store: SharedLimitStore, reservation: Reservation, nano_usd: int) -> None:
        """Its row is in the ledger at once, which is sooner than in truth."""
        now = time.time()
        row = SummedRow(
            subject=Subject.KEY, subject_id="k1", started_at=now, finished_at=now, nano_usd=nano_usd
        )
        self.ledger.rows.append(row)
        store.settle(reservation, Used(nano_usd=nano_usd, finished_at=now))

    @property
    def spent(self) -> int:
        """Nano-dollars of all rows."""
        return sum(row.nano_usd for row in self.ledger.rows)

    async def close(self) -> None:
        """All of them."""
        await self._stack.aclose()


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    """On the server that others use too, emptied."""
    shared_server().empty()
    found = Workers(shared_server())
    yield found
    await found.close()


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    """One that the test may stop."""
    with RedisServer() as server:
        yield server


@pytest.fixture
async def mortal(own_server: RedisServer) -> AsyncIterator[Workers]:
    """On a server that the test may stop."""
    found = Workers(own_server)
    yield found
    await found.close()


async def _ask(
    store: SharedLimitStore, meters: tuple[Meter, ...], nano_usd: int = 0
) -> Reservation | Refusal:
    async with asyncio.timeout(PROMPT_SECONDS):
        return await store.reserve(
            meters, Need(nano_usd=nano_usd), id="r", started_at=time.time(), lasts_seconds=600
        )


async def _reserve(store: SharedLimitStore, meters: tuple[Meter, ...], nano_usd: int = 0) -> Reservation:
    answer = await _ask(store, meters, nano_usd)
    assert not isinstance(answer, Refusal), answer
    return answer


async def _remaining(store: SharedLimitStore, of: Meter) -> int:
    (found,) = await store.levels((of,), now=time.time())
    return found.remaining


async def _busy(store: SharedLimitStore, meters: tuple[Meter, ...], nano_usd: int = 0) -> None:
    """Traffic enough for a lease of them all."""
    for _ in range(3):
        running = await asyncio.gather(*(_reserve(store, meters, nano_usd) for _ in range(6)))
        for reservation in running:
            store.settle(reservation, Used(finished_at=time.time()))
        await store.flush()


async def _away(store: SharedLimitStore) -> None:
    """Until it has noticed."""
    async with asyncio.timeout(AMPLE_SECONDS):
        while store.state()["redis"] != "open":
            with pytest.raises(StoreUnavailable):
                await _ask(store, (TOTAL,), 1)


async def _noticed(*stores: SharedLimitStore) -> None:
    """Until they have, whatever their policies are: someone looks at a level, and so they ask Redis."""
    async with asyncio.timeout(AMPLE_SECONDS):
        for store in stores:
            while store.state()["redis"] != "open":
                with suppress(StoreUnavailable, LinkDown):
                    await store.levels((TOTAL,), now=time.time())


async def _back(*stores: SharedLimitStore) -> None:
    async with asyncio.timeout(AMPLE_SECONDS):
        await until(
            lambda: all(
                store.state()["redis"] == "closed" and store.state()["budgets"] == "shared"
                for store in stores
            )
        )


# Leases


async def test_a_request_that_a_lease_covers_does_not_wait(workers: Workers) -> None:
    store = await workers.start()
    meters = (REQUESTS, SLOTS, budget(10_000, "total"))
    await _busy(store, meters, 10)
    step = store.reserve(meters, Need(nano_usd=10), id="r", started_at=time.time(), lasts_seconds=60)
    with pytest.raises(StopIteration) as answer:
        step.send(None)
    assert not isinstance(answer.value.value, Refusal)


async def test_what_one_worker_has_in_advance_another_gets_when_it_needs_it(workers: Workers) -> None:
    """Nobody with money left is refused for longer than a blink."""
    one, other = await workers.start(), await workers.start()
    await _busy(one, (TOTAL,), 10)
    assert one._registry.accounts["b:key:k1:usd:total:0"].idle > 0
    await _reserve(other, (TOTAL,), 1000)
    assert isinstance(await _ask(one, (TOTAL,), 1), Refusal)


async def test_leases_of_a_worker_that_closes_are_everybodys_at_once(workers: Workers) -> None:
    one, other = await workers.start(), await workers.start()
    await _busy(one, (TOTAL, SLOTS), 10)
    await one.close()
    for _ in range(SLOTS.capacity):
        await _reserve(other, (TOTAL, SLOTS), 125)


async def test_a_stream_that_was_extended_lets_go_of_all_when_it_ends(workers: Workers) -> None:
    one, other = await workers.start(), await workers.start()
    stream = await _reserve(one, (TOTAL,), 100)
    assert one.extend(stream, nano_usd=500, tokens=0)
    assert not one.extend(stream, nano_usd=401, tokens=0)
    assert isinstance(await _ask(other, (TOTAL,), 401), Refusal)
    one.settle(stream, Used(nano_usd=550, finished_at=time.time()))
    await one.flush()
    assert await _remaining(other, TOTAL) == 450
    await _reserve(other, (TOTAL,), 450)


async def test_a_request_whose_client_leaves_while_it_is_asked_holds_nothing(workers: Workers) -> None:
    store = await workers.start()
    await _remaining(store, TOTAL)
    for turns in range(6):
        asking = asyncio.ensure_future(_ask(store, (SLOTS, TOTAL), 100))
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    await store.flush()
    assert [await _remaining(store, each) for each in (SLOTS, TOTAL)] == [8, 1000]


async def test_what_exceeds_its_bound_is_told(workers: Workers) -> None:
    overruns: list[tuple[str, int]] = []
    store = await workers.start()
    store._on_overrun = lambda of, amount: overruns.append((of.name, amount))
    reservation = await _reserve(store, (TOTAL, SLOTS), 10)
    store.settle(reservation, Used(nano_usd=17, finished_at=time.time()))
    assert overruns == [(TOTAL.name, 7)]


# The link


async def test_a_script_that_the_server_forgot_is_sent_again(workers: Workers) -> None:
    store = await workers.start()
    with workers.server.client() as client:
        client.script_flush()
    await _reserve(store, (TOTAL,), 10)
    with workers.server.client() as client:
        client.script_flush()
    assert store.extend(await _reserve(store, (TOTAL,), 10), nano_usd=5, tokens=0)


async def test_a_cancelled_command_leaves_no_answer_to_be_read_by_the_next(workers: Workers) -> None:
    link = RedisLink(workers.server.url)
    hello = b"\x96\xa1x\xc2\x01\x01\x00\x00"
    await link.call("hello", hello)
    for turns in range(4):
        calling = asyncio.ensure_future(link.call("hello", hello[:4] + bytes([turns + 2]) + hello[5:]))
        for _ in range(turns):
            await asyncio.sleep(0)
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
    assert await link.call("hello", hello[:4] + b"\x64" + hello[5:]) != b"\x90"
    await link.close()


async def test_a_server_that_answers_nothing_is_given_up(own_server: RedisServer) -> None:
    link = RedisLink(own_server.url)
    own_server.freeze()
    for ask in (link.call, lambda script, payload: asyncio.to_thread(link.call_now, script, payload)):
        async with asyncio.timeout(PROMPT_SECONDS):
            with pytest.raises(LinkDown):
                await ask("hello", b"\x96\xa1x\xc2\x01\x01\x00\x00")
    own_server.thaw()
    await link.close()


# Outages


@pytest.mark.parametrize("how", ["stopped", "frozen"])
async def test_while_redis_is_away_every_request_is_answered_by_policy_and_then_it_recovers(
    mortal: Workers, own_server: RedisServer, how: str
) -> None:
    store = await mortal.start()
    before = await _reserve(store, (TOTAL,), 100)
    with capture_logs() as logs:
        own_server.stop() if how == "stopped" else own_server.freeze()
        await _away(store)
        for _ in range(50):
            with pytest.raises(StoreUnavailable):
                await _ask(store, (TOTAL, SLOTS), 1)
            await _reserve(store, (REQUESTS,))
        await mortal.settle(store, before, 60)
        assert not store.extend(before, nano_usd=1, tokens=0)
        own_server.start() if how == "stopped" else own_server.thaw()
        await _back(store)
        await _reserve(store, (TOTAL, REQUESTS), 1)
    assert [line["event"] for line in logs] == ["limits.redis_away", "limits.redis_back"]


@pytest.mark.parametrize(
    ("policies", "passes"),
    [
        pytest.param(DEFAULTS, [True, True, False, False], id="rates-by-share-budgets-closed"),
        pytest.param(LimitSettings(rates_without_redis="open"), [True, True, True, False], id="rates-open"),
        pytest.param(LimitSettings(rates_without_redis="closed"), [False] * 4, id="all-closed"),
        pytest.param(
            LimitSettings(budgets_without_redis="open"), [True, True, False, True], id="budgets-open"
        ),
        pytest.param(
            LimitSettings(budgets_without_redis="local"), [True, True, False, True], id="budgets-by-share"
        ),
    ],
)
async def test_who_passes_without_redis(
    mortal: Workers, own_server: RedisServer, policies: LimitSettings, passes: list[bool]
) -> None:
    """Two workers share four slots: two for each. The fourth asks for a fifth of a budget."""
    store, _ = await mortal.start(settings=policies), await mortal.start()
    slots = meter(Kind.CONCURRENCY, 4)
    await _remaining(store, TOTAL)
    await store.flush()
    own_server.stop()
    with capture_logs():
        await _noticed(store)
    found: list[bool] = []
    for meters, nano_usd in (((slots,), 0), ((slots,), 0), ((slots,), 0), ((TOTAL,), 200)):
        try:
            found.append(not isinstance(await _ask(store, meters, nano_usd), Refusal))
        except StoreUnavailable:
            found.append(False)
    assert found == passes


async def test_a_budget_by_share_is_not_exceeded_by_its_workers_together(
    mortal: Workers, own_server: RedisServer
) -> None:
    stores = [await mortal.start(settings=LimitSettings(budgets_without_redis="local")) for _ in range(3)]
    await _reserve(stores[0], (TOTAL,), 100)
    for store in stores:
        await _remaining(store, TOTAL)
    own_server.stop()
    admitted = 0
    with capture_logs():
        await _noticed(*stores)
    for store in stores:
        while not isinstance(await _ask(store, (TOTAL,), 50), Refusal):
            admitted += 50
    assert 600 <= admitted <= 900


async def test_a_server_that_comes_back_empty_counts_what_the_ledger_has_and_nothing_twice(
    mortal: Workers,
    own_server: RedisServer,
) -> None:
    """Settled before it went, while it was away, and after; one that runs all the while stays held."""
    one, other = await mortal.start(), await mortal.start()
    running = [await _reserve(store, (TOTAL, SLOTS), 50) for store in (one, other, one, other)]
    await mortal.settle(one, running[0], 11)
    await one.flush()
    await mortal.settle(other, running[1], 13)
    own_server.stop()
    with capture_logs():
        await _away(one)
        await mortal.settle(one, running[2], 17)
        own_server.start()
        await _back(one, other)
    assert await _remaining(other, TOTAL) == 1000 - (11 + 13 + 17) - 50
    await mortal.settle(other, running[3], 19)
    await other.flush()
    last = await _reserve(one, (TOTAL, SLOTS), 50)
    await mortal.settle(one, last, 23)
    await one.flush()
    for store in (one, other):
        assert [await _remaining(store, each) for each in (TOTAL, SLOTS)] == [1000 - mortal.spent, 8]
    await _reserve(other, (TOTAL,), 1000 - mortal.spent)


async def test_what_a_stream_was_extended_by_stays_held_when_the_server_comes_back_empty(
    mortal: Workers,
    own_server: RedisServer,
) -> None:
    one, other = await mortal.start(), await mortal.start()
    stream = await _reserve(one, (TOTAL,), 100)
    assert one.extend(stream, nano_usd=500, tokens=0)
    own_server.stop()
    with capture_logs():
        await _away(one)
        await _away(other)
        own_server.start()
        await _back(one, other)
    await one.flush()
    assert isinstance(await _ask(other, (TOTAL,), 401), Refusal)
    await mortal.settle(one, stream, 550)
    await one.flush()
    await _reserve(other, (TOTAL,), 450)


async def test_a_server_that_was_frozen_has_lost_nothing_and_does_nothing_twice(
    mortal: Workers, own_server: RedisServer
) -> None:
    """What it was told last may be done when it goes on, though nobody waits for the answer any more."""
    store = await mortal.start()
    running = [await _reserve(store, (TOTAL, SLOTS), 50) for _ in range(8)]
    for number, reservation in enumerate(running[:4]):
        await mortal.settle(store, reservation, 10 + number)
    own_server.freeze()
    with capture_logs():
        await _away(store)
        for number, reservation in enumerate(running[4:]):
            await mortal.settle(store, reservation, 20 + number)
        own_server.thaw()
        await _back(store)
    await store.flush()
    assert [await _remaining(store, each) for each in (TOTAL, SLOTS)] == [1000 - mortal.spent, 8]


async def test_who_was_taken_for_dead_comes_back_with_what_its_requests_hold(workers: Workers) -> None:
    one, other = await workers.start(owner_seconds=1.0), await workers.start(owner_seconds=1.0)
    running = await _reserve(one, (TOTAL, SLOTS), 600)
    assert one._work is not None
    one._work.cancel()
    async with asyncio.timeout(AMPLE_SECONDS):
        await until(lambda: other.state()["workers"] == "1")
        await _reserve(other, (TOTAL,), 1000 - 600)
        one._work = asyncio.ensure_future(one._courier.run())
        await until(lambda: one._courier.epoch == 2)
        await one.flush()
    assert isinstance(await _ask(other, (TOTAL,), 1), Refusal)
    await workers.settle(one, running, 500)
    await one.flush()
    assert [await _remaining(other, each) for each in (TOTAL, SLOTS)] == [100, 8]


async def test_without_redis_from_the_start_it_starts_and_joins_later(
    mortal: Workers, own_server: RedisServer
) -> None:
    own_server.stop()
    with capture_logs():
        store = await mortal.start()
        await _away(store)
        own_server.start()
        await _back(store)
    await _reserve(store, (TOTAL,), 1000)


async def test_a_database_that_is_slow_holds_no_request_up_for_long(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.limits.ledger_sums.WAIT_SECONDS", 0.01)
    store = await workers.start()
    workers.ledger.answers.clear()
    with pytest.raises(StoreUnavailable):
        await _ask(store, (TOTAL,), 1)
    workers.ledger.answers.set()
    await _reserve(store, (TOTAL,), 1)
