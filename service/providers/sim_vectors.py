"""Simulated embeddings: unit vectors in which texts that share words are near. Pure.

Feature hashing: each word adds or subtracts its count at a few places that its hash names.
"""

import math
import string
import struct
import sys
from array import array
from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b

import msgspec

DEFAULT_DIMENSIONS = 256
MAX_DIMENSIONS = 4096

_PLACES = struct.Struct("<4I")
_ENCODE = msgspec.json.Encoder().encode


def vector(words: Sequence[str], dimensions: int) -> "array[float]":
    """A unit vector of 32-bit floats. Case and the punctuation around a word don't count."""
    sums: Counter[int] = Counter()
    for word, times in Counter(words).items():
        bare = word.strip(string.punctuation).casefold() or word
        for place in _PLACES.unpack(blake2b(bare.encode(), digest_size=_PLACES.size).digest()):
            sums[(place >> 1) % dimensions] += times if place & 1 else -times
    length = math.sqrt(sum(value * value for value in sums.values()))
    made = array("f", bytes(4 * dimensions))
    if not length:
        made[0] = 1.0
        return made
    for place, value in sums.items():
        made[place] = value / length
    return made


def encoded(made: "array[float]", *, base64: bool) -> bytes:
    """A vector as JSON: an array of numbers, or base64 of little-endian 32-bit floats."""
    if not base64:
        return _ENCODE(made.tolist())
    little = array("f", made)
    if sys.byteorder == "big":
        little.byteswap()
    return b'"' + b64encode(little) + b'"'
