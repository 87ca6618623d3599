"""`just bench profile SCENARIO`: where the gateway's CPU goes under a load."""

import asyncio
import os
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.commands.against import BASE, HEAD
from benchmarks.commands.showing import ending, warn
from benchmarks.lab.environments import environment
from benchmarks.lab.gateway import Gateway
from benchmarks.lab.lab import Lab, choose_cores
from benchmarks.lab.machine import raise_file_limit
from benchmarks.lab.revisions import Worktree
from benchmarks.lab.subjects import Subject, Unavailable
from benchmarks.load.client import Client
from benchmarks.load.closed_loop import ClosedLoop
from benchmarks.load.requests import request
from benchmarks.profiling.costs import Cost, difference, function_costs, room_costs
from benchmarks.profiling.flamegraph import flame_graph
from benchmarks.profiling.sampler import find_py_spy, record_stacks
from benchmarks.profiling.stacks import Stack
from benchmarks.report.saved import RESULTS
from benchmarks.scenarios.loads import LOADS, Load

_SETTLE_SECONDS = 1.0
_ENDLESS_SECONDS = 600.0
_TOP = 15


async def _profiled(subject: Subject, load: Load, seconds: int) -> list[Stack]:
    """The stacks of one subject under a steady load. Raises Unavailable; also where answers were wrong."""
    assert subject.process is not None
    loop = ClosedLoop(
        request(load.ask, subject),
        seconds=_ENDLESS_SECONDS,
        spread_seconds=load.spread_seconds,
        limit_seconds=2 * _ENDLESS_SECONDS,
    )
    async with Client(subject.port, load.connections) as client:
        loading = asyncio.create_task(loop.run(client))
        try:
            await asyncio.sleep(_SETTLE_SECONDS)
            stacks = await asyncio.to_thread(record_stacks, subject.process.pid, seconds)
        finally:
            loading.cancel()
        if client.tally.errors:
            raise Unavailable(f"the load met errors, so its profile tells nothing: {client.tally.examples}")
        return stacks


def _top(title: str, costs: Sequence[Cost]) -> Table:
    table = Table(title, "itself", "with all it calls", box=None, padding=(0, 2, 0, 0))
    for column in table.columns[1:]:
        column.justify = "right"
    for cost in costs[:_TOP]:
        table.add_row(cost.name, f"{cost.self_share:.1%}", f"{cost.total_share:.1%}")
    return table


def _changes(before: Sequence[Cost], after: Sequence[Cost], base: str) -> Table:
    table = Table("itself, share of all", base, HEAD, "change", box=None, padding=(0, 2, 0, 0))
    for column in table.columns[1:]:
        column.justify = "right"
    for change in difference(before, after)[:_TOP]:
        shares = (f"{change.before_share:.1%}", f"{change.after_share:.1%}", f"{change.difference:+.1%}")
        table.add_row(change.name, *shares)
    return table


def _write(name: str, scenario: str, stacks: list[Stack], console: Console) -> None:
    stamp = datetime.now(UTC).strftime("%Y-%m-%d-%H%M%S")
    path = RESULTS / "profiles" / f"{stamp}-{scenario}-{name}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(flame_graph(stacks, f"{name} under {scenario}", LOADS[scenario].title))
    console.print(f"flame graph: {os.path.relpath(path)}", style="dim", highlight=False)


def _profile(scenario: str, seconds: int, ref: str | None) -> int:
    console = Console()
    find_py_spy()
    cores = choose_cores()
    warn(console, cores)
    raise_file_limit()
    if ref is None:
        stacks = _record(Gateway(HEAD), scenario, seconds)
        _write(HEAD, scenario, stacks, console)
        console.print(_top("function", function_costs(stacks)), "")
        console.print(_top("room", room_costs(stacks)))
        return 0
    with Worktree(ref) as base:
        python = environment("gateway", base.requirements, console.print)
        before = _record(Gateway(BASE, base.path, str(python), base.revision), scenario, seconds)
    after = _record(Gateway(HEAD), scenario, seconds)
    _write(base.revision, scenario, before, console)
    _write(HEAD, scenario, after, console)
    console.print(_changes(function_costs(before), function_costs(after), base.revision), "")
    console.print(_changes(room_costs(before), room_costs(after), base.revision))
    return 0


def _record(gateway: Gateway, scenario: str, seconds: int) -> list[Stack]:
    load = LOADS[scenario]
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory:
        Path(directory).chmod(0o755)
        with Lab(Path(directory), choose_cores()) as lab:
            return uvloop.run(_profiled(gateway.start(lab, load.variant), load, seconds))


@click.command()
@click.argument("scenario", type=click.Choice(tuple(LOADS)))
@click.option("--seconds", type=click.IntRange(1, 300), default=10, show_default=True)
@click.option("--against", "ref", metavar="REF", help="Profile that revision too, and say what changed.")
def profile(scenario: str, seconds: int, ref: str | None) -> None:
    """Write a flame graph of the gateway under SCENARIO, and say the top costs.

    Shares are of the CPU of the gateway's processes, by the kernel's accounts.
    """
    ending(lambda: _profile(scenario, seconds, ref))
