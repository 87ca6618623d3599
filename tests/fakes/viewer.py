"""A client of a stream in memory, which can fall behind."""

import asyncio

from service.streams.ports import Headers
from service.streams.stream import Stream
from tests.fakes.streams import ids_off


class MemoryViewer:
    """A `service.streams.relay.Viewer` that keeps what it is sent.

    writes: what reached the client, one entry for each write, without the events' ids; sent: with them. survives: it may still be told why
    when its request is cut (the server shuts down). leaves: its request is cut because it is gone.
    """

    commits_early = True

    def __init__(self, *, survives: bool = False, leaves: bool = False) -> None:
        self._survives = survives
        self._leaves = leaves
        self._stuck = self._gone = False
        self._room: asyncio.Future[None] | None = None
        self._held: list[bytes] = []
        self._ending = False
        self.head: Headers | None = None
        self.writes: list[bytes] = []
        self.sent = b""
        self.ended = False
        self.closed = False
        self.most_held_bytes = 0
        self.task: asyncio.Task[None] | None = None

    @property
    def received(self) -> bytes:
        """All that reached the client."""
        return b"".join(self.writes)

    @property
    def begun(self) -> bool:
        """Whether the head was sent."""
        return self.head is not None

    @property
    def behind(self) -> bool:
        """Whether the client takes nothing more for now."""
        return self._room is not None

    def stick(self) -> None:
        """The next write is the last that fits."""
        self._stuck = True

    def take(self) -> None:
        """The client reads again; room for one write, or for all once `stick` is undone."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def unstick(self) -> None:
        """The client reads as fast as it is sent to."""
        self._stuck = False
        self.take()

    async def attend(self, stream: Stream) -> None:
        """Read a stream of one's own, and drive it."""
        if not self.begun:
            self.begin(stream.headers)
        await stream.drive(self)

    def begin(self, headers: Headers) -> None:
        """Send the head; a second one would be an answer inside an answer."""
        assert self.head is None
        self.head = headers

    def write(self, data: bytes) -> None:
        """Send events, or hold them while the client is behind."""
        assert self.begun
        assert not self._ending
        self._send(data)

    def end(self, data: bytes = b"") -> None:
        """Send the last events; a second end does nothing."""
        assert self.begun
        if not self._ending:
            self._ending = self.closed = True
            self._send(data)
            self.ended = self._room is None or not self._held

    def close(self) -> None:
        """No more heartbeats."""
        self.closed = True

    async def flush(self) -> None:
        """Wait until the client has taken all."""
        while self._room is not None:
            await self._room
            self._room = None
            if self._held:
                data = b"".join(self._held)
                self._held.clear()
                self._push(data)
        self.ended = self._ending

    def cut(self) -> None:
        """The task that reads for it is cancelled, and the client is gone."""
        self._leaves = True
        assert self.task is not None
        self.task.cancel()

    def has_left(self) -> bool:
        """If so, the task's cancellation is taken back, and no write reaches anybody."""
        task = asyncio.current_task()
        if self._leaves and task is not None:
            task.uncancel()
            self._gone = True
        return self._leaves

    def outlives_cut(self) -> bool:
        """If so, the task's cancellation is taken back."""
        task = asyncio.current_task()
        if self._survives and task is not None:
            task.uncancel()
        return self._survives

    def _send(self, data: bytes) -> None:
        if self._room is None:
            self._push(data)
        else:
            self._held.append(data)
            self.most_held_bytes = max(self.most_held_bytes, sum(map(len, self._held)))

    def _push(self, data: bytes) -> None:
        if data and not self._gone:
            self.writes.append(ids_off(data))
            self.sent += data
        if self._stuck:
            self._room = asyncio.get_running_loop().create_future()
