"""What answers calls, made of the settings that hold, and made anew when they change.

A call that is under way keeps what it began with: nothing is taken from it.
"""

from collections.abc import Callable
from weakref import WeakSet

from service.chat.accounts import Accounts
from service.chat.catalog import Catalog
from service.chat.service import ChatService, Drains
from service.clock import Clock
from service.config import Settings
from service.pricing.prices import SettingsPrices
from service.providers.registry import Providers
from service.stores import Stores
from service.streams.registry import StreamRegistry


class Serving:
    """chat: for calls that begin now. metrics_open: whether operators' numbers are shown without a key."""

    def __init__(
        self,
        settings: Settings,
        *,
        stores: Stores,
        registry: StreamRegistry,
        clock: Clock,
        draw: Callable[[], float],
    ) -> None:
        """draw: chance in [0, 1)."""
        self._stores = stores
        self._registry = registry
        self._clock = clock
        self._draw = draw
        self._drains = Drains()
        self._providers = Providers(clock)
        self._prices = SettingsPrices()
        # Those of calls under way live on with them.
        self._accounts = WeakSet[Accounts]()
        self.use(settings)

    @property
    def default_model(self) -> str | None:
        """The model of requests that name none."""
        cards = self.chat.catalog.cards()
        return cards[0].id if cards else None

    def has_model(self, name: str) -> bool:
        """Whether clients may name it now."""
        return self.chat.catalog.has(name)

    def use(self, settings: Settings) -> None:
        """Answer calls that begin from now on as these say."""
        providers = self._providers.use(settings.providers)
        catalog = Catalog(settings, self._prices)
        accounts = Accounts(
            limits=self._stores.limits,
            ledger=self._stores.ledger,
            clock=self._clock,
            aliases=catalog.aliases,
            dialect_of=lambda name: providers[name].codec.dialect,
        )
        self._accounts.add(accounts)
        self.metrics_open = settings.server.metrics_open
        self.chat = ChatService(
            catalog=catalog,
            providers=providers,
            retries=settings.retries,
            streams=settings.streams,
            registry=self._registry,
            usage=settings.usage,
            accounts=accounts,
            clock=self._clock,
            draw=self._draw,
            drains=self._drains,
        )

    def close(self) -> None:
        """Let go of the providers."""
        for accounts in self._accounts:
            accounts.stop()
        self._providers.close()
