"""`just bench upstream`: the mock provider by itself."""

import contextlib

import click
import uvloop

from benchmarks.lab.machine import raise_file_limit
from benchmarks.upstream.script import FAULTS, Script
from benchmarks.upstream.server import serve


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=9000, show_default=True, help="0 takes any free one."
)
@click.option("--tokens", type=click.IntRange(1), default=100, show_default=True, help="Tokens of a stream.")
@click.option(
    "--interval-ms",
    type=click.FloatRange(0),
    default=20.0,
    show_default=True,
    help="Time between two; 0 is a burst.",
)
@click.option("--error-percent", type=click.FloatRange(0, 100), default=0.0, help="Share answered with 500.")
@click.option(
    "--fault", type=click.Choice(FAULTS), default=None, help="Answer every request wrongly in this way."
)
def upstream(port: int, tokens: int, interval_ms: float, error_percent: float, fault: str | None) -> None:
    """Serve the mock provider on loopback: OpenAI's chat completions and Anthropic's messages.

    The options hold where a prompt doesn't say otherwise by beginning with a script of its own,
    such as "[bench tokens=50 interval_ms=5] Hello".
    """
    named = next((known for known in FAULTS if known == fault), None)
    raise_file_limit()
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(
            serve(
                port,
                Script(tokens, interval_ms, named, error_percent),
                lambda bound: click.echo(f"mock provider on http://127.0.0.1:{bound}/v1", err=True),
            )
        )
