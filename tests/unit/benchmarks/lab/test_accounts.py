"""What a stretch of load cost, and the list of what went wrong."""

import os
from pathlib import Path

import pytest

from benchmarks.lab.accounts import Errors, Meter, metered
from benchmarks.lab.lab import Cores, Lab
from benchmarks.lab.subjects import Subject
from benchmarks.load.tally import Tally


def tally(*faults: str, answers: int = 0, begun: int = 0, left: int = 0) -> Tally:
    made = Tally()
    made.answers, made.begun, made.left = answers, begun, left
    for fault in faults:
        made.fail(fault)
    return made


@pytest.mark.parametrize(
    ("seen", "counts"),
    [
        pytest.param([tally(answers=5)], {}, id="all-right"),
        pytest.param([tally("lost event", answers=999)], {"p: lost event": 1}, id="one-in-a-thousand"),
        pytest.param(
            [tally("status 500: a", "status 500: b"), tally("status 500: c", "lost event")],
            {"p: status 500": 3, "p: lost event": 1},
            id="several-runs-add-up",
        ),
        pytest.param([tally()], {"p: nothing was answered": 1}, id="nothing-at-all"),
        pytest.param([tally(begun=3)], {}, id="held-streams-have-begun"),
        pytest.param([tally(left=3)], {}, id="visitors-have-left"),
    ],
)
def test_errors(seen: list[Tally], counts: dict[str, int]) -> None:
    """By place and kind."""
    errors = Errors()
    for each in seen:
        errors.take("p", each)
    assert errors.counts == counts
    assert errors.examples.keys() == counts.keys()


def test_the_first_of_a_kind_is_the_example() -> None:
    """Whole, with what stood behind the colon; without one the kind itself."""
    errors = Errors()
    for fault in ("status 500: first", "status 500: second"):
        errors.take("p", tally(fault))
    errors.add("q: still open", 4)
    assert errors.examples == {"p: status 500": "status 500: first", "q: still open": "q: still open"}
    assert errors.counts["q: still open"] == 4


CORES = Cores(0, 0, 0)


def burn() -> None:
    """Some CPU of this process."""
    sum(range(1_000_000))


def test_the_subjects_cpu_is_its_trees(tmp_path: Path) -> None:
    """Here the subject is this very process, so the load side's share is the same; others are apart."""
    subject = Subject(name="self", port=0, pids=(os.getpid(),))
    with metered(Lab(tmp_path, CORES), subject) as meter:
        burn()
    spent = meter.spent
    assert 0 < spent.cpu_seconds <= spent.wall_seconds * 1.05
    assert spent.load_share == pytest.approx(spent.cpu_seconds / spent.wall_seconds, rel=0.2)
    assert spent.foreign_share >= 0


def test_a_subject_without_processes_costs_nothing_that_is_known(tmp_path: Path) -> None:
    """The direct way."""
    with metered(Lab(tmp_path, CORES), Subject(name="direct", port=0)) as meter:
        burn()
    assert meter.spent.cpu_seconds == 0
    assert meter.spent.load_share > 0


def test_a_subject_that_is_gone_has_no_account(tmp_path: Path) -> None:
    """An OSError, which ends the run, and not a flattering zero."""
    with pytest.raises(OSError):
        Meter(Lab(tmp_path, CORES), Subject(name="gone", port=0, pids=(2**22 + 1,)))
