"""Runs kept for later."""

import math
from pathlib import Path

import msgspec
import pytest

from benchmarks.record import Run
from benchmarks.report.saved import ResultsMissing, directory_name, finite, latest, save, saved
from tests.unit.benchmarks.report.examples import AGAINST, FULL, MINIMAL


def _saved(directory: Path) -> tuple[list[Run], list[str]]:
    told: list[str] = []
    return saved(directory, told.append), told


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    """In order, whole, from a directory that is made when needed."""
    directory = tmp_path / "results"
    for run in (FULL, AGAINST, MINIMAL):
        assert save(run, directory).is_dir()
    assert _saved(directory) == ([FULL, AGAINST, MINIMAL], [])


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b'{"machine":{"cpu":"a"},"speed":"quick","figures":[]}', id="the-first-schema"),
        pytest.param(msgspec.json.encode(FULL).replace(b'"schema":2', b'"schema":3'), id="a-later-schema"),
        pytest.param(msgspec.json.encode(FULL)[:300], id="torn"),
        pytest.param(b'{"schema":2,"machine":7}', id="not-a-run"),
        pytest.param(b"\xff\xfe", id="no-text-at-all"),
    ],
)
def test_other_lines_are_passed_over_and_counted(tmp_path: Path, line: bytes) -> None:
    save(FULL, tmp_path)
    with (tmp_path / "runs.jsonl").open("ab") as file:
        file.write(line + b"\n")
    save(MINIMAL, tmp_path)
    runs, (told,) = _saved(tmp_path)
    assert runs == [FULL, MINIMAL] and told.startswith("1 of 3 saved runs passed over")


def test_a_run_after_a_torn_line_is_not_lost_with_it(tmp_path: Path) -> None:
    """A run that was interrupted while it was saved has no line break."""
    (tmp_path / "runs.jsonl").write_bytes(msgspec.json.encode(FULL)[:300])
    save(MINIMAL, tmp_path)
    assert _saved(tmp_path)[0] == [MINIMAL]


def test_no_directory_is_no_run(tmp_path: Path) -> None:
    """Nor a reason to complain."""
    assert _saved(tmp_path / "none") == ([], [])


def test_what_json_cannot_hold_is_left_out(tmp_path: Path) -> None:
    """A round without an answer costs infinitely much; the line must still be read back."""
    figure = msgspec.structs.replace(FULL.figures[0], blocks={"gateway": [[1.0, math.inf], [math.nan]]})
    save(msgspec.structs.replace(FULL, figures=(figure,)), tmp_path)
    (run,), _ = _saved(tmp_path)
    assert run.figures[0].blocks == {"gateway": [[1.0], []]}
    assert finite(FULL) == FULL


@pytest.mark.parametrize(
    ("run", "name"),
    [
        pytest.param(FULL, "2026-11-25-093038-full-33e56c4+", id="command-and-revision"),
        pytest.param(AGAINST, "2026-11-25-093038-against-v0.3.0-33e56c4", id="against"),
        pytest.param(
            msgspec.structs.replace(MINIMAL, command=""),
            "2026-11-25-093038-quick-33e56c4",
            id="the-speed-else",
        ),
        pytest.param(
            msgspec.structs.replace(MINIMAL, command="peers ../../etc:/$HOME"),
            "2026-11-25-093038-peers-..-..-etc-home-33e56c4",
            id="no-separators",
        ),
    ],
)
def test_directory_names(run: Run, name: str) -> None:
    assert directory_name(run) == name


def test_the_latest_complete_run(tmp_path: Path) -> None:
    """Not one of fewer scenarios, and not a comparison, though they are later."""
    for run in (FULL, MINIMAL, AGAINST):
        save(run, tmp_path)
    assert latest(tmp_path, ["json", "latency"]) == FULL
    assert latest(tmp_path, ["start"]) == MINIMAL


def test_a_missing_run_is_said_with_the_remedy(tmp_path: Path) -> None:
    """Rather than an empty table."""
    save(MINIMAL, tmp_path)
    with pytest.raises(ResultsMissing, match="run `just bench` first"):
        latest(tmp_path, ["json"])
