"""`service.grace`: one timer for many guests, on a loop whose clock the test moves."""

import asyncio
import weakref
from collections.abc import Callable

from service.grace import Grace


class ManualLoop:
    """As much of an event loop as Grace needs; time passes when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        """Now."""
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        """Remember it."""
        self.timers.append((self.now + delay, callback))

    def advance(self, seconds: float) -> None:
        """Let time pass, with all that falls due in it."""
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer[0] <= end]:
            first = min(due, key=lambda timer: timer[0])
            self.timers.remove(first)
            self.now = first[0]
            first[1]()
        self.now = end


class Guest:
    """Counts how often it is looked after."""

    def __init__(self) -> None:
        self.open = True
        self.looked_after = 0

    def grace_over(self) -> None:
        """Called by Grace."""
        self.looked_after += 1


def test_a_guest_that_stays_is_looked_after_once_and_not_before_its_time() -> None:
    """Nothing happens within the grace; within a quarter more of it, exactly one call does."""
    loop, guest = ManualLoop(), Guest()
    guests = Grace(loop, 0.2)
    guests.add(guest)
    loop.advance(0.19)
    assert guest.looked_after == 0
    loop.advance(0.06)
    assert guest.looked_after == 1
    loop.advance(10)
    assert guest.looked_after == 1


def test_a_guest_that_left_is_passed_over() -> None:
    """A request that ended in time costs no look."""
    loop, guest = ManualLoop(), Guest()
    guests = Grace(loop, 0.2)
    guests.add(guest)
    guest.open = False
    loop.advance(1)
    assert guest.looked_after == 0


def test_nothing_holds_a_guest_that_said_it_leaves() -> None:
    """Its memory is free at once, and not when its time has come; leaving twice does no harm."""
    loop, guest = ManualLoop(), Guest()
    guests = Grace(loop, 0.2)
    guests.add(guest)
    guests.leave(guest)
    guests.leave(guest)
    left = weakref.ref(guest)
    del guest
    assert left() is None
    loop.advance(1)
    assert loop.timers == []


def test_a_guest_may_end_another_one_when_it_is_looked_at() -> None:
    """Both are due; the one that has left by then is not looked at."""
    loop, other = ManualLoop(), Guest()
    guests = Grace(loop, 0.2)

    class Host(Guest):
        def grace_over(self) -> None:
            super().grace_over()
            guests.leave(other)

    guests.add(host := Host())
    guests.add(other)
    loop.advance(1)
    assert (host.looked_after, other.looked_after) == (1, 0)


def test_many_guests_share_one_timer_and_none_is_left_when_all_are_gone() -> None:
    """Each comes due in its own time, and an empty house sets no timer."""
    loop, each = ManualLoop(), [Guest() for _ in range(5)]
    guests = Grace(loop, 0.2)
    for guest in each:
        guests.add(guest)
        assert len(loop.timers) == 1
        loop.advance(0.03)
    loop.advance(1)
    assert [guest.looked_after for guest in each] == [1] * 5
    assert loop.timers == []
    late = Guest()
    guests.add(late)
    loop.advance(0.25)
    assert late.looked_after == 1


async def test_it_runs_on_a_real_loop() -> None:
    """With asyncio's own clock a guest of no grace is looked after on the next turn."""
    loop = asyncio.get_running_loop()
    looked: asyncio.Future[None] = loop.create_future()

    class Caller:
        open = True

        def grace_over(self) -> None:
            looked.set_result(None)

    Grace(loop, 0.0).add(Caller())
    await asyncio.wait_for(looked, 5)
