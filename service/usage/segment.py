"""One file of a journal: entries one after another behind a header, in space that is there already.

The space is allocated when the file is made, so that a full disk is an OSError then and not a
bus error at an append; the rest of it is zeros. The header is `[b"penstock" | version u32 | inserted u32]`:
`inserted` is the offset up to which all ended requests are known to be in the database.
What was appended survives the process at any instruction (the pages are the kernel's); it is not
forced to the disk, so a power cut may take the last seconds.
"""

import mmap
import os
import struct
from pathlib import Path
from typing import Final
from zlib import crc32

from service.usage.entries import ALL_KINDS, HEAD_BYTES, MAX_BODY_BYTES, Scan, Tail, scan

SEGMENT_BYTES: Final = 4 << 20
"""Some 9,000 requests. It counts as the worker's memory while it is written to, so it is not larger."""

HEADER_BYTES: Final = 16
READ_BYTES: Final = 128 << 10
"""Some 290 requests: 0.4 ms to read and decode; more at once would hold up the loop."""

_HEADER = struct.Struct("=8sII")
_INSERTED = struct.Struct("=I")
_INSERTED_AT = 12
_MAGIC = b"penstock"
_VERSION = 1


class NotUnderstood(Exception):
    """The file is no segment, or one of another version."""


class SegmentWriter:
    """The end that is appended to."""

    __slots__ = ("_map", "_words", "number", "position", "size")

    def __init__(self, path: Path, number: int, size: int) -> None:
        """Make the file, which must not be there. Raises OSError, and leaves none, where the disk is full."""
        self.number = number
        self.size = size
        self.position = HEADER_BYTES
        self._map = _allocate(path, size)
        self._words = memoryview(self._map).cast("I")
        self._map[:HEADER_BYTES] = _HEADER.pack(_MAGIC, _VERSION, HEADER_BYTES)

    def append(self, kind: int, body: bytes) -> bool:
        """Write one entry; False, and nothing written, where it doesn't fit any more."""
        position, length = self.position, len(body)
        start = position + HEAD_BYTES
        end = start + length
        if end > self.size:
            return False
        self._map[start:end] = body
        word = position >> 2
        self._words[word] = crc32(body, kind)
        self._words[word + 1] = kind << 24 | length
        self.position = (end + 3) & ~3
        return True

    def close(self) -> None:
        """Let go of the file; from then on nothing fits."""
        self.size = 0
        self._words.release()
        self._map.close()


def _allocate(path: Path, size: int) -> mmap.mmap:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(handle, 0, size)
        else:  # macOS
            os.pwrite(handle, bytes(size), 0)
        return mmap.mmap(handle, size)
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(handle)


class SegmentReader:
    """The end that is read from, by its own process or by one that found it."""

    __slots__ = ("_handle", "number", "position")

    def __init__(self, path: Path, number: int) -> None:
        """Open at the first entry that is not known to be in the database.

        Raises NotUnderstood, and OSError. A file that its process died over making is one without entries.
        """
        self.number = number
        self._handle = os.open(path, os.O_RDWR)
        try:
            self.position = self._inserted()
        except NotUnderstood:
            self.close()
            raise

    def _inserted(self) -> int:
        header = os.pread(self._handle, HEADER_BYTES, 0)
        if not header.strip(b"\0"):
            return HEADER_BYTES
        if len(header) < HEADER_BYTES:
            raise NotUnderstood
        magic, version, inserted = _HEADER.unpack(header)
        if magic != _MAGIC or version != _VERSION or inserted < HEADER_BYTES:
            raise NotUnderstood
        return int(inserted)

    def read(self, offset: int, kinds: frozenset[int] = ALL_KINDS, until: int | None = None) -> Scan:
        """Some entries from `offset` on; `Tail.CUT` means that there is more to read.

        until: where to stop, the end of an entry; None for the segment's end.
        """
        asked = READ_BYTES if until is None else min(READ_BYTES, until - offset)
        data = os.pread(self._handle, asked, offset)
        found = scan(data, 0, kinds)
        tail, rest = found.tail, len(data) - found.next_offset
        if tail is Tail.CUT and len(data) < asked:
            tail = Tail.DAMAGED if rest >= HEAD_BYTES else Tail.END
        return Scan(found.entries, offset + found.next_offset, tail)

    def confirm(self, offset: int) -> None:
        """All that ended before `offset` is in the database; whoever reads this next, knows."""
        self.position = offset
        os.pwrite(self._handle, _INSERTED.pack(offset), _INSERTED_AT)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._handle)


assert READ_BYTES > MAX_BODY_BYTES + HEAD_BYTES  # or a large entry could never be read
