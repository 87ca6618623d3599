"""All streams of this worker: found by their ids, and bounded in number, bytes and time."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from service.errors import ObjectNotFound, StoreUnavailable, StreamExpired
from service.streams.log import Memory
from service.streams.ports import Absence
from service.streams.stream import Stream

MAX_STREAMS = 20_000
"""Running and kept ones together, in one worker."""

MAX_REMEMBERED = 20_000
"""Ids of streams that are gone, so that their owners are told that they were there."""

RANDOM_CHARACTERS = 18
"""108 random bits."""


class StreamRegistry:
    """This worker's streams. One per worker, made inside its loop."""

    def __init__(
        self,
        *,
        tag: str,
        draw: Callable[[int], str],
        keep_seconds: float,
        max_bytes_per_stream: int,
        max_bytes_total: int,
    ) -> None:
        """tag: the first characters of every stream's id here: by them other workers know whom to ask.

        draw: so many random characters of `[A-Za-z0-9_-]`, from a source that nobody can guess.
        """
        self._loop = asyncio.get_running_loop()
        self._tag = tag
        self._draw = draw
        self._keep_seconds = keep_seconds
        self._max_bytes_per_stream = max_bytes_per_stream
        self.memory = Memory(max_bytes_total)
        self._streams: dict[str, Stream] = {}
        self._finished: OrderedDict[str, float] = OrderedDict()
        self._gone: OrderedDict[str, str] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    def make(
        self, owner: str, absence: Absence, cancel_attempts: Callable[[], object], *, dialect: str
    ) -> Stream:
        """A new stream, which nobody finds before it is live. Raises StoreUnavailable: there are too many."""
        while len(self._streams) >= MAX_STREAMS and self._finished:
            self._drop_oldest()
        if len(self._streams) >= MAX_STREAMS:
            raise StoreUnavailable(
                f"There are {MAX_STREAMS} streams running here already; ask again shortly.",
                retry_after_seconds=1,
            )
        return Stream(
            self._tag + self._draw(RANDOM_CHARACTERS),
            owner,
            absence=absence,
            max_bytes=self._max_bytes_per_stream,
            keeper=self,
            cancel_attempts=cancel_attempts,
            dialect=dialect,
        )

    def get(self, stream_id: str) -> Stream | None:
        """The stream, whosever it is."""
        return self._streams.get(stream_id)

    def find(self, stream_id: str, owner: str) -> Stream:
        """The owner's stream. Raises ObjectNotFound, and StreamExpired where it was here once."""
        stream = self._streams.get(stream_id)
        if stream is not None and stream.owner == owner:
            return stream
        if stream is None and self._gone.get(stream_id) == owner:
            raise gone()
        raise unknown()

    def owner_of_gone(self, stream_id: str) -> str:
        """Whose it was that was here once; "" where it is not remembered."""
        return self._gone.get(stream_id, "")

    @property
    def held_bytes(self) -> int:
        """What all of them take."""
        return self.memory.size_bytes

    @property
    def all(self) -> tuple[Stream, ...]:
        """Running ones, then finished ones in the order of their ends."""
        running = [stream for stream in self._streams.values() if not stream.over]
        return (*running, *(self._streams[each] for each in self._finished))

    def opened(self, stream: Stream) -> None:
        """From a stream: it can be read from now on."""
        if stream.id not in self._streams:
            self._streams[stream.id] = stream
            if stream.over:
                self.ended(stream)

    def make_room(self, growing: Stream) -> None:
        """From a stream: together they take more than they may."""
        memory = self.memory
        while memory.size_bytes > memory.most_bytes and self._finished:
            self._drop_oldest()
        if memory.size_bytes > memory.most_bytes:
            growing.shrink(max(0, growing.log.size_bytes - (memory.size_bytes - memory.most_bytes)))

    def ended(self, stream: Stream) -> None:
        """From a stream: it is over, and kept for some time."""
        if stream.id not in self._streams:
            return
        stream.log.seal()
        self._finished[stream.id] = self._loop.time() + self._keep_seconds
        self._finished.move_to_end(stream.id)
        if self._timer is None:
            self._timer = self._loop.call_later(self._keep_seconds, self._expire)

    def forget(self, stream: Stream) -> None:
        """It never went live, and its events were nobody's."""
        if stream.id not in self._streams:
            self.memory.size_bytes -= stream.log.size_bytes

    def close(self) -> None:
        """No timer is left behind."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._finished:
            due_at = next(iter(self._finished.values()))
            if due_at > now:
                self._timer = self._loop.call_at(due_at, self._expire)
                return
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        stream_id, _ = self._finished.popitem(last=False)
        stream = self._streams.pop(stream_id)
        self.memory.size_bytes -= stream.log.size_bytes
        self._gone[stream_id] = stream.owner
        if len(self._gone) > MAX_REMEMBERED:
            self._gone.popitem(last=False)


def unknown() -> ObjectNotFound:
    """Nobody's, somebody else's, or long gone: the same answer."""
    return ObjectNotFound(
        "There is no such stream; streams can be read while they run and for some time after."
    )


def gone() -> StreamExpired:
    """It was there."""
    return StreamExpired("This stream is no longer kept (streams.keep_seconds); send the request again.")
