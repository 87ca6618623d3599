"""What finished requests cost by the prices that hold now. The store and the prices are ports."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from service.config import Model, Price, Provider, Settings
from service.pricing.arithmetic import Rates, Usage, cost_nano_usd
from service.usage.report import NewCost, Position, Selection
from service.usage.row import LedgerRow

PAGE_ROWS = 1000


class Prices(Protocol):
    """Where prices come from (`service.pricing.prices`)."""

    def rates(self, provider: Provider, model: str, configured: Price | None) -> Rates | None:
        """What a model costs; None where nobody knows."""

    def version(self, provider: Provider, configured: Price | None) -> str:
        """Where that price comes from."""


class RepricedLedger(Protocol):
    """The ledger, as repricing needs it. Raises StoreUnavailable."""

    async def rows(self, selection: Selection, *, after: Position | None, limit: int) -> list[LedgerRow]:
        """At most `limit` rows that are older than `after`, newest first."""

    async def reprice(self, costs: Sequence[NewCost]) -> None:
        """Write other costs into rows, in one transaction."""


class Repriced(msgspec.Struct, kw_only=True):
    """What was done. nano_usd: what all changed rows cost before and cost now.

    cache_writes: changed rows with tokens written to a cache, all of which count as written for five minutes.
    """

    rows: int = 0
    changed: int = 0
    cache_writes: int = 0
    before_nano_usd: int = 0
    after_nano_usd: int = 0


class Repricer:
    """Prices by target, as the configuration has them now."""

    def __init__(self, settings: Settings, prices: Prices) -> None:
        self._prices = prices
        self._models = {model.name: model for model in settings.models}
        self._providers = {provider.name: provider for provider in settings.providers}

    def new_cost(self, row: LedgerRow) -> NewCost | None:
        """What `row` costs now; None where that is what it says, or nothing is known of its target now.

        A row doesn't say how much of its cache writes was for an hour, which costs more: one that was priced by
        the very table that holds now stays as it is.
        """
        provider_name, _, model = row.target.partition("/")
        provider = self._providers.get(provider_name)
        if provider is None:
            return None
        configured = self._configured(row.model, provider_name, model)
        rates = self._prices.rates(provider, model, configured)
        if rates is None:
            return None
        cost, version = cost_nano_usd(rates, _usage(row)), self._prices.version(provider, configured)
        unchanged = (row.cost_nano_usd, row.price_version) == (cost, version)
        by_this_table = configured is None and row.price_version == version and row.cost_nano_usd is not None
        return None if unchanged or by_this_table else NewCost(row.id, cost, version)

    def _configured(self, alias: str, provider: str, model: str) -> Price | None:
        """The price of the alias, or of its fallback, that has this target."""
        asked = self._models.get(alias)
        names = (alias, *asked.fallbacks) if asked else ()
        for found in (self._models[name] for name in names if name in self._models):
            if _has_target(found, provider, model):
                return found.price
        return None


async def reprice(
    ledger: RepricedLedger, repricer: Repricer, selection: Selection, *, dry_run: bool
) -> Repriced:
    """Write what rows cost now, page by page, each at once or not at all; dry_run: only say what would change."""
    done, after = Repriced(), None
    while rows := await ledger.rows(selection, after=after, limit=PAGE_ROWS):
        changes = [(row, new) for row in rows if (new := repricer.new_cost(row)) is not None]
        if not dry_run:
            await ledger.reprice([new for _, new in changes])
        _count(done, len(rows), changes)
        after = Position.of(rows[-1])
    return done


def _count(done: Repriced, rows: int, changes: Iterable[tuple[LedgerRow, NewCost]]) -> None:
    done.rows += rows
    for row, new in changes:
        done.changed += 1
        done.cache_writes += row.cache_write_tokens > 0
        done.before_nano_usd += row.cost_nano_usd or 0
        done.after_nano_usd += new.cost_nano_usd or 0


def _has_target(found: Model, provider: str, model: str) -> bool:
    return any((target.provider, target.model) == (provider, model) for target in found.targets)


def _usage(row: LedgerRow) -> Usage:
    return Usage(
        input_tokens=row.input_tokens,
        cached_input_tokens=row.cached_input_tokens,
        cache_write_tokens=row.cache_write_tokens,
        output_tokens=row.output_tokens,
        reasoning_tokens=row.reasoning_tokens,
    )
