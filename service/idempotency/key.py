"""What a client writes as `Idempotency-Key`, and what the key stands for. Pure.

Source: draft-ietf-httpapi-idempotency-key-header-07, 2.1: a string of structured fields (RFC 9651,
3.3.3). Most clients leave out its quotes, so a bare value is taken as well; it is the same key.
"""

import hashlib
import re
from typing import Final

import msgspec

from service.errors import InvalidRequest

HEADER: Final = "Idempotency-Key"

MAX_CHARACTERS: Final = 255

_QUOTED: Final = re.compile(rb'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE: Final = re.compile(rb"[\x21\x23-\x7e][\x20-\x7e]*")
_ESCAPED: Final = re.compile(r"\\(.)")


def parse_key(value: bytes) -> str:
    """The key without quotes and escapes. value: the header's; empty stands for several lines of it.

    Raises InvalidRequest, naming the header.
    """
    trimmed = value.strip(b" \t")
    if quoted := _QUOTED.fullmatch(trimmed):
        key = _ESCAPED.sub(r"\1", quoted[1].decode("ascii"))
    elif _BARE.fullmatch(trimmed):
        key = trimmed.decode("ascii")
    else:
        raise _malformed()
    if not 1 <= len(key) <= MAX_CHARACTERS:
        raise _malformed()
    return key


def scope_of(owner: str, address: str, path: str, key: str) -> bytes:
    """What one key means: 32 bytes that differ where caller, route or key do.

    owner: the caller's key id, "" for anonymous ones; those are told apart by their address. The
    key itself is not kept anywhere: clients may write into it what they like.
    """
    return hashlib.sha256(msgspec.json.encode((owner, address, path, key))).digest()


def body_hash_of(body: bytes) -> bytes:
    """SHA-256 of a body's bytes."""
    return hashlib.sha256(body).digest()


def _malformed() -> InvalidRequest:
    return InvalidRequest(
        f"The header {HEADER} must be sent once, with 1 to {MAX_CHARACTERS} printable ASCII characters; in quotes,"
        ' a quote and a backslash inside are written \\" and \\\\. A UUID does well.',
        param=HEADER,
    )
