"""A viewer's place in a stream: pushed to while it keeps up, and reading the log at its own pace while it doesn't."""

import asyncio
from typing import Protocol

from service.streams.log import StreamLog
from service.streams.ports import Viewer

PIECE_BYTES = 64 * 1024
"""What a viewer that is behind is sent at once."""


class Readable(Protocol):
    """The stream (`service.streams.stream`), as far as a seat needs it."""

    @property
    def log(self) -> StreamLog:
        """Its events."""

    @property
    def over(self) -> bool:
        """Whether no event will come."""

    @property
    def farewell(self) -> bytes:
        """What follows its last event, where it goes on elsewhere."""

    def review(self) -> None:
        """A viewer takes more again, or no more."""


class Seat:
    """A viewer's place: whether it has all that came, and else from which event on it needs more.

    passed_bytes: while it is behind, how much of all that ever came it was sent, or did not ask for.
    """

    __slots__ = ("_stream", "_wake", "behind", "passed_bytes", "position", "viewer")

    def __init__(self, stream: Readable, viewer: Viewer, position: int) -> None:
        self._stream = stream
        self._wake: asyncio.Future[None] | None = None
        self.viewer = viewer
        self.position = position
        self.behind = position < stream.log.next or stream.over
        # Only a stream that still grows cuts anybody.
        self.passed_bytes = 0 if stream.over else stream.log.bytes_before(position)

    async def run(self) -> None:
        """Return when the stream is over and the client has taken all of it, or its place is lost."""
        stream = self._stream
        while True:
            if self.behind and not await self._catch_up():
                return
            if stream.over and not self.behind:
                break
            if not self.behind:
                self._wake = asyncio.get_running_loop().create_future()
                await self._wake
        await self.viewer.flush()

    def fall_behind(self, position: int) -> None:
        """Its client takes nothing more for now: from that event on it reads the log."""
        self.behind, self.position = True, position
        self.passed_bytes = self._stream.log.total_bytes
        self.wake()

    def wake(self) -> None:
        """Something changed."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _catch_up(self) -> bool:
        viewer, stream, log = self.viewer, self._stream, self._stream.log
        while True:
            await viewer.flush()
            stream.review()
            if self.position < log.first:
                viewer.cut()
                # Here the cut arrives, unless the request was cut before.
                await asyncio.sleep(0)
                return False
            data, self.position = log.read(self.position, PIECE_BYTES)
            self.passed_bytes += len(data)
            if stream.over and self.position == log.next:
                viewer.end(data + stream.farewell)
                break
            if not data:
                break
            viewer.write(data)
            if viewer.behind:
                stream.review()
        self.behind = False
        return True
