"""What stands in a cell."""

import math

import msgspec
import pytest

from benchmarks.record import Bar, Figure, Kind, Verdict
from benchmarks.report import cells
from benchmarks.report.cells import Keeping
from tests.unit.benchmarks.report.examples import CPU, LATENCY, PACE, START, compared


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        pytest.param(126.4, "µs", "126 µs", id="whole-numbers-from-a-hundred-on"),
        pytest.param(7918.4, "/s", "7,918/s", id="a-rate-is-close-to-its-unit-and-grouped"),
        pytest.param(87.44, "MB", "87.4 MB", id="three-digits"),
        pytest.param(0.7201, "ms", "0.720 ms", id="a-zero-that-was-measured-stays"),
        pytest.param(99.96, "µs", "100 µs", id="rounding-up-brings-no-fourth-digit"),
        pytest.param(99.94, "µs", "99.9 µs", id="just-below-a-hundred"),
        pytest.param(-0.0123, "ms", "−0.0123 ms", id="below-zero-with-a-real-minus"),
        pytest.param(0.00002, "ms", "0 ms", id="too-little-is-nothing"),
        pytest.param(math.inf, "µs", "∞ µs", id="the-cost-of-nothing-done"),
        pytest.param(None, "µs", "–", id="not-measured"),
    ],
)
def test_quantity(value: float | None, unit: str, text: str) -> None:
    assert cells.quantity(value, unit) == text


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        pytest.param(126.0, 124.0, 129.0, "126 ± 3 µs", id="the-wider-side"),
        pytest.param(28.9, 28.86, 28.94, "28.9 ± 0.04 µs", id="never-rounded-to-zero"),
        pytest.param(28.9, 28.9, 28.9, "28.9 ± 0.0 µs", id="no-spread-at-all"),
        pytest.param(7918.0, 6000.0, 8000.0, "7,918 ± 1,918 µs", id="thousands"),
        pytest.param(126.0, 124.0, math.inf, "126 µs", id="an-endless-interval-says-nothing"),
    ],
)
def test_spread(value: float, low: float, high: float, text: str) -> None:
    assert cells.spread(value, low, high, "µs") == text


@pytest.mark.parametrize(
    ("figure", "subject", "text"),
    [
        pytest.param(CPU, "gateway", "126 µs", id="the-median-of-all-rounds"),
        pytest.param(PACE, "nginx", "49,074/s *", id="a-derived-value-is-marked"),
        pytest.param(PACE, "gateway", "7,918/s", id="only-that-subject's"),
        pytest.param(START, "nginx", "–", id="not-measured"),
    ],
)
def test_value(figure: Figure, subject: str, text: str) -> None:
    assert cells.value(figure, subject) == text


@pytest.mark.parametrize(
    ("figure", "subject", "text"),
    [
        pytest.param(PACE, "nginx", "49,074/s *", id="two-rounds-tell-no-spread"),
        pytest.param(START, "nginx", "–", id="not-measured"),
        pytest.param(
            msgspec.structs.replace(START, blocks={"gateway": [[1.0, 1.1, 1.4]]}),
            "gateway",
            "1.10 ± 0.30 s",
            id="the-range-where-all-came-from-one-start",
        ),
        pytest.param(
            msgspec.structs.replace(PACE, blocks={"nginx": [[50.0, 50.0], [50.0, 50.0]]}),
            "nginx",
            "50.0 ± 0.0/s *",
            id="the-mark-comes-last",
        ),
    ],
)
def test_value_with_spread(figure: Figure, subject: str, text: str) -> None:
    assert cells.value_with_spread(figure, subject) == text


def test_the_spread_covers_the_blocks() -> None:
    """Rounds from 124 to 128 µs in two blocks are not known to a tenth."""
    text = cells.value_with_spread(CPU, "gateway")
    assert text.startswith("126 ± ") and text.endswith(" µs") and text != "126 ± 0 µs"


