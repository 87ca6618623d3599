"""The ledger as requests see it: a few microseconds to write down, and a row in the database soon after.

Three tasks work behind it: the flusher reads ended requests back from the journal and delivers
them, the keeper makes segments ahead and deletes those that are done with, the replay looks after
the journals of dead siblings. Nothing of it waits in memory, however long the database is away.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from service.ending import end_all
from service.usage.delivery import Delivery, LedgerWriter, as_fields
from service.usage.journal import Journal
from service.usage.replay import Replay
from service.usage.row import LedgerRow, Started

FLUSH_SECONDS = 0.25
FLUSH_COUNT = 500
KEEP_SECONDS = 0.25
"""How often segments are made and deleted; 4 MB last longer at 30,000 requests a second."""

REPLAY_SECONDS = 3.0

CLOSE_SECONDS = 3.0
"""How long the end of a worker waits for the database; the next one delivers the rest."""

FAILED_SECONDS = 1.0

T = TypeVar("T")

_log = structlog.get_logger()


class Ledger:
    """One row for every request that reached a provider, exactly once."""

    def __init__(
        self, journal: Journal, writer: LedgerWriter, *, on_recovered: Callable[[LedgerRow, str], None]
    ) -> None:
        """journal: this worker's, which `close` closes.

        on_recovered: called with each row that a dead worker had left undelivered and with that worker's
        name (its journal's directory), after the row is in the database: requests that had ended (whose
        use that worker may have counted) and, as `gateway_crash`, those that its death ended (which nobody
        counted). Once for each, also when the database goes away in between. Twice only if this worker
        dies, too, in the moment after.
        """
        self._journal = journal
        rejected = journal.root / f"rejected-{journal.path.name}.jsonl"
        self._looked = asyncio.Event()
        self._delivery = Delivery(writer, rejected, on_away=self._looked.set)
        self._replay = Replay(journal.path, self._delivery, on_recovered)
        self._replayed = False
        self._flushing = asyncio.Lock()
        self._many = asyncio.Event()
        self._ended = 0
        self._drained = True
        self._lost = 0
        self._doomed: list[Path] = []
        self._tasks: list[asyncio.Task[None]] = []

    # What the request path calls; never raises.

    @property
    def full(self) -> bool:
        """Whether new requests are to be refused, as they could not be written down."""
        return self._journal.full

    def begin(self, started: Started) -> None:
        """A request goes to a provider. To be called before it does, and only while not `full`."""
        if not self._journal.begin(started):
            self._lost += 1
            _log.critical("ledger.begin_lost", id=started.id, request_id=started.request_id)

    def progress(self, id: str, output_tokens: int) -> None:
        """How far a stream got: what its row says should the gateway die. Once a second is often enough."""
        self._journal.progress(id, output_tokens)

    def end(self, row: LedgerRow) -> None:
        """How it ended. The row can be read in the database some 300 ms later."""
        if not self._journal.end(row):
            self._lost += 1
            _log.critical("ledger.rows_lost", content=[as_fields(row)])
        self._ended += 1
        if self._ended == FLUSH_COUNT:
            self._many.set()

    # What a worker's life calls.

    @property
    def replayed(self) -> bool:
        """Whether all that dead workers had left when this one started is in the database."""
        return self._replayed

    async def start(self) -> None:
        """Start the tasks, and wait for the first replay; no longer once the database is found away."""
        works = (
            ("ledger flusher", self._wait_and_flush, 0),
            ("ledger keeper", self._keep, KEEP_SECONDS),
            ("ledger replay", self._sweep, REPLAY_SECONDS),
        )
        self._tasks = [
            asyncio.create_task(_repeat(work, seconds), name=name)  # noqa: TID251 - close cancels and awaits it
            for name, work, seconds in works
        ]
        await self._looked.wait()

    async def flush_now(self) -> None:
        """Return when all that has ended by now is in the database, however long it is away."""
        async with self._flushing:
            await self._flush()

    async def close(self, within_seconds: float = CLOSE_SECONDS) -> None:
        """Deliver what is possible within that time, and let go of the journal."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_seconds):
                    await self.flush_now()
        finally:
            await end_all(self._tasks)
            self._journal.close()

    def state(self) -> dict[str, str]:
        """For `/readyz?verbose` and metrics."""
        return {
            "database": "away" if self._delivery.away else "ok",
            "journal": self._journal.level(),
            "journal_bytes": str(self._journal.used_bytes),
            "replay": "done" if self._replayed else "running",
            "running": str(self._journal.running),
            "rejected_rows": str(self._delivery.rejected_rows),
            "lost_rows": str(self._lost),
        }

    async def _wait_and_flush(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._many.wait()
        if self._ended or not self._drained:
            await self.flush_now()

    async def _flush(self) -> None:
        self._ended = 0
        self._drained = last = False
        self._many.clear()
        while not last:
            batch = self._journal.read()
            if batch.rows:
                await self._delivery.deliver(batch.rows)
            self._journal.confirm(batch)
            last = batch.last
        self._drained = True

    async def _keep(self) -> None:
        journal = self._journal
        journal.check()
        if journal.wants_segment():
            try:
                journal.adopt(await _in_thread(journal.make_segment))
            except OSError as error:
                journal.disk_failed(error)
        journal.carry()
        self._doomed += journal.done_with()
        if self._doomed:
            await _in_thread(partial(_delete, self._doomed))

    async def _sweep(self) -> None:
        try:
            await self._replay.sweep()
            self._replayed = True
        finally:
            self._looked.set()


def _delete(paths: list[Path]) -> None:
    """Delete them in their order, and none behind one that can't be: it may have a begin whose end lies there."""
    while paths:
        paths[0].unlink(missing_ok=True)
        del paths[0]


async def _repeat(work: Callable[[], Awaitable[None]], pause_seconds: float) -> None:
    """Do it again and again. What it raises is logged once in a row, and costs a second's pause."""
    failed = False
    while True:
        try:
            await work()
            failed = False
            await asyncio.sleep(pause_seconds)
        except Exception:  # noqa: BLE001 - rows must be delivered whatever went wrong this time
            if not failed:
                _log.exception("ledger.task_failed", work=getattr(work, "__name__", ""))
            failed = True
            await asyncio.sleep(FAILED_SECONDS)


async def _in_thread(work: Callable[[], T]) -> T:
    """Run it in a thread, as the disk may take its time; when cancelled, still wait for its end."""
    running = asyncio.ensure_future(asyncio.to_thread(work))  # noqa: TID251 - awaited here, come what may
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
