"""What a worker's requests did, on disk before anyone waits for a database: appended, bounded, read back.

The space for the ends of running requests is set aside when they begin, in files that are allocated
already: neither a full disk nor `max_bytes` can take an end. Only new requests are refused, by `full`.
"""

import itertools
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from service.usage import owner
from service.usage.chain import Chain
from service.usage.entries import BEGIN, END, ENDS_ONLY, MAX_BODY_BYTES, PROGRESS, Progress, Tail, encode
from service.usage.row import LedgerRow, Started
from service.usage.segment import SEGMENT_BYTES, SegmentReader, SegmentWriter

END_BYTES = 512
"""How much longer than its begin an end may be: another target's name, the numbers. Usually it is 50."""

MARGIN_BYTES = 4 * MAX_BODY_BYTES
"""So much must be left for one more request of any size."""

CARRY_COUNT = 500
"""Open requests that are written anew at one go: 0.4 ms."""

MAX_INTEGER = 2**63 - 1

PLAIN_BYTES = 2048
TEXT_CHARACTERS = 512
"""A model's name comes out of a request's body and may be long; PostgreSQL's indexes take 2,704 bytes.

A body of PLAIN_BYTES has no text beyond that, a text of so many characters neither.
"""

_log = structlog.get_logger()


class Batch(msgspec.Struct, frozen=True):
    """Ended requests that are not known to be in the database. last: there was no more to read."""

    rows: list[LedgerRow]
    next_offset: int
    last: bool


class _Open(msgspec.Struct, gc=False):
    """A running request: the segment that holds its begin, the begin, and what it got so far."""

    segment: int
    begin: bytes
    output_tokens: int = 0


