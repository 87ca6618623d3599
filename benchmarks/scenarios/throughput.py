"""What a request and an event cost when there are many: CPU, and the pace of one core."""

from collections.abc import Sequence

from benchmarks.lab.accounts import Round
from benchmarks.lab.gateway import ANTHROPIC_MODEL, CACHED, GUARDED, GUARDED_REDIS
from benchmarks.lab.subjects import Subject, Unavailable, Variant
from benchmarks.load.closed_loop import ClosedLoop
from benchmarks.load.requests import LARGE, Ask, streamed
from benchmarks.record import Bar, Kind
from benchmarks.scenarios.bench import Bench, answers, events
from benchmarks.scenarios.provider import counts
from benchmarks.upstream.script import Script

_JSON_CONNECTIONS = 64
_LARGE_CONNECTIONS = 16
_BURST_STREAMS = 32
_BURST_TOKENS = 200


async def json(bench: Bench) -> None:
    """JSON chat completions over 64 connections, as fast as they come back."""
    await _whole(bench, await bench.subjects(), "json", "JSON", Ask(), bar=Bar(7, of_nginx=True), pace=True)


async def large(bench: Bench) -> None:
    """JSON chat completions with a prompt of 100 KB, over 16 connections."""
    subjects = await bench.subjects()
    await _whole(bench, subjects, "large", "JSON, 100 KB prompt", Ask(text=LARGE), _LARGE_CONNECTIONS)


async def sse(bench: Bench) -> None:
    """200 streams at once, one token every 20 ms: 10,000 events a second."""
    await _paced(bench, await bench.subjects(), "sse", "SSE paced", 200, 20, Bar(2.8, of_nginx=True))


async def sse_1000(bench: Bench) -> None:
    """1,000 streams at once, one token every 100 ms: 10,000 events a second."""
    await _paced(bench, await bench.subjects(), "sse-1000", "SSE, 1,000 streams", 1000, 100, None)


async def burst(bench: Bench) -> None:
    """32 streams at once, 200 tokens each as fast as the socket takes them, over and over."""
    subjects = await bench.subjects()
    await _burst(
        bench, subjects, "burst", "SSE burst", streamed(_BURST_TOKENS, 0), Bar(1.5, of_nginx=True), pace=True
    )


async def translate(bench: Bench) -> None:
    """Anthropic's dialect in front of an OpenAI provider, and the other way round; whole and streamed."""
    subjects = await bench.gateways()
    burst_script = Script(tokens=_BURST_TOKENS)
    to_openai = Ask(dialect="anthropic")
    await _whole(bench, subjects, "messages.json", "Messages → OpenAI, JSON", to_openai)
    streamed_to_openai = Ask(stream=True, script=burst_script, dialect="anthropic")
    await _burst(bench, subjects, "messages.burst", "Messages → OpenAI, burst", streamed_to_openai)
    to_anthropic = Ask(model=ANTHROPIC_MODEL)
    await _whole(bench, subjects, "anthropic.json", "Chat → Anthropic, JSON", to_anthropic)
    streamed_to_anthropic = Ask(stream=True, script=burst_script, model=ANTHROPIC_MODEL)
    await _burst(bench, subjects, "anthropic.burst", "Chat → Anthropic, burst", streamed_to_anthropic)


async def guarded(bench: Bench) -> None:
    """Keys, limits, a budget and the ledger on, in process: JSON and paced streams."""
    await _guarded(bench, GUARDED, "guarded", "guarded")


async def guarded_redis(bench: Bench) -> None:
    """The same with the limits in Redis."""
    await _guarded(bench, GUARDED_REDIS, "guarded-redis", "guarded, Redis")


async def _guarded(bench: Bench, variant: Variant, key: str, name: str) -> None:
    subjects = await bench.gateways(variant)
    await _whole(bench, subjects, f"{key}.json", f"JSON, {name}", Ask())
    await _paced(bench, subjects, f"{key}.sse", f"SSE paced, {name}", 200, 20, None)


async def cache(bench: Bench) -> None:
    """The same question again and again, answered from the gateway's cache."""
    subjects = await bench.gateways(CACHED)
    before = counts(bench.lab.upstream_port).requests
    rounds = await _whole(bench, subjects, "cache.json", "JSON, cache hit", Ask())
    asked = counts(bench.lab.upstream_port).requests - before
    answered = sum(one.answers for each in rounds.values() for one in each)
    if asked > answered / 10:
        raise Unavailable(f"the provider was asked {asked} times for {answered} answers: that is no cache")


async def _whole(
    bench: Bench,
    subjects: Sequence[Subject],
    key: str,
    name: str,
    ask: Ask,
    connections: int = _JSON_CONNECTIONS,
    *,
    bar: Bar | None = None,
    pace: bool = False,
) -> dict[str, list[Round]]:
    rounds, _ = await bench.closed_rounds(
        key, subjects, ask, connections, lambda request: ClosedLoop(request, seconds=bench.size.json_seconds)
    )
    bench.add_cpu(f"{key}.cpu", f"{name}: CPU per request", rounds, answers, bar)
    if pace:
        bench.add_pace(f"{key}.pace", f"{name}: requests/s", rounds, answers)
    return rounds


async def _paced(
    bench: Bench,
    subjects: Sequence[Subject],
    key: str,
    name: str,
    streams: int,
    interval_ms: float,
    bar: Bar | None,
) -> None:
    """As long as `stream_tokens` at 20 ms take, whatever the interval is."""
    tokens = max(2, round(bench.size.stream_tokens * 20 / interval_ms))
    rounds, gaps = await bench.closed_rounds(
        key,
        subjects,
        streamed(tokens, interval_ms),
        streams,
        lambda request: ClosedLoop(request, repeats=1, spread_seconds=interval_ms / 1000),
    )
    bench.add_cpu(f"{key}.cpu", f"{name}: CPU per event", rounds, events, bar)
    p99 = {subject: seen.percentile_ms(99) for subject, seen in gaps.items()}
    bench.add_values(f"{key}.gap-p99", f"{name}: time between events, p99", "ms", Kind.LATENCY, p99)
    bench.book.add_durations(f"{key}.gap", f"{name}: time between two events", gaps)


async def _burst(
    bench: Bench,
    subjects: Sequence[Subject],
    key: str,
    name: str,
    ask: Ask,
    bar: Bar | None = None,
    *,
    pace: bool = False,
) -> None:
    rounds, _ = await bench.closed_rounds(
        key,
        subjects,
        ask,
        _BURST_STREAMS,
        lambda request: ClosedLoop(request, repeats=bench.size.burst_repeats),
    )
    bench.add_cpu(f"{key}.cpu", f"{name}: CPU per event", rounds, events, bar)
    if pace:
        bench.add_pace(f"{key}.pace", f"{name}: events/s", rounds, events)
