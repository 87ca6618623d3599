"""Closed loops: each connection sends its next request when the last one is over."""

import asyncio
import functools
import time
from collections.abc import Callable

from benchmarks.load.client import Client
from benchmarks.load.connection import Connection
from benchmarks.load.requests import Request
from benchmarks.load.tally import Tally


class ClosedLoop:
    """Each connection sends its next request when the last answer is whole.

    It ends after `repeats` requests per connection or when `seconds` have passed, whichever is
    given; requests on their way are finished and checked, for at most `limit_seconds` in all.
    spread_seconds: the first requests are spread over that long, so that paced streams don't
    beat in step.
    """

    def __init__(
        self,
        request: Request,
        *,
        seconds: float | None = None,
        repeats: int | None = None,
        spread_seconds: float = 0.0,
        limit_seconds: float = 60.0,
    ) -> None:
        self._request = request
        self._seconds = seconds
        self._repeats = repeats
        self._spread_seconds = spread_seconds
        self._limit_seconds = limit_seconds
        self._left: dict[Connection, int] = {}
        self._end_ns: float = 0

    async def run(self, client: Client) -> Tally:
        """Run to the end; the client's tally, which is returned, holds what was seen, errors included."""
        if not client.connections:
            return client.tally
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = loop.create_future()
        seconds = self._limit_seconds if self._seconds is None else self._seconds
        self._end_ns = time.monotonic_ns() + seconds * 1e9
        step_seconds = self._spread_seconds / len(client.connections)
        for number, connection in enumerate(client.connections):
            self._left[connection] = -1 if self._repeats is None else self._repeats
            connection.on_idle = self._next
            connection.on_failed = self._retire
            loop.call_later(number * step_seconds, self._next, connection)
        try:
            async with asyncio.timeout(self._limit_seconds):
                await self._ended
        except TimeoutError:
            for connection in client.connections:
                connection.give_up()
        return client.tally

    def _next(self, connection: Connection) -> None:
        now_ns = time.monotonic_ns()
        # One that failed before its first request was due isn't there any more.
        if self._left.get(connection, 0) == 0 or now_ns >= self._end_ns:
            self._retire(connection)
            return
        self._left[connection] -= 1
        connection.send(self._request, now_ns)

    def _retire(self, connection: Connection) -> None:
        self._left.pop(connection, None)
        if not self._left and not self._ended.done():
            self._ended.set_result(None)


async def storm(
    client: Client, request: Request, leave_after: Callable[[], int | None], seconds: float
) -> Tally:
    """Clients that come, read for a while, leave without a word, and come again on a new connection.

    leave_after: drawn anew for each request: after how many tokens it leaves; None stays to the
    end. What was read until then is checked. Ends after `seconds`; who is still reading leaves.
    Raises ConnectionError where the port refuses those who come again.
    """
    end = asyncio.get_running_loop().time() + seconds
    try:
        async with asyncio.TaskGroup() as visitors:
            for connection in client.connections:
                visitors.create_task(_visits(client, connection, request, leave_after, end))
    except BaseExceptionGroup as several:
        # All of them met the same; callers know a plain error.
        raise several.exceptions[0] from several
    return client.tally


async def _visits(
    client: Client,
    connection: Connection,
    request: Request,
    leave_after: Callable[[], int | None],
    end: float,
) -> None:
    loop = asyncio.get_running_loop()
    while loop.time() < end:
        over: asyncio.Future[bool] = loop.create_future()
        connection.on_idle = functools.partial(_settle, over, True)
        connection.on_left = connection.on_failed = functools.partial(_settle, over, False)
        connection.send(request, time.monotonic_ns(), leave_after=leave_after())
        try:
            async with asyncio.timeout_at(end):
                usable = await over
        except TimeoutError:
            connection.leave_on_purpose()
            return
        if not usable:
            connection = await client.connect()
            client.connections.append(connection)


def _settle(over: asyncio.Future[bool], usable: bool, _: Connection) -> None:
    if not over.done():
        over.set_result(usable)
