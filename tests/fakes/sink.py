"""A sink that keeps what it is told."""

import asyncio
from collections.abc import Callable, Mapping

from service.providers.base import Exchange, Fault


class RecordingSink:
    """A `service.providers.base.Sink`. reads: body bytes, one entry for each time that some came.

    then: called when the outcome is known. outcome: `end`, a fault's kind and reason, or another exception's name; None while more may come.
    """

    def __init__(self) -> None:
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.exchange: Exchange | None = None
        self.heads: list[int] = []
        self.headers: Mapping[str, str] = {}
        self.reads: list[bytes] = []
        self.outcome: str | None = None
        self.then: Callable[[], None] = lambda: None

    @property
    def body(self) -> bytes:
        """All that came."""
        return b"".join(self.reads)

    @property
    def said(self) -> tuple[list[int], bytes, str | None]:
        """The whole answer: heads, body, outcome."""
        return (self.heads, self.body, self.outcome)

    async def over(self) -> str | None:
        """Wait for the outcome."""
        await self._over
        return self.outcome

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """From the upstream."""
        assert self.outcome is None
        self.heads.append(status)
        self.headers = headers

    def data(self, chunk: bytes) -> None:
        """From the upstream."""
        assert self.outcome is None
        self.reads.append(chunk)

    def end(self) -> None:
        """From the upstream."""
        self._finish("end")

    def fail(self, fault: Exception) -> None:
        """From the upstream."""
        self._finish(f"{fault.kind}: {fault.reason}" if isinstance(fault, Fault) else type(fault).__name__)

    def _finish(self, outcome: str) -> None:
        assert self.outcome is None, f"told of its end twice: {self.outcome}, {outcome}"
        self.outcome = outcome
        self._over.set_result(None)
        self.then()
