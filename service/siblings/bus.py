"""What a worker can ask of another, whose tag it knows, and what it can leave in a place that all reach.

A tag is a worker's name for its life: six random characters. Nothing of this costs anything until
somebody asks.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

Handler = Callable[[str, bytes], Awaitable[bytes | None]]
"""Answers a question: (the asker's tag, the body) -> the answer; None where it was only told something."""

ANSWER = "answer"


class NobodyThere(Exception):
    """No worker with this tag is alive."""


class Letter(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What one worker sends to another. number: names a question for its answer; 0 where none is expected."""

    kind: str
    sender: str
    number: int
    body: bytes


class Bus(Protocol):
    """The way to siblings; adapter: `service.siblings.redis_bus`. All raise StoreUnavailable where it is broken."""

    @property
    def tag(self) -> str:
        """This worker's."""

    @property
    def losses(self) -> int:
        """How often the way was broken so far: what was left anywhere before the last time may be lost."""

    def on(self, kind: str, handler: Handler) -> None:
        """Have `handler` answer letters of that kind."""

    async def ask(self, tag: str, kind: str, body: bytes, *, within_seconds: float | None = None) -> bytes:
        """A sibling's answer, for which is waited as long as it lives. Raises NobodyThere.

        within_seconds: StoreUnavailable after that.
        """

    async def tell(self, tag: str, kind: str, body: bytes) -> bool:
        """Tell a sibling something; False: nobody heard it, which may be for a moment only."""

    async def append(self, place: str, data: bytes, *, keep_seconds: float, oldest: str = "") -> str:
        """Add to the list at `place`, which vanishes after that time without another; the new entry's name.

        oldest: the name of an entry before which none is needed any more.
        """

    async def read(self, place: str, after: str) -> list[tuple[str, bytes]]:
        """What was added after the entry of that name ("0": from the start), some at once, each with its name."""

    async def put(self, place: str, data: bytes, *, keep_seconds: float) -> None:
        """Leave something for that time."""

    async def get(self, place: str) -> bytes | None:
        """What was left there."""

    async def drop(self, place: str) -> None:
        """Take away what is there."""
