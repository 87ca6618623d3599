"""The use case of streams: who may read one, from where, and who may end it. Knows no HTTP."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from service.errors import InvalidApiKey
from service.streams import tickets
from service.streams.registry import StreamRegistry, unknown
from service.streams.stream import Stream
from service.streams.tickets import Verdict

TAG_CHARACTERS = 6
"""How a stream's id begins: with the tag of the worker that has it."""


class Claim(msgspec.Struct, frozen=True, gc=False):
    """What a caller shows: whose streams it may read, or a ticket, or both. owner: None, it showed a ticket only."""

    owner: str | None = None
    ticket: str | None = None


class Elsewhere(Protocol):
    """The streams of other workers (`service.streams.handover`)."""

    async def find(self, stream_id: str, claim: Claim) -> Stream:
        """The stream as it comes over from there. Raises as StreamService.find does, and StoreUnavailable."""

    async def cancel(self, stream_id: str, owner: str) -> None:
        """End it there. Raises ObjectNotFound, StreamExpired, StoreUnavailable."""


class Nowhere:
    """There is one worker."""

    async def find(self, stream_id: str, claim: Claim) -> Stream:
        """Raises ObjectNotFound."""
        raise unknown()

    async def cancel(self, stream_id: str, owner: str) -> None:
        """Raises ObjectNotFound."""
        raise unknown()


class StreamService:
    """Finds streams for those who may have them. One per worker."""

    def __init__(
        self,
        *,
        registry: StreamRegistry,
        elsewhere: Elsewhere,
        tag: str,
        secret: bytes,
        now: Callable[[], float],
        heartbeat_seconds: float,
    ) -> None:
        """tag: this worker's. secret: signs tickets, which only this worker has to understand. now: Unix seconds."""
        self._registry = registry
        self._elsewhere = elsewhere
        self._tag = tag
        self._secret = secret
        self._now = now
        self.heartbeat_seconds = heartbeat_seconds

    async def find(self, stream_id: str, claim: Claim) -> Stream:
        """The stream, wherever it runs.

        Raises ObjectNotFound where it is unknown or somebody else's, StreamExpired where it was here once,
        InvalidApiKey for a ticket that opens nothing.
        """
        if self._is_here(stream_id):
            return self.find_here(stream_id, claim)
        return await self._elsewhere.find(stream_id, claim)

    def find_here(self, stream_id: str, claim: Claim) -> Stream:
        """The same, among this worker's own."""
        if claim.ticket is None:
            return self._registry.find(stream_id, claim.owner or "")
        stream = self._registry.get(stream_id)
        if stream is None or stream.owner != claim.owner:
            self._check_ticket(stream_id, claim.ticket, used=stream is None or stream.ticket_used)
        if stream is None:
            return self._registry.find(stream_id, self._registry.owner_of_gone(stream_id))
        stream.ticket_used = True
        return stream

    async def cancel(self, stream_id: str, owner: str) -> None:
        """End the owner's stream; one that is over stays as it is. Raises ObjectNotFound, StreamExpired."""
        if self._is_here(stream_id):
            self._registry.find(stream_id, owner).cancel()
        else:
            await self._elsewhere.cancel(stream_id, owner)

    def has(self, stream: Stream) -> bool:
        """Whether it can still be found here."""
        return self._registry.get(stream.id) is stream

    def issue_ticket(self, stream: Stream) -> tuple[str, int]:
        """A ticket for a stream of this worker, and until when (Unix seconds) it must first be used."""
        stream.ticket, expires_at = tickets.issue(self._secret, stream.id, self._now())
        return stream.ticket, expires_at

    def _is_here(self, stream_id: str) -> bool:
        return stream_id.startswith(self._tag)

    def _check_ticket(self, stream_id: str, ticket: str, *, used: bool) -> None:
        verdict = tickets.judge(self._secret, stream_id, ticket, self._now())
        if verdict is Verdict.BAD:
            raise InvalidApiKey("This ticket is none of this stream; POST /v1/streams makes one.")
        if verdict is Verdict.LATE and not used:
            raise InvalidApiKey(
                f"This ticket was not used within {tickets.FIRST_USE_SECONDS} s; POST /v1/streams makes a new one."
            )
