"""Figures and comparisons as the texts of a table's cells, the same in the terminal, the page and the README."""

import math
from enum import StrEnum

from benchmarks.analysis.bootstrap import median_interval
from benchmarks.record import Bar, Comparison, Figure

NOTHING = "–"
"""Where a subject was not measured, or there is nothing to compare with."""

_MOST_PERCENT = 99_999  # an interval that knows nothing reaches to numbers of 300 digits

DERIVED_MARK = "*"
DERIVED_LEGEND = "* derived: 1 s ÷ CPU per unit, as something else was the bottleneck"


class Keeping(StrEnum):
    """Whether a figure keeps its bar; OPEN where it has none, or nothing to measure it by."""

    KEPT = "kept"
    MISSED = "missed"
    OPEN = "open"


MARKS = {Keeping.KEPT: "✓", Keeping.MISSED: "✗", Keeping.OPEN: ""}


def number(value: float) -> str:
    """Three significant digits, and whole numbers from a hundred on; "∞" and "–" for what is no number."""
    if math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    # Below 100 the `#` keeps zeros that were measured: 88.0, not 88.
    return _signed(f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:#.3g}" if abs(value) >= 5e-4 else "0")


def _signed(text: str) -> str:
    return text.replace("-", "−")


def with_unit(text: str, unit: str) -> str:
    """A number's text and its unit; a rate's unit stands close."""
    return f"{text}{unit}" if unit.startswith("/") else f"{text} {unit}"


def quantity(value: float | None, unit: str) -> str:
    """A value with its unit, such as "126 µs" or "7,918/s"."""
    return NOTHING if value is None else with_unit(number(value), unit)


def spread(value: float, low: float, high: float, unit: str) -> str:
    """A value and how far its interval reaches on the wider side, such as "126 ± 3 µs"."""
    reach = max(value - low, high - value)
    if not math.isfinite(reach) or not math.isfinite(value):
        return quantity(value, unit)
    decimals = len(number(value).partition(".")[2])
    text = f"{reach:,.{decimals}f}"
    # What is left of a spread after logarithms and back is no spread.
    if reach > 1e-9 * abs(value) and float(text.replace(",", "")) == 0:
        text = f"{reach:.1g}"
    return with_unit(f"{number(value)} ± {text}", unit)


def value(figure: Figure, subject: str) -> str:
    """The subject's median, marked where it was derived and not seen."""
    return _marked(quantity(figure.value(subject), figure.unit), figure, subject)


def interval_of(figure: Figure, subject: str) -> tuple[float, float] | None:
    """The interval of the subject's median; None below three rounds, which tell no spread.

    95 % where there are several blocks, and the range of the rounds where there is one.
    """
    blocks = figure.blocks.get(subject, [])
    return median_interval(blocks) if sum(map(len, blocks)) >= 3 else None


def value_with_spread(figure: Figure, subject: str) -> str:
    """As `value`, with the interval of the median where there are rounds enough."""
    median, interval = figure.value(subject), interval_of(figure, subject)
    if median is None or interval is None:
        return value(figure, subject)
    return _marked(spread(median, *interval, figure.unit), figure, subject)


def _marked(text: str, figure: Figure, subject: str) -> str:
    return f"{text} {DERIVED_MARK}" if subject in figure.derived else text


def ratio(figure: Figure, subject: str, reference: str) -> str:
    """The subject's value as a multiple of the reference's, such as "6.48 ×"."""
    times = figure.ratio(subject, reference)
    # Noise can leave an added latency below zero, of which no ratio can be made.
    if times is None or times < 0:
        return NOTHING
    if 0.095 <= times < 9.995:
        return f"{times:.2f} ×"
    return f"{times:.2g} ×" if 0 < times < 1 else f"{number(times)} ×"


def bar(limit: Bar | None, unit: str) -> str:
    """What the figure may be at most, such as "≤ 7 × nginx"; empty without a bar."""
    if limit is None:
        return ""
    return f"≤ {limit.limit:g} × nginx" if limit.of_nginx else f"≤ {with_unit(f'{limit.limit:g}', unit)}"


def keeping(figure: Figure, subject: str) -> Keeping:
    """The subject's value against the figure's bar; a bar relative to nginx is open without nginx."""
    if figure.bar is None:
        return Keeping.OPEN
    measured = figure.ratio(subject, "nginx") if figure.bar.of_nginx else figure.value(subject)
    if measured is None or math.isnan(measured):
        return Keeping.OPEN
    return Keeping.KEPT if measured <= figure.bar.limit else Keeping.MISSED


def percent(times: float) -> str:
    """A ratio as the difference from 1, such as "+3.1 %"."""
    if math.isnan(times):
        return NOTHING
    points = 100 * (times - 1)
    if points > _MOST_PERCENT:
        return f"> +{_MOST_PERCENT:,} %"
    text = f"{points:+,.1f}" if abs(points) < 99.95 else f"{points:+,.0f}"
    return f"{'0.0' if text in {'+0.0', '-0.0'} else _signed(text)} %"


def percent_with_spread(comparison: Comparison) -> str:
    """The difference and the wider side of its interval, such as "+3.1 ± 2.1 %"."""
    reach = 100 * max(comparison.ratio - comparison.low, comparison.high - comparison.ratio)
    if not reach <= _MOST_PERCENT:
        return f"{percent(comparison.ratio).removesuffix(' %')} ± ∞ %"
    return f"{percent(comparison.ratio).removesuffix(' %')} ± {reach:,.1f} %"


def interval(comparison: Comparison) -> str:
    """The ratio's 95 % interval, such as "(+1.0 … +5.2 %)"."""
    return f"({percent(comparison.low).removesuffix(' %')} … {percent(comparison.high)})"
