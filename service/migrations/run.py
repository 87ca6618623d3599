"""Alembic, driven from Python: no ini file, the scripts beside this module, our own connections."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, text

from service.database import Database
from service.errors import StoreUnavailable

LOCK = 0x70656E73746F636B
"""PostgreSQL's advisory lock (the word `penstock`), so that two starting servers don't migrate at once."""

STATEMENT_SECONDS = 3600.0
"""For one statement of a migration, and for the wait until another process has finished its own."""


def run(url: str, revision: str) -> None:
    """Bring the database at `url` to `revision`, in one transaction. Raises StoreUnavailable."""
    asyncio.run(migrate(url, revision))


def scripts() -> Config:
    """What Alembic needs to find the scripts, wherever this package is installed."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


async def migrate(url: str, revision: str) -> None:
    """The same, inside a running loop."""
    database = Database(url, write_seconds=STATEMENT_SECONDS)
    try:
        async with database.begin() as connection:
            await connection.run_sync(_upgrade, revision)
    except CommandError as error:
        raise StoreUnavailable("The database was made by a newer version of Penstock.") from error
    finally:
        await database.close()


def _upgrade(connection: Connection, revision: str) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    config = scripts()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
