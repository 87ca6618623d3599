"""What the command does to the database before a server starts. For the main process, which stays small.

SQLite is brought up to date by itself, in a process of its own: Alembic and SQLAlchemy are 30 MB that
the main process would keep for good. PostgreSQL is shared, so its operator says when (`penstock db upgrade`).
"""

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from service import migrations
from service.config.mistakes import ConfigInvalid, Mistake
from service.config.settings import Settings, Store
from service.config.urls import without_password

SQLITE = "sqlite:///"

_UPGRADE = "import sys; from service.migrations import upgrade; upgrade(sys.argv[1])"


def prepare(settings: Settings) -> None:
    """Make the directories and, for SQLite, the tables. Raises ConfigInvalid where that is not possible."""
    store = settings.store
    file = sqlite_file(store)
    if file is not None:
        _make_directory(file.parent, "store.database", settings.source)
    _make_directory(Path(store.journal), "store.journal", settings.source)
    if file is None:
        return
    if migrations.sqlite_is_current(file):
        return
    done = subprocess.run(  # noqa: S603 - our own interpreter and code
        [sys.executable, "-c", _UPGRADE, store.database], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        reason = done.stderr.strip().rpartition("\n")[2]
        found = f"{without_password(store.database)}, which can't be brought up to date ({reason})"
        raise _invalid(settings.source, "store.database", found, "a SQLite file that can be written")


def has_keys(store: Store) -> bool:
    """Whether the database holds a key, revoked ones too.

    One that can't be read may hold some: then the server starts, and nobody is let in before it can.
    """
    file = sqlite_file(store)
    if file is not None:
        return _file_has_keys(file)
    return asyncio.run(_any_ever(store))


def sqlite_file(store: Store) -> Path | None:
    """The database's file; None for PostgreSQL."""
    if not store.database.startswith(SQLITE):
        return None
    return Path(store.database.removeprefix(SQLITE).partition("?")[0])


def _file_has_keys(file: Path) -> bool:
    if not file.exists():
        return False
    try:
        with closing(sqlite3.connect(file, timeout=5)) as connection:
            return connection.execute("SELECT 1 FROM api_keys LIMIT 1").fetchone() is not None
    except sqlite3.OperationalError as error:
        return "no such table" not in str(error)
    except sqlite3.DatabaseError:
        return True


async def _any_ever(store: Store) -> bool:
    from service.database import Database
    from service.errors import StoreUnavailable
    from service.keys.store import DatabaseKeyStore

    database = Database(store.database)
    try:
        return await DatabaseKeyStore(database).any_ever()
    except StoreUnavailable:
        return True
    finally:
        await database.close()


def _make_directory(path: Path, key: str, source: str | None) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        found = f"{path}, which can't be made ({error.strerror})"
        raise _invalid(source, key, found, "a directory that can be written") from None


def _invalid(source: str | None, key: str, found: str, expected: str) -> ConfigInvalid:
    return ConfigInvalid((Mistake(f"{source or 'defaults'}: {key}", found, expected),))
