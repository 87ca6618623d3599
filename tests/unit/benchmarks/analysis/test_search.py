"""The search for the throughput frontier, against curves whose answer is known."""

import math
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.analysis.search import Frontier

LIMITS_MS = (1.0, 5.0, 10.0, 50.0)
START, HIGHEST, RESOLUTION, ENOUGH = 500.0, 32_000.0, 0.05, 100
STEP = 1 + RESOLUTION

Measure = Callable[[float], float | None]

KNEES = st.floats(300, 60_000)
BASES_MS = st.floats(0.1, 2)


def queue(knee: float, base_ms: float) -> Measure:
    """A single queue: latency rises without limit towards `knee`, and beyond it nothing is answered in time."""
    return lambda rate: None if rate >= knee else base_ms + 0.3 * rate / (knee - rate)


def true_rate(knee: float, base_ms: float, limit_ms: float) -> float:
    """Where that curve reaches the limit, within what the search may try."""
    share = (limit_ms - base_ms) / 0.3
    return min(knee * share / (1 + share), HIGHEST) if share > 0 else 0.0


def searched(measure: Measure, most_probes: int = ENOUGH) -> tuple[dict[float, float], list[float]]:
    """The answers, and the rates that were measured for them."""
    search = Frontier(LIMITS_MS, START, HIGHEST, RESOLUTION, most_probes)
    rates = list[float]()
    while (rate := search.next_rate()) is not None:
        rates.append(rate)
        search.record(rate, measure(rate))
    return search.highest(), rates


def disturbed(measure: Measure, added_ms: Sequence[float | None]) -> Measure:
    """The same, but one measurement after the other takes that much longer; None fails it."""
    rest = iter(added_ms)

    def measured(rate: float) -> float | None:
        seen, more = measure(rate), next(rest, 0.0)
        return None if seen is None or more is None else seen + more

    return measured


@given(KNEES, BASES_MS)
def test_the_rate_is_found_within_the_resolution_below_the_true_one(knee: float, base_ms: float) -> None:
    """For each limit; one that is not even kept at the start is 0."""
    answers, _ = searched(queue(knee, base_ms))
    for limit, found in answers.items():
        true = true_rate(knee, base_ms, limit)
        assert found <= true * (1 + 1e-9)
        assert found >= true / STEP * (1 - 1e-9) or true <= START * STEP


@given(KNEES, BASES_MS)
def test_twenty_probes_do_nearly_always(knee: float, base_ms: float) -> None:
    """Where each limit has its knee elsewhere the answers are coarser, by less than a tenth."""
    answers, rates = searched(queue(knee, base_ms), 20)
    assert len(rates) <= 20
    for limit, found in answers.items():
        true = true_rate(knee, base_ms, limit)
        assert found <= true * (1 + 1e-9)
        assert found >= true / 1.1 or true <= START * STEP


@given(KNEES, BASES_MS, st.integers(0, 25), st.one_of(st.none(), st.floats(0.1, 1000)))
def test_one_disturbed_measurement_costs_at_most_the_resolution_again(
    knee: float, base_ms: float, place: int, more_ms: float | None
) -> None:
    """Wherever in the search it comes, and even where the run failed."""
    answers, _ = searched(disturbed(queue(knee, base_ms), [*[0.0] * place, more_ms]))
    for limit, found in answers.items():
        true = true_rate(knee, base_ms, limit)
        assert found <= true * (1 + 1e-9)
        assert found >= true / STEP**2 * (1 - 1e-9) or true <= START * STEP**2


@given(
    KNEES,
    BASES_MS,
    st.lists(st.one_of(st.none(), st.floats(-5, 100)), max_size=60),
    st.integers(1, 30),
)
def test_any_noise_ends_within_the_probes_and_never_repeats_a_rate(
    knee: float, base_ms: float, added_ms: list[float | None], most_probes: int
) -> None:
    """Also where noise lets a limit be kept by luck; a looser limit never has the lower rate."""
    answers, rates = searched(disturbed(queue(knee, base_ms), added_ms), most_probes)
    assert len(rates) == len(set(rates)) <= most_probes
    assert all(START <= rate <= HIGHEST for rate in rates)
    assert set(answers.values()) <= {0.0, *rates}
    assert sorted(answers.values()) == [answers[limit] for limit in LIMITS_MS]


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=True)), max_size=300))
def test_nonsense_ends_too(added_ms: list[float | None]) -> None:
    """Without a bound on probes: the gaps close whatever is measured."""
    _, rates = searched(disturbed(lambda _rate: 0.0, added_ms), 10_000)
    assert len(rates) <= len(added_ms) + ENOUGH


@pytest.mark.parametrize(
    ("measure", "answers"),
    [
        pytest.param(lambda _rate: 0.2, [HIGHEST] * 4, id="never-too-slow-ends-at-the-highest-rate"),
        pytest.param(lambda _rate: None, [0.0] * 4, id="always-failing-is-0"),
        pytest.param(lambda _rate: math.nan, [0.0] * 4, id="not-a-number-keeps-no-limit"),
        pytest.param(lambda _rate: 1.0, [0.0, *[HIGHEST] * 3], id="at-the-limit-is-not-under-it"),
        pytest.param(lambda _rate: -0.1, [HIGHEST] * 4, id="noise-below-zero-is-under-every-limit"),
    ],
)
def test_extremes(measure: Measure, answers: list[float]) -> None:
    found, rates = searched(measure)
    assert list(found.values()) == answers
    assert len(rates) <= 8


def test_the_rate_doubles_and_what_is_measured_counts_for_all_limits() -> None:
    """A cliff: one knee for all limits takes hardly more than one limit would."""
    _, rates = searched(lambda rate: 0.5 if rate < 3000 else None)
    assert rates[:5] == [500, 1000, 2000, 4000, pytest.approx(math.sqrt(2000 * 4000))]
    assert len(rates) <= 10


def test_few_probes_are_shared_among_the_gaps_that_are_widest() -> None:
    """Two knees: after seven measurements up to the highest rate, one more goes to each."""
    _, rates = searched(lambda rate: 0.5 if rate < 600 else 6 if rate < 20_000 else 70, 9)
    assert sorted(rates[7:]) == pytest.approx([500 * math.sqrt(2), 16_000 * math.sqrt(2)])


def test_a_start_at_the_highest_rate_is_one_measurement() -> None:
    """There is nothing beside it."""
    search = Frontier(LIMITS_MS, 500, 500)
    assert search.next_rate() == 500
    search.record(500, 3.0)
    assert search.next_rate() is None
    assert search.highest() == {1.0: 0.0, 5.0: 500.0, 10.0: 500.0, 50.0: 500.0}


@pytest.mark.parametrize(
    ("start", "highest", "resolution"),
    [
        pytest.param(0.0, 100.0, 0.05, id="no-start-to-double"),
        pytest.param(200.0, 100.0, 0.05, id="start-above-the-highest"),
        pytest.param(1.0, 100.0, 0.0, id="no-resolution-would-never-end"),
    ],
)
def test_searches_that_make_no_sense(start: float, highest: float, resolution: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Frontier(LIMITS_MS, start, highest, resolution)
