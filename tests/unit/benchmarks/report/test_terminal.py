"""The run as a terminal shows it."""

from io import StringIO

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console

from benchmarks.record import Run
from benchmarks.report.terminal import show
from tests.unit.benchmarks.report.examples import AGAINST, EMPTY, FULL, MINIMAL, PEERS


def _shown(run: Run, width: int = 120, *, colour: bool = False) -> str:
    text = StringIO()
    show(
        run,
        Console(file=text, width=width, force_terminal=colour, color_system="truecolor" if colour else None),
    )
    return text.getvalue()


def _rows(text: str) -> dict[str, list[str]]:
    """The table's rows by their first cell; two spaces or more stand between cells."""
    cells = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in text.splitlines()]
    return {row[0]: row[1:] for row in cells if row}


@pytest.mark.parametrize(
    ("run", "name", "cells"),
    [
        pytest.param(
            FULL, "JSON: CPU per request", ["126 µs", "19.4 µs", "6.49 ×", "✓ ≤ 7 × nginx"], id="bar-kept"
        ),
        pytest.param(FULL, "JSON: requests/s", ["7,918/s", "49,074/s *", "0.16 ×"], id="no-bar-and-derived"),
        pytest.param(
            FULL,
            "added latency, JSON, p50",
            ["0.720 ms", "0.190 ms", "3.79 ×", "✗ ≤ 0.6 ms"],
            id="bar-missed",
        ),
        pytest.param(FULL, "start to ready", ["1.07 s", "–", "–", "✓ ≤ 1.5 s"], id="no-reference"),
        pytest.param(MINIMAL, "start to ready", ["1.07 s", "✓ ≤ 1.5 s"], id="one-subject-has-no-ratio"),
        pytest.param(
            AGAINST,
            "JSON: CPU per request",
            ["139 µs", "126 µs", "+10.2 %", "(+8.6 … +11.8 %)", "slower"],
            id="a-comparison",
        ),
        pytest.param(
            PEERS,
            "JSON: requests/s",
            ["7,918/s", "0.16", "9,000/s", "0.18", "50.0/s", "0.001", "49,074/s *"],
            id="peers-and-their-ratios",
        ),
    ],
)
def test_rows(run: Run, name: str, cells: list[str]) -> None:
    assert _rows(_shown(run))[name] == cells


@pytest.mark.parametrize(
    ("run", "name", "cells"),
    [
        pytest.param(
            AGAINST,
            "JSON: CPU per request",
            ["139 µs", "126 µs", "+10.2 ± 1.6 %", "slower"],
            id="interval-as-spread",
        ),
        pytest.param(
            PEERS,
            "JSON: CPU per request",
            ["126 µs", "9,000 µs", "50.0 µs", "19.4 µs"],
            id="ratio-below-value",
        ),
    ],
)
def test_rows_of_a_narrow_terminal(run: Run, name: str, cells: list[str]) -> None:
    assert _rows(_shown(run, 80))[name] == cells


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize(
    "run", [FULL, AGAINST, PEERS, MINIMAL, EMPTY], ids=lambda run: run.command or "empty"
)
def test_nothing_is_wider_than_the_terminal_or_cut(run: Run, width: int) -> None:
    text = _shown(run, width)
    assert all(cell_len(line) <= width for line in text.splitlines())
    if width >= 80:
        assert "…" not in text.replace(" … ", "")


def test_a_long_name_wraps_with_an_indent() -> None:
    """Its numbers stay whole, on its first line."""
    name = "disconnect storm: the provider's streams are closed after"
    figure = msgspec.structs.replace(FULL.figures[0], name=name)
    lines = _shown(msgspec.structs.replace(FULL, figures=(figure,)), 80).splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith("disconnect storm"))
    assert "126 µs" in lines[first] and lines[first + 1].startswith("  ")


def test_everything_that_must_be_known_is_said() -> None:
    """Legend, notes, what was not measured, and errors, whose texts are no markup."""
    text = " ".join(_shown(FULL).split())
    for part in (
        "* derived: 1 s ÷ CPU per unit, as something else was the bottleneck",
        "note JSON: the load side filled 99 % of its core",
        "not measured guarded-redis: no Redis here",
        "ERROR 3 × json, gateway: lost event",
        "& [bold]",
    ):
        assert part in text


def test_a_comparison_ends_with_its_verdict() -> None:
    """One plain sentence, so that nobody must read the table."""
    last = " ".join(_shown(AGAINST).strip().splitlines()[-1].split())
    assert last == "head is slower than base in 1 of 3 figures: JSON: CPU per request +10.2 %; 1 can't tell"


@pytest.mark.parametrize(
    ("part", "code"),
    [
        pytest.param("ERROR", "\x1b[1;31m", id="errors-bold-red"),
        pytest.param("note", "\x1b[33m", id="notes-yellow"),
        pytest.param("not measured", "\x1b[2m", id="unavailable-dim"),
        pytest.param("✓ ≤ 7 × nginx", "\x1b[32m", id="kept-green"),
    ],
)
def test_colours(part: str, code: str) -> None:
    assert f"{code}{part}" in _shown(FULL, colour=True)
    assert "\x1b" not in _shown(FULL)
