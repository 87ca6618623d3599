"""Streams with ids that can be told beforehand."""

import itertools
import re

from service.streams.ports import Absence, OnDisconnect
from service.streams.registry import StreamRegistry

TAG = "worker"

LINGERING = Absence(OnDisconnect.LINGER, 5.0, 35.0)


def stream_registry(
    *,
    keep_seconds: float = 300.0,
    max_bytes_per_stream: int = 4_000_000,
    max_bytes_total: int = 256_000_000,
) -> StreamRegistry:
    """Call inside the loop. Its first stream is `worker` and eighteen digits that say 0."""
    numbers = itertools.count()
    return StreamRegistry(
        tag=TAG,
        draw=lambda characters: str(next(numbers)).zfill(characters),
        keep_seconds=keep_seconds,
        max_bytes_per_stream=max_bytes_per_stream,
        max_bytes_total=max_bytes_total,
    )


_ID = re.compile(rb"id: ([A-Za-z0-9_-]{16,128})-(0|[1-9]\d*)\n")
_DATA = re.compile(rb"^data(?::|$)", re.MULTILINE)


def blocks_of(sent: bytes) -> list[bytes]:
    """A stream's bytes taken apart at its empty lines, which stay with what they end; comments are blocks, too."""
    *blocks, rest = sent.split(b"\n\n")
    assert rest == b"", f"it breaks off in the middle of an event: {rest[-100:]!r}"
    return [block + b"\n\n" for block in blocks]


def ids_of(sent: bytes) -> list[tuple[str, int]]:
    """Each event's stream and number.

    An event's id is its first line, and its only one; what is no event (a comment, `retry:`) has none.
    """
    found: list[tuple[str, int]] = []
    for block in blocks_of(sent):
        line = _ID.match(block)
        assert (line is not None) == (_DATA.search(block) is not None), f"an event has an id: {block[:100]!r}"
        assert len(re.findall(rb"^id(?::|$)", block, re.MULTILINE)) == (line is not None), block[:100]
        if line is not None:
            found.append((line[1].decode(), int(line[2])))
    return found


def numbers_of(sent: bytes) -> list[int]:
    """The numbers of the events in a stream's bytes; each event has one, and all name the same stream."""
    found = ids_of(sent)
    assert len({stream_id for stream_id, _ in found}) <= 1
    return [number for _, number in found]


def without_ids(sent: bytes) -> bytes:
    """Whole events as they were before they had ids; their numbers follow each other without gaps."""
    numbers = numbers_of(sent)
    assert all(after == before + 1 for before, after in itertools.pairwise(numbers)), numbers
    return b"".join(_ID.sub(b"", block, count=1) if _ID.match(block) else block for block in blocks_of(sent))


def ids_off(sent: bytes) -> bytes:
    """The same of whatever was sent, also of an error event without an id."""
    return re.sub(_ID.pattern.replace(b"id:", b"^id:", 1), b"", sent, flags=re.MULTILINE)


def whole_without_ids(sent: bytes, stream_id: str) -> bytes:
    """The same of a stream that is known by that id, from its start on: the numbers count from 0."""
    assert all(of == stream_id for of, _ in ids_of(sent)), stream_id
    assert numbers_of(sent)[:1] in ([], [0])
    return without_ids(sent)
