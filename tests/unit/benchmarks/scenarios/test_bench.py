"""What every scenario works with: who is started, in which order, and what is written down."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.lab.accounts import Round, Spent
from benchmarks.lab.gateway import Gateway
from benchmarks.lab.lab import Cores, Lab
from benchmarks.lab.processes import StartFailed
from benchmarks.lab.subjects import PLAIN, Inapplicable, Launcher, Subject, Unavailable, Variant, Way
from benchmarks.load.closed_loop import ClosedLoop
from benchmarks.load.requests import Ask, streamed
from benchmarks.load.tally import Tally
from benchmarks.record import Kind
from benchmarks.scenarios.bench import Bench, Size, answers, events
from benchmarks.scenarios.latency import _around, generator_late_ms
from benchmarks.scenarios.provider import counts
from benchmarks.upstream.script import Script
from tests.fakes.loops import on_uvloop
from tests.unit.benchmarks.serving import Serving, serving

TINY = Size(name="tiny", blocks=1, rounds=2, warm_up_seconds=0.01)


class Here:
    """A way that is the mock provider in the test's own process, under a name, and counts its starts."""

    def __init__(self, name: str, port: int, problem: Exception | None = None) -> None:
        self.name = name
        self.starts: list[str] = []
        self._port = port
        self._problem = problem

    def identity(self) -> str:
        """Nothing in particular."""
        return "here"

    def start(self, lab: Launcher, variant: Variant) -> Subject:
        """It runs already, or can't."""
        self.starts.append(variant.name)
        if self._problem is not None:
            raise self._problem
        return Subject(name=self.name, port=self._port)


def bench_of(directory: Path, *ways: Way) -> Bench:
    return Bench(Lab(directory, Cores(0, 0, 0)), TINY, ways)


@on_uvloop
async def test_subjects_start_once_for_each_variant_and_block(tmp_path: Path) -> None:
    """Asked for again they are the same; another variant, or a new block, starts them afresh."""
    async with serving() as mock:
        way = Here("a", mock.port)
        bench = bench_of(tmp_path, way)
        for variant in (PLAIN, PLAIN, Variant("other"), Variant("other"), PLAIN):
            assert [subject.name for subject in await bench.subjects(variant)] == ["a"]
        assert way.starts == ["plain", "other", "plain"]
        bench.begin_block(1)
        await bench.subjects()
        assert len(way.starts) == 4
        assert bench.lab.hash_seed == 2
        assert bench.errors.counts == {}


@on_uvloop
async def test_who_can_not_be_measured_is_written_down_and_the_others_are(tmp_path: Path) -> None:
    """What has no meaning for a subject is no news."""
    async with serving() as mock:
        ways = (
            Here("a", mock.port),
            Here("b", 0, Unavailable("b is not there")),
            Here("c", 0, Inapplicable("c has no such thing")),
        )
        bench = bench_of(tmp_path, *ways)
        assert [subject.name for subject in await bench.subjects()] == ["a"]
    assert bench.book.unavailable == {"plain, b": "b is not there"}


@pytest.mark.parametrize(
    ("problems", "reason"),
    [
        pytest.param([Unavailable("no"), Unavailable("no")], "no", id="the-same-reason-is-said-once"),
        pytest.param([Unavailable("a"), Unavailable("b")], "a; b", id="each-reason"),
        pytest.param([Inapplicable("x")], "nobody has plain", id="no-reason-at-all"),
    ],
)
@on_uvloop
async def test_where_nobody_can_be_measured_the_scenario_is_unavailable(
    problems: Sequence[Exception], reason: str, tmp_path: Path
) -> None:
    bench = bench_of(tmp_path, *(Here(str(number), 0, each) for number, each in enumerate(problems)))
    with bench.available("json"):
        await bench.subjects()
    assert bench.book.unavailable == {"json": reason}


@on_uvloop
async def test_who_does_not_come_up_ends_the_run(tmp_path: Path) -> None:
    """It isn't written down as unavailable."""
    bench = bench_of(tmp_path, Here("a", 0, StartFailed("out of water")))

    async def ask() -> None:
        with bench.available("json"):
            await bench.subjects()

    with pytest.raises(StartFailed):
        await ask()
    assert bench.book.unavailable == {}


@on_uvloop
async def test_gateways_are_those_that_are_penstock(tmp_path: Path) -> None:
    """Not another relay, whatever it is called."""
    async with serving() as mock:
        bench = bench_of(tmp_path, Here("gateway", mock.port))
        assert await bench.gateways() == []
        bench.ways = (*bench.ways, Gateway("head", identity="x"))
        bench._running["plain"].append(Subject(name="head", port=mock.port))
        assert [subject.name for subject in await bench.gateways()] == ["head"]


def test_turns_go_to_and_fro(tmp_path: Path) -> None:
    """Over rounds, blocks and scenarios, so that nobody is always first."""
    bench = bench_of(tmp_path)
    subjects = [Subject(name=name, port=0) for name in "ab"]
    turns = ["".join(each.name for each in turn) for _ in range(2) for turn in bench.in_turn(subjects)]
    assert turns == ["ba", "ab", "ba", "ab"]
    assert [subject.name for subject in subjects] == ["a", "b"]


