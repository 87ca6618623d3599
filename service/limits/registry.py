"""A worker's accounts, found by meters. No I/O and no clock."""

from math import inf

import msgspec

from service.limits.accounts import Account
from service.limits.base import Meter
from service.limits.windows import window

FORGET_US = 60_000_000
"""An account that holds nothing is forgotten when nobody has asked for it for a minute."""
MAX_ROUTES = 10_000
"""More tuples of meters than that, and they are looked up anew."""


class Route(msgspec.Struct, frozen=True, gc=False):
    """The accounts of a tuple of meters, for requests that start from `start` until before `end`."""

    meters: tuple[Meter, ...]
    accounts: list[Account]
    start: float
    end: float


class Registry:
    """accounts: all of them, by their keys."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self._current: dict[str, Account] = {}
        self._routes: dict[int, Route] = {}

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
            new = Account(meter, window(meter.per, started_at) if meter.per else None)
            account = self.accounts.setdefault(new.key, new)
            self._current[meter.name] = account
        account.serve(meter)
        account.touched_us = now_us
        return account

    def forget_unused(self, now_us: int) -> None:
        """Those that nobody has asked for in a while."""
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
