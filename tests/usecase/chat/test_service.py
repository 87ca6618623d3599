"""Whole answers: what is sent, told and noted, what can't be said, and what becomes of a call that is given up."""

import asyncio
from time import monotonic

import msgspec
import pytest

from service.chat.call import EMBEDDINGS, MESSAGES
from service.config import Retries, TimeoutOverrides
from service.errors import (
    InvalidRequest,
    ModelNotFound,
    ProviderFailed,
)
from service.pricing.arithmetic import Usage
from service.providers.base import Fault, FaultKind, Operation, StaleConnection
from tests.fakes.chat import COMPLETION, MESSAGE, kitchen, order, refused, whole
from tests.fakes.loops import virtual_time
from tests.fakes.upstream import JSON, End, Head, Script

REFUSED = Fault(FaultKind.UNREACHABLE, "refused", reason="connect")
TIMED_OUT = Fault(
    FaultKind.TIMED_OUT, "The provider did not begin its answer in time.", reason="timeout_first_token"
)
RESET = Fault(FaultKind.UNREACHABLE, "The provider closed the connection.", reason="reset")
CUT = Fault(FaultKind.CUT, "The provider broke off its answer.", reason="cut")


def shown(headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers but for the time, which is the machine's."""
    return {name: value for name, value in headers if name != b"x-penstock-overhead-ms"}


@virtual_time
async def test_an_answer_comes_back_as_it_is() -> None:
    """Bytes, headers, and what is noted."""
    made = kitchen({"a": [whole(x_request_id="up-9")]})
    call = order()
    reply = await made.service.answer(call)
    assert reply.body == COMPLETION
    assert shown(reply.headers) == {
        b"x-penstock-model": b"fast",
        b"x-penstock-target": b"a/a-1",
        b"x-penstock-attempts": b"1",
        b"x-penstock-upstream-request-id": b"up-9",
    }
    facts = call.facts
    assert (facts.model, facts.target, facts.attempts, facts.outcome) == ("fast", "a/a-1", 1, "complete")
    assert (facts.usage, facts.cost_nano_usd) == (Usage(3, 0, 0, 2, 0), 7000)


@virtual_time
async def test_the_callers_bytes_go_on_with_the_models_own_name() -> None:
    """Unknown members untouched; our id, and none of the caller's headers that this dialect doesn't know."""
    made = kitchen({"a": [whole()]})
    await made.service.answer(
        order(passed_on={"openai-beta": "x", "anthropic-beta": "y"}, unknown={"a": [1.50, "ü"]})
    )
    [exchange] = made.upstreams["a"].calls
    sent = msgspec.json.decode(exchange.request.body)
    assert sent == {
        "model": "a-1",
        "messages": [{"role": "user", "content": "Hello"}],
        "unknown": {"a": [1.5, "ü"]},
    }
    assert exchange.request.operation is Operation.CHAT
    assert exchange.request.headers == (("X-Request-ID", "req_1"), ("OpenAI-Beta", "x"))


@pytest.mark.parametrize(
    ("timeouts", "first_byte_seconds"),
    [
        pytest.param(TimeoutOverrides(), 600, id="a-whole-answer-may-take-all-the-time"),
        pytest.param(TimeoutOverrides(answer_seconds=90), 90, id="unless-it-has-a-clock-of-its-own"),
        pytest.param(TimeoutOverrides(first_token_seconds=7), 7, id="or-the-first-token-has"),
    ],
)
@virtual_time
async def test_the_clocks_of_a_whole_answer(timeouts: TimeoutOverrides, first_byte_seconds: float) -> None:
    made = kitchen({"a": [whole()]}, timeouts=timeouts)
    await made.service.answer(order())
    clocks = made.upstreams["a"].calls[0].clocks
    assert (clocks.first_byte_seconds, clocks.connect_seconds, clocks.idle_seconds) == (
        first_byte_seconds,
        5,
        30,
    )


@virtual_time
async def test_a_target_that_cannot_say_it_costs_no_attempt() -> None:
    """The next one is asked, with all calls left."""
    up = {"anthropic": [], "b": [refused(500), refused(500), whole()]}
    made = kitchen(up, fallbacks=("b",))
    call = order(n=2)
    reply = await made.service.answer(call)
    assert (made.order, shown(reply.headers)[b"x-penstock-attempts"]) == ("bbb", b"3")


@pytest.mark.parametrize(
    ("call", "param"),
    [
        pytest.param(lambda: order(n=2), "n", id="two-answers"),
        pytest.param(lambda: order(logprobs=True), "logprobs", id="logprobs"),
        pytest.param(lambda: order(surface=EMBEDDINGS, input="x"), "model", id="embeddings"),
    ],
)
@virtual_time
async def test_what_no_target_can_say_names_the_field(call: object, param: str) -> None:
    made = kitchen({"anthropic": []})
    asked = call()  # type: ignore[operator]
    with pytest.raises(InvalidRequest) as caught:
        await made.service.answer(asked)
    assert caught.value.param == param
    assert (asked.facts.attempts, asked.facts.outcome, made.order) == (0, "refused", "")


@virtual_time
async def test_a_real_failure_is_told_before_a_target_that_cannot_say_it() -> None:
    """Whichever came last: the caller can do nothing about the other."""
    up = {"a": [refused(500), refused(500)], "anthropic": []}
    made = kitchen(up, fallbacks=("anthropic",))
    with pytest.raises(ProviderFailed):
        await made.service.answer(order(n=2))


@virtual_time
async def test_hints_that_were_dropped_are_listed() -> None:
    """And the answer is in the client's dialect."""
    made = kitchen({"anthropic": [whole(MESSAGE)]})
    reply = await made.service.answer(order(seed=1))
    assert shown(reply.headers)[b"x-penstock-dropped"] == b"seed"
    answer = msgspec.json.decode(reply.body)
    assert answer["object"] == "chat.completion" and answer["created"] == int(made.clock.now())
    assert answer["choices"][0]["message"]["content"] == "Hi"


@virtual_time
async def test_an_answer_that_cannot_be_translated_is_the_providers_fault() -> None:
    """It may have been billed, so nobody is asked again."""
    up = {"anthropic": [whole(b'{"content":[1],"type":"message"}')], "b": []}
    made = kitchen(up, fallbacks=("b",))
    with pytest.raises(ProviderFailed):
        await made.service.answer(order())
    assert made.order == "a"


@virtual_time
async def test_anthropics_client_in_front_of_openais_provider() -> None:
    """The other bridge."""
    made = kitchen({"b": [whole()]})
    reply = await made.service.answer(order(surface=MESSAGES, max_tokens=5))
    assert msgspec.json.decode(reply.body)["type"] == "message"


@virtual_time
async def test_a_stale_connection_costs_no_attempt_and_no_wait() -> None:
    """The request goes out again at once, on a fresh one."""
    made = kitchen({"a": [[StaleConnection()], whole()]}, retries=Retries(max_attempts=1))
    call = order()
    reply = await made.service.answer(call)
    assert shown(reply.headers)[b"x-penstock-attempts"] == b"1"
    assert [exchange.fresh for exchange in made.upstreams["a"].calls] == [False, True]
    assert made.calls[0][1] == made.calls[1][1] and call.facts.faults == ()


@virtual_time
async def test_a_fresh_connection_that_dies_too_is_a_fault() -> None:
    """It is retried like any other, and counts."""
    made = kitchen({"a": [[StaleConnection()], [StaleConnection()], whole()]})
    call = order()
    await made.service.answer(call)
    assert (call.facts.attempts, call.facts.faults) == (2, ("reset",))


@virtual_time
async def test_an_unknown_model_is_refused_before_anyone_is_asked() -> None:
    """No attempt, no model in the facts."""
    made = kitchen({"a": []})
    call = order("nope")
    with pytest.raises(ModelNotFound):
        await made.service.answer(call)
    assert (call.facts.model, call.facts.attempts, call.facts.outcome) == ("", 0, "refused")
    assert call.facts.problem == "model_not_found"


@virtual_time
async def test_the_overhead_is_what_is_left_of_the_time_without_the_provider_and_the_waits() -> None:
    """Of ten seconds since the request came, eight were the provider's before this call and a wait takes part of the rest."""
    made = kitchen({"a": [refused(429, retry_after="1"), whole()]})
    call = order()
    call.facts.started_at = monotonic() - 10
    call.facts.upstream_seconds = 8.0
    headers = dict((await made.service.answer(call)).headers)
    assert 1000 <= float(headers[b"x-penstock-overhead-ms"]) < 1900
    assert 9.0 <= call.facts.upstream_seconds < 9.9


@pytest.mark.parametrize(
    ("script", "calls"),
    [
        pytest.param([], 1, id="before-the-head"),
        pytest.param([Head(200, JSON)], 1, id="before-the-body"),
        pytest.param([Head(200, JSON), b'{"choi'], 1, id="in-the-body"),
    ],
)
@virtual_time
async def test_a_caller_that_leaves_closes_the_provider_once(script: Script, calls: int) -> None:
    made = kitchen({"a": [script]})
    task = asyncio.ensure_future(made.service.answer(order()))
    exchange = await made.upstreams["a"].opened()
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert exchange.closes == 1 and len(made.calls) == calls


@virtual_time
async def test_a_caller_that_leaves_while_we_wait_is_not_asked_for_again() -> None:
    """The retry it waited for never happens."""
    made = kitchen({"a": [refused(429, retry_after="3")]})
    task = asyncio.ensure_future(made.service.answer(order()))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(10)
    assert made.order == "a"


@virtual_time
async def test_an_answer_beyond_the_bound_ends_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection closes once, and nobody is asked again."""
    monkeypatch.setattr("service.providers.whole.MAX_ANSWER_BYTES", 10)
    made = kitchen({"a": [[Head(200, JSON), b"123456", b"123456", End()]]})
    with pytest.raises(ProviderFailed):
        await made.service.answer(order())
    assert made.order == "a" and made.upstreams["a"].calls[0].closes == 1
