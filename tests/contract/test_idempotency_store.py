"""The store of idempotency keys: one behaviour, in memory, in SQLite and in PostgreSQL."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable

import pytest
from sqlalchemy import func, select

from service import migrations
from service.database import Database
from service.errors import StoreUnavailable
from service.idempotency.ports import Store
from service.idempotency.record import Answer, Claim, Record
from service.idempotency.store import SWEEP_ROWS, DatabaseIdempotencyStore
from service.tables import IDEMPOTENCY
from tests.contract.idempotency_worker import KEYS
from tests.fakes.idempotency import MemoryIdempotencyStore

SCOPE, BODY, OTHER_BODY = b"\x00" * 32, bytes(range(32)), b"\xff" * 32
FIRST, SECOND = Claim(SCOPE, BODY, "first"), Claim(SCOPE, OTHER_BODY, "second")
ANSWER = Answer(
    422, [(b"content-type", b"application/json"), (b"x", b"\xe9, \"'; --")], b"\x00{\xff}" * 5_000
)
RUNNING = Record("first", BODY, "one", running=True)

OpenStore = Callable[[float], Store]


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str | None:
    """The address of a database with our tables; None: in memory."""
    if request.param == "memory":
        return None
    found: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    migrations.upgrade(found)
    return found


@pytest.fixture
async def open_store(url: str | None) -> AsyncIterator[OpenStore]:
    """`open_store(claim_seconds)`: stores of that many seconds on the same, first empty, table."""
    if url is None:
        rows = MemoryIdempotencyStore().rows

        def in_memory(claim_seconds: float) -> Store:
            store = MemoryIdempotencyStore(claim_seconds=claim_seconds)
            store.rows = rows
            return store

        yield in_memory
        return
    database = Database(url)
    try:
        async with database.begin() as connection:
            await connection.execute(IDEMPOTENCY.delete())
        yield lambda claim_seconds: DatabaseIdempotencyStore(database, claim_seconds=claim_seconds)
    finally:
        await database.close()


@pytest.fixture
def store(open_store: OpenStore) -> Store:
    """One whose claims last longer than any test."""
    return open_store(3600.0)


async def test_one_claim_stands_in_the_way_of_others(store: Store) -> None:
    """Of the same body or another; other keys are free."""
    assert await store.claim(FIRST, "one", "") is None
    assert await store.claim(SECOND, "two", "") == RUNNING
    assert await store.claim(FIRST, "one", "") == RUNNING
    assert await store.claim(Claim(OTHER_BODY, BODY, "third"), "two", "") is None


async def test_a_kept_answer_comes_back_as_it_was(store: Store) -> None:
    """Every byte of it; and a dead claim's id doesn't open it."""
    await store.claim(FIRST, "one", "")
    await store.keep(FIRST, "one", ANSWER)
    kept = Record("first", BODY, "one", running=False, answer=ANSWER)
    assert await store.claim(SECOND, "two", "") == kept
    assert await store.claim(SECOND, "two", "first") == kept


async def test_a_forgotten_key_is_free(store: Store) -> None:
    """Whose claim it isn't can't forget it."""
    await store.claim(FIRST, "one", "")
    await store.forget(SECOND)
    assert await store.claim(SECOND, "two", "") == RUNNING
    await store.forget(FIRST)
    assert await store.claim(SECOND, "two", "") is None


async def test_a_dead_claim_is_taken_over(store: Store) -> None:
    """Only the one that is meant; and the dead one's answer comes too late."""
    await store.claim(FIRST, "one", "")
    assert await store.claim(SECOND, "two", "another") == RUNNING
    assert await store.claim(SECOND, "two", "first") is None
    await store.keep(FIRST, "one", ANSWER)
    await store.stream(FIRST, "s")
    await store.end_stream(FIRST)
    await store.forget(FIRST)
    second = Record("second", OTHER_BODY, "two", running=True)
    assert await store.claim(FIRST, "one", "") == second


async def test_a_claim_that_nobody_renews_expires(open_store: OpenStore) -> None:
    """Its answer is kept all the same where nobody came meanwhile."""
    brief, long = open_store(0.0), open_store(3600.0)
    await brief.claim(FIRST, "one", "")
    assert await long.claim(SECOND, "two", "") is None
    await brief.renew([SECOND], "two")
    assert await brief.claim(FIRST, "one", "") is None
    await long.sweep()
    await long.keep(FIRST, "one", ANSWER)
    found = await long.claim(SECOND, "two", "")
    assert found is not None and found.answer == ANSWER


