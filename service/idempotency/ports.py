"""What idempotency needs of others: a store, the other workers, streams."""

from collections.abc import Callable, Sequence
from typing import Protocol

from service.http.context import RequestContext
from service.http.replies import GatewayReply
from service.idempotency.record import Answer, Claim, Record


class Store(Protocol):
    """Where claims and answers survive a worker. Every method raises StoreUnavailable."""

    async def claim(self, claim: Claim, worker: str, over: str) -> Record | None:
        """Take the key for `worker`, for a limited time; None: it is taken. Else what stands in the way.

        over: the id of a claim that is known to be dead, and is replaced if it still runs; "" for none.
        """

    async def renew(self, claims: Sequence[Claim], worker: str) -> None:
        """These still run: hold them for the same time again."""

    async def keep(self, claim: Claim, worker: str, answer: Answer) -> None:
        """The call is over; keep its answer. Nothing happens where someone else took the key meanwhile."""

    async def stream(self, claim: Claim, stream_id: str) -> None:
        """The call's answer is this stream, which is running."""

    async def end_stream(self, claim: Claim) -> None:
        """The stream came to its end, all of it."""

    async def forget(self, claim: Claim) -> None:
        """The call is over, and the next one with this key begins anew."""

    async def sweep(self) -> None:
        """Delete what has expired."""


class Siblings(Protocol):
    """The other workers. tag: this one's. alone: there can't be any: other tags are of dead ones."""

    tag: str
    alone: bool

    async def wait_for(self, tag: str, claim_id: str) -> bool:
        """True when the claim's worker says that it is over, or was never its; False: nobody hears."""


class Streams(Protocol):
    """Streams that survive their clients (`service.streams`)."""

    async def join(self, stream_id: str, owner: str, context: RequestContext) -> GatewayReply:
        """The stream from its start, for one more viewer.

        Raises StreamExpired where it is over and no more kept; that it once was is known.
        """

    def on_end(self, stream_id: str, told: Callable[[bool], None]) -> None:
        """Call `told` once when the stream is over, with whether it failed (or was cancelled)."""
