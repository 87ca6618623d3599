"""Identifiers: random, or the caller's where it is well-formed."""

import random  # noqa: TID251 - names need no seed in tests: nobody asserts on them
import re

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


def new_id(prefix: str) -> str:
    """`prefix_` and 96 random bits in hexadecimal. Unique, not secret: whoever guesses one gains nothing."""
    return f"{prefix}_{random.getrandbits(96):024x}"


def request_id(offered: bytes | None) -> str:
    """The caller's `X-Request-ID` if it is 1 to 128 of `[A-Za-z0-9._:-]`, else a new one."""
    if offered is not None and _REQUEST_ID.fullmatch(offered):
        return offered.decode("ascii")
    return new_id("req")
