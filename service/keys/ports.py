"""What recognising callers needs of the rest."""

from collections.abc import Coroutine
from typing import NamedTuple, Protocol

from service.config.limits import Limits
from service.keys.key import Key
from service.principal import Principal


class Changes(NamedTuple):
    """Keys that were made or changed of late, and the store's own time of the answer."""

    now: float
    keys: tuple[Key, ...]


class KeySource(Protocol):
    """What is read of the store of keys. Every method raises StoreUnavailable."""

    def find(self, id: str) -> Coroutine[None, None, Key | None]:
        """The key with this id, whatever its state."""

    async def changed_since(self, since: float | None) -> Changes:
        """What was made or changed at `since` or later, by the store's clock; None: only its time."""

    async def any_ever(self) -> bool:
        """Whether a key was ever made, revoked ones too."""


class Tokens(Protocol):
    """Tokens of an identity provider."""

    def use(self, limits: Limits) -> None:
        """Other limits of any key, from now on."""

    def recognise(self, token: bytes) -> Principal | None:
        """Whose token it is, if it was verified before."""

    async def verify(self, token: bytes) -> Principal:
        """Whose token it is. Raises InvalidApiKey, StoreUnavailable."""
