"""From an interval to a word, and from words to an exit status."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.analysis.verdicts import Thresholds, compare, is_regression, verdict
from benchmarks.record import Comparison, Figure, Kind, Verdict


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        pytest.param(1.06, 1.20, Verdict.SLOWER, id="all-beyond-is-slower"),
        pytest.param(1.05, 1.20, Verdict.CANT_TELL, id="touching-the-threshold-is-not-beyond"),
        pytest.param(1.01, 1.20, Verdict.CANT_TELL, id="surely-worse-but-perhaps-by-less-than-counts"),
        pytest.param(0.96, 1.04, Verdict.SAME, id="all-within-is-the-same"),
        pytest.param(1.01, 1.04, Verdict.SAME, id="surely-worse-but-by-less-than-counts"),
        pytest.param(1 / 1.05, 1.05, Verdict.SAME, id="both-bounds-are-within"),
        pytest.param(0.80, 1.30, Verdict.CANT_TELL, id="wide-tells-nothing"),
        pytest.param(0.80, 0.97, Verdict.CANT_TELL, id="perhaps-better"),
        pytest.param(0.80, 0.95, Verdict.FASTER, id="all-below-is-faster"),
        pytest.param(0.80, 0.953, Verdict.CANT_TELL, id="the-bound-below-is-1-divided-not-1-minus"),
        pytest.param(math.nan, math.nan, Verdict.CANT_TELL, id="not-a-number"),
    ],
)
def test_verdict(low: float, high: float, word: Verdict) -> None:
    assert verdict(low, high, 0.05) is word


TURNED = {
    Verdict.SLOWER: Verdict.FASTER,
    Verdict.FASTER: Verdict.SLOWER,
    Verdict.SAME: Verdict.SAME,
    Verdict.CANT_TELL: Verdict.CANT_TELL,
}


@given(st.floats(0.5, 2), st.floats(1, 2), st.sampled_from([0.05, 0.1, 0.3]))
def test_swapping_the_two_turns_the_verdict(low: float, width: float, threshold: float) -> None:
    """The bounds lie alike on both sides; only rounding at the very bound may differ."""
    high = low * width
    edges = [low / (1 + threshold), high / (1 + threshold), low * (1 + threshold), high * (1 + threshold)]
    if not any(math.isclose(edge, 1) for edge in edges):
        assert verdict(1 / high, 1 / low, threshold) is TURNED[verdict(low, high, threshold)]


def figure(
    subject: list[float],
    reference: list[float],
    *,
    kind: Kind = Kind.CPU,
    unit: str = "µs",
    scale: float = 1.0,
) -> Figure:
    """A figure with one round in each block."""
    blocks = {
        "head": [[value * scale] for value in subject],
        "base": [[value * scale] for value in reference],
        "new": list[list[float]](),
    }
    return Figure(key="json.cpu", name="JSON: CPU per request", unit=unit, kind=kind, blocks=blocks)


SIX = [1.00, 1.01, 0.99, 1.00, 1.01, 0.99]
WORSE = [value * 1.2 for value in SIX]


@pytest.mark.parametrize(
    ("subject", "reference", "kind", "ratio", "word"),
    [
        pytest.param(WORSE, SIX, Kind.CPU, 1.2, Verdict.SLOWER, id="more-cpu-is-slower"),
        pytest.param(SIX, WORSE, Kind.CPU, 1 / 1.2, Verdict.FASTER, id="less-cpu-is-faster"),
        pytest.param(WORSE, SIX, Kind.PACE, 1 / 1.2, Verdict.FASTER, id="more-per-second-is-faster"),
        pytest.param(SIX, WORSE, Kind.PACE, 1.2, Verdict.SLOWER, id="fewer-per-second-is-slower"),
        pytest.param(SIX, SIX, Kind.MEMORY, 1.0, Verdict.SAME, id="equals-are-the-same"),
    ],
)
def test_compare(
    subject: list[float], reference: list[float], kind: Kind, ratio: float, word: Verdict
) -> None:
    found = compare(figure(subject, reference, kind=kind), "head", "base", Thresholds())
    assert found is not None
    assert (found.key, found.subject, found.reference) == ("json.cpu", "head", "base")
    assert found.ratio == pytest.approx(ratio)
    assert found.low <= found.ratio <= found.high
    assert (found.threshold, found.verdict) == (0.05, word)


@pytest.mark.parametrize(
    ("subject", "reference"),
    [
        pytest.param("new", "base", id="a-subject-without-rounds"),
        pytest.param("head", "new", id="a-reference-without-rounds"),
        pytest.param("head", "absent", id="a-reference-that-was-not-there"),
    ],
)
def test_nothing_to_compare(subject: str, reference: str) -> None:
    assert compare(figure(WORSE, SIX), subject, reference, Thresholds()) is None


@pytest.mark.parametrize(
    ("kind", "unit", "scale", "threshold", "word"),
    [
        pytest.param(Kind.LATENCY, "ms", 1.0, 0.10, Verdict.SLOWER, id="a-fifth-of-a-millisecond-counts"),
        pytest.param(Kind.LATENCY, "ms", 0.2, 0.10, Verdict.SLOWER, id="the-floor-is-a-tenth-of-200-µs"),
        pytest.param(Kind.LATENCY, "ms", 0.05, 0.40, Verdict.SAME, id="10-µs-of-50-are-a-wake-up"),
        pytest.param(Kind.LATENCY, "µs", 50.0, 0.40, Verdict.SAME, id="also-when-told-in-µs"),
        pytest.param(Kind.LATENCY, "s", 0.00005, 0.40, Verdict.SAME, id="also-when-told-in-seconds"),
        pytest.param(Kind.LATENCY, "%", 0.05, 0.10, Verdict.SLOWER, id="no-floor-where-the-unit-is-no-time"),
        pytest.param(Kind.CPU, "ms", 0.05, 0.05, Verdict.SLOWER, id="cpu-is-counted-not-waited-for"),
    ],
)
def test_floor_of_latency(kind: Kind, unit: str, scale: float, threshold: float, word: Verdict) -> None:
    found = compare(figure(WORSE, SIX, kind=kind, unit=unit, scale=scale), "head", "base", Thresholds())
    assert found is not None
    assert found.threshold == pytest.approx(threshold)
    assert found.verdict is word


@pytest.mark.parametrize(
    ("cpu", "p99", "expected"),
    [
        pytest.param(None, None, Thresholds(), id="nothing-given"),
        pytest.param(3.0, None, Thresholds(cpu=0.03), id="cpu"),
        pytest.param(None, 25.0, Thresholds(latency=0.25), id="p99-is-every-latency"),
        pytest.param(3.0, 25.0, Thresholds(cpu=0.03, latency=0.25), id="both"),
    ],
)
def test_thresholds_from_percents(cpu: float | None, p99: float | None, expected: Thresholds) -> None:
    assert Thresholds.from_percents(cpu, p99) == expected


@pytest.mark.parametrize(
    ("cpu", "p99"),
    [
        pytest.param(0.0, None, id="zero-would-make-noise-a-regression"),
        pytest.param(None, -5.0, id="negative"),
        pytest.param(math.nan, None, id="not-a-number"),
    ],
)
def test_thresholds_that_make_no_sense(cpu: float | None, p99: float | None) -> None:
    with pytest.raises(ValueError, match="above 0 %"):
        Thresholds.from_percents(cpu, p99)


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_its_threshold(kind: Kind) -> None:
    given_all = Thresholds(cpu=0.1, latency=0.2, pace=0.3, memory=0.4, start=0.5)
    by_kind = {Kind.CPU: 0.1, Kind.LATENCY: 0.2, Kind.PACE: 0.3, Kind.MEMORY: 0.4, Kind.START: 0.5}
    assert given_all.of(kind) == by_kind[kind]


@pytest.mark.parametrize(
    ("words", "regression"),
    [
        pytest.param([], False, id="nothing-compared"),
        pytest.param([Verdict.SAME, Verdict.FASTER, Verdict.CANT_TELL], False, id="none-is-slower"),
        pytest.param([Verdict.SAME, Verdict.SLOWER, Verdict.FASTER], True, id="one-is-enough"),
    ],
)
def test_is_regression(words: list[Verdict], *, regression: bool) -> None:
    comparisons = [
        Comparison(
            key="k", subject="head", reference="base", ratio=1, low=1, high=1, threshold=0.05, verdict=word
        )
        for word in words
    ]
    assert is_regression(comparisons) is regression
