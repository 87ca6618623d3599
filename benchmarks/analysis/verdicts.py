"""From a figure's rounds to a word: slower, same, faster, or can't tell. Nothing here measures."""

from collections.abc import Iterable
from typing import Self

import msgspec

from benchmarks.analysis.bootstrap import ratio_interval
from benchmarks.record import Comparison, Figure, Kind, Verdict

_MS_PER_UNIT = {"µs": 0.001, "ms": 1.0, "s": 1000.0}


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """By how much a figure of each kind must be worse to count: 0.05 is 5 %.

    latency_floor_ms: an absolute difference of latencies that never counts. One wake-up by the
    kernel's scheduler costs 10 to 50 µs on a virtual machine and is nobody's regression, but it
    is 20 % of an added latency of 0.1 ms.
    """

    cpu: float = 0.05
    latency: float = 0.10
    pace: float = 0.05
    memory: float = 0.05
    start: float = 0.10
    latency_floor_ms: float = 0.02

    @classmethod
    def from_percents(cls, cpu: float | None = None, p99: float | None = None) -> Self:
        """The defaults with what was given on the command line, in percent: 5 is 5 %.

        p99 stands for every latency. Raises ValueError where one is not above 0.
        """
        given = {"cpu": cpu, "latency": p99}
        overrides = {kind: percent / 100 for kind, percent in given.items() if percent is not None}
        if any(not threshold > 0 for threshold in overrides.values()):
            raise ValueError("a threshold must be above 0 %")
        return cls(**overrides)

    def of(self, kind: Kind) -> float:
        """The relative threshold of this kind of figure."""
        return {
            Kind.CPU: self.cpu,
            Kind.LATENCY: self.latency,
            Kind.PACE: self.pace,
            Kind.MEMORY: self.memory,
            Kind.START: self.start,
        }[kind]

    def beside(self, figure: Figure, reference: str) -> float:
        """The threshold of one figure: where the reference's latency is tiny, the floor as a share of it."""
        threshold = self.of(figure.kind)
        base = figure.value(reference)
        if figure.kind is not Kind.LATENCY or figure.unit not in _MS_PER_UNIT or not base or base <= 0:
            return threshold
        return max(threshold, self.latency_floor_ms / (base * _MS_PER_UNIT[figure.unit]))


def verdict(low: float, high: float, threshold: float) -> Verdict:
    """What an interval says of a ratio of costs: above 1 is worse.

    SLOWER and FASTER need the whole interval beyond the threshold, SAME the whole within both; an
    interval across either bound, or one that is not a number, tells nothing.
    """
    worse = 1 + threshold
    better = 1 / worse
    if low > worse:
        return Verdict.SLOWER
    if high < better:
        return Verdict.FASTER
    return Verdict.SAME if better <= low and high <= worse else Verdict.CANT_TELL


def compare(figure: Figure, subject: str, reference: str, thresholds: Thresholds) -> Comparison | None:
    """One figure of two subjects; None where their rounds bring no ratio (see `ratio_interval`).

    Where higher is better the ratio is turned over, so above 1 is always worse.
    """
    mine, theirs = figure.blocks.get(subject, []), figure.blocks.get(reference, [])
    found = ratio_interval(theirs, mine) if figure.kind.higher_is_better else ratio_interval(mine, theirs)
    if found is None:
        return None
    ratio, low, high = found
    threshold = thresholds.beside(figure, reference)
    return Comparison(
        key=figure.key,
        subject=subject,
        reference=reference,
        ratio=ratio,
        low=low,
        high=high,
        threshold=threshold,
        verdict=verdict(low, high, threshold),
    )


def is_regression(comparisons: Iterable[Comparison]) -> bool:
    """Whether any figure is slower beyond its threshold; "can't tell" is none."""
    return any(comparison.verdict is Verdict.SLOWER for comparison in comparisons)
