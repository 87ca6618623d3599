"""How the levels of timeouts merge."""

import pytest

from service.config import Model, Provider, Settings, TargetRef, TimeoutOverrides, Timeouts

NONE = TimeoutOverrides()


@pytest.mark.parametrize(
    ("everywhere", "provider", "model", "merged"),
    [
        pytest.param(NONE, NONE, NONE, Timeouts(), id="nothing-written-is-the-defaults"),
        pytest.param(
            TimeoutOverrides(idle_seconds=1, connect_seconds=1),
            TimeoutOverrides(idle_seconds=2),
            NONE,
            Timeouts(idle_seconds=2, connect_seconds=1),
            id="a-provider-beats-the-global-one",
        ),
        pytest.param(
            TimeoutOverrides(idle_seconds=1),
            TimeoutOverrides(idle_seconds=2),
            TimeoutOverrides(idle_seconds=3),
            Timeouts(idle_seconds=3),
            id="a-model-beats-its-provider",
        ),
        pytest.param(
            TimeoutOverrides(total_seconds=60),
            NONE,
            NONE,
            Timeouts(total_seconds=60, answer_seconds=60),
            id="a-whole-answer-may-take-all-the-time",
        ),
        pytest.param(
            TimeoutOverrides(first_token_seconds=9),
            NONE,
            NONE,
            Timeouts(first_token_seconds=9, answer_seconds=9),
            id="a-first-token-that-is-written-counts-for-whole-answers",
        ),
        pytest.param(
            TimeoutOverrides(first_token_seconds=9, answer_seconds=90),
            NONE,
            NONE,
            Timeouts(first_token_seconds=9, answer_seconds=90),
            id="unless-the-same-level-says-otherwise",
        ),
        pytest.param(
            TimeoutOverrides(answer_seconds=90),
            NONE,
            TimeoutOverrides(first_token_seconds=9),
            Timeouts(first_token_seconds=9, answer_seconds=9),
            id="a-nearer-first-token-beats-a-farther-answer",
        ),
        pytest.param(
            TimeoutOverrides(first_token_seconds=9),
            TimeoutOverrides(answer_seconds=90),
            NONE,
            Timeouts(first_token_seconds=9, answer_seconds=90),
            id="a-nearer-answer-beats-a-farther-first-token",
        ),
    ],
)
def test_the_nearest_level_that_names_a_clock_wins(
    everywhere: TimeoutOverrides, provider: TimeoutOverrides, model: TimeoutOverrides, merged: Timeouts
) -> None:
    up = Provider(name="up", kind="openai", timeouts=provider)
    alias = Model(name="m", targets=(TargetRef(provider="up", model="x"),), timeouts=model)
    assert Settings(timeouts=everywhere).timeouts_for(up, alias) == merged


def test_without_a_model_the_providers_clocks_hold() -> None:
    """`provider/model` has no [[models]] table."""
    up = Provider(name="up", kind="openai", timeouts=TimeoutOverrides(idle_seconds=2))
    assert Settings().timeouts_for(up, None) == Timeouts(idle_seconds=2)
