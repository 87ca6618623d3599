"""A stream's events as they were sent, numbered, in bounded memory. Pure.

Each event is a frame: `id: <stream id>-<n>`, then the event's own lines, then the empty line that ends
it (WHATWG HTML, 9.2). n counts from 0 without gaps. No frame has an empty line inside, so frames that
were joined can be told apart again.
"""

from collections import deque
from itertools import islice

FRAME_END = b"\n\n"


class Memory:
    """What the logs of all streams take together: `size_bytes`, of at most `most_bytes`."""

    __slots__ = ("most_bytes", "size_bytes")

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.size_bytes = 0


class StreamLog:
    """The last events of one stream.

    first: the number of the oldest that is still here. next: the number that the next one gets.
    size_bytes: what is here. total_bytes: what ever was.
    """

    __slots__ = ("_frames", "_prefix", "_sealed", "first", "next", "size_bytes", "total_bytes")

    def __init__(self, stream_id: str) -> None:
        self._prefix = f"id: {stream_id}-".encode()
        self._frames: deque[bytes] = deque()
        self._sealed: bytes | None = None
        self.first = self.next = self.size_bytes = self.total_bytes = 0

    def start_at(self, number: int) -> None:
        """Nothing is here yet, and the first event will have that number."""
        self.first = self.next = number

    def number(self, frames: list[bytes]) -> list[bytes]:
        """The events with their ids, which are the next ones."""
        return [b"%b%d\n%b" % (self._prefix, n, frame) for n, frame in enumerate(frames, self.next)]

    def add(self, frame: bytes) -> bytes:
        """Keep the next event, which gets its id here; returns it as it is to be sent. Each event of a stream comes by."""
        numbered = b"%b%d\n%b" % (self._prefix, self.next, frame)
        self._frames.append(numbered)
        self.next += 1
        size_bytes = len(numbered)
        self.size_bytes += size_bytes
        self.total_bytes += size_bytes
        return numbered

    def append(self, numbered: list[bytes]) -> bytes:
        """Keep events that have their numbers, the next ones; returns them as the bytes to send."""
        data = numbered[0] if len(numbered) == 1 else b"".join(numbered)
        self._frames.extend(numbered)
        self.next += len(numbered)
        self.size_bytes += len(data)
        self.total_bytes += len(data)
        return data

    def bytes_before(self, position: int) -> int:
        """Of all that ever was, how much came before event number `position`; what was dropped may count as such."""
        if position >= self.next:
            return self.total_bytes
        self._unseal()
        after = islice(self._frames, max(0, position - self.first), None)
        return self.total_bytes - sum(map(len, after))

    def trim(self, max_bytes: int, floor: int | None = None) -> None:
        """Drop the oldest events beyond `max_bytes`; floor: none from that number on."""
        self._unseal()
        frames = self._frames
        while self.size_bytes > max_bytes and frames and (floor is None or self.first < floor):
            self.size_bytes -= len(frames.popleft())
            self.first += 1

    def read(self, position: int, max_bytes: int) -> tuple[bytes, int]:
        """Events from number `position` on, at least one where there is any, and the position after them.

        position: not less than `first`.
        """
        if position >= self.next:
            return b"", position
        if self._sealed is not None:
            return self._read_sealed(position, max_bytes)
        found: list[bytes] = []
        size = 0
        for frame in islice(self._frames, position - self.first, None):
            if found and size + len(frame) > max_bytes:
                break
            found.append(frame)
            size += len(frame)
        return b"".join(found), position + len(found)

    def seal(self) -> None:
        """No event will come: keep the bytes alone, which for small events takes half the memory."""
        if self._sealed is None:
            self._sealed = b"".join(self._frames)
            self._frames.clear()

    def _read_sealed(self, position: int, max_bytes: int) -> tuple[bytes, int]:
        data, start = self._sealed or b"", 0
        if position > self.first:
            start = data.index(FRAME_END + b"%b%d\n" % (self._prefix, position)) + len(FRAME_END)
        if len(data) - start <= max_bytes:
            return data[start:], self.next
        end = data.rfind(FRAME_END, start, start + max_bytes)
        if end < 0:
            end = data.index(FRAME_END, start)
        end += len(FRAME_END)
        if end == len(data):
            return data[start:], self.next
        number_at = end + len(self._prefix)
        return data[start:end], int(data[number_at : data.index(b"\n", number_at)])

    def _unseal(self) -> None:
        if self._sealed is not None:
            self._frames.extend(frame + FRAME_END for frame in self._sealed.split(FRAME_END)[:-1])
            self._sealed = None
