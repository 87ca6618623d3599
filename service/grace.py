"""One timer for many things that mostly end before anyone has to look at them."""

from collections import deque
from collections.abc import Callable
from typing import Protocol


class Guest(Protocol):
    """Something that ends by itself, or is looked after once its grace is over."""

    @property
    def open(self) -> bool:
        """Whether it has not ended yet."""

    def grace_over(self) -> None:
        """Called once, if it is still open then."""


class Loop(Protocol):
    """As much of an event loop as is needed here."""

    def time(self) -> float:
        """Now, in seconds."""

    def call_later(self, delay: float, callback: Callable[[], None]) -> object:
        """Call back in `delay` seconds."""


class Grace:
    """Looks at each guest once, `seconds` after it came.

    A loop's own timer costs 1.3 us to set and cancel, for each request twice, and most requests
    are over in milliseconds. Here one timer serves all, and who has ended is passed over. It goes
    off a few times in `seconds`, so a guest may have a quarter more; and it stays referenced until
    its time, so `seconds` is to be short.
    """

    __slots__ = ("_guests", "_loop", "_seconds", "_ticking")

    def __init__(self, loop: Loop, seconds: float) -> None:
        """loop: whose clock and timers it uses."""
        self._loop = loop
        self._seconds = seconds
        self._guests: deque[tuple[float, Guest]] = deque()
        self._ticking = False

    def add(self, guest: Guest) -> None:
        """Let `guest` be; look at it in `seconds`."""
        self._guests.append((self._loop.time() + self._seconds, guest))
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(self._seconds, self._tick)

    def _tick(self) -> None:
        now, guests = self._loop.time(), self._guests
        while guests and guests[0][0] <= now:
            guest = guests.popleft()[1]
            if guest.open:
                guest.grace_over()
        self._ticking = bool(guests)
        if guests:
            self._loop.call_later(self._seconds / 4, self._tick)
