"""The text of a key: `psk_<id>_<secret><checksum>`, made, taken apart, and compared. Pure.

id: 16 characters, public; it finds the key. secret: 40 characters. checksum: CRC-32 of all before
it, 6 characters, so that a mistyped key needs no database, and scanners of secrets know a real one.
All characters are base 62.

What is stored is the SHA-256 of the secret and its checksum. A fast hash is right here: it is slow
ones that protect guessable passwords, and 40 random characters have 238 bits, beyond any search.
"""

import hashlib
import re
from hmac import compare_digest
from typing import Final, NamedTuple
from zlib import crc32

PREFIX: Final = b"psk_"
ID_LENGTH: Final = 16
SECRET_LENGTH: Final = 40
CHECKSUM_LENGTH: Final = 6

ID_START: Final = len(PREFIX)
ID_END: Final = ID_START + ID_LENGTH
SECRET_START: Final = ID_END + 1

RANDOM_BYTES: Final = 50
"""For one key. 56 characters need 42; the remainder of 8 more bytes favours none by more than 2^-66."""

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_GRAMMAR: Final = re.compile(rb"psk_([0-9A-Za-z]{16})_([0-9A-Za-z]{46})")
_ID: Final = re.compile(r"[0-9A-Za-z]{16}")


class Credential(NamedTuple):
    """A key as a caller sent it, without its secret. digest: what the stored hash must equal."""

    id: str
    digest: bytes


class NewCredential(NamedTuple):
    """A key just made. text: the only copy of the secret; show it once, keep it nowhere."""

    text: str
    id: str
    digest: bytes


def parse(text: bytes) -> Credential | None:
    """Take a key apart; None for whatever is none, down to the last character of its checksum."""
    match = _GRAMMAR.fullmatch(text)
    if match is None or checksum(text[:-CHECKSUM_LENGTH]) != text[-CHECKSUM_LENGTH:]:
        return None
    return Credential(match[1].decode("ascii"), digest(match[2]))


def is_id(text: str) -> bool:
    """Whether `text` could be a key's public id."""
    return _ID.fullmatch(text) is not None


def make(random_bytes: bytes, id: str | None = None) -> NewCredential:
    """A key from RANDOM_BYTES of them. id: where an existing key gets a new secret. Raises ValueError."""
    if len(random_bytes) != RANDOM_BYTES:
        raise ValueError(f"A key is made of {RANDOM_BYTES} random bytes.")
    drawn = base62(int.from_bytes(random_bytes, "big"), ID_LENGTH + SECRET_LENGTH)
    public_id = id or drawn[:ID_LENGTH]
    body = f"psk_{public_id}_{drawn[ID_LENGTH:]}".encode()
    text = body + checksum(body)
    return NewCredential(text.decode("ascii"), public_id, digest(text[SECRET_START:]))


def digest(secret: bytes) -> bytes:
    """SHA-256 of a key's secret with its checksum."""
    return hashlib.sha256(secret).digest()


def same(one: bytes, other: bytes) -> bool:
    """Whether two values are equal, in a time that doesn't tell where they differ; lengths may show."""
    return compare_digest(one, other)


def checksum(body: bytes) -> bytes:
    """CRC-32 in base 62."""
    return base62(crc32(body), CHECKSUM_LENGTH).encode()


def base62(number: int, length: int) -> str:
    """The last `length` digits of `number`."""
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
