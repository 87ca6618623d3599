"""Samples say where, the kernel's accounts say how much; tidying loses nothing of it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.profiling.rooms import charged, room
from benchmarks.profiling.stacks import Frame, Sample, Stack, parse_frame
from benchmarks.profiling.tidying import tidied
from benchmarks.profiling.weighing import ThreadCpu, weigh

WORK = Frame("work", "service/chat/service.py", 1)
REST = Frame("rest", "service/http/edge.py", 2)
WRITE = Frame("write", "libc.so.6")
LABELS = [
    "main (penstock:1)",
    "run (granian/server/mp.py:1)",
    "uv_run (core.c:1)",
    "task_step (_asynciomodule.c:1)",
    "answer (service/chat/service.py:1)",
    "answer (service/chat/service.py:2)",
    "dict_new (dictobject.c:1)",
    "write (libc.so.6)",
]
FRAMES = st.lists(st.sampled_from([parse_frame(label) for label in LABELS]), max_size=6).map(tuple)


def leaves(stacks: list[Stack]) -> dict[str, float]:
    times: dict[str, float] = {}
    for one in stacks:
        leaf = one.frames[-1].function
        times[leaf] = round(times.get(leaf, 0.0) + one.seconds, 9)
    return times


@pytest.mark.parametrize(
    ("samples", "thread", "times"),
    [
        pytest.param(
            [Sample(1, "Main", (WORK,), 75), Sample(1, "Main", (REST,), 25)],
            ThreadCpu(1, "penstock", 0.6, 0.2),
            {"work (service/chat/service.py)": 0.6, "rest (service/http/edge.py)": 0.2},
            id="all-time-is-divided-by-counts",
        ),
        pytest.param(
            [Sample(1, "Main", (WORK,), 20), Sample(1, "Main", (WORK, WRITE), 80)],
            ThreadCpu(1, "penstock", 0.6, 0.2),
            {"work (service/chat/service.py)": 0.6, "write (libc.so.6)": 0.2},
            id="system-calls-get-the-systems-time-however-often-they-were-seen",
        ),
        pytest.param(
            [Sample(1, "Main", (WRITE,), 100)],
            ThreadCpu(1, "penstock", 0.6, 0.2),
            {"write (libc.so.6)": 0.8},
            id="seen-in-system-calls-only",
        ),
        pytest.param(
            [Sample(1, "Main", (WORK,), 50)],
            ThreadCpu(1, "penstock", 0.9, 0.1),
            {"work (service/chat/service.py)": 0.5, "Main (outside Python)": 0.5},
            id="what-was-not-seen-was-outside-python",
        ),
        pytest.param(
            [],
            ThreadCpu(1, "tokio-rt-worker", 0.2, 0.3),
            {"tokio-rt-worker (outside Python)": 0.5},
            id="a-thread-that-was-never-seen-goes-by-the-kernels-name",
        ),
        pytest.param(
            [Sample(1, "Main", (), 100)],
            ThreadCpu(1, "penstock", 0.5, 0.0),
            {"Main (outside Python)": 0.5},
            id="seen-without-a-frame",
        ),
        pytest.param(
            [Sample(2, "Gone", (WORK,), 9)],
            ThreadCpu(1, "penstock", 0.5, 0.0),
            {"penstock (outside Python)": 0.5},
            id="samples-of-a-thread-that-is-gone-are-left-out",
        ),
        pytest.param([Sample(1, "Main", (WORK,), 1)], ThreadCpu(1, "penstock", 0.0, 0.0), {}, id="no-time"),
    ],
)
def test_weighing(samples: list[Sample], thread: ThreadCpu, times: dict[str, float]) -> None:
    assert leaves(weigh(samples, [thread], 0.01)) == times


def test_each_thread_is_divided_by_itself() -> None:
    """Samples of a busy thread take nothing from another one."""
    samples = [Sample(1, "Main", (WORK,), 1000), Sample(2, "log", (REST,), 10)]
    stacks = weigh(samples, [ThreadCpu(1, "m", 0.5, 0), ThreadCpu(2, "l", 0.1, 0)], 0.01)
    assert [(stack.frames, stack.seconds) for stack in stacks] == [
        ((Frame("Main", "thread"), WORK), 0.5),
        ((Frame("log", "thread"), REST), 0.1),
    ]


def test_a_profiler_that_could_not_keep_up_stands_for_all() -> None:
    """Nobody knows how often it looked, so no time is called unseen; a thread never seen still is."""
    threads = [ThreadCpu(1, "m", 5.0, 0), ThreadCpu(2, "tokio", 1.0, 0)]
    stacks = weigh([Sample(1, "Main", (WORK,), 3)], threads, math.inf)
    assert leaves(stacks) == {"work (service/chat/service.py)": 5.0, "tokio (outside Python)": 1.0}


SAMPLES = st.lists(
    st.builds(Sample, st.integers(1, 3), st.sampled_from(["Main", ""]), FRAMES, st.integers(1, 500)),
    max_size=8,
)
THREADS = st.lists(
    st.builds(ThreadCpu, st.integers(1, 4), st.just("t"), st.floats(0, 10), st.floats(0, 10)),
    max_size=4,
    unique_by=lambda thread: thread.thread_id,
)


@given(SAMPLES, THREADS)
def test_the_sum_is_what_the_kernel_counted(samples: list[Sample], threads: list[ThreadCpu]) -> None:
    """Whatever was seen or not."""
    counted = sum(thread.user_seconds + thread.system_seconds for thread in threads)
    assert sum(stack.seconds for stack in weigh(samples, threads, 0.01)) == pytest.approx(counted)


def stack(*labels: str, seconds: float = 1.0) -> Stack:
    return Stack((Frame("Main", "thread"), *(parse_frame(label) for label in labels)), seconds)


def short(stacks: list[Stack]) -> list[tuple[str, ...]]:
    return [tuple(frame.name for frame in one.frames) for one in stacks]


WAY = ("<module> (penstock:1)", "run (granian/mp.py:1)")


@pytest.mark.parametrize(
    ("stacks", "expected"),
    [
        pytest.param(
            [
                stack(*WAY, "uv_run (core.c:1)", "step (_asynciomodule.c:1)", "f (service/a.py:1)"),
                stack(*WAY, "g (service/b.py:1)", "x (parser.c:1)", "y (ceval.c:1)", "write (libc.so.6)"),
            ],
            [("Main", "run", "f"), ("Main", "run", "g", "x", "write")],
            id="machine-code-stays-only-below-the-last-python-function",
        ),
        pytest.param(
            [
                stack(*WAY, "f (service/a.py:1)"),
                stack(*WAY, "f (service/a.py:2)", "dict_new (dictobject.c:1)"),
            ],
            [("Main", "run", "f"), ("Main", "run", "f", "dict_new")],
            id="the-way-in-ends-before-the-service-also-where-all-time-is-in-one-function",
        ),
        pytest.param(
            [
                stack(*WAY, "f (service/a.py:1)", seconds=97),
                stack("boot (site.py:1)", "x (os.py:1)", seconds=3),
            ],
            [("Main", "run", "f"), ("Main", "boot", "x")],
            id="what-came-another-way-is-shown-whole",
        ),
        pytest.param(
            [stack(*WAY, "f (service/a.py:1)", seconds=90), stack("boot (site.py:1)", seconds=10)],
            [("Main", "<module>", "run", "f"), ("Main", "boot")],
            id="a-way-that-most-but-not-nearly-all-take-is-none",
        ),
        pytest.param(
            [Stack((Frame("tokio", "thread"), Frame("tokio", "outside Python")), 1.0)],
            [("tokio", "tokio")],
            id="a-thread-outside-python",
        ),
        pytest.param([], [], id="nothing"),
    ],
)
def test_tidying(stacks: list[Stack], expected: list[tuple[str, ...]]) -> None:
    assert short(tidied(stacks)) == expected


def charges(stacks: list[Stack]) -> dict[tuple[str, str], float]:
    times: dict[tuple[str, str], float] = {}
    for one in stacks:
        frame = one.frames[charged(one.frames)]
        key = (frame.function, room(frame))
        times[key] = times.get(key, 0.0) + one.seconds
    return times


@given(st.lists(st.tuples(st.sampled_from(["Main", "log"]), FRAMES, st.floats(0.001, 10)), max_size=8))
def test_tidying_charges_nobody_else(made: list[tuple[str, tuple[Frame, ...], float]]) -> None:
    """Each function's own time is the same before and after."""
    stacks = [Stack((Frame(thread, "thread"), *frames), seconds) for thread, frames, seconds in made]
    assert charges(tidied(stacks)) == pytest.approx(charges(stacks))
