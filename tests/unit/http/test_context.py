"""When a client's leaving ends its request, and when it doesn't."""

import asyncio

import pytest

from service.http.context import CutReason, Message, RequestContext
from service.telemetry.facts import Facts


async def no_message() -> Message:
    raise AssertionError


async def no_send(message: Message) -> None:
    raise AssertionError(message)


def request() -> RequestContext:
    """A request of the task that runs."""
    return RequestContext(
        facts=Facts("req_1", "POST", "/v1/chat/completions", 0.0),
        receive=no_message,
        send=no_send,
        extra_headers=[],
        passed_on={},
        credential=None,
        address="",
        max_body_bytes=1,
        body_timeout_seconds=1,
    )


async def cancelled() -> bool:
    """Whether this task was cancelled; if so, it is no more."""
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        return True
    return False


async def test_leaving_ends_a_request_that_nobody_else_wants() -> None:
    context = request()
    context.cut(CutReason.CLIENT_GONE)
    context.survive()
    assert await cancelled()
    assert (context.cut_reason, context.client_left) == (CutReason.CLIENT_GONE, False)


async def test_leaving_ends_it_only_when_nobody_else_wants_it_any_more() -> None:
    context, wanted = request(), [True]
    context.wanted = lambda: wanted[0]
    context.cut(CutReason.CLIENT_GONE)
    assert not await cancelled()
    assert (context.cut_reason, context.client_left, context.facts.outcome) == (None, True, "")
    wanted[0] = False
    context.unwanted()
    context.survive()
    assert await cancelled()
    assert context.cut_reason is CutReason.CLIENT_GONE


@pytest.mark.parametrize(
    "closed", [pytest.param(True, id="that-is-over"), pytest.param(False, id="whose-client-is-there")]
)
async def test_a_request_that_nobody_else_wants_any_more_goes_on(closed: bool) -> None:
    context = request()
    if closed:
        context.wanted = lambda: True
        context.cut(CutReason.CLIENT_GONE)
        context.wanted = None
        context.close()
    context.unwanted()
    assert not await cancelled()
    assert context.cut_reason is None


async def test_a_shutdown_asks_nobody() -> None:
    context = request()
    context.wanted = lambda: True
    context.cut(CutReason.SHUTDOWN)
    context.survive()
    assert await cancelled()
    assert context.cut_reason is CutReason.SHUTDOWN
