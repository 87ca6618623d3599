"""One stream of another worker, followed here: the source of a stream whose events come from Redis."""

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import msgspec

from service import problems
from service.ending import end_all
from service.errors import GatewayError, ServerShutdown, StoreUnavailable
from service.ids import new_id
from service.siblings.bus import Bus, NobodyThere
from service.streams import handover
from service.streams.handover import Found, Kept, Portion, Verdict, Want
from service.streams.registry import gone
from service.streams.service import TAG_CHARACTERS
from service.streams.stream import Stream

PATIENCE_SECONDS = 3.0
"""How long nobody may read it before it is let go; also how long somebody waits for what came before."""

RENEW_SECONDS = 2.0
"""How often the owner is told that it still is read, and shows that it lives."""

JOIN_SECONDS = 0.2
"""Whoever has found it has so long to begin reading, while others may leave."""

LOST_SECONDS = 15.0
"""A mirror whose owner can't be asked for so long is given up."""

LOST = ServerShutdown("The worker that had this stream is gone; send the request again.")
AWAY = StoreUnavailable("This stream can't be followed here any more; ask for the rest of it again.")

_encode = msgspec.msgpack.Encoder().encode
_found = msgspec.msgpack.Decoder(Found)
_kept = msgspec.msgpack.Decoder(Kept)
_portion = msgspec.msgpack.Decoder(Portion)


