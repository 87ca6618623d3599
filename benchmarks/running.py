"""One run from start to end: subjects, scenarios block by block, and the record of it."""

import asyncio
import gc
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import uvloop

from benchmarks.analysis.verdicts import Thresholds, compare
from benchmarks.lab import machine
from benchmarks.lab.lab import Cores, Lab
from benchmarks.lab.processes import StartFailed
from benchmarks.lab.subjects import PLAIN, Way
from benchmarks.record import Run
from benchmarks.scenarios.bench import Bench, Size
from benchmarks.scenarios.catalogue import ONCE, SCENARIOS


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be run. `thresholds` is there where two subjects are to be compared.

    command: as typed. scenarios: names, in order. ways: the main subject first.
    """

    command: str
    size: Size
    scenarios: tuple[str, ...]
    ways: tuple[Way, ...]
    reference: str | None = None
    thresholds: Thresholds | None = None
    upstream_arguments: tuple[str, ...] = ()

    def steps(self) -> list[tuple[int, str]]:
        """Every scenario of every block, in order. A comparison does all of them in each."""
        return [
            (block, name)
            for block in range(self.size.blocks)
            for name in self.scenarios
            if block == 0 or self.thresholds is not None or name not in ONCE
        ]


Tell = Callable[[int, int, str], None]
"""Told before each step: how many are done, of how many, and what comes now."""


def carry_out(plan: Plan, cores: Cores, tell: Tell) -> tuple[Run, dict[str, str]]:
    """Measure in a temporary directory, and clean up.

    Returns the run, and an example of each kind of error. Raises StartFailed; KeyboardInterrupt
    and asyncio.CancelledError after everything has been stopped.
    """
    started_at = time.monotonic()
    machine.raise_file_limit()
    # No collector pauses of the generator in the subjects' latencies.
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory:
        # nginx's worker may run as another user than its master.
        Path(directory).chmod(0o755)
        with Lab(Path(directory), cores, plan.upstream_arguments) as lab:
            bench = Bench(lab, plan.size, plan.ways)
            at_sigterm = signal.getsignal(signal.SIGTERM)
            try:
                uvloop.run(_measure(bench, plan, tell))
            except OSError as error:
                raise StartFailed(f"A process is gone: {error}\n{lab.last_words()}") from error
            finally:
                # A loop leaves the default behind, which would end this process before the others are.
                signal.signal(signal.SIGTERM, at_sigterm)
    seconds = time.monotonic() - started_at
    return _record(bench, plan, seconds), bench.errors.examples


async def _measure(bench: Bench, plan: Plan, tell: Tell) -> None:
    task = asyncio.current_task()
    assert task is not None
    # An exception raised by a handler could land in a parser's callback, which would swallow it.
    for ending in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(ending, task.cancel)
    # The first start of fresh code compiles it, which is nobody's start-up time.
    for way in plan.ways:
        bench.lab.stop(way.start(bench.lab, PLAIN))
    steps = plan.steps()
    begun: int | None = None
    for done, (block, name) in enumerate(steps):
        tell(done, len(steps), name)
        if block != begun:
            begun = block
            bench.begin_block(block)
        with bench.available(name):
            await SCENARIOS[name].run(bench)
    bench.stop_all()
    tell(len(steps), len(steps), "done")


def _record(bench: Bench, plan: Plan, seconds: float) -> Run:
    figures = bench.book.figures()
    main = plan.ways[0].name
    comparisons = []
    if plan.thresholds is not None and plan.reference is not None:
        found = (compare(figure, main, plan.reference, plan.thresholds) for figure in figures)
        comparisons = [comparison for comparison in found if comparison is not None]
    return Run(
        machine=machine.describe(),
        command=plan.command,
        speed=plan.size.name,
        subjects={way.name: way.identity() for way in plan.ways},
        reference=plan.reference,
        scenarios=plan.scenarios,
        seconds=seconds,
        figures=figures,
        comparisons=tuple(comparisons),
        curves=bench.book.curves(),
        errors=dict(bench.errors.counts),
        unavailable=bench.book.unavailable,
    )


def chosen(speed: str, wanted: Sequence[str]) -> tuple[str, ...]:
    """The scenarios of a speed, or those that were asked for, in the catalogue's order."""
    return tuple(
        name
        for name, scenario in SCENARIOS.items()
        if (name in wanted if wanted else speed in scenario.speeds)
    )
