"""`just bench report` and `just bench clean`: what runs have left."""

from pathlib import Path

import click
from rich.console import Console

from benchmarks.commands.showing import ending, results_option
from benchmarks.lab.environments import remove_environments
from benchmarks.report.saved import directory_name, latest, saved
from benchmarks.report.terminal import show
from benchmarks.running import chosen


@click.command()
@click.option("--readme", is_flag=True, help="Put it into benchmarks/README.md too, with its plots.")
@click.option("--speed", type=click.Choice(("quick", "daily", "full")), default="daily", show_default=True)
@results_option
def report(readme: bool, speed: str, results: Path) -> None:
    """Show the last complete run of that speed (or a fuller one) again, and write its page anew."""

    def write() -> int:
        from benchmarks.report.page import write_page
        from benchmarks.report.readme import write_readme

        console = Console()
        run, history = latest(results, chosen(speed, ())), saved(results)
        show(run, console)
        directory = results / directory_name(run)
        directory.mkdir(parents=True, exist_ok=True)
        write_page(run, history, directory / "index.html")
        if readme:
            write_readme(run, history)
        return 0

    ending(write)


@click.command()
def clean() -> None:
    """Remove the environments of peers and other revisions; results stay."""
    click.echo(f"{remove_environments()} environments removed")
