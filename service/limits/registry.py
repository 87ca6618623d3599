"""A worker's accounts, found by meters. No I/O and no clock."""

from collections import deque
from collections.abc import Iterator
from math import inf

import msgspec

from service.limits.accounts import Account
from service.limits.base import Meter, place_of
from service.limits.windows import Window, window

FORGET_US = 60_000_000
"""An account that holds nothing is forgotten when nobody has asked for it for a minute."""
MAX_ROUTES = 10_000
"""More tuples of meters than that, and they are looked up anew."""
PAST_WINDOW_SECONDS = 3600
"""After its window's end nothing that belongs into it still runs."""
SWEPT_AT_LEAST = 256
SWEPT_FRACTION = 64
"""A sweep looks at 256 remembered budgets and a 64th of all of them."""


class Route(msgspec.Struct, frozen=True, gc=False):
    """The accounts of a tuple of meters, for requests that start from `start` until before `end`."""

    meters: tuple[Meter, ...]
    accounts: list[Account]
    start: float
    end: float


class Remembered(msgspec.Struct, frozen=True, gc=False):
    """A budget's window that was asked for here, for as long as it lasts: its account may be forgotten long before."""

    meter: Meter
    key: str
    start: float
    end: float

    @property
    def place(self) -> str:
        """Whose it is."""
        return place_of(self.meter.subject, self.meter.subject_id)


class Registry:
    """accounts: all of them, by their keys."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self._current: dict[str, Account] = {}
        self._routes: dict[int, Route] = {}
        self._budgets: dict[str, dict[str, Remembered]] = {}
        self._ring: deque[Remembered] = deque()

    def route(self, meters: tuple[Meter, ...], started_at: float) -> Route | None:
        """What `find_all` found for this very tuple; None where it is another window's by now."""
        # By identity: callers keep their tuples, and comparing them would cost more than all the rest.
        route = self._routes.get(id(meters))
        if route is None or route.meters is not meters or not route.start <= started_at < route.end:
            return None
        return route

    def find_all(self, meters: tuple[Meter, ...], started_at: float, now_us: int) -> list[Account]:
        """Their accounts; a meter that is named twice has one, of its smaller size."""
        smallest: dict[str, Meter] = {}
        for meter in meters:
            other = smallest.get(meter.name)
            smallest[meter.name] = meter if other is None or meter.capacity < other.capacity else other
        accounts = [self.find(meter, started_at, now_us) for meter in smallest.values()]
        if len(accounts) == len(meters):
            start = max((account.start for account in accounts), default=0)
            end = min((account.end for account in accounts), default=inf)
            self._routes[id(meters)] = Route(meters, accounts, start, end)
        return accounts

    def find(self, meter: Meter, started_at: float, now_us: int) -> Account:
        """The meter's, in the window of that instant."""
        account = self._current.get(meter.name)
        if account is None or not account.start <= started_at < account.end:
            new = Account(meter, window_of(meter, started_at))
            account = self.accounts.setdefault(new.key, new)
            self._current[meter.name] = account
            if meter.per is not None:
                self._remember(Remembered(meter, account.key, account.start, account.end))
        account.serve(meter)
        account.touched_us = now_us
        return account

    def budgets(self, places: tuple[str, ...], started_at: float) -> Iterator[Account]:
        """All of theirs that were ever asked for here, in the windows of that instant."""
        for place in places:
            for known in self._budgets.get(place, {}).values():
                if known.start <= started_at < known.end:
                    yield self._account(known, started_at)

    def forget_unused(self, now_us: int, now: float) -> None:
        """Those that nobody has asked for in a while. now: Unix seconds."""
        for _ in range(min(len(self._ring), SWEPT_AT_LEAST + len(self._ring) // SWEPT_FRACTION)):
            known = self._ring.popleft()
            if now < known.end + PAST_WINDOW_SECONDS:
                self._ring.append(known)
            else:
                self._forget(known)
        unused = [
            account
            for account in self.accounts.values()
            if account.unneeded() and now_us - account.touched_us > FORGET_US
        ]
        for account in unused:
            del self.accounts[account.key]
            if self._current.get(account.meter.name) is account:
                del self._current[account.meter.name]
        if unused or len(self._routes) > MAX_ROUTES:
            self._routes.clear()

    def _account(self, known: Remembered, started_at: float) -> Account:
        account = self.accounts.get(known.key)
        if account is None:
            account = self.accounts[known.key] = Account(known.meter, window_of(known.meter, started_at))
        return account

    def _remember(self, known: Remembered) -> None:
        of = self._budgets.setdefault(known.place, {})
        if known.key not in of:
            of[known.key] = known
            self._ring.append(known)

    def _forget(self, known: Remembered) -> None:
        of = self._budgets[known.place]
        del of[known.key]
        if not of:
            del self._budgets[known.place]


def window_of(meter: Meter, at: float) -> Window | None:
    """The meter's window of that instant; None for what has none."""
    return window(meter.per, at) if meter.per else None
