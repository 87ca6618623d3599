"""The throughput frontier: how many requests a second at which added latency."""

import asyncio

from benchmarks.analysis.search import Frontier
from benchmarks.lab.subjects import Subject
from benchmarks.load.client import Client
from benchmarks.load.open_loop import Lane, open_loop
from benchmarks.load.requests import Ask, request
from benchmarks.record import Curve, CurveKind, Kind
from benchmarks.scenarios.bench import Bench

LIMITS_MS = (1.0, 5.0, 10.0, 50.0)
_START_RATE = 250.0
_HIGHEST_RATE = 40_000.0
_CONNECTIONS = 256
_DIRECT_RATE = 100.0
_GENERATOR_SHARE = 0.5
_GAVE_UP_MS = 1000.0


async def frontier(bench: Bench) -> None:
    """The highest rate of JSON requests at which the added p99 stays under 1, 5, 10 and 50 ms."""
    for subject in await bench.subjects():
        search = Frontier(limits_ms=LIMITS_MS, start_rate=_START_RATE, highest_rate=_HIGHEST_RATE)
        points: list[tuple[float, float]] = []
        limited: list[float] = []
        while (rate := search.next_rate()) is not None:
            added_ms, generator_limited = await _probe(bench, subject, rate)
            search.record(rate, added_ms)
            points.append((rate, _GAVE_UP_MS if added_ms is None else max(added_ms, 0.001)))
            if generator_limited:
                limited.append(rate)
        notes = []
        if limited:
            of_all = f"{len(limited)} of {len(points)} rates (from {min(limited):,.0f}/s on)"
            notes.append(f"{subject.name}: at {of_all} the load generator itself was late")
        _add(bench, subject, search, sorted(points), notes)


def _add(
    bench: Bench, subject: Subject, search: Frontier, points: list[tuple[float, float]], notes: list[str]
) -> None:
    for limit_ms, rate in search.highest().items():
        name = f"frontier: requests/s with added p99 under {limit_ms:g} ms"
        key = f"frontier.{limit_ms:g}ms"
        bench.add_values(key, name, "/s", Kind.PACE, {subject.name: rate}, notes=notes)
    bench.book.add_curve(
        Curve(
            key="frontier.json",
            name="throughput frontier, JSON",
            kind=CurveKind.FRONTIER,
            x_label="requests/s offered",
            y_label="added p99, ms",
            lines={subject.name: points},
        )
    )


async def _probe(bench: Bench, subject: Subject, rate: float) -> tuple[float | None, bool]:
    """Added p99 at this rate, None where not all was answered well in time; and whether this side was late."""
    async with (
        Client(subject.port, _CONNECTIONS) as client,
        Client(bench.lab.direct.port, 8) as direct_client,
    ):
        lane = Lane(client, request(Ask(), subject))
        direct = Lane(direct_client, request(Ask(), bench.lab.direct))
        await asyncio.gather(
            open_loop([lane], rate, bench.size.probe_seconds),
            open_loop([direct], _DIRECT_RATE, bench.size.probe_seconds),
        )
    if direct.tally.errors:
        bench.errors.take("frontier, direct", direct.tally)
    tally = lane.tally
    wrong = {kind: count for kind, count in tally.errors.items() if kind not in ("unfinished", "never sent")}
    # Too much to ask for isn't a wrong answer; anything else is, at any rate.
    if wrong:
        bench.errors.take(f"frontier, {subject.name}", tally)
    if tally.errors:
        return None, False
    p99_ms = tally.latency.percentile_ms(99)
    late_ms = tally.late.percentile_ms(99)
    added_ms = p99_ms - direct.tally.latency.percentile_ms(99)
    return added_ms, late_ms > _GENERATOR_SHARE * p99_ms
