"""The shipped price table: which provider an address is, which models it has, what they cost.

The data is `prices.json`, made by `service.pricing.refresh`. Only a provider's own entry is
decoded, when it is first asked for: most installations speak to one or two of fifty.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from importlib import resources

import msgspec

from service.pricing.arithmetic import Rates, rates_from_usd_per_million

_COMPACT_DATE = re.compile(r"-(20\d\d)(\d\d)(\d\d)$")


class ModelEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One model: prices in USD per million tokens, and the names it goes by.

    id: the table's name for it; `listed` is False where clients can't ask for it by that name.
    names, prefixes, patterns: further exact names, how names of it begin, and regular
    expressions that find them; all in lower case.
    """

    id: str
    input_mtok: Decimal
    output_mtok: Decimal = Decimal(0)
    cache_read_mtok: Decimal | None = None
    cache_write_mtok: Decimal | None = None
    context_window_tokens: int | None = None
    listed: bool = True
    names: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()

    @property
    def rates(self) -> Rates:
        """The prices as integers."""
        return rates_from_usd_per_million(
            input=self.input_mtok,
            output=self.output_mtok,
            cached_input=self.cache_read_mtok,
            cache_write=self.cache_write_mtok,
        )


class ProviderEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One provider. models: JSON of `ModelEntry`s; fallbacks: providers whose models it sells too."""

    id: str
    api_pattern: str
    models: msgspec.Raw
    fallbacks: tuple[str, ...] = ()


class TableData(msgspec.Struct, frozen=True):
    """The file. version: where the prices come from, and the day for which they were taken."""

    version: str
    providers: tuple[ProviderEntry, ...]


_TABLE = msgspec.json.Decoder(TableData)
_MODELS = msgspec.json.Decoder(tuple[ModelEntry, ...])


class PriceTable:
    """The prices of all known providers. Provider ids are the table's own, like `openai`."""

    def __init__(self, data: TableData) -> None:
        self.version = data.version
        self._providers = {provider.id: provider for provider in data.providers}
        self._shelves: dict[str, _Shelf] = {}

    @classmethod
    def load(cls) -> "PriceTable":
        """The shipped table; reads one file of some 300 KB."""
        file = resources.files("service.pricing") / "prices.json"
        return cls(_TABLE.decode(file.read_bytes()))

    @property
    def provider_ids(self) -> tuple[str, ...]:
        """All providers that the table knows."""
        return tuple(self._providers)

    def provider_for(self, name: str, base_url: str) -> str | None:
        """Whose prices hold for a configured provider: whose address it has, else whose name."""
        for provider in self._providers.values():
            if re.match(provider.api_pattern, base_url):
                return provider.id
        return name if name in self._providers else None

    def model_names(self, provider_id: str) -> tuple[str, ...]:
        """The names under which clients can ask for its models, each once."""
        shelf = self._shelf(provider_id)
        return shelf.names if shelf else ()

    def price(self, provider_id: str, model: str) -> Rates | None:
        """What `model` costs there; None if the table doesn't know.

        In this order: the model's id or one of its exact names; the first model one of whose
        prefixes or patterns fits (dated snapshots: `gpt-5-20250807` is read as
        `gpt-5-2025-08-07` too); the same for the providers whose models this one sells.
        """
        entry = self._providers.get(provider_id)
        for owner in (provider_id, *entry.fallbacks) if entry else ():
            shelf = self._shelf(owner)
            if shelf and (found := shelf.find(model.lower())):
                return found.rates
        return None

    def _shelf(self, provider_id: str) -> "_Shelf | None":
        if provider_id not in self._shelves and provider_id in self._providers:
            self._shelves[provider_id] = _Shelf(_MODELS.decode(self._providers[provider_id].models))
        return self._shelves.get(provider_id)


class _Shelf:
    """One provider's models, ready to be looked up."""

    def __init__(self, models: tuple[ModelEntry, ...]) -> None:
        self._exact = {name: model for model in reversed(models) for name in model.names}
        self._exact |= {model.id.lower(): model for model in models if model.listed}
        self._ruled = tuple(model for model in models if model.prefixes or model.patterns)
        self.names = tuple(dict.fromkeys(_names(models)))

    def find(self, name: str) -> ModelEntry | None:
        """The model that goes by `name`, which is in lower case."""
        dashed = _COMPACT_DATE.sub(r"-\1-\2-\3", name)
        for spelling in dict.fromkeys((name, dashed)):
            if found := self._exact.get(spelling) or self._by_rule(spelling):
                return found
        return None

    def _by_rule(self, name: str) -> ModelEntry | None:
        for model in self._ruled:
            if name.startswith(model.prefixes) or any(re.search(rule, name) for rule in model.patterns):
                return model
        return None


def _names(models: Iterable[ModelEntry]) -> Iterable[str]:
    for model in models:
        if model.listed:
            yield model.id
        yield from model.names
