"""A key as it is kept, what it allows at a moment, and how it changes. Pure: times are arguments.

All times are Unix seconds.
"""

from enum import StrEnum

import msgspec
from msgspec.structs import replace

from service.config.limits import UNLIMITED, Limits
from service.errors import InvalidRequest
from service.keys import credential
from service.limits.policy import merge
from service.principal import USER_SCOPES, Principal, Scope


class State(StrEnum):
    """Whether a key opens anything. `revoked` is final; `expired` ends when `expires_at` is moved."""

    ACTIVE = "active"
    REVOKED = "revoked"
    EXPIRED = "expired"


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key, without its secret.

    models: names as clients write them; none: all. limits: its own, budgets too; what they don't say
    is the defaults' to say. secret_hash, previous_hash: see `service.keys.credential`; the previous
    one opens until previous_until. created_at, changed_at: the store sets them, by its own clock.
    """

    id: str
    name: str
    tenant: str = ""
    user: str = ""
    models: tuple[str, ...] = ()
    scopes: frozenset[Scope] = USER_SCOPES
    limits: Limits = UNLIMITED
    metadata: dict[str, str] = {}
    secret_hash: bytes
    previous_hash: bytes | None = None
    previous_until: float | None = None
    expires_at: float | None = None
    created_at: float = 0.0
    changed_at: float = 0.0
    revoked_at: float | None = None

    def __repr__(self) -> str:
        return f"Key(id={self.id!r}, name={self.name!r})"

    def state(self, now: float) -> State:
        """What it is at `now`; it expires at the very moment `expires_at`."""
        if self.revoked_at is not None:
            return State.REVOKED
        if self.expires_at is not None and now >= self.expires_at:
            return State.EXPIRED
        return State.ACTIVE

    def opens(self, digest: bytes, now: float) -> bool:
        """Whether `digest` is of its secret, or of the one before while both hold; its state aside."""
        if credential.same(digest, self.secret_hash):
            return True
        if self.previous_hash is None or self.previous_until is None or now >= self.previous_until:
            return False
        return credential.same(digest, self.previous_hash)

    def to_principal(self, defaults: Limits) -> Principal:
        """Whom it stands for. defaults: the limits of keys that say nothing themselves."""
        return Principal(
            key_id=self.id,
            tenant=self.tenant,
            user=self.user,
            scopes=self.scopes,
            models=frozenset(self.models),
            limits=merge(self.limits, defaults),
        )


def rotated(key: Key, secret_hash: bytes, now: float, overlap_seconds: float) -> Key:
    """The key with a new secret; the one before it opens `overlap_seconds` longer, any older one no more.

    Raises InvalidRequest for a revoked key.
    """
    if key.revoked_at is not None:
        raise InvalidRequest(f"The key {key.id!r} is revoked, and that is final; create a new one.")
    overlaps = overlap_seconds > 0
    return replace(
        key,
        secret_hash=secret_hash,
        previous_hash=key.secret_hash if overlaps else None,
        previous_until=now + overlap_seconds if overlaps else None,
    )


def revoked(key: Key, now: float) -> Key:
    """The key, which opens nothing any more; one that was revoked before stays as it is."""
    return key if key.revoked_at is not None else replace(key, revoked_at=now)
