"""The database: connections to SQLite or PostgreSQL, and what may be waited for.

Nothing here knows a table. Importing it loads SQLAlchemy (with its ORM, which its asynchronous
part can't do without), so a process that needs no database should not.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, ColumnElement, Double, event, literal_column, make_url, select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from service.errors import StoreUnavailable

CONNECT_SECONDS = 2.0
"""A server that doesn't answer by then is away."""

WRITE_SECONDS = 5.0
"""One statement of a writing transaction, and the wait for a connection or SQLite's lock."""

READ_SECONDS = 30.0
"""One statement of a reading transaction: reports may sum up millions of rows."""

SOON_SECONDS = 2.0
"""All of a read for what doesn't wait: who is asking, and news of a revoked key or a changed limit."""

CLOCK_STEP_SECONDS = 0.001
"""The least by which a row's time of change grows; SQLite's clock has milliseconds."""

POOL_CONNECTIONS = 4
"""To PostgreSQL, for each worker and each of writing and reading."""

SQLITE_READERS = 2
"""Each is a thread. SQLite has one writer at a time, so one connection writes."""

_CLOCKS: Final[dict[str, ColumnElement[float]]] = {
    "sqlite": literal_column("((julianday('now') - 2440587.5) * 86400.0)", Double()),
    # Of the moment, not of the transaction's start, which may have waited for another one's end.
    "postgresql": literal_column("extract(epoch from clock_timestamp())::double precision", Double()),
}


class Database:
    """One database, SQLite or PostgreSQL, for one event loop. Opens its connections when first needed.

    url: `sqlite:///FILE` (relative to the working directory; `sqlite:////FILE` is absolute; its
    directory is made) or `postgresql://…`; `sslmode` is understood as PostgreSQL's own tools do.
    dialect: "sqlite" or "postgresql". clock: its own time, Unix seconds, as a part of statements.
    """

    def __init__(self, url: str, *, write_seconds: float = WRITE_SECONDS) -> None:
        parsed = make_url(url)
        self.dialect = parsed.get_backend_name()
        self.clock = _CLOCKS[self.dialect]
        if self.dialect == "sqlite":
            _make_directory(parsed)
            self._writer = _open_sqlite(parsed, "BEGIN IMMEDIATE", 1, write_seconds)
            self._reader = _open_sqlite(parsed, "BEGIN", SQLITE_READERS, READ_SECONDS)
        else:
            self._writer = _open_postgres(parsed, write_seconds)
            self._reader = _open_postgres(parsed, READ_SECONDS, isolation_level="REPEATABLE READ")

    def begin(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction that may write: committed at the end, rolled back on an error.

        Raises StoreUnavailable for whatever the driver or the network does, but IntegrityError as
        it is: that one is a fact about the data.
        """
        return _transaction(self._writer)

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction that only reads, all of it from one moment; it waits for no writer. Raises the same."""
        return _transaction(self._reader)

    @asynccontextmanager
    async def read_soon(self) -> AsyncIterator[AsyncConnection]:
        """The same, all of it within SOON_SECONDS: late is away. Raises StoreUnavailable."""
        try:
            async with asyncio.timeout(SOON_SECONDS), self.read() as connection:
                yield connection
        except TimeoutError:
            raise StoreUnavailable(
                "The database takes too long; ask again shortly.", retry_after_seconds=1
            ) from None

    async def time(self, connection: AsyncConnection) -> float:
        """The clock's time now, asked within a transaction."""
        return float((await connection.execute(select(self.clock))).scalar_one())

    async def close(self) -> None:
        """Close all connections."""
        await self._writer.dispose()
        await self._reader.dispose()


@asynccontextmanager
async def _transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    try:
        async with engine.begin() as connection:
            yield connection
    except IntegrityError:
        raise
    except (SQLAlchemyError, OSError) as error:
        raise StoreUnavailable(
            "The database is away or too slow; ask again shortly.", retry_after_seconds=1
        ) from error


def _make_directory(url: URL) -> None:
    file = url.database
    if not file or file == ":memory:":
        raise ValueError("A SQLite database needs a file.")
    Path(file).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Tenants, users, what they used: for this user's eyes. SQLite's other files take the mode of this one.
    with suppress(OSError):
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))


def _open_sqlite(url: URL, begin: str, connections: int, wait_seconds: float) -> AsyncEngine:
    engine = create_async_engine(
        url.set(drivername="sqlite+aiosqlite"),
        # The driver's own transactions would begin only at the first write, and then fail where
        # another process wrote in between; see "begin" below.
        connect_args={"timeout": wait_seconds, "isolation_level": None},
        pool_size=connections,
        max_overflow=0,
        pool_timeout=wait_seconds,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _prepare_sqlite(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
    """Readers never wait for the writer (WAL); a commit survives this process, though not a power cut."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _open_postgres(url: URL, command_seconds: float, **options: Any) -> AsyncEngine:
    connect: dict[str, Any] = {"timeout": CONNECT_SECONDS, "command_timeout": command_seconds}
    if mode := url.query.get("sslmode"):
        # What the driver calls it.
        url, connect["ssl"] = url.difference_update_query(("sslmode",)), mode
    return create_async_engine(
        url.set(drivername="postgresql+asyncpg"),
        connect_args=connect,
        pool_size=POOL_CONNECTIONS,
        max_overflow=0,
        pool_timeout=command_seconds,
        pool_pre_ping=True,
        pool_recycle=1800,
        hide_parameters=True,
        **options,
    )
