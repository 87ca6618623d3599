"""What every scenario works with: fresh subjects, rounds in turn, and the book of what came out."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from benchmarks.analysis.cost import micros_per_unit, pace
from benchmarks.lab.accounts import Errors, Round, metered
from benchmarks.lab.gateway import Gateway
from benchmarks.lab.lab import Lab
from benchmarks.lab.subjects import PLAIN, Inapplicable, Subject, Unavailable, Variant, Way
from benchmarks.load.client import Client
from benchmarks.load.closed_loop import ClosedLoop
from benchmarks.load.requests import Ask, Request, request, streamed
from benchmarks.load.tally import Distribution, Tally
from benchmarks.record import Bar, Figure, Kind
from benchmarks.scenarios.book import Book, Rounds


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """How much of everything a run does.

    blocks: how often all subjects are started afresh, which averages over the luck of a start.
    rounds: of each kind of load, per subject and block. subtracts_direct: latencies are what a
    subject adds to the direct way; else all that a client waits, which varies by a third less.
    idle_seconds: as long as the gateway is silent before a heartbeat, so that each stream has one.
    """

    name: str
    blocks: int
    rounds: int
    warm_up_seconds: float = 0.4
    json_seconds: float = 1.5
    stream_tokens: int = 100
    burst_repeats: int = 12
    latency_rate: float = 50.0
    latency_seconds: float = 15.0
    subtracts_direct: bool = True
    mixed_seconds: float = 3.0
    open_streams: int = 400
    starts: int = 3
    storm_seconds: float = 4.0
    idle_seconds: float = 15.0
    idle_json_seconds: float = 5.0
    soak_seconds: float = 60.0
    probe_seconds: float = 2.0


class Bench:
    """One run: its lab, its size, its subjects, its book, and every error that was seen.

    ways: in the order in which they are measured. A block begins with `begin_block`.
    """

    def __init__(self, lab: Lab, size: Size, ways: Sequence[Way]) -> None:
        self.lab = lab
        self.size = size
        self.ways = ways
        self.errors = Errors()
        self.book = Book()
        self._running: dict[str, list[Subject]] = {}
        self._backwards = False

    def begin_block(self, number: int) -> None:
        """Have all subjects started afresh when next asked for, each with the same hash seed."""
        self.stop_all()
        # Paired by seed: how a run's dictionaries happen to collide is the same for both sides.
        self.lab.hash_seed = number + 1

    def stop_all(self) -> None:
        """Stop the subjects: what follows wants the machine, and the shared pages, for itself."""
        for subjects in self._running.values():
            self.lab.stop(*subjects)
        self._running = {}

    async def subjects(self, variant: Variant = PLAIN) -> list[Subject]:
        """All that know `variant`, running and warm. Raises Unavailable where none does."""
        if variant.name not in self._running:
            # Others would only take memory, and wake up now and then.
            self.stop_all()
            self._running[variant.name] = await self._start_all(variant)
        return self._running[variant.name]

    async def gateways(self, variant: Variant = PLAIN) -> list[Subject]:
        """Of the subjects those that are Penstock, for what no other relay does."""
        names = {way.name for way in self.ways if isinstance(way, Gateway)}
        return [subject for subject in await self.subjects(variant) if subject.name in names]

    async def _start_all(self, variant: Variant) -> list[Subject]:
        started: list[Subject] = []
        reasons: dict[str, str] = {}
        for way in self.ways:
            try:
                started.append(way.start(self.lab, variant))
            except Inapplicable:
                continue
            except Unavailable as problem:
                reasons[way.name] = str(problem)
        if not started:
            raise Unavailable("; ".join(dict.fromkeys(reasons.values())) or f"nobody has {variant.name}")
        for name, reason in reasons.items():
            self.book.unavailable[f"{variant.name}, {name}"] = reason
        for subject in started:
            await self.warm_up(subject)
        return started

    async def warm_up(self, subject: Subject) -> None:
        """Both kinds of answer for a moment; what is wrong there counts as well."""
        for ask in (Ask(), streamed(200, 0)):
            loop = ClosedLoop(request(ask, subject), seconds=self.size.warm_up_seconds)
            async with Client(subject.port, 32) as client:
                self.errors.take(f"warm-up, {subject.name}", await loop.run(client))

    def in_turn(self, subjects: Sequence[Subject]) -> Iterator[Sequence[Subject]]:
        """The subjects once per round, forwards and backwards by turns, so that a drift meets all."""
        for _ in range(self.size.rounds):
            self._backwards = not self._backwards
            yield list(reversed(subjects)) if self._backwards else subjects

    async def closed_rounds(
        self,
        place: str,
        subjects: Sequence[Subject],
        ask: Ask,
        connections: int,
        make_loop: Callable[[Request], ClosedLoop],
    ) -> tuple[dict[str, list[Round]], dict[str, Distribution]]:
        """Closed-loop rounds in turn; what each brought and cost, and the gaps between events."""
        rounds: dict[str, list[Round]] = {subject.name: [] for subject in subjects}
        gaps = {subject.name: Distribution() for subject in subjects}
        for turn in self.in_turn(subjects):
            for subject in turn:
                one, tally = await self.closed_round(subject, ask, connections, make_loop)
                rounds[subject.name].append(one)
                gaps[subject.name].add(tally.gap)
                self.errors.take(f"{place}, {subject.name}", tally)
        return rounds, gaps

    async def closed_round(
        self, subject: Subject, ask: Ask, connections: int, make_loop: Callable[[Request], ClosedLoop]
    ) -> tuple[Round, Tally]:
        """One round over fresh connections, whose opening is outside the accounts."""
        loop = make_loop(request(ask, subject))
        async with Client(subject.port, connections) as client:
            with metered(self.lab, subject) as meter:
                tally = await loop.run(client)
        return Round(tally.answers, tally.events, meter.spent), tally

    def add_cpu(
        self, key: str, name: str, rounds: Rounds, units: Callable[[Round], int], bar: Bar | None = None
    ) -> None:
        """CPU per unit of these rounds, as a figure."""
        known = _metered(rounds)
        blocks = {
            subject: [[micros_per_unit(one.spent.cpu_seconds, units(one)) for one in each]]
            for subject, each in known.items()
        }
        self.book.add(
            Figure(key=key, name=name, unit="µs", kind=Kind.CPU, blocks=blocks, bar=bar), rounds=known
        )

    def add_pace(self, key: str, name: str, rounds: Rounds, units: Callable[[Round], int]) -> None:
        """Units per second on one core, as a figure; derived where the subject was not the bottleneck."""
        known = _metered(rounds)
        blocks = {
            subject: [[pace(units(one), one.spent.wall_seconds, one.spent.cpu_seconds) for one in each]]
            for subject, each in known.items()
        }
        self.book.add(Figure(key=key, name=name, unit="/s", kind=Kind.PACE, blocks=blocks), rounds=known)

    def add_values(
        self,
        key: str,
        name: str,
        unit: str,
        kind: Kind,
        values: Mapping[str, float | Sequence[float]],
        *,
        bar: Bar | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        """One block's values of each subject, as a figure."""
        blocks = {
            name: [list(value) if isinstance(value, Sequence) else [value]] for name, value in values.items()
        }
        if blocks:
            self.book.add(
                Figure(key=key, name=name, unit=unit, kind=kind, blocks=blocks, bar=bar, notes=tuple(notes))
            )

    @contextlib.contextmanager
    def available(self, scenario: str) -> Iterator[None]:
        """What turns out not to be measurable inside is written down, with the reason."""
        try:
            yield
        except Unavailable as reason:
            self.book.unavailable[scenario] = str(reason)


def _metered(rounds: Rounds) -> dict[str, list[Round]]:
    """Those whose processes are known, so that their CPU could be read."""
    return {name: each for name, each in rounds.items() if any(one.spent.cpu_seconds > 0 for one in each)}


def answers(one: Round) -> int:
    """The unit of whole answers."""
    return one.answers


def events(one: Round) -> int:
    """The unit of streams: one token's event."""
    return one.events
