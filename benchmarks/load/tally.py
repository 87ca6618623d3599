"""What one run of the load generator saw: counts, durations, and every error by its name."""

from array import array
from collections import Counter
from collections.abc import Iterable

import numpy as np
from hdrh.histogram import HdrHistogram

_LONGEST_US = 60_000_000
_DIGITS = 3
_CDF_PERCENTS = (
    *(float(percent) for percent in range(90)),
    *(90 + step / 10 for step in range(90)),
    *(99 + step / 100 for step in range(90)),
    *(99.9 + step / 1000 for step in range(90)),
    99.99,
    100.0,
)


class Distribution:
    """Durations. While load runs one costs an append; the histogram is made when it is asked for."""

    def __init__(self) -> None:
        self._samples_ns = array("q")
        self._histogram: HdrHistogram | None = None

    def record_ns(self, duration_ns: int) -> None:
        """Add one duration."""
        self._samples_ns.append(duration_ns)

    def record_all_ns(self, durations_ns: Iterable[int]) -> None:
        """Add several, in their order."""
        self._samples_ns.extend(durations_ns)

    def add(self, other: "Distribution") -> None:
        """Take all of another's durations."""
        self._samples_ns.extend(other._samples_ns)  # noqa: SLF001 - its own kind

    @property
    def count(self) -> int:
        """How many were recorded."""
        return len(self._samples_ns)

    def samples_ms(self) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        """All durations in milliseconds, in the order in which they were recorded."""
        return np.frombuffer(self._samples_ns, dtype=np.int64) / 1e6

    def percentile_ms(self, percent: float) -> float:
        """The duration that `percent` of all don't exceed, in milliseconds; 0 where there is none."""
        return float(self._hdr().get_value_at_percentile(percent)) / 1000 if self.count else 0.0

    def cdf(self) -> list[tuple[float, float]]:
        """Points (milliseconds, percent), denser towards the tail; empty where nothing was recorded."""
        if not self.count:
            return []
        # A percent that fewer samples than it needs can't show would only repeat the longest.
        finest = 100 - 100 / self.count
        shown = [percent for percent in _CDF_PERCENTS if percent <= finest or percent == 100]
        return [(self.percentile_ms(percent), percent) for percent in shown]

    def encoded(self) -> str:
        """The histogram in HdrHistogram's own compressed form."""
        return bytes(self._hdr().encode()).decode()

    def _hdr(self) -> HdrHistogram:
        """1 µs to 60 s in three significant digits; longer ones count as 60 s, so that none is lost."""
        if self._histogram is None or self._histogram.get_total_count() != self.count:
            histogram = HdrHistogram(1, _LONGEST_US, _DIGITS)
            micros = np.frombuffer(self._samples_ns, dtype=np.int64) // 1000
            values, counts = np.unique(np.clip(micros, 1, _LONGEST_US), return_counts=True)
            for value, count in zip(values.tolist(), counts.tolist(), strict=True):
                histogram.record_value(value, count)
            self._histogram = histogram
        return self._histogram


class Tally:
    """Counts of one run. `answers` are requests that ended well, `events` the tokens they brought.

    Nothing of an answer that was wrong is in `events` or in a duration, only in `errors`.
    begun: streams that brought a token. left: requests that this side gave up on purpose; what they
    had brought counts.
    latency: whole answers, from the time the request was due. first_event: the same to the
    first token. first_byte: of those alone that came back for the rest of a stream, to the head of
    the answer; they are in neither of the two before. gap: between reads that brought tokens of one stream. late: how far behind the
    schedule this side itself was when it got to a request; that is in the latency too, and
    says whether the generator was the bottleneck.
    """

    def __init__(self) -> None:
        self.answers = 0
        self.events = 0
        self.begun = 0
        self.left = 0
        self.errors: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.latency = Distribution()
        self.first_event = Distribution()
        self.first_byte = Distribution()
        self.gap = Distribution()
        self.late = Distribution()

    def fail(self, fault: str, times: int = 1) -> None:
        """Count a fault by its kind, the part before a colon; the first of a kind is kept whole."""
        kind = fault.partition(":")[0]
        self.errors[kind] += times
        self.examples.setdefault(kind, fault)
