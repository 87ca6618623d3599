"""One answer that belongs to the gateway, not to a socket: its events, who reads them, who drives it.

The task of the request that asked drives it: while its client is there it is the client's task like any
other, and when the client leaves it stays until the answer is over or nobody is to come any more. Each
further viewer has the task of its own request. Events are pushed to those who keep up, from the read
that brought them; who falls behind reads the log at its own pace.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from service.errors import GatewayError, ServerShutdown, StreamAbandoned, StreamCancelled
from service.streams.log import Memory, StreamLog
from service.streams.ports import Absence, Headers, OnDisconnect, Source, Viewer
from service.streams.seat import Seat

ABANDONED = StreamAbandoned("Nobody was reading this answer any more, so it was cancelled.")
SHUTDOWN = ServerShutdown("The server is shutting down; send the request again.")


class Keeper(Protocol):
    """Who has all the streams (`service.streams.registry`)."""

    @property
    def memory(self) -> Memory:
        """What they take together; each stream counts its own events in it."""

    def opened(self, stream: "Stream") -> None:
        """It can be read by its id from now on."""

    def make_room(self, growing: "Stream") -> None:
        """They take more than they may."""

    def ended(self, stream: "Stream") -> None:
        """No event will come."""


class Audience(Protocol):
    """Whoever asked for a stream: a client that reads it, or one that wants a ticket for somebody else."""

    @property
    def begun(self) -> bool:
        """Whether it was answered, so that an error can only be an event."""

    @property
    def commits_early(self) -> bool:
        """Whether it wants its head before the first event where that takes long, so that nobody cuts the wait."""

    def begin(self, headers: Headers) -> None:
        """Send the head."""

    async def attend(self, stream: "Stream") -> None:
        """The stream has its first event, or its last: stay until it is over."""

    def outlives_cut(self) -> bool:
        """Whether a cancelled request may still say goodbye; if so, it is cancelled no more."""

    def close(self) -> None:
        """Send nothing more by itself."""


class Stream:
    """A streamed answer.

    id: its public name. owner: whose it is. headers: of the answer's head, for those who come later.
    announced: others may read it. over: no event will come. error: why it ended with an error event, or is to.
    """

    __slots__ = (
        "__weakref__",
        "_abandon",
        "_absence",
        "_ample_bytes",
        "_cancel_attempts",
        "_ended",
        "_keeper",
        "_listeners",
        "_loop",
        "_memory",
        "_seats",
        "_source",
        "_timer",
        "announced",
        "dialect",
        "error",
        "farewell",
        "headers",
        "id",
        "log",
        "max_bytes",
        "over",
        "owner",
        "ticket",
        "ticket_used",
    )

    def __init__(
        self,
        id: str,
        owner: str,
        *,
        absence: Absence,
        max_bytes: int,
        keeper: Keeper,
        cancel_attempts: Callable[[], object],
        dialect: str,
    ) -> None:
        """dialect: how its errors look, "openai" or "anthropic". absence: what its viewers' leaving means. cancel_attempts: ends the search for a provider."""
        self._loop = asyncio.get_running_loop()
        self._absence = absence
        self._keeper = keeper
        self._memory = keeper.memory
        self._cancel_attempts = cancel_attempts
        self._abandon: Callable[[], None] | None = None
        self._source: Source | None = None
        self._seats: list[Seat] = []
        self._timer: asyncio.TimerHandle | None = None
        self._ended: asyncio.Future[None] | None = None
        self._listeners: list[Callable[[bool], None]] = []
        self.id = id
        self.owner = owner
        self.max_bytes = max_bytes
        self._ample_bytes = max_bytes * 3 // 4
        self.headers: Headers = [(b"x-stream-id", id.encode())]
        self.log = StreamLog(id)
        self.announced = self.over = False
        self.error: GatewayError | None = None
        self.dialect = dialect
        self.farewell = b""
        self.ticket = ""
        self.ticket_used = False

    # What brings the events.

    def go_live(self, headers: Headers, source: Source, abandon: Callable[[], None] | None = None) -> None:
        """Its events come from `source` from now on, and others may read it.

        headers: what the head says beside the stream's id. abandon: ends it once nobody reads it; else it is stopped.
        """
        self.headers += headers
        if not self.over:
            self._source, self._abandon = source, abandon
        self.announce()

    def announce(self) -> None:
        """Others may read it from now on."""
        if not self.announced:
            self.announced = True
            self._keeper.opened(self)

    def publish(self, frames: list[bytes]) -> None:
        """Number events, keep them, and send them to everybody who keeps up."""
        log = self.log
        self._push(log.add(frames[0]) if len(frames) == 1 else log.append(log.number(frames)))

    def pass_on(self, numbered: list[bytes]) -> None:
        """The same with events that have their numbers."""
        self._push(self.log.append(numbered))

    def _push(self, data: bytes) -> None:
        """Send what was just kept. Each event comes by, so few calls are made here."""
        for seat in self._seats:
            if not seat.behind:
                viewer = seat.viewer
                viewer.write(data)
                if viewer.behind:
                    seat.fall_behind(self.log.next)
                    self.review()
        memory = self._memory
        memory.size_bytes += len(data)
        if self.log.size_bytes > self._ample_bytes or memory.size_bytes > memory.most_bytes:
            self._make_room()

    def _make_room(self) -> None:
        self._cut_slow()
        self._shrink_to_fit()

    def _shrink_to_fit(self) -> None:
        self.shrink(self.max_bytes)
        if self._memory.size_bytes > self._memory.most_bytes:
            self._keeper.make_room(self)

    def finish(self, frames: list[bytes], error: GatewayError | None = None) -> None:
        """The last events; from now on it is over. A second end does nothing."""
        if not self.over:
            self.error = error
            self.end(self.log.number(frames))

    def end(self, numbered: list[bytes], farewell: bytes = b"") -> None:
        """The same with events that have their numbers.

        farewell: an event without one, after which the stream goes on elsewhere.
        """
        self.over, self.farewell = True, farewell
        data = self.log.append(numbered)
        self._memory.size_bytes += len(data)
        for seat in self._seats:
            if not seat.behind:
                seat.viewer.end(data + farewell)
            seat.wake()
        self._shrink_to_fit()
        # It is kept for minutes; whoever brought it need not be.
        self._source = self._abandon = None
        self._cancel_attempts = _nothing
        self._stop_timer()
        self._keeper.ended(self)
        for told in self._listeners:
            told(self.error is not None)
        self._listeners.clear()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def on_end(self, told: Callable[[bool], None]) -> None:
        """Call `told` when it is over, with whether it broke off."""
        if self.over:
            told(self.error is not None)
        else:
            self._listeners.append(told)

    def stop(self, error: GatewayError) -> None:
        """End it from our side, with an error event."""
        if self._source is not None:
            self._source.stop(error)
        elif not self.over:
            self.error = error
            self._cancel_attempts()

    def cancel(self) -> None:
        """Its owner doesn't want it any more."""
        self.stop(StreamCancelled("The stream was cancelled."))

    # Who reads it.

    async def drive(self, viewer: Viewer) -> None:
        """Send it to its first viewer, and stay until it is over: the task of the request that asked for it."""
        seat = self._join(viewer, 0)
        try:
            await seat.run()
        except asyncio.CancelledError:
            if viewer.outlives_cut():
                self.stop(SHUTDOWN)
                await seat.run()
            elif not viewer.has_left():
                raise
        finally:
            self._leave(seat)
        await self._until_over()

    async def host(self) -> None:
        """Stay until it is over, without a viewer of one's own; the first one has some time to come."""
        if not self.over and not self._seats:
            self._stop_timer()
            self._timer = self._loop.call_later(self._absence.first_viewer_seconds, self._give_up)
        await self._until_over()

    async def serve(self, viewer: Viewer, position: int) -> None:
        """Send the events from number `position` on to one more viewer, to the end: the task of its own request.

        A viewer whose place was dropped from the log is cut off.
        """
        seat = self._join(viewer, position)
        try:
            await seat.run()
        except asyncio.CancelledError:
            if not viewer.outlives_cut():
                raise
            self.stop(SHUTDOWN)
            await seat.run()
        finally:
            self._leave(seat)

    @property
    def viewers(self) -> int:
        """How many read it now."""
        return len(self._seats)

    async def _until_over(self) -> None:
        if self.over:
            return
        self._ended = self._loop.create_future()
        try:
            await self._ended
        except asyncio.CancelledError:
            # Only a shutdown ends a task that stayed on without its client.
            cast("asyncio.Task[None]", asyncio.current_task()).uncancel()
            self.stop(SHUTDOWN)

    def _join(self, viewer: Viewer, position: int) -> "Seat":
        self._stop_timer()
        seat = Seat(self, viewer, position)
        self._seats.append(seat)
        self.review()
        return seat

    def _leave(self, seat: "Seat") -> None:
        self._seats.remove(seat)
        if self.over:
            return
        self.review()
        # Before its first event it waits with the client that asked, which has no seat yet.
        if not self._seats and self._source is not None:
            self._wait_for_somebody()

    def _wait_for_somebody(self) -> None:
        absence = self._absence
        if absence.policy is OnDisconnect.CANCEL:
            self._give_up()
        elif absence.policy is OnDisconnect.LINGER:
            self._timer = self._loop.call_later(absence.linger_seconds, self._give_up)

    def _give_up(self) -> None:
        if self._abandon is not None:
            self._abandon()
        else:
            self.stop(ABANDONED)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def review(self) -> None:
        """From a seat too: the provider pauses only while no viewer takes anything."""
        if self._source is None:
            return
        if self._stalled():
            self._source.pause()
        else:
            self._source.resume()

    def _stalled(self) -> bool:
        return bool(self._seats) and all(seat.viewer.behind for seat in self._seats)

    def shrink(self, max_bytes: int) -> None:
        """From the keeper too: drop the oldest events beyond `max_bytes`, as far as they may be dropped.

        What came before its driver could read stays, and what all viewers still wait for; after the end, what any does.
        """
        if self._source is None:
            return
        waiting = [seat.position for seat in self._seats if seat.behind]
        floor = min(waiting) if waiting and (self.over or self._stalled()) else None
        before_bytes = self.log.size_bytes
        self.log.trim(max_bytes, floor)
        self._memory.size_bytes += self.log.size_bytes - before_bytes

    def _cut_slow(self) -> None:
        """Cut viewers that keep three quarters of the room, while what they want next is still here to come back for."""
        least_bytes = self.log.total_bytes - self._ample_bytes
        slow = [seat for seat in self._seats if seat.behind and seat.passed_bytes < least_bytes]
        if slow and not self._stalled():
            for seat in slow:
                seat.viewer.cut()


def _nothing() -> None:
    return
