"""Keys that a worker knows, so that most requests ask no database. No I/O; times are arguments.

`now` is Unix seconds, for a key's own times. `moment` is seconds of a clock that is never set, for
how long ago something was confirmed.
"""

from math import inf
from typing import Final

import msgspec

from service.config.limits import Limits
from service.keys.credential import ID_END, ID_START, SECRET_START, Credential, digest, same
from service.keys.key import Key, State
from service.principal import Principal

MAX_KEYS: Final = 10_000
"""Some 15 MB."""

MAX_STRANGERS: Final = 10_000
"""Some 3 MB."""

TRUST_SECONDS: Final = 290.0
"""A key is trusted that long after the database last confirmed it. The promise is 300 s; the rest is
for an answer that was long on its way."""

STRANGER_SECONDS: Final = 60.0


class Known(msgspec.Struct):
    """A key as the hot path needs it. until: it opens nothing from then on, whatever the secret."""

    key: Key
    principal: Principal
    digest: bytes
    previous: bytes | None
    previous_until: float
    until: float
    confirmed_at: float


class KeyCache:
    """Keys by id, at most MAX_KEYS, those that came first dropped first. defaults: limits of any key.

    confirmed_at: when all that is here was last compared with the database; a `moment`.
    """

    def __init__(self, defaults: Limits) -> None:
        self._defaults = defaults
        self._known: dict[bytes, Known] = {}
        self.confirmed_at = -inf

    def use(self, defaults: Limits) -> None:
        """Other limits of any key, for those that are here too."""
        if defaults == self._defaults:
            return
        self._defaults = defaults
        for known in self._known.values():
            known.principal = self.principal(known.key)

    def recognise(self, text: bytes, now: float, moment: float) -> Principal | None:
        """Whose key `text` is; None: not known here, or nothing that opens. text: begins like a key."""
        known = self._known.get(text[ID_START:ID_END])
        if known is None or now >= known.until or not self._trusted(known, moment):
            return None
        # The separator is the one character that neither the id nor the hash covers.
        if text[ID_END:SECRET_START] != b"_":
            return None
        found = digest(text[SECRET_START:])
        if same(found, known.digest):
            return known.principal
        if known.previous is not None and now < known.previous_until and same(found, known.previous):
            return known.principal
        return None

    def find(self, id: str, moment: float) -> Key | None:
        """The key with this id, in any state; None where the database must be asked."""
        known = self._known.get(id.encode())
        return known.key if known is not None and self._trusted(known, moment) else None

    def remember(self, key: Key, moment: float) -> None:
        """Keep what the database just said, unless a later version is here."""
        place = key.id.encode()
        before = self._known.get(place)
        if before is not None and before.key.changed_at > key.changed_at:
            return
        if before is not None and before.key == key:
            before.confirmed_at = moment
            return
        if before is None and len(self._known) >= MAX_KEYS:
            del self._known[next(iter(self._known))]
        self._known[place] = self._prepare(key, moment)

    def principal(self, key: Key) -> Principal:
        """Whom `key` stands for."""
        return key.to_principal(self._defaults)

    def refresh(self, key: Key, moment: float) -> None:
        """The same for a key that is here; others are not worth a place before somebody uses them."""
        if key.id.encode() in self._known:
            self.remember(key, moment)

    def forget(self, id: str) -> None:
        """Ask the database the next time."""
        self._known.pop(id.encode(), None)

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()

    def trusts(self, moment: float) -> bool:
        """Whether the last comparison with the database is young enough to go by."""
        return moment - self.confirmed_at <= TRUST_SECONDS

    def _trusted(self, known: Known, moment: float) -> bool:
        return moment - self.confirmed_at <= TRUST_SECONDS or moment - known.confirmed_at <= TRUST_SECONDS

    def _prepare(self, key: Key, moment: float) -> Known:
        ends = inf if key.expires_at is None else key.expires_at
        return Known(
            key=key,
            principal=self.principal(key),
            digest=key.secret_hash,
            previous=key.previous_hash,
            previous_until=key.previous_until or -inf,
            until=-inf if key.state(-inf) is State.REVOKED else ends,
            confirmed_at=moment,
        )


class Strangers:
    """Keys that don't exist, so that a client that repeats one asks no database each time. Bounded."""

    def __init__(self) -> None:
        self._until: dict[Credential, float] = {}

    def add(self, credential: Credential, moment: float) -> None:
        """Remember that the database doesn't know it."""
        if len(self._until) >= MAX_STRANGERS:
            del self._until[next(iter(self._until))]
        self._until[credential] = moment + STRANGER_SECONDS

    def has(self, credential: Credential, moment: float) -> bool:
        """Whether it was found to be unknown lately."""
        return moment < self._until.get(credential, -inf)