@pytest.mark.parametrize(
    ("mine", "other", "text"),
    [
        pytest.param(126.0, 19.44, "6.48 ×", id="two-decimals"),
        pytest.param(7918.0, 49074.0, "0.16 ×", id="below-one"),
        pytest.param(1.0, 60.0, "0.017 ×", id="far-below-one"),
        pytest.param(271.0, 2.0, "136 ×", id="hundreds"),
        pytest.param(99.97, 10.0, "10.0 ×", id="rounding-up-brings-no-fourth-digit"),
        pytest.param(1.0, None, "–", id="no-reference"),
        pytest.param(1.0, 0.0, "–", id="nothing-to-divide-by"),
        pytest.param(-0.1, 0.2, "–", id="noise-left-less-than-nothing"),
    ],
)
def test_ratio(mine: float, other: float | None, text: str) -> None:
    blocks = {"gateway": [[mine]], "nginx": [] if other is None else [[other]]}
    figure = msgspec.structs.replace(LATENCY, blocks=blocks)
    assert cells.ratio(figure, "gateway", "nginx") == text


@pytest.mark.parametrize(
    ("bar", "unit", "text"),
    [
        pytest.param(Bar(7, of_nginx=True), "µs", "≤ 7 × nginx", id="relative"),
        pytest.param(Bar(0.6), "ms", "≤ 0.6 ms", id="absolute"),
        pytest.param(Bar(2000), "/s", "≤ 2000/s", id="a-rate"),
        pytest.param(None, "ms", "", id="none"),
    ],
)
def test_bar(bar: Bar | None, unit: str, text: str) -> None:
    assert cells.bar(bar, unit) == text


def _figure(bar: Bar | None, blocks: dict[str, list[list[float]]]) -> Figure:
    return Figure(key="f", name="f", unit="ms", kind=Kind.LATENCY, blocks=blocks, bar=bar)


@pytest.mark.parametrize(
    ("figure", "kept"),
    [
        pytest.param(_figure(Bar(0.6), {"gateway": [[0.6]]}), Keeping.KEPT, id="exactly-at-the-bar"),
        pytest.param(_figure(Bar(0.6), {"gateway": [[0.61]]}), Keeping.MISSED, id="above-it"),
        pytest.param(_figure(Bar(0.6), {}), Keeping.OPEN, id="not-measured"),
        pytest.param(_figure(None, {"gateway": [[9.0]]}), Keeping.OPEN, id="no-bar"),
        pytest.param(
            _figure(Bar(2, of_nginx=True), {"gateway": [[2.0]], "nginx": [[1.0]]}),
            Keeping.KEPT,
            id="relative-kept",
        ),
        pytest.param(
            _figure(Bar(2, of_nginx=True), {"gateway": [[2.1]], "nginx": [[1.0]]}),
            Keeping.MISSED,
            id="relative-missed",
        ),
        pytest.param(
            _figure(Bar(2, of_nginx=True), {"gateway": [[2.0]]}), Keeping.OPEN, id="open-without-nginx"
        ),
        pytest.param(
            _figure(Bar(2), {"gateway": [[math.inf]]}), Keeping.MISSED, id="nothing-done-keeps-no-bar"
        ),
    ],
)
def test_keeping(figure: Figure, kept: Keeping) -> None:
    assert cells.keeping(figure, "gateway") is kept


@pytest.mark.parametrize(
    ("times", "text"),
    [
        pytest.param(1.031, "+3.1 %", id="more"),
        pytest.param(0.98, "−2.0 %", id="less-with-a-real-minus"),
        pytest.param(0.9999, "0.0 %", id="nothing-has-no-sign"),
        pytest.param(3.4, "+240 %", id="hundreds-without-decimals"),
        pytest.param(1e304, "> +99,999 %", id="what-no-one-would-read"),
        pytest.param(math.nan, "–", id="no-number"),
    ],
)
def test_percent(times: float, text: str) -> None:
    assert cells.percent(times) == text


@pytest.mark.parametrize(
    ("ratio", "reach", "wide", "narrow"),
    [
        pytest.param(1.031, 0.021, "(+1.0 … +5.2 %)", "+3.1 ± 2.1 %", id="all-above"),
        pytest.param(1.0, 0.02, "(−2.0 … +2.0 %)", "0.0 ± 2.0 %", id="around-one"),
        pytest.param(1.5, 1e300, "(−", "+50.0 ± ∞ %", id="endless"),
    ],
)
def test_intervals(ratio: float, reach: float, wide: str, narrow: str) -> None:
    comparison = compared("json.cpu", ratio, reach, Verdict.SAME)
    assert cells.interval(comparison).startswith(wide)
    assert cells.percent_with_spread(comparison) == narrow
