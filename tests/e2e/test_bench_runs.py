"""Whole runs in small, through a relay that spoils some of its answers: each is found, named, and fails the run."""

import gc
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from benchmarks.commands.showing import exit_status
from benchmarks.lab.lab import choose_cores
from benchmarks.lab.processes import StartFailed, free_port
from benchmarks.lab.subjects import PLAIN, Inapplicable, Launcher, Subject, Variant
from benchmarks.record import Run
from benchmarks.running import Plan, carry_out
from benchmarks.scenarios.bench import Size
from tests.fakes import broken_relay

TINY = Size(
    name="tiny",
    blocks=1,
    rounds=1,
    warm_up_seconds=0.05,
    json_seconds=0.15,
    stream_tokens=10,
    burst_repeats=1,
)


class BrokenRelay:
    """A way through a relay that spoils every seventh answer."""

    name = "relay"

    def __init__(self, spoil: str, every: int = 7) -> None:
        self._spoil = spoil
        self._every = every

    def identity(self) -> str:
        """How it is broken."""
        return self._spoil

    def start(self, lab: Launcher, variant: Variant) -> Subject:
        """A fresh one."""
        if variant != PLAIN:
            raise Inapplicable("it has no variants")
        port = free_port()
        options = {"port": port, "upstream": lab.upstream_port, "spoil": self._spoil, "every": self._every}
        command = [sys.executable, str(Path(broken_relay.__file__))]
        command += [word for name, value in options.items() for word in (f"--{name}", str(value))]
        return lab.launch("relay", command, port, None)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """A run makes the process its own: collector, limits, signals."""
    thresholds, limits = gc.get_threshold(), resource.getrlimit(resource.RLIMIT_NOFILE)
    handlers = {ending: signal.getsignal(ending) for ending in (signal.SIGTERM, signal.SIGINT)}
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    for ending, handler in handlers.items():
        signal.signal(ending, handler)


def carried_out(way: BrokenRelay, *scenarios: str, upstream: tuple[str, ...] = (), size: Size = TINY) -> Run:
    """The run, as a command would save it."""
    plan = Plan(command="test", size=size, scenarios=scenarios, ways=(way,), upstream_arguments=upstream)
    run, examples = carry_out(plan, choose_cores(), lambda done, total, name: None)
    assert examples.keys() == run.errors.keys()
    return run


def test_the_relay_itself_is_right() -> None:
    """Where it spoils nothing, every figure is there and the run is a success."""
    handler = signal.getsignal(signal.SIGTERM)
    run = carried_out(BrokenRelay("nothing"), "json", "sse", "burst")
    assert signal.getsignal(signal.SIGTERM) is handler
    assert (run.errors, run.unavailable, exit_status(run)) == ({}, {}, 0)
    values = {figure.key: figure.value("relay") for figure in run.figures}
    assert {"json.cpu", "json.pace", "sse.cpu", "burst.cpu", "burst.pace"} <= set(values)
    assert all(
        value is not None and value > 0 for key, value in values.items() if key.endswith(("cpu", "pace"))
    )


@pytest.mark.parametrize(
    ("spoil", "scenarios", "kinds"),
    [
        pytest.param("drop", ("burst", "sse"), {"lost event"}, id="an-event-lost"),
        pytest.param("double", ("burst", "sse"), {"extra event"}, id="an-event-twice"),
        pytest.param("swap", ("burst", "sse"), {"swapped order"}, id="two-events-swapped"),
        pytest.param("trim", ("burst", "sse"), {"not an event"}, id="a-space-lost"),
        pytest.param("join", ("burst", "sse"), {"no blank line between two events"}, id="a-blank-line-lost"),
        pytest.param("cut", ("burst", "sse"), {"cut in the middle"}, id="a-stream-cut"),
        pytest.param("unfinished", ("burst", "sse"), {"no [DONE]"}, id="the-end-missing"),
        pytest.param("refuse", ("json", "burst", "sse"), {"status 500"}, id="refused"),
        pytest.param("alter", ("json",), {"wrong answer"}, id="a-letter-altered"),
        pytest.param("twice", ("json",), {"answer without a question"}, id="an-answer-twice"),
        pytest.param("hang up", ("json",), {"cut in the middle"}, id="a-connection-closed"),
    ],
)
def test_a_broken_gateway_fails_the_run(spoil: str, scenarios: tuple[str, ...], kinds: set[str]) -> None:
    """In each scenario, under its name, with nothing else blamed."""
    run = carried_out(BrokenRelay(spoil), *scenarios)
    assert exit_status(run) == 1
    found = {tuple(what.split(": ", 1)) for what in run.errors}
    assert {place for place, _ in found} >= {f"{name}, relay" for name in scenarios}
    assert {kind for _, kind in found} == kinds


