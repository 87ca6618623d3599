"""The schema's way up from every version, on both databases."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from service.database import Database
from service.errors import StoreUnavailable
from service.migrations import HEAD, is_current, revision_of, sqlite_is_current, upgrade
from service.migrations.run import scripts
from service.tables import METADATA
from tests.fakes.postgres_server import Postgres, new_database

REVISIONS = [script.revision for script in ScriptDirectory.from_config(scripts()).walk_revisions()][::-1]
NewUrl = Callable[[], str]


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewUrl]:
    """`new_url()`: the address of a new, empty database."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            files = (f"sqlite:///{tmp_path / f'{number}.db'}" for number in range(100))
            yield lambda: next(files)
        else:
            server: Postgres = request.getfixturevalue("postgres")
            yield lambda: stack.enter_context(new_database(server))


def on(url: str, look: Callable[[Connection], object]) -> object:
    """What `look` finds in the database at `url`."""

    async def run() -> object:
        database = Database(url)
        try:
            async with database.begin() as connection:
                return await connection.run_sync(look)
        finally:
            await database.close()

    return asyncio.run(run())


def test_the_versions_are_one_line_that_ends_with_the_one_we_work_with() -> None:
    assert ScriptDirectory.from_config(scripts()).get_heads() == [HEAD]


@pytest.mark.parametrize("revision", [*REVISIONS, None])
def test_every_version_goes_up_to_the_tables_as_they_are_described(
    new_url: NewUrl, revision: str | None
) -> None:
    url = new_url()
    if revision is not None:
        upgrade(url, revision)
    upgrade(url)

    def differences(connection: Connection) -> object:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, METADATA)

    assert on(url, differences) == []
    assert on(url, indexes) == on(made_at_once(new_url()), indexes)


def indexes(connection: Connection) -> object:
    """All indexes with what they leave out, which the comparison above doesn't see."""
    found = inspect(connection)
    return {
        str(index["name"]): (
            index["column_names"],
            [str(value) for value in index.get("dialect_options", {}).values()],
        )
        for table in METADATA.tables
        for index in found.get_indexes(table)
    }


def made_at_once(url: str) -> str:
    on(url, METADATA.create_all)
    return url


def test_a_second_upgrade_changes_nothing_and_loses_nothing(new_url: NewUrl) -> None:
    url = new_url()
    upgrade(url)
    on(
        url,
        lambda connection: connection.execute(
            text("INSERT INTO subject_limits VALUES ('user', 'u', '{}', 1)")
        ),
    )
    upgrade(url)
    count = on(url, lambda connection: connection.scalar(text("SELECT count(*) FROM subject_limits")))
    assert count == 1


def test_several_may_upgrade_at_once(new_url: NewUrl) -> None:
    url = new_url()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(upgrade, [url] * 4))
    assert (
        on(url, lambda connection: connection.scalar(text("SELECT version_num FROM alembic_version"))) == HEAD
    )


def test_a_database_of_a_newer_version_is_left_alone(new_url: NewUrl) -> None:
    url = new_url()
    upgrade(url)
    on(url, lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(StoreUnavailable, match="newer version"):
        upgrade(url)


def test_it_is_current_only_after_the_upgrade(new_url: NewUrl) -> None:
    async def current(url: str) -> tuple[bool, str | None]:
        database = Database(url)
        try:
            return await is_current(database), await revision_of(database)
        finally:
            await database.close()

    url = new_url()
    assert asyncio.run(current(url)) == (False, None)
    upgrade(url)
    assert asyncio.run(current(url)) == (True, HEAD)


def test_a_sqlite_file_is_looked_at_without_the_library(tmp_path: Path) -> None:
    file = tmp_path / "penstock.db"
    assert not sqlite_is_current(file)
    assert not file.exists()
    upgrade(f"sqlite:///{file}")
    assert sqlite_is_current(file)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    assert not sqlite_is_current(file)
    (tmp_path / "text.db").write_text("no database" * 1000)
    assert not sqlite_is_current(tmp_path / "text.db")


def test_looking_loads_no_library_and_a_worker_never_loads_alembic() -> None:
    program = """
import sys, service.migrations
service.migrations.sqlite_is_current("nowhere.db")
assert "sqlalchemy" not in sys.modules
import service.database, service.usage.store
assert "sqlalchemy" in sys.modules and "alembic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
