"""The journal's entries as bytes: a request began, got so far, ended. Pure.

An entry is `[crc32 u32 | kind and length u32 | msgpack]`, at a multiple of four, in the machine's own
byte order: a journal never leaves the machine. The second word holds the kind in its highest byte
and the body's length in the others; it is written last, in one store, so that a process that dies
in the middle leaves a zero there: the plain end. The checksum starts from the kind and covers the body.
"""

import struct
from collections.abc import Callable
from enum import Enum
from typing import Final
from zlib import crc32

import msgspec

from service.usage.row import LedgerRow, Started

BEGIN: Final = 1
PROGRESS: Final = 2
END: Final = 3

ALL_KINDS = frozenset({BEGIN, PROGRESS, END})
ENDS_ONLY = frozenset({END})

HEAD_BYTES: Final = 8
LENGTH_MASK: Final = 0xFF_FFFF
MAX_BODY_BYTES: Final = 65_536
"""A row is 200 to 500 bytes; its texts come from header lines, which the server bounds at 64 KiB."""

_HEAD = struct.Struct("=II")


class Progress(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """How far a running request got. at: Unix seconds."""

    id: str
    output_tokens: int
    at: float


Entry = Started | Progress | LedgerRow


class Tail(Enum):
    """Why a scan stopped."""

    END = "nothing was written from here on"
    CUT = "the bytes at hand end here, at an entry's end or within one"
    DAMAGED = "what is here was never appended like this"


class Scan(msgspec.Struct, frozen=True):
    """Entries in their order, where the next would begin, and why it stopped there."""

    entries: list[Entry]
    next_offset: int
    tail: Tail


encode: Callable[[Started | Progress | LedgerRow], bytes] = msgspec.msgpack.Encoder().encode
"""An entry's body."""

_decoders: dict[int, Callable[[bytes], Entry]] = {
    BEGIN: msgspec.msgpack.Decoder(Started).decode,
    PROGRESS: msgspec.msgpack.Decoder(Progress).decode,
    END: msgspec.msgpack.Decoder(LedgerRow).decode,
}


def framed_bytes(body_bytes: int) -> int:
    """What an entry with a body of that size takes."""
    return (HEAD_BYTES + body_bytes + 3) & ~3


def frame(kind: int, body: bytes) -> bytes:
    """A whole entry."""
    head = _HEAD.pack(crc32(body, kind), kind << 24 | len(body))
    return (head + body).ljust(framed_bytes(len(body)), b"\0")


def scan(data: bytes, offset: int = 0, kinds: frozenset[int] = ALL_KINDS) -> Scan:
    """Read entries from `offset` up to the first that is not whole and sound.

    kinds: those wanted; the others are checked and passed over.
    """
    found: list[Entry] = []
    size = len(data)
    tail = Tail.CUT
    while (start := offset + HEAD_BYTES) <= size:
        checksum, head = _HEAD.unpack_from(data, offset)
        if not head:
            tail = Tail.END
            break
        kind, length = head >> 24, head & LENGTH_MASK
        if kind not in ALL_KINDS or length > MAX_BODY_BYTES:
            tail = Tail.DAMAGED
            break
        if start + length > size:
            break
        body = data[start : start + length]
        if crc32(body, kind) != checksum:
            tail = Tail.DAMAGED
            break
        if kind in kinds:
            try:
                found.append(_decoders[kind](body))
            except msgspec.MsgspecError:
                tail = Tail.DAMAGED
                break
        offset += framed_bytes(length)
    return Scan(found, min(offset, size), tail)
