"""Which provider is asked, how often and after which waits, and what is told when none answered."""

import asyncio
import itertools

import pytest

from service.config import Retries, TimeoutOverrides
from service.errors import (
    GatewayError,
    ProviderAuthFailed,
    ProviderFailed,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimedOut,
    ProviderUnavailable,
)
from service.providers.base import Fault, FaultKind
from tests.fakes.chat import COMPLETION, kitchen, order, refused, whole
from tests.fakes.loops import virtual_time
from tests.fakes.upstream import JSON, Head, Pause, Script

REFUSED = Fault(FaultKind.UNREACHABLE, "refused", reason="connect")
TIMED_OUT = Fault(
    FaultKind.TIMED_OUT, "The provider did not begin its answer in time.", reason="timeout_first_token"
)
RESET = Fault(FaultKind.UNREACHABLE, "The provider closed the connection.", reason="reset")
CUT = Fault(FaultKind.CUT, "The provider broke off its answer.", reason="cut")


def shown(headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers but for the time, which is the machine's."""
    return {name: value for name, value in headers if name != b"x-penstock-overhead-ms"}


RETRIED = [
    pytest.param(refused(408), "http_408", id="408"),
    pytest.param(refused(409), "http_409", id="409"),
    pytest.param(refused(429), "http_429", id="429"),
    pytest.param(refused(500), "http_500", id="500"),
    pytest.param(refused(503), "http_503", id="503"),
    pytest.param(REFUSED, "connect", id="no-connection"),
    pytest.param([RESET], "reset", id="a-reset-before-anything"),
    pytest.param([TIMED_OUT], "timeout_first_token", id="a-timeout-before-anything"),
    pytest.param(whole(b""), "no_json", id="an-empty-200"),
    pytest.param(whole(b"<html>"), "no_json", id="html"),
    pytest.param(whole(b'{"error":{"message":"No.","code":503}}'), "http_503", id="an-error-in-a-200"),
    pytest.param([Head(503, JSON), b'{"err', CUT], "http_503", id="a-refusal-cut-off"),
]  # fmt: skip


@pytest.mark.parametrize(("first", "reason"), RETRIED)
@virtual_time
async def test_is_asked_again(first: Script | Fault, reason: str) -> None:
    made = kitchen({"a": [first, whole()]})
    call = order()
    reply = await made.service.answer(call)
    assert reply.body == COMPLETION
    assert shown(reply.headers)[b"x-penstock-attempts"] == b"2"
    assert (call.facts.faults, call.facts.outcome) == ((reason,), "complete")


FINAL = [
    pytest.param(refused(400), ProviderRejected, id="400"),
    pytest.param(refused(413), ProviderRejected, id="413"),
    pytest.param(refused(422), ProviderRejected, id="422"),
    pytest.param(whole(b'{"choices":[{"mess'), ProviderFailed, id="broken-json"),
    pytest.param(whole(b'{"choices":[],"x":"\xff"}'), ProviderFailed, id="no-utf-8"),
    pytest.param([Head(200, JSON), b'{"choices"', CUT], ProviderFailed, id="a-cut"),
]


@pytest.mark.parametrize(("script", "error"), FINAL)
@virtual_time
async def test_is_final_even_with_a_fallback(script: Script, error: type[GatewayError]) -> None:
    made = kitchen({"a": [script], "b": [whole()]}, fallbacks=("b",))
    call = order()
    with pytest.raises(error):
        await made.service.answer(call)
    assert made.order == "a" and call.facts.outcome.startswith("upstream")


@virtual_time
async def test_a_refusal_is_passed_on_in_the_providers_words() -> None:
    """Status, message, type, code and param."""
    body = b'{"error":{"message":"Bad role.","type":"t","code":"c","param":"messages[0].role"}}'
    made = kitchen({"a": [whole(body, 422)]})
    with pytest.raises(ProviderRejected) as caught:
        await made.service.answer(order())
    error = caught.value
    found = (error.status, error.detail, error.kind, error.code, error.param)
    assert found == (422, "Bad role.", "t", "c", "messages[0].role")


EXHAUSTED = [
    pytest.param([refused(500)] * 3, ProviderFailed, id="500"),
    pytest.param([refused(429)] * 3, ProviderRateLimited, id="429"),
    pytest.param([REFUSED] * 3, ProviderFailed, id="no-connection"),
    pytest.param([[TIMED_OUT]] * 3, ProviderTimedOut, id="timeouts"),
    pytest.param([whole(b"")] * 3, ProviderFailed, id="nothing"),
    pytest.param([refused(429), refused(500), [TIMED_OUT]], ProviderTimedOut, id="the-last-one-is-told"),
]


@pytest.mark.parametrize(("scripts", "error"), EXHAUSTED)
@virtual_time
async def test_three_calls_are_all(scripts: list[Script | Fault], error: type[GatewayError]) -> None:
    made = kitchen({"a": [*scripts]})
    call = order()
    with pytest.raises(error):
        await made.service.answer(call)
    assert call.facts.attempts == 3 and len(call.facts.faults) == 3


FALLBACKS = [
    pytest.param(
        {"a": [refused(500)] * 2, "b": [whole()]}, 3, "aab", id="two-calls-and-the-one-that-was-kept"
    ),
    pytest.param(
        {"a": [refused(500)], "b": [refused(500)], "c": [whole()]}, 3, "abc", id="one-call-for-each-of-three"
    ),
    pytest.param({"a": [refused(500)], "b": [whole()]}, 2, "ab", id="as-far-as-the-number-goes"),
    pytest.param({"a": [refused(401)], "b": [whole()]}, 3, "ab", id="401-is-not-repeated"),
    pytest.param({"a": [refused(403)], "b": [whole()]}, 3, "ab", id="403-is-not-repeated"),
    pytest.param({"a": [refused(404)], "b": [whole()]}, 3, "ab", id="404-is-not-repeated"),
    pytest.param(
        {"a": [refused(429, retry_after="1")], "b": [whole()]}, 3, "ab", id="a-fallback-beats-a-pause"
    ),
    pytest.param(
        {"a": [refused(404)], "b": [refused(500), whole()]}, 3, "abb", id="the-last-target-has-what-is-left"
    ),
]


@pytest.mark.parametrize(("scripts", "max_attempts", "expected"), FALLBACKS)
@virtual_time
async def test_fallbacks(scripts: dict[str, list[Script]], max_attempts: int, expected: str) -> None:
    fallbacks = tuple(scripts)[1:]
    made = kitchen(scripts, fallbacks=fallbacks, retries=Retries(max_attempts=max_attempts))
    reply = await made.service.answer(order())
    assert made.order == expected
    last = expected[-1]
    assert shown(reply.headers)[b"x-penstock-target"] == f"{last}/{last}-1".encode()
    assert shown(reply.headers)[b"x-penstock-model"] == b"fast"


@virtual_time
async def test_no_call_is_made_beyond_the_number_even_for_a_fallback() -> None:
    """One attempt is one."""
    made = kitchen({"a": [refused(500)], "b": []}, fallbacks=("b",), retries=Retries(max_attempts=1))
    with pytest.raises(ProviderFailed):
        await made.service.answer(order())
    assert made.order == "a"


@virtual_time
async def test_bad_credentials_alone_are_the_operators_business() -> None:
    """Asked once; the text shows nothing of the provider's."""
    made = kitchen({"a": [refused(401, "key sk-abcdefgh1234 is bad")]})
    with pytest.raises(ProviderAuthFailed) as caught:
        await made.service.answer(order())
    assert "sk-" not in caught.value.detail and made.order == "a"


@virtual_time
async def test_waits_grow_and_a_pause_is_kept_to_the_letter() -> None:
    """Fifty milliseconds, a hundred, then what the provider asked for; a fallback has no wait."""
    scripts = [refused(500), refused(500), refused(429, retry_after="2"), refused(401)]
    made = kitchen({"a": [*scripts], "b": [whole()]}, fallbacks=("b",), retries=Retries(max_attempts=9))
    scripts_without_fallback = kitchen({"a": [*scripts[:3], whole()]}, retries=Retries(max_attempts=9))
    call = order()
    await scripts_without_fallback.service.answer(call)
    times = [at for _, at in scripts_without_fallback.calls]
    waits = [after - before for before, after in itertools.pairwise(times)]
    assert waits == pytest.approx([0.05, 0.1, 2.0], abs=1e-6)
    assert call.facts.upstream_seconds >= 2.15
    await made.service.answer(order())
    assert made.order == "aaab"
    assert made.calls[-1][1] - made.calls[-2][1] == pytest.approx(0.0, abs=1e-6)


TOO_LONG = [
    pytest.param(refused(429, retry_after="29.2"), ProviderRateLimited, 30, id="429"),
    pytest.param(refused(503, retry_after="60"), ProviderUnavailable, 60, id="503"),
]


@pytest.mark.parametrize(("script", "error", "seconds"), TOO_LONG)
@virtual_time
async def test_a_longer_pause_goes_to_the_client_at_once(
    script: Script, error: type[GatewayError], seconds: int
) -> None:
    made = kitchen({"a": [script]})
    began_at = asyncio.get_running_loop().time()
    with pytest.raises(error) as caught:
        await made.service.answer(order())
    assert caught.value.retry_after_seconds == seconds
    assert made.order == "a" and asyncio.get_running_loop().time() - began_at < 0.01


@virtual_time
async def test_a_pause_survives_a_fallback_that_cannot_say_it() -> None:
    """The first target's 429 is told, so its Retry-After is too."""
    up = {"a": [refused(429, retry_after="60")], "anthropic": []}
    made = kitchen(up, fallbacks=("anthropic",))
    with pytest.raises(ProviderRateLimited) as caught:
        await made.service.answer(order(n=2))
    assert caught.value.retry_after_seconds == 60


@virtual_time
async def test_so_does_the_status_of_one_who_asks_for_it() -> None:
    """A 503 with a long pause stays one, whatever the fallback can't say."""
    up = {"a": [refused(503, retry_after="60")], "anthropic": []}
    made = kitchen(up, fallbacks=("anthropic",))
    with pytest.raises(ProviderUnavailable) as caught:
        await made.service.answer(order(n=2))
    assert caught.value.retry_after_seconds == 60


@virtual_time
async def test_attempts_end_with_the_total_time() -> None:
    """Two slow timeouts use it up; the third call is not made."""
    slow: Script = [Pause(40.0), TIMED_OUT]
    made = kitchen({"a": [slow, slow]}, timeouts=TimeoutOverrides(total_seconds=60))
    with pytest.raises(ProviderTimedOut):
        await made.service.answer(order())
    [first, second] = made.upstreams["a"].calls
    assert first.clocks.deadline_at == second.clocks.deadline_at == pytest.approx(first.opened_at + 60)
