"""The throughput frontier: the highest rate at which the added p99 stays under each limit.

A state machine that says what to measure next; who measures, and for how long, is the caller's
business. The rate doubles until every limit is passed, then the gap between the highest rate that
kept a limit and the lowest above it that did not is halved on a logarithmic scale, widest gap
first. Every measurement counts for all limits.

Noise is one-sided: a neighbour or the hypervisor adds latency and never takes any. So a rate that
kept a limit is believed, and rates below it that did not were disturbed. A rate that did not keep
it is believed once a second one, close above, doesn't either; if that one keeps it, the search
goes on from there. A limit that is kept by luck is believed: the answer is then too high by what
that luck was worth.
"""

import math
from collections.abc import Sequence

import msgspec

_GROWTH = 2.0


class _Gap(msgspec.Struct, frozen=True):
    """Where one limit's answer lies, as far as is known.

    kept: the highest rate that kept the limit, 0 if none did. broken: the rates above it that
    did not, rising.
    """

    kept: float
    broken: tuple[float, ...]

    @property
    def width(self) -> float:
        """The ratio between the ends; infinite while nothing broke the limit, 1 where nothing kept it."""
        if not self.broken:
            return math.inf
        return self.broken[0] / self.kept if self.kept else 1.0


class Frontier:
    """One search. Rates are requests per second, limits milliseconds of added p99.

    start_rate: the lowest rate that is tried; a limit not kept there counts as never kept.
    highest_rate: what the load side can offer. resolution: how far below the true rate an answer
    may be, 0.05 is 5 %. most_probes: after so many measurements the search ends with what it has,
    which is then coarser but never wrong; 20 suffice for four limits within six doublings, unless
    each has its knee elsewhere.
    """

    def __init__(
        self,
        limits_ms: Sequence[float],
        start_rate: float,
        highest_rate: float,
        resolution: float = 0.05,
        most_probes: int = 20,
    ) -> None:
        if not 0 < start_rate <= highest_rate or not resolution > 0:
            raise ValueError("rates and resolution must be above 0, and start_rate at most highest_rate")
        self._limits_ms = tuple(limits_ms)
        self._start_rate = start_rate
        self._highest_rate = highest_rate
        self._step = 1 + resolution
        self._most_probes = most_probes
        self._probes = 0
        self._added_ms: dict[float, float] = {}

    def next_rate(self) -> float | None:
        """The rate to measure next, never one that was measured; None when the search is over."""
        if self._probes >= self._most_probes:
            return None
        if not self._added_ms:
            return self._start_rate
        gaps = sorted(
            (self._gap(limit) for limit in self._limits_ms), key=lambda gap: gap.width, reverse=True
        )
        return next((rate for gap in gaps if (rate := self._within(gap)) is not None), None)

    def record(self, rate: float, added_p99_ms: float | None) -> None:
        """What was measured at `rate`, as `next_rate` gave it.

        None where the run failed (errors, answers missing); it counts as above every limit.
        """
        self._probes += 1
        self._added_ms[rate] = math.inf if added_p99_ms is None else added_p99_ms

    def highest(self) -> dict[float, float]:
        """By limit, the highest rate that kept it; 0 where none did."""
        return {limit: self._gap(limit).kept for limit in self._limits_ms}

    def _gap(self, limit_ms: float) -> _Gap:
        kept = max((rate for rate, added in self._added_ms.items() if added < limit_ms), default=0.0)
        return _Gap(kept, tuple(sorted(rate for rate in self._added_ms if rate > kept)))

    def _within(self, gap: _Gap) -> float | None:
        """What would narrow this gap; None where it is settled."""
        if not gap.broken:
            return self._above(gap.kept, gap.kept * _GROWTH)
        if gap.width > self._step:
            return math.sqrt(gap.kept * gap.broken[0])
        lowest, *others = gap.broken
        if others and others[0] <= lowest * self._step:
            return None
        return self._above(lowest, lowest * self._step)

    def _above(self, rate: float, wanted: float) -> float | None:
        """`wanted`, or the highest rate where that is less; None where `rate` is already that."""
        return min(wanted, self._highest_rate) if rate < self._highest_rate else None
