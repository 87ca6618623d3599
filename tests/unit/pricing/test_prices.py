"""The operator's price beats the table, and the simulated model is free."""

import pytest

from service.config import Price, Provider
from service.pricing.arithmetic import FREE, Rates
from service.pricing.prices import SettingsPrices

OPENAI = Provider(name="up", kind="openai", base_url="https://api.openai.com/v1")
LOCAL = Provider(name="vllm", kind="openai", base_url="http://127.0.0.1:8001/v1")
SIM = Provider(name="sim", kind="sim")
OWN = Price(input=0.15, output=0.6, cached_input=0.075)


@pytest.mark.parametrize(
    ("provider", "model", "configured", "rates"),
    [
        pytest.param(
            OPENAI, "gpt-4", None, Rates(30_000_000, 30_000_000, 30_000_000, 60_000_000), id="the-table's"
        ),
        pytest.param(
            OPENAI, "gpt-4", OWN, Rates(150_000, 75_000, 150_000, 600_000), id="the-operator's-beats-it"
        ),
        pytest.param(LOCAL, "llama", None, None, id="unknown-where-nobody-said"),
        pytest.param(
            LOCAL, "llama", OWN, Rates(150_000, 75_000, 150_000, 600_000), id="the-operator's-alone"
        ),
        pytest.param(SIM, "sim-5-0ms", None, FREE, id="simulated-is-free"),
        pytest.param(SIM, "sim", OWN, Rates(150_000, 75_000, 150_000, 600_000), id="simulated-at-a-price"),
    ],
)
def test_rates(provider: Provider, model: str, configured: Price | None, rates: Rates | None) -> None:
    assert SettingsPrices().rates(provider, model, configured) == rates


def test_model_names() -> None:
    """A known address brings its models' names; others bring none."""
    prices = SettingsPrices()
    assert "gpt-4o-mini" in prices.model_names(OPENAI)
    assert prices.model_names(LOCAL) == ()
    assert prices.model_names(SIM) == ()
