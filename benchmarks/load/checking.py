"""The client's verdict on one stream: every token, in order, and the end. No socket.

Written apart from the gateway's own decoder, so that no mistake is shared with what it judges.
It reads the lines that OpenAI's and Anthropic's servers send (LF or CRLF, one `data:` line per
event, comment lines passed over), not the whole standard. Events have ids all or none: a relay adds
none, the gateway `id: <stream>-<n>` to each, n counting from 0 without gaps.
"""

import functools
from typing import Literal

import msgspec

from benchmarks.upstream.script import said

Dialect = Literal["openai", "anthropic"]


def order_fault(seen: list[int], tokens: int) -> str | None:
    """What is wrong with the token numbers `seen`, which should be 0 … tokens - 1; None if nothing."""
    if seen == list(range(tokens)):
        return None
    if len(seen) != len(set(seen)) or any(number >= tokens for number in seen):
        return "extra event"
    return "lost event" if len(seen) < tokens else "swapped order"


def id_fault(got: bytes, stream: bytes, number: int) -> str | None:
    """What is wrong with an event's id, which should be `<stream>-<number>`, or none where `stream` is b""."""
    wanted = b"%b-%d" % (stream, number) if stream else b""
    if got == wanted:
        return None
    if not got:
        return f"event without its id: {wanted!r} is missing"
    of, _, n = got.rpartition(b"-")
    if not stream or of != stream or not n.isdigit():
        return f"event under another id: {got!r} where {wanted!r} should be"
    return f"{'lost' if int(n) > number else 'extra'} event: {got!r} where {wanted!r} should be"


@functools.cache
def _numbered(text: str) -> int:
    """The number of a token. Raises ValueError where a single character isn't as it was sent."""
    number = int(text)
    if text != said(number):
        raise ValueError(text)
    return number


class StreamChecker:
    """Feed it what arrives, ask it at the end. Counts tokens as they come, for the clocks.

    A stream may come over several connections: after `cut` what is fed is a later one's.
    Subclasses read one event's data in `_read`, and say in `_end_fault` what the end lacks.
    tokens: how many the answer must have. stream_id: what its events' ids begin with; b"" where
    they have none, or none has come yet.
    """

    __slots__ = (
        *("_data", "_done", "_event", "_events", "_fault", "_finished", "_id", "_rest", "_seen", "_tokens"),
        *("_usage_tokens", "stream_id"),
    )

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens
        self._seen: list[int] = []
        self._events = 0
        self._rest = self._event = self._id = b""
        self._data: bytes | None = None
        self._finished = False
        self._usage_tokens: int | None = None
        self._done = False
        self._fault: str | None = None
        self.stream_id = b""

    @property
    def tokens_seen(self) -> int:
        """How many tokens have come."""
        return len(self._seen)

    @property
    def last_event_id(self) -> bytes:
        """Of the last event that came whole; b"" where none has, or it had none."""
        return b"%b-%d" % (self.stream_id, self._events - 1) if self.stream_id else b""

    def feed(self, piece: bytes) -> int:
        """Take the next bytes of the body; return how many tokens they completed."""
        before = len(self._seen)
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if not line or line == b"\r":
                self._end_event()
            elif line.startswith(b"data:"):
                if self._data is not None:
                    self._wrong("no blank line between two events")
                self._data = line[5:].strip()
            elif line.startswith(b"id:"):
                self._id = line[3:].strip()
            elif line.startswith(b"event:"):
                self._event = line[6:].strip()
        return len(self._seen) - before

    def cut(self) -> None:
        """The connection is gone. Of an event that had not come whole the client knows nothing."""
        self._rest = self._event = self._id = b""
        self._data = None

    def close(self) -> str | None:
        """The fault of the whole stream, now that its body has ended; None if it is right."""
        return (
            self._fault
            or ("last event without its blank line" if self._data is not None else None)
            or (None if self._done else self._end_fault())
            or order_fault(self._seen, self._tokens)
            or (None if self._finished else "no finish_reason")
            or (None if self._usage_tokens == self._tokens else "wrong usage")
            or (f"bytes after the end: {self._rest[:40]!r}" if self._rest.strip() else None)
        )

    def so_far(self) -> str | None:
        """The fault of what has come of a stream that is left before its end; None if it is right."""
        reached = max(self._seen, default=-1) + 1
        return self._fault or order_fault(self._seen, min(reached, self._tokens))

    def _end_event(self) -> None:
        """A blank line: what came before it is an event where it had data (WHATWG HTML, 9.2.6)."""
        data, self._data = self._data, None
        id_, self._id = self._id, b""
        if data is None:
            if id_:
                self._wrong(f"id without an event: {id_!r}")
            return
        if self._done:
            self._wrong("event after the end")
            return
        if not self._events:
            self.stream_id = id_.rpartition(b"-")[0]
        if fault := id_fault(id_, self.stream_id, self._events):
            self._wrong(fault)
        self._events += 1
        try:
            self._read(data)
        except (msgspec.MsgspecError, ValueError):
            self._wrong(f"not an event: {data[:40]!r}")

    def _wrong(self, fault: str) -> None:
        self._fault = self._fault or fault

    def _read(self, data: bytes) -> None:
        raise NotImplementedError

    def _end_fault(self) -> str:
        raise NotImplementedError


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta
    finish_reason: str | None = None


