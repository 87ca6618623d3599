"""What there is to run, in which runs, and how much of it; the plan of a run."""

import msgspec
import pytest

from benchmarks.analysis.verdicts import Thresholds
from benchmarks.lab.gateway import ANTHROPIC_MODEL
from benchmarks.lab.subjects import Subject
from benchmarks.load.requests import request
from benchmarks.running import Plan, chosen
from benchmarks.scenarios.catalogue import COMPARISONS, DAILY, FULL, ONCE, PEER_SIZE, QUICK, SCENARIOS
from benchmarks.scenarios.loads import LOADS

SPEEDS = ("quick", "daily", "full", "peers", *(f"compare-{name}" for name in COMPARISONS))
# Each of these starts its subjects afresh in any block, so doing it in all of them is no repetition.
AFRESH = {"memory", "start"}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_says_in_a_sentence_what_it_does(name: str) -> None:
    """One line that stands in help, progress bar and README."""
    title = SCENARIOS[name].title
    assert title.endswith(".")
    assert title[0].isupper() or title[0].isdigit()
    assert 20 < len(title) <= 110


def test_titles_are_told_apart() -> None:
    """No two scenarios do the same."""
    assert len({scenario.title for scenario in SCENARIOS.values()}) == len(SCENARIOS)


@pytest.mark.parametrize("speed", SPEEDS)
def test_every_speed_has_scenarios_in_the_catalogues_order(speed: str) -> None:
    """JSON and both kinds of stream at least."""
    names = chosen(speed, ())
    assert {"json", "sse", "burst", "latency"} <= set(names)
    assert names == tuple(name for name in SCENARIOS if name in names)


def test_no_scenario_belongs_to_a_run_that_there_is_not() -> None:
    """A mistyped speed would leave it out for ever; the full run has every one."""
    assert {speed for scenario in SCENARIOS.values() for speed in scenario.speeds} == set(SPEEDS)
    assert chosen("full", ()) == tuple(SCENARIOS)


def test_a_fuller_run_has_all_of_a_shorter_one() -> None:
    """So that the page of a fuller run can be shown for it."""
    for prefix in ("", "compare-"):
        names = [set(chosen(f"{prefix}{speed}", ())) for speed in ("quick", "daily", "full")]
        assert names[0] <= names[1] <= names[2]


def test_what_is_done_once_exists_and_compares_nothing_unless_it_starts_afresh() -> None:
    """A comparison does everything in each block, so nothing long may be in it by itself."""
    assert set(SCENARIOS) >= ONCE
    for speed in COMPARISONS:
        assert set(chosen(f"compare-{speed}", ())) & ONCE <= AFRESH


def test_what_is_asked_for_is_done_in_the_catalogues_order_whatever_the_speed() -> None:
    """Once, however often it was asked for."""
    assert chosen("quick", ("storm", "json", "storm")) == ("json", "storm")


@pytest.mark.parametrize("size", [QUICK, DAILY, FULL, PEER_SIZE, *COMPARISONS.values()], ids=lambda s: s.name)
def test_sizes(size: msgspec.Struct) -> None:
    """Nothing is done zero times or in no time."""
    members = msgspec.structs.asdict(size).values()
    amounts = [value for value in members if isinstance(value, int | float) and not isinstance(value, bool)]
    assert len(amounts) > 10
    assert all(value > 0 for value in amounts)


def test_a_comparison_has_blocks_enough_for_an_interval() -> None:
    """With fewer than six, Student's t makes every interval wider than any threshold."""
    assert all(size.blocks >= 6 for size in COMPARISONS.values())


def plan(blocks: int, *names: str, thresholds: Thresholds | None = None) -> Plan:
    return Plan(
        command="x",
        size=msgspec.structs.replace(QUICK, blocks=blocks),
        scenarios=names,
        ways=(),
        thresholds=thresholds,
    )


@pytest.mark.parametrize(
    ("made", "steps"),
    [
        pytest.param(plan(1, "json", "start"), [(0, "json"), (0, "start")], id="one-block-has-all"),
        pytest.param(
            plan(3, "json", "start"),
            [(0, "json"), (0, "start"), (1, "json"), (2, "json")],
            id="later-blocks-have-what-is-worth-repeating",
        ),
        pytest.param(
            plan(2, "json", "start", thresholds=Thresholds()),
            [(0, "json"), (0, "start"), (1, "json"), (1, "start")],
            id="a-comparison-has-all-in-each",
        ),
        pytest.param(plan(2, "idle"), [(0, "idle")], id="only-what-is-done-once"),
        pytest.param(plan(2), [], id="nothing"),
    ],
)
def test_steps(made: Plan, steps: list[tuple[int, str]]) -> None:
    assert made.steps() == steps


@pytest.mark.parametrize("name", LOADS)
def test_loads_are_questions_that_can_be_asked(name: str) -> None:
    """With a title, a connection at least, and bytes for the wire."""
    load = LOADS[name]
    assert load.title
    assert load.connections > 0
    wire = request(load.ask, Subject(name="x", port=1)).wire
    assert wire.startswith(b"POST /v1/")
    assert (ANTHROPIC_MODEL.encode() in wire) == name.startswith("anthropic")
    assert (load.ask.dialect == "anthropic") == name.startswith("messages")
    assert load.variant.guarded == name.startswith("guarded")


def test_a_regression_leads_to_a_load_to_profile() -> None:
    """The loads that bear the name of a scenario ask what it asks."""
    assert {"json", "large", "sse", "burst"} <= set(LOADS) & set(SCENARIOS)
