"""What a unit of work costs, and how many one core can do."""

import math

import pytest

from benchmarks.analysis.cost import micros_per_unit, pace


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
