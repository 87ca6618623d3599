"""Watching a request's answer go by, on its way to the server.

A whole answer that is to be kept is held back until it is: a client that has read it, and then asks
again, must get the same one, even from a worker that was killed meanwhile. Everything else passes
at once; what `send` returns is then the server's own (`service.http.viewer` looks at it).
"""

from collections.abc import Awaitable, Callable

from service.http.context import Message, RequestContext
from service.idempotency.record import Answer, Headers, is_kept

Keep = Callable[[Answer], Awaitable[None]]


class AnswerNote:
    """Stands in for a context's `send`.

    keep: awaited with a whole answer of a status that is kept, before it is sent. stream: told the id
    of a stream that begins, "" for one that nobody else can read.
    """

    def __init__(self, context: RequestContext, keep: Keep, stream: Callable[[str], None]) -> None:
        self._context = context
        self._send = context.send
        # What the edge put into every answer of this request is this request's own.
        self._own = frozenset(context.extra_headers)
        self._keep = keep
        self._stream = stream
        self._held: Message | None = None

    def send(self, message: Message) -> Awaitable[None]:
        """ASGI's."""
        if self._held is not None:
            return self._end(self._held, message)
        if message["type"] != "http.response.start":
            return self._send(message)
        headers: Headers = message["headers"]
        if _is_event_stream(headers):
            self._stream(_stream_id(headers))
        elif is_kept(message["status"]):
            self._held = message
            self._context.head_sent = False
            return _nothing()
        return self._send(message)

    async def _end(self, head: Message, message: Message) -> None:
        self._held = None
        if not message.get("more_body", False):
            headers = [line for line in head["headers"] if line not in self._own]
            await self._keep(Answer(head["status"], headers, message.get("body", b"")))
        self._context.head_sent = True
        if not self._context.client_left:
            await self._send(head)
            await self._send(message)


async def _nothing() -> None:
    """What `send` returns for a message that is held back."""


def _is_event_stream(headers: Headers) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers
    )


def _stream_id(headers: Headers) -> str:
    return next((value.decode("latin-1") for name, value in headers if name.lower() == b"x-stream-id"), "")
