"""Scenarios of streams that live long: those who come back for them, and those that are silent."""

import os
import random
from pathlib import Path

import pytest

from benchmarks.lab.gateway import Gateway
from benchmarks.lab.lab import Cores, Lab
from benchmarks.lab.subjects import PLAIN, Subject, Unavailable
from benchmarks.scenarios.bench import Bench, Size
from benchmarks.scenarios.footprint import idle_round
from benchmarks.scenarios.resume import after_each, early, resume
from benchmarks.upstream.script import Script
from tests.fakes.loops import on_uvloop
from tests.unit.benchmarks.resumable import Fault, resumable
from tests.unit.benchmarks.serving import serving

TINY = Size(name="tiny", blocks=1, rounds=1, stream_tokens=40, idle_seconds=0.1, idle_json_seconds=0.2)


def bench_of(directory: Path, *subjects: Subject) -> Bench:
    """One whose gateways run already."""
    bench = Bench(
        Lab(directory, Cores(0, 0, 0)), TINY, [Gateway(each.name, identity="x") for each in subjects]
    )
    bench._running[PLAIN.name] = list(subjects)
    return bench


def here(name: str, port: int) -> Subject:
    """A subject in this very process, whose CPU is the test's own."""
    return Subject(name=name, port=port, pids=(os.getpid(),))


@pytest.mark.parametrize("tokens", [3, 10, 100])
def test_viewers_are_cut_where_something_is_left_to_come_back_for(tokens: int) -> None:
    """All but the last token, in the one plan; once and early in the other, the same for the same seed."""
    assert sum(cut.tokens for cut in after_each(tokens)) == tokens - 1
    plans = [early(random.Random(seed), tokens) for seed in range(200)]
    assert {cut.tokens for (cut,) in plans} == set(range(1, max(1, tokens // 10) + 1))
    assert all(0 <= cut.away_seconds <= 0.1 for (cut,) in plans)
    assert plans[7] == early(random.Random(7), tokens)


@on_uvloop
async def test_resuming_has_a_cost_for_each_return_and_for_each_event(tmp_path: Path) -> None:
    """And the times to the first byte, with their curve."""
    async with resumable() as server:
        bench = bench_of(tmp_path, here("a", server.port))
        await resume(bench)
    assert (bench.errors.counts, bench.book.unavailable) == ({}, {})
    values = {figure.key: figure.value("a") or 0 for figure in bench.book.figures()}
    assert list(values) == [
        "resume.cpu",
        "resume.event-cpu",
        "resume.first-byte-p50",
        "resume.first-byte-p99",
    ]
    assert values["resume.cpu"] > values["resume.event-cpu"] > 0
    assert values["resume.first-byte-p99"] >= values["resume.first-byte-p50"] > 0
    assert [curve.key for curve in bench.book.curves()] == ["resume.first-byte"]


@pytest.mark.parametrize("fault", ["gap", "doubled", "restarted", "another stream", "unknown"])
@on_uvloop
async def test_a_wrong_return_fails_the_run(fault: Fault, tmp_path: Path) -> None:
    """Of each viewer, in both loads, and a return that brought nothing right has no cost."""
    async with resumable(fault) as server:
        bench = bench_of(tmp_path, here("a", server.port))
        await resume(bench)
    assert bench.errors.counts.total() == 200
    assert all(what.startswith("resume, a: ") for what in bench.errors.counts)
    figures = {figure.key: figure for figure in bench.book.figures()}
    assert figures["resume.cpu"].value("a") is None
    assert set(figures) == {"resume.cpu", "resume.event-cpu"}


@on_uvloop
async def test_a_revision_without_ids_is_left_out_of_resuming(tmp_path: Path) -> None:
    """It is no error of it; where there is no other, the scenario is not measured."""
    async with resumable("no ids") as old, resumable() as new:
        bench = bench_of(tmp_path, here("old", old.port), here("new", new.port))
        await resume(bench)
        assert bench.book.unavailable == {"resume, old": "its events have no ids"}
        assert {tuple(figure.blocks) for figure in bench.book.figures()} == {("new",)}
        assert bench.errors.counts == {}
        with pytest.raises(Unavailable):
            await resume(bench_of(tmp_path, here("old", old.port)))


@pytest.mark.parametrize(
    ("otherwise", "errors"),
    [
        pytest.param(Script(), {}, id="right"),
        pytest.param(
            Script(fault="lost"), {"idle streams, a: lost event": 20}, id="a-token-is-lost-after-the-silence"
        ),
        pytest.param(
            Script(fault="cut"), {"idle streams, a: cut in the middle": 20}, id="cut-off-after-the-silence"
        ),
    ],
)
@on_uvloop
async def test_idle_streams_are_judged_when_they_have_ended(
    otherwise: Script, errors: dict[str, int], tmp_path: Path
) -> None:
    """The provider goes on once everything was read off, and each stream is a whole one."""
    async with serving(otherwise) as mock:
        bench = bench_of(tmp_path)
        bench.lab.upstream_port = mock.port
        used, _, p99_ms = await idle_round(bench, here("a", mock.port), 20)
        assert used > 0 and p99_ms > 0
    assert bench.errors.counts == errors
