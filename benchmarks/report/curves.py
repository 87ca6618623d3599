"""Distributions, frontiers and timelines: the curves of a run as drawings."""

import math
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmarks.record import Curve, CurveKind
from benchmarks.report.cells import number
from benchmarks.report.drawing import HALF_INCHES, Entry, Inks, panel, sheet, write_key

Points = Sequence[tuple[float, float]]

LIMITS_MS = (1.0, 5.0, 10.0, 50.0)
"""What a frontier is asked: the highest rate at which the added p99 stays under each of these."""

_FRONTIER_MS = (0.1, 150.0)
"""The axis: less is noise, and more, such as a rate that was given up, is only drawn as leaving it."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 0.7, 1.45, 0.42, 0.5
_HEIGHT = 2.2
_SHOWN_PERCENT = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999)


def cdfs(curves: Sequence[Curve], inks: Inks) -> Drawing:
    """Durations on a log axis, and percentiles on one where each further nine takes as much room."""
    return _stacked(curves, inks, _cdf)


def frontiers(curves: Sequence[Curve], inks: Inks) -> Drawing:
    """Added p99 over the rate offered, with lines where it is asked to stay under."""
    return _stacked(curves, inks, _frontier)


def timelines(curves: Sequence[Curve], inks: Inks) -> Drawing:
    """A quantity over the seconds of a scenario, from zero."""
    return _stacked(curves, inks, _timeline)


def _stacked(curves: Sequence[Curve], inks: Inks, draw: Callable[[Axes, Curve, Inks], None]) -> Drawing:
    each = _TOP + _HEIGHT + _BOTTOM
    drawing = sheet(HALF_INCHES, each * max(len(curves), 1))
    for place, curve in enumerate(curves):
        top = place * each + _TOP
        width = HALF_INCHES - _LEFT - _RIGHT
        axes = panel(
            drawing,
            left=_LEFT,
            top=top,
            width=width,
            height=_HEIGHT,
            title=curve.name,
        )
        axes.set_xlabel(curve.x_label)
        axes.set_ylabel("" if curve.kind is CurveKind.CDF else curve.y_label)
        axes.margins(x=0.02)
        draw(axes, curve, inks)
    return drawing


def nines(percent: float) -> float:
    """A percentile's place on the axis: 90 at 1, 99 at 2, 99.9 at 3; infinite at 100."""
    return math.inf if percent >= 100 else -math.log10(1 - percent / 100)


def at_percentile(points: Points, percent: float) -> float | None:
    """The duration that `percent` took at most; None where the curve doesn't reach it."""
    return next((x for x, y in points if y >= percent), None)


def _cdf(axes: Axes, curve: Curve, inks: Inks) -> None:
    tops = [1.0]
    entries = []
    for name, points in _by_value(curve, 99):
        drawn = [(x, nines(y)) for x, y in points if x > 0 and y < 100]
        _line(axes, drawn, name, inks)
        tops += [y for _, y in drawn]
        entries.append(Entry(name, inks[name].colour, _percentile_facts(points)))
    _log_axis(axes)
    ticks = [percent for percent in _SHOWN_PERCENT if nines(percent) <= max(tops) + 0.02]
    axes.set_yticks([nines(percent) for percent in ticks], [f"{percent:g} %" for percent in ticks])
    axes.set_ylim(0, max(tops) * 1.03)
    write_key(axes, entries)


def _percentile_facts(points: Points) -> list[str]:
    seen = [(percent, at_percentile(points, percent)) for percent in (50, 99)]
    return [f"p{percent}  {number(value)} ms" for percent, value in seen if value is not None]


def _log_axis(axes: Axes) -> None:
    axes.set_xscale("log")
    if not math.isfinite(axes.xaxis.get_minpos()):
        axes.set_xlim(1, 10)  # nothing above zero, from which matplotlib could choose
    low, high = axes.get_xlim()
    steps = (1.0, 2.0, 5.0) if high / low < 300 else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=steps, numticks=20))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(_plain))


def _plain(value: float, _: object) -> str:
    return f"{value:,.10g}"


def highest_under(points: Points, limit: float) -> float | None:
    """The highest rate whose added latency is under `limit`; None where none is.

    Lower rates that are over it don't count against it: noise only ever adds (`analysis.search`).
    """
    return max((rate for rate, added in points if added < limit), default=None)


def _frontier(axes: Axes, curve: Curve, inks: Inks) -> None:
    entries = []
    for name, points in curve.lines.items():
        _line(
            axes, [(x, max(y, _FRONTIER_MS[0])) for x, y in sorted(points) if x > 0], name, inks, marker="o"
        )
        facts = _limit_facts(points, brief=len(curve.lines) > 3)
        entries.append(Entry(name, inks[name].colour, facts))
    axes.set_yscale("log")
    axes.set_yticks(LIMITS_MS, [f"{limit:g} ms" for limit in LIMITS_MS])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(_FRONTIER_MS)
    _log_axis(axes)
    write_key(axes, entries)


def _limit_facts(points: Points, *, brief: bool) -> list[str]:
    limits = (10.0,) if brief else LIMITS_MS
    found = [(limit, highest_under(points, limit)) for limit in limits]
    return [f"< {limit:g} ms  {number(rate)}/s" for limit, rate in found if rate is not None]


def _timeline(axes: Axes, curve: Curve, inks: Inks) -> None:
    entries = []
    highest = 0.0
    for name, points in _by_value(curve, None):
        _line(axes, points, name, inks)
        highest = max([highest, *(y for _, y in points)])
        facts = [f"{number(points[0][1])} → {number(points[-1][1])}"]
        entries.append(Entry(name, inks[name].colour, facts))
    axes.set_ylim(0, highest * 1.12 or 1)
    axes.xaxis.set_major_formatter(FuncFormatter(_plain))
    axes.yaxis.set_major_formatter(FuncFormatter(_plain))
    write_key(axes, entries)


def _by_value(curve: Curve, percent: float | None) -> list[tuple[str, Points]]:
    """The lines that have points: by a percentile, fastest first; with None by their end, highest first."""
    lines = [(name, points) for name, points in curve.lines.items() if points]
    if percent is None:
        return sorted(lines, key=lambda line: -line[1][-1][1])
    return sorted(lines, key=lambda line: at_percentile(line[1], percent) or math.inf)


def _line(axes: Axes, points: Points, name: str, inks: Inks, marker: str = "") -> None:
    ink = inks[name]
    axes.plot(
        [x for x, _ in points],
        [y for _, y in points],
        color=ink.colour,
        linewidth=ink.width,
        linestyle=ink.dashes,
        zorder=ink.order,
        marker=marker,
        markersize=4,
    )