async def rounds_of(mock: Serving, bench: Bench, ask: Ask, repeats: int = 3) -> dict[str, list[Round]]:
    subjects = [Subject(name=name, port=mock.port) for name in ("a", "b")]
    rounds, _ = await bench.closed_rounds(
        "p", subjects, ask, 4, lambda wire: ClosedLoop(wire, repeats=repeats)
    )
    return rounds


@pytest.mark.parametrize(
    ("ask", "brought"),
    [
        pytest.param(Ask(), (12, 0), id="json"),
        pytest.param(streamed(5, 0), (12, 60), id="burst"),
        pytest.param(streamed(5, 1), (12, 60), id="paced"),
    ],
)
@on_uvloop
async def test_rounds_bring_what_was_asked_for(ask: Ask, brought: tuple[int, int], tmp_path: Path) -> None:
    """Each subject as many as the size says."""
    async with serving() as mock:
        bench = bench_of(tmp_path)
        rounds = await rounds_of(mock, bench, ask)
    assert {name: [(one.answers, one.events) for one in each] for name, each in rounds.items()} == {
        "a": [brought] * 2,
        "b": [brought] * 2,
    }
    assert bench.errors.counts == {}


@on_uvloop
async def test_one_wrong_round_is_among_the_errors_of_its_subject(tmp_path: Path) -> None:
    """And in no figure: what it cost is the cost of nothing."""
    async with serving(Script(fault="lost")) as mock:
        bench = bench_of(tmp_path)
        rounds = await rounds_of(mock, bench, streamed(5, 0), repeats=1)
        bench.add_cpu("p.cpu", "cpu", known(rounds), events)
    assert bench.errors.counts == {"p, a: lost event": 8, "p, b: lost event": 8}
    (figure,) = bench.book.figures()
    assert figure.value("a") is figure.value("b") is None


def known(rounds: dict[str, list[Round]]) -> dict[str, list[Round]]:
    """These rounds as of subjects whose CPU is known."""
    return {name: [Round(one.answers, one.events, SPENT) for one in each] for name, each in rounds.items()}


SPENT = Spent(2.0, 1.0, 0.5, 0.0)


@on_uvloop
async def test_what_is_wrong_while_warming_up_counts_too(tmp_path: Path) -> None:
    """A gateway that fails its first thousand requests isn't right."""
    async with serving(Script(fault="refused")) as mock:
        bench = bench_of(tmp_path, Here("a", mock.port))
        await bench.subjects()
    assert bench.errors.counts["warm-up, a: status 500"] == 64


def test_costs_and_paces_of_rounds(tmp_path: Path) -> None:
    """Per unit; who has no account has no cost; a core that wasn't full makes the pace a derived one."""
    bench = bench_of(tmp_path)
    rounds = {"a": [Round(4, 8, SPENT)] * 2, "direct": [Round(4, 8, Spent(2.0, 0.0, 0.5, 0.0))]}
    bench.add_cpu("cpu", "cpu", rounds, answers)
    bench.add_pace("pace", "pace", rounds, events)
    cpu, pace = bench.book.figures()
    assert cpu.blocks == {"a": [[250_000.0, 250_000.0]]}
    assert (pace.blocks, pace.derived) == ({"a": [[8.0, 8.0]]}, ("a",))


def test_values_are_one_block_each(tmp_path: Path) -> None:
    """A number is a block of one; of nobody there is no figure."""
    bench = bench_of(tmp_path)
    bench.add_values("none", "none", "ms", Kind.LATENCY, {})
    for _ in range(2):
        bench.add_values("v", "v", "ms", Kind.LATENCY, {"a": 1.0, "b": [2.0, 3.0]}, notes=["n"])
    (figure,) = bench.book.figures()
    assert figure.blocks == {"a": [[1.0], [1.0]], "b": [[2.0, 3.0], [2.0, 3.0]]}
    assert figure.notes == ("n",)


@pytest.mark.parametrize(
    ("names", "around"),
    [
        pytest.param("a", ["a", "direct"], id="one"),
        pytest.param("ab", ["a", "direct", "b"], id="two"),
        pytest.param("abc", ["a", "b", "direct", "c"], id="three"),
        pytest.param("", ["direct"], id="nobody"),
    ],
)
def test_the_direct_way_is_in_the_middle(names: str, around: list[str]) -> None:
    subjects = [Subject(name=name, port=0) for name in names]
    assert [each.name for each in _around(Subject(name="direct", port=0), subjects)] == around


def test_the_latest_lane_says_how_late_the_generator_was() -> None:
    """Lateness of any of them is in all comparisons."""
    one, other = Tally(), Tally()
    one.late.record_ns(100_000)
    other.late.record_ns(7_000_000)
    assert generator_late_ms({"a": one, "b": other}) == pytest.approx(7, rel=0.001)


@on_uvloop
async def test_the_provider_can_be_asked_what_it_has_seen() -> None:
    """Without being counted as a request."""
    async with serving() as mock:
        mock.counts.requests = 5
        told = await asyncio.to_thread(counts, mock.port)
        again = await asyncio.to_thread(counts, mock.port)
    assert told.requests == again.requests == 5
