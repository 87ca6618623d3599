"""Make `prices.json` anew: `python -m service.pricing.refresh` (a development command).

The only place that imports genai-prices, which is a development dependency: at run time it
would cost 0.4 s and pydantic. Run it after an upgrade of that package, and review the change.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import genai_prices
import msgspec
from genai_prices import types as genai
from genai_prices.data import providers as all_providers

from service.pricing.table import ModelEntry, ProviderEntry

PRICES_FILE = Path(__file__).with_name("prices.json")

NO_CHAT_API = frozenset({"cursor", "elevenlabs", "openai-decisions"})
"""Providers without an OpenAI- or Anthropic-compatible API of their own."""

NOT_TEXT = re.compile(
    r"audio|dall-e|image|-live|moderation|ocr|realtime|rerank|sora|speech|transcri|tts|veo|whisper",
    re.IGNORECASE,
)
"""Models that answer with something else than text or vectors: a price per token would be wrong."""

_DECIMALS = msgspec.json.Encoder(decimal_format="number")


def main() -> None:
    """Write the file for today's prices and say what is in it."""
    today = datetime.now(UTC).date()
    entries = [
        provider_entry(provider, today) for provider in all_providers if provider.id not in NO_CHAT_API
    ]
    PRICES_FILE.write_bytes(render(f"genai-prices {genai_prices.__version__} {today}", entries))
    print(f"{PRICES_FILE.name}: {len(entries)} providers, {PRICES_FILE.stat().st_size:,} bytes")


def render(version: str, entries: Iterable[ProviderEntry]) -> bytes:
    """The file's bytes, a line per provider and model, so that a change of prices reads well."""
    providers = b",\n".join(_DECIMALS.encode(entry) for entry in entries)
    return b'{"version":' + _DECIMALS.encode(version) + b',"providers":[\n' + providers + b"\n]}\n"


def provider_entry(provider: genai.Provider, today: date) -> ProviderEntry:
    """One provider as we ship it, at the prices of `today`."""
    models = [entry for model in provider.models if (entry := model_entry(model, today))]
    lines = b",\n".join(_DECIMALS.encode(model) for model in models)
    return ProviderEntry(
        id=provider.id,
        api_pattern=provider.api_pattern,
        models=msgspec.Raw(b"[\n" + lines + b"]"),
        fallbacks=tuple(provider.fallback_model_providers or ()),
    )


def model_entry(model: genai.ModelInfo, today: date) -> ModelEntry | None:
    """One model as we ship it; None if it is not paid by tokens of text."""
    prices = _current(model, today)
    input_mtok = _base(prices, "input_mtok")
    if input_mtok is None or NOT_TEXT.search(model.id):
        return None
    names, prefixes, patterns = sorted_clauses(model.match)
    return ModelEntry(
        id=model.id,
        input_mtok=input_mtok,
        output_mtok=_base(prices, "output_mtok") or Decimal(0),
        cache_read_mtok=_base(prices, "cache_read_mtok"),
        cache_write_mtok=_base(prices, "cache_write_mtok"),
        context_window_tokens=model.context_window,
        listed=model.is_match(model.id) and not model.id.startswith("ft:"),
        names=tuple(name for name in names if name != model.id),
        prefixes=tuple(prefixes),
        patterns=tuple(patterns),
    )


def _current(model: genai.ModelInfo, today: date) -> genai.ModelPrice:
    """The latest price in force; hours of the day (off-peak prices) are left out."""
    if isinstance(model.prices, genai.ModelPrice):
        return model.prices
    return [entry.prices for entry in model.prices if _holds(entry.constraint, today)][-1]


def _holds(constraint: genai.StartDateConstraint | genai.TimeOfDateConstraint | None, today: date) -> bool:
    if isinstance(constraint, genai.StartDateConstraint):
        return constraint.start_date <= today
    return constraint is None


def _base(prices: genai.ModelPrice, unit: str) -> Decimal | None:
    """The price of `unit`, of its first tier where large prompts cost more."""
    price: Decimal | genai.TieredPrices | None = getattr(prices, unit, None)
    return price.base if isinstance(price, genai.TieredPrices) else price


def sorted_clauses(match: genai.MatchLogic) -> tuple[list[str], list[str], list[str]]:
    """The alternatives of `match`: exact names, prefixes, and patterns for all the rest."""
    names: list[str] = []
    prefixes: list[str] = []
    patterns: list[str] = []
    for clause in _alternatives(match):
        if isinstance(clause, genai.ClauseEquals):
            names.append(clause.equals.lower())
        elif isinstance(clause, genai.ClauseStartsWith):
            prefixes.append(clause.starts_with.lower())
        else:
            patterns.append(_pattern(clause))
    return names, prefixes, patterns


def _alternatives(match: genai.MatchLogic) -> Iterator[genai.MatchLogic]:
    if isinstance(match, genai.ClauseOr):
        for clause in match.or_:
            yield from _alternatives(clause)
    else:
        yield match


def _pattern(clause: genai.MatchLogic) -> str:
    """A regular expression, to be searched for, that is true of the names that `clause` matches."""
    if isinstance(clause, genai.ClauseRegex):
        return clause.regex
    if isinstance(clause, genai.ClauseContains):
        return re.escape(clause.contains.lower())
    if isinstance(clause, genai.ClauseStartsWith):
        return "^" + re.escape(clause.starts_with.lower())
    if isinstance(clause, genai.ClauseEndsWith):
        return re.escape(clause.ends_with.lower()) + "$"
    if isinstance(clause, genai.ClauseEquals):
        return "^" + re.escape(clause.equals.lower()) + "$"
    if isinstance(clause, genai.ClauseOr):
        return "(?:" + "|".join(map(_pattern, clause.or_)) + ")"
    # An anchor behind `.*?` still means the start of the name.
    return "^" + "".join(f"(?=.*?{_pattern(part)})" for part in clause.and_)


if __name__ == "__main__":
    main()
