"""What all runs have in common: who is told what, and when; and the exit status."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.analysis.verdicts import is_regression
from benchmarks.lab.lab import Cores, choose_cores
from benchmarks.lab.processes import StartFailed
from benchmarks.lab.subjects import Unavailable
from benchmarks.record import Run
from benchmarks.report.cells import Keeping, keeping
from benchmarks.report.saved import RESULTS, ResultsMissing, save, saved
from benchmarks.report.terminal import show
from benchmarks.running import Plan, Tell, carry_out
from benchmarks.scenarios.catalogue import SCENARIOS

_BUSY_LOAD = 1.0


class Failed(click.ClickException):
    """Something could not be started or found."""

    exit_code = 2


@contextmanager
def told_plainly() -> Iterator[None]:
    """What goes wrong inside is said without a traceback; Ctrl-C and SIGTERM end it with 130."""
    # As Ctrl-C does: unwind, so that every process is ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except (StartFailed, Unavailable, ResultsMissing) as problem:
        raise Failed(str(problem)) from problem
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)


@contextmanager
def progress(console: Console) -> Iterator[Tell]:
    """A bar while steps are done, on a terminal; a line per step elsewhere."""
    if not console.is_terminal:
        yield lambda done, total, name: console.print(f"{done}/{total} {name}", style="dim", highlight=False)
        return
    columns = (
        BarColumn(24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.description}", table_column=None),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def tell(done: int, total: int, name: str) -> None:
            title = f"{name}: {SCENARIOS[name].title}" if name in SCENARIOS else name
            bar.update(task, completed=done, total=total, description=title[: console.width - 44])

        yield tell


def warn(console: Console, cores: Cores, hints: tuple[str, ...] = ()) -> None:
    """What will make the figures worth less, before they are made."""
    if cores.shared:
        console.print("Only one core: CPU and latency figures are not to be trusted.", style="bold red")
    for hint in hints:
        console.print(hint, style="yellow", highlight=False)
    if (busy := os.getloadavg()[0]) > _BUSY_LOAD:
        console.print(
            f"The machine is busy (load {busy:.1f}): expect noise.", style="yellow", highlight=False
        )


def measured(plan: Plan, console: Console, hints: tuple[str, ...] = ()) -> Run:
    """Carry out the plan with a progress bar, and show what came out."""
    cores = choose_cores()
    warn(console, cores, hints)
    with progress(console) as tell:
        run, examples = carry_out(plan, cores, tell)
    for kind, example in examples.items():
        console.print(f"first of {kind}: {example}", style="red", highlight=False, markup=False)
    show(run, console)
    return run


def keep(run: Run, console: Console, results: Path, *, page: bool) -> Path:
    """Save the run among those in `results`, and its page with the plots where it is wanted; say where."""
    history = saved(results)
    directory = save(run, results)
    if page:
        # matplotlib takes a second to import, which a run without a page need not pay.
        from benchmarks.report.page import write_page

        write_page(run, history, directory / "index.html")
        console.print(f"\n{_short(directory / 'index.html')}", style="dim", highlight=False)
    return directory


def _short(path: Path) -> str:
    return os.path.relpath(path)


def exit_status(run: Run, *, strict: bool = False) -> int:
    """1 for any wrong answer, any regression, and with `strict` for any missed bar."""
    missed = any(
        keeping(figure, subject) is Keeping.MISSED for figure in run.figures for subject in _own(run)
    )
    return 1 if run.errors or is_regression(run.comparisons) or (strict and missed) else 0


def _own(run: Run) -> list[str]:
    """The subject that bars are for."""
    return [run.main_subject] if run.reference in (None, "nginx") else []


scenario_option = click.option(
    "--scenario",
    "scenarios",
    multiple=True,
    type=click.Choice(tuple(SCENARIOS)),
    metavar="NAME",
    help=f"Only this one; may be repeated. One of: {', '.join(SCENARIOS)}.",
)
page_option = click.option("--page/--no-page", default=True, help="Write the HTML page with the plots.")
results_option = click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=RESULTS,
    metavar="DIRECTORY",
    help="Where runs are kept; benchmarks/results unless given.",
)
strict_option = click.option("--strict", is_flag=True, help="A missed bar fails the run too.")


def ending(status: Callable[[], int]) -> None:
    """Run `status` with failures told plainly, and exit with what it returns."""
    with told_plainly():
        sys.exit(status())
