"""What idempotency works with, in memory: a store that can be away or slow, streams, other workers."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from service.errors import StoreUnavailable
from service.http.context import Receive, RequestContext, Scope, Send
from service.http.replies import GatewayReply
from service.idempotency.record import Answer, Claim, Record


class Row(msgspec.Struct):
    """One key's."""

    record: Record
    claim_id: str
    expires_at: float


class MemoryIdempotencyStore:
    """A `Store`. now: its clock. away: it answers nothing. held: set, so that all wait for it. claims: asked so far."""

    def __init__(self, *, claim_seconds: float = 30.0) -> None:
        self._claim_seconds = claim_seconds
        self.now = 1000.0
        self.away = False
        self.held: asyncio.Event | None = None
        self.claims = 0
        self.rows: dict[bytes, Row] = {}

    async def claim(self, claim: Claim, worker: str, over: str) -> Record | None:
        """Take the key, or say what stands in the way."""
        self.claims += 1
        await self._answer()
        found = self.rows.get(claim.scope)
        if found is not None and found.expires_at > self.now and not _is_over(found, over):
            return found.record
        record = Record(claim.id, claim.body_hash, worker, running=True)
        self.rows[claim.scope] = Row(record, claim.id, self.now + self._claim_seconds)
        return None

    async def renew(self, claims: Sequence[Claim], worker: str) -> None:
        """Hold them longer."""
        await self._answer()
        for claim in claims:
            found = self.rows.get(claim.scope)
            if found is not None and found.record.worker == worker and found.record.running:
                found.expires_at = self.now + self._claim_seconds

    async def keep(self, claim: Claim, worker: str, answer: Answer) -> None:
        """Keep an answer."""
        await self._answer()
        found = self.rows.get(claim.scope)
        if found is None or found.claim_id == claim.id or found.expires_at <= self.now:
            record = Record(claim.id, claim.body_hash, worker, running=False, answer=answer)
            self.rows[claim.scope] = Row(record, claim.id, self.now + 86_400)

    async def stream(self, claim: Claim, stream_id: str) -> None:
        """Note a stream."""
        await self._answer()
        if (found := self._mine(claim)) is not None:
            found.record = msgspec.structs.replace(found.record, stream_id=stream_id)

    async def end_stream(self, claim: Claim) -> None:
        """Note its end."""
        await self._answer()
        if (found := self._mine(claim)) is not None:
            found.record = msgspec.structs.replace(found.record, running=False)
            found.expires_at = self.now + 86_400

    async def forget(self, claim: Claim) -> None:
        """Delete it."""
        await self._answer()
        if self._mine(claim) is not None:
            del self.rows[claim.scope]

    async def sweep(self) -> None:
        """Delete what has expired."""
        await self._answer()
        for scope in [scope for scope, row in self.rows.items() if row.expires_at <= self.now]:
            del self.rows[scope]

    def _mine(self, claim: Claim) -> Row | None:
        found = self.rows.get(claim.scope)
        return found if found is not None and found.claim_id == claim.id else None

    async def _answer(self) -> None:
        # As a driver does: nobody's answer comes within the very call.
        await asyncio.sleep(0)
        if self.held is not None:
            await self.held.wait()
        if self.away:
            raise StoreUnavailable("It is away.", retry_after_seconds=1)


def _is_over(row: Row, over: str) -> bool:
    return row.claim_id == over and row.record.running


class Joined(GatewayReply):
    """The reply of one who joined a stream."""

    def __init__(self, stream_id: str) -> None:
        self.stream_id = stream_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Nothing to send: tests look at `stream_id`."""


class FakeStreams:
    """A `Streams`. joined: who came, as (stream, owner)."""

    def __init__(self) -> None:
        self.joined: list[tuple[str, str]] = []
        self._told: dict[str, Callable[[bool], None]] = {}

    async def join(self, stream_id: str, owner: str, context: RequestContext) -> GatewayReply:
        """One more viewer."""
        await asyncio.sleep(0)
        self.joined.append((stream_id, owner))
        return Joined(stream_id)

    def on_end(self, stream_id: str, told: Callable[[bool], None]) -> None:
        """Remember whom to tell."""
        self._told[stream_id] = told

    def end(self, stream_id: str, *, failed: bool) -> None:
        """The stream is over."""
        self._told.pop(stream_id)(failed)


class FakeSiblings:
    """A `Siblings` of a worker among others. hear: what comes of asking one, by its tag; asked: who was."""

    def __init__(self, tag: str = "mine", *, alone: bool = False) -> None:
        self.tag = tag
        self.alone = alone
        self.hear: dict[str, Callable[[], bool]] = {}
        self.asked: list[tuple[str, str]] = []

    async def wait_for(self, tag: str, claim_id: str) -> bool:
        """Ask the worker `tag`."""
        self.asked.append((tag, claim_id))
        await asyncio.sleep(0)
        return self.hear[tag]() if tag in self.hear else False