class _Usage(msgspec.Struct, gc=False):
    completion_tokens: int


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: dict[str, object] | None = None


_CHUNK = msgspec.json.Decoder(_Chunk)


class OpenAIChecker(StreamChecker):
    """A chat completion's stream; the request must have asked for the usage chunk."""

    __slots__ = ()

    def _read(self, data: bytes) -> None:
        if data == b"[DONE]":
            self._done = True
            return
        chunk = _CHUNK.decode(data)
        for choice in chunk.choices:
            if choice.delta.content:
                self._seen.append(_numbered(choice.delta.content))
                if self._finished:
                    self._wrong("swapped order: a token after finish_reason")
            if choice.finish_reason is not None:
                self._finish(choice.finish_reason)
        if chunk.error is not None:
            self._wrong(f"error event: {str(chunk.error)[:120]}")
        if chunk.usage is not None:
            self._count(chunk.usage.completion_tokens)

    def _finish(self, reason: str) -> None:
        if self._finished:
            self._wrong("extra event: finish_reason twice")
        if self._usage_tokens is not None:
            self._wrong("swapped order: finish_reason after usage")
        self._finished = reason == "stop"

    def _count(self, tokens: int) -> None:
        if self._usage_tokens is not None:
            self._wrong("extra event: usage twice")
        self._usage_tokens = tokens

    def _end_fault(self) -> str:
        return "no [DONE]"


class _MessageDelta(msgspec.Struct, gc=False):
    text: str | None = None
    stop_reason: str | None = None


class _MessageUsage(msgspec.Struct, gc=False):
    output_tokens: int = 0


class _MessageEvent(msgspec.Struct):
    type: str
    delta: _MessageDelta | None = None
    usage: _MessageUsage | None = None
    error: dict[str, object] | None = None


_MESSAGE_EVENT = msgspec.json.Decoder(_MessageEvent)
_DELTA = "content_block_delta"
# What a message with one block consists of, in order; only the delta comes more than once.
_ORDER = {
    name: place
    for place, name in enumerate(
        (
            "message_start",
            "content_block_start",
            _DELTA,
            "content_block_stop",
            "message_delta",
            "message_stop",
        )
    )
}


class AnthropicChecker(StreamChecker):
    """A message's stream: its events complete and in order, each under its own name."""

    __slots__ = ("_last",)

    def __init__(self, tokens: int) -> None:
        super().__init__(tokens)
        self._last = ""

    def _read(self, data: bytes) -> None:
        event = _MESSAGE_EVENT.decode(data)
        # A name holds for its own event only.
        name, self._event = self._event, b""
        if name != event.type.encode():
            self._wrong(f"event under another name: {name!r} {event.type}")
        if event.error is not None:
            self._wrong(f"error event: {str(event.error)[:120]}")
        if not event.type == self._last == _DELTA and event.type in _ORDER:
            self._follow(event.type)
        match event.type:
            case "content_block_delta":
                if event.delta is not None and event.delta.text:
                    self._seen.append(_numbered(event.delta.text))
            case "message_delta":
                self._finished = event.delta is not None and event.delta.stop_reason == "end_turn"
                self._usage_tokens = event.usage.output_tokens if event.usage else None
            case "message_stop":
                self._done = True
            case _:
                pass  # pings, and what opens and closes a block

    def _follow(self, name: str) -> None:
        """See that `name` may come after the event before it. A block without any delta lacks tokens only."""
        last, self._last = self._last, name
        step = _ORDER[name] - _ORDER.get(last, -1)
        if step == 1 or (last, name) == ("content_block_start", "content_block_stop"):
            return
        if step > 0:
            self._wrong(f"lost event: {name} after {last or 'nothing'}")
        else:
            self._wrong(f"extra event: {name} twice" if step == 0 else f"swapped order: {name} after {last}")

    def _end_fault(self) -> str:
        return "no message_stop"


CHECKERS: dict[Dialect, type[StreamChecker]] = {"openai": OpenAIChecker, "anthropic": AnthropicChecker}