def test_one_percent_of_errors_is_counted_and_not_averaged_away() -> None:
    """As it is found among hundreds of right answers, each with its own figure."""
    run = carried_out(BrokenRelay("refuse", every=100), "json")
    assert exit_status(run) == 1
    assert run.errors["json, relay: status 500"] >= 1
    assert next(figure for figure in run.figures if figure.key == "json.cpu").value("relay")


@pytest.mark.parametrize(
    ("option", "kind"),
    [
        pytest.param(("--fault", "swapped"), "swapped order", id="a-provider-that-swaps"),
        pytest.param(("--error-percent", "1"), "status 500", id="a-provider-that-refuses-one-percent"),
    ],
)
def test_a_broken_provider_fails_the_run_too(option: tuple[str, ...], kind: str) -> None:
    """Its faults come through a relay as they are."""
    run = carried_out(BrokenRelay("nothing"), "burst", upstream=option)
    assert exit_status(run) == 1
    assert any(what.endswith(kind) for what in run.errors)


SMALL = Size(
    name="tiny",
    blocks=1,
    rounds=1,
    warm_up_seconds=0.05,
    json_seconds=0.15,
    stream_tokens=10,
    burst_repeats=1,
    latency_rate=50,
    latency_seconds=0.3,
    mixed_seconds=0.3,
    open_streams=50,
    storm_seconds=0.5,
    soak_seconds=3.0,
    probe_seconds=0.1,
)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        pytest.param("large", {"large.cpu"}, id="large"),
        pytest.param("latency", {"latency.p50", "latency.p99", "first-event.p50"}, id="latency"),
        pytest.param("mixed", {"mixed.core", "mixed.json-p99"}, id="mixed"),
        pytest.param("storm", {"storm.cpu", "storm.closed", "storm.memory"}, id="storm"),
        pytest.param("slow-readers", {"slow-readers.memory"}, id="slow-readers"),
        pytest.param("frontier", {"frontier.1ms", "frontier.50ms"}, id="frontier"),
        pytest.param("soak", {"soak.slope"}, id="soak"),
        pytest.param("memory", {"memory.rest", "memory.stream"}, id="memory"),
    ],
)
def test_every_other_scenario_comes_to_its_end(name: str, keys: set[str]) -> None:
    """Through a relay that is right: its figures are there, and nothing was wrong."""
    run = carried_out(BrokenRelay("nothing"), name, size=SMALL)
    assert (run.errors, run.unavailable) == ({}, {})
    assert {figure.key for figure in run.figures} >= keys


@pytest.mark.parametrize("scenario", ["json", "storm", "latency"])
def test_a_gateway_that_dies_ends_the_run_with_its_last_words(scenario: str) -> None:
    """Whatever the load is; that is no figure, and no traceback."""
    # Each connection's first request is all there is to warm up with, so it dies under the scenario.
    size = msgspec.structs.replace(SMALL, warm_up_seconds=0.0001, latency_rate=200)
    with pytest.raises(StartFailed, match=r"(?s)relay: .*out of water"):
        carried_out(BrokenRelay("die", every=80), scenario, "large", size=size)
