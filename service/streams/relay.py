"""One provider's stream on its way to a client: decoded, metered, translated, framed, pushed.

The relay is the sink of an exchange, so it runs inside the read that brought the bytes: one read,
one write, no queue, no task of its own. Until the first event nothing is promised: a fault then
belongs to the attempt. From the first event on, a fault is an error event and the end.

What a read brought becomes `frames`, one for each event of the client's format: an id line and a
log of the stream join there.
"""

import asyncio
from collections.abc import Mapping
from time import monotonic

import msgspec

from service.errors import GatewayError
from service.providers.base import (
    MAX_ANSWER_BYTES,
    MAX_EVENT_BYTES,
    Codec,
    Exchange,
    Fault,
    FaultKind,
    Reader,
)
from service.providers.outcomes import error_of
from service.streams.ports import Format, Headers, Translator, Viewer, Watch
from service.wire import sse

_DRAINED = GatewayError("Nobody reads this answer any more.")


class Relay:
    """The sink for one attempt at a streamed answer.

    ready: done at the first event, or with the fault that came before one. error, fault: why it
    ended with an error event, if it did.
    """

    __slots__ = (
        "_codec",
        "_decoder",
        "_error_body",
        "_format",
        "_live",
        "_loop",
        "_opening",
        "_over",
        "_viewer",
        "_wake",
        "_watch",
        "error",
        "exchange",
        "fault",
        "first_event_at",
        "headers",
        "reader",
        "ready",
        "status",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        viewer: Viewer,
        codec: Codec,
        reader: Reader,
        format: Format,
        watch: Watch | None = None,
    ) -> None:
        self._loop = loop
        self._viewer = viewer
        self._codec = codec
        self._format = format
        self._decoder = sse.Decoder(MAX_EVENT_BYTES)
        self._error_body: list[bytes] | None = None
        self._opening: list[bytes] = []
        self._live = False
        self._over = False
        self._watch = watch
        self._wake: asyncio.Future[None] = loop.create_future()
        self.reader = reader
        self.error: GatewayError | None = None
        self.exchange: Exchange | None = None
        self.fault: Fault | None = None
        self.ready: asyncio.Future[None] = loop.create_future()
        self.first_event_at: float | None = None
        self.headers: Mapping[str, str] = {}
        self.status = 0

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """From the upstream. An answer that is no event stream is gathered as an error's body."""
        self.status = status
        self.headers = headers
        content_type = headers.get("content-type", "")
        if not 200 <= status < 300 or not content_type.lower().startswith("text/event-stream"):
            self._error_body = []

    def data(self, chunk: bytes) -> None:
        """From the upstream: the bytes of one read leave as one write."""
        if self._error_body is not None:
            if sum(map(len, self._error_body)) < MAX_ANSWER_BYTES:
                self._error_body.append(chunk)
            return
        if self._over:
            return
        frames: list[bytes] = []
        fault: Fault | None = None
        try:
            self._translate(chunk, frames)
        except Fault as error:
            fault = error
        except msgspec.MsgspecError as error:
            detail = f"The provider sent an event that is not what its dialect says: {error}"
            fault = Fault(FaultKind.CUT, detail, reason="bad_event")
        except sse.EventTooLong as error:
            detail = f"The provider sent an event of more than {error.limit_bytes} bytes."
            fault = Fault(FaultKind.CUT, detail, reason="event_too_long")
        self._send(frames, fault)

    def end(self) -> None:
        """From the upstream: its body is whole, which says nothing of the answer."""
        if self._error_body is not None:
            self._refuse(b"".join(self._error_body))
        elif not self._over:
            self._send([], None, ended=True)

    def fail(self, fault: Exception) -> None:
        """From the upstream: nothing more will come."""
        if self._over:
            return
        if isinstance(fault, Fault) and self.first_event_at is not None:
            self._send([], fault)
        else:
            self._give_up(fault)

    def go_live(self, headers: Headers) -> None:
        """The attempt is chosen: send the head (unless it went out early) and what came so far."""
        self._live = True
        if not self._viewer.begun:
            self._viewer.begin(headers)
        opening, self._opening = b"".join(self._opening), []
        if self._over:
            self._viewer.end(opening)
        else:
            self._viewer.write(opening)
        self._mind_viewer()

    async def run(self) -> None:
        """Return when the stream is over and the client has taken all of it. Whoever calls it aborts at the end."""
        while not self._over or self._viewer.behind:
            await self._wait()
            await self._viewer.flush()
            if not self._over and self.exchange is not None:
                self.exchange.resume()

    async def drain(self, seconds: float, tokens: int) -> None:
        """Read on for nobody: until the stream's end, for so long, or for so many tokens more."""
        watch, bound = self._watch, _brought(self.reader) + tokens

        def bounded(reader: Reader) -> GatewayError | None:
            return _DRAINED if _brought(reader) > bound else watch and watch(reader)

        self._watch = bounded
        timer = self._loop.call_later(seconds, self._finish, b"", None)
        try:
            if self.exchange is not None:
                self.exchange.resume()
            await self.run()
        finally:
            timer.cancel()
            self.abort()

    def stop(self, error: GatewayError) -> None:
        """End a live stream from our side, with an error event."""
        if not self._over:
            self._finish(self._format.error_event(error), error)
            self.abort()

    def abort(self) -> None:
        """Close the provider's connection, if it still is at work, and write no more."""
        self._over = True
        self._viewer.close()
        if self.exchange is not None:
            self.exchange.abort()

    async def _wait(self) -> None:
        if not self._over and not self._viewer.behind:
            self._wake = self._loop.create_future()
            await self._wake

    def _translate(self, chunk: bytes, frames: list[bytes]) -> None:
        """Append the frames that `chunk` completed; those before a fault stay valid."""
        take = self.reader.take
        translators = self._format.translators
        for event in self._decoder.feed(chunk):
            if not take(event):
                if self.reader.done:
                    break
                continue
            if not translators:
                frames.append(sse.encode(event.data, event.name))
                continue
            self._encode(_through(translators, [event]), frames)

    def _encode(self, events: list[sse.Event], frames: list[bytes]) -> None:
        frames.extend([sse.encode(event.data, event.name) for event in events])

    def _send(self, frames: list[bytes], fault: Fault | None, *, ended: bool = False) -> None:
        """Pass on what a read made: frames, and whether the stream is over with them."""
        over = ended or self.reader.done
        if fault is None and over and not self.reader.finished:
            fault = _unfinished(begun=bool(frames) or self.first_event_at is not None)
        if self.first_event_at is None:
            if fault is not None and not frames:
                self._give_up(fault)
                return
            if not frames and not over:
                return
            self._begin()
        if fault is not None:
            self.fault, error = fault, error_of(fault)
            frames.append(self._format.error_event(error))
            self._finish(b"".join(frames), error)
            self.abort()
        elif over:
            self._complete(frames)
        elif self._watch is not None and (reason := self._watch(self.reader)) is not None:
            frames.append(self._format.error_event(reason))
            self._finish(b"".join(frames), reason)
            self.abort()
        elif frames:
            self._write(frames[0] if len(frames) == 1 else b"".join(frames))

    def _begin(self) -> None:
        self.first_event_at = monotonic()
        if self.exchange is not None:
            self.exchange.started()
        if not self.ready.done():
            self.ready.set_result(None)

    def _complete(self, frames: list[bytes]) -> None:
        for position, translator in enumerate(self._format.translators):
            owed = translator.close()
            self._encode(_through(self._format.translators[position + 1 :], owed), frames)
        frames.append(self._format.end_mark(self.reader.done or bool(self._format.translators)))
        self._finish(b"".join(frames), None)
        if self.exchange is not None:
            self.exchange.finish()

    def _write(self, data: bytes) -> None:
        if not self._live:
            self._opening.append(data)
            return
        self._viewer.write(data)
        self._mind_viewer()

    def _mind_viewer(self) -> None:
        """A client that is behind pauses the provider; `run` sees to the rest."""
        if self._viewer.behind:
            if self.exchange is not None:
                self.exchange.pause()
            self._signal()

    def _finish(self, data: bytes, error: GatewayError | None) -> None:
        self._over = True
        self.error = error
        if self._live:
            self._viewer.end(data)
        else:
            self._opening.append(data)
        self._signal()

    def _signal(self) -> None:
        if not self._wake.done():
            self._wake.set_result(None)

    def _refuse(self, body: bytes) -> None:
        if 200 <= self.status < 300:
            self._give_up(self._fault_of_whole(body))
        else:
            self._give_up(self._codec.fault(self.status, self.headers, body))

    def _fault_of_whole(self, body: bytes) -> Fault:
        """A 200 that is no stream: nothing, an error, or a whole answer, which may have been billed."""
        try:
            self._codec.read_answer(body)
        except Fault as fault:
            return fault
        return Fault(FaultKind.CUT, "The provider's answer is no event stream.", reason="no_stream")

    def _give_up(self, fault: Exception) -> None:
        self._over = True
        if not self.ready.done():
            self.ready.set_exception(fault)


def _brought(reader: Reader) -> int:
    """Tokens by the ledger's rule: one an event, or one for four bytes."""
    return max(reader.content_events, -(-reader.content_bytes // 4))


def _through(translators: tuple[Translator, ...], events: list[sse.Event]) -> list[sse.Event]:
    for translator in translators:
        events = [made for event in events for made in translator.feed(event)]
    return events


def _unfinished(*, begun: bool) -> Fault:
    if begun:
        return Fault(FaultKind.CUT, "The provider's stream ended without saying why.", reason="no_finish")
    return Fault(FaultKind.EMPTY, "The provider's stream held no event.", reason="empty")
