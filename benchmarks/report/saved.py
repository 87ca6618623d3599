"""Runs kept for later: one JSON line each, and beside it a directory for the run's page and plots."""

import math
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from benchmarks.record import SCHEMA, Curve, Figure, Run
from benchmarks.report.tables import main_subject

RESULTS = Path(__file__).parents[1] / "results"
"""Not in version control: figures of one machine."""

_LINES = "runs.jsonl"


class ResultsMissing(Exception):
    """There is no saved run to write of, or no marked place to write it to."""


class _Head(msgspec.Struct):
    """What is read of a line before the rest is understood; the first schema did not say its number."""

    schema: int = 1


def save(run: Run, directory: Path = RESULTS) -> Path:
    """Append the run to `directory`/runs.jsonl, and make the directory for its page; return that one."""
    pages = directory / directory_name(run)
    pages.mkdir(parents=True, exist_ok=True)
    with (directory / _LINES).open("a+b") as file:
        file.write(_line_break(file.tell(), directory) + msgspec.json.encode(finite(run)) + b"\n")
    return pages


def _line_break(size: int, directory: Path) -> bytes:
    """What ends a line that an interrupted run left torn, so that the next one isn't lost with it."""
    if not size:
        return b""
    with (directory / _LINES).open("rb") as file:
        file.seek(-1, 2)
        return b"" if file.read() == b"\n" else b"\n"


def directory_name(run: Run) -> str:
    """Date, command and revision, fit for a file system and a URL, such as 2026-11-25-093038-quick-33e56c4."""
    date, _, time = run.machine.date.partition("T")
    revision = run.subjects.get(main_subject(run), "")
    parts = (date, time[:8].replace(":", ""), _slug(run.command or run.speed)[:40], _slug(revision)[:40])
    return "-".join(part.strip("-") for part in parts if part.strip("-"))


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.+]+", "-", text.lower()).strip("-.")


def finite(run: Run) -> Run:
    """The run without what JSON can't hold: the infinite cost of a round that did nothing.

    Such a round is an error, which is saved.
    """
    return msgspec.structs.replace(
        run, figures=tuple(map(_finite_figure, run.figures)), curves=tuple(map(_finite_curve, run.curves))
    )


def _finite_figure(figure: Figure) -> Figure:
    blocks = {
        name: [[value for value in block if math.isfinite(value)] for block in blocks]
        for name, blocks in figure.blocks.items()
    }
    return msgspec.structs.replace(figure, blocks=blocks)


def _finite_curve(curve: Curve) -> Curve:
    lines = {
        name: [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
        for name, points in curve.lines.items()
    }
    return msgspec.structs.replace(curve, lines=lines)


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr)


def saved(directory: Path = RESULTS, tell: Callable[[str], None] = _to_stderr) -> list[Run]:
    """All saved runs, oldest first.

    Lines of another schema and lines that can't be read are passed over; `tell` is told how many.
    """
    path = directory / _LINES
    lines = [line for line in path.read_bytes().splitlines() if line.strip()] if path.exists() else []
    runs = [run for line in lines if (run := decoded(line)) is not None]
    if passed_over := len(lines) - len(runs):
        tell(f"{passed_over} of {len(lines)} saved runs passed over: of another schema, or torn ({path})")
    return runs


def decoded(line: bytes) -> Run | None:
    """The run of one line; None for another schema's, and for a torn one."""
    try:
        if msgspec.json.decode(line, type=_Head).schema != SCHEMA:
            return None
        return msgspec.json.decode(line, type=Run)
    except msgspec.DecodeError:
        return None


def latest(directory: Path, scenarios: Iterable[str], tell: Callable[[str], None] = _to_stderr) -> Run:
    """The last saved run that had all of `scenarios` and compared no revisions. Raises ResultsMissing."""
    wanted = set(scenarios)
    for run in reversed(saved(directory, tell)):
        if wanted <= set(run.scenarios) and not run.comparisons:
            return run
    raise ResultsMissing(
        f"no saved run in {directory} has {', '.join(sorted(wanted))}: run `just bench` first"
    )
