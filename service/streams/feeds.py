"""The owner's side: a stream that is read at other workers is fed to Redis, by a viewer among the others.

Writing to Redis takes its time, and in that time the feed is simply behind: what came meanwhile goes
with the next entry. So it neither queues nor holds up anybody.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import msgspec
import structlog

from service.ending import end_all
from service.errors import GatewayError, InvalidApiKey, ObjectNotFound, StoreUnavailable, StreamExpired
from service.siblings.bus import Bus
from service.streams import handover
from service.streams.handover import Found, Kept, Portion, Verdict, Want
from service.streams.ports import Headers
from service.streams.service import Claim, StreamService
from service.streams.stream import Stream

READER_SECONDS = 6.0
"""A worker that did not ask again for so long reads no more."""

CHECK_SECONDS = 1.0
EXTRA_SECONDS = 60.0
"""Beyond `streams.keep_seconds`, so that what is kept here has its place there."""

HAND_OVER_BYTES = 64_000_000
HAND_OVER_SECONDS = 2.5
"""What a worker that stops leaves of its finished streams, the newest first."""

_log = structlog.get_logger()
_encode = msgspec.msgpack.Encoder().encode
_want = msgspec.msgpack.Decoder(Want)


class Feeds:
    """Answers siblings who ask for this worker's streams."""

    def __init__(
        self,
        *,
        bus: Bus,
        streams: StreamService,
        kept: Callable[[], tuple[Stream, ...]],
        keep_seconds: float,
    ) -> None:
        """kept: all streams of this worker, those that ended last at the end."""
        self._loop = asyncio.get_running_loop()
        self._bus = bus
        self._streams = streams
        self._kept = kept
        self._keep_seconds = keep_seconds
        self._feeds: dict[str, Feed] = {}
        self._sessions = 0
        self._closed = False
        self._closing: set[asyncio.Task[None]] = set()
        self._timer = self._loop.call_later(CHECK_SECONDS, self._check)
        bus.on(handover.WANT, self._on_want)
        bus.on(handover.LEAVE, self._on_leave)
        bus.on(handover.CANCEL, self._on_cancel)

    async def close(self) -> None:
        """Bring the feeds to their ends, and leave the finished streams to those who stay."""
        self._timer.cancel()
        self._closed = True
        feeds = tuple(self._feeds.values())
        for feed in feeds:
            feed.closing = True
        try:
            async with asyncio.timeout(HAND_OVER_SECONDS):
                ending = [feed.task for feed in feeds if feed.stream.over and not feed.failed]
                await asyncio.gather(*ending, *self._closing, return_exceptions=True)
                await self._hand_over()
        except (TimeoutError, StoreUnavailable):
            _log.warning("streams.not_handed_over")
        for feed in feeds:
            await feed.stop()

    async def _on_want(self, sender: str, body: bytes) -> bytes | None:
        if self._closed:
            # Asked again, and then by somebody who finds what was left.
            return None
        want = _want.decode(body)
        try:
            stream = self._streams.find_here(want.stream_id, Claim(want.owner, want.ticket))
        except GatewayError as error:
            return _encode(_refusal(error))
        feed = self._feed(stream)
        feed.readers[sender] = self._loop.time()
        return _encode(
            Found(
                verdict=Verdict.HERE,
                owner=stream.owner,
                place=feed.place,
                next=stream.log.next,
                over=stream.over,
                headers=stream.headers,
                dialect=stream.dialect,
            )
        )

    def _feed(self, stream: Stream) -> "Feed":
        """The stream's, or a new one where that one's place can't be relied on."""
        feed = self._feeds.get(stream.id)
        if feed is not None and feed.losses == self._bus.losses and not feed.failed:
            return feed
        self._sessions += 1
        place = f"{handover.PLACE}{stream.id}:{self._sessions}"
        new = self._feeds[stream.id] = Feed(stream, self._bus, place, self._keep_seconds + EXTRA_SECONDS)
        if feed is not None:
            # Afterwards, so that the stream is not without a viewer in between.
            self._loop.call_soon(self._close_soon, feed)
        return new

    async def _on_leave(self, sender: str, body: bytes) -> None:
        stream_id = body.decode()
        feed = self._feeds.get(stream_id)
        if feed is not None:
            feed.readers.pop(sender, None)
            self._drop_unread(feed)

    async def _on_cancel(self, sender: str, body: bytes) -> bytes:
        want = _want.decode(body)
        try:
            await self._streams.cancel(want.stream_id, want.owner or "")
        except GatewayError as error:
            return _encode(_refusal(error))
        return _encode(Found(verdict=Verdict.HERE))

    def _check(self) -> None:
        self._timer = self._loop.call_later(CHECK_SECONDS, self._check)
        late = self._loop.time() - READER_SECONDS
        for feed in tuple(self._feeds.values()):
            for tag in [tag for tag, seen_at in feed.readers.items() if seen_at < late]:
                del feed.readers[tag]
            if not self._drop_unread(feed) and feed.stream.over and not self._streams.has(feed.stream):
                del self._feeds[feed.stream.id]
                self._close_soon(feed)

    def _drop_unread(self, feed: "Feed") -> bool:
        """What was fed of a stream that is over stays for those who come."""
        if feed.readers or (feed.stream.over and not feed.failed):
            return False
        del self._feeds[feed.stream.id]
        self._close_soon(feed)
        return True

    def _close_soon(self, feed: "Feed") -> None:
        feed.task.cancel()
        task = asyncio.create_task(self._clear(feed))  # noqa: TID251 - `close` waits for it
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _clear(self, feed: "Feed") -> None:
        await feed.stop()
        with suppress(StoreUnavailable):
            await self._bus.drop(feed.place)

    async def _hand_over(self) -> None:
        left_bytes = HAND_OVER_BYTES
        for stream in reversed(self._kept()):
            left_bytes -= stream.log.size_bytes
            if not stream.over or left_bytes < 0:
                break
            data, _ = stream.log.read(stream.log.first, stream.log.size_bytes)
            kept = Kept(
                owner=stream.owner,
                headers=stream.headers,
                dialect=stream.dialect,
                first=stream.log.first,
                next=stream.log.next,
                data=data,
                ticket_digest=handover.digest(stream.ticket) if stream.ticket else b"",
            )
            await self._bus.put(
                handover.kept_place(stream.id), _encode(kept), keep_seconds=self._keep_seconds
            )


