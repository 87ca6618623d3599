"""Viewers whose connections are cut, and who come back for the rest of their streams."""

import asyncio
import functools
import time
from collections.abc import Callable

import msgspec

from benchmarks.load.checking import StreamChecker
from benchmarks.load.client import Client
from benchmarks.load.connection import Connection
from benchmarks.load.requests import Endpoint, Request, rest
from benchmarks.load.tally import Tally

NO_IDS = "no event ids to come back with"
"""The fault of an answer whose events have none."""


class Cut(msgspec.Struct, frozen=True):
    """After how many tokens of a connection it is cut (1 or more), and for how long its viewer is away."""

    tokens: int
    away_seconds: float = 0.0


Plan = Callable[[], list[Cut]]
"""Drawn for each viewer: its cuts in turn. After the last one it reads to the end."""


async def resuming(
    client: Client,
    request: Request,
    endpoint: Endpoint,
    plan: Plan,
    *,
    spread_seconds: float = 0.0,
    limit_seconds: float = 60.0,
    on_all_back: Callable[[], object] = lambda: None,
) -> Tally:
    """One stream for each connection of `client`, read to its end in as many pieces as `plan` says.

    A viewer that was cut off opens a new connection and asks `endpoint` for what follows the last
    event that it had whole. All pieces of a stream go to one checker, so a gap between two of them,
    or an event in both, makes the stream wrong, like any other fault of it. spread_seconds: as of
    ClosedLoop. on_all_back: called when every viewer reads its last piece. Who is still reading at
    the limit is an error. Raises ConnectionError where the port refuses those who come back.
    """
    missing = len(client.connections)

    def back() -> None:
        nonlocal missing
        missing -= 1
        if not missing:
            on_all_back()

    viewers = [_Viewer(client, request, endpoint, back) for _ in client.connections]
    step_seconds = spread_seconds / max(1, len(viewers))
    try:
        async with asyncio.timeout(limit_seconds), asyncio.TaskGroup() as reading:
            for number, (viewer, connection) in enumerate(zip(viewers, client.connections, strict=True)):
                reading.create_task(viewer.watch(connection, plan(), number * step_seconds))
    except TimeoutError:
        client.tally.fail("unfinished", sum(not viewer.over for viewer in viewers))
    except BaseExceptionGroup as several:
        # All of them met the same; callers know a plain error.
        raise several.exceptions[0] from several
    return client.tally


class _Viewer:
    """One reader of one stream. over: it has all of it, or something was wrong."""

    def __init__(
        self, client: Client, request: Request, endpoint: Endpoint, on_back: Callable[[], None]
    ) -> None:
        """on_back: called when it asks for its last piece."""
        self._client = client
        self._request = request
        self._endpoint = endpoint
        self._on_back = on_back
        self.over = False

    async def watch(self, connection: Connection, cuts: list[Cut], wait_seconds: float) -> None:
        """Read to the end, coming back after each of `cuts` on a connection of its own."""
        await asyncio.sleep(wait_seconds)
        request, checker = self._request, None
        for cut in cuts:
            checker = await self._read(connection, request, checker, cut.tokens)
            back = None if checker is None else self._rest(checker)
            if back is None:
                break
            await asyncio.sleep(cut.away_seconds)
            connection, request = await self._client.connect(), back
            self._client.connections.append(connection)
        else:
            self._on_back()
            await self._read(connection, request, checker, None)
        self.over = True

    async def _read(
        self, connection: Connection, request: Request, checker: StreamChecker | None, tokens: int | None
    ) -> StreamChecker | None:
        """Read so many tokens, or to the end. Returns what has come where it was cut, None at any other end."""
        over: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        connection.on_left = functools.partial(_settle, over, True)
        connection.on_idle = connection.on_failed = functools.partial(_settle, over, False)
        connection.send(request, time.monotonic_ns(), leave_after=tokens, checker=checker)
        return connection.checker if await over else None

    def _rest(self, checker: StreamChecker) -> Request | None:
        """How to come back for what follows; None where there is nothing to come back for, or with."""
        tally = self._client.tally
        checker.cut()
        if checker.close() is None:
            # One read brought several events, the last one too.
            tally.answers += 1
        elif not checker.last_event_id:
            tally.fail(NO_IDS)
        else:
            return rest(self._request, checker.last_event_id.decode(), self._endpoint)
        return None


def _settle(over: asyncio.Future[bool], cut: bool, _: Connection) -> None:
    if not over.done():
        over.set_result(cut)
