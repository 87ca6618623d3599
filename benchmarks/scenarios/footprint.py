"""Memory, at rest and per stream, over time, and what idle streams cost; and the time to start."""

import asyncio
import math
import time
from collections.abc import Sequence

from benchmarks.analysis.trend import slope, slope_per
from benchmarks.lab import machine
from benchmarks.lab.accounts import metered
from benchmarks.lab.gateway import Gateway
from benchmarks.lab.subjects import PLAIN, Subject, Unavailable
from benchmarks.load.client import Client, hold_open, read_to_end
from benchmarks.load.closed_loop import ClosedLoop
from benchmarks.load.open_loop import Lane, open_loop
from benchmarks.load.requests import Ask, request, streamed
from benchmarks.record import Bar, Curve, CurveKind, Kind
from benchmarks.scenarios.bench import Bench
from benchmarks.scenarios.provider import go_on
from benchmarks.upstream.script import Script

_FEW_STREAMS = 100
_IDLE_STREAMS = 5000
_FILES_FOR_IDLE = 2 * _IDLE_STREAMS + 500  # the gateway has two sockets for each
# Two tokens, silence, and the others at once when the provider goes on.
_IDLE_SCRIPT = Script(tokens=8, silent_after=2)
_STREAM_BAR = Bar(40)
_SOAK_STREAMS = 50
_SOAK_RATE = 300.0


async def memory(bench: Bench) -> None:
    """PSS of fresh process trees at rest after a warm-up, and what each further open stream adds."""
    bench.stop_all()
    at_rest: dict[str, float] = {}
    per_stream: dict[str, float] = {}
    for subject in await bench.subjects():
        if not subject.pids:
            continue
        await asyncio.sleep(0.5)  # whatever a subject does after its last answer, access line included
        rest_bytes, stream_bytes = await _memory_of(bench, subject)
        at_rest[subject.name] = rest_bytes / 1e6
        per_stream[subject.name] = stream_bytes / 1e3
    bench.stop_all()
    bench.add_values("memory.rest", "memory at rest", "MB", Kind.MEMORY, at_rest, bar=Bar(115))
    bench.add_values(
        "memory.stream", "memory per open stream", "KB", Kind.MEMORY, per_stream, bar=_STREAM_BAR
    )


def pss_bytes(subject: Subject) -> int:
    """Memory of all that belongs to a subject."""
    return sum(machine.tree_pss_bytes(pid) for pid in subject.pids)


async def _memory_of(bench: Bench, subject: Subject) -> tuple[float, float]:
    """Bytes at rest, and bytes per stream from the slope between 100 and all streams."""
    held = request(streamed(500, 500), subject)
    more = bench.size.open_streams
    rest_bytes = pss_bytes(subject)
    async with Client(subject.port, _FEW_STREAMS) as few, Client(subject.port, more) as many:
        bench.errors.take(f"memory, {subject.name}", await hold_open(few, held))
        few_bytes = pss_bytes(subject)
        bench.errors.take(f"memory, {subject.name}", await hold_open(many, held))
        all_bytes = pss_bytes(subject)
    return rest_bytes, slope(_FEW_STREAMS, few_bytes, _FEW_STREAMS + more, all_bytes)


async def idle_streams(bench: Bench) -> None:
    """5,000 open streams whose provider is silent: memory, CPU, a JSON request among them, and their ends."""
    if machine.raise_file_limit() < _FILES_FOR_IDLE:
        raise Unavailable(f"needs {_FILES_FOR_IDLE} open files a process: raise the hard limit (ulimit -Hn)")
    memory_kb: dict[str, float] = {}
    core: dict[str, float] = {}
    waited: dict[str, float] = {}
    for subject in await bench.subjects():
        used, idle_kb, p99_ms = await idle_round(bench, subject, _IDLE_STREAMS)
        waited[subject.name] = p99_ms
        if subject.pids:
            memory_kb[subject.name], core[subject.name] = idle_kb, used
    bench.stop_all()
    bench.add_values(
        "idle.memory", "5,000 idle streams: memory for each", "KB", Kind.MEMORY, memory_kb, bar=_STREAM_BAR
    )
    bench.add_values("idle.core", "5,000 idle streams: core in use", "%", Kind.CPU, core)
    bench.add_values("idle.json-p99", "5,000 idle streams: JSON, p99", "ms", Kind.LATENCY, waited)


