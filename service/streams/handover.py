"""What workers say to each other of streams. Pure: letters, and frames in transit.

The owner feeds a list in Redis for as long as others read along; each entry is some events as they
were sent. A finished stream whose owner stops is left there whole.
"""

import hashlib
import hmac
from enum import StrEnum

import msgspec

from service.streams.log import FRAME_END

WANT = "stream.want"
MORE = "stream.more"
LEAVE = "stream.leave"
CANCEL = "stream.cancel"

PLACE = "{penstock}:stream:"
"""Before what names a place of streams."""


class Verdict(StrEnum):
    """What the owner says."""

    HERE = "here"
    UNKNOWN = "unknown"
    GONE = "gone"
    KEY = "key"


class Want(msgspec.Struct, frozen=True, gc=False):
    """May I read it, and where? See `service.streams.service.Claim`. Asked again every other second while somebody reads."""

    stream_id: str
    owner: str | None = None
    ticket: str | None = None


class Found(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The owner's answer. detail: why not.

    place: where its events are. next: the number of the event to come; over: none will. headers: the
    head's. dialect: how its errors look.
    """

    verdict: Verdict
    detail: str = ""
    owner: str = ""
    place: str = ""
    next: int = 0
    over: bool = False
    headers: list[tuple[bytes, bytes]] = []
    dialect: str = ""


class Portion(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Some events, one after the other. over: they are the last."""

    data: bytes
    over: bool


class Kept(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A finished stream whose worker is gone. ticket_digest: SHA-256 of the ticket that opens it; empty: none does."""

    owner: str
    headers: list[tuple[bytes, bytes]]
    dialect: str
    first: int
    next: int
    data: bytes
    ticket_digest: bytes = b""


def digest(ticket: str) -> bytes:
    """What is kept of a ticket."""
    return hashlib.sha256(ticket.encode(errors="replace")).digest()


def may_read(kept: Kept, owner: str | None, ticket: str | None) -> bool:
    """Whether a caller may have what was kept."""
    if owner is not None and owner == kept.owner:
        return True
    return ticket is not None and hmac.compare_digest(digest(ticket), kept.ticket_digest)


def kept_place(stream_id: str) -> str:
    """Where a finished stream is left."""
    return f"{PLACE}{stream_id}"


def first_number(stream_id: str, data: bytes) -> int:
    """The number of the first event in `data`, which has one."""
    return int(data[len(f"id: {stream_id}-") : data.index(b"\n")])


def new_frames(stream_id: str, data: bytes, next_number: int) -> list[bytes] | None:
    """The events in `data` from number `next_number` on; None where some before them are missing."""
    frames = [frame + FRAME_END for frame in data.split(FRAME_END)[:-1]]
    if not frames:
        return []
    first = first_number(stream_id, data)
    return frames[next_number - first :] if first <= next_number else None
