"""The work that is measured, one function per row group of the result, and how much of it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import msgspec

from benchmarks import machine
from benchmarks.figures import Bar, Figure, figure, slope
from benchmarks.load import Client, ClosedLoop, Lane, Request, hold_open, open_loop, post
from benchmarks.rounds import Errors, Round, closed_round, cpu_micros, notes, paces
from benchmarks.subjects import Lab, Subject
from benchmarks.tally import Distribution

_LATENCY_RATE = 50.0
_LATENCY_CONNECTIONS = 16
_DIRECT_QUIET_MS = 1.0  # on a quiet machine 0.2; above, others were at work and the difference is noise
_FEW_STREAMS = 100
_PROMPT = (
    "The upper pond feeds two wheels through one channel. When the miller opens the second gate, "
    "the level in the channel falls by a hand, and the first wheel slows until the pond has made "
    "up the difference. Describe what the miller should watch, in which order the gates should be "
    "moved, and why the water must never be taken from both at once in a dry summer. "
)


class Speed(msgspec.Struct, frozen=True):
    """How long a run takes: rounds per subject, and the size of each."""

    name: str
    rounds: int
    json_seconds: float
    burst_repeats: int
    latency_seconds: float
    more_streams: int
    starts: int


QUICK = Speed("quick", 2, 1.2, 8, 4.0, 400, 3)
DAILY = Speed("daily", 5, 2.0, 20, 30.0, 400, 5)


class Bench:
    """What every scenario needs: the lab, the speed, the book of errors, and the running relays."""

    def __init__(self, lab: Lab, speed: Speed, errors: Errors) -> None:
        self.lab = lab
        self.speed = speed
        self.errors = errors
        self._relays: list[Subject] = []

    async def relays(self) -> list[Subject]:
        """The gateway and, where there is one, nginx: running and warm."""
        if not self._relays:
            self._relays = await self.fresh_relays()
        return self._relays

    async def fresh_relays(self) -> list[Subject]:
        """Another gateway and nginx, warm; the caller stops them."""
        nginx = self.lab.start_nginx()
        started = [self.lab.start_gateway(), *([nginx] if nginx else [])]
        for subject in started:
            for request in (JSON, stream(200, 0)):
                _, tally = await closed_round(self.lab, subject, ClosedLoop(request, seconds=0.4), 32)
                self.errors.take(f"warm-up, {subject.name}", tally)
        return started

    def rest(self) -> None:
        """Stop the relays: what follows wants the machine, and the shared pages, for itself."""
        self.lab.stop(*self._relays)
        self._relays = []

    async def interleaved(
        self, place: str, connections: int, make_loop: Callable[[], ClosedLoop]
    ) -> dict[str, list[Round]]:
        """Rounds in turn (gateway, nginx, gateway …), so that a disturbance meets both."""
        relays = await self.relays()
        rounds: dict[str, list[Round]] = {subject.name: [] for subject in relays}
        for _ in range(self.speed.rounds):
            for subject in relays:
                one, tally = await closed_round(self.lab, subject, make_loop(), connections)
                rounds[subject.name].append(one)
                self.errors.take(f"{place}, {subject.name}", tally)
        return rounds


def _body(**members: object) -> bytes:
    messages = [
        {"role": "system", "content": "You are a patient engineer. Answer briefly and in full sentences."},
        {"role": "user", "content": _PROMPT * 2},
    ]
    return msgspec.json.encode(
        {"model": "bench", "messages": messages, "temperature": 0.7, "max_tokens": 256, **members}
    )


JSON = post(_body())


def stream(tokens: int, interval_ms: float) -> Request:
    """A streamed completion of `tokens`, one each `interval_ms`; 0 is as fast as the socket takes them."""
    body = _body(
        stream=True, stream_options={"include_usage": True}, x_tokens=tokens, x_interval_ms=interval_ms
    )
    return post(body, tokens)


def _answers(one: Round) -> int:
    return one.answers


def _events(one: Round) -> int:
    return one.events


async def json(bench: Bench) -> list[Figure]:
    """JSON chat completions over 64 connections, as fast as they come back."""
    rounds = await bench.interleaved("json", 64, lambda: ClosedLoop(JSON, seconds=bench.speed.json_seconds))
    return [
        figure("JSON: CPU per request", "µs", cpu_micros(rounds, _answers), Bar(7, of_nginx=True)),
        figure("JSON: requests/s", "/s", paces(rounds, _answers), notes=notes(rounds)),
    ]


async def sse(bench: Bench) -> list[Figure]:
    """200 streams at once, 100 tokens each, one every 20 ms: 10,000 events a second."""
    request = stream(100, 20)
    rounds = await bench.interleaved("sse", 200, lambda: ClosedLoop(request, repeats=1, spread_seconds=0.02))
    name = "SSE paced: CPU per event"
    return [figure(name, "µs", cpu_micros(rounds, _events), Bar(2.8, of_nginx=True), notes(rounds))]


async def burst(bench: Bench) -> list[Figure]:
    """32 streams at once, 200 tokens each as fast as the socket takes them, over and over."""
    request = stream(200, 0)
    rounds = await bench.interleaved(
        "burst", 32, lambda: ClosedLoop(request, repeats=bench.speed.burst_repeats)
    )
    return [
        figure("SSE burst: CPU per event", "µs", cpu_micros(rounds, _events), Bar(1.5, of_nginx=True)),
        figure("SSE burst: events/s", "/s", paces(rounds, _events), notes=notes(rounds)),
    ]


async def latency(bench: Bench) -> list[Figure]:
    """Added latency at 50 requests/s, open loop: direct, gateway and nginx in turn, 6.7 ms apart."""
    whole = await _paced(bench, "latency", JSON)
    first = await _paced(bench, "first event", stream(5, 2))
    return [
        *_added("added latency, JSON", {name: lane.tally.latency for name, lane in whole.items()}),
        *_added("added to first event", {name: lane.tally.first_event for name, lane in first.items()}),
    ]


async def _paced(bench: Bench, place: str, request: Request) -> dict[str, Lane]:
    subjects = [bench.lab.direct, *await bench.relays()]
    lanes: dict[str, Lane] = {}
    async with contextlib.AsyncExitStack() as stack:
        for subject in subjects:
            client = await stack.enter_async_context(Client(subject.port, _LATENCY_CONNECTIONS))
            lanes[subject.name] = Lane(client, request)
        await open_loop(list(lanes.values()), _LATENCY_RATE, bench.speed.latency_seconds)
    for name, lane in lanes.items():
        bench.errors.take(f"{place}, {name}", lane.tally)
    return lanes


def _added(what: str, seen: dict[str, Distribution]) -> list[Figure]:
    """Each relay's percentile minus the direct way's, in milliseconds."""
    direct = seen.pop("upstream")
    figures = []
    for percent, limit in ((50, 0.6), (99, 3.0)):
        base_ms = direct.percentile_ms(percent)
        added = {name: [each.percentile_ms(percent) - base_ms] for name, each in seen.items()}
        noise = [f"p{percent} of the direct way was {base_ms:.2f} ms"] if base_ms > _DIRECT_QUIET_MS else []
        figures.append(figure(f"{what}, p{percent}", "ms", added, Bar(limit), noise))
    return figures


async def memory(bench: Bench) -> list[Figure]:
    """PSS of fresh process trees at rest after a warm-up, and what each further open stream adds."""
    bench.rest()
    at_rest: dict[str, list[float]] = {}
    per_stream: dict[str, list[float]] = {}
    relays = await bench.fresh_relays()
    for subject in relays:
        await asyncio.sleep(0.5)  # whatever a subject does after its last answer, access line included
        rest_bytes, stream_bytes = await _memory_of(bench, subject)
        at_rest[subject.name] = [rest_bytes / 1e6]
        per_stream[subject.name] = [stream_bytes / 1e3]
    bench.lab.stop(*relays)
    return [
        figure("memory at rest", "MB", at_rest, Bar(115)),
        figure("memory per open stream", "KB", per_stream, Bar(40)),
    ]


async def _memory_of(bench: Bench, subject: Subject) -> tuple[float, float]:
    """Bytes at rest, and bytes per stream from the slope between 100 and all streams."""
    assert subject.process is not None
    pid = subject.process.pid
    request = stream(500, 500)
    more = bench.speed.more_streams
    rest_bytes = machine.tree_pss_bytes(pid)
    async with Client(subject.port, _FEW_STREAMS) as few, Client(subject.port, more) as many:
        bench.errors.take(f"memory, {subject.name}", await hold_open(few, request))
        few_bytes = machine.tree_pss_bytes(pid)
        bench.errors.take(f"memory, {subject.name}", await hold_open(many, request))
        all_bytes = machine.tree_pss_bytes(pid)
    return rest_bytes, slope(_FEW_STREAMS, few_bytes, _FEW_STREAMS + more, all_bytes)


async def start(bench: Bench) -> list[Figure]:
    """From starting the process to the first 200 of /readyz, on a core of its own."""
    bench.rest()
    seconds = []
    for _ in range(bench.speed.starts):
        subject = bench.lab.start_gateway()
        seconds.append(subject.ready_seconds)
        bench.lab.stop(subject)
    return [figure("start to ready", "s", {"gateway": seconds}, Bar(1.5))]


SCENARIOS: dict[str, Callable[[Bench], Awaitable[list[Figure]]]] = {
    "json": json,
    "sse": sse,
    "burst": burst,
    "latency": latency,
    "memory": memory,
    "start": start,
}
"""In the order in which they run: the last two stop what the others share."""
