"""A client that leaves, in every state of its stream, and a server that stops."""

import asyncio

import pytest

from service.config import Streams
from service.wire.sse import DONE
from tests.fakes.chat import kitchen, order, refused
from tests.fakes.loops import virtual_time
from tests.fakes.relay import USAGE, chunk, last_error
from tests.fakes.upstream import Head, Script
from tests.fakes.viewer import MemoryViewer

OK = Head()
EARLY = Streams(commit_after_seconds=2)

STATES = [
    pytest.param([], id="before-the-head"),
    pytest.param([OK], id="before-the-first-event"),
    pytest.param([OK, USAGE, chunk("Hi")], id="in-the-middle"),
]


@pytest.mark.parametrize("script", STATES)
@virtual_time
async def test_a_client_that_leaves_closes_the_provider_once(script: Script) -> None:
    """And what was used by then is noted."""
    made = kitchen({"a": [script]})
    call, viewer = order(stream=True), MemoryViewer()
    task = asyncio.ensure_future(made.service.stream(call, viewer))
    exchange = await made.upstreams["a"].opened()
    await asyncio.sleep(1)
    before = list(viewer.writes)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert exchange.closes == 1 and len(made.calls) == 1
    assert viewer.writes == before and viewer.closed
    [row] = made.ledger.rows
    assert row.input_tokens > 0 and row.estimated is (len(script) < 3)
    await asyncio.sleep(60)
    assert viewer.writes == before and viewer.begun is bool(before)


@virtual_time
async def test_a_client_that_leaves_while_it_is_behind_closes_the_provider_once() -> None:
    """It was paused; nothing waits for that client any more."""
    made = kitchen({"a": [[OK, chunk("Hi")]]})
    viewer = MemoryViewer()
    viewer.stick()
    task = asyncio.ensure_future(made.service.stream(order(stream=True), viewer))
    exchange = await made.upstreams["a"].opened()
    await asyncio.sleep(1)
    assert exchange.paused
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert exchange.closes == 1


@virtual_time
async def test_a_client_that_leaves_between_two_attempts_causes_no_other() -> None:
    """The wait before a retry ends with it."""
    made = kitchen({"a": [refused(429, retry_after="3")]})
    task = asyncio.ensure_future(made.service.stream(order(stream=True), MemoryViewer()))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(10)
    assert made.order == "a"


@pytest.mark.parametrize(
    "script", [pytest.param([OK, chunk("Hi")], id="live"), pytest.param([OK], id="with-an-early-head")]
)
@virtual_time
async def test_at_shutdown_a_stream_that_has_begun_is_told(script: Script) -> None:
    """An error event of code `server_shutdown` is its last, and the provider is closed."""
    made = kitchen({"a": [script]}, streams=EARLY)
    call, viewer = order(stream=True), MemoryViewer(survives=True)
    task = asyncio.ensure_future(made.service.stream(call, viewer))
    await asyncio.sleep(5)
    task.cancel()
    await task
    assert last_error(viewer.received)["code"] == "server_shutdown"
    assert DONE not in viewer.received and viewer.ended
    assert made.upstreams["a"].calls[0].closes == 1
    assert (call.facts.outcome, call.facts.problem) == ("server_shutdown", "server_shutdown")


@virtual_time
async def test_at_shutdown_a_stream_that_has_not_begun_is_just_cancelled() -> None:
    """The edge answers it with a plain error."""
    made = kitchen({"a": [[OK]]})
    viewer = MemoryViewer(survives=True)
    task = asyncio.ensure_future(made.service.stream(order(stream=True), viewer))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not viewer.begun
