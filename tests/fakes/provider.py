"""A model provider on loopback for tests: a real server in its own thread that does as it is told.

    with FakeProvider() as up:
        up.script(Status(429, retry_after="1"), Answer("Hello"))
        … a gateway whose provider's base_url is up.base_url …
        assert up.requests[1].json["model"] == "gpt-4o-mini"

Each request takes the next behaviour of the script, else `default`. Whatever it is told, it
notices when the client closes, and stops.
"""

import asyncio
import contextlib
import socket
import threading
from collections import deque
from types import TracebackType
from typing import Self

from tests.fakes.answers import SURFACES
from tests.fakes.behaviours import Answer, Behaviour, Status
from tests.fakes.connection import Connection, Exchange, PeerClosed, Progress, Recorded

START_SECONDS = 10.0


class FakeProvider:
    """OpenAI's and Anthropic's routes under one address; may be used from any thread and process.

    default: the behaviour of requests for which nothing is scripted. accepted: how many connections came so far.
    send_buffer_bytes: the kernel's send buffer for each connection, for tests of back-pressure.
    """

    def __init__(self, default: Behaviour | None = None, *, send_buffer_bytes: int | None = None) -> None:
        self.default: Behaviour = default or Answer()
        self.requests: list[Recorded] = []
        self.accepted = 0
        self.port = 0
        self._send_buffer_bytes = send_buffer_bytes
        self._script: deque[Behaviour] = deque()
        self._progress: list[Progress] = []
        self._changed = threading.Condition()
        self._connections: set[Connection] = set()
        self._failures: list[BaseException] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="fake-provider", daemon=True)

    @property
    def origin(self) -> str:
        """The address without a path, as Anthropic's SDK wants it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """The address with `/v1`, as OpenAI's SDK wants it."""
        return f"{self.origin}/v1"

    def script(self, *behaviours: Behaviour) -> None:
        """Queue behaviours, one for each request to come."""
        with self._changed:
            self._script.extend(behaviours)

    def wait_requests(self, count: int, timeout_seconds: float = 5.0) -> bool:
        """Whether `count` requests in all have arrived, waiting for them if need be."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.requests) >= count, timeout_seconds)

    def wait_closed(self, index: int, timeout_seconds: float = 5.0) -> bool:
        """Whether the client has closed the connection of request `index`, waiting for it if need be."""
        return self.wait_requests(index + 1, timeout_seconds) and self._progress[index].peer_closed.wait(
            timeout_seconds
        )

    def wait_answered(self, index: int, timeout_seconds: float = 5.0) -> bool:
        """Whether request `index` was answered to its behaviour's end, waiting for it if need be."""
        return self.wait_requests(index + 1, timeout_seconds) and self._progress[index].answered.wait(
            timeout_seconds
        )

    def closed_at(self, index: int) -> float | None:
        """When the client closed request `index`'s connection, on `time.monotonic()`."""
        return self._progress[index].peer_closed_at

    def bytes_written(self, index: int) -> int:
        """How many bytes of answer `index` the kernel has taken so far."""
        return self._progress[index].bytes_written

    def close_idle(self) -> None:
        """Close all kept-alive connections, once those at work have answered; returns when they are closed."""
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self._close_idle(), self._loop).result(START_SECONDS)

    async def _close_idle(self) -> None:
        for connection in tuple(self._connections):
            await connection.idle.wait()
            connection.close()
            await asyncio.shield(connection.gone)

    def __enter__(self) -> Self:
        self._thread.start()
        with self._changed:
            assert self._changed.wait_for(lambda: self.port or self._failures, START_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_SECONDS)
        if self._failures:
            raise self._failures[0]

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._failures.append(error)
            self._changed.notify_all()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        # Inherited by accepted sockets; asyncio sets it only on sockets that it made itself.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._send_buffer_bytes is not None:
            # Accepted sockets inherit it; a fixed size also turns off the kernel's own tuning.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._send_buffer_bytes)
        async with asyncio.TaskGroup() as tasks:
            server = await self._loop.create_server(lambda: self._accept(tasks), sock=listener)
            with self._changed:
                self.port = listener.getsockname()[1]
                self._changed.notify_all()
            await self._stop.wait()
            server.close()
            for connection in tuple(self._connections):
                connection.reset()

    def _accept(self, tasks: asyncio.TaskGroup) -> Connection:
        return Connection(lambda connection: self._start(tasks, connection))

    def _start(self, tasks: asyncio.TaskGroup, connection: Connection) -> None:
        tasks.create_task(self._serve(connection))

    async def _serve(self, connection: Connection) -> None:
        self._connections.add(connection)
        self.accepted += 1
        try:
            while (request := await connection.read_request()) is not None:
                connection.idle.clear()
                await self._answer(connection, request)
                connection.idle.set()
        except Exception as error:  # noqa: BLE001 - raised again in the test's own thread
            self._fail(error)
            connection.reset()
        finally:
            self._connections.discard(connection)

    async def _answer(self, connection: Connection, request: Recorded) -> None:
        progress = Progress()
        connection.seen.append(progress)
        with self._changed:
            behaviour = self._script.popleft() if self._script else self._fallback(request)
            self._progress.append(progress)
            self.requests.append(request)
            self._changed.notify_all()
        playing = asyncio.ensure_future(behaviour.play(Exchange(connection, request, progress)))
        await asyncio.wait((playing, connection.gone), return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            playing.cancel()
        with contextlib.suppress(PeerClosed, asyncio.CancelledError):
            await playing
            progress.answered.set()

    def _fallback(self, request: Recorded) -> Behaviour:
        path = request.path.partition("?")[0]
        return self.default if path in SURFACES else Status(404)
