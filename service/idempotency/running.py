"""A key's call in this worker: the request that makes it, and those that wait for its end."""

import asyncio
from enum import Enum

from service.errors import GatewayError
from service.http.context import RequestContext
from service.idempotency.record import Claim, Record

Outcome = Record | GatewayError | None
"""What came of it for those who wait. None: nothing that could be kept; the first of them begins anew."""


class Stage(Enum):
    """How far it is. LOOKING: nobody knows yet whether the key was used before."""

    LOOKING = "looking"
    RUNNING = "running"
    STREAMING = "streaming"
    OVER = "over"


class Running:
    """One call, from its first request's coming to its end.

    leader: the context of the request that makes it. write: the last write to the store about it.
    """

    __slots__ = ("_bound", "_outcome", "_shared", "_waiting", "claim", "leader", "stage", "write")

    def __init__(self, claim: Claim, leader: RequestContext) -> None:
        loop = asyncio.get_running_loop()
        self._bound: asyncio.Future[bool] = loop.create_future()
        self._outcome: asyncio.Future[Outcome] = loop.create_future()
        self._shared = True
        self._waiting = 0
        self.claim = claim
        self.leader: RequestContext | None = leader
        self.stage = Stage.LOOKING
        self.write: asyncio.Task[None] | None = None

    def is_wanted(self) -> bool:
        """Whether others wait for what its leader does."""
        return self._shared and self._waiting > 0

    def join(self) -> None:
        """One more waits. Each `join` has its `leave`."""
        self._waiting += 1

    def leave(self) -> None:
        """One doesn't wait any more; a leader whose client left before ends with the last of them."""
        self._waiting -= 1
        self._let_go()

    def begin(self) -> None:
        """The key was not used before: this worker makes the call."""
        self.stage = Stage.RUNNING
        self.bind()

    def bind(self) -> None:
        """The key stands for this body now, whoever makes the call: another one is refused at once."""
        if not self._bound.done():
            self._bound.set_result(True)

    def keep_to_itself(self) -> None:
        """Its answer can't be shared: it is a stream that only its own client reads."""
        self._shared = False
        self._let_go()

    def resolve(self, outcome: Outcome) -> None:
        """Tell all who wait. Only the first outcome counts."""
        if not self._bound.done():
            self._bound.set_result(False)
        if not self._outcome.done():
            self._outcome.set_result(outcome)

    async def is_bound(self) -> bool:
        """Whether the key stands for its claim's body, as soon as that is known; False: see the outcome."""
        return await asyncio.shield(self._bound)

    async def outcome(self) -> Outcome:
        """What came of it, as soon as that is known."""
        return await asyncio.shield(self._outcome)

    def _let_go(self) -> None:
        if self.leader is not None and not self.is_wanted():
            self.leader.unwanted()
