"""`just bench prove`: whether the comparison itself can be believed, by comparing what is known.

The same revision against itself must never be called slower; a slow-down that was planted must be.
"""

from collections import Counter
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.analysis.verdicts import Thresholds
from benchmarks.commands.against import BASE, compare_with
from benchmarks.commands.showing import ending
from benchmarks.lab.machine import revision
from benchmarks.lab.revisions import Worktree
from benchmarks.lab.subjects import Unavailable
from benchmarks.record import Run, Verdict
from benchmarks.report.saved import RESULTS
from benchmarks.scenarios.catalogue import COMPARISONS

_PLANTED_IN = "json.cpu"
_PLANTED = Path(__file__).parents[1] / "planted"
_PROOF = RESULTS / "proof.json"


class Proof(msgspec.Struct, frozen=True):
    """All runs of the two kinds, for a closer look."""

    same: list[Run]
    planted: list[Run]


def tallied(runs: list[Run]) -> dict[str, Counter[Verdict]]:
    """By figure, how often each verdict was given."""
    counts: dict[str, Counter[Verdict]] = {}
    for run in runs:
        for comparison in run.comparisons:
            counts.setdefault(comparison.key, Counter())[comparison.verdict] += 1
    return counts


def _table(title: str, runs: list[Run]) -> Table:
    table = Table("figure", *Verdict, title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for key, counts in tallied(runs).items():
        table.add_row(key, *(str(counts[verdict] or "") for verdict in Verdict))
    return table


def _planted_ns(runs: list[Run], percent: float) -> int:
    """So much of a JSON request's CPU, as the runs before have measured it. Raises Unavailable."""
    figures = [figure for run in runs for figure in run.figures if figure.key == _PLANTED_IN]
    cpu_micros = figures[0].value(BASE) if figures else None
    if cpu_micros is None:
        raise Unavailable(f"{_PLANTED_IN} was not measured, so nothing can be planted in it")
    return round(cpu_micros * 1000 * percent / 100)


def _prove(speed: str, runs: int, planted_runs: int, percent: float) -> int:
    if revision().endswith("+"):
        raise Unavailable("service/ differs from HEAD: commit first, so that both sides are the same.")
    console = Console()
    proof = Proof([], [])
    for number in range(runs):
        console.rule(f"the same revision twice, {number + 1}/{runs}")
        proof.same.append(compare_with(Worktree("HEAD"), COMPARISONS[speed], (), Thresholds(), console))
    for number in range(planted_runs):
        console.rule(f"{percent:g} % planted, {number + 1}/{planted_runs}")
        spend = {"BENCH_PLANTED_NS": str(_planted_ns(proof.same, percent)), "PYTHONPATH": str(_PLANTED)}
        proof.planted.append(
            compare_with(Worktree("HEAD"), COMPARISONS[speed], (), Thresholds(), console, spend)
        )
    RESULTS.mkdir(exist_ok=True)
    _PROOF.write_bytes(msgspec.json.encode(proof))
    console.rule()
    console.print(_table(f"the same revision twice, {runs} runs", proof.same))
    alarms = sum(any(each.verdict is Verdict.SLOWER for each in run.comparisons) for run in proof.same)
    console.print(f"\nfalse alarms: {alarms} of {runs} runs\n")
    if proof.planted:
        console.print(_table(f"{percent:g} % planted in {_PLANTED_IN}, {planted_runs} runs", proof.planted))
    found = tallied(proof.planted).get(_PLANTED_IN, Counter())[Verdict.SLOWER]
    console.print(f"\nplanted and found: {found} of {planted_runs} runs")
    return 1 if alarms or found < planted_runs else 0


@click.command()
@click.option(
    "--runs", type=click.IntRange(1, 100), default=20, show_default=True, help="Of the same revision twice."
)
@click.option("--planted-runs", type=click.IntRange(0, 100), default=5, show_default=True)
@click.option(
    "--percent", type=click.FloatRange(1, 1000), default=10.0, show_default=True, help="How much is planted."
)
@click.option("--speed", type=click.Choice(tuple(COMPARISONS)), default="quick", show_default=True)
def prove(runs: int, planted_runs: int, percent: float, speed: str) -> None:
    """Count the false alarms of comparing a revision with itself, and how often a slow-down is found.

    Exit status 1 where there was a false alarm, or the slow-down was missed.
    """
    ending(lambda: _prove(speed, runs, planted_runs, percent))
