"""`just bench peers`: the same load through other gateways, side by side."""

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
)
from benchmarks.lab.gateway import Gateway
from benchmarks.lab.nginx import INSTALL, Nginx, find_nginx
from benchmarks.lab.subjects import Way
from benchmarks.peers.finding import PEERS, find_peers
from benchmarks.peers.url import Url
from benchmarks.running import Plan, chosen
from benchmarks.scenarios.catalogue import PEER_SIZE

GATEWAY = "gateway"


@click.command()
@click.option(
    "--install",
    multiple=True,
    type=click.Choice(tuple(PEERS)),
    help="Install this one, apart; may be repeated.",
)
@click.option(
    "--url",
    "urls",
    multiple=True,
    metavar="URL",
    help="A server on loopback, such as http://127.0.0.1:8080/v1.",
)
@click.option("--model", default="bench", show_default=True, help="What to ask the servers of --url for.")
@click.option("--key", default="bench", help="The API key for the servers of --url.")
@scenario_option
@page_option
@results_option
def peers(
    install: tuple[str, ...],
    urls: tuple[str, ...],
    model: str,
    key: str,
    scenarios: tuple[str, ...],
    page: bool,
    results: Path,
) -> None:
    """Put LiteLLM, a FastAPI relay, nginx and any URL beside the gateway: same load, one run, ratios.

    Peers are installed once, each in an environment of its own, from hash-locked requirements.
    A server of --url must pass requests on to the mock provider (`just bench upstream`) itself.
    """

    def measure() -> int:
        console = Console()
        found, missing = find_peers(install, lambda what: console.print(what, style="dim", highlight=False))
        nginx = find_nginx()
        if nginx is None:
            missing["nginx"] = INSTALL
        ways: tuple[Way, ...] = (
            Gateway(GATEWAY),
            *([Nginx(nginx)] if nginx else []),
            *found,
            *(Url(url, model=model, api_key=key) for url in urls),
        )
        plan = Plan(
            command=shlex.join(["peers", *(word for url in urls for word in ("--url", url))]),
            size=PEER_SIZE,
            scenarios=chosen("peers", scenarios),
            ways=ways,
            reference=GATEWAY,
        )
        run = measured(plan, console, tuple(f"without {name}: {why}" for name, why in missing.items()))
        keep(run, console, results, page=page)
        return exit_status(run)

    ending(measure)
