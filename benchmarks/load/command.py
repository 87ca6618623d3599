"""`just bench load`: the load generator by itself, against any server on loopback."""

import sys
import time

import click
import msgspec
import uvloop

from benchmarks.analysis.cost import FULL_CORE
from benchmarks.lab.machine import raise_file_limit
from benchmarks.lab.subjects import Subject, Unavailable
from benchmarks.load.client import Client
from benchmarks.load.closed_loop import ClosedLoop
from benchmarks.load.open_loop import Lane, open_loop
from benchmarks.load.requests import Ask, request
from benchmarks.load.tally import Distribution, Tally
from benchmarks.peers.url import parse_address
from benchmarks.upstream.script import Script

_LATE_MS = 1.0


@click.command()
@click.option("--url", default="http://127.0.0.1:9000/v1", show_default=True, help="On loopback.")
@click.option("--model", default="bench", show_default=True)
@click.option("--key", default="bench", help="The API key to send.")
@click.option("--dialect", type=click.Choice(("openai", "anthropic")), default="openai", show_default=True)
@click.option(
    "--tokens", type=click.IntRange(1), default=None, help="Stream that many; without: JSON answers."
)
@click.option(
    "--interval-ms", type=click.FloatRange(0), default=20.0, show_default=True, help="Between two tokens."
)
@click.option("--connections", type=click.IntRange(1, 20_000), default=64, show_default=True)
@click.option("--seconds", type=click.FloatRange(0.1, 3600), default=10.0, show_default=True)
@click.option(
    "--rate",
    type=click.FloatRange(0.1, 100_000),
    default=None,
    help="Open loop: requests/s, whatever comes back.",
)
def load(
    url: str,
    model: str,
    key: str,
    dialect: str,
    tokens: int | None,
    interval_ms: float,
    connections: int,
    seconds: float,
    rate: float | None,
) -> None:
    """Load a server whose provider is the mock one, and check every answer token by token.

    Prints one JSON object. Exit status 1 where any answer was wrong or none came. Without --rate each
    connection sends its next request when the last is answered; with it requests go out at fixed
    instants, and latency counts from when each was due.
    """
    try:
        port, base_path = parse_address(url)
    except Unavailable as problem:
        raise click.UsageError(str(problem)) from problem
    authorization = f"authorization: Bearer {key}\r\n"
    place = Subject(name=url, port=port, base_path=base_path, headers=authorization, model=model)
    ask = Ask(
        stream=tokens is not None,
        script=Script(tokens=tokens or 1, interval_ms=interval_ms),
        dialect="anthropic" if dialect == "anthropic" else "openai",
    )
    raise_file_limit()
    try:
        told = uvloop.run(_run(place, ask, connections, seconds, rate))
    except OSError as problem:
        raise click.UsageError(f"nobody answers at {url}: {problem}") from problem
    tally, wall_seconds, cpu_seconds = told
    seen = msgspec.json.encode(summary(tally, wall_seconds, cpu_seconds))
    click.echo(msgspec.json.format(seen, indent=2).decode())
    sys.exit(1 if tally.errors or not tally.answers else 0)


async def _run(
    place: Subject, ask: Ask, connections: int, seconds: float, rate: float | None
) -> tuple[Tally, float, float]:
    """The tally, and the seconds of wall and CPU that it took."""
    wire = request(ask, place)
    async with Client(place.port, connections) as client:
        # Not the loop's clock: uvloop's stands still within a millisecond, in which a run may be over.
        started_at, used_before = time.perf_counter(), time.process_time()
        if rate is None:
            await ClosedLoop(wire, seconds=seconds, limit_seconds=seconds + 60).run(client)
        else:
            await open_loop([Lane(client, wire)], rate, seconds)
        return client.tally, time.perf_counter() - started_at, time.process_time() - used_before


def summary(tally: Tally, wall_seconds: float, cpu_seconds: float) -> dict[str, object]:
    """What was seen, in the units that names say. cpu_seconds: of the generator itself."""
    late_ms = tally.late.percentile_ms(99)
    core_share = cpu_seconds / wall_seconds
    return {
        "answers": tally.answers,
        "answers_per_second": round(tally.answers / wall_seconds, 1),
        "events": tally.events,
        "events_per_second": round(tally.events / wall_seconds, 1),
        "errors": dict(tally.errors),
        "examples": tally.examples,
        "latency_ms": _percentiles(tally.latency),
        "first_event_ms": _percentiles(tally.first_event),
        "gap_ms": _percentiles(tally.gap),
        "generator_late_p99_ms": late_ms,
        "generator_core_share": round(core_share, 3),
        "generator_was_bottleneck": late_ms > _LATE_MS or core_share > FULL_CORE,
    }


def _percentiles(seen: Distribution) -> dict[str, float]:
    if not seen.count:
        return {}
    return {f"p{percent:g}": seen.percentile_ms(percent) for percent in (50, 90, 99, 99.9, 100)}
