"""Figures across saved runs: one small panel each, over the same row of runs."""

import math
from collections.abc import Sequence

import msgspec
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter, MaxNLocator

from benchmarks.record import Figure, Run
from benchmarks.report import cells
from benchmarks.report.drawing import WIDE_INCHES, Colour, panel, sheet
from benchmarks.report.tables import main_subject

_SHOWN_RUNS = 24
_SHOWN_FIGURES = 9
_COLUMNS = 3
_LEFT, _GAP, _RIGHT = 0.5, 0.62, 0.2
_HEIGHT, _TITLE, _LABELS = 1.0, 0.55, 0.95
_SHOWN_LABELS = 12


class Point(msgspec.Struct, frozen=True):
    """One run's value of a figure, at the run's place in the row."""

    place: int
    value: float
    machine: tuple[str, int]


def runs_in_order(run: Run, history: Sequence[Run]) -> list[Run]:
    """The latest runs by date, this one among them, none twice."""
    every = {(each.machine.date, each.command, each.seconds): each for each in (*history, run)}
    return [every[key] for key in sorted(every)][-_SHOWN_RUNS:]


def machine_of(run: Run) -> tuple[str, int]:
    """What must be equal for absolute figures to be comparable."""
    return run.machine.cpu, run.machine.cores


def points_of(key: str, runs: Sequence[Run]) -> list[Point]:
    """The main subject's value of one figure in each run that has it."""
    found = []
    for place, run in enumerate(runs):
        value = next((one.value(main_subject(run)) for one in run.figures if one.key == key), None)
        if value is not None and math.isfinite(value):
            found.append(Point(place, value, machine_of(run)))
    return found


def figures_with_past(run: Run, history: Sequence[Run]) -> list[Figure]:
    """The run's figures that another run has too: first those with a bar, at most nine."""
    runs = runs_in_order(run, history)
    past = [figure for figure in run.figures if len(points_of(figure.key, runs)) > 1]
    return sorted(past, key=lambda figure: figure.bar is None)[:_SHOWN_FIGURES]


def history_panels(run: Run, history: Sequence[Run]) -> Drawing:
    """The value of each figure over the saved runs; runs on one machine are joined by a line."""
    figures, runs = figures_with_past(run, history), runs_in_order(run, history)
    rows = max(-(-len(figures) // _COLUMNS), 1)
    drawing = sheet(WIDE_INCHES, rows * (_TITLE + _HEIGHT) + _LABELS)
    width = (WIDE_INCHES - _LEFT - _RIGHT - _GAP * (_COLUMNS - 1)) / _COLUMNS
    for place, figure in enumerate(figures):
        row, column = divmod(place, _COLUMNS)
        axes = panel(
            drawing,
            left=_LEFT + column * (width + _GAP),
            top=_TITLE + row * (_TITLE + _HEIGHT),
            width=width,
            height=_HEIGHT,
        )
        axes.set_title(_title(figure), fontsize=8, pad=6, linespacing=1.35)
        _draw(axes, figure, points_of(figure.key, runs), machine_of(run))
        _label_runs(axes, runs, shown=place + _COLUMNS >= len(figures))
    return drawing


def _title(figure: Figure) -> str:
    """The name and unit on two lines: the work above what is measured of it."""
    work, _, quantity = figure.name.partition(": ")
    text = f"{quantity or work}, {figure.unit}"
    return f"{work}\n{text}" if quantity else text


def _draw(axes: Axes, figure: Figure, points: Sequence[Point], here: tuple[str, int]) -> None:
    for machine in dict.fromkeys(point.machine for point in points):
        mine = [point for point in points if point.machine == machine]
        colour = Colour.MAIN if machine == here else Colour.DIRECT
        x, y = [point.place for point in mine], [point.value for point in mine]
        axes.plot(
            x, y, color=colour, marker="o", markersize=3, linewidth=1.2, zorder=3 if machine == here else 2
        )
    last = points[-1]
    axes.annotate(
        cells.number(last.value),
        (last.place, last.value),
        xytext=(0, 6),
        textcoords="offset points",
        ha="center",
        va="bottom",
        color=Colour.MAIN if last.machine == here else Colour.QUIET,
        weight="bold",
        annotation_clip=False,
    )
    low, high = value_range([point.value for point in points])
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.tick_params(labelsize=7)


def value_range(values: Sequence[float]) -> tuple[float, float]:
    """The axis for these values: a fifth around their middle at least, so that noise doesn't look like news."""
    low, high = min(values), max(values)
    middle = (low + high) / 2
    half = max((high - low) / 2 * 1.3, abs(middle) * 0.2) or 1
    return middle - half, middle + half


def _label_runs(axes: Axes, runs: Sequence[Run], *, shown: bool) -> None:
    axes.set_xlim(-0.5, max(len(runs) - 0.5, 0.5))
    every = -(-len(runs) // _SHOWN_LABELS)
    # Counted from the end, so that the latest run is always named.
    places = range(len(runs) - 1, -1, -every)
    axes.set_xticks(places, [_run_label(runs[place]) if shown else "" for place in places], rotation=90)
    axes.grid(visible=False, axis="x")


def _run_label(run: Run) -> str:
    return f"{run.machine.date[5:10]} {run.subjects.get(main_subject(run), '')[:9]}"
