"""Costs are exact to the pico-dollar and rounded once: checked against fractions."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pricing.arithmetic import Rates, Usage, cost_nano_usd, rates_from_usd_per_million, usd

PRICES = st.decimals(min_value=0, max_value=1000, places=6)
TOKENS = st.integers(min_value=0, max_value=10_000_000)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Usage as an honest provider reports it: the parts of the input are within the input."""
    uncached, cached, written = draw(TOKENS), draw(TOKENS), draw(TOKENS)
    return Usage(uncached + cached + written, cached, written, draw(TOKENS))


def half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


@given(usage=usages(), prices=st.tuples(PRICES, PRICES, PRICES, PRICES))
def test_a_cost_is_the_exact_sum_rounded_half_up(usage: Usage, prices: tuple[Decimal, ...]) -> None:
    """Integers lose nothing against rational arithmetic on the prices as written."""
    plain, cached, written, output = prices
    rates = rates_from_usd_per_million(input=plain, output=output, cached_input=cached, cache_write=written)
    uncached = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
    dollars = (
        uncached * Fraction(plain)
        + usage.cached_input_tokens * Fraction(cached)
        + usage.cache_write_tokens * Fraction(written)
        + usage.output_tokens * Fraction(output)
    ) / 1_000_000
    assert cost_nano_usd(rates, usage) == half_up(dollars * 1_000_000_000)


def test_what_is_written_for_an_hour_costs_twice_what_input_costs() -> None:
    """Whatever other writes cost."""
    for cache_write in (1.25, 1.0, 0.0):
        rates = rates_from_usd_per_million(input=1, output=5, cache_write=cache_write)
        for_an_hour = Usage(1000, 0, 700, 0, hour_write_tokens=300)
        assert cost_nano_usd(rates, for_an_hour) == (300 + 400 * cache_write + 300 * 2) * 1000


@given(price=st.integers(min_value=0, max_value=10**9))
def test_a_float_means_the_decimal_that_it_prints_as(price: int) -> None:
    """Six decimals per million survive the way through a TOML float."""
    assert rates_from_usd_per_million(input=price / 1_000_000, output=0).input == price


@pytest.mark.parametrize(
    ("pico", "nano"),
    [
        pytest.param(0, 0, id="nothing-costs-nothing"),
        pytest.param(499, 0, id="just-under-a-half-rounds-down"),
        pytest.param(500, 1, id="a-half-rounds-up"),
        pytest.param(1499, 1, id="just-under-one-and-a-half-rounds-down"),
        pytest.param(2500, 3, id="a-half-rounds-up-to-an-odd-number-too"),
    ],
)
def test_rounding(pico: int, nano: int) -> None:
    assert cost_nano_usd(Rates(pico, 0, 0, 0), Usage(1, 0, 0, 0)) == nano


def test_parts_are_rounded_together() -> None:
    """Two parts of 400 pico-dollars are 800, which is one nano-dollar; rounded apart they'd be none."""
    assert cost_nano_usd(Rates(400, 0, 0, 400), Usage(1, 0, 0, 1)) == 1


@pytest.mark.parametrize(
    ("usage", "nano"),
    [
        pytest.param(Usage(1000, 0, 0, 0), 3_000_000, id="input-alone"),
        pytest.param(Usage(1000, 1000, 0, 0), 300_000, id="cached-input-is-not-paid-twice"),
        pytest.param(Usage(1000, 0, 1000, 0), 3_750_000, id="a-cache-write-is-not-paid-twice"),
        pytest.param(Usage(10, 1000, 0, 0), 300_000, id="more-cached-than-input-is-never-negative"),
        pytest.param(Usage(0, 0, 0, 1000, 900), 15_000_000, id="reasoning-is-part-of-the-output"),
    ],
)
def test_classes_of_tokens(usage: Usage, nano: int) -> None:
    rates = rates_from_usd_per_million(input=3, output=15, cached_input=0.3, cache_write=3.75)
    assert cost_nano_usd(rates, usage) == nano


def test_unnamed_cache_prices_are_those_of_the_input() -> None:
    """A provider without cache prices charges cached tokens in full."""
    assert rates_from_usd_per_million(input=0.15, output=0.6) == Rates(150_000, 150_000, 150_000, 600_000)


def test_display_in_dollars() -> None:
    """Nano-dollars are shown as dollars."""
    assert usd(1_500_000) == 0.0015
