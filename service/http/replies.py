"""Answers that are their own ASGI apps: Litestar hands them the connection and adds nothing."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable

from service.http.context import Headers, Receive, RequestContext, Scope, Send
from service.http.viewer import Viewer

JSON: Headers = [(b"content-type", b"application/json")]


class GatewayReply(ABC):
    """What a handler of an inference route returns."""

    @abstractmethod
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""


class WholeReply(GatewayReply):
    """A JSON body that is complete."""

    __slots__ = ("_body", "_context", "_headers")

    def __init__(self, context: RequestContext, body: bytes, headers: Headers) -> None:
        self._context = context
        self._body = body
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Sent past the layers between, which have nothing to add."""
        context = self._context
        lines = [*JSON, (b"content-length", str(len(self._body)).encode()), *self._headers]
        await context.send(context.start_message(200, lines))
        await context.send({"type": "http.response.body", "body": self._body, "more_body": False})


class EmptyReply(GatewayReply):
    """A head alone; 204: there is nothing (more) to say."""

    __slots__ = ("_context", "_headers", "_status")

    def __init__(self, context: RequestContext, headers: Headers, status: int = 204) -> None:
        self._context = context
        self._headers = headers
        self._status = status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        await self._context.send(self._context.start_message(self._status, self._headers))
        await self._context.send({"type": "http.response.body", "body": b"", "more_body": False})


class StreamedReply(GatewayReply):
    """A stream: `run` writes it to a viewer; what it raises before the first byte is a plain answer."""

    __slots__ = ("_context", "_heartbeat_seconds", "_run")

    def __init__(
        self, context: RequestContext, heartbeat_seconds: float, run: Callable[[Viewer], Awaitable[None]]
    ) -> None:
        self._context = context
        self._heartbeat_seconds = heartbeat_seconds
        self._run = run

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        await self._run(Viewer(self._context, self._heartbeat_seconds))
