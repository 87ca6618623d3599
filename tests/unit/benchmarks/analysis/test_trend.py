"""Slopes: from two points, and robustly from many."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.analysis.trend import slope, slope_per

Points = list[tuple[float, float]]


@given(st.integers(0, 10**9), st.integers(0, 10**6), st.integers(1, 1000), st.integers(1, 1000))
def test_slope_ignores_what_is_paid_once(once: int, each: int, fewer: int, further: int) -> None:
    """once + each × n has the slope `each`."""
    more = fewer + further
    assert slope(fewer, once + each * fewer, more, once + each * more) == pytest.approx(each)


def series(values: list[float]) -> Points:
    return [(float(place), value) for place, value in enumerate(values)]


def correlated(count: int, correlation: float, chance: np.random.Generator) -> list[float]:
    """A series without a trend, each value resembling the one before (autoregressive, order 1)."""
    shocks = chance.standard_normal(count)
    values = [shocks[0] / math.sqrt(1 - correlation**2)]
    for shock in shocks[1:]:
        values.append(correlation * values[-1] + shock)
    return values


@given(st.floats(-1000, 1000), st.floats(-1e6, 1e6), st.integers(12, 40))
def test_a_straight_line_has_its_slope_and_no_doubt(each: float, once: float, count: int) -> None:
    found = slope_per(series([once + each * place for place in range(count)]))
    assert found == pytest.approx((each, each, each), rel=1e-6, abs=1e-9 * max(abs(once), 1))


@given(st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=30), st.floats(0.01, 100))
def test_units_scale_and_a_mirror_turns(values: list[float], factor: float) -> None:
    """y × f has the slope × f, and -y the slope and its bounds turned over."""
    found, low, high = slope_per(series(values))
    close = 1e-6 * max(map(abs, values)) * max(factor, 1)
    assert slope_per(series([-value for value in values])) == pytest.approx((-found, -high, -low), abs=close)
    assert slope_per(series([value * 4 for value in values])) == pytest.approx((found * 4, low * 4, high * 4))
    assert slope_per([(x * factor, y) for x, y in series(values)])[0] == pytest.approx(
        found / factor, abs=close / factor
    )
    assert low <= found <= high


@pytest.mark.parametrize(
    ("points", "found"),
    [
        pytest.param(series([1.0, 3.0]), (2.0, -math.inf, math.inf), id="two-points-have-no-bounds"),
        pytest.param(
            series([0.0, 1.0, 2.0, 3.0]), (1.0, -math.inf, math.inf), id="four-neither-even-in-a-line"
        ),
        pytest.param(series([7.0] * 20), (0.0, 0.0, 0.0), id="memory-that-stands-still"),
        pytest.param(series([0.0] * 20), (0.0, 0.0, 0.0), id="nothing-at-all"),
        pytest.param(
            [(0.0, 1.0), (0.0, 3.0), (1.0, 2.0)], (0.0, -math.inf, math.inf), id="two-at-once-have-no-slope"
        ),
    ],
)
def test_slope_per(points: Points, found: tuple[float, float, float]) -> None:
    assert slope_per(points) == found


def test_the_bounds_are_the_ranks_that_sen_gives() -> None:
    """Ten points, 45 slopes: √125 × 1.96 is 21.9, so the 11th from either end."""
    values = [0.0, 2.1, 1.7, 4.6, 3.2, 6.9, 5.1, 8.8, 7.3, 10.4]
    slopes = sorted((b - a) / (j - i) for i, a in enumerate(values) for j, b in enumerate(values) if j > i)
    assert slope_per(series(values)) == pytest.approx((slopes[22], slopes[10], slopes[-11]))


@pytest.mark.parametrize(
    "points",
    [
        pytest.param([], id="none"),
        pytest.param([(1.0, 1.0)], id="one"),
        pytest.param([(1.0, 1.0), (1.0, 2.0)], id="two-at-the-same-x"),
    ],
)
def test_no_slope(points: Points) -> None:
    with pytest.raises(ValueError, match="two points"):
        slope_per(points)


def test_outliers_do_not_move_a_slope() -> None:
    """A fifth of the points a hundred times too high, all in the second half."""
    chance = np.random.default_rng(1)
    values = [place + 0.1 * chance.standard_normal() for place in range(40)]
    for place in range(22, 38, 2):
        values[place] *= 100
    found, low, high = slope_per(series(values))
    assert found == pytest.approx(1, rel=0.05)
    assert low <= 1 <= high


@pytest.mark.parametrize(
    ("correlation", "least"),
    [
        pytest.param(0.0, 0.92, id="independent"),
        pytest.param(0.5, 0.90, id="each-half-like-the-one-before"),
        pytest.param(0.9, 0.85, id="each-much-like-the-one-before"),
    ],
)
def test_what_has_no_trend_is_not_called_growing(correlation: float, least: float) -> None:
    """Without regard to correlation the last would be called so in 60 runs of 100."""
    chance = np.random.default_rng(3)
    runs = [slope_per(series(correlated(60, correlation, chance))) for _ in range(200)]
    assert sum(low <= 0 <= high for _, low, high in runs) >= least * len(runs)


def test_a_leak_is_found_beneath_noise() -> None:
    """One unit a second beneath correlated noise of two."""
    chance = np.random.default_rng(4)
    values = [place + 2 * value for place, value in enumerate(correlated(60, 0.5, chance))]
    _, low, high = slope_per(series(values))
    assert 0.8 < low < 1 < high < 1.2