async def idle_round(bench: Bench, subject: Subject, streams: int) -> tuple[float, float, float]:
    """Percent of a core, KB per stream, and milliseconds of a JSON request at p99.

    After the silence the provider goes on, and every stream must end as one that was never silent.
    """
    place = f"idle streams, {subject.name}"
    rest_bytes = pss_bytes(subject)
    held = request(Ask(stream=True, script=_IDLE_SCRIPT), subject)
    async with Client(subject.port, streams) as idle:
        await hold_open(idle, held, limit_seconds=60)
        with metered(bench.lab, subject) as meter:
            await asyncio.sleep(bench.size.idle_seconds)
        idle_kb = (pss_bytes(subject) - rest_bytes) / streams / 1e3
        async with Client(subject.port, 16) as calls:
            await open_loop([Lane(calls, request(Ask(), subject))], 50, bench.size.idle_json_seconds)
        bench.errors.take(place, calls.tally)
        await asyncio.to_thread(go_on, bench.lab.upstream_port)
        bench.errors.take(place, await read_to_end(idle, limit_seconds=60))
    used = meter.spent.cpu_seconds / meter.spent.wall_seconds * 100
    return used, idle_kb, calls.tally.latency.percentile_ms(99)


async def soak(bench: Bench) -> None:
    """Streams and JSON for a while: whether memory comes to rest or goes on growing."""
    slopes: dict[str, float] = {}
    notes: list[str] = []
    for subject in await bench.subjects():
        if not subject.pids:
            continue
        points = await _soaked(bench, subject)
        # The first third is caches and pools filling up.
        settled = points[len(points) // 3 :]
        per_minute, low, high = (each * 60 / 1e3 for each in slope_per(settled))
        slopes[subject.name] = per_minute
        if math.isfinite(low):
            notes.append(f"{subject.name} grows by {low:.0f} to {high:.0f} KB a minute (95 %)")
        else:
            notes.append(f"{subject.name}: growth can't be told from wandering in this time")
        shown = [(at, size / 1e6) for at, size in points]
        bench.book.add_curve(
            Curve(
                key="soak.memory",
                name="memory under load",
                kind=CurveKind.TIMELINE,
                x_label="seconds",
                y_label="MB",
                lines={subject.name: shown},
            )
        )
    bench.add_values("soak.slope", "soak: memory growth per minute", "KB", Kind.MEMORY, slopes, notes=notes)


async def _soaked(bench: Bench, subject: Subject) -> list[tuple[float, float]]:
    """Seconds since the start, and the subject's bytes then, once a second."""
    seconds = bench.size.soak_seconds
    points: list[tuple[float, float]] = []
    started_at = time.monotonic()
    async with Client(subject.port, _SOAK_STREAMS) as streams, Client(subject.port, 32) as calls:
        streaming = ClosedLoop(
            request(streamed(50, 20), subject), seconds=seconds, limit_seconds=seconds + 30
        )
        lane = Lane(calls, request(Ask(), subject))
        load = asyncio.gather(streaming.run(streams), open_loop([lane], _SOAK_RATE, seconds))
        while not load.done():
            await asyncio.wait([load], timeout=1.0)
            points.append((time.monotonic() - started_at, float(pss_bytes(subject))))
        await load
    bench.errors.take(f"soak, {subject.name}", streams.tally)
    bench.errors.take(f"soak, {subject.name}", calls.tally)
    return points[:-1]


async def start(bench: Bench) -> None:
    """From starting the process to the first 200 of /readyz, on a core of its own."""
    bench.stop_all()
    ways: Sequence[Gateway] = [way for way in bench.ways if isinstance(way, Gateway)]
    seconds: dict[str, list[float]] = {way.name: [] for way in ways}
    for number in range(bench.size.starts):
        for way in ways if number % 2 else reversed(ways):
            subject = way.start(bench.lab, PLAIN)
            seconds[way.name].append(subject.ready_seconds)
            bench.lab.stop(subject)
    bench.add_values("start.ready", "start to ready", "s", Kind.START, seconds, bar=Bar(1.5))
