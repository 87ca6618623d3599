"""A worker's segments in a row: where the next entry goes, and how much may still be written."""

import itertools
from collections import deque
from pathlib import Path

import structlog

from service.usage.entries import MAX_BODY_BYTES
from service.usage.owner import OwnerDirectory
from service.usage.segment import HEADER_BYTES, SegmentWriter

FILLING_AT = 0.8
"""Share of `max_bytes` at which operators are told."""

_log = structlog.get_logger()


class Chain:
    """The segments of one directory. For one thread; only `make_segment` may run in another."""

    def __init__(self, directory: OwnerDirectory, *, max_bytes: int, segment_bytes: int) -> None:
        """Make the first segment. Raises OSError."""
        self.used_bytes = segment_bytes
        self.segment_bytes = segment_bytes
        self._directory = directory
        self._max_bytes = max_bytes
        self._made = itertools.count(1)
        self._writer = self.make_segment()
        # Those that have entries, oldest first, the current one last.
        self.numbers = deque([self._writer.number])
        self._spares: deque[SegmentWriter] = deque()
        self._filling = self._disk_full = False

    @property
    def current(self) -> int:
        """The number of the segment that is written to."""
        return self._writer.number

    def append(self, kind: int, body: bytes) -> bool:
        """Write one entry; False, and nothing written, where there is no space."""
        return self._writer.append(kind, body) or (self.rotate() and self._writer.append(kind, body))

    def rotate(self) -> bool:
        """Go on in the next segment; False where there is none and none can be made."""
        if not self._spares and not self.grow():
            return False
        self._writer.close()
        self._writer = self._spares.popleft()
        self.numbers.append(self._writer.number)
        return True

    def room_bytes(self) -> int:
        """What is certain to fit. An entry doesn't span segments, so the end of one may be left unused."""
        spare_bytes = len(self._spares) * (self.segment_bytes - HEADER_BYTES - MAX_BODY_BYTES)
        return self._writer.size - self._writer.position + spare_bytes

    def make_segment(self) -> SegmentWriter:
        """Make a segment; `adopt` puts it to use. Raises OSError. May run in another thread."""
        number = next(self._made)
        return SegmentWriter(self._directory.segment_path(number), number, self.segment_bytes)

    def adopt(self, segment: SegmentWriter) -> None:
        """Keep a segment until the current one is full."""
        self._spares.append(segment)
        self.used_bytes += self.segment_bytes
        if self._disk_full:
            self._disk_full = False
            _log.info("journal.disk_has_room", directory=str(self._directory.path))

    def disk_failed(self, error: OSError) -> None:
        """A segment could not be made. Logged once, until one can."""
        if not self._disk_full:
            self._disk_full = True
            _log.error("journal.disk_full", directory=str(self._directory.path), error=str(error))

    def may_grow(self) -> bool:
        """Whether `max_bytes` allows one more segment."""
        return self.used_bytes + self.segment_bytes <= self._max_bytes

    def grow(self) -> bool:
        """Make a segment here and now: entries came faster than those made ahead."""
        if self._disk_full or not self.may_grow():
            return False
        try:
            self.adopt(self.make_segment())
        except OSError as error:
            self.disk_failed(error)
            return False
        return True

    def forget(self, number: int) -> None:
        """A segment is deleted, or kept for a person; it counts no more."""
        self.numbers.remove(number)
        self.used_bytes -= self.segment_bytes

    def shed(self, keep_bytes: int) -> list[Path]:
        """Give up segments made ahead, down to `keep_bytes` of room; the files, to be deleted."""
        given_up = []
        while self._spares and self.room_bytes() - self.segment_bytes > keep_bytes:
            spare = self._spares.pop()
            spare.close()
            self.used_bytes -= self.segment_bytes
            given_up.append(self._directory.segment_path(spare.number))
        return given_up

    @property
    def filling(self) -> bool:
        """Whether most of the space was in use when last checked."""
        return self._filling

    def check_level(self) -> None:
        """Tell operators, once per transition, that the space runs short."""
        filling = self.used_bytes >= self._max_bytes * FILLING_AT
        if filling == self._filling:
            return
        self._filling = filling
        facts = {
            "directory": str(self._directory.path),
            "used_bytes": self.used_bytes,
            "max_bytes": self._max_bytes,
        }
        if filling:
            _log.warning("journal.filling", **facts)
        else:
            _log.info("journal.emptying", **facts)

    def close(self) -> list[Path]:
        """Let go of the files: nothing fits any more. Those without entries, to be deleted."""
        self._writer.close()
        for spare in self._spares:
            spare.close()
        self._spares.clear()
        self._max_bytes = 0
        unused = set(self._directory.segments()) - set(self.numbers)
        return [self._directory.segment_path(number) for number in unused]
