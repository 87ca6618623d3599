"""Identifiers: random, or the caller's where it is well-formed."""

import random  # noqa: TID251 - names need no seed in tests: nobody asserts on them
import re
from time import time_ns

_random_bits = random.getrandbits
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


def new_id(prefix: str) -> str:
    """`prefix_`, the time in milliseconds and 64 random bits in hexadecimal: sorted by time, as far as clocks go.

    Unique, not secret: whoever guesses one gains nothing. Sorted, because a database that gets random
    ids touches another page for each of them.
    """
    return f"{prefix}_{time_ns() // 1_000_000 << 64 | _random_bits(64):027x}"


def request_id(offered: bytes | None) -> str:
    """The caller's `X-Request-ID` if it is 1 to 128 of `[A-Za-z0-9._:-]`, else a new one.

    One that holds what looks like a key is not the caller's id but its mistake, and must not be logged.
    """
    if offered is not None and _REQUEST_ID.fullmatch(offered) and b"psk_" not in offered:
        return offered.decode("ascii")
    return new_id("req")
