"""What is over is freed by reference counts alone.

A circle waits for the garbage collector, which gathers tens of thousands and then stops the loop
for some 30 ms; and a circle through an object that isn't Python's is never found at all.
"""

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator

import pytest

from service.grace import Grace
from service.http.context import Message, RequestContext
from service.providers.base import Clocks, Fault, FaultKind
from service.providers.connection import Connection
from service.providers.exchange import GRACE_SECONDS, HttpExchange
from service.providers.whole import WholeSink
from service.telemetry.facts import Facts

CLOCKS = Clocks(5, 30, 30, 1e9)


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """Only reference counts free anything."""
    gc.disable()
    yield
    gc.enable()


class Line:
    """A connection that is there."""

    def is_open(self) -> bool:
        """Always."""
        return True

    def pause(self) -> None:
        """Nothing to pause."""

    def resume(self) -> None:
        """Nothing to resume."""

    def close(self) -> None:
        """Nothing to close."""


class WatchedSink(WholeSink):
    """A sink of which a test can see that it is gone."""

    __slots__ = ("__weakref__",)


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(HttpExchange.on_end, id="whole"),
        pytest.param(
            lambda exchange: exchange.on_fail(Fault(FaultKind.CUT, "cut", reason="cut")), id="failed"
        ),
        pytest.param(HttpExchange.abort, id="aborted"),
    ],
)
async def test_an_exchange_that_is_over_lets_go_of_its_sink(end: Callable[[HttpExchange], None]) -> None:
    loop = asyncio.get_running_loop()
    grace = Grace(loop, GRACE_SECONDS)
    sink = WatchedSink(loop)
    exchange = HttpExchange(loop, Line(), sink, CLOCKS, grace)
    sink.exchange = exchange
    end(exchange)
    if sink.ready.done():
        sink.ready.exception()
    seen = weakref.ref(sink)
    del sink
    assert seen() is None


async def test_a_lost_connection_is_gone() -> None:
    """Its parser holds its methods, and its transport holds it."""

    class Wire(asyncio.Transport):
        def __init__(self, protocol: Connection) -> None:
            super().__init__()
            self.protocol = protocol

    ends: list[Connection] = []
    connection = Connection(asyncio.get_running_loop(), ends.append, ends.append)
    wire = Wire(connection)
    connection.connection_made(wire)
    connection.connection_lost(None)
    ends.clear()
    seen = weakref.ref(wire)
    del connection, wire
    assert seen() is None


async def test_a_request_that_was_watched_is_gone() -> None:
    """The server's awaitable has the request's callback, and the request has the awaitable."""

    class Awaitable(asyncio.Future[Message]):
        pass

    pending: list[Awaitable] = []

    def receive() -> Awaitable:
        pending.append(Awaitable())
        return pending[-1]

    async def send(message: Message) -> None:
        raise AssertionError(message)

    context = RequestContext(
        facts=Facts("req_1", "POST", "/chat", 0.0),
        receive=receive,
        send=send,
        extra_headers=[],
        passed_on={},
        credential=None,
        address="",
        max_body_bytes=1,
        body_timeout_seconds=1,
    )
    context.body_complete()
    context.grace_over()
    seen = weakref.ref(pending.pop())
    assert seen() is not None
    context.close()
    await asyncio.sleep(0)
    assert seen() is None
