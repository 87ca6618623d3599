"""What the load generator saw, as numbers."""

import math
import random

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.load.tally import Distribution, Tally


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


def of_ms(*durations_ms: float) -> Distribution:
    distribution = Distribution()
    distribution.record_all_ns(round(duration * 1e6) for duration in durations_ms)
    return distribution


@settings(max_examples=20)
@given(st.lists(st.integers(0, 10**11), min_size=1, max_size=300))
def test_a_cumulative_curve_rises_to_all(durations_ns: list[int]) -> None:
    """Both of its axes, and it ends with the longest at 100 percent."""
    distribution = Distribution()
    distribution.record_all_ns(durations_ns)
    points = distribution.cdf()
    assert points == sorted(points)
    assert [percent for _, percent in points] == sorted({percent for _, percent in points})
    longest_ms = min(max(max(durations_ns) // 1000, 1), 60_000_000) / 1000
    assert points[-1][0] == pytest.approx(longest_ms, rel=0.001)
    assert points[-1][1] == 100


def test_no_samples_make_no_curve() -> None:
    """And no error either, in any form."""
    nothing = Distribution()
    assert (nothing.cdf(), list(nothing.samples_ms())) == ([], [])
    assert HdrHistogram.decode(nothing.encoded()).get_total_count() == 0


def test_what_is_recorded_after_a_percentile_was_asked_for_counts() -> None:
    """The histogram is made anew, and samples can still be added after arrays were made of them."""
    distribution = of_ms(1)
    assert distribution.percentile_ms(100) == pytest.approx(1, rel=0.001)
    assert list(distribution.samples_ms()) == [1.0]
    distribution.record_ns(9_000_000)
    distribution.add(of_ms(20, 30))
    assert distribution.percentile_ms(100) == pytest.approx(30, rel=0.001)
    assert list(distribution.samples_ms()) == [1.0, 9.0, 20.0, 30.0]


def test_one_slow_request_among_a_thousand_is_not_averaged_away() -> None:
    """It is beyond the 99th percentile and is the 100th."""
    distribution = of_ms(*[1.0] * 999, 5000.0)
    assert distribution.percentile_ms(99) == pytest.approx(1, rel=0.001)
    assert distribution.percentile_ms(100) == pytest.approx(5000, rel=0.001)
    assert distribution.cdf()[-1][0] == pytest.approx(5000, rel=0.001)


def test_the_histogram_can_be_read_elsewhere() -> None:
    """In HdrHistogram's own form, in microseconds."""
    decoded = HdrHistogram.decode(of_ms(1, 2, 3).encoded())
    assert decoded.get_total_count() == 3
    assert decoded.get_value_at_percentile(50) == 2000
