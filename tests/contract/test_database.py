"""Transactions on both databases, and what happens while one is away."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from service.database import Database
from service.errors import StoreUnavailable
from service.tables import SUBJECT_LIMITS
from tests.fakes.postgres_server import NoPostgres, PostgresAt, PostgresServer, new_database, postgres_server

SECRET = "hunter2-not-in-messages"


@asynccontextmanager
async def opened(url: str, **options: float) -> AsyncIterator[Database]:
    database = Database(url, **options)
    try:
        yield database
    finally:
        await database.close()


def limits_of(subject_id: str) -> dict[str, object]:
    return {"subject": "user", "subject_id": subject_id, "limits": "{}", "changed_at": 1.5}


async def ids(database: Database) -> set[str]:
    async with database.read() as connection:
        return set(await connection.scalars(select(SUBJECT_LIMITS.c.subject_id)))


async def add(database: Database, subject_id: str) -> None:
    async with database.begin() as connection:
        await connection.execute(insert(SUBJECT_LIMITS), limits_of(subject_id))


async def test_what_a_transaction_wrote_is_there_for_others(database: Database, database_url: str) -> None:
    await add(database, "committed")
    async with opened(database_url) as other:
        assert "committed" in await ids(other)


async def test_an_error_undoes_all_of_a_transaction(database: Database) -> None:
    async def fail() -> None:
        async with database.begin() as connection:
            await connection.execute(insert(SUBJECT_LIMITS), limits_of("undone"))
            raise RuntimeError("ours")

    with pytest.raises(RuntimeError, match="ours"):
        await fail()
    assert "undone" not in await ids(database)


async def test_a_cancelled_transaction_is_undone_and_holds_no_lock(database: Database) -> None:
    begun = asyncio.Event()

    async def forever() -> None:
        async with database.begin() as connection:
            await connection.execute(insert(SUBJECT_LIMITS), limits_of("cancelled"))
            begun.set()
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(forever())
        await begun.wait()
        task.cancel()
    await add(database, "after the cancelled one")
    assert "cancelled" not in await ids(database)


async def test_what_is_there_twice_is_told_as_it_is(database: Database) -> None:
    await add(database, "twice")
    with pytest.raises(IntegrityError) as caught:
        await add(database, "twice")
    assert "twice" not in str(caught.value).partition("DETAIL")[0]


async def test_reading_waits_for_no_writer_and_sees_one_moment(database: Database) -> None:
    async with database.begin() as writing:
        await writing.execute(insert(SUBJECT_LIMITS), limits_of("not yet"))
        assert "not yet" not in await ids(database)
    async with database.read() as reading:
        before = set(await reading.scalars(select(SUBJECT_LIMITS.c.subject_id)))
        await add(database, "meanwhile")
        assert set(await reading.scalars(select(SUBJECT_LIMITS.c.subject_id))) == before


async def test_a_statement_that_fails_is_the_stores_fault_and_says_nothing_of_it(database: Database) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        async with database.begin() as connection:
            await connection.execute(text("SELECT * FROM nowhere WHERE x = :secret"), {"secret": SECRET})
    assert "nowhere" not in caught.value.detail
    assert SECRET not in repr(caught.value.__cause__)


async def test_writers_of_several_processes_take_turns(database_url: str) -> None:
    """Each has a connection of its own, as a worker would; none is told that the database is locked."""
    async with opened(database_url) as one, opened(database_url) as other, asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(add((one, other)[number % 2], f"turn {number}"))
    async with opened(database_url) as found:
        assert {f"turn {number}" for number in range(20)} <= await ids(found)


async def test_sqlite_that_another_process_keeps_locked_is_unavailable(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'made' / 'on the way.db'}"
    async with opened(url) as holder, opened(url, write_seconds=0.05) as waiting:
        async with holder.begin() as connection:
            await connection.execute(text("CREATE TABLE held (x)"))
            with pytest.raises(StoreUnavailable):
                async with waiting.begin():
                    pass
        async with waiting.begin() as connection:
            await connection.execute(text("INSERT INTO held VALUES (1)"))


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_that_would_be_gone_at_once_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="needs a file"):
        Database(url)


async def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is not a database, and long enough to be looked at" * 100)
    async with opened(f"sqlite:///{tmp_path / 'text.db'}") as database:
        with pytest.raises(StoreUnavailable):
            async with database.read():
                pass


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """A server that this module may stop."""
    with postgres_server() as server:
        yield server


async def one(database: Database) -> int:
    async with database.begin() as connection:
        found: int = await connection.scalar(text("SELECT 1")) or 0
        return found


async def test_postgres_gone_is_unavailable_and_comes_back_by_itself(own_server: PostgresServer) -> None:
    async with opened(own_server.url) as database:
        assert await one(database) == 1
        await asyncio.to_thread(own_server.stop)
        with pytest.raises(StoreUnavailable):
            await one(database)
        await asyncio.to_thread(own_server.start)
        assert await one(database) == 1


async def test_postgres_gone_in_the_middle_of_a_transaction_is_unavailable(
    own_server: PostgresServer,
) -> None:
    async def stop_in_the_middle(database: Database) -> None:
        async with database.begin() as connection:
            await connection.execute(text("SELECT 1"))
            await asyncio.to_thread(own_server.stop)
            await connection.execute(text("SELECT 1"))

    async with opened(own_server.url) as database:
        with pytest.raises(StoreUnavailable):
            await stop_in_the_middle(database)
        await asyncio.to_thread(own_server.start)


async def test_postgres_that_says_nothing_is_unavailable(own_server: PostgresServer) -> None:
    """Both on a connection that stands and where a new one is needed."""
    async with opened(own_server.url, write_seconds=0.2) as database:
        await one(database)
        own_server.freeze()
        try:
            with pytest.raises(StoreUnavailable):
                await one(database)
        finally:
            own_server.thaw()
        assert await one(database) == 1


async def test_a_wrong_password_is_unavailable_and_not_shown(own_server: PostgresServer) -> None:
    user, _, place = own_server.url.rpartition("@")
    async with opened(f"{user.rpartition(':')[0]}:{SECRET}@{place}") as database:
        with pytest.raises(StoreUnavailable) as caught:
            await one(database)
    assert SECRET not in str(caught.value.__cause__)


async def test_sslmode_is_understood(own_server: PostgresServer) -> None:
    """This server has no TLS: "prefer" goes without, "require" doesn't."""
    async with opened(f"{own_server.url}?sslmode=prefer") as database:
        assert await one(database) == 1
    async with opened(f"{own_server.url}?sslmode=require") as database:
        with pytest.raises(StoreUnavailable):
            await one(database)


def test_a_server_for_tests_that_can_not_be_reached_says_what_to_do() -> None:
    with (
        pytest.raises(NoPostgres, match="PENSTOCK_TEST_DATABASE_URL"),
        new_database(PostgresAt("postgresql://nobody@127.0.0.1:1/postgres")),
    ):
        pass
