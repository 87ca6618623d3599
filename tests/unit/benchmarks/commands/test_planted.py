"""The slow-down that is planted to prove that a comparison finds it."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import benchmarks

PLANTED = Path(benchmarks.__file__).parent / "planted"
EDGE = """
CALLS = []

class Edge:
    async def __call__(self, scope, receive, send):
        CALLS.append((scope, receive, send))
"""
ASK = """
import asyncio, json, sys, time
from service.http import edge
import service.http.edge as again

async def ask():
    before = time.thread_time_ns()
    for number in range(3):
        await edge.Edge()(number, "receive", "send")
    return time.thread_time_ns() - before

spent = asyncio.run(ask())
finders = [type(each).__module__ for each in sys.meta_path]
print(json.dumps({"spent": spent, "calls": edge.CALLS, "same": again is edge, "planting": "sitecustomize" in finders}))
"""


class Told(msgspec.Struct):
    """What such a process has seen of itself."""

    spent: int
    calls: list[tuple[int, str, str]]
    same: bool
    planting: bool


def asked(tree: Path, planted_ns: int | None) -> Told:
    """Three requests to a gateway with nothing in it, in a process of its own."""
    package = tree / "service" / "http"
    package.mkdir(parents=True)
    for init in (package.parent, package):
        (init / "__init__.py").touch()
    (package / "edge.py").write_text(EDGE)
    paths = [*([str(PLANTED)] if planted_ns is not None else []), str(tree)]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths)}
    if planted_ns is not None:
        environment["BENCH_PLANTED_NS"] = str(planted_ns)
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout, type=Told)


CALLS = [(number, "receive", "send") for number in range(3)]


@pytest.mark.parametrize("planted_ns", [0, 5_000_000])
def test_each_request_spends_what_was_planted_and_is_answered(planted_ns: int, tmp_path: Path) -> None:
    """CPU, not time; the gateway's own code sees the same arguments; the hook leaves no trace."""
    told = asked(tmp_path, planted_ns)
    assert (told.calls, told.same, told.planting) == (CALLS, True, False)
    assert told.spent >= 3 * planted_ns


def test_without_it_a_gateway_is_as_it_was(tmp_path: Path) -> None:
    """Nothing stays behind in the tree."""
    told = asked(tmp_path, None)
    assert (told.calls, told.same, told.planting) == (CALLS, True, False)


def test_it_plants_where_the_gateway_has_its_edge() -> None:
    """Were that moved, the proof would find nothing and say so only after half an hour."""
    from service.http.edge import Edge

    assert callable(Edge.__call__)
