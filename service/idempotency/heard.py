"""Asking the worker that makes a call to tell when it is over."""

from collections.abc import Awaitable, Callable

from service.errors import StoreUnavailable
from service.siblings.bus import Bus, NobodyThere

QUESTION = "idempotency.over"


class Heard:
    """The `Siblings` of a worker among others."""

    alone = False

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.tag = bus.tag

    def answer(self, over: Callable[[str], Awaitable[None]]) -> None:
        """Tell siblings of this worker's calls. over: returns when the claim of that id is over, or none of here."""

        async def tell(sender: str, body: bytes) -> bytes:
            await over(body.decode())
            return b""

        self._bus.on(QUESTION, tell)

    async def wait_for(self, tag: str, claim_id: str) -> bool:
        """See the port."""
        try:
            await self._bus.ask(tag, QUESTION, claim_id.encode())
        except (NobodyThere, StoreUnavailable):
            return False
        return True
