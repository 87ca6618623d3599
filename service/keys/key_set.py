"""A provider's key set, kept at hand: one task fetches it, requests read what was fetched.

An old set serves on while the provider is away. A key that isn't in the set is asked for at most
once in UNKNOWN_KEY_SECONDS, since anyone can make up names of keys.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

import structlog

from service.ending import end_all
from service.errors import StoreUnavailable
from service.keys.jwks import JwksInvalid, KeySet

UNKNOWN_KEY_SECONDS: Final = 10.0
"""The least time between two fetches on behalf of unknown keys. Providers publish a key before they use it."""

FIRST_RETRY_SECONDS: Final = 1.0
LAST_RETRY_SECONDS: Final = 30.0

_log = structlog.get_logger()


class KeysUnavailable(Exception):
    """The document can't be had; the text says why, without addresses."""


class JwksSource(Protocol):
    """Where the document is."""

    async def fetch(self) -> bytes:
        """The document as it is now. Raises KeysUnavailable; returns or raises within seconds."""

    async def close(self) -> None:
        """Let go of connections."""


class CachedKeySet:
    """The keys of a source, and the task that keeps them fresh.

    read: what makes keys of a document; raises JwksInvalid. refresh_seconds: how long a document
    is fresh. stale_seconds: how much longer it serves while no newer one can be had.
    """

    def __init__(
        self,
        source: JwksSource,
        read: Callable[[bytes], KeySet],
        *,
        refresh_seconds: float,
        stale_seconds: float,
    ) -> None:
        self._source = source
        self._read = read
        self._refresh_seconds = refresh_seconds
        self._stale_seconds = stale_seconds
        self._document = b""
        self._keys: KeySet | None = None
        self._fresh_until = 0.0
        self._attempted_at = 0.0
        self._failures = 0
        self._fetching = False
        self._ended = asyncio.Event()
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to fetch; requests that come before the first answer wait for it."""
        self._loop = asyncio.get_running_loop()
        self._fetching = True
        self._task = self._loop.create_task(self._run(), name="jwt.keys")

    async def close(self) -> None:
        """End the task, wake whoever waits for it, and let go of the source."""
        if self._task is not None:
            await end_all((self._task,))
        await self._source.close()

    def usable(self) -> KeySet | None:
        """The keys, another object once they changed; None where there are none, or only too old ones."""
        if self._keys is None or self._loop.time() >= self._fresh_until + self._stale_seconds:
            return None
        return self._keys

    def state(self) -> str:
        """`fresh`; `stale`: the last look failed, and an old set serves; `away`: there is none."""
        if self.usable() is None:
            return "away"
        return "stale" if self._failures else "fresh"

    async def keys(self) -> KeySet:
        """The keys. Waits only for a fetch that runs while there are none; raises StoreUnavailable."""
        if self.usable() is None and self._fetching:
            await self._ended.wait()
        found = self.usable()
        if found is None:
            raise self._unavailable()
        return found

    async def newer(self) -> KeySet:
        """The keys after one more look at the source, for a key that isn't among them.

        Without a look where one was within UNKNOWN_KEY_SECONDS. Raises StoreUnavailable where the
        last look failed: then nobody knows whether the key exists.
        """
        if self._fetching or self._loop.time() >= self._attempted_at + UNKNOWN_KEY_SECONDS:
            self._wanted.set()
            await self._ended.wait()
        if self._failures:
            raise self._unavailable()
        return await self.keys()

    async def _run(self) -> None:
        try:
            while True:
                await self._attempt()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pause_seconds()):
                        await self._wanted.wait()
        finally:
            self._fetching = False
            self._ended.set()

    async def _attempt(self) -> None:
        self._fetching = True
        self._attempted_at = self._loop.time()
        try:
            self._take(await self._source.fetch())
        except (KeysUnavailable, JwksInvalid) as error:
            self._failed(str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the old set serves and the next try may work
            self._failed(type(error).__name__)
        self._fetching = False
        self._wanted.clear()
        self._ended.set()
        self._ended = asyncio.Event()

    def _take(self, document: bytes) -> None:
        if self._keys is None or document != self._document:
            self._keys = self._read(document)
            self._document = document
            _log.info("jwt.keys_changed", keys=len(self._keys.keys))
        if self._failures:
            _log.info("jwt.keys_back")
        self._failures = 0
        self._fresh_until = self._loop.time() + self._refresh_seconds

    def _failed(self, reason: str) -> None:
        self._failures += 1
        if self._failures == 1:
            _log.warning("jwt.keys_away", reason=reason, serving=self.state())

    def _pause_seconds(self) -> float:
        if not self._failures:
            return self._refresh_seconds
        doubled = FIRST_RETRY_SECONDS * 2.0 ** min(self._failures - 1, 10)
        return min(doubled, LAST_RETRY_SECONDS, self._refresh_seconds)

    def _unavailable(self) -> StoreUnavailable:
        again_at = self._attempted_at + self._pause_seconds()
        return StoreUnavailable(
            "The identity provider's keys are not available, so the token can't be checked; try again.",
            retry_after_seconds=max(1.0, again_at - self._loop.time()),
        )
