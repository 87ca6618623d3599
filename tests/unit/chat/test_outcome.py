"""How a call's end is noted."""

import pytest

from service.chat.outcome import cost_usd, note_end, note_error, note_usage
from service.chat.routing import Target
from service.config import Timeouts
from service.errors import GatewayError, InvalidRequest, ProviderFailed, ProviderTimedOut, ServerShutdown
from service.pricing.arithmetic import Rates, Usage
from service.providers.base import Fault, FaultKind
from service.telemetry.facts import Facts

USAGE = Usage(input_tokens=1000, cached_input_tokens=0, cache_write_tokens=0, output_tokens=500)


def facts(attempts: int = 1) -> Facts:
    """A request that has asked a provider."""
    return Facts("req_1", "POST", "/v1/chat/completions", 0.0, attempts=attempts)


def target(rates: Rates | None) -> Target:
    """One with these prices."""
    return Target("p", "m", Timeouts(), 4096, rates)


@pytest.mark.parametrize(
    ("error", "attempts", "outcome", "problem"),
    [
        pytest.param(ProviderTimedOut("x"), 1, "timeout", "provider_timeout", id="timed-out"),
        pytest.param(ServerShutdown("x"), 1, "server_shutdown", "server_shutdown", id="shut-down"),
        pytest.param(ProviderFailed("x"), 2, "upstream_error", "provider_error", id="failed"),
        pytest.param(InvalidRequest("x"), 0, "refused", "invalid_request", id="refused-before-any-call"),
    ],
)
def test_an_error_is_an_outcome(error: GatewayError, attempts: int, outcome: str, problem: str) -> None:
    known = facts(attempts)
    note_error(known, error)
    assert (known.outcome, known.problem) == (outcome, problem)


def test_no_error_is_complete() -> None:
    """Nothing else is noted then."""
    known = facts()
    note_end(known)
    assert (known.outcome, known.problem, known.faults) == ("complete", "", ())


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        pytest.param(FaultKind.CUT, "upstream_truncated", id="cut"),
        pytest.param(FaultKind.FAILED, "upstream_error", id="failed"),
    ],
)
def test_a_stream_that_breaks_off_says_why(kind: FaultKind, outcome: str) -> None:
    """The fault joins those of the attempts before it."""
    known = facts()
    known.faults += ("http_503",)
    note_end(known, ProviderFailed("told"), Fault(kind, "known to us", reason="cut"))
    assert (known.outcome, known.faults, known.detail) == (outcome, ("http_503", "cut"), "known to us")


def test_a_stream_that_stalls_is_a_timeout() -> None:
    """Not a truncation: the provider's connection was ours to close."""
    known = facts()
    note_end(known, ProviderTimedOut("told"), Fault(FaultKind.STALLED, "x", reason="timeout_idle"))
    assert known.outcome == "timeout"


@pytest.mark.parametrize(
    ("usage", "rates", "nano"),
    [
        pytest.param(USAGE, Rates(1_000_000, 1_000_000, 1_000_000, 2_000_000), 2_000_000, id="priced"),
        pytest.param(USAGE, None, None, id="of-unknown-price"),
        pytest.param(None, Rates(1, 1, 1, 1), None, id="of-unknown-size"),
    ],
)
def test_usage_and_its_cost(usage: Usage | None, rates: Rates | None, nano: int | None) -> None:
    known = facts()
    note_usage(known, usage, target(rates))
    assert (known.usage, known.cost_nano_usd) == (usage, nano)
    assert cost_usd(usage, target(rates)) == (None if nano is None else nano / 1e9)
