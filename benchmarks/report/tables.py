"""Which columns and rows a run's table has; the terminal, the page and the README only draw it."""

from collections.abc import Callable
from enum import StrEnum

import msgspec

from benchmarks.record import Comparison, Figure, Run, Verdict
from benchmarks.report import cells
from benchmarks.report.cells import Keeping


class Tone(StrEnum):
    """How a cell is meant, for whoever has colours."""

    PLAIN = "plain"
    GOOD = "good"
    BAD = "bad"
    UNSURE = "unsure"
    QUIET = "quiet"
    MAIN = "main"


class Cell(msgspec.Struct, frozen=True):
    """One text of a row. It says everything without its tone."""

    text: str
    tone: Tone = Tone.PLAIN


class Column(msgspec.Struct, frozen=True):
    """A title, and whether what stands below is numbers."""

    title: str
    numeric: bool = True


class Table(msgspec.Struct, frozen=True):
    """Columns, one row of cells per figure, and what the marks in the cells mean."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    legend: tuple[str, ...] = ()


Value = Callable[[Figure, str], str]
"""How a subject's value is told: `cells.value`, or `cells.value_with_spread` where there is room."""

_OF_VERDICT = {
    Verdict.SLOWER: Tone.BAD,
    Verdict.FASTER: Tone.GOOD,
    Verdict.SAME: Tone.QUIET,
    Verdict.CANT_TELL: Tone.UNSURE,
}
_OF_KEEPING = {Keeping.KEPT: Tone.GOOD, Keeping.MISSED: Tone.BAD, Keeping.OPEN: Tone.QUIET}
_FIGURE = Column("figure", numeric=False)
_BAR = Column("bar", numeric=False)


def table(run: Run, value: Value = cells.value, *, narrow: bool = False) -> Table:
    """The table that fits the run's subjects.

    narrow: the same facts in fewer columns: a comparison's interval as ±, a ratio below its value.
    """
    main = main_subject(run)
    if run.comparisons:
        drawn = _compared(run, main, value, narrow=narrow)
    elif len(run.subjects) > 2:
        drawn = _side_by_side(run, main, value, narrow=narrow)
    else:
        drawn = _beside_reference(run, main, value)
    derived = any(name in run.subjects for figure in run.figures for name in figure.derived)
    legend = (*drawn.legend, *((cells.DERIVED_LEGEND,) if derived else ()))
    return Table(drawn.columns, drawn.rows, legend)


def main_subject(run: Run) -> str:
    """The one that the run is about, even where nobody but the reference was measured."""
    return run.main_subject if set(run.subjects) - {run.reference} else next(iter(run.subjects), "")


def comparison_of(run: Run, key: str) -> Comparison | None:
    """What the run says of one figure of its main subject."""
    mine = (one for one in run.comparisons if one.key == key and one.subject == main_subject(run))
    return next(mine, None)


def _beside_reference(run: Run, main: str, value: Value) -> Table:
    """One subject with its bars and, if there is one, the reference and the ratio to it."""
    reference = run.reference if run.reference != main else None
    others = [name for name in run.subjects if name != main]
    bars = any(figure.bar for figure in run.figures)
    columns = [_FIGURE, Column(main), *map(Column, others)]
    columns += [Column("ratio")] * bool(reference) + [_BAR] * bars
    rows = []
    for figure in run.figures:
        row = [Cell(figure.name), Cell(value(figure, main), Tone.MAIN)]
        row += [Cell(value(figure, name)) for name in others]
        row += [Cell(cells.ratio(figure, main, reference))] if reference else []
        rows.append((*row, *([_bar(figure, main)] if bars else [])))
    return Table(tuple(columns), tuple(rows))


def _bar(figure: Figure, subject: str) -> Cell:
    kept = cells.keeping(figure, subject)
    # The mark comes first, so that it stands in one line down the table.
    text = f"{cells.MARKS[kept] or ' '} {cells.bar(figure.bar, figure.unit)}" if figure.bar else ""
    return Cell(text, _OF_KEEPING[kept])


def _side_by_side(run: Run, main: str, value: Value, *, narrow: bool) -> Table:
    """Every subject's value, and its ratio to the reference."""
    columns = [_FIGURE]
    for name in run.subjects:
        columns += [Column(name)]
        columns += [Column(f"× {run.reference}")] * (_has_ratio(run, name) and not narrow)
    rows = []
    for figure in run.figures:
        row = [Cell(figure.name)]
        for name in run.subjects:
            row += _with_ratio(
                figure, run, name, value, Tone.MAIN if name == main else Tone.PLAIN, narrow=narrow
            )
        rows.append(tuple(row))
    legend = (f"× is a multiple of {run.reference}",) if run.reference and narrow else ()
    return Table(tuple(columns), tuple(rows), legend)


def _has_ratio(run: Run, name: str) -> bool:
    return run.reference is not None and name != run.reference


def _with_ratio(figure: Figure, run: Run, name: str, value: Value, tone: Tone, *, narrow: bool) -> list[Cell]:
    text = value(figure, name)
    if run.reference is None or name == run.reference:
        return [Cell(text, tone)]
    times = cells.ratio(figure, name, run.reference)
    if narrow:
        return [Cell(text if times == cells.NOTHING else f"{text}\n{times}", tone)]
    return [Cell(text, tone), Cell(times.removesuffix(" ×"), Tone.QUIET)]


def _compared(run: Run, main: str, value: Value, *, narrow: bool) -> Table:
    """Two subjects, how much the first is slower, and what that proves."""
    reference = run.reference or run.comparisons[0].reference
    others = [name for name in run.subjects if name not in {main, reference}]
    columns = [_FIGURE, Column(main), Column(reference), Column("slower by")]
    columns += [Column("95 % interval")] * (not narrow) + [
        Column("verdict", numeric=False),
        *map(Column, others),
    ]
    rows = []
    for figure in run.figures:
        row = [Cell(figure.name), Cell(value(figure, main), Tone.MAIN), Cell(value(figure, reference))]
        row += _verdict(comparison_of(run, figure.key), narrow=narrow)
        rows.append((*row, *(Cell(value(figure, name)) for name in others)))
    legend = ("± is the wider side of the 95 % interval",) if narrow else ()
    return Table(tuple(columns), tuple(rows), legend)


def _verdict(comparison: Comparison | None, *, narrow: bool) -> list[Cell]:
    if comparison is None:
        return [Cell("")] * (2 if narrow else 3)
    tone = _OF_VERDICT[comparison.verdict]
    verdict = Cell(comparison.verdict.value, tone)
    if narrow:
        return [Cell(cells.percent_with_spread(comparison), tone), verdict]
    return [Cell(cells.percent(comparison.ratio), tone), Cell(cells.interval(comparison)), verdict]
