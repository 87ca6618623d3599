"""Claims and answers in the database. All times are its own clock's; a row that has expired is as good as gone."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Double, RowMapping, Table, and_, bindparam, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from service.database import Database
from service.idempotency.record import Answer, Claim, Headers, Record
from service.tables import IDEMPOTENCY

CLAIM_SECONDS: Final = 30.0
"""How long a claim holds that nobody renews. Its worker is dead then, or doesn't reach the database."""

KEEP_SECONDS: Final = 86_400.0

SWEEP_ROWS: Final = 500
"""So many at once, so that nobody waits long for a sweep's end."""

RENEW_ROWS: Final = 1000

RUNNING: Final = "running"
KEPT: Final = "kept"
STREAMED: Final = "streamed"

_INSERT: Final[dict[str, Callable[[Table], sqlite.Insert | postgresql.Insert]]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}
_C = IDEMPOTENCY.c
_FINDING: Final = select(IDEMPOTENCY).where(_C.scope == bindparam("wanted"))
_HEADERS = msgspec.json.Decoder(list[tuple[str, str]])


class DatabaseIdempotencyStore:
    """The `Store` of `service.idempotency.ports`. Give it a Database that reports don't use."""

    def __init__(self, database: Database, *, claim_seconds: float = CLAIM_SECONDS) -> None:
        self._database = database
        self._claim_seconds = claim_seconds
        # To build these takes a third of a millisecond.
        dead = and_(_C.claim_id == bindparam("over"), _C.state == RUNNING)
        self._taking = self._insert(dead).returning(_C.claim_id)
        self._keeping = self._insert(_C.claim_id == bindparam("claim_id"))

    async def claim(self, claim: Claim, worker: str, over: str) -> Record | None:
        """Take the key for `worker`; None: it is taken. Else what stands in the way."""
        row = _row(claim, worker, RUNNING, self._claim_seconds)
        async with self._database.begin() as connection:
            if (await connection.execute(self._taking, row | {"over": over})).first() is not None:
                return None
            # PostgreSQL: the row is locked since the conflict, so it is still there.
            found = await connection.execute(_FINDING, {"wanted": claim.scope})
            return _record(found.mappings().one())

    async def renew(self, claims: Sequence[Claim], worker: str) -> None:
        """Hold these as long again from now on."""
        async with self._database.begin() as connection:
            for first in range(0, len(claims), RENEW_ROWS):
                scopes = [claim.scope for claim in claims[first : first + RENEW_ROWS]]
                mine = and_(_C.scope.in_(scopes), _C.worker == worker, _C.state == RUNNING)
                until = self._database.clock + self._claim_seconds
                await connection.execute(update(IDEMPOTENCY).where(mine).values(expires_at=until))

    async def keep(self, claim: Claim, worker: str, answer: Answer) -> None:
        """Keep an answer, unless someone else took the key meanwhile."""
        row = _row(claim, worker, KEPT, KEEP_SECONDS) | {
            "status": answer.status,
            "headers": _headers_as_text(answer.headers),
            "body": answer.body,
        }
        async with self._database.begin() as connection:
            await connection.execute(self._keeping, row)

    async def stream(self, claim: Claim, stream_id: str) -> None:
        """Note the stream that a claim's call sends."""
        await self._change(claim, stream_id=stream_id)

    async def end_stream(self, claim: Claim) -> None:
        """Note that the stream came to its end."""
        await self._change(claim, state=STREAMED, expires_at=self._database.clock + KEEP_SECONDS)

    async def forget(self, claim: Claim) -> None:
        """Delete a claim, and what was kept for it."""
        async with self._database.begin() as connection:
            await connection.execute(delete(IDEMPOTENCY).where(*_of(claim)))

    async def sweep(self) -> None:
        """Delete what has expired, a part at a time."""
        expired = select(_C.scope).where(_C.expires_at <= self._database.clock).limit(SWEEP_ROWS)
        found = SWEEP_ROWS
        while found == SWEEP_ROWS:
            async with self._database.begin() as connection:
                gone = await connection.execute(
                    delete(IDEMPOTENCY)
                    .where(_C.scope.in_(expired), _C.expires_at <= self._database.clock)
                    .returning(_C.claim_id)
                )
                found = len(gone.all())

    async def _change(self, claim: Claim, **values: Any) -> None:
        async with self._database.begin() as connection:
            await connection.execute(update(IDEMPOTENCY).where(*_of(claim)).values(**values))

    def _insert(self, replaces: ColumnElement[bool]) -> sqlite.Insert | postgresql.Insert:
        """A row in place of one that has expired, or that `replaces` is true of."""
        named: dict[str, Any] = {
            column.name: bindparam(column.name) for column in _C if column is not _C.expires_at
        }
        until = self._database.clock + bindparam("seconds", type_=Double)
        insert = _INSERT[self._database.dialect](IDEMPOTENCY).values(named | {"expires_at": until})
        return insert.on_conflict_do_update(
            index_elements=[_C.scope],
            set_={column.name: column for column in insert.excluded},
            where=or_(_C.expires_at <= self._database.clock, replaces),
        )


def _row(claim: Claim, worker: str, state: str, seconds: float) -> dict[str, Any]:
    return {
        "scope": claim.scope,
        "body_hash": claim.body_hash,
        "claim_id": claim.id,
        "worker": worker,
        "state": state,
        "stream_id": "",
        "status": 0,
        "headers": "[]",
        "body": b"",
        "seconds": seconds,
    }


def _of(claim: Claim) -> tuple[Any, Any]:
    return _C.scope == claim.scope, _C.claim_id == claim.id


def _headers_as_text(headers: Headers) -> str:
    return msgspec.json.encode(
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    ).decode()


def _record(row: RowMapping) -> Record:
    return Record(
        claim_id=row["claim_id"],
        body_hash=row["body_hash"],
        worker=row["worker"],
        running=row["state"] == RUNNING,
        stream_id=row["stream_id"],
        answer=_answer(row) if row["state"] == KEPT else None,
    )


def _answer(row: RowMapping) -> Answer:
    lines = _HEADERS.decode(row["headers"])
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in lines]
    return Answer(row["status"], headers, row["body"])
