"""The arithmetic of results."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.figures import Bar, Figure, Verdict, figure, micros_per_unit, pace, slope
from benchmarks.tally import Distribution, Tally


@pytest.mark.parametrize(
    ("gateway", "nginx", "bar", "verdict"),
    [
        pytest.param(7.0, 1.0, Bar(7, of_nginx=True), Verdict.KEPT, id="just-at-the-bar-is-kept"),
        pytest.param(7.1, 1.0, Bar(7, of_nginx=True), Verdict.MISSED, id="a-ratio-above-is-missed"),
        pytest.param(7.0, None, Bar(7, of_nginx=True), Verdict.OPEN, id="no-nginx-no-verdict"),
        pytest.param(
            7.0, 0.0, Bar(7, of_nginx=True), Verdict.OPEN, id="a-yardstick-of-nothing-measures-nothing"
        ),
        pytest.param(7.0, -0.1, Bar(7, of_nginx=True), Verdict.OPEN, id="a-yardstick-below-zero-is-noise"),
        pytest.param(3.0, None, Bar(3), Verdict.KEPT, id="an-absolute-bar-needs-no-nginx"),
        pytest.param(3.1, 9.0, Bar(3), Verdict.MISSED, id="an-absolute-bar-ignores-nginx"),
        pytest.param(math.inf, 1.0, Bar(7, of_nginx=True), Verdict.MISSED, id="nothing-done-is-missed"),
        pytest.param(math.nan, 1.0, Bar(7, of_nginx=True), Verdict.MISSED, id="not-a-number-is-missed"),
        pytest.param(1.0, 1.0, None, Verdict.OPEN, id="no-bar-no-verdict"),
    ],
)
def test_verdict(gateway: float, nginx: float | None, bar: Bar | None, verdict: Verdict) -> None:
    assert Figure("f", "µs", gateway, nginx, bar).verdict is verdict


def test_a_figure_is_the_median_of_its_rounds() -> None:
    """One disturbed round doesn't move it."""
    made = figure("f", "µs", {"gateway": [70, 71, 900], "nginx": [20, 19, 21]})
    assert (made.gateway, made.nginx, made.ratio) == (71, 20, 3.55)


def test_a_figure_without_yardstick_has_no_ratio() -> None:
    """None, not zero."""
    assert figure("f", "s", {"gateway": [1.0]}).ratio is None


@pytest.mark.parametrize(
    ("cpu_seconds", "units", "micros"),
    [
        pytest.param(0.5, 10_000, 50.0, id="half-a-second-for-ten-thousand"),
        pytest.param(0.5, 0, math.inf, id="nothing-done-is-not-free"),
    ],
)
def test_micros_per_unit(cpu_seconds: float, units: int, micros: float) -> None:
    assert micros_per_unit(cpu_seconds, units) == micros


@pytest.mark.parametrize(
    ("units", "wall", "cpu", "per_second"),
    [
        pytest.param(1000, 1.0, 0.95, 1000.0, id="a-full-core-counts-as-seen"),
        pytest.param(1000, 1.0, 0.5, 2000.0, id="a-half-full-one-is-derived"),
        pytest.param(0, 1.0, 0.0, 0.0, id="nothing-done"),
    ],
)
def test_pace(units: int, wall: float, cpu: float, per_second: float) -> None:
    assert pace(units, wall, cpu) == per_second


@given(st.integers(0, 10**9), st.integers(0, 10**6), st.integers(1, 1000), st.integers(1, 1000))
def test_slope_ignores_what_is_paid_once(once: int, each: int, fewer: int, further: int) -> None:
    """once + each × n has the slope `each`."""
    more = fewer + further
    assert slope(fewer, once + each * fewer, more, once + each * more) == pytest.approx(each)


@pytest.mark.parametrize("percent", [50, 90, 99, 99.9])
def test_percentiles_are_within_a_thousandth(percent: float) -> None:
    """Against the exact percentile of a known sample."""
    sample_us = random.Random(4).sample(range(1000, 1_000_000), 10_000)
    distribution = Distribution()
    for duration_us in sample_us:
        distribution.record_ns(duration_us * 1000)
    exact_us = sorted(sample_us)[math.ceil(percent / 100 * len(sample_us)) - 1]
    assert distribution.percentile_ms(percent) == pytest.approx(exact_us / 1000, rel=0.001)


@pytest.mark.parametrize(
    ("duration_ns", "milliseconds"),
    [
        pytest.param(0, 0.001, id="nothing-counts-as-a-microsecond"),
        pytest.param(10**12, 60_000, id="beyond-a-minute-counts-as-a-minute"),
    ],
)
def test_no_duration_is_lost(duration_ns: int, milliseconds: float) -> None:
    distribution = Distribution()
    distribution.record_ns(duration_ns)
    assert distribution.count == 1
    assert distribution.percentile_ms(50) == pytest.approx(milliseconds, rel=0.001)


def test_an_empty_distribution_has_no_percentile() -> None:
    """Zero would read as very fast, so whoever asks must look at the count; errors fail the run anyway."""
    assert (Distribution().count, Distribution().percentile_ms(99)) == (0, 0.0)


def test_faults_are_counted_by_kind_with_the_first_as_example() -> None:
    """Details differ from fault to fault; the kind is the part before the colon."""
    tally = Tally()
    tally.fail("status 502: first")
    tally.fail("status 502: second", 2)
    assert (tally.errors, tally.examples) == ({"status 502": 3}, {"status 502": "status 502: first"})
