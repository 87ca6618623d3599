"""The journals that dead workers of this machine left: read, delivered, deleted."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import structlog

from service.usage import owner
from service.usage.delivery import Delivery
from service.usage.entries import Tail
from service.usage.recovery import Recovery
from service.usage.row import LedgerRow
from service.usage.segment import HEADER_BYTES, NotUnderstood, SegmentReader

DELIVER_COUNT = 500

_log = structlog.get_logger()


class Replay:
    """Looks after dead siblings' journals. Whose lock is held is alive, or in another's replay."""

    def __init__(self, own: Path, delivery: Delivery, on_recovered: Callable[[LedgerRow, str], None]) -> None:
        """own: this worker's directory; its siblings lie beside it. on_recovered: see Ledger."""
        self._own = own
        self._delivery = delivery
        self._on_recovered = on_recovered
        self._left_alone: set[Path] = set()

    async def sweep(self) -> None:
        """Replay all journals whose workers are dead. Takes as long as the database is away."""
        for path in sorted(path for path in self._own.parent.iterdir() if path.is_dir()):
            if path == self._own or path in self._left_alone:
                continue
            try:
                await self._look_at(path)
            except OSError as error:
                self._leave(path, str(error))

    async def _look_at(self, path: Path) -> None:
        if not owner.is_owner(path):
            self._leave(path, "no worker's directory")
            return
        directory = owner.claim(path)
        if directory is None:
            return
        try:
            done = await self._recover(directory)
            for number in done:
                directory.segment_path(number).unlink()
            if not directory.remove():
                self._leave(path, "files of another version or origin, or damaged ones")
        finally:
            # What was delivered is marked so in the segments: whoever has the lock next goes on from there.
            directory.release()

    def _leave(self, path: Path, reason: str) -> None:
        self._left_alone.add(path)
        _log.warning("journal.not_understood", directory=str(path), reason=reason)

    async def _recover(self, directory: owner.OwnerDirectory) -> list[int]:
        """Deliver all that a journal holds; the numbers of the segments that are of no more use.

        None is deleted before the last was read: a begin in the first may have its end there.
        """
        recovery = Recovery()
        done: list[int] = []
        ended = 0
        for number in directory.segments():
            try:
                reader = SegmentReader(directory.segment_path(number), number)
            except NotUnderstood:
                continue
            with closing(reader):
                count, sound = await self._recover_segment(reader, recovery, directory.path.name)
            ended += count
            if sound:
                done.append(number)
            else:
                _log.error("journal.damaged", file=str(directory.set_aside(number)))
        crashed = recovery.crashed(directory.alive_at())
        for start in range(0, len(crashed), DELIVER_COUNT):
            await self._deliver(crashed[start : start + DELIVER_COUNT], directory.path.name)
        if ended or crashed:
            _log.info("ledger.recovered", owner=directory.path.name, ended=ended, crashed=len(crashed))
        return done

    async def _recover_segment(
        self, reader: SegmentReader, recovery: Recovery, owner_name: str
    ) -> tuple[int, bool]:
        """How many rows were delivered, and whether all of the segment could be read."""
        sound = await _reread(reader, recovery)
        offset, count = reader.position, 0
        while True:
            found = reader.read(offset)
            rows = recovery.read(found.entries)
            await self._deliver(rows, owner_name)
            count += len(rows)
            offset = found.next_offset
            reader.confirm(offset)
            if found.tail is not Tail.CUT:
                return count, sound and found.tail is Tail.END

    async def _deliver(self, rows: Sequence[LedgerRow], owner_name: str) -> None:
        if not rows:
            return
        await self._delivery.deliver(rows)
        for row in rows:
            try:
                self._on_recovered(row, owner_name)
            except Exception:  # noqa: BLE001 - one that can't be booked must not hold up the others
                # Told again, the others would count twice.
                _log.exception("ledger.not_booked", id=row.id)


async def _reread(reader: SegmentReader, recovery: Recovery) -> bool:
    """Learn what began in the part whose ends were delivered; False where it is damaged."""
    offset = HEADER_BYTES
    while offset < reader.position:
        found = reader.read(offset, until=reader.position)
        recovery.read(found.entries)
        if found.next_offset == offset:
            return False
        offset = found.next_offset
        await asyncio.sleep(0)
    return True
