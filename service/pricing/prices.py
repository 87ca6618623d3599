"""Prices for the configured providers: the operator's own first, the shipped table's next."""

from service.config import Price, Provider
from service.pricing.arithmetic import FREE, Rates, rates_from_usd_per_million
from service.pricing.table import PriceTable


class SettingsPrices:
    """The price table seen through the configuration. The file is read when first needed."""

    def __init__(self) -> None:
        self._table: PriceTable | None = None
        self._ids: dict[tuple[str, str], str | None] = {}

    def model_names(self, provider: Provider) -> tuple[str, ...]:
        """The models that the table knows for `provider`; none for the simulated one."""
        known_as = self._known_as(provider)
        return self._loaded().model_names(known_as) if known_as else ()

    def rates(self, provider: Provider, model: str, configured: Price | None) -> Rates | None:
        """What a model costs; the configured price beats the table, and the simulated one is free."""
        if configured is not None:
            return rates_from_usd_per_million(
                input=configured.input,
                output=configured.output,
                cached_input=configured.cached_input,
                cache_write=configured.cache_write,
            )
        if provider.kind == "sim":
            return FREE
        known_as = self._known_as(provider)
        return self._loaded().price(known_as, model) if known_as else None

    def version(self, provider: Provider, configured: Price | None) -> str:
        """Where a model's price comes from: `config`, `sim`, the table's own version, or "" for nowhere."""
        if configured is not None:
            return "config"
        if provider.kind == "sim":
            return "sim"
        return self._loaded().version if self._known_as(provider) else ""

    def _known_as(self, provider: Provider) -> str | None:
        if provider.kind == "sim":
            return None
        place = (provider.name, provider.base_url)
        if place not in self._ids:
            self._ids[place] = self._loaded().provider_for(*place)
        return self._ids[place]

    def _loaded(self) -> PriceTable:
        if self._table is None:
            self._table = PriceTable.load()
        return self._table
