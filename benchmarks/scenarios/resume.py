"""What it costs to be cut off and to come back, and that nothing is lost or doubled by it."""

import asyncio
import random

from benchmarks.lab.accounts import Round, metered
from benchmarks.lab.subjects import Subject, Unavailable
from benchmarks.load.client import Client
from benchmarks.load.requests import request, streamed
from benchmarks.load.resuming import NO_IDS, Cut, resuming
from benchmarks.load.tally import Distribution, Tally
from benchmarks.record import Kind
from benchmarks.scenarios.bench import Bench, answers, events

_VIEWERS = 100
_RETURN_INTERVAL_MS = 100.0
_INTERVAL_MS = 20.0
_LONGEST_AWAY_SECONDS = 0.1
_PERCENTS = (50, 99)


def after_each(tokens: int) -> list[Cut]:
    """Cut off after every token but the last, and back at once: the returns are most of the work."""
    return [Cut(1)] * (tokens - 1)


def early(chance: random.Random, tokens: int) -> list[Cut]:
    """Cut off once in the first tenth, and away for up to 0.1 s: most events come to one who came back."""
    return [Cut(chance.randint(1, max(1, tokens // 10)), chance.uniform(0, _LONGEST_AWAY_SECONDS))]


async def resume(bench: Bench) -> None:
    """100 viewers of paced streams who are cut off and come back with Last-Event-ID: every event once."""
    subjects = await _with_ids(bench)
    returns: dict[str, list[Round]] = {subject.name: [] for subject in subjects}
    resumed: dict[str, list[Round]] = {subject.name: [] for subject in subjects}
    first_bytes = {subject.name: Distribution() for subject in subjects}
    for turn in bench.in_turn(subjects):
        for subject in turn:
            one, tally = await _returns_round(bench, subject)
            returns[subject.name].append(one)
            first_bytes[subject.name].add(tally.first_byte)
            resumed[subject.name].append(await _resumed_round(bench, subject))
    bench.add_cpu("resume.cpu", "resume: CPU per return", returns, answers)
    bench.add_cpu("resume.event-cpu", "resume: CPU per event of a resumed stream", resumed, events)
    for percent in _PERCENTS:
        waited = {name: seen.percentile_ms(percent) for name, seen in first_bytes.items() if seen.count}
        name = f"resume: time to first byte, p{percent}"
        bench.add_values(f"resume.first-byte-p{percent}", name, "ms", Kind.LATENCY, waited)
    bench.book.add_durations("resume.first-byte", "time to first byte of a resumed stream", first_bytes)


async def _with_ids(bench: Bench) -> list[Subject]:
    """The gateways whose events have ids; of a revision without it is written down. Raises Unavailable."""
    having: list[Subject] = []
    subjects = await bench.gateways()
    for subject in subjects:
        asked = request(streamed(3, 1), subject)
        async with Client(subject.port, 1) as client:
            tally = await resuming(client, asked, subject, lambda: [Cut(1)])
        if NO_IDS in tally.errors:
            bench.book.unavailable[f"resume, {subject.name}"] = "its events have no ids"
        else:
            having.append(subject)
    if not having:
        raise Unavailable("no gateway here gives its events ids")
    return having


async def _returns_round(bench: Bench, subject: Subject) -> tuple[Round, Tally]:
    """A round of returns and little else; unlike other loads it accounts for their new connections."""
    tokens = max(3, round(bench.size.stream_tokens * 10 / _RETURN_INTERVAL_MS))
    asked = request(streamed(tokens, _RETURN_INTERVAL_MS), subject)
    async with Client(subject.port, _VIEWERS) as client:
        with metered(bench.lab, subject) as meter:
            tally = await resuming(
                client, asked, subject, lambda: after_each(tokens), spread_seconds=_RETURN_INTERVAL_MS / 1000
            )
    bench.errors.take(f"resume, {subject.name}", tally)
    # What is counted here is returns.
    return Round(tally.first_byte.count, tally.events, meter.spent), tally


async def _resumed_round(bench: Bench, subject: Subject) -> Round:
    """A round whose account begins when everybody has come back."""
    tokens = max(10, bench.size.stream_tokens // 2)
    # Seeded, so that each subject meets the same viewers.
    chance = random.Random(bench.lab.hash_seed)
    asked = request(streamed(tokens, _INTERVAL_MS), subject)
    back = asyncio.Event()
    async with Client(subject.port, _VIEWERS) as client:
        reading = asyncio.ensure_future(
            resuming(
                client,
                asked,
                subject,
                lambda: early(chance, tokens),
                spread_seconds=_INTERVAL_MS / 1000,
                on_all_back=back.set,
            )
        )
        waiting = asyncio.ensure_future(back.wait())
        try:
            # Where something is wrong they may never be back.
            await asyncio.wait([reading, waiting], return_when=asyncio.FIRST_COMPLETED)
            before = tokens_so_far(client)
            with metered(bench.lab, subject) as meter:
                tally = await reading
        finally:
            reading.cancel()
            waiting.cancel()
    bench.errors.take(f"resume, {subject.name}", tally)
    return Round(tally.answers, max(0, tally.events - before), meter.spent)


def tokens_so_far(client: Client) -> int:
    """How many tokens all streams have brought by now. The pieces of one have a checker in common."""
    checkers = {connection.checker for connection in client.connections}
    return sum(checker.tokens_seen for checker in checkers if checker is not None)