class Journal:
    """The journal of one worker. For one thread; only `make_segment` may run in another."""

    def __init__(
        self,
        root: Path,
        *,
        now: Callable[[], float],
        max_bytes: int,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        """Make a directory under `root`, locked as long as this lives, and a segment in it. Raises OSError.

        now: Unix seconds. max_bytes: at least three segments, each of at least 1 MiB.
        """
        self.root = root
        self._now = now
        self._directory = owner.create(root)
        try:
            self._chain = Chain(self._directory, max_bytes=max_bytes, segment_bytes=segment_bytes)
        except OSError:
            self._directory.remove()
            self._directory.release()
            raise
        self._reader = self._open_reader(self._chain.current)
        # By the time of their latest begin, so those of the oldest segments come first.
        self._open: dict[str, _Open] = {}
        self._reserved_bytes = 0

    @property
    def path(self) -> Path:
        """The worker's own directory."""
        return self._directory.path

    # What the request path calls.

    @property
    def full(self) -> bool:
        """Whether new requests are to be refused; those that began can all be ended."""
        return self._chain.room_bytes() - self._reserved_bytes < MARGIN_BYTES

    def begin(self, started: Started) -> bool:
        """Write that a request goes to a provider; False, and nothing written, where it is not possible."""
        body = _encoded(started)
        if body is None or not self._chain.append(BEGIN, body):
            return False
        self._open[started.id] = _Open(self._chain.current, body)
        self._reserved_bytes += len(body) + END_BYTES
        if self.full:
            self._chain.grow()
        return True

    def progress(self, id: str, output_tokens: int) -> None:
        """Write how far a running request got; left out where the space is needed for ends."""
        running = self._open.get(id)
        if running is None:
            return
        running.output_tokens = output_tokens
        if not self.full:
            self._chain.append(PROGRESS, encode(Progress(id, output_tokens, self._now())))

    def end(self, row: LedgerRow) -> bool:
        """Write how a request ended; False, and nothing written, where it is not possible."""
        body = _encoded(row)
        if body is None or not self._chain.append(END, body):
            return False
        running = self._open.pop(row.id, None)
        if running is not None:
            self._reserved_bytes -= len(running.begin) + END_BYTES
        return True

    # What the flusher calls.

    def read(self) -> Batch:
        """The next ended requests; the same ones again until they are confirmed."""
        offset = self._reader.position
        while True:
            found = self._reader.read(offset, ENDS_ONLY)
            rows = [entry for entry in found.entries if isinstance(entry, LedgerRow)]
            at_end = found.tail is Tail.END
            current = self._reader.number == self._chain.current
            if rows or (at_end and current):
                return Batch(rows, found.next_offset, last=at_end and current)
            if found.tail is Tail.CUT:
                offset = found.next_offset
            elif at_end or self._set_aside():
                offset = self._next_reader()
            else:
                return Batch([], self._reader.position, last=True)

    def confirm(self, batch: Batch) -> None:
        """What `read` gave is in the database."""
        if batch.next_offset != self._reader.position:
            self._reader.confirm(batch.next_offset)

    def _open_reader(self, number: int) -> SegmentReader:
        return SegmentReader(self._directory.segment_path(number), number)

    def _next_reader(self) -> int:
        following = next(number for number in self._chain.numbers if number > self._reader.number)
        self._reader.close()
        self._reader = self._open_reader(following)
        return self._reader.position

    def _set_aside(self) -> bool:
        """Keep the segment that is being read, which is damaged, out of the way. False: it can't be done yet."""
        number = self._reader.number
        if number == self._chain.current and not self._chain.rotate():
            return False
        self._chain.forget(number)
        _log.error("journal.damaged", file=str(self._directory.set_aside(number)))
        return True

    # What keeps it in order.

    def check(self) -> None:
        """Leave a sign of life, by which a crash is dated, and tell operators if space runs short."""
        self._directory.touch(self._now())
        self._chain.check_level()

    def wants_segment(self) -> bool:
        """Whether the next segment is to be made now, ahead of its need."""
        ahead_bytes = self._chain.room_bytes() - self._reserved_bytes
        return ahead_bytes < self._chain.segment_bytes // 2 and self._chain.may_grow()

    def make_segment(self) -> SegmentWriter:
        """Make one; `adopt` it. Raises OSError, which `disk_failed` wants to know. May run in another thread."""
        return self._chain.make_segment()

    def adopt(self, segment: SegmentWriter) -> None:
        """Put a segment that was made to use."""
        self._chain.adopt(segment)

    def disk_failed(self, error: OSError) -> None:
        """None could be made."""
        self._chain.disk_failed(error)

    def carry(self) -> bool:
        """Write some requests that run on from segments that were read anew; True once none is left there."""
        oldest = itertools.islice(self._open.items(), CARRY_COUNT)
        carried = [(name, running) for name, running in oldest if running.segment < self._reader.number]
        for name, running in carried:
            if not self._chain.append(BEGIN, running.begin):
                return False
            running.segment = self._chain.current
            self._open[name] = self._open.pop(name)
            if running.output_tokens:
                self._chain.append(PROGRESS, encode(Progress(name, running.output_tokens, self._now())))
        return len(carried) < CARRY_COUNT

    def done_with(self) -> list[Path]:
        """Segments of no more use, to be deleted in this order: all ends delivered, no begin open."""
        first_open = next(iter(self._open.values()), None)
        needed = self._reader.number if first_open is None else min(first_open.segment, self._reader.number)
        done = list(itertools.takewhile(lambda number: number < needed, self._chain.numbers))
        for number in done:
            self._chain.forget(number)
        paths = [self._directory.segment_path(number) for number in done]
        return paths + self._chain.shed(self._reserved_bytes + MARGIN_BYTES + self._chain.segment_bytes)

    @property
    def used_bytes(self) -> int:
        """What its files take of the disk."""
        return self._chain.used_bytes

    @property
    def running(self) -> int:
        """How many requests began and have not ended."""
        return len(self._open)

    def level(self) -> str:
        """`ok`, `filling` or `full`."""
        return "full" if self.full else "filling" if self._chain.filling else "ok"

    def close(self) -> None:
        """Let go of the directory, and delete it where all in it is in the database."""
        batch = self.read()
        finished = batch.last and not batch.rows and not self._open
        self._reader.close()
        for path in self._chain.close():
            path.unlink()
        if finished:
            for number in self._chain.numbers:
                self._directory.segment_path(number).unlink()
            self._directory.remove()
        self._directory.release()


def _encoded(value: Started | LedgerRow) -> bytes | None:
    """The body, of what any database can hold; None for what can't be made so."""
    try:
        body = encode(value)
        if len(body) > PLAIN_BYTES:
            body = encode(_mended(value))
    except (ValueError, OverflowError):
        body = encode(_mended(value))
    return body if len(body) <= MAX_BODY_BYTES else None


def _mended(value: Started | LedgerRow) -> Started | LedgerRow:
    """With texts cut off, without halves of surrogate pairs (claims of a token may have them), in 64 bits."""
    fields: dict[str, object] = {}
    for name in value.__struct_fields__:
        field: object = getattr(value, name)
        if type(field) is str:
            fields[name] = field[:TEXT_CHARACTERS].encode(errors="replace").decode()
        elif type(field) is int:
            fields[name] = min(field, MAX_INTEGER)
        elif type(field) is tuple:
            fields[name] = tuple(min(rate, MAX_INTEGER) for rate in field)
    return msgspec.structs.replace(value, **fields)
