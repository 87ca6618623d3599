"""How often intervals hold the truth, and how often verdicts are right, under a virtual machine's noise.

One simulation for each size of run, with the ratio 1: a true ratio of 1.10 only shifts the
interval by that factor, which test_bootstrap.py shows. Seeded, so the outcome is always the same;
the bounds are about three standard errors below what 4,000 runs gave.
"""

import math

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.analysis.bootstrap import median_interval, ratio_interval
from benchmarks.analysis.verdicts import verdict
from benchmarks.record import Verdict

RUNS = 200
THRESHOLD = 0.05


def noise(chance: np.random.Generator, blocks: int, rounds: int) -> npt.NDArray[np.float64]:
    """Factors about 1: 2 % between blocks, 6 % within, and one in 33 is off by 30 % either way."""
    logs = 0.02 * chance.standard_normal((blocks, 1)) + 0.06 * chance.standard_normal((blocks, rounds))
    disturbed = chance.random((blocks, rounds)) < 0.03
    ways = np.where(chance.random((blocks, rounds)) < 0.5, -1, 1)
    return np.exp(logs + disturbed * ways * math.log(1.3))


@pytest.mark.parametrize(
    ("blocks", "rounds", "found", "same"),
    [
        pytest.param(6, 2, 0.27, 0.08, id="6-blocks-of-2"),
        pytest.param(6, 3, 0.43, 0.22, id="6-blocks-of-3"),
        pytest.param(10, 3, 0.75, 0.64, id="10-blocks-of-3"),
        pytest.param(12, 3, 0.85, 0.79, id="12-blocks-of-3"),
    ],
)
def test_ratio_intervals_cover_and_verdicts_hold(blocks: int, rounds: int, found: float, same: float) -> None:
    """found: the share of runs that call 10 % slower. No run may call equals slower or faster."""
    chance = np.random.default_rng(blocks * rounds)
    ones = [[1.0] * rounds] * blocks
    covered = 0
    equals, planted = list[Verdict](), list[Verdict]()
    for run in range(RUNS):
        interval = ratio_interval(noise(chance, blocks, rounds).tolist(), ones, seed=run)
        assert interval is not None
        _, low, high = interval
        covered += low <= 1 <= high
        equals.append(verdict(low, high, THRESHOLD))
        planted.append(verdict(low * 1.1, high * 1.1, THRESHOLD))
    assert covered >= 0.92 * RUNS
    assert set(equals) <= {Verdict.SAME, Verdict.CANT_TELL}
    assert equals.count(Verdict.SAME) >= same * RUNS
    assert set(planted) <= {Verdict.SLOWER, Verdict.CANT_TELL, Verdict.SAME}
    assert planted.count(Verdict.SLOWER) >= found * RUNS
    assert planted.count(Verdict.SAME) <= 0.01 * RUNS


def test_median_intervals_cover() -> None:
    """The rounds of one subject under the same noise."""
    chance = np.random.default_rng(1)
    covered = 0
    for run in range(RUNS):
        interval = median_interval(noise(chance, 8, 3).tolist(), seed=run)
        assert interval is not None
        covered += interval[0] <= 1 <= interval[1]
    assert covered >= 0.92 * RUNS
