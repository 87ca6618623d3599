"""What tokens cost, in integers. Pure.

Prices are integer pico-dollars per token: one USD per million tokens is 1,000,000 pico-dollars
a token, so every price with up to six decimals per million is exact. A cost is summed in
pico-dollars and rounded once, half up, to integer nano-dollars.
"""

from decimal import ROUND_HALF_UP, Decimal

import msgspec

PICO_PER_NANO = 1000
NANO_PER_USD = 1_000_000_000


class Rates(msgspec.Struct, frozen=True, gc=False):
    """What one token of each class costs, in integer pico-dollars."""

    input: int
    cached_input: int
    cache_write: int
    output: int


HOUR_WRITE_INPUTS = 2
"""What a token written to a cache for an hour costs, in those of input: Anthropic's rule for all its models."""

FREE = Rates(0, 0, 0, 0)
"""What the simulated model costs."""


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one answer, as the provider reported them.

    input_tokens includes the cached ones and those written to a cache; output_tokens includes
    the reasoning ones. hour_write_tokens: of those written to a cache, the ones to be kept for an hour, which
    cost more; the ledger has no column for them.
    """

    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int = 0
    hour_write_tokens: int = 0


MAX_TOKENS = 1_000_000_000
"""More than any answer has: a provider that reports more has reported nothing."""


def plausible(usage: Usage) -> Usage | None:
    """`usage`, unless it can't be true; so large a number would close a budget and pass what databases hold."""
    return usage if max(msgspec.structs.astuple(usage)) <= MAX_TOKENS else None


def rates_from_usd_per_million(
    *,
    input: float | Decimal,
    output: float | Decimal,
    cached_input: float | Decimal | None = None,
    cache_write: float | Decimal | None = None,
) -> Rates:
    """Rates of prices as people write them; None: this class of tokens costs what input costs.

    A float means the decimal number that it prints as: 0.15 is 15/100, not the nearest binary
    fraction. What lies beyond six decimals is rounded half up.
    """
    return Rates(
        input=_pico(input),
        cached_input=_pico(input if cached_input is None else cached_input),
        cache_write=_pico(input if cache_write is None else cache_write),
        output=_pico(output),
    )


def _pico(usd_per_million: float | Decimal) -> int:
    return int((Decimal(str(usd_per_million)) * 1_000_000).to_integral_value(ROUND_HALF_UP))


def cost_nano_usd(rates: Rates, usage: Usage) -> int:
    """What `usage` costs, in nano-dollars, rounded half up.

    A provider that reports more cached tokens than input tokens is charged for what it names:
    the uncached part is then zero, never negative.
    """
    uncached = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
    pico_usd = (
        max(uncached, 0) * rates.input
        + usage.cached_input_tokens * rates.cached_input
        + usage.cache_write_tokens * rates.cache_write
        + usage.output_tokens * rates.output
    )
    if usage.hour_write_tokens:
        pico_usd += usage.hour_write_tokens * (HOUR_WRITE_INPUTS * rates.input - rates.cache_write)
    return (pico_usd + PICO_PER_NANO // 2) // PICO_PER_NANO


def usd(nano: int) -> float:
    """Nano-dollars as dollars, for display only."""
    return nano / NANO_PER_USD
