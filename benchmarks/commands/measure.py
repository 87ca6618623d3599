"""`just bench`, `just bench quick`, `just bench full`: the gateway beside nginx."""

import shlex
from pathlib import Path

import click
from rich.console import Console

from benchmarks.commands.showing import (
    ending,
    exit_status,
    keep,
    measured,
    page_option,
    results_option,
    scenario_option,
    strict_option,
)
from benchmarks.lab.gateway import Gateway
from benchmarks.lab.nginx import INSTALL, Nginx, find_nginx
from benchmarks.lab.subjects import Way
from benchmarks.running import Plan, chosen
from benchmarks.scenarios.bench import Size
from benchmarks.scenarios.catalogue import DAILY, FULL, QUICK

nginx_option = click.option(
    "--nginx/--no-nginx", "wants_nginx", default=True, help="With the yardstick, or without."
)


def _measure(
    size: Size, scenarios: tuple[str, ...], results: Path, *, wants_nginx: bool, strict: bool, page: bool
) -> int:
    console = Console()
    program = find_nginx() if wants_nginx else None
    hints = (
        ()
        if program or not wants_nginx
        else (f"nginx not found, so bars relative to it stay open: {INSTALL}.",)
    )
    ways: tuple[Way, ...] = (Gateway("gateway"), *([Nginx(program)] if program else []))
    plan = Plan(
        command=shlex.join([size.name, *(word for name in scenarios for word in ("--scenario", name))]),
        size=size,
        scenarios=chosen(size.name, scenarios),
        ways=ways,
        reference="nginx" if program else None,
    )
    run = measured(plan, console, hints)
    keep(run, console, results, page=page)
    return exit_status(run, strict=strict)


def _command(size: Size, sentence: str) -> click.Command:
    """The three speeds differ in nothing but how much they do."""

    @click.command(size.name, help=sentence)
    @scenario_option
    @nginx_option
    @strict_option
    @page_option
    @results_option
    def measure(
        scenarios: tuple[str, ...], wants_nginx: bool, strict: bool, page: bool, results: Path
    ) -> None:
        ending(lambda: _measure(size, scenarios, results, wants_nginx=wants_nginx, strict=strict, page=page))

    return measure


quick = _command(QUICK, "The main figures, in less than 40 seconds.")
daily = _command(DAILY, "What is run before a change is handed in; less than three minutes.")
full = _command(FULL, "Every scenario, with repeats: frontier, soak, storms, 5,000 idle streams.")
