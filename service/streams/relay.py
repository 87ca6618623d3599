"""One provider's stream on its way to its clients: decoded, metered, translated, framed, pushed.

The relay is the sink of an exchange, so it runs inside the read that brought the bytes: one read,
one write, no queue, no task of its own. Until the first event nothing is promised: a fault then
belongs to the attempt. From the first event on, a fault is an error event and the end.

What a read brought becomes `frames`, one for each event of the client's format: the stream that they
belong to (`service.streams.stream`) numbers them, keeps them and sends them on.
"""

import asyncio
from collections.abc import Mapping
from time import monotonic

import msgspec

from service.errors import GatewayError, StreamAbandoned
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
from service.streams.ports import Format, Outlet, Translator, Watch
from service.wire import sse

DRAINED = StreamAbandoned("Nobody was reading this answer any more, so it was cancelled.")


class Relay:
    """The sink for one attempt at a streamed answer, and from its first event on the source of a stream.

    ready: done at the first event, or with the fault that came before one. error, fault: why it
    ended with an error event, if it did. drains: whether it is read on for its bill alone.
    """

    __slots__ = (
        "_codec",
        "_decoder",
        "_error_body",
        "_format",
        "_loop",
        "_outlet",
        "_over",
        "_running",
        "_timer",
        "_watch",
        "drains",
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
        outlet: Outlet,
        codec: Codec,
        reader: Reader,
        format: Format,
        watch: Watch | None = None,
    ) -> None:
        self._loop = loop
        self._outlet = outlet
        self._codec = codec
        self._format = format
        self._decoder = sse.Decoder(MAX_EVENT_BYTES)
        self._error_body: list[bytes] | None = None
        self._over = self._running = False
        self._timer: asyncio.TimerHandle | None = None
        self._watch = watch
        self.drains = False
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
        if fault is None and self._running and self._watch is None and not self.reader.done:
            # Most reads; the other way comes to the same, by more calls.
            if frames:
                self._outlet.publish(frames)
        else:
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

    def pause(self) -> None:
        """Let the provider wait."""
        if self.exchange is not None:
            self.exchange.pause()

    def resume(self) -> None:
        """Let it go on."""
        if self.exchange is not None:
            self.exchange.resume()

    def drain(self, seconds: float, tokens: int) -> None:
        """From now on read for nobody: to the stream's end, for so long, or for so many tokens more."""
        self.drains = True
        watch, bound = self._watch, _brought(self.reader) + tokens

        def bounded(reader: Reader) -> GatewayError | None:
            return DRAINED if _brought(reader) > bound else watch and watch(reader)

        self._watch = bounded
        self._timer = self._loop.call_later(seconds, self.stop, DRAINED)

    def stop(self, error: GatewayError) -> None:
        """End the stream from our side, with an error event."""
        if not self._over:
            self._finish([self._format.error_event(error)], error)
            self.abort()

    def abort(self) -> None:
        """Close the provider's connection, if it still is at work, and bring no more."""
        self._over = True
        self._stop_timer()
        if self.exchange is not None:
            self.exchange.abort()

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
            # The frames where it was raised hold this relay, and so the stream with all its events.
            self.fault, error = fault.with_traceback(None), error_of(fault)
            frames.append(self._format.error_event(error))
            self._finish(frames, error)
            self.abort()
        elif over:
            self._complete(frames)
        elif self._watch is not None and (reason := self._watch(self.reader)) is not None:
            frames.append(self._format.error_event(reason))
            self._finish(frames, reason)
            self.abort()
        elif frames:
            self._outlet.publish(frames)

    def _begin(self) -> None:
        self.first_event_at = monotonic()
        self._running = True
        if self.exchange is not None:
            self.exchange.started()
        if not self.ready.done():
            self.ready.set_result(None)

    def _complete(self, frames: list[bytes]) -> None:
        for position, translator in enumerate(self._format.translators):
            owed = translator.close()
            self._encode(_through(self._format.translators[position + 1 :], owed), frames)
        if end_mark := self._format.end_mark(self.reader.done or bool(self._format.translators)):
            frames.append(end_mark)
        self._finish(frames, None)
        if self.exchange is not None:
            self.exchange.finish()

    def _finish(self, frames: list[bytes], error: GatewayError | None) -> None:
        self._over = True
        self._stop_timer()
        self.error = error
        self._outlet.finish(frames, error)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

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
