"""Usage as providers really send it, to disjoint classes of tokens and to the cent: golden files.

Each file of `tests/vectors/usage` has an answer or a stream as it comes off the wire, the price in USD per
million tokens, and what follows from both, worked out by hand: `sum` has the steps.
"""

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest

from service.pricing.arithmetic import NANO_PER_USD, Usage, cost_nano_usd, rates_from_usd_per_million
from service.providers.anthropic import AnthropicCodec
from service.providers.base import Codec
from service.providers.openai import OpenAICodec
from service.wire.sse import Decoder

FOLDER = Path(__file__).parents[2] / "vectors" / "usage"
CODECS: dict[str, Codec] = {"openai": OpenAICodec(lambda: 0.0), "anthropic": AnthropicCodec(lambda: 0.0)}


class Vector(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file. answer: a whole one's JSON, or stream: the lines of one."""

    dialect: str
    about: str
    price: dict[str, float]
    answer: msgspec.Raw = msgspec.Raw()
    stream: list[str] = []
    usage: Usage
    sum: list[str]
    cost_usd: Decimal


VECTORS = {
    path.stem: msgspec.json.decode(path.read_bytes(), type=Vector) for path in sorted(FOLDER.glob("*.json"))
}
CASES = [pytest.param(vector, id=name) for name, vector in VECTORS.items()]


def usage_of(vector: Vector) -> Usage | None:
    """What the dialect's codec reads."""
    codec = CODECS[vector.dialect]
    if vector.answer:
        return codec.read_answer(bytes(vector.answer)).usage
    reader = codec.reader(pass_usage=False)
    for event in Decoder().feed("".join(f"{line}\n" for line in vector.stream).encode()):
        reader.take(event)
    assert reader.finished and reader.done
    return reader.usage


@pytest.mark.parametrize("vector", CASES)
def test_tokens_by_class_and_cost(vector: Vector) -> None:
    usage = usage_of(vector)
    assert usage is not None
    assert usage == vector.usage
    rates = rates_from_usd_per_million(**vector.price)
    assert cost_nano_usd(rates, usage) == vector.cost_usd * NANO_PER_USD


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
def test_a_golden_cost_is_the_sum_of_its_steps(vector: Vector) -> None:
    """So that nobody has to believe the file: tokens times dollars a million, a class each."""
    steps = [step.split(" * ") for step in vector.sum]
    dollars = sum(Fraction(tokens) * Fraction(price) for tokens, price in steps) / 1_000_000
    assert dollars == Fraction(vector.cost_usd)
