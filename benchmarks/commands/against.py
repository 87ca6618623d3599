"""`just bench against REF`: the working tree and another revision, in turn, in one run."""

import shlex
import tempfile
from pathlib import Path

import click
from rich.console import Console

from benchmarks.analysis.verdicts import Thresholds
from benchmarks.commands.showing import (
    ending,
    exit_status,
    keep,
    measured,
    page_option,
    results_option,
    scenario_option,
)
from benchmarks.lab.environments import environment
from benchmarks.lab.gateway import Gateway
from benchmarks.lab.machine import ROOT, revision
from benchmarks.lab.revisions import Worktree, default_base, snapshot
from benchmarks.lab.subjects import Unavailable
from benchmarks.record import Run, Verdict
from benchmarks.running import Plan, chosen
from benchmarks.scenarios.bench import Size
from benchmarks.scenarios.catalogue import COMPARISONS
from benchmarks.scenarios.loads import LOADS

HEAD = "head"
BASE = "base"


def compare_with(
    base: Worktree,
    size: Size,
    scenarios: tuple[str, ...],
    thresholds: Thresholds,
    console: Console,
    head_environment: dict[str, str] | None = None,
) -> Run:
    """Measure a copy of the working tree and `base` in turn, each on the requirements that it locks.

    head_environment: further variables for the working tree's gateway. Raises Unavailable, StartFailed.
    """

    def say(what: str) -> None:
        console.print(what, style="dim", highlight=False)

    with base, tempfile.TemporaryDirectory(prefix="penstock-bench-head-") as directory:
        # Both from a fresh copy and on an environment made the same way: the same revision is the same thing.
        head = snapshot(ROOT, Path(directory) / "tree")
        pythons = [
            environment("gateway", tree / "requirements/runtime.txt", say) for tree in (head, base.path)
        ]
        ways = (
            Gateway(HEAD, head, str(pythons[0]), revision(), head_environment or {}),
            Gateway(BASE, base.path, str(pythons[1]), base.revision),
        )
        names = [word for name in scenarios for word in ("--scenario", name)]
        plan = Plan(
            command=shlex.join(["against", base.revision, "--speed", size.name, *names]),
            size=size,
            scenarios=chosen(f"compare-{size.name}", scenarios),
            ways=ways,
            reference=BASE,
            thresholds=thresholds,
        )
        return measured(plan, console)


def _say_where(run: Run, console: Console) -> None:
    """What to do next, where something is slower: which functions take more than they did."""
    slower = (each.key for each in run.comparisons if each.verdict is Verdict.SLOWER)
    load = next((name for key in slower for name in LOADS if key.startswith(f"{name}.")), None)
    if load is not None:
        hint = f"where it went: just bench profile {load} --against {run.subjects[BASE]}"
        console.print(hint, style="dim", highlight=False)


@click.command()
@click.argument("ref", required=False)
@click.option("--speed", type=click.Choice(tuple(COMPARISONS)), default="daily", show_default=True)
@scenario_option
@click.option(
    "--cpu",
    type=click.FloatRange(0, 1000, min_open=True),
    metavar="PERCENT",
    help="A regression of CPU; 5 unless given.",
)
@click.option(
    "--p99",
    type=click.FloatRange(0, 1000, min_open=True),
    metavar="PERCENT",
    help="A regression of latency; 10 unless given.",
)
@click.option("--if-any", is_flag=True, help="Nothing to compare with is no failure.")
@page_option
@results_option
def against(
    ref: str | None,
    speed: str,
    scenarios: tuple[str, ...],
    cpu: float | None,
    p99: float | None,
    if_any: bool,
    page: bool,
    results: Path,
) -> None:
    """Is the working tree slower than REF: by how much, how sure, and where.

    Without REF: the last release, else where this branch left main, else what was there before the
    newest change of what runs. Both are built apart and measured in turn. Exit status 1 where a
    figure's whole interval lies beyond its threshold.
    """

    def compare() -> int:
        console = Console()
        try:
            base = Worktree(ref or default_base())
        except Unavailable as reason:
            if not if_any or ref:
                raise
            console.print(str(reason), style="yellow", highlight=False, markup=False)
            return 0
        run = compare_with(base, COMPARISONS[speed], scenarios, Thresholds.from_percents(cpu, p99), console)
        keep(run, console, results, page=page)
        _say_where(run, console)
        return exit_status(run)

    ending(compare)
