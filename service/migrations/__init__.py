"""The database's schema over time: bring it up to date, and see whether it is. Loads only what it uses."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.database import Database

HEAD = "0002"
"""The revision that this version of Penstock works with."""

_REVISION = "SELECT version_num FROM alembic_version"


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database to `revision`, each step in a transaction; several processes may try at once.

    Blocks, and loads Alembic: never in a worker. Raises what the driver raises.
    """
    from service.migrations.run import run

    run(url, revision)


async def is_current(database: "Database") -> bool:
    """Whether the schema is the one that this version works with. Raises StoreUnavailable."""
    found = await revision_of(database)
    return found == HEAD


async def revision_of(database: "Database") -> str | None:
    """The schema's revision; None where there is none yet. Raises StoreUnavailable."""
    from sqlalchemy import inspect, text

    async with database.read() as connection:
        if not await connection.run_sync(lambda sync: inspect(sync).has_table("alembic_version")):
            return None
        revision: str | None = await connection.scalar(text(_REVISION))
        return revision


def sqlite_is_current(path: str | Path) -> bool:
    """The same for a SQLite file, with nothing but the standard library; False where there is no file."""
    file = Path(path)
    if not file.exists():
        return False
    try:
        with closing(sqlite3.connect(file, timeout=5)) as connection:
            return bool(connection.execute(_REVISION).fetchone() == (HEAD,))
    except sqlite3.Error:
        return False
