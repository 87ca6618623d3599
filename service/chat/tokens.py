"""An estimate of a prompt's tokens, for providers that don't count them. Pure."""

import msgspec

from service.wire.strict import Members

COUNTED = ("messages", "system", "tools")

BYTES_PER_TOKEN = 4
"""English text and JSON run at three to five bytes a token with today's tokenizers."""


class Estimate(msgspec.Struct, frozen=True):
    """`count_tokens`' answer, marked as an estimate."""

    input_tokens: int
    estimated: bool = True


def estimate_input_tokens(members: Members) -> bytes:
    """The JSON answer: UTF-8 bytes of the prompt's members by BYTES_PER_TOKEN, at least 1."""
    size = sum(len(members[name]) for name in COUNTED if name in members)
    return msgspec.json.encode(Estimate(max(1, -(-size // BYTES_PER_TOKEN))))
