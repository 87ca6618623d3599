"""How fast something grows: from two points, or robustly from many, with how sure that is."""

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_FEWEST = 5
_Z_975 = 1.960
# A series may be close to a random walk; beyond this the variance would be infinite.
_MOST_CORRELATED = 0.99


def slope(fewer: int, value_at_fewer: float, more: int, value_at_more: float) -> float:
    """How much one more costs, from two points; what is paid once doesn't enter."""
    return (value_at_more - value_at_fewer) / (more - fewer)


def slope_per(points: list[tuple[float, float]]) -> tuple[float, float, float]:
    """How much y grows for each x: (slope, low, high), the 95 % interval.

    The slope is the median of the slopes of all pairs of points (Theil 1950), which bears 29 % of
    outliers; the interval are the ranks among these that Kendall's rank correlation allows (Sen
    1968). Samples of a process's memory resemble the one before, which makes that interval far too
    narrow, so its variance is multiplied by (1 + r) / (1 - r), where r is the correlation of
    residuals with their predecessors (Yue & Wang 2004), corrected for what fitting a line takes
    from it (Marriott & Pope 1954); never below 1. A process that wanders in steps is still
    called growing or shrinking too often: look at the curve.

    points: (x, y), at about equal distances, rising in x. Fewer than 5 have no bounds: -inf, inf.
    Raises ValueError where no two points differ in x.
    """
    x, y = np.array(points, dtype=np.float64).reshape(-1, 2).T
    first, second = np.triu_indices(len(x), 1)
    apart = x[first] != x[second]
    first, second = first[apart], second[apart]
    if not len(first):
        raise ValueError("a slope needs two points that differ in x")
    slopes = np.sort((y[second] - y[first]) / (x[second] - x[first]))
    median = float(np.median(slopes))
    if len(x) < _FEWEST:
        return median, -math.inf, math.inf
    # What is left of a straight line by rounding is no residual.
    residuals = np.round((y - median * x) / max(float(np.abs(y).max()), math.ulp(0.0)), 12)
    return median, *_bounds(slopes, residuals)


def _bounds(slopes: Floats, residuals: Floats) -> tuple[float, float]:
    """The slopes at the two ranks; infinite where a rank is beyond the last."""
    count = len(residuals)
    variance = count * (count - 1) * (2 * count + 5) / 18 * _inflation(residuals)
    margin = _Z_975 * math.sqrt(variance)
    below = math.floor((len(slopes) - margin) / 2) - 1
    if below < 0:
        return -math.inf, math.inf
    return float(slopes[below]), float(slopes[-1 - below])


def _inflation(residuals: Floats) -> float:
    """By how much correlation of neighbours widens the variance; at least 1. On ranks, so outliers don't matter."""
    count = len(residuals)
    ranks = _ranks(residuals)
    spread = float(ranks @ ranks)
    if not spread:
        return 1.0
    seen = float(ranks[1:] @ ranks[:-1]) / spread
    correlation = min((seen * count + 2) / (count - 4), _MOST_CORRELATED)
    return max(1.0, (1 + correlation) / (1 - correlation))


def _ranks(values: Floats) -> Floats:
    """Ranks about their mean; equal values share one, so that memory that stands still isn't a trend."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    shared = np.cumsum(counts) - (counts - 1) / 2
    ranks: Floats = shared[place] - (len(values) + 1) / 2
    return ranks
