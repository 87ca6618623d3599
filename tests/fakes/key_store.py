"""A store of keys in memory, with a clock of its own, that can be away."""

import asyncio
from collections.abc import Callable

from msgspec.structs import replace

from service.errors import StoreUnavailable
from service.keys.key import Key
from service.keys.ports import Changes


class MemoryKeyStore:
    """Both ports: `KeyStore` of `service.keys.service` and `KeySource` of `service.keys.ports`.

    time: its clock. away: it answers nothing. held: set, so that lookups wait for it.
    reads: how often a key was asked for.
    """

    def __init__(self, time: float = 1_700_000_000.0) -> None:
        self.time = time
        self.away = False
        self.held: asyncio.Event | None = None
        self.reads = 0
        self._keys: dict[str, Key] = {}

    async def create(self, key: Key) -> Key:
        """Add `key`; it comes back with the store's times."""
        self._answer()
        stamped = replace(key, created_at=self._tick(), changed_at=self.time)
        self._keys[key.id] = stamped
        return stamped

    async def find(self, id: str) -> Key | None:
        """The key with this id; what it was when it was asked for."""
        self.reads += 1
        self._answer()
        found = self._keys.get(id)
        if self.held is not None:
            await self.held.wait()
        return found

    async def page(self, *, after: Key | None, limit: int) -> list[Key]:
        """The newest keys first."""
        self._answer()
        ordered = sorted(self._keys.values(), key=_place, reverse=True)
        return [key for key in ordered if after is None or _place(key) < _place(after)][:limit]

    async def change(self, id: str, step: Callable[[Key, float], Key]) -> Key | None:
        """Replace a key by what `step` makes of it."""
        self._answer()
        key = self._keys.get(id)
        if key is None:
            return None
        changed = replace(step(key, self.time), changed_at=max(self._tick(), key.changed_at + 0.001))
        self._keys[id] = changed
        return changed

    async def changed_since(self, since: float | None) -> Changes:
        """What was made or changed at `since` or later; None: only its time."""
        self._answer()
        if since is None:
            return Changes(self.time, ())
        return Changes(self.time, tuple(key for key in self._keys.values() if key.changed_at >= since))

    async def any_ever(self) -> bool:
        """Whether a key was ever made."""
        self._answer()
        return bool(self._keys)

    def _answer(self) -> None:
        if self.away:
            raise StoreUnavailable("The database is away.", retry_after_seconds=1)

    def _tick(self) -> float:
        self.time += 0.001
        return self.time


def _place(key: Key) -> tuple[float, str]:
    return key.created_at, key.id
