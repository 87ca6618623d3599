"""Making, changing and revoking keys. Knows nothing of HTTP, and of the store only what it needs.

A secret exists in the answer that shows it, and nowhere else: the store has its hash.
"""

from collections.abc import Callable
from typing import Protocol

from service.errors import InvalidRequest, ObjectNotFound
from service.keys import bodies, changes, credential
from service.keys.bodies import ChangeKey, CreateKey, KeyPage, KeyView, NewKeyView, RotateKey
from service.keys.key import Key, revoked, rotated
from service.paging import DEFAULT_PAGE, within_page


class KeyStore(Protocol):
    """Where keys are kept for good. Every method raises StoreUnavailable."""

    async def create(self, key: Key) -> Key:
        """Add `key`; it comes back with the store's times."""

    async def find(self, id: str) -> Key | None:
        """The key with this id, whatever its state."""

    async def page(self, *, after: Key | None, limit: int) -> list[Key]:
        """The newest keys first, at most `limit`; those behind `after`, if it is given."""

    async def change(self, id: str, step: Callable[[Key, float], Key]) -> Key | None:
        """Replace a key by what `step` makes of it and the store's time, with no change between; None: unknown.

        What `step` raises comes through, and nothing was changed.
        """


class KeyService:
    """The rules for keys, for the admin API and the command line alike.

    now: Unix seconds. draw: that many random bytes, unpredictable. noted: is called with the id of
    each key that was made or changed, so that this process acts on it at once.
    """

    def __init__(
        self,
        store: KeyStore,
        *,
        now: Callable[[], float],
        draw: Callable[[int], bytes],
        noted: Callable[[str], None],
    ) -> None:
        self._store = store
        self._now = now
        self._draw = draw
        self._noted = noted

    async def create(self, body: CreateKey) -> NewKeyView:
        """Make a key. Raises InvalidRequest, StoreUnavailable."""
        made = credential.make(self._draw(credential.RANDOM_BYTES))
        key = await self._store.create(changes.created(body, made.id, made.digest))
        self._noted(key.id)
        return bodies.new_view(key, self._now(), made.text)

    async def list(self, *, after: str | None = None, limit: int = DEFAULT_PAGE) -> KeyPage:
        """A page of keys, the newest first. after: the id of the last one seen; more than MAX_PAGE are not given.

        Raises InvalidRequest, StoreUnavailable.
        """
        limit = within_page(limit)
        found = await self._store.page(after=await self._cursor(after), limit=limit + 1)
        now, shown = self._now(), found[:limit]
        more = len(found) > limit
        data = [bodies.view(key, now) for key in shown]
        return KeyPage(data=data, has_more=more, next_cursor=shown[-1].id if more else None)

    async def get(self, id: str) -> KeyView:
        """One key. Raises ObjectNotFound, StoreUnavailable."""
        return bodies.view(await self._find(id), self._now())

    async def update(self, id: str, body: ChangeKey) -> KeyView:
        """Change what `body` names. Raises ObjectNotFound, InvalidRequest, StoreUnavailable."""
        key = await self._change(id, lambda key, _: changes.changed(key, body))
        return bodies.view(key, self._now())

    async def rotate(self, id: str, body: RotateKey) -> NewKeyView:
        """Give a key a new secret. Raises ObjectNotFound, InvalidRequest, StoreUnavailable."""
        made = credential.make(self._draw(credential.RANDOM_BYTES), id if credential.is_id(id) else None)
        key = await self._change(id, lambda key, now: rotated(key, made.digest, now, body.overlap_seconds))
        return bodies.new_view(key, self._now(), made.text)

    async def revoke(self, id: str) -> KeyView:
        """End a key for good; again for one that ended before. Raises ObjectNotFound, StoreUnavailable."""
        return bodies.view(await self._change(id, revoked), self._now())

    async def _find(self, id: str) -> Key:
        key = await self._store.find(id) if credential.is_id(id) else None
        if key is None:
            raise _unknown(id)
        return key

    async def _change(self, id: str, step: Callable[[Key, float], Key]) -> Key:
        done = await self._store.change(id, step) if credential.is_id(id) else None
        if done is None:
            raise _unknown(id)
        self._noted(id)
        return done

    async def _cursor(self, after: str | None) -> Key | None:
        if after is None:
            return None
        key = await self._store.find(after) if credential.is_id(after) else None
        if key is None:
            raise InvalidRequest("after: send the next_cursor of the page before.", param="after")
        return key


def _unknown(id: str) -> ObjectNotFound:
    if id.startswith(credential.PREFIX.decode()):
        # Perhaps a whole key: its secret is not to be repeated where others may read it.
        return ObjectNotFound(
            "Send the key's id: the 16 characters between psk_ and the next _, nothing else."
        )
    return ObjectNotFound(f"There is no key {id[:64]!r}; GET /admin/keys lists them.")