class Mirror:
    """Follows a sibling's stream while somebody reads it here; its task ends with it.

    stream: what viewers here read.
    """

    def __init__(self, stream: Stream, bus: Bus, on_closed: Callable[[Stream], None]) -> None:
        """on_closed: told once, when no more is followed."""
        self._loop = asyncio.get_running_loop()
        self._bus = bus
        self._on_closed = on_closed
        self._place, self._cursor, self._broken = "", "0", ""
        self._paused = False
        self._waiting = 0
        self._more = asyncio.Event()
        self._moved = asyncio.Event()
        self._heard_at = self._renewed_at = self._found_at = self._loop.time()
        self._idle_at = self._found_at + PATIENCE_SECONDS
        self.stream = stream
        stream.go_live([], self, self._abandon)
        self._task = asyncio.create_task(self._run(), name="mirror")  # noqa: TID251 - `close` ends it

    def follow(self, found: Found) -> None:
        """The owner says where the events are; another place holds them from the start again."""
        self._heard_at = self._loop.time()
        if found.place == self._broken:
            self._fail(gone())
        elif found.place != self._place:
            self._place, self._cursor = found.place, "0"
        self.wake()

    @contextmanager
    def expected(self) -> Iterator[None]:
        """Meanwhile it is not let go, for somebody comes."""
        self._waiting += 1
        self.wake()
        try:
            yield
        finally:
            self._waiting -= 1
            self.wake()

    async def reach(self, found: Found) -> None:
        """Return when all is here that the owner had when it answered. Raises why it can't be had."""
        stream = self.stream
        try:
            with self.expected():
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while not stream.over and (found.over or stream.log.next < found.next):
                        self._moved.clear()
                        await self._moved.wait()
        except TimeoutError:
            raise StoreUnavailable(
                "Redis is slow, so the stream could not be had from its worker; ask again shortly.",
                retry_after_seconds=1,
            ) from None
        if stream.error is not None:
            # One object for many streams; without this it would gather the traces of all of them.
            raise stream.error.with_traceback(None)
        self._found_at = self._loop.time()
        self._idle_at = self._found_at + PATIENCE_SECONDS

    async def close(self) -> None:
        """Follow no more."""
        await end_all((self._task,))

    def wake(self) -> None:
        """There may be more."""
        self._more.set()

    def pause(self) -> None:
        """No viewer here takes anything."""
        self._paused = True

    def resume(self) -> None:
        """One does again."""
        if self._paused:
            self._paused = False
            self.wake()

    def stop(self, error: GatewayError) -> None:
        """End it here; the owner's goes on."""
        self._fail(error)
        self.wake()

    def _abandon(self) -> None:
        """The last viewer left."""
        self._idle_at = max(self._loop.time(), self._found_at + JOIN_SECONDS)
        self.wake()

    async def _run(self) -> None:
        try:
            while await self._step():
                pass
        finally:
            self._fail(AWAY)
            self._on_closed(self.stream)

    async def _step(self) -> bool:
        """Read what there is, then wait for more; False: it is over."""
        with suppress(StoreUnavailable):
            await self._read()
        now = self._loop.time()
        if self.stream.over:
            return False
        unread = not self.stream.viewers and not self._waiting
        if unread and now >= self._idle_at:
            await self._leave()
            return False
        if now >= self._heard_at + LOST_SECONDS:
            self._fail(AWAY)
            return False
        if now >= self._renewed_at + RENEW_SECONDS:
            self._renewed_at = now
            await self._renew()
            return True
        due_at = self._renewed_at + RENEW_SECONDS
        with suppress(TimeoutError):
            async with asyncio.timeout_at(min(due_at, self._idle_at) if unread else due_at):
                await self._more.wait()
        self._more.clear()
        return True

    async def _read(self) -> None:
        while self._place and self._takes_more() and not self.stream.over:
            entries = await self._bus.read(self._place, self._cursor)
            for name, data in entries:
                self._cursor = name
                portion = _portion.decode(data)
                if not self._take(portion.data, over=portion.over):
                    # Redis lost some, and the owner knows of another place; or they are gone for good.
                    self._broken, self._place = self._place, ""
                    self._renewed_at = -math.inf
                    break
            self._moved.set()
            if not entries:
                return

    def _takes_more(self) -> bool:
        """While no viewer takes anything, then only for somebody else who waits."""
        return not self._paused or (self._waiting > 0 and self.stream.log.size_bytes < self.stream.max_bytes)

    def _take(self, data: bytes, *, over: bool) -> bool:
        """Pass on what is new in it. False: some events before are missing."""
        stream = self.stream
        if stream.over:
            return True
        if not stream.log.next and data:
            stream.log.start_at(handover.first_number(stream.id, data))
        frames = handover.new_frames(stream.id, data, stream.log.next)
        if frames is None:
            return False
        if over:
            stream.end(frames)
        elif frames:
            stream.pass_on(frames)
        return True

    async def _renew(self) -> None:
        stream = self.stream
        want = _encode(Want(stream.id, stream.owner))
        tag = stream.id[:TAG_CHARACTERS]
        try:
            answer = await self._bus.ask(tag, handover.WANT, want, within_seconds=PATIENCE_SECONDS)
            found = _found.decode(answer)
            if found.verdict is Verdict.HERE:
                self.follow(found)
            else:
                self._fail(gone())
        except NobodyThere:
            await self._take_what_was_left()
        except StoreUnavailable:
            return

    async def _take_what_was_left(self) -> None:
        """The owner is gone; one that stopped in order left the stream behind."""
        with suppress(StoreUnavailable):
            data = await self._bus.get(handover.kept_place(self.stream.id))
            if data is not None:
                self._take(_kept.decode(data).data, over=True)
            self._fail(LOST)

    async def _leave(self) -> None:
        self._on_closed(self.stream)
        with suppress(StoreUnavailable):
            await self._bus.tell(self.stream.id[:TAG_CHARACTERS], handover.LEAVE, self.stream.id.encode())

    def _fail(self, error: GatewayError) -> None:
        """Tell the viewers; does nothing where it is over."""
        stream = self.stream
        if not stream.over:
            make = problems.anthropic_event if stream.dialect == "anthropic" else problems.openai_event
            event = make(error, request_id=new_id("req"))
            if error is LOST:
                stream.finish([event], error)
            else:
                # Without a number: the owner's next event has it, and whoever comes back wants that one.
                stream.error = error
                stream.end([], event)
        self._moved.set()
