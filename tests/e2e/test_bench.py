"""`just bench` from the shell to the saved line and its page, with the real gateway."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.lab import machine
from benchmarks.lab.machine import ROOT
from benchmarks.report.saved import saved
from tests.e2e.gateway import eventually

NAMES = {"json.cpu", "json.pace", "burst.cpu", "burst.pace"}


@contextmanager
def typed(
    directory: Path, *words: str, program: tuple[str, ...] = ("-m", "benchmarks")
) -> Iterator["subprocess.Popen[str]"]:
    """The command on its way, its temporary files in a directory of its own."""
    temporary = directory / "tmp"
    temporary.mkdir()
    with subprocess.Popen(
        [sys.executable, *program, *words],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield process
    assert list(temporary.iterdir()) == []


def test_a_run_from_end_to_end(tmp_path: Path) -> None:
    """Every answer right: exit status 0, a line with machine and figures, and a page; nothing is left behind."""
    options = (
        "--scenario",
        "json",
        "--scenario",
        "burst",
        "--no-nginx",
        "--page",
        "--results",
        str(tmp_path / "r"),
    )
    with typed(tmp_path, "quick", *options) as process:
        told, _ = process.communicate(timeout=60)
    assert process.returncode == 0, told
    (run,) = saved(tmp_path / "r")
    assert {figure.key for figure in run.figures} == NAMES
    assert all((figure.value("gateway") or 0) > 0 for figure in run.figures)
    assert (run.errors, run.unavailable, run.reference) == ({}, {}, None)
    assert (run.speed, run.scenarios, list(run.subjects)) == ("quick", ("json", "burst"), ["gateway"])
    assert run.machine.cores == len(os.sched_getaffinity(0))
    assert {"python", "kernel", "cpu", "packages"} <= set(run.machine.__struct_fields__)
    (page,) = (tmp_path / "r").glob("*/index.html")
    assert str(page.relative_to(tmp_path)) in told.replace("\n", "")
    for figure in run.figures:
        assert figure.name in told
        assert figure.name in page.read_text()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_run_that_is_interrupted_leaves_nothing(ending: signal.Signals, tmp_path: Path) -> None:
    """No process, no file and no line; exit status 130 and no traceback."""
    with typed(
        tmp_path, "quick", "--scenario", "json", "--no-nginx", "--results", str(tmp_path / "r")
    ) as process:
        assert process.stdout is not None
        said = ""
        while "0/1 json" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        tree = eventually(lambda: found if len(found := machine.process_tree(process.pid)) >= 3 else None, 20)
        process.send_signal(ending)
        told, _ = process.communicate(timeout=30)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert not any(Path(f"/proc/{pid}").exists() for pid in tree)
    assert not (tmp_path / "r").exists()


COMPARE = """
import sys
import msgspec
from pathlib import Path
from rich.console import Console
from benchmarks.analysis.verdicts import Thresholds
from benchmarks.commands.against import compare_with
from benchmarks.commands.showing import ending, exit_status, keep
from benchmarks.lab.revisions import Worktree
from benchmarks.scenarios.catalogue import COMPARE_QUICK

size = msgspec.structs.replace(COMPARE_QUICK, blocks=2, rounds=2, warm_up_seconds=0.05, json_seconds=0.2)

def compare():
    run = compare_with(Worktree("HEAD"), size, ("json",), Thresholds(), Console())
    keep(run, Console(), Path(sys.argv[1]), page=False)
    return exit_status(run)

ending(compare)
"""


def test_a_comparison_with_head(tmp_path: Path) -> None:
    """`just bench against HEAD` in small: both sides are measured in turn, and the worktree is gone after it."""
    with typed(tmp_path, str(tmp_path / "r"), program=("-c", COMPARE)) as process:
        told, _ = process.communicate(timeout=110)
    # Which of the two is not for a test to say: that would be a measurement.
    assert process.returncode in (0, 1), told
    (run,) = saved(tmp_path / "r")
    assert list(run.subjects) == ["head", "base"]
    assert run.subjects["head"].removesuffix("+") == run.subjects["base"]
    assert run.reference == "base"
    (cpu,) = (figure for figure in run.figures if figure.key == "json.cpu")
    assert {name: [len(block) for block in blocks] for name, blocks in cpu.blocks.items()} == {
        "head": [2, 2],
        "base": [2, 2],
    }
    (comparison,) = (each for each in run.comparisons if each.key == "json.cpu")
    assert comparison.low <= comparison.ratio <= comparison.high
    assert run.errors == {}
    listed = subprocess.run(
        ["git", "worktree", "list"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert str(tmp_path) not in listed
