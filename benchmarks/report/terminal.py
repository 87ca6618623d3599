"""The run in the terminal: what it was, one compact table, and what must be known with it."""

import textwrap
from collections.abc import Sequence
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from benchmarks.record import Run
from benchmarks.report import summary
from benchmarks.report.cells import DERIVED_MARK
from benchmarks.report.tables import Table, Tone, table

_STYLES = {
    Tone.PLAIN: "",
    Tone.MAIN: "bold",
    Tone.GOOD: "green",
    Tone.BAD: "bold red",
    Tone.UNSURE: "yellow",
    Tone.QUIET: "dim",
}
_GAP = 2
_NARROWEST_NAME = 12
_MARK = f" {DERIVED_MARK}"


def show(run: Run, console: Console) -> None:
    """Print the run. Texts of the run are never taken for markup."""
    for line in summary.headline(run):
        console.print(Text(line, "dim"))
    wide = table(run)
    drawn = wide if sum(_widths(wide)) <= console.width else table(run, narrow=True)
    if drawn.rows:
        console.print()
        console.print(_grid(drawn, console.width))
    for line in drawn.legend:
        console.print(Text(line, "dim"))
    _remarks(run, console)
    if verdict := summary.verdict(run):
        console.print()
        console.print(Text(verdict, "bold"))


def _grid(drawn: Table, width: int) -> Grid:
    # The box itself puts one space between two columns.
    padding = (0, _GAP - 1, 0, 0)
    grid = Grid(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=padding, header_style="bold")
    for place, column in enumerate(drawn.columns):
        justify: Literal["left", "right"] = "right" if column.numeric else "left"
        # Only the names may wrap: a number that is cut off is a wrong number.
        grid.add_column(Text(column.title), justify=justify, no_wrap=place > 0)
    room = max(width - sum(_widths(drawn)[1:]), _NARROWEST_NAME)
    for row, (name, *others) in zip(drawn.rows, _texts(drawn), strict=True):
        texts = [textwrap.fill(name, room, subsequent_indent="  "), *others]
        grid.add_row(*(Text(text, _STYLES[cell.tone]) for text, cell in zip(texts, row, strict=True)))
    return grid


def _widths(drawn: Table) -> list[int]:
    """What each column needs, the gap before it included."""
    rows = [[column.title for column in drawn.columns], *_texts(drawn)]
    widest = [max(map(_line_width, column)) for column in zip(*rows, strict=True)]
    return [width + (_GAP if place else 0) for place, width in enumerate(widest)]


def _line_width(text: str) -> int:
    return max(map(cell_len, text.splitlines()), default=0)


def _texts(drawn: Table) -> list[list[str]]:
    """The cells' texts; in a column with marks those without one leave its room free, so that digits align."""
    columns = [[cell.text for cell in column] for column in zip(*drawn.rows, strict=True)]
    aligned = [_aligned(column) if any(_MARK in text for text in column) else column for column in columns]
    return [list(row) for row in zip(*aligned, strict=True)]


def _aligned(column: Sequence[str]) -> list[str]:
    free = " " * len(_MARK)
    return [
        "\n".join(line if line.endswith(_MARK) else line + free for line in text.splitlines())
        for text in column
    ]


def _remarks(run: Run, console: Console) -> None:
    """Notes, what was not measured and why, and errors, each with a hanging indent."""
    grid = Grid.grid(padding=(0, _GAP, 0, 0))
    for note in summary.notes(run):
        grid.add_row(Text("note", "yellow"), Text(note, "yellow"))
    for scenario, reason in run.unavailable.items():
        grid.add_row(Text("not measured", "dim"), Text(f"{scenario}: {reason}", "dim"))
    for place, count in run.errors.items():
        grid.add_row(Text("ERROR", "bold red"), Text(f"{count:,} × {place}", "bold red"))
    if grid.row_count:
        console.print()
        console.print(grid)
