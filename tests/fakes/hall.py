"""One stream, its source, and everybody who ever read it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from service.errors import GatewayError
from service.problems import code_of
from service.streams.ports import Absence
from service.streams.registry import StreamRegistry
from service.streams.stream import Stream
from tests.fakes.source import FakeSource, error_frame, frame
from tests.fakes.streams import LINGERING, stream_registry
from tests.fakes.viewer import MemoryViewer

MAX_BYTES = 4_000
"""Small, so that streams outgrow it."""

WIDEST = 200
"""An event's text; several fit into a quarter of the above."""


class Watcher(MemoryViewer):
    """A client with its task and its place. cut_at: where it was, and what was still there, when it was cut."""

    def __init__(self, stream: Stream, position: int = 0, *, survives: bool = False) -> None:
        super().__init__(survives=survives)
        self._stream = stream
        self.position = position
        self.left = False
        self.cut_at: tuple[int, int] | None = None

    def cut(self) -> None:
        """It is too slow."""
        if self.cut_at is None:
            self.cut_at = (self.position + self.sent.count(b"\n\n"), self._stream.log.first)
            super().cut()

    def leave(self) -> None:
        """The client goes."""
        self.left = True
        super().cut()


@dataclass
class Hall:
    """One stream, its source and everybody who ever read it."""

    stream: Stream
    source: FakeSource
    registry: StreamRegistry
    events: list[bytes] = field(default_factory=list)
    watchers: list[Watcher] = field(default_factory=list)

    def waits(self) -> bool:
        """Whether the source is paused."""
        return self.source.paused

    def ended_by(self) -> type[GatewayError] | None:
        """Why the source was stopped; None: it was not."""
        return None if self.source.stopped_with is None else type(self.source.stopped_with)

    def publish(self, *texts: object) -> None:
        """Events come from the source."""
        self._note([frame(text) for text in texts])
        self.stream.publish([frame(text) for text in texts])

    def finish(self) -> None:
        """The last event comes."""
        self._note([frame("[DONE]")])
        self.stream.finish([frame("[DONE]")])

    def drive(self, *, survives: bool = False) -> Watcher:
        """The request that asked for the stream."""
        return self._seat(Watcher(self.stream, survives=survives), self.stream.drive)

    def join(self, position: int, *, survives: bool = False) -> Watcher:
        """One more viewer."""
        watcher = Watcher(self.stream, position, survives=survives)
        return self._seat(watcher, lambda viewer: self.stream.serve(viewer, position))

    def from_position(self, position: int) -> bytes:
        """What somebody who came at `position` is to see in all; ends with the error event, if there was one."""
        events = self.events
        if self.source.stopped_with is not None:
            code = code_of(self.source.stopped_with)
            events = [*events, f"id: {self.stream.id}-{len(events)}\n".encode() + error_frame(code)]
        return b"".join(events[position:])

    @property
    def present(self) -> list[Watcher]:
        """Those who neither left nor were cut."""
        return [each for each in self.watchers if not each.left and each.cut_at is None]

    def _note(self, frames: list[bytes]) -> None:
        for number, one in enumerate(frames, len(self.events)):
            self.events.append(f"id: {self.stream.id}-{number}\n".encode() + one)

    def _seat(self, watcher: Watcher, read: Callable[[Watcher], Awaitable[None]]) -> Watcher:
        watcher.begin(self.stream.headers)
        watcher.task = asyncio.ensure_future(read(watcher))
        self.watchers.append(watcher)
        return watcher


def hall(absence: Absence = LINGERING, *, max_bytes: int = MAX_BYTES) -> Hall:
    """A live stream without events. Call inside the loop."""
    registry = stream_registry(max_bytes_per_stream=max_bytes)
    stream = registry.make("me", absence, lambda: None, dialect="openai")
    source = FakeSource(stream)
    stream.go_live([(b"x-penstock-model", b"m")], source)
    return Hall(stream, source, registry)


async def settle() -> None:
    """Everybody does what can be done now; no time passes."""
    for _ in range(12):
        await asyncio.sleep(0)


async def over(made: Hall) -> None:
    """All tasks are done, and nobody is left; a viewer that left or was cut may have ended as cancelled."""
    async with asyncio.timeout(1):
        await asyncio.gather(*(each.task for each in made.watchers if each.task), return_exceptions=True)
    for each in made.present:
        assert each.task is not None
        each.task.result()
    assert made.stream.viewers == 0
