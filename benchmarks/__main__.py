"""The `just bench` command: `python -m benchmarks [quick]`.

Exit status: 0 when every answer was right; 1 when one was wrong, or, with --strict, when a bar was
missed; 2 when something could not be started or found.
"""

import argparse
import asyncio
import gc
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop
from rich.console import Console

from benchmarks import machine, report
from benchmarks.figures import Figure, Verdict
from benchmarks.processes import StartFailed
from benchmarks.rounds import Errors
from benchmarks.scenarios import DAILY, QUICK, SCENARIOS, Bench, Speed
from benchmarks.subjects import Cores, Lab, choose_cores, find_nginx


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="just bench", description="What the gateway costs, beside nginx.")
    parser.add_argument("speed", nargs="?", choices=("quick", "daily"), default="daily")
    parser.add_argument(
        "--scenario", action="append", choices=tuple(SCENARIOS), help="only this one; may be repeated"
    )
    parser.add_argument("--no-nginx", action="store_true", help="leave the yardstick out")
    parser.add_argument("--strict", action="store_true", help="a missed bar fails the run too")
    parser.add_argument(
        "--write-readme", action="store_true", help="run nothing: put the last complete run into the README"
    )
    return parser.parse_args(arguments)


async def measure(lab: Lab, speed: Speed, names: list[str], errors: Errors, console: Console) -> list[Figure]:
    """Run the scenarios one after another."""
    task = asyncio.current_task()
    assert task is not None
    # An exception raised by a handler could land in a parser's callback, which would swallow it.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    bench = Bench(lab, speed, errors)
    figures: list[Figure] = []
    for number, name in enumerate(names, 1):
        with console.status(f"{number}/{len(names)} {name}: {_first_line(name)}"):
            figures += await SCENARIOS[name](bench)
    return figures


def _first_line(name: str) -> str:
    return (SCENARIOS[name].__doc__ or "").partition("\n")[0]


def run(options: argparse.Namespace, console: Console) -> report.Run:
    """Measure in a temporary directory, and clean up. Raises StartFailed."""
    nginx = None if options.no_nginx else find_nginx()
    cores = choose_cores()
    _say_limits(console, cores, nginx, wanted=not options.no_nginx)
    names = [name for name in SCENARIOS if not options.scenario or name in options.scenario]
    speed = QUICK if options.speed == "quick" else DAILY
    errors = Errors()
    started_at = time.monotonic()
    _prepare()
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory:
        # nginx's worker may run as another user than its master.
        Path(directory).chmod(0o755)
        with Lab(Path(directory), cores, nginx) as lab:
            try:
                figures = uvloop.run(measure(lab, speed, names, errors, console))
            except ConnectionError as error:
                raise StartFailed(f"A process is gone: {error}\n{lab.last_words()}") from error
    for kind, example in errors.examples.items():
        console.print(f"first of {kind}: {example}", style="red", highlight=False, markup=False)
    seconds = time.monotonic() - started_at
    return report.Run(machine.describe(nginx), speed.name, names, seconds, figures, dict(errors.counts))


def _prepare() -> None:
    """Room for 5,000 sockets, and no collector pauses of the generator in the subject's latencies."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


def _say_limits(console: Console, cores: Cores, nginx: Path | None, *, wanted: bool) -> None:
    if cores.shared:
        console.print("Only one core: CPU and latency figures are not to be trusted.", style="bold red")
    if wanted and nginx is None:
        console.print(
            "nginx not found, so bars relative to it stay open: `apt install nginx-light` (or your "
            "system's package) provides it; it need not run.",
            style="yellow",
        )
    if (load := os.getloadavg()[0]) > 1:
        console.print(f"The machine is busy (load {load:.1f}): expect noise.", style="yellow")


def exit_status(done: report.Run, *, strict: bool) -> int:
    """1 for any error, and with `strict` for any missed bar."""
    missed = any(figure.verdict is Verdict.MISSED for figure in done.figures)
    return 1 if done.errors or (strict and missed) else 0


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; return the exit status."""
    options = parse(arguments)
    console = Console()
    # As Ctrl-C does: unwind, so that every process is ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if options.write_readme:
            report.write_readme(SCENARIOS)
            return 0
        done = run(options, console)
    except (StartFailed, report.ResultsMissing) as problem:
        console.print(str(problem), style="red", highlight=False, markup=False)
        return 2
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    report.save(done)
    report.show(done, console)
    return exit_status(done, strict=options.strict)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
