"""What passes through tells how the models do; what callers get wrong doesn't."""

import pytest

from service.health.service import HealthService
from service.telemetry.facts import Facts


def report_after(
    outcome: str, problem: str = "", attempts: int = 1, served: str = "m"
) -> tuple[str, dict[str, str]]:
    """The server's status and each model's, after one request to `m`. served: the only model there is by now."""
    service = HealthService(
        now=lambda: 5.0,
        default_model=lambda: served,
        is_served=served.__eq__,
        accepting=lambda: True,
        stores=dict,
    )
    facts = Facts("req_1", "POST", "/v1/chat/completions", 1.0)
    facts.model, facts.attempts, facts.outcome, facts.problem = "m", attempts, outcome, problem
    service.record(facts, 2.0, 5.0)
    found = service.report()
    return found.status, {name: model.status for name, model in found.models.items()}


@pytest.mark.parametrize(
    ("outcome", "problem", "status", "models"),
    [
        pytest.param("complete", "", "ok", {"m": "ok"}, id="an-answer-is-health"),
        pytest.param("upstream_error", "provider_error", "degraded", {"m": "failing"}, id="a-failure-is-not"),
        pytest.param("timeout", "provider_timeout", "degraded", {"m": "failing"}, id="nor-is-silence"),
        pytest.param("upstream_error", "provider_rejected", "ok", {}, id="a-refused-request-says-nothing"),
        pytest.param("upstream_error", "invalid_request", "ok", {}, id="nor-does-one-that-fits-no-target"),
    ],
)
def test_health_follows_the_answers(outcome: str, problem: str, status: str, models: dict[str, str]) -> None:
    assert report_after(outcome, problem) == (status, models)


def test_a_request_that_asked_no_provider_says_nothing() -> None:
    """It ended before anybody was asked."""
    assert report_after("refused", "model_not_found", attempts=0) == ("ok", {})


def test_a_model_that_is_gone_is_no_reason_to_worry() -> None:
    """Nobody can ask it any more, so it would be failing for ever."""
    assert report_after("timeout", "provider_timeout", served="another") == ("ok", {})
