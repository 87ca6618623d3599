"""The servers that stores are tested against; each is started once, when a test first needs it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from service.database import Database
from service.migrations import upgrade
from tests.contract.homes import HOMES, Home
from tests.fakes.ledger_sums import LedgerSums
from tests.fakes.postgres_server import Postgres, new_database, shared_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for all tests."""
    with shared_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """A new, empty database on it for each module."""
    with new_database(postgres) as url:
        yield url


@pytest.fixture(scope="module")
def sqlite_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database file that isn't there yet, for each module."""
    return f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'penstock.db'}"


@pytest.fixture(scope="module", params=["sqlite_url", "postgres_url"], ids=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A database with our tables, of each kind in turn, for each module."""
    url: str = request.getfixturevalue(request.param)
    upgrade(url)
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """That database, opened for one test."""
    found = Database(database_url)
    yield found
    await found.close()


@pytest.fixture(params=HOMES)
async def home(request: pytest.FixtureRequest) -> AsyncIterator[Home]:
    """One home of limits after the other."""
    async with HOMES[request.param](LedgerSums()) as opened:
        yield opened
