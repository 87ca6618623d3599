"""Tickets: what a browser's `EventSource`, which sends no headers, shows to read one stream. Pure.

A ticket is `<expiry>.<signature>`: Unix seconds in hexadecimal and HMAC-SHA-256 (RFC 2104) of the
stream's id and that, in URL-safe base64. It opens nothing but its stream. Its first use must come
before the expiry; that it was used is the stream's to remember.
"""

import base64
import hmac
from enum import Enum

import msgspec

FIRST_USE_SECONDS = 60
"""How long a new ticket waits for its first use."""


class StreamTicket(msgspec.Struct, frozen=True, kw_only=True):
    """What opens a stream to whoever has it.

    url: absolute; holds the ticket. expires_at: Unix seconds, until when it must first be used.
    """

    id: str
    object: str = "stream"
    url: str
    expires_at: int


class Verdict(Enum):
    """What a ticket is worth."""

    GOOD = "may be used, for the first time too"
    LATE = "only for what it was used for before"
    BAD = "nothing"


def issue(secret: bytes, stream_id: str, now: float) -> tuple[str, int]:
    """A ticket for the stream, and until when (Unix seconds) it must first be used."""
    expires_at = int(now) + FIRST_USE_SECONDS
    return f"{expires_at:x}.{_signature(secret, stream_id, expires_at)}", expires_at


def judge(secret: bytes, stream_id: str, ticket: str, now: float) -> Verdict:
    """What `ticket` is worth for that stream; compared in constant time."""
    expiry, _, signature = ticket.partition(".")
    if not 1 <= len(expiry) <= 12 or not set(expiry) <= set("0123456789abcdef"):
        return Verdict.BAD
    expires_at = int(expiry, 16)
    expected = _signature(secret, stream_id, expires_at)
    if not hmac.compare_digest(expected.encode(), signature.encode(errors="replace")):
        return Verdict.BAD
    return Verdict.GOOD if now <= expires_at else Verdict.LATE


def _signature(secret: bytes, stream_id: str, expires_at: int) -> str:
    digest = hmac.digest(secret, f"{stream_id}.{expires_at:x}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
