"""Figures side by side: costs of each subject as bars, and comparisons as intervals around 1."""

import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter

from benchmarks.record import Comparison, Figure, Verdict
from benchmarks.report import cells
from benchmarks.report.drawing import HALF_INCHES, WIDE_INCHES, Colour, Inks, panel, sheet

_BAR = 0.19
_GROUP_GAP = 0.14
_ROW = 0.27
_TITLE = 0.42
_INCHES_PER_LETTER = 0.072
_LONGEST_LABEL = 24

_OF_VERDICT = {
    Verdict.SLOWER: Colour.BAD,
    Verdict.FASTER: Colour.GOOD,
    Verdict.SAME: Colour.OTHER_1,
    Verdict.CANT_TELL: Colour.UNSURE,
}


def cost_bars(figures: Sequence[Figure], names: Sequence[str], inks: Inks) -> Drawing:
    """One panel for each quantity ("CPU per request"), a group of bars for each work in it."""
    panels: dict[str, list[Figure]] = {}
    for figure in figures:
        panels.setdefault(_quantity(figure), []).append(figure)
    heights = [sum(_height(figure, names) for figure in group) for group in panels.values()]
    drawing = sheet(HALF_INCHES, sum(heights) + _TITLE * len(panels) + 0.1)
    left = _label_room([_work(figure) for figure in figures])
    top = 0.0
    for (quantity, group), height in zip(panels.items(), heights, strict=True):
        top += _TITLE
        width = HALF_INCHES - left - 1.4
        axes = panel(drawing, left=left, top=top, width=width, height=height, title=quantity)
        _draw_groups(axes, group, names, inks, height)
        top += height
    return drawing


def _quantity(figure: Figure) -> str:
    return figure.name.partition(": ")[2] or figure.name


def _work(figure: Figure) -> str:
    return textwrap.fill(figure.name.partition(": ")[0], _LONGEST_LABEL)


def _label_room(labels: Sequence[str]) -> float:
    lines = [line for label in labels for line in label.splitlines()]
    return 0.3 + _INCHES_PER_LETTER * max(map(len, lines), default=0)


def _measured(figure: Figure, names: Sequence[str]) -> list[tuple[str, float]]:
    return [(name, value) for name in names if (value := figure.value(name)) is not None]


def _height(figure: Figure, names: Sequence[str]) -> float:
    return _BAR * len(_measured(figure, names)) + _GROUP_GAP


def _draw_groups(
    axes: Axes, figures: Sequence[Figure], names: Sequence[str], inks: Inks, height: float
) -> None:
    down = 0.0
    middles = []
    named = set[str]()
    for figure in figures:
        measured = _measured(figure, names)
        middles.append(down + _BAR * len(measured) / 2)
        for name, value in measured:
            axes.barh(down + _BAR / 2, max(value, 0), _BAR * 0.82, color=inks[name].colour)
            said = cells.value(figure, name)
            # A name is said once; further bars have its place and colour.
            label = said if name in named else f"{said}  {name}"
            named.add(name)
            _label(axes, max(value, 0), down + _BAR / 2, label, inks[name].colour)
            down += _BAR
        down += _GROUP_GAP
    axes.set_ylim(height, 0)
    axes.set_xlim(left=0)
    axes.set_yticks(middles, [_work(figure) for figure in figures])
    axes.tick_params(axis="y", labelcolor=Colour.TEXT)
    axes.xaxis.set_visible(False)
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)


def _label(axes: Axes, x: float, y: float, text: str, colour: Colour) -> None:
    axes.annotate(text, (x, y), xytext=(5, 0), textcoords="offset points", va="center", color=colour)


def forest(figures: Sequence[Figure], comparisons: Sequence[Comparison]) -> Drawing:
    """Each comparison's ratio with its interval, and the band that its threshold leaves, from the top down."""
    names = {figure.key: figure.name for figure in figures}
    labels = [textwrap.fill(names.get(one.key, one.key), 2 * _LONGEST_LABEL) for one in comparisons]
    left = _label_room(labels)
    height = max(_ROW * len(comparisons), _ROW)
    drawing = sheet(WIDE_INCHES, _TITLE + height + 0.6)
    width = WIDE_INCHES - left - 1.95
    title = f"{comparisons[0].subject} against {comparisons[0].reference}" if comparisons else ""
    axes = panel(drawing, left=left, top=_TITLE, width=width, height=height, title=title)
    reach = _reach(comparisons)
    for row, comparison in enumerate(comparisons):
        _draw_comparison(axes, row, comparison, reach)
    axes.axvline(1, color=Colour.QUIET, linewidth=0.8, zorder=2)
    axes.set_xlim(1 - reach, 1 + reach)
    axes.set_ylim(max(len(comparisons), 1) - 0.5, -0.5)
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", labelcolor=Colour.TEXT)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda times, _: cells.percent(times).replace(".0 %", " %")))
    axes.set_xlabel("faster  ←      →  slower")
    return drawing


def _reach(comparisons: Sequence[Comparison]) -> float:
    """How far the axis goes on either side of 1: all intervals, but at most a half, lest the rest be too small to see."""
    ends = [abs(end - 1) for one in comparisons for end in (one.low, one.high, 1 + 1.2 * one.threshold)]
    return min(max(ends, default=0.1) * 1.08, 0.5)


def _draw_comparison(axes: Axes, row: int, comparison: Comparison, reach: float) -> None:
    colour = _OF_VERDICT[comparison.verdict]
    worse = 1 + comparison.threshold
    # The same factor both ways, as the verdict has it (`analysis.verdicts`).
    band = worse - 1 / worse
    axes.barh(row, band, 1, left=1 / worse, facecolor=Colour.BAND, edgecolor=Colour.BAND, zorder=0)
    low, ratio, high = (
        _within(times, reach) for times in (comparison.low, comparison.ratio, comparison.high)
    )
    axes.plot([low, high], [row, row], color=colour, linewidth=1.8, zorder=3)
    filled = comparison.verdict in {Verdict.SLOWER, Verdict.FASTER}
    axes.plot(
        [ratio],
        [row],
        # An arrow where the dot would lie beyond the axis.
        marker="o" if ratio == comparison.ratio else ">" if ratio > 1 else "<",
        markersize=6,
        color=colour,
        markerfacecolor=colour if filled else Colour.PAGE,
        markeredgewidth=1.6,
        clip_on=False,
        zorder=4,
    )
    axes.annotate(
        f"{cells.percent(comparison.ratio)}  {cells.interval(comparison)}",
        (1, row),
        xycoords=("axes fraction", "data"),
        xytext=(10, 0),
        textcoords="offset points",
        va="center",
        color=colour,
        annotation_clip=False,
    )


def _within(times: float, reach: float) -> float:
    return min(max(times, 1 - reach), 1 + reach)
