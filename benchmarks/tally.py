"""What one run of the load generator saw: counts, clocks, and every error by its name."""

from collections import Counter

from hdrh.histogram import HdrHistogram

_LONGEST_US = 60_000_000
_DIGITS = 3


class Distribution:
    """Durations in a high dynamic range histogram: 1 µs to 60 s, three significant digits."""

    def __init__(self) -> None:
        self._histogram = HdrHistogram(1, _LONGEST_US, _DIGITS)

    def record_ns(self, duration_ns: int) -> None:
        """Add one duration; longer ones than 60 s count as 60 s, so that none is lost."""
        self._histogram.record_value(min(max(duration_ns // 1000, 1), _LONGEST_US))

    def percentile_ms(self, percent: float) -> float:
        """The duration that `percent` of all don't exceed, in milliseconds; 0 where there is none."""
        return float(self._histogram.get_value_at_percentile(percent)) / 1000 if self.count else 0.0

    @property
    def count(self) -> int:
        """How many were recorded."""
        return int(self._histogram.get_total_count())

    def encoded(self) -> str:
        """The histogram in HdrHistogram's own compressed form, to be saved with a result."""
        return bytes(self._histogram.encode()).decode()


class Tally:
    """Counts of one run. `answers` are requests that ended well, `events` the tokens they brought.

    latency: whole answers, from the time the request was due. first_event: the same to the
    first token. gap: between reads that brought tokens of one stream.
    """

    def __init__(self) -> None:
        self.answers = 0
        self.events = 0
        self.begun = 0
        self.errors: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.latency = Distribution()
        self.first_event = Distribution()
        self.gap = Distribution()

    def fail(self, fault: str, times: int = 1) -> None:
        """Count a fault by its kind, the part before a colon; the first of a kind is kept whole."""
        kind = fault.partition(":")[0]
        self.errors[kind] += times
        self.examples.setdefault(kind, fault)
