"""Which plots a run has, and how each is to be read."""

from collections.abc import Callable, Sequence
from itertools import chain

import msgspec
from matplotlib.figure import Figure as Drawing

from benchmarks.record import Curve, CurveKind, Figure, Kind, Run
from benchmarks.report.bars import cost_bars, forest
from benchmarks.report.curves import cdfs, frontiers, timelines
from benchmarks.report.drawing import Inks, inks, styled
from benchmarks.report.history import figures_with_past, history_panels
from benchmarks.report.saved import finite
from benchmarks.report.tables import main_subject


class Plot(msgspec.Struct, frozen=True):
    """A drawing, a name for its file and its place in a page, and one sentence on reading it."""

    name: str
    caption: str
    drawing: Drawing


class _Family(msgspec.Struct, frozen=True):
    """Curves of one kind, which are drawn alike."""

    name: str
    draw: Callable[[Sequence[Curve], Inks], Drawing]
    takes: Callable[[Curve], bool]


def _says(curve: Curve, word: str) -> bool:
    return word in curve.key.lower() or word in curve.name.lower()


CAPTIONS = {
    "cpu": "CPU of the whole process tree for each unit of work: shorter is better.",
    "latency": "The share of requests that took at most so long: further left is faster, and each step up is "
    "one more nine, so the upper end is the tail.",
    "gaps": "The share of pauses between two events of a stream that were at most so long: a steep line at "
    "the provider's own interval is a relay that holds nothing back.",
    "frontier": "What is added at p99 as more is asked of one core: where a line crosses 1, 5, 10 or 50 ms "
    "is the highest rate that still keeps it.",
    "memory": "Memory of the process tree over the run, from zero: a line that goes on rising is a leak.",
    "timeline": "The quantity over the seconds of its scenario, from zero.",
    "comparisons": "Each figure's ratio with its 95 % interval; the shaded band is what its threshold "
    "allows, so slower is only what lies right of it as a whole. Rates are turned over: right is always worse.",
    "history": "Each figure over the saved runs, by date and revision: blue is this machine, and only runs "
    "on one machine are joined, for absolute figures of two don't compare.",
}
"""How each plot is to be read, by its name."""

_FAMILIES = (
    _Family("latency", cdfs, lambda curve: curve.kind is CurveKind.CDF and not _says(curve, "gap")),
    _Family("gaps", cdfs, lambda curve: curve.kind is CurveKind.CDF and _says(curve, "gap")),
    _Family("frontier", frontiers, lambda curve: curve.kind is CurveKind.FRONTIER),
    _Family("memory", timelines, lambda curve: curve.kind is CurveKind.TIMELINE and _says(curve, "memory")),
    _Family(
        "timeline", timelines, lambda curve: curve.kind is CurveKind.TIMELINE and not _says(curve, "memory")
    ),
)


def plots(run: Run, history: Sequence[Run]) -> list[Plot]:
    """Every plot that the run has data for, in the order in which they are read."""
    run = finite(run)
    with styled():
        found = chain(_compared(run), _cpu(run), *(_curves(run, family) for family in _FAMILIES))
        return [*found, *_history(run, history)]


def stable_plots(run: Run, history: Sequence[Run]) -> list[Plot]:
    """One plot for each name of latency, gaps, cpu, frontier, memory and history that there is data for.

    Of several curves of one kind the first two, one below the other.
    """
    run = finite(run)
    with styled():
        found = list(_cpu(run))
        for family in _FAMILIES:
            if family.name != "timeline" and (curves := _taken(run, family)[:2]):
                drawing = family.draw(curves, _inks(run))
                found.append(Plot(family.name, CAPTIONS[family.name], drawing))
        return [*found, *_history(run, history)]


def _inks(run: Run) -> Inks:
    return inks((*run.subjects, *chain.from_iterable(curve.lines for curve in run.curves)), main_subject(run))


def _taken(run: Run, family: _Family) -> list[Curve]:
    return [curve for curve in run.curves if family.takes(curve) and any(curve.lines.values())]


def _curves(run: Run, family: _Family) -> list[Plot]:
    return [
        Plot(f"{family.name}-{place}", CAPTIONS[family.name], family.draw([curve], _inks(run)))
        for place, curve in enumerate(_taken(run, family), 1)
    ]


def _cpu(run: Run) -> list[Plot]:
    figures = [figure for figure in run.figures if figure.kind is Kind.CPU and _measured(figure, run)]
    if not figures:
        return []
    return [Plot("cpu", CAPTIONS["cpu"], cost_bars(figures, list(run.subjects), _inks(run)))]


def _measured(figure: Figure, run: Run) -> bool:
    return any(figure.value(name) is not None for name in run.subjects)


def _compared(run: Run) -> list[Plot]:
    mine = [one for one in run.comparisons if one.subject == main_subject(run)]
    return [Plot("comparisons", CAPTIONS["comparisons"], forest(run.figures, mine))] if mine else []


def _history(run: Run, history: Sequence[Run]) -> list[Plot]:
    if not figures_with_past(run, history):
        return []
    return [Plot("history", CAPTIONS["history"], history_panels(run, history))]
