"""The table finds a provider's models by every name they go by; the shipped one is sound."""

import re

import msgspec
import pytest

from service.pricing.arithmetic import Rates
from service.pricing.table import PriceTable, TableData

SAMPLE = b"""{"version": "sample", "providers": [
  {"id": "acme", "api_pattern": "https://api\\\\.acme\\\\.test", "models": [
    {"id": "rocket", "input_mtok": 2, "output_mtok": 8, "cache_read_mtok": 0.5,
     "names": ["rocket-2025-08-07", "rocket-latest"]},
    {"id": "rocket-mini", "input_mtok": 1, "output_mtok": 4, "prefixes": ["rocket-mini-"]},
    {"id": "tuned", "input_mtok": 3, "output_mtok": 6, "listed": false, "prefixes": ["ft:rocket"]},
    {"id": "anvil", "input_mtok": 0.02, "patterns": ["^anvil-\\\\d{8}$"]}]},
  {"id": "reseller", "api_pattern": "https://resold\\\\.test", "models": [], "fallbacks": ["acme"]}
]}"""

ROCKET = Rates(2_000_000, 500_000, 2_000_000, 8_000_000)
MINI = Rates(1_000_000, 1_000_000, 1_000_000, 4_000_000)
TUNED = Rates(3_000_000, 3_000_000, 3_000_000, 6_000_000)
ANVIL = Rates(20_000, 20_000, 20_000, 0)


@pytest.fixture(name="table")
def sample_table() -> PriceTable:
    return PriceTable(msgspec.json.decode(SAMPLE, type=TableData))


@pytest.mark.parametrize(
    ("provider", "model", "rates"),
    [
        pytest.param("acme", "rocket", ROCKET, id="its-id"),
        pytest.param("acme", "rocket-latest", ROCKET, id="an-exact-name"),
        pytest.param("acme", "ROCKET", ROCKET, id="case-does-not-count"),
        pytest.param("acme", "rocket-20250807", ROCKET, id="a-compact-date-is-the-dashed-one"),
        pytest.param("acme", "rocket-mini-2025", MINI, id="a-prefix"),
        pytest.param("acme", "ft:rocket:me::1", TUNED, id="an-unlisted-model-by-its-prefix"),
        pytest.param("acme", "tuned", None, id="not-by-the-id-of-an-unlisted-model"),
        pytest.param("acme", "anvil-20250101", ANVIL, id="a-pattern"),
        pytest.param("acme", "my-anvil-20250101", None, id="an-anchored-pattern-only-at-its-place"),
        pytest.param("acme", "rocket-9000", None, id="an-unknown-model"),
        pytest.param("reseller", "rocket", ROCKET, id="a-model-that-another-provider-makes"),
        pytest.param("nobody", "rocket", None, id="an-unknown-provider"),
    ],
)
def test_price(table: PriceTable, provider: str, model: str, rates: Rates | None) -> None:
    assert table.price(provider, model) == rates


@pytest.mark.parametrize(
    ("name", "base_url", "provider"),
    [
        pytest.param("up", "https://api.acme.test/v1", "acme", id="by-its-address"),
        pytest.param("acme", "http://127.0.0.1:9000/v1", "acme", id="by-its-name"),
        pytest.param("reseller", "https://api.acme.test", "acme", id="the-address-beats-the-name"),
        pytest.param("up", "http://127.0.0.1:9000/v1", None, id="neither-known"),
        pytest.param(
            "up", "https://evil.test/https://api.acme.test", None, id="only-from-the-address's-start"
        ),
    ],
)
def test_provider_for(table: PriceTable, name: str, base_url: str, provider: str | None) -> None:
    assert table.provider_for(name, base_url) == provider


def test_model_names_are_ids_and_exact_names_once(table: PriceTable) -> None:
    """Names that only a prefix or a pattern knows can't be listed, and unlisted ids aren't."""
    assert table.model_names("acme") == (
        "rocket",
        "rocket-2025-08-07",
        "rocket-latest",
        "rocket-mini",
        "anvil",
    )
    assert table.model_names("nobody") == ()


@pytest.fixture(name="shipped", scope="module")
def shipped_table() -> PriceTable:
    return PriceTable.load()


@pytest.mark.parametrize(
    ("base_url", "provider", "model"),
    [
        pytest.param("https://api.openai.com/v1", "openai", "gpt-4o-mini", id="openai"),
        pytest.param("https://api.openai.com/v1", "openai", "text-embedding-3-small", id="openai-embeddings"),
        pytest.param(
            "https://api.anthropic.com", "anthropic", "claude-sonnet-4-5-20250929", id="anthropic-dated"
        ),
        pytest.param("https://openrouter.ai/api/v1", "openrouter", "openai/gpt-4o-mini", id="openrouter"),
        pytest.param("https://me.openai.azure.com/openai/v1", "azure", "gpt-4o", id="azure-sells-openai's"),
    ],
)
def test_the_shipped_table_knows(shipped: PriceTable, base_url: str, provider: str, model: str) -> None:
    assert shipped.provider_for("up", base_url) == provider
    rates = shipped.price(provider, model)
    assert rates is not None
    assert rates.input > 0


@pytest.mark.parametrize(
    "model",
    [
        pytest.param("gpt-image-1", id="pictures"),
        pytest.param("whisper-1", id="speech-to-text"),
        pytest.param("tts-1", id="text-to-speech"),
    ],
)
def test_the_shipped_table_leaves_out(shipped: PriceTable, model: str) -> None:
    assert shipped.price("openai", model) is None


def test_every_shipped_provider_can_be_used(shipped: PriceTable) -> None:
    """All entries decode, every pattern compiles, and every listed name has a price."""
    data = shipped.provider_ids
    assert len(data) > 30
    for provider in data:
        names = shipped.model_names(provider)
        assert all(shipped.price(provider, name) for name in names)
        assert shipped.price(provider, "a model that nobody has") is None


def test_the_shipped_version_says_its_day(shipped: PriceTable) -> None:
    """The ledger names the prices that it used."""
    assert re.fullmatch(r"genai-prices [\d.]+ \d{4}-\d\d-\d\d", shipped.version)
