"""Where the in-process home of limits keeps its states: found by name, forgotten when they make no difference."""

from collections import deque
from collections.abc import Mapping
from math import inf, nextafter

from service.limits.base import Meter, place_of
from service.limits.rates import UNUSED, Bucket
from service.limits.states import MICROSECONDS, Rate, Tally
from service.limits.windows import TOTAL, window

PAST_WINDOW_US = 3600 * MICROSECONDS
"""Windows are kept as long as that: a wall clock that was wrong for a while finds what was counted."""
SWEPT_AT_LEAST = 256
SWEPT_FRACTION = 256
"""A sweep looks at 256 states and a 256th of all of them, which takes about 2 ms where there are a million."""


class Shelf:
    """All states of one store.

    Those of rates by the meter's name; those of budgets by its window too, and the window asked for
    last at hand. A ring holds each once, so that sweeps come around to all.

    budgets: those of one `place_of`, of all windows. finished_at: Unix seconds, of the latest request that has ended.
    """

    def __init__(self, began_at: float) -> None:
        """began_at: Unix seconds; whatever finished before is in the ledger."""
        self._began_at = began_at
        self._rates: dict[str, Rate] = {}
        self._latest: dict[str, Tally] = {}
        self._windows: dict[tuple[str, int], Tally] = {}
        self._ring: deque[Rate | Tally] = deque()
        self._budgets: dict[str, list[Tally]] = {}
        self.finished_at = 0.0

    @property
    def budgets(self) -> Mapping[str, list[Tally]]:
        """Whose budgets are counted here."""
        return self._budgets

    def __len__(self) -> int:
        return len(self._ring)

    def rate(self, meter: Meter) -> Rate:
        """The rate's state, a new one if need be."""
        rate = self._rates.get(meter.name)
        if rate is None:
            rate = self._rates[meter.name] = Rate(meter)
            self._ring.append(rate)
        return rate

    def bucket(self, meter: Meter) -> Bucket:
        """The same for whoever only looks: nothing is kept for it."""
        rate = self._rates.get(meter.name)
        return UNUSED if rate is None else rate.bucket

    def tally(self, meter: Meter, at: float) -> Tally:
        """The budget's state in the window of that instant, or the state of the slots; a new one if need be."""
        tally = self._latest.get(meter.name)
        if tally is not None and tally.start <= at < tally.end:
            return tally
        span = TOTAL if meter.per is None else window(meter.per, at)
        tally = self._windows.get((meter.name, span.start))
        if tally is None:
            tally = self._windows[meter.name, span.start] = Tally(meter, span, self._cutoff(at))
            self._ring.append(tally)
            if meter.per is not None:
                self._budgets.setdefault(place_of(meter.subject, meter.subject_id), []).append(tally)
        self._latest[meter.name] = tally
        return tally

    def sweep(self, now_us: int, now_unix: float) -> None:
        """Forget some of what makes no difference; bit by bit, so that a large store holds up nobody."""
        for _ in range(min(len(self._ring), SWEPT_AT_LEAST + len(self._ring) // SWEPT_FRACTION)):
            state = self._ring.popleft()
            if isinstance(state, Rate) and state.idle(now_us):
                del self._rates[state.meter.name]
            elif isinstance(state, Tally) and state.past(now_us, now_unix, PAST_WINDOW_US):
                self._drop(state)
            else:
                self._ring.append(state)

    def _cutoff(self, at: float) -> float:
        """Since when a tally that begins now counts by itself: all that has ended is in the ledger.

        Not simply since we began: a budget that was set since counts what came before it, too.
        """
        cutoff = max(self._began_at, at)
        return cutoff if self.finished_at <= cutoff else nextafter(self.finished_at, inf)

    def _drop(self, tally: Tally) -> None:
        name = tally.meter.name
        del self._windows[name, tally.start]
        if self._latest.get(name) is tally:
            del self._latest[name]
        if tally.meter.per is not None:
            place = place_of(tally.meter.subject, tally.meter.subject_id)
            self._budgets[place].remove(tally)
            if not self._budgets[place]:
                del self._budgets[place]
