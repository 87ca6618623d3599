"""Which model names a client may use, and what each one stands for. Pure, made once at start.

Three kinds of name, looked up in this order: the configured aliases; `provider/model` for
providers that no alias uses; and, bare, the price table's names of such a provider.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from service.chat.routing import Alias, Target
from service.config import Model, Price, Provider, Settings
from service.errors import InvalidRequest, ModelNotFound
from service.pricing.arithmetic import Rates

SIM_NAME = re.compile(r"sim(-embed|-\d+-\d+ms)?")

DEFAULT_MAX_OUTPUT_TOKENS = 4096
"""For a model that nobody configured, where a provider needs a maximum and the caller names none."""

MAX_REMEMBERED = 1000
"""Aliases made from `provider/model` names; clients choose these, so their number is bounded."""

MAX_NAME_CHARACTERS = 512
"""Of such a name: it is remembered, logged and counted, so it is not to be megabytes."""


class Prices(Protocol):
    """The price table, as far as the catalog needs it."""

    def model_names(self, provider: Provider) -> Iterable[str]:
        """The models that it knows for `provider`."""

    def rates(self, provider: Provider, model: str, configured: Price | None) -> Rates | None:
        """What a model costs; the configured price beats the table."""

    def version(self, provider: Provider, configured: Price | None) -> str:
        """Where that price comes from, as the ledger stores it."""


@dataclass(frozen=True, slots=True)
class Card:
    """One line of `/v1/models`."""

    id: str
    owned_by: str


class Catalog:
    """Names to aliases. Frozen after it is made."""

    def __init__(self, settings: Settings, prices: Prices) -> None:
        self._settings = settings
        self._prices = prices
        self._remembered: dict[str, Alias] = {}
        self._providers = {provider.name: provider for provider in settings.providers}
        self.aliases = {model.name: self._configured(model) for model in settings.models}
        used = {target.provider for model in settings.models for target in model.targets}
        self._open_ended = {name: found for name, found in self._providers.items() if name not in used}
        self._bare: dict[str, Provider] = {}
        for provider in self._open_ended.values():
            for name in ("sim",) if provider.kind == "sim" else prices.model_names(provider):
                self._bare.setdefault(name, provider)
        self._cards = self._list()

    def find(self, name: str) -> Alias:
        """The alias that `name` stands for. Raises ModelNotFound."""
        if (alias := self.aliases.get(name) or self._remembered.get(name)) is not None:
            return alias
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        alias = self._remembered[name] = self._derive(name)
        return alias

    def has(self, name: str) -> bool:
        """Whether `name` stands for anything."""
        try:
            self.find(name)
        except ModelNotFound:
            return False
        return True

    def _derive(self, name: str) -> Alias:
        prefix, _, model = name.partition("/")
        short = len(name) <= MAX_NAME_CHARACTERS
        if model and short and (provider := self._open_ended.get(prefix)) is not None:
            return self._made(name, provider, model)
        if short and (provider := self._bare.get(name) or self._simulating(name)) is not None:
            return self._made(name, provider, name)
        raise ModelNotFound(
            f"The model {name[:200]!r} does not exist here; GET /v1/models lists those that do.",
            param="model",
        )

    def default(self) -> str:
        """The model of requests that name none: the first one listed. Raises InvalidRequest if none is."""
        if not self._cards:
            raise InvalidRequest("No model is configured to be the default; name one.", param="model")
        return self._cards[0].id

    def cards(self) -> list[Card]:
        """What `/v1/models` shows, the configured ones first."""
        return self._cards

    def _list(self) -> list[Card]:
        found = {name: Card(name, "penstock") for name in self.aliases}
        for name, provider in self._bare.items():
            found.setdefault(name, Card(name, provider.name))
            if provider.kind != "sim":
                found.setdefault(f"{provider.name}/{name}", Card(f"{provider.name}/{name}", provider.name))
        return list(found.values())

    def _simulating(self, name: str) -> Provider | None:
        if not SIM_NAME.fullmatch(name):
            return None
        return next((provider for provider in self._open_ended.values() if provider.kind == "sim"), None)

    def _configured(self, model: Model) -> Alias:
        targets = tuple(
            (self._target(self._providers[target.provider], target.model, model), float(target.weight))
            for target in model.targets
        )
        return Alias(model.name, targets, model.fallbacks)

    def _made(self, name: str, provider: Provider, model: str) -> Alias:
        return Alias(name, ((self._target(provider, model, None), 1.0),))

    def _target(self, provider: Provider, model: str, configured: Model | None) -> Target:
        price = configured.price if configured else None
        return Target(
            provider=provider.name,
            model=model,
            timeouts=self._settings.timeouts_for(provider, configured),
            max_output_tokens=configured.max_output_tokens if configured else DEFAULT_MAX_OUTPUT_TOKENS,
            rates=self._prices.rates(provider, model, price),
            price_version=self._prices.version(provider, price),
        )
