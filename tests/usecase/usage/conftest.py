"""A ledger of its own for each test, in a file."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.database import Database
from service.migrations.run import migrate
from service.usage.store import LedgerStore


@pytest.fixture
def ledger_url(tmp_path: Path) -> str:
    """Where it is."""
    return f"sqlite:///{tmp_path / 'penstock.db'}"


@pytest.fixture
async def ledger(ledger_url: str) -> AsyncIterator[LedgerStore]:
    """The ledger, empty."""
    await migrate(ledger_url, "head")
    database = Database(ledger_url)
    yield LedgerStore(database)
    await database.close()