class Feed:
    """A `service.streams.ports.Viewer` that writes to Redis, and the task that reads for it.

    readers: the tags of the workers that read along, and when each was last heard of. failed: it
    broke off, and another one has to begin anew; until then it keeps its seat, for it has readers, unless
    this worker is closing. losses: the bus's when it began.
    """

    begun = True

    def __init__(self, stream: Stream, bus: Bus, place: str, keep_seconds: float) -> None:
        self._bus = bus
        self._keep_seconds = keep_seconds
        self._pending: list[bytes] = []
        self._entries: deque[tuple[str, int]] = deque()
        self._entries_bytes = 0
        self._ending = False
        self.closing = self.failed = False
        self.losses = bus.losses
        self.place = place
        self.readers: dict[str, float] = {}
        self.stream = stream
        self.task = asyncio.create_task(self._run())  # noqa: TID251 - `close` ends it

    @property
    def behind(self) -> bool:
        """Whether an entry is on its way."""
        return bool(self._pending)

    def begin(self, headers: Headers) -> None:
        """Heads go with the owner's answer."""

    def write(self, data: bytes) -> None:
        """Events, to be written by `flush`."""
        self._pending.append(data)

    def end(self, data: bytes = b"") -> None:
        """The last events."""
        if not self._ending:
            self._ending = True
            self._pending.append(data)

    async def flush(self) -> None:
        """Write what there is, and tell the readers. Where that can't be done, wait for whoever ends this."""
        try:
            while self._pending:
                await self._append(_encode(Portion(b"".join(self._pending), self._ending)))
                self._pending.clear()
                for tag in tuple(self.readers):
                    await self._bus.tell(tag, handover.MORE, self.stream.id.encode())
        except StoreUnavailable:
            self.failed = True
            if not self.closing:
                await asyncio.get_running_loop().create_future()
            raise

    def cut(self) -> None:
        """Redis is too slow."""
        self.task.cancel()

    def outlives_cut(self) -> bool:
        """The stream's end reaches it as it reaches all."""
        return False

    def has_left(self) -> bool:
        """Its task is its own."""
        return False

    def close(self) -> None:
        """It sends nothing by itself."""

    async def stop(self) -> None:
        """Read no more."""
        await end_all((self.task,))

    async def _append(self, entry: bytes) -> None:
        """What the stream itself no longer holds need not be in Redis either."""
        oldest = self._entries[0][0] if self._entries else ""
        name = await self._bus.append(self.place, entry, keep_seconds=self._keep_seconds, oldest=oldest)
        self._entries.append((name, len(entry)))
        self._entries_bytes += len(entry)
        while self._entries_bytes - self._entries[0][1] > self.stream.max_bytes:
            self._entries_bytes -= self._entries.popleft()[1]

    async def _run(self) -> None:
        try:
            await self.stream.serve(self, self.stream.log.first)
        except StoreUnavailable:
            return
        except asyncio.CancelledError:
            self.failed = True
            raise


def _refusal(error: GatewayError) -> Found:
    verdicts: dict[type[GatewayError], Verdict] = {
        InvalidApiKey: Verdict.KEY,
        ObjectNotFound: Verdict.UNKNOWN,
        StreamExpired: Verdict.GONE,
    }
    return Found(verdict=verdicts[type(error)], detail=error.detail)
