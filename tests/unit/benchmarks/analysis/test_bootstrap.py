"""Intervals from rounds in blocks: what they must find, bear and refuse."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.analysis.bootstrap import (
    hodges_lehmann,
    median_interval,
    ratio_interval,
    t_975,
    weighted_medians,
)

Blocks = list[list[float]]

SHAPES = st.lists(st.integers(1, 4), min_size=2, max_size=8)
COSTS = st.floats(0.001, 1e6)
WILD = st.lists(st.lists(st.floats(), max_size=4), max_size=8)


@st.composite
def paired(draw: st.DrawFn) -> tuple[Blocks, Blocks]:
    """Costs of two subjects in the same blocks."""
    shape = draw(SHAPES)
    subject = [draw(st.lists(COSTS, min_size=count, max_size=count)) for count in shape]
    return subject, [draw(st.lists(COSTS, min_size=count, max_size=count)) for count in shape]


def noisy(blocks: int, rounds: int, seed: int) -> Blocks:
    """Costs about 1, with 2 % between blocks and 6 % within."""
    chance = np.random.default_rng(seed)
    logs = 0.02 * chance.standard_normal((blocks, 1)) + 0.06 * chance.standard_normal((blocks, rounds))
    costs: Blocks = np.exp(logs).tolist()
    return costs


def scaled(blocks: Blocks, factor: float) -> Blocks:
    return [[value * factor for value in block] for block in blocks]


@given(paired(), st.floats(0.01, 100))
def test_a_factor_without_noise_is_found_exactly(costs: tuple[Blocks, Blocks], factor: float) -> None:
    """However much the machine's pace changes from pair to pair, and with no width left."""
    reference, _ = costs
    assert ratio_interval(scaled(reference, factor), reference) == pytest.approx((factor, factor, factor))


@given(paired())
def test_swapping_the_two_turns_the_ratio_over(costs: tuple[Blocks, Blocks]) -> None:
    """Compared as logarithms: where two blocks differ widely the bounds are far out."""
    subject, reference = costs
    forth, back = ratio_interval(subject, reference), ratio_interval(reference, subject)
    assert forth is not None
    assert back is not None
    ratio, low, high = (math.log(value) for value in forth)
    assert [-math.log(value) for value in back] == pytest.approx([ratio, high, low], abs=1e-6)


@given(st.integers(0, 1000), st.floats(0.01, 100))
def test_the_unit_does_not_matter(seed: int, factor: float) -> None:
    """Milliseconds or seconds: the same ratio."""
    subject, reference = noisy(6, 2, seed), noisy(6, 2, seed + 1)
    found = ratio_interval(scaled(subject, factor), scaled(reference, factor))
    assert found == pytest.approx(ratio_interval(subject, reference))


