"""A sink for answers that come whole."""

import asyncio
from collections.abc import Mapping

from service.providers.base import MAX_ANSWER_BYTES, Exchange, Fault, FaultKind


class WholeSink:
    """Gathers a body. ready: done when it is whole, or with the fault that came instead. size: bytes so far."""

    __slots__ = ("_parts", "exchange", "headers", "ready", "size", "status")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.ready: asyncio.Future[None] = loop.create_future()
        self.exchange: Exchange | None = None
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self._parts: list[bytes] = []
        self.size = 0

    @property
    def body(self) -> bytes:
        """All that came."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """From the upstream."""
        self.status = status
        self.headers = headers

    def data(self, chunk: bytes) -> None:
        """From the upstream."""
        if not self._parts and self.exchange is not None:
            self.exchange.started()
        self.size += len(chunk)
        self._parts.append(chunk)
        if self.size > MAX_ANSWER_BYTES and self.exchange is not None:
            self.exchange.abort()
            detail = f"The provider's answer exceeds {MAX_ANSWER_BYTES} bytes."
            self.fail(Fault(FaultKind.CUT, detail, reason="too_large"))

    def end(self) -> None:
        """From the upstream."""
        if not self.ready.done():
            self.ready.set_result(None)

    def fail(self, fault: Exception) -> None:
        """From the upstream."""
        if not self.ready.done():
            self.ready.set_exception(fault)
