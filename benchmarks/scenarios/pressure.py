"""Clients that behave as real ones do: slow readers, and those who leave in the middle."""

import asyncio
import random
import time
from collections.abc import Callable

from benchmarks.lab import machine
from benchmarks.lab.accounts import metered
from benchmarks.lab.subjects import Subject
from benchmarks.load.client import Client
from benchmarks.load.closed_loop import ClosedLoop, storm
from benchmarks.load.requests import Ask, request, streamed
from benchmarks.load.tally import Distribution
from benchmarks.record import Kind
from benchmarks.scenarios.bench import Bench
from benchmarks.scenarios.provider import counts
from benchmarks.upstream.script import Script

_SLOW_READERS = 50
_SLOW_BYTES_PER_SECOND = 64_000
_SLOW_TOKENS = 1000  # about 250 KB, more than all the buffers on the way together
_HEALTHY_STREAMS = 50

_VISITORS = 100
_STORM_TOKENS = 60
_STORM_INTERVAL_MS = 5
_CLOSED_WITHIN_SECONDS = 1.0


async def slow_readers(bench: Bench) -> None:
    """50 clients that read 64 KB/s of bursts, beside 50 healthy paced streams, which must not notice."""
    subjects = await bench.subjects()
    gaps = {subject.name: Distribution() for subject in subjects}
    grown: dict[str, list[float]] = {subject.name: [] for subject in subjects if subject.pids}
    for turn in bench.in_turn(subjects):
        for subject in turn:
            more_bytes = await _slow_round(bench, subject, gaps[subject.name])
            if subject.name in grown:
                grown[subject.name].append(more_bytes / _SLOW_READERS / 1e3)
    p99 = {name: seen.percentile_ms(99) for name, seen in gaps.items()}
    bench.add_values(
        "slow-readers.gap-p99", "slow readers: others' time between events, p99", "ms", Kind.LATENCY, p99
    )
    bench.add_values("slow-readers.memory", "slow readers: memory for each", "KB", Kind.MEMORY, grown)


async def _slow_round(bench: Bench, subject: Subject, gaps: Distribution) -> float:
    """One round; returns by how many bytes the subject grew at most while it held what wasn't read."""
    place = f"slow readers, {subject.name}"
    before = sum(machine.tree_pss_bytes(pid) for pid in subject.pids)
    highest = before
    async with (
        Client(subject.port, _SLOW_READERS, _SLOW_BYTES_PER_SECOND) as slow,
        Client(subject.port, _HEALTHY_STREAMS) as healthy,
    ):
        paced = request(streamed(100, 20), subject)
        burst = request(streamed(_SLOW_TOKENS, 0), subject)
        loads = asyncio.gather(
            ClosedLoop(burst, repeats=1).run(slow),
            ClosedLoop(paced, repeats=1, spread_seconds=0.02).run(healthy),
        )
        while not loads.done():
            await asyncio.wait([loads], timeout=0.5)
            highest = max(highest, sum(machine.tree_pss_bytes(pid) for pid in subject.pids))
        for tally in await loads:
            bench.errors.take(place, tally)
    gaps.add(healthy.tally.gap)
    return highest - before


def leaving(chance: random.Random, tokens: int) -> Callable[[], int | None]:
    """After how many tokens the next visitor leaves: a tenth before the first, a fifth stays to the end."""

    def draw() -> int | None:
        dice = chance.random()
        if dice < 0.1:
            return 0
        return None if dice > 0.8 else chance.randrange(1, tokens)

    return draw


async def disconnect_storm(bench: Bench) -> None:
    """100 clients that come, leave at random events of their streams, and come again."""
    cpu: dict[str, list[float]] = {}
    kept: dict[str, list[float]] = {}
    closed: dict[str, list[float]] = {}
    subjects = await bench.subjects()
    for turn in bench.in_turn(subjects):
        for subject in turn:
            cpu_micros, kept_bytes, closed_ms = await _storm_round(bench, subject)
            closed.setdefault(subject.name, []).append(closed_ms)
            if subject.pids:
                cpu.setdefault(subject.name, []).append(cpu_micros)
                kept.setdefault(subject.name, []).append(kept_bytes / 1e3)
    bench.add_values("storm.cpu", "disconnect storm: CPU per visit", "µs", Kind.CPU, cpu)
    bench.add_values(
        "storm.closed", "disconnect storm: provider's streams closed after", "ms", Kind.LATENCY, closed
    )
    bench.add_values(
        "storm.memory", "disconnect storm: memory kept per 1,000 visits", "KB", Kind.MEMORY, kept
    )


async def _storm_round(bench: Bench, subject: Subject) -> tuple[float, float, float]:
    """CPU microseconds per visit, bytes kept per 1,000 visits, milliseconds until all is closed upstream."""
    script = Script(tokens=_STORM_TOKENS, interval_ms=_STORM_INTERVAL_MS)
    # A gateway that keeps streams for those who come back must be told that these won't.
    ask = Ask(stream=True, script=script, headers="x-penstock-on-disconnect: cancel\r\n")
    # Seeded, so that each subject meets the same visitors.
    leave_after = leaving(random.Random(bench.lab.hash_seed), _STORM_TOKENS)
    before_bytes = sum(machine.tree_pss_bytes(pid) for pid in subject.pids)
    with metered(bench.lab, subject) as meter:
        async with Client(subject.port, _VISITORS) as client:
            tally = await storm(client, request(ask, subject), leave_after, bench.size.storm_seconds)
        closed_ms = await _all_closed_ms(bench, subject)
    bench.errors.take(f"storm, {subject.name}", tally)
    visits = max(1, tally.answers + tally.left)
    after_bytes = sum(machine.tree_pss_bytes(pid) for pid in subject.pids)
    kept_bytes = (after_bytes - before_bytes) / visits * 1000
    return meter.spent.cpu_seconds / visits * 1e6, kept_bytes, closed_ms


async def _all_closed_ms(bench: Bench, subject: Subject) -> float:
    """How long the provider still had streams of clients that are gone; too long is an error."""
    left_at = time.monotonic()
    while (open_streams := counts(bench.lab.upstream_port).open_streams) > 0:
        if time.monotonic() - left_at > _CLOSED_WITHIN_SECONDS:
            bench.errors.add(
                f"storm, {subject.name}: provider's streams still open after {_CLOSED_WITHIN_SECONDS:g} s",
                open_streams,
            )
            break
        await asyncio.sleep(0.005)
    return (time.monotonic() - left_at) * 1000