async def test_what_still_runs_is_renewed(open_store: OpenStore) -> None:
    """By its own worker."""
    brief, long = open_store(0.0), open_store(3600.0)
    await brief.claim(FIRST, "one", "")
    await long.renew([FIRST], "two")
    assert await brief.claim(FIRST, "one", "") is None
    await long.renew([FIRST], "one")
    assert await long.claim(SECOND, "two", "") == RUNNING


async def test_a_stream_is_noted_from_its_beginning_to_its_end(open_store: OpenStore) -> None:
    """Once it ended, it is no running claim any more: neither taken over nor expired."""
    store = open_store(3600.0)
    await store.claim(FIRST, "one", "")
    await store.stream(FIRST, "stream-1")
    streaming = Record("first", BODY, "one", running=True, stream_id="stream-1")
    assert await store.claim(SECOND, "two", "") == streaming
    await store.end_stream(FIRST)
    await open_store(0.0).renew([FIRST], "one")
    streamed = Record("first", BODY, "one", running=False, stream_id="stream-1")
    assert await store.claim(SECOND, "two", "first") == streamed


async def test_a_sweep_deletes_what_has_expired_and_nothing_else(
    url: str | None, open_store: OpenStore
) -> None:
    """However much it is."""
    brief, long = open_store(0.0), open_store(3600.0)
    count = SWEEP_ROWS + 1 if url is not None and url.startswith("sqlite") else 3
    for number in range(count):
        await brief.claim(Claim(b"%032d" % number, BODY, f"claim-{number}"), "one", "")
    await long.claim(FIRST, "one", "")
    await long.sweep()
    assert await long.claim(SECOND, "two", "") == RUNNING
    if url is not None:
        database = Database(url)
        async with database.read() as connection:
            assert await connection.scalar(select(func.count()).select_from(IDEMPOTENCY)) == 1
        await database.close()


async def test_many_claims_are_renewed_at_once(open_store: OpenStore) -> None:
    """More than one statement may name."""
    brief, long = open_store(0.0), open_store(3600.0)
    claims = [Claim(b"%032d" % number, BODY, f"claim-{number}") for number in range(1500)]
    await brief.claim(claims[-1], "one", "")
    await long.renew(claims, "one")
    assert await long.claim(claims[-1], "two", "") is not None


async def test_of_two_processes_one_wins_each_key(database_url: str) -> None:
    """They want all keys at the same time; between them they get each of them once."""
    workers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.contract.idempotency_worker", database_url, tag),
            stdin=PIPE,
            stdout=PIPE,
        )
        for tag in ("one", "two")
    ]

    async def hears(worker: asyncio.subprocess.Process) -> str:
        assert worker.stdout is not None
        return (await worker.stdout.readline()).decode().strip()

    try:
        async with asyncio.timeout(60):
            assert [await hears(worker) for worker in workers] == ["ready", "ready"]
            for worker in workers:
                assert worker.stdin is not None
                worker.stdin.write(b"go\n")
            got = [[int(key) for key in (await hears(worker)).split()] for worker in workers]
            assert [await worker.wait() for worker in workers] == [0, 0]
    finally:
        for worker in workers:
            if worker.returncode is None:
                worker.kill()
                await worker.wait()
            worker._transport.close()  # type: ignore[attr-defined]  # asyncio leaves its pipes open
    assert sorted(got[0] + got[1]) == list(range(KEYS))


async def test_a_database_that_is_away_is_said_to_be() -> None:
    """By every method."""
    database = Database("postgresql://nobody@127.0.0.1:9/none")
    store = DatabaseIdempotencyStore(database)
    for attempt in (
        store.claim(FIRST, "one", ""),
        store.renew([FIRST], "one"),
        store.keep(FIRST, "one", ANSWER),
        store.stream(FIRST, "s"),
        store.end_stream(FIRST),
        store.forget(FIRST),
        store.sweep(),
    ):
        with pytest.raises(StoreUnavailable):
            await attempt
    await database.close()
