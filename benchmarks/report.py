"""Results for people and for later: the terminal's table, a JSON line, the README's table."""

from collections.abc import Iterable
from pathlib import Path

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure, Verdict
from benchmarks.machine import Machine

RESULTS = Path(__file__).parent / "results" / "runs.jsonl"
README = Path(__file__).parent / "README.md"
BEGIN = "<!-- results: begin, written by `python -m benchmarks --write-readme` -->"
END = "<!-- results: end -->"

_MARK = {Verdict.KEPT: "✓", Verdict.MISSED: "✗", Verdict.OPEN: ""}
_COLOUR = {Verdict.KEPT: "green", Verdict.MISSED: "bold red", Verdict.OPEN: "dim"}
_COLUMNS = ("work", "gateway", "nginx", "ratio", "must", "")


class Run(msgspec.Struct, frozen=True):
    """One run as it is saved: where, how long, what came out, and what went wrong."""

    machine: Machine
    speed: str
    scenarios: list[str]
    seconds: float
    figures: list[Figure]
    errors: dict[str, int]


class ResultsMissing(Exception):
    """There is no saved run to write of, or no marked place to write it to."""


def save(run: Run, path: Path = RESULTS) -> None:
    """Append the run as one line; the directory is not in version control."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(msgspec.json.encode(run) + b"\n")


def latest(scenarios: Iterable[str], path: Path = RESULTS) -> Run:
    """The last saved run that had all of `scenarios`. Raises ResultsMissing."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    wanted = set(scenarios)
    for line in reversed(lines):
        run = msgspec.json.decode(line, type=Run)
        if wanted <= set(run.scenarios):
            return run
    raise ResultsMissing(f"no complete run in {path}: run `just bench` first")


def cells(figure: Figure) -> tuple[str, ...]:
    """A figure as the texts of its row, in the order of the columns."""
    must = ""
    if figure.bar is not None:
        must = f"≤ {figure.bar.limit:g} " + ("× nginx" if figure.bar.of_nginx else figure.unit)
    return (
        figure.name,
        _quantity(figure.gateway, figure.unit),
        "–" if figure.nginx is None else _quantity(figure.nginx, figure.unit),
        "–" if figure.ratio is None else f"{figure.ratio:.2f} ×",
        must,
        _MARK[figure.verdict],
    )


def _quantity(value: float, unit: str) -> str:
    if unit == "/s":
        return f"{value:,.0f}{unit}"
    return f"{value:.3g} {unit}" if abs(value) < 100 else f"{value:.0f} {unit}"


def headline(run: Run) -> list[str]:
    """Machine and versions, without which the figures mean nothing."""
    at = run.machine
    packages = ", ".join(f"{name} {version}" for name, version in at.packages.items())
    return [
        f"{at.date}, revision {at.revision}, {run.speed}, {run.seconds:.0f} s",
        f"{at.cores} cores of {at.cpu}, Linux {at.kernel}, Python {at.python}",
        f"{packages}, {f'nginx {at.nginx}' if at.nginx else 'without nginx'}",
    ]


def show(run: Run, console: Console) -> None:
    """Print the run."""
    for line in headline(run):
        console.print(line, style="dim", highlight=False)
    table = Table(*_COLUMNS, show_edge=False, pad_edge=False, box=SIMPLE_HEAD)
    for column in table.columns[1:4]:
        column.justify = "right"
        column.no_wrap = True
    for figure in run.figures:
        table.add_row(
            *cells(figure), style=None if figure.verdict is Verdict.KEPT else _COLOUR[figure.verdict]
        )
    console.print(table)
    for note in _notes(run):
        console.print(f"note: {note}", style="yellow", highlight=False)
    for place, count in run.errors.items():
        console.print(f"ERROR: {count} × {place}", style="bold red", highlight=False, markup=False)


def _notes(run: Run) -> list[str]:
    return [f"{figure.name.partition(':')[0]}: {note}" for figure in run.figures for note in figure.notes]


def markdown(run: Run) -> str:
    """The run as the README shows it."""
    rows = [" | ".join(cells(figure)) for figure in run.figures]
    lines = [
        *(f"{line}  " for line in headline(run)),
        "",
        "| " + " | ".join(_COLUMNS) + " |",
        "|---|---:|---:|---:|---|---|",
        *(f"| {row} |" for row in rows),
        "",
        *(f"- {note}" for note in _notes(run)),
        *(f"- **{count} errors**: {place}" for place, count in run.errors.items()),
    ]
    return "\n".join(lines).rstrip() + "\n"


def filled(text: str, table: str) -> str:
    """`text` with what stands between its two marks replaced. Raises ResultsMissing without marks."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ResultsMissing("the README has no marked place for results")
    return f"{head}{BEGIN}\n\n{table}\n{END}{tail}"


def write_readme(scenarios: Iterable[str]) -> None:
    """Put the last run that had all of `scenarios` into the README. Raises ResultsMissing."""
    README.write_text(filled(README.read_text(), markdown(latest(scenarios))))
