"""The shipped entries say what genai-prices says: that package is the oracle."""

from datetime import UTC, date, datetime, time
from decimal import Decimal

import msgspec
import pytest
from genai_prices import types as genai
from genai_prices.data import providers

from service.pricing import refresh
from service.pricing.table import PriceTable, ProviderEntry, TableData

TODAY = date(2026, 11, 1)
KEPT = [provider for provider in providers if provider.id not in refresh.NO_CHAT_API]


@pytest.fixture(name="made", scope="module")
def made_table() -> PriceTable:
    entries = [refresh.provider_entry(provider, TODAY) for provider in KEPT]
    return PriceTable(msgspec.json.decode(refresh.render("made", entries), type=TableData))


@pytest.mark.parametrize("provider", [pytest.param(provider, id=provider.id) for provider in KEPT])
def test_every_name_finds_the_model_that_genai_prices_finds(
    made: PriceTable, provider: genai.Provider
) -> None:
    for model in provider.models:
        names, prefixes, _ = refresh.sorted_clauses(model.match)
        for name in {model.id, *names, *prefixes, *(f"{prefix}-20250101" for prefix in prefixes)}:
            found = provider.find_model(name, all_providers=providers)
            entry = refresh.model_entry(found, TODAY) if found else None
            assert made.price(provider.id, name) == (entry and entry.rates), name


def priced(*prices: genai.ConditionalPrice) -> genai.ModelInfo:
    return genai.ModelInfo(id="m", match=genai.ClauseEquals("m"), prices=list(prices))


def conditional(
    price: str, constraint: genai.StartDateConstraint | genai.TimeOfDateConstraint | None = None
) -> genai.ConditionalPrice:
    return genai.ConditionalPrice(constraint=constraint, prices=genai.ModelPrice(input_mtok=Decimal(price)))


def test_the_latest_price_in_force_counts() -> None:
    """Prices of the future and of some hours of the day are left out."""
    model = priced(
        conditional("1"),
        conditional("2", genai.StartDateConstraint(date(2026, 1, 1))),
        conditional("3", genai.StartDateConstraint(date(2027, 1, 1))),
        conditional("4", genai.TimeOfDateConstraint(time(1), time(2))),
    )
    entry = refresh.model_entry(model, TODAY)
    assert entry is not None
    assert entry.input_mtok == Decimal(2)
    assert model.get_prices(datetime(2026, 11, 1, 12, tzinfo=UTC)).__dict__ == {"input_mtok": Decimal(2)}


def test_the_first_tier_counts() -> None:
    """Where large prompts cost more, the small ones' price is shipped."""
    tiers = genai.TieredPrices(base=Decimal("1.25"), tiers=[genai.Tier(start=200_000, price=Decimal("2.5"))])
    model = genai.ModelInfo(
        id="m", match=genai.ClauseEquals("m"), prices=genai.ModelPrice(input_mtok=tiers, output_mtok=tiers)
    )
    entry = refresh.model_entry(model, TODAY)
    assert entry is not None
    assert (entry.input_mtok, entry.output_mtok) == (Decimal("1.25"), Decimal("1.25"))


@pytest.mark.parametrize(
    ("clause", "name", "fits"),
    [
        pytest.param(genai.ClauseContains("v1.5"), "my-v1.5-x", True, id="contains-anywhere"),
        pytest.param(genai.ClauseContains("v1.5"), "my-v105-x", False, id="contains-is-literal"),
        pytest.param(genai.ClauseEndsWith("-it"), "gemma-it", True, id="ends-with"),
        pytest.param(genai.ClauseEndsWith("-it"), "gemma-it-2", False, id="ends-with-only-there"),
        pytest.param(
            genai.ClauseAnd([genai.ClauseStartsWith("a"), genai.ClauseContains("b")]),
            "a-b",
            True,
            id="and-both",
        ),
        pytest.param(
            genai.ClauseAnd([genai.ClauseStartsWith("a"), genai.ClauseContains("b")]),
            "b-x",
            False,
            id="and-one-only",
        ),
        pytest.param(
            genai.ClauseAnd([genai.ClauseOr([genai.ClauseEquals("a"), genai.ClauseEquals("b")])]),
            "b",
            True,
            id="or-within-and",
        ),
    ],
)
def test_clauses_become_patterns(clause: genai.MatchLogic, name: str, fits: bool) -> None:
    entry = refresh.model_entry(
        genai.ModelInfo(id="m", match=clause, prices=genai.ModelPrice(input_mtok=Decimal(1))), TODAY
    )
    assert entry is not None
    one = msgspec.Raw(msgspec.json.encode([entry]))
    shelf = PriceTable(TableData("t", (ProviderEntry(id="p", api_pattern="p", models=one),)))
    assert clause.is_match(name) is fits
    assert (shelf.price("p", name) is not None) is fits
