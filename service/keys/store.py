"""Keys in the database. Times that are compared between processes are the database's own.

The processes' clocks may be apart; the database has one. A change's time also never goes back for
a key, so that of two versions of it the later one is known.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import RowMapping, insert, select, tuple_, update

from service.config.limits import Limits
from service.database import CLOCK_STEP_SECONDS, Database
from service.keys.key import Key, State
from service.keys.ports import Changes
from service.principal import Scope
from service.tables import API_KEYS

_SCOPES = msgspec.json.Decoder(frozenset[Scope])
_MODELS = msgspec.json.Decoder(tuple[str, ...])
_LIMITS = msgspec.json.Decoder(Limits)
_METADATA = msgspec.json.Decoder(dict[str, str])


class DatabaseKeyStore:
    """The `KeyStore` of `service.keys.service` and the `KeySource` of `service.keys.ports`.

    Give it a Database of its own: reports may keep the readers of another busy for long.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, key: Key) -> Key:
        """Add `key`; it comes back with the store's times. Raises StoreUnavailable."""
        async with self._database.begin() as connection:
            now = await self._database.time(connection)
            stamped = replace(key, created_at=now, changed_at=now)
            await connection.execute(insert(API_KEYS).values(_row(stamped)))
        return stamped

    async def find(self, id: str) -> Key | None:
        """The key with this id, whatever its state. Raises StoreUnavailable."""
        async with self._database.read_soon() as connection:
            found = await connection.execute(select(API_KEYS).where(API_KEYS.c.id == id))
            row = found.mappings().one_or_none()
        return None if row is None else _key(row)

    async def page(self, *, after: Key | None, limit: int) -> list[Key]:
        """The newest keys first, at most `limit`; those behind `after`, if it is given. Raises StoreUnavailable."""
        order = (API_KEYS.c.created_at, API_KEYS.c.id)
        wanted = select(API_KEYS).order_by(*(column.desc() for column in order)).limit(limit)
        if after is not None:
            wanted = wanted.where(tuple_(*order) < tuple_(after.created_at, after.id))
        async with self._database.read_soon() as connection:
            return [_key(row) for row in (await connection.execute(wanted)).mappings()]

    async def change(self, id: str, step: Callable[[Key, float], Key]) -> Key | None:
        """Replace a key by what `step` makes of it and the store's time; None: there is no such key.

        No other change comes between; what `step` raises comes through. Raises StoreUnavailable.
        """
        mine = API_KEYS.c.id == id
        async with self._database.begin() as connection:
            found = await connection.execute(select(API_KEYS).where(mine).with_for_update())
            row = found.mappings().one_or_none()
            if row is None:
                return None
            key, now = _key(row), await self._database.time(connection)
            changed = replace(step(key, now), changed_at=max(now, key.changed_at + CLOCK_STEP_SECONDS))
            await connection.execute(update(API_KEYS).where(mine).values(_row(changed)))
        return changed

    async def changed_since(self, since: float | None) -> Changes:
        """What was made or changed at `since` or later, by the database's clock; None: only its time.

        Raises StoreUnavailable.
        """
        async with self._database.read_soon() as connection:
            # Before the rows: what commits meanwhile is then in the next answer.
            now = await self._database.time(connection)
            if since is None:
                return Changes(now, ())
            wanted = select(API_KEYS).where(API_KEYS.c.changed_at >= since)
            return Changes(now, tuple(_key(row) for row in (await connection.execute(wanted)).mappings()))

    async def any_ever(self) -> bool:
        """Whether a key was ever made; rows of revoked ones stay. Raises StoreUnavailable."""
        async with self._database.read_soon() as connection:
            return (await connection.execute(select(API_KEYS.c.id).limit(1))).first() is not None


def _row(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "tenant": key.tenant,
        "user_name": key.user,
        "models": _text(key.models),
        "scopes": _text(sorted(key.scopes)),
        "limits": _text(key.limits),
        "metadata": _text(key.metadata),
        "state": State.ACTIVE if key.revoked_at is None else State.REVOKED,
        "secret_hash": key.secret_hash,
        "previous_hash": key.previous_hash,
        "previous_until": key.previous_until,
        "expires_at": key.expires_at,
        "created_at": key.created_at,
        "changed_at": key.changed_at,
        "revoked_at": key.revoked_at,
    }


def _key(row: RowMapping) -> Key:
    return Key(
        id=row["id"],
        name=row["name"],
        tenant=row["tenant"],
        user=row["user_name"],
        models=_MODELS.decode(row["models"]),
        scopes=_SCOPES.decode(row["scopes"]),
        limits=_LIMITS.decode(row["limits"]),
        metadata=_METADATA.decode(row["metadata"]),
        secret_hash=row["secret_hash"],
        previous_hash=row["previous_hash"],
        previous_until=row["previous_until"],
        expires_at=row["expires_at"],
        created_at=row["created_at"],
        changed_at=row["changed_at"],
        revoked_at=row["revoked_at"],
    )


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
