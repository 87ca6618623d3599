"""What the gateway adds to the time that a client waits, at an easy pace and under other load."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.lab.accounts import metered
from benchmarks.lab.subjects import Subject
from benchmarks.load.client import Client
from benchmarks.load.closed_loop import ClosedLoop
from benchmarks.load.open_loop import Lane, open_loop
from benchmarks.load.requests import Ask, get, request, streamed
from benchmarks.load.tally import Distribution, Tally
from benchmarks.record import Bar, Kind
from benchmarks.scenarios.bench import Bench
from benchmarks.scenarios.book import Watch

_CONNECTIONS = 16
# On a quiet machine 0.2 ms; above this, others were at work and the difference is noise.
_DIRECT = Watch("the direct way itself took {:.1f} ms: others were at work", 1.0)
_GENERATOR = Watch("the load generator itself was late by {:.1f} ms at p99: it was the bottleneck", 1.0)
_BARS = {50: Bar(0.6), 99: Bar(3.0)}

_MIXED_STREAMS = 100
_MIXED_RATE = 200.0
_PROBE_RATE = 50.0


async def latency(bench: Bench) -> None:
    """Latency in an open loop: direct and each subject in turn, at fixed instants."""
    whole = await _lanes(bench, "latency", Ask())
    latencies = {name: tally.latency for name, tally in whole.items()}
    _add(bench, "latency", "latency, JSON", latencies, generator_late_ms(whole))
    # Two tokens: the first is what is timed, and the fewer follow, the less they get in its way.
    first = await _lanes(bench, "first-event", streamed(2, 2))
    firsts = {name: tally.first_event for name, tally in first.items()}
    _add(bench, "first-event", "time to first event", firsts, generator_late_ms(first))


def _around(direct: Subject, subjects: Sequence[Subject]) -> list[Subject]:
    """The direct way in the middle: of two subjects, each then comes after it and after itself."""
    half = (len(subjects) + 1) // 2
    return [*subjects[:half], direct, *subjects[half:]]


def generator_late_ms(tallies: Mapping[str, Tally]) -> float:
    """How late this side itself was to its own schedule, at p99; that is in every latency."""
    return max(tally.late.percentile_ms(99) for tally in tallies.values())


async def _lanes(bench: Bench, place: str, ask: Ask) -> dict[str, Tally]:
    lanes: dict[str, Lane] = {}
    async with contextlib.AsyncExitStack() as stack:
        for subject in _around(bench.lab.direct, await bench.subjects()):
            client = await stack.enter_async_context(Client(subject.port, _CONNECTIONS))
            lanes[subject.name] = Lane(client, request(ask, subject))
        await open_loop(list(lanes.values()), bench.size.latency_rate, bench.size.latency_seconds)
    for name, lane in lanes.items():
        bench.errors.take(f"{place}, {name}", lane.tally)
    return {name: lane.tally for name, lane in lanes.items()}


def _add(bench: Bench, key: str, name: str, seen: Mapping[str, Distribution], generator_ms: float) -> None:
    """Each subject's percentiles, or by how much they are above the direct way's."""
    bench.book.add_durations(key, name, seen)
    subtracts = bench.size.subtracts_direct
    for percent, bar in _BARS.items():
        waited = {subject: each.percentile_ms(percent) for subject, each in seen.items()}
        direct_ms = waited.pop("direct")
        if subtracts:
            waited = {subject: waited_ms - direct_ms for subject, waited_ms in waited.items()}
        title = f"{'added ' if subtracts else ''}{name}, p{percent}"
        bench.add_values(
            f"{key}.p{percent}", title, "ms", Kind.LATENCY, waited, bar=bar if subtracts else None
        )
        bench.book.watch(f"{key}.p{percent}", _DIRECT, direct_ms)
    bench.book.watch(f"{key}.p99", _GENERATOR, generator_ms)


async def mixed(bench: Bench) -> None:
    """100 paced streams and 200 JSON requests/s at once: what each does to the other, and the loop's lag."""
    subjects = await bench.subjects()
    at_rest = {subject.name: await _probe_at_rest(bench, subject) for subject in subjects}
    used: dict[str, list[float]] = {subject.name: [] for subject in subjects}
    seen = {subject.name: _Mixed() for subject in subjects}
    for turn in bench.in_turn(subjects):
        for subject in turn:
            used[subject.name].append(await _mix(bench, subject, seen[subject.name]))
    known = {subject.name for subject in subjects if subject.pids}
    shares = {name: values for name, values in used.items() if name in known}
    bench.add_values("mixed.core", "mixed: core in use", "%", Kind.CPU, shares)
    waited = {name: each.latency.percentile_ms(99) for name, each in seen.items()}
    bench.add_values("mixed.json-p99", "mixed: JSON, p99", "ms", Kind.LATENCY, waited)
    gaps = {name: each.gap.percentile_ms(99) for name, each in seen.items()}
    bench.add_values("mixed.gap-p99", "mixed: time between events, p99", "ms", Kind.LATENCY, gaps)
    lag = {
        name: each.probe.percentile_ms(99) - at_rest[name] for name, each in seen.items() if each.probe.count
    }
    bench.add_values("mixed.lag-p99", "mixed: event-loop lag, p99", "ms", Kind.LATENCY, lag)
    bench.book.add_durations(
        "mixed.gap", "time between two events, mixed", {name: each.gap for name, each in seen.items()}
    )


class _Mixed:
    """What all rounds of one subject saw."""

    def __init__(self) -> None:
        self.latency = Distribution()
        self.gap = Distribution()
        self.probe = Distribution()


async def _probe_at_rest(bench: Bench, subject: Subject) -> float:
    """Milliseconds that a route without any work takes on an idle subject: what isn't lag."""
    async with Client(subject.port, 1) as client:
        lane = Lane(client, get("/livez", subject))
        await open_loop([lane], _PROBE_RATE, 0.6)
    if lane.tally.errors:
        return float("nan")
    return float(np.median(lane.tally.latency.samples_ms()))


async def _mix(bench: Bench, subject: Subject, seen: _Mixed) -> float:
    """One round; returns the percentage of a core that the subject used."""
    seconds = bench.size.mixed_seconds
    streaming = request(streamed(max(2, round(seconds / 0.02)), 20), subject)
    async with (
        Client(subject.port, _MIXED_STREAMS) as streams,
        Client(subject.port, _CONNECTIONS) as calls,
        Client(subject.port, 4) as probes,
    ):
        lane, probe = Lane(calls, request(Ask(), subject)), Lane(probes, get("/livez", subject))
        with metered(bench.lab, subject) as meter:
            await asyncio.gather(
                ClosedLoop(streaming, repeats=1, spread_seconds=0.02).run(streams),
                open_loop([lane], _MIXED_RATE, seconds),
                open_loop([probe], _PROBE_RATE, seconds),
            )
    bench.errors.take(f"mixed, {subject.name}", streams.tally)
    bench.errors.take(f"mixed, {subject.name}", calls.tally)
    if not probes.tally.errors:
        seen.probe.add(probes.tally.latency)
    seen.latency.add(calls.tally.latency)
    seen.gap.add(streams.tally.gap)
    return meter.spent.cpu_seconds / meter.spent.wall_seconds * 100
