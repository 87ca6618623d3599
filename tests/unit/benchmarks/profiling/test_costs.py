"""What a profile says was dear, and what became dearer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.profiling.costs import Change, Cost, difference, function_costs, room_costs
from benchmarks.profiling.stacks import Frame, Stack, parse_frame


def stack(seconds: float, *labels: str) -> Stack:
    return Stack((Frame("Main", "thread"), *(parse_frame(label) for label in labels)), seconds)


PROFILE = [
    stack(2.0, "f (service/chat/a.py:1)", "g (service/wire/b.py:1)"),
    stack(1.0, "f (service/chat/a.py:2)"),
    stack(
        4.0,
        "f (service/chat/a.py:2)",
        "g (service/wire/b.py:1)",
        "f (service/chat/a.py:9)",
        "write (libc.so.6)",
    ),
    stack(1.0, "f (service/chat/a.py:3)", "dict_new (dictobject.c:1)"),
]


def test_functions() -> None:
    """Itself and with what it called; calling itself counts once, and Python's work is its caller's."""
    assert function_costs(PROFILE) == [
        Cost("write (libc.so.6)", 4.0, 4.0, 0.5, 0.5),
        Cost("f (service/chat/a.py)", 2.0, 8.0, 0.25, 1.0),
        Cost("g (service/wire/b.py)", 2.0, 6.0, 0.25, 0.75),
        Cost("dict_new (dictobject.c)", 0.0, 1.0, 0.0, 0.125),
    ]


def test_rooms() -> None:
    """The same by rooms."""
    assert [(cost.name, cost.self_share, cost.total_share) for cost in room_costs(PROFILE)] == [
        ("kernel and libc", 0.5, 0.5),
        ("service/chat", 0.25, 1.0),
        ("service/wire", 0.25, 0.75),
        ("Python itself", 0.0, 0.125),
    ]


def test_an_empty_profile_has_no_costs() -> None:
    """Nothing is divided by nothing."""
    assert function_costs([]) == []


def cost(name: str, share: float) -> Cost:
    return Cost(name, share, share, share, share)


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        pytest.param(
            [cost("a", 0.5), cost("b", 0.5)],
            [cost("b", 0.75), cost("a", 0.25)],
            [Change("a", 0.5, 0.25), Change("b", 0.5, 0.75)],
            id="what-grew-and-what-shrank",
        ),
        pytest.param(
            [cost("a", 0.75), cost("b", 0.25)],
            [cost("a", 0.5), cost("c", 0.5)],
            [Change("c", 0.0, 0.5), Change("a", 0.75, 0.5), Change("b", 0.25, 0.0)],
            id="what-is-new-and-what-is-gone-the-largest-change-first",
        ),
        pytest.param([], [], [], id="nothing"),
    ],
)
def test_difference(before: list[Cost], after: list[Cost], changes: list[Change]) -> None:
    assert difference(before, after) == changes


STACKS = st.lists(
    st.builds(
        stack,
        st.floats(0.001, 100),
        st.sampled_from(["f (service/chat/a.py:1)", "g (uvloop/loop.so)"]),
        st.sampled_from(["h (service/wire/b.py:1)", "write (libc.so.6)", "dict_new (dictobject.c:1)"]),
    ),
    min_size=1,
)


@given(STACKS)
def test_own_shares_add_up_to_the_whole(stacks: list[Stack]) -> None:
    """By function and by room; and nobody is dearer alone than with all that it called."""
    for costs in (function_costs(stacks), room_costs(stacks)):
        assert sum(each.self_share for each in costs) == pytest.approx(1)
        assert all(each.self_seconds <= each.total_seconds + 1e-9 for each in costs)
