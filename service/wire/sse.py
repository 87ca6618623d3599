"""Server-sent events, both ways, with no socket in sight.

Source: WHATWG HTML, 9.2 "Server-sent events". Lines end in CR, LF or CRLF, and any of them may
be torn between two reads; one BOM at the very start is dropped; an event that the end of the
stream cuts off is dropped too, so there is nothing to flush.
"""

import msgspec

BOM = b"\xef\xbb\xbf"


class EventTooLong(Exception):
    """The peer sent more than `limit_bytes` without finishing an event."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"event exceeds {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


class Event(msgspec.Struct, frozen=True, gc=False):
    """One dispatched event. `name` is empty where the peer named none (a `message`)."""

    data: bytes
    name: bytes = b""


class Decoder:
    """Incremental parser: feed whatever arrives, get the events that it completed.

    The bytes are not checked for UTF-8 here: an event is whole only at its end, so whoever
    reads its data checks it there, once.
    """

    __slots__ = ("_after_cr", "_data", "_held_bytes", "_limit_bytes", "_line", "_name", "_started")

    def __init__(self, limit_bytes: int = 1 << 20) -> None:
        self._limit_bytes = limit_bytes
        self._line = b""
        self._data: list[bytes] = []
        self._name = b""
        self._held_bytes = 0
        self._after_cr = False
        self._started = False

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that `chunk` completed, in order.

        Raises EventTooLong; the decoder is of no further use then. A chunk is one read, far smaller
        than the limit: events that it completed before the one that is too long would be lost.
        """
        if not self._started:
            chunk = self._line + chunk
            self._line = b""
            if len(chunk) < len(BOM) and BOM.startswith(chunk):
                self._line = chunk
                return []
            self._started = True
            chunk = chunk.removeprefix(BOM)
        if self._held_bytes == 0 and not self._after_cr and chunk[-2:] == b"\n\n" and b"\r" not in chunk:
            return self._feed_whole(chunk)
        return self._feed_torn(chunk)

    def _feed_whole(self, chunk: bytes) -> list[Event]:
        """The usual read: nothing held back, LF line ends, only complete events."""
        events: list[Event] = []
        # Most often each event is one `data: ` line: then there are two line ends for each of them.
        if chunk.startswith(b"data: ") and len(chunk) <= self._limit_bytes:
            parts = chunk[6:-2].split(b"\n\ndata: ")
            if chunk.count(b"\n") == 2 * len(parts):
                return [Event(part) for part in parts]
        # The two line ends that the split took count too, as they do where an event comes in pieces.
        limit_bytes = self._limit_bytes - 2
        for block in chunk[:-2].split(b"\n\n"):
            if len(block) > limit_bytes:
                raise EventTooLong(self._limit_bytes)
            for line in block.split(b"\n"):
                self._take_field(line)
            self._dispatch(events)
        return events

    def _feed_torn(self, chunk: bytes) -> list[Event]:
        events: list[Event] = []
        # A CR LF pair may be torn between two chunks; its LF is not a second line.
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if chunk:
            self._after_cr = chunk.endswith(b"\r")
        # bytes.splitlines knows just the three line ends that the standard has.
        for piece in chunk.splitlines(keepends=True):
            self._held_bytes += len(piece)
            if self._held_bytes > self._limit_bytes:
                raise EventTooLong(self._limit_bytes)
            line = piece.rstrip(b"\r\n")
            if len(line) == len(piece):
                self._line += piece
                continue
            line, self._line = self._line + line, b""
            if line:
                self._take_field(line)
            else:
                self._dispatch(events)
        return events

    def _take_field(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" "))
        elif field == b"event":
            self._name = value.removeprefix(b" ")

    def _dispatch(self, events: list[Event]) -> None:
        if self._data:
            events.append(Event(b"\n".join(self._data), self._name))
        self._data = []
        self._name = b""
        self._held_bytes = 0


def encode(data: bytes, name: bytes = b"") -> bytes:
    """One event as bytes. `data` may span lines; a CR in it ends a line as the standard says."""
    if not name and b"\n" not in data and b"\r" not in data:
        return b"data: %b\n\n" % data
    head = b"event: " + name + b"\n" if name else b""
    if b"\n" in data or b"\r" in data:
        lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        return head + b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"
    return head + b"data: " + data + b"\n\n"


HEARTBEAT = b": heartbeat\n\n"
"""A comment: keeps proxies from cutting a silent stream, and no client sees an event."""

DONE = b"data: [DONE]\n\n"
"""OpenAI's end mark. Sent only after a complete answer, never after an error or a cut."""
