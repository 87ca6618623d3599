"""Reading a request's body: bounded in bytes and in time, with no more reads than needed."""

import asyncio

from service.errors import BodyTimedOut, BodyTooLarge, InvalidRequest
from service.http.context import CutReason, Receive, RequestContext


async def read_body(receive: Receive, context: RequestContext, length: int | None) -> bytes:
    """The whole body. `length`: its Content-Length; None where it is chunked.

    A read from the server costs some 25 us, so the one that would only say "no more" is left out
    where the length tells. Raises BodyTooLarge, BodyTimedOut, or InvalidRequest where the body
    breaks off.
    """
    try:
        body = await _read(receive, context.max_body_bytes, length)
    except asyncio.CancelledError:
        if context.cut_reason is CutReason.BODY_TIMEOUT:
            context.survive()
            raise _timed_out() from None
        raise
    context.body_complete()
    return body


async def _read(receive: Receive, max_bytes: int, length: int | None) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise InvalidRequest("The body broke off before its end.")
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > max_bytes:
            raise too_large(max_bytes)
        parts.append(part)
        if size == length or not message.get("more_body", False):
            return part if len(parts) == 1 else b"".join(parts)


def too_large(max_bytes: int) -> BodyTooLarge:
    """The refusal, in one wording wherever it is noticed."""
    return BodyTooLarge(f"The body is larger than {max_bytes} bytes (server.max_body_bytes); send less.")


def _timed_out() -> BodyTimedOut:
    return BodyTimedOut("The body was not complete in time (server.body_timeout_seconds); send it faster.")
