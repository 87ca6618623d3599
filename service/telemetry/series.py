"""Counters and histograms as plain numbers, and their sum over several workers. Pure.

A count is a dictionary's integer: 0.1 us where a client library's child with its lock costs one.
What is kept is made to be written, read and added up (`add`) as one Struct.
"""

from bisect import bisect_left
from collections import defaultdict

import msgspec

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Upper bounds of the duration buckets; the last bucket, above all, has none."""

Labels = tuple[str, ...]


class Distribution(msgspec.Struct, gc=False):
    """A histogram: how many values fell into each bucket (not cumulative), and their sum."""

    counts: list[int]
    total: float = 0.0

    def observe(self, value: float) -> None:
        """Count one value; a bound belongs to its own bucket, as in Prometheus."""
        self.counts[bisect_left(SECONDS, value)] += 1
        self.total += value


def empty_distribution() -> Distribution:
    """One with nothing in it."""
    return Distribution([0] * (len(SECONDS) + 1))


class Series(msgspec.Struct):
    """All that one worker counts. Keys are label values in the order that `metrics` names them."""

    requests: dict[Labels, int] = msgspec.field(default_factory=lambda: defaultdict(int))
    durations: dict[Labels, Distribution] = msgspec.field(
        default_factory=lambda: defaultdict(empty_distribution)
    )
    first_events: dict[Labels, Distribution] = msgspec.field(
        default_factory=lambda: defaultdict(empty_distribution)
    )
    attempts: dict[Labels, int] = msgspec.field(default_factory=lambda: defaultdict(int))
    faults: dict[Labels, int] = msgspec.field(default_factory=lambda: defaultdict(int))
    tokens: dict[Labels, int] = msgspec.field(default_factory=lambda: defaultdict(int))
    cost_nano_usd: dict[Labels, int] = msgspec.field(default_factory=lambda: defaultdict(int))
    refusals: dict[Labels, int] = msgspec.field(default_factory=lambda: defaultdict(int))
    overruns: dict[Labels, int] = msgspec.field(default_factory=lambda: defaultdict(int))
    alerts: dict[Labels, int] = msgspec.field(default_factory=lambda: defaultdict(int))


def add(into: Series, other: Series) -> None:
    """Add another worker's numbers to `into`."""
    for mine, theirs in (
        (into.requests, other.requests),
        (into.attempts, other.attempts),
        (into.faults, other.faults),
        (into.tokens, other.tokens),
        (into.cost_nano_usd, other.cost_nano_usd),
        (into.refusals, other.refusals),
        (into.overruns, other.overruns),
        (into.alerts, other.alerts),
    ):
        for labels, count in theirs.items():
            mine[labels] = mine.get(labels, 0) + count
    for ours, others in ((into.durations, other.durations), (into.first_events, other.first_events)):
        for labels, found in others.items():
            known = ours.setdefault(labels, empty_distribution())
            known.total += found.total
            known.counts = [a + b for a, b in zip(known.counts, found.counts, strict=True)]