def test_the_seed_decides_everything() -> None:
    """The same gives the same to the last digit; another one hardly moves it."""
    subject, reference = noisy(6, 3, 1), noisy(6, 3, 2)
    first, again, other = (ratio_interval(subject, reference, seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert first == pytest.approx(other, rel=0.01)


@given(WILD, WILD)
def test_whatever_comes_in_the_interval_is_finite_and_in_order_or_there_is_none(
    subject: Blocks, reference: Blocks
) -> None:
    """Not a number, infinite, negative, of any length: JSON could not say infinity either."""
    found = ratio_interval(subject, reference)
    if found is not None:
        ratio, low, high = found
        assert 0 < low <= ratio <= high < math.inf


@pytest.mark.parametrize(
    ("subject", "reference"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([[], []], [[], []], id="blocks-without-rounds"),
        pytest.param([[1.0], [2.0]], [], id="nothing-to-compare-with"),
        pytest.param([[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0]], id="one-start-of-each-says-nothing-of-luck"),
        pytest.param([[1.0, 2.0], []], [[1.0, 2.0], [3.0]], id="pairs-in-one-block-only"),
        pytest.param([[1.0], [0.0], [1.0]], [[1.0]] * 3, id="a-third-is-zero"),
        pytest.param([[1.0], [1.0], [1.0]], [[1.0], [-0.1], [1.0]], id="a-third-is-negative"),
        pytest.param([[math.inf], [1.0], [1.0]], [[1.0]] * 3, id="a-third-is-infinite"),
        pytest.param([[math.nan], [1.0], [1.0]], [[1.0]] * 3, id="a-third-is-not-a-number"),
    ],
)
def test_there_is_no_ratio_of(subject: Blocks, reference: Blocks) -> None:
    assert ratio_interval(subject, reference) is None


@pytest.mark.parametrize(
    "useless",
    [
        pytest.param((0.0, 1.0), id="zero"),
        pytest.param((-1.0, 1.0), id="negative"),
        pytest.param((1.0, math.inf), id="infinite"),
        pytest.param((math.nan, 1.0), id="not-a-number"),
    ],
)
def test_one_pair_in_ten_that_is_no_ratio_is_left_out(useless: tuple[float, float]) -> None:
    """The other nine say the same as without it."""
    subject, reference = noisy(3, 3, 1), noisy(3, 3, 2)
    without = ratio_interval(subject, reference)
    subject[1].append(useless[0])
    reference[1].append(useless[1])
    assert ratio_interval(subject, reference) == without


def test_what_only_one_of_the_two_has_is_left_out() -> None:
    """A round more in a block, and a block more."""
    subject, reference = noisy(4, 2, 1), noisy(4, 2, 2)
    longer = [[*subject[0], 99.0], *subject[1:], [99.0, 99.0]]
    assert ratio_interval(longer, reference) == ratio_interval(subject, reference)


def test_a_disturbed_pair_hardly_moves_the_ratio() -> None:
    """By less than 2 %, where the mean would move by 5 %."""
    subject, reference = noisy(6, 2, 1), noisy(6, 2, 2)
    calm = ratio_interval(subject, reference)
    subject[2][1] *= 1.8
    disturbed = ratio_interval(subject, reference)
    assert calm is not None
    assert disturbed is not None
    assert disturbed[0] == pytest.approx(calm[0], rel=0.02)


def test_what_blocks_share_widens_the_interval() -> None:
    """The same values: once each block has its own luck, once every block has all of it."""
    lucky = [[level] * 4 for level in (0.97, 0.99, 1.01, 1.03)]
    mixed = [[0.97, 0.99, 1.01, 1.03]] * 4
    same = [[1.0] * 4] * 4
    between, within = ratio_interval(lucky, same), ratio_interval(mixed, same)
    assert between is not None
    assert within is not None
    assert between[0] == pytest.approx(within[0])
    assert between[2] / between[1] > 1.05
    assert within[1:] == pytest.approx((within[0], within[0]))


VALUES_AND_COUNTS = st.lists(
    st.tuples(st.integers(-50, 50), st.integers(0, 4)), min_size=1, max_size=8
).filter(lambda drawn: any(count for _, count in drawn))


@given(VALUES_AND_COUNTS)
def test_weighted_medians_are_medians_of_repeated_values(drawn: list[tuple[int, int]]) -> None:
    """Against the standard library's, value by value."""
    values, counts = zip(*drawn, strict=True)
    found = weighted_medians(np.array(values, dtype=np.float64), np.array([counts], dtype=np.int32))
    assert found.tolist() == [statistics.median(repeated(drawn))]


@given(VALUES_AND_COUNTS)
def test_hodges_lehmann_is_the_median_of_all_averages_of_two(drawn: list[tuple[int, int]]) -> None:
    """Against the definition."""
    values, counts = zip(*drawn, strict=True)
    found = hodges_lehmann(np.array(values, dtype=np.float64), np.array([counts], dtype=np.int32))
    sample = repeated(drawn)
    averages = [(a + b) / 2 for place, a in enumerate(sample) for b in sample[place:]]
    assert found.tolist() == [statistics.median(averages)]


def repeated(drawn: list[tuple[int, int]]) -> list[int]:
    return [value for value, count in drawn for _ in range(count)]


@pytest.mark.parametrize(
    ("degrees", "quantile"),
    [
        (1, 12.706),
        (5, 2.571),
        (11, 2.201),
        (30, 2.042),
        (31, 2.0395),
        (40, 2.0211),
        (120, 1.9799),
        (10**6, 1.960),
    ],
)
def test_quantiles_of_students_t(degrees: int, quantile: float) -> None:
    assert t_975(degrees) == pytest.approx(quantile, abs=0.0006)


@pytest.mark.parametrize(
    ("blocks", "interval"),
    [
        pytest.param([], None, id="nothing"),
        pytest.param([[], []], None, id="blocks-without-rounds"),
        pytest.param([[3.0]], (3.0, 3.0), id="a-single-round"),
        pytest.param([[3.0, 1.0, 2.0]], (1.0, 3.0), id="one-block-shows-what-was-seen"),
        pytest.param([[3.0], [math.inf]], (3.0, math.inf), id="nothing-done-is-not-hidden"),
        pytest.param([[2.0, 2.0], [2.0]], (2.0, 2.0), id="no-noise-no-width"),
        pytest.param([[1.0, 4.0]] * 2, (2.5, 2.5), id="between-two-middle-ones-as-in-the-table"),
        pytest.param([[-2.0], [-2.0]], (-2.0, -2.0), id="below-zero"),
        pytest.param([[0.0], [0.0], []], (0.0, 0.0), id="zero"),
    ],
)
def test_median_interval(blocks: Blocks, interval: tuple[float, float] | None) -> None:
    assert median_interval(blocks) == (None if interval is None else pytest.approx(interval))


@given(st.lists(st.lists(st.floats(-1000, 1000), min_size=1, max_size=4), min_size=1, max_size=8))
def test_the_interval_holds_the_median(blocks: Blocks) -> None:
    """Also where values are negative."""
    interval = median_interval(blocks)
    assert interval is not None
    low, high = interval
    median = statistics.median(value for block in blocks for value in block)
    slack = 1e-9 * abs(median) + 1e-300
    assert low - slack <= median <= high + slack


@given(st.lists(st.lists(COSTS, min_size=1, max_size=4), min_size=2, max_size=8))
def test_no_cost_has_a_bound_below_zero(blocks: Blocks) -> None:
    """Two blocks far apart give a wide interval, yet a possible one."""
    interval = median_interval(blocks)
    assert interval is not None
    assert interval[0] > 0
