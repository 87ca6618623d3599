"""What is shown, saved, written to the README, and said by the exit status."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import report
from benchmarks.__main__ import exit_status, parse
from benchmarks.figures import Bar, Figure
from benchmarks.machine import Machine
from benchmarks.scenarios import JSON, SCENARIOS, stream

MACHINE = Machine(
    "2026-11-21T08:00:00+00:00", "a CPU", 2, "6.18", "3.11.7", "abc1234", {"litestar": "2.25"}, "1.22.1"
)
KEPT = Figure("JSON: CPU per request", "µs", 69.0, 19.0, Bar(7, of_nginx=True), ("nginx was disturbed",))
MISSED = Figure("start to ready", "s", 1.7, None, Bar(1.5))


def run(*figures: Figure, errors: dict[str, int] | None = None) -> report.Run:
    return report.Run(MACHINE, "quick", ["json"], 12.0, list(figures), errors or {})


@pytest.mark.parametrize(
    ("figure", "row"),
    [
        pytest.param(
            KEPT,
            ("JSON: CPU per request", "69 µs", "19 µs", "3.63 ×", "≤ 7 × nginx", "✓"),
            id="a-relative-bar-kept",
        ),
        pytest.param(
            MISSED, ("start to ready", "1.7 s", "–", "–", "≤ 1.5 s", "✗"), id="an-absolute-bar-missed"
        ),
        pytest.param(
            Figure("JSON: requests/s", "/s", 14_400.4, 50_000.0),
            ("JSON: requests/s", "14,400/s", "50,000/s", "0.29 ×", "", ""),
            id="no-bar",
        ),
    ],
)
def test_rows(figure: Figure, row: tuple[str, ...]) -> None:
    assert report.cells(figure) == row


@pytest.mark.parametrize(
    ("done", "strict", "status"),
    [
        pytest.param(run(KEPT), True, 0, id="all-kept"),
        pytest.param(run(KEPT, MISSED), False, 0, id="a-missed-bar-is-shown-only"),
        pytest.param(run(KEPT, MISSED), True, 1, id="a-missed-bar-fails-a-strict-run"),
        pytest.param(
            run(KEPT, errors={"sse, gateway: lost event": 1}), False, 1, id="one-error-fails-any-run"
        ),
    ],
)
def test_exit_status(done: report.Run, strict: bool, status: int) -> None:
    assert exit_status(done, strict=strict) == status


def test_the_terminal_shows_everything() -> None:
    """Machine, figures, notes and errors."""
    shown = StringIO()
    report.show(run(KEPT, MISSED, errors={"sse, gateway: lost event": 3}), Console(file=shown, width=120))
    for text in (
        "a CPU",
        "abc1234",
        "3.63 ×",
        "✗",
        "nginx was disturbed",
        "3 × sse, gateway: lost event",
    ):
        assert text in shown.getvalue()


def test_runs_are_appended_and_the_latest_is_read_back(tmp_path: Path) -> None:
    """One line per run, in a directory made when needed."""
    path = tmp_path / "results" / "runs.jsonl"
    report.save(run(KEPT), path)
    report.save(run(MISSED), path)
    assert report.latest(["json"], path) == run(MISSED)
    assert len(path.read_text().splitlines()) == 2


def test_a_run_of_some_scenarios_is_not_taken_for_the_whole(tmp_path: Path) -> None:
    """The README shows complete runs only."""
    path = tmp_path / "runs.jsonl"
    report.save(run(KEPT), path)
    with pytest.raises(report.ResultsMissing):
        report.latest(["json", "sse"], path)


def test_no_saved_run_is_said_with_the_remedy(tmp_path: Path) -> None:
    """Rather than an empty table."""
    with pytest.raises(report.ResultsMissing, match="run `just bench` first"):
        report.latest(["json"], tmp_path / "none.jsonl")


def test_the_readme_is_filled_between_its_marks_alone() -> None:
    """What stands around stays, and filling twice is filling once."""
    text = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    table = report.markdown(run(KEPT, MISSED))
    once = report.filled(text, table)
    assert once.startswith("before\n") and once.endswith("\nafter\n")
    assert "old" not in once and "| start to ready | 1.7 s | – | – | ≤ 1.5 s | ✗ |" in once
    assert report.filled(once, table) == once


def test_the_readme_has_its_marks() -> None:
    """`--write-readme` would fail without them."""
    assert report.filled(report.README.read_text(), "table")


def test_a_readme_without_marks_is_refused() -> None:
    """Nothing is overwritten by guess."""
    with pytest.raises(report.ResultsMissing):
        report.filled("no marks", "table")


def test_the_command_line() -> None:
    """Scenarios add up; the daily speed needs no word."""
    options = parse(["quick", "--scenario", "json", "--scenario", "sse", "--strict"])
    assert (options.speed, options.scenario, options.strict, options.no_nginx) == (
        "quick",
        ["json", "sse"],
        True,
        False,
    )
    assert parse([]).speed == "daily"


def test_the_request_is_as_large_as_promised() -> None:
    """About 0.9 KB in, as the table of figures says."""
    body = JSON.wire.partition(b"\r\n\r\n")[2]
    assert 850 <= len(body) <= 1000
    assert stream(100, 20).tokens == 100


def test_every_scenario_says_what_it_does() -> None:
    """The first line of its docstring is shown while it runs."""
    assert all(scenario.__doc__ for scenario in SCENARIOS.values())
