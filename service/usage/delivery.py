"""Rows into the database, however long that takes; what it will never take is kept in a file beside."""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from service.errors import StoreUnavailable
from service.usage.row import LedgerRow

FIRST_RETRY_SECONDS = 0.1
LAST_RETRY_SECONDS = 1.0
"""The longest pause: once the database is back, rows must be readable within 2 s."""

DOUBT_TRIES = 3
"""After so many failures in a row, whether it is the rows that are at fault is asked, too."""

_log = structlog.get_logger()


Refused = tuple[LedgerRow, Exception]


class LedgerWriter(Protocol):
    """The database, as the ledger needs it."""

    async def insert(self, rows: Sequence[LedgerRow]) -> None:
        """Insert all rows or none; one whose id is there already is passed over.

        Raises StoreUnavailable while the database is away or can't be written to at all, and any
        other error where it refuses these rows.
        """


class Delivery:
    """Delivers batches, for the flusher and the replay; tells once that the database went or came back.

    Whether a row is at fault or the database is not left to the kind of error: a row that went in
    before goes in once more, as that changes nothing. If it does, the database is there.
    """

    def __init__(self, writer: LedgerWriter, rejected: Path, on_away: Callable[[], None]) -> None:
        """rejected: a file for rows that the database refuses; made when there is one."""
        self._writer = writer
        self._rejected = rejected
        self._on_away = on_away
        self._accepted: LedgerRow | None = None
        self.away = False
        self.rejected_rows = 0

    async def deliver(self, rows: Sequence[LedgerRow]) -> None:
        """Return when each row is in the database or, where it refuses one, in the file of rejected ones."""
        refused: list[Refused] = []
        parts = [rows]
        tries, delay = 0, FIRST_RETRY_SECONDS
        while parts:
            part = parts.pop()
            error = await self._insert(part)
            if error is None:
                continue
            tries += 1
            if await self._at_fault(part, error, tries):
                tries = max(tries, DOUBT_TRIES)
                half = len(part) // 2
                parts += [part[half:], part[:half]] if half else []
                refused += [] if half else [(part[0], error)]
            else:
                self._went(error)
                parts.append(part)
                await asyncio.sleep(delay)
                delay = min(delay * 2, LAST_RETRY_SECONDS)
        if refused:
            self._set_aside(refused)

    async def _insert(self, rows: Sequence[LedgerRow]) -> Exception | None:
        """Insert all rows; the error where that failed."""
        try:
            await self._writer.insert(rows)
        except Exception as error:  # noqa: BLE001 - whatever it is, the rows are still to be delivered
            return error
        self._accepted = rows[-1]
        self._came_back()
        return None

    async def _at_fault(self, rows: Sequence[LedgerRow], error: Exception, tries: int) -> bool:
        """Whether it is for some of the rows that none could be inserted. tries: how often that was so."""
        away = isinstance(error, StoreUnavailable)
        if away and tries < DOUBT_TRIES:
            return False
        if await self._insert([self._accepted or rows[tries % len(rows)]]) is None:
            return True
        # Nothing was ever accepted, so there is no telling but by what it says.
        return self._accepted is None and not away and tries >= DOUBT_TRIES

    def _went(self, error: Exception) -> None:
        if not self.away:
            self.away = True
            self._on_away()
            _log.error("ledger.database_away", error=f"{type(error).__name__}: {error}")

    def _came_back(self) -> None:
        if self.away:
            self.away = False
            _log.info("ledger.database_back")

    def _set_aside(self, refused: Sequence[Refused]) -> None:
        self.rejected_rows += len(refused)
        rows = [row for row, _ in refused]
        error = refused[0][1]
        facts = {"rows": len(rows), "first_id": rows[0].id, "error": f"{type(error).__name__}: {error}"}
        try:
            _append_lines(self._rejected, rows)
        except OSError as failure:
            content = [as_fields(row) for row in rows]
            _log.critical("ledger.rows_lost", **facts, content=content, file_error=str(failure))
        else:
            _log.error("ledger.rows_rejected", **facts, file=str(self._rejected))


def as_fields(row: LedgerRow) -> dict[str, object]:
    """The row by its fields' names, for a person to read."""
    return {name: getattr(row, name) for name in LedgerRow.__struct_fields__}


def _append_lines(path: Path, rows: Sequence[LedgerRow]) -> None:
    lines = b"".join(msgspec.json.encode(as_fields(row)) + b"\n" for row in rows)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(handle, lines)
        os.fsync(handle)
    finally:
        os.close(handle)
