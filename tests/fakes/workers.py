"""Workers that know each other's streams, in one process."""

import asyncio

from service import problems
from service.errors import GatewayError
from service.streams.feeds import Feeds
from service.streams.mirrors import Mirrors
from service.streams.ports import Absence, OnDisconnect
from service.streams.registry import StreamRegistry
from service.streams.service import Claim, StreamService
from service.streams.stream import Stream
from tests.fakes.bus import Hub
from tests.fakes.clock import FakeClock
from tests.fakes.viewer import MemoryViewer

FINISH = Absence(OnDisconnect.FINISH, 5.0, 35.0)
OWNER = "key-1"

MOMENT = 0.1
"""Virtual seconds in which all letters arrive."""


class Provider:
    """A `service.streams.ports.Source` whose events the test publishes.

    paused: nobody takes anything. stopped_at: when it was told to stop.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.paused = False
        self.stopped_at: float | None = None

    def pause(self) -> None:
        """Bring no more for now."""
        self.paused = True

    def resume(self) -> None:
        """Go on."""
        self.paused = False

    def stop(self, error: GatewayError) -> None:
        """End it with an error event."""
        self.stopped_at = asyncio.get_running_loop().time()
        self._stream.finish([problems.openai_event(error, request_id="req")], error)


class Worker:
    """One worker's streams. Its tag is six characters."""

    def __init__(
        self,
        hub: Hub,
        tag: str,
        *,
        keep_seconds: float = 300.0,
        max_bytes_per_stream: int = 4_000_000,
    ) -> None:
        self._made = 0
        self.clock = FakeClock()
        self.tag = tag
        self.bus = hub.bus(tag)
        self.registry = StreamRegistry(
            tag=tag,
            draw=self._draw,
            keep_seconds=keep_seconds,
            max_bytes_per_stream=max_bytes_per_stream,
            max_bytes_total=64_000_000,
        )
        self.mirrors = Mirrors(
            bus=self.bus, registry=self.registry, max_bytes_per_stream=max_bytes_per_stream
        )
        self.streams = StreamService(
            registry=self.registry,
            elsewhere=self.mirrors,
            tag=tag,
            secret=tag.encode(),
            now=self.clock.now,
            heartbeat_seconds=15.0,
        )
        self.feeds = Feeds(
            bus=self.bus,
            streams=self.streams,
            kept=lambda: self.registry.all,
            keep_seconds=keep_seconds,
        )

    def begin(self, absence: Absence = FINISH) -> tuple[Stream, Provider]:
        """A stream of this worker that has had no event yet."""
        stream = self.registry.make(OWNER, absence, lambda: None, dialect="openai")
        provider = Provider(stream)
        stream.go_live([(b"x-of", self.tag.encode())], provider)
        return stream, provider

    async def read(
        self, stream_id: str, position: int = 0, *, owner: str | None = OWNER, ticket: str | None = None
    ) -> MemoryViewer:
        """Have one more client read a stream, wherever it is. Raises what finding it does."""
        stream = await self.streams.find(stream_id, Claim(owner, ticket))
        viewer = MemoryViewer()
        viewer.begin(stream.headers)
        viewer.task = asyncio.get_running_loop().create_task(stream.serve(viewer, position))
        return viewer

    async def close(self) -> None:
        """End in order, as the gateway does."""
        await self.feeds.close()
        await self.mirrors.close()
        await self.bus.close()
        self.registry.close()

    def _draw(self, characters: int) -> str:
        self._made += 1
        return str(self._made).zfill(characters)


async def leave(viewer: MemoryViewer) -> None:
    """Its client closes the connection."""
    assert viewer.task is not None
    viewer.task.cancel()
    await asyncio.wait((viewer.task,))


def event(number: int, filler: str = "") -> bytes:
    """An event as a translator makes it."""
    return f"event: delta\ndata: {number}{filler}\n\n".encode()


def publish(stream: Stream, *numbers: int) -> None:
    """Events, each in a write of its own."""
    for number in numbers:
        stream.publish([event(number)])


def whole_of(stream: Stream) -> bytes:
    """All its events that are still there."""
    return stream.log.read(stream.log.first, 1_000_000_000)[0]
