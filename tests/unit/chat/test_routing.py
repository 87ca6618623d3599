"""From an alias to the targets to try, by exact chances."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.chat.routing import Alias, Target, draw, plan
from service.config import Timeouts


def target(name: str) -> Target:
    """A target of provider `p`."""
    return Target("p", name, Timeouts(), 4096)


def weighted(*weights: float) -> tuple[tuple[Target, float], ...]:
    """Targets a, b, c … with these weights."""
    return tuple((target(chr(ord("a") + index)), weight) for index, weight in enumerate(weights))


def names(targets: tuple[Target, ...]) -> str:
    """Their models in order, as one word."""
    return "".join(found.model for found in targets)


@pytest.mark.parametrize(
    ("weights", "chance", "order"),
    [
        pytest.param((1,), 0.99, "a", id="one-target-needs-no-chance"),
        pytest.param((1, 1), 0.0, "ab", id="the-lowest-chance"),
        pytest.param((1, 1), 0.4999, "ab", id="just-below-the-middle"),
        pytest.param((1, 1), 0.5, "ba", id="the-middle-belongs-to-the-second"),
        pytest.param((1, 1), 0.9999, "ba", id="the-highest-chance"),
        pytest.param((3, 1), 0.7499, "ab", id="three-to-one-below"),
        pytest.param((3, 1), 0.75, "ba", id="three-to-one-at-the-border"),
        pytest.param((1, 2, 1), 0.25, "bac", id="the-others-keep-their-order"),
        pytest.param((1, 2, 1), 0.75, "cab", id="the-last-of-three"),
        pytest.param((0, 1), 0.0, "ba", id="weight-zero-is-only-fallen-back-to"),
        pytest.param((1, 0, 1), 0.5, "cab", id="weight-zero-in-the-middle"),
        pytest.param((0, 0), 0.7, "ab", id="all-zero-is-the-written-order"),
    ],
)
def test_one_target_is_drawn_by_weight(weights: tuple[float, ...], chance: float, order: str) -> None:
    assert names(draw(weighted(*weights), chance)) == order


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5).filter(any))
def test_chances_spread_evenly_meet_the_weights_exactly(weights: list[int]) -> None:
    """As many chances as the weights' sum, one in the middle of each step."""
    total = sum(weights)
    targets = weighted(*weights)
    drawn = Counter(names(draw(targets, (at + 0.5) / total))[0] for at in range(total))
    assert drawn == {found.model: weight for found, weight in targets if weight}


@given(st.lists(st.floats(0, 10), min_size=1, max_size=5), st.floats(0, 0.999999))
def test_a_draw_only_changes_the_order(weights: list[float], chance: float) -> None:
    """No target is lost or doubled."""
    targets = weighted(*weights)
    assert sorted(names(draw(targets, chance))) == [found.model for found, _ in targets]


def alias(name: str, models: str, *fallbacks: str) -> Alias:
    """An alias of equally weighted targets, one a letter."""
    return Alias(name, tuple((target(model), 1.0) for model in models), fallbacks)


@pytest.mark.parametrize(
    ("aliases", "chance", "order"),
    [
        pytest.param([alias("x", "a")], 0.0, "a", id="alone"),
        pytest.param([alias("x", "ab")], 0.5, "ba", id="its-own-targets-drawn"),
        pytest.param([alias("x", "a", "y"), alias("y", "b")], 0.0, "ab", id="then-its-fallback"),
        pytest.param([alias("x", "a", "y", "z"), alias("y", "b"), alias("z", "c")], 0.0, "abc", id="in-the-written-order"),
        pytest.param([alias("x", "a", "y"), alias("y", "b", "z"), alias("z", "c")], 0.0, "abc", id="a-fallbacks-fallback"),
        pytest.param([alias("x", "a", "y", "z"), alias("y", "b", "w"), alias("z", "c"), alias("w", "d")], 0.0, "abcd", id="near-before-far"),
        pytest.param([alias("x", "a", "y"), alias("y", "b", "x")], 0.0, "ab", id="a-circle-ends"),
        pytest.param([alias("x", "a", "x")], 0.0, "a", id="its-own-fallback"),
        pytest.param([alias("x", "ab", "y"), alias("y", "bc")], 0.0, "abc", id="each-target-once"),
        pytest.param([alias("x", "a", "y"), alias("y", "bc")], 0.9, "acb", id="a-fallbacks-targets-are-drawn-too"),
    ],
)  # fmt: skip
def test_the_plan_is_the_alias_and_then_its_fallbacks(
    aliases: list[Alias], chance: float, order: str
) -> None:
    assert names(plan(aliases[0], {found.name: found for found in aliases}, chance)) == order


def test_a_target_is_named_by_provider_and_model() -> None:
    """As headers, logs and metrics show it; models may hold slashes themselves."""
    assert target("meta/llama").name == "p/meta/llama"
