"""Streams through the use case: the held head, what may still be retried, and heads that go early."""

import asyncio

import msgspec
import pytest

from service.chat.call import MESSAGES, Call
from service.chat.simple import ChunksToTokens
from service.config import Retries, Streams, TimeoutOverrides
from service.errors import (
    GatewayError,
    InvalidRequest,
    ProviderFailed,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimedOut,
)
from service.pricing.arithmetic import Usage
from service.providers.base import Fault, FaultKind, StaleConnection
from service.wire import sse
from service.wire.sse import DONE
from tests.fakes.chat import Kitchen, kitchen, order, refused
from tests.fakes.loops import virtual_time
from tests.fakes.relay import (
    BLOCK,
    ERROR,
    MESSAGE_DELTA,
    MESSAGE_START,
    MESSAGE_STOP,
    STOP,
    USAGE,
    chunk,
    last_error,
)
from tests.fakes.upstream import JSON, End, Head, Pause, Script
from tests.fakes.viewer import MemoryViewer

OK = Head()
STREAM: Script = [OK, chunk("Hi"), STOP, USAGE, DONE]
SEEN = chunk("Hi") + STOP + DONE
EARLY = Streams(commit_after_seconds=2)


def timed_out() -> Fault:
    """No first event in time."""
    return Fault(
        FaultKind.TIMED_OUT, "The provider did not begin its answer in time.", reason="timeout_first_token"
    )


def cut() -> Fault:
    """A connection that broke."""
    return Fault(FaultKind.CUT, "The provider broke off its answer.", reason="cut")


async def watched(made: Kitchen, call: Call) -> MemoryViewer:
    """A client that saw `call`'s stream to its end."""
    viewer = MemoryViewer()
    await made.service.stream(call, viewer)
    return viewer


def names(viewer: MemoryViewer) -> list[bytes]:
    """The head's header names."""
    assert viewer.head is not None
    return [name for name, _ in viewer.head]


@virtual_time
async def test_a_stream_comes_through_with_its_facts() -> None:
    """Usage was asked for though the client didn't; it is metered, not shown."""
    made = kitchen({"a": [STREAM]})
    call = order(stream=True)
    viewer = await watched(made, call)
    assert viewer.received == SEEN and viewer.ended
    assert names(viewer) == [
        b"x-stream-id",
        b"x-penstock-model",
        b"x-penstock-target",
        b"x-penstock-attempts",
        b"x-penstock-overhead-ms",
    ]
    facts = call.facts
    assert (facts.outcome, facts.usage, facts.cost_nano_usd) == ("complete", Usage(3, 0, 0, 2, 0), 7000)
    assert facts.first_event_at is not None
    sent = msgspec.json.decode(made.upstreams["a"].calls[0].request.body)
    assert sent["stream_options"] == {"include_usage": True}


@virtual_time
async def test_a_client_that_asked_for_usage_gets_it() -> None:
    """Its own options go on untouched."""
    made = kitchen({"a": [STREAM]})
    options = {"include_usage": True, "include_obfuscation": False}
    viewer = await watched(made, order(stream=True, stream_options=options))
    assert viewer.received == chunk("Hi") + STOP + USAGE + DONE
    assert msgspec.json.decode(made.upstreams["a"].calls[0].request.body)["stream_options"] == options


RETRIED = [
    pytest.param([OK, ERROR], "http_429", id="an-error-event-first"),
    pytest.param([OK, b": ping\n\n", ERROR], "http_429", id="an-error-event-after-a-comment"),
    pytest.param([OK, End()], "empty", id="no-event-at-all"),
    pytest.param([OK, DONE], "empty", id="the-end-mark-alone"),
    pytest.param([Head(200, {"content-type": "text/html"}), b"<html>", End()], "no_json", id="html"),
    pytest.param([Head(200, JSON), b'{"error":"No."}', End()], "http_500", id="an-error-as-json"),
    pytest.param(refused(503), "http_503", id="503"),
    pytest.param([timed_out()], "timeout_first_token", id="a-timeout"),
    pytest.param([OK, timed_out()], "timeout_first_token", id="a-timeout-after-the-head"),
]


@pytest.mark.parametrize(("first", "reason"), RETRIED)
@virtual_time
async def test_what_fails_before_its_first_event_is_asked_again(first: Script, reason: str) -> None:
    """The client sees nothing of it."""
    made = kitchen({"a": [first, STREAM]})
    call = order(stream=True)
    viewer = await watched(made, call)
    assert viewer.received == SEEN
    assert viewer.head is not None and dict(viewer.head)[b"x-penstock-attempts"] == b"2"
    assert (call.facts.faults, call.facts.outcome) == ((reason,), "complete")


@virtual_time
async def test_a_stale_connection_costs_no_attempt() -> None:
    """It goes out again at once."""
    made = kitchen({"a": [[StaleConnection()], STREAM]}, retries=Retries(max_attempts=1))
    call = order(stream=True)
    assert (await watched(made, call)).received == SEEN
    assert (call.facts.attempts, call.facts.faults) == (1, ())


REFUSED = [
    pytest.param([refused(400)], ProviderRejected, id="400"),
    pytest.param([[OK, ERROR]] * 3, ProviderRateLimited, id="three-error-events"),
    pytest.param([[timed_out()]] * 3, ProviderTimedOut, id="three-timeouts"),
    pytest.param([[OK, cut()]], ProviderFailed, id="cut-before-an-event"),
    pytest.param([[OK, b"data: {no\n\n"]], ProviderFailed, id="no-json-first"),
    pytest.param([[Head(200, JSON), b'{"choices":[{}]}', End()]], ProviderFailed, id="a-whole-answer"),
]


@pytest.mark.parametrize(("scripts", "error"), REFUSED)
@virtual_time
async def test_an_error_that_comes_first_is_a_plain_answer(
    scripts: list[Script], error: type[GatewayError]
) -> None:
    """The head was held, so nothing was sent."""
    made = kitchen({"a": scripts})
    viewer = MemoryViewer()
    with pytest.raises(error):
        await made.service.stream(order(stream=True), viewer)
    assert not viewer.begun and len(made.calls) == len(scripts)
    assert all(exchange.closes <= 1 and not exchange.open for exchange in made.upstreams["a"].calls)


BROKEN = [
    pytest.param([cut()], "upstream_truncated", "provider_error", "cut", id="a-reset"),
    pytest.param([End()], "upstream_truncated", "provider_error", "no_finish", id="no-reason"),
    pytest.param([ERROR], "upstream_error", "provider_rate_limited", "http_429", id="an-error-event"),
    pytest.param([Fault(FaultKind.STALLED, "x", reason="timeout_idle")], "timeout", "provider_timeout", "timeout_idle", id="silence"),
]  # fmt: skip


@pytest.mark.parametrize(("ending", "outcome", "code", "reason"), BROKEN)
@virtual_time
async def test_after_the_first_event_nothing_is_asked_again(
    ending: list[bytes], outcome: str, code: str, reason: str
) -> None:
    """Two answers are never spliced: an error event ends it, and no `[DONE]`."""
    made = kitchen({"a": [[OK, USAGE, chunk("Hi"), *ending]], "b": [STREAM]}, fallbacks=("b",))
    call = order(stream=True)
    viewer = await watched(made, call)
    assert made.order == "a"
    assert viewer.received.startswith(chunk("Hi")) and DONE not in viewer.received
    assert last_error(viewer.received)["code"] == code
    assert (call.facts.outcome, call.facts.problem, call.facts.faults) == (outcome, code, (reason,))
    assert call.facts.usage == Usage(3, 0, 0, 2, 0)


@virtual_time
async def test_a_head_that_went_early_names_the_alias_alone_and_the_answer_follows() -> None:
    """Heartbeats hold the connection while the first target is silent."""
    slow: Script = [OK, Pause(10.0), chunk("Hi"), STOP, DONE]
    made = kitchen({"a": [slow]}, streams=EARLY)
    viewer = MemoryViewer()
    task = asyncio.ensure_future(made.service.stream(order(stream=True), viewer))
    await asyncio.sleep(1.9)
    held = viewer.begun
    await asyncio.sleep(0.2)
    assert (held, viewer.begun, viewer.received) == (False, True, b"")
    await task
    assert viewer.received == SEEN and names(viewer) == [b"x-stream-id", b"x-penstock-model"]


@virtual_time
async def test_attempts_and_fallbacks_go_on_behind_an_early_head() -> None:
    """The second target's answer is the stream."""
    made = kitchen(
        {"a": [[Pause(5.0), timed_out()]], "b": [STREAM]},
        fallbacks=("b",),
        streams=EARLY,
        retries=Retries(max_attempts=2),
    )
    call = order(stream=True)
    viewer = await watched(made, call)
    assert (made.order, viewer.received, call.facts.outcome) == ("ab", SEEN, "complete")


@pytest.mark.parametrize(
    ("scripts", "code"),
    [
        pytest.param([[Pause(5.0), timed_out()]], "provider_timeout", id="a-timeout"),
        pytest.param([[Pause(5.0), *refused(500)]], "provider_error", id="a-failure"),
    ],
)
@virtual_time
async def test_a_failure_behind_an_early_head_is_an_event(scripts: list[Script], code: str) -> None:
    """The stream's only one."""
    made = kitchen({"a": scripts}, streams=EARLY, retries=Retries(max_attempts=1))
    call = order(stream=True)
    viewer = await watched(made, call)
    assert len(sse.Decoder().feed(viewer.received)) == 1 and viewer.ended
    assert last_error(viewer.received)["code"] == code
    assert call.facts.problem == code


@virtual_time
async def test_a_refusal_behind_an_early_head_keeps_the_providers_words() -> None:
    """On Anthropic's surface in its own shape."""
    made = kitchen({"a": [[Pause(5.0), *refused(404, "No such thing.")]]}, streams=EARLY)
    viewer = await watched(made, order(stream=True, surface=MESSAGES, max_tokens=5))
    assert viewer.received.startswith(b"event: error\n")
    error = last_error(viewer.received)
    assert (error["type"], error["message"]) == ("not_found_error", "No such thing.")


@virtual_time
async def test_no_head_goes_early_once_it_is_decided() -> None:
    """Neither after the first event, nor after a failure."""
    late: Script = [OK, chunk("Hi"), Pause(20.0), STOP, DONE]
    viewer = await watched(kitchen({"a": [late]}, streams=EARLY), order(stream=True))
    assert len(names(viewer)) == 5
    failed = MemoryViewer()
    with pytest.raises(ProviderRejected):
        await kitchen({"a": [refused(400)]}, streams=EARLY).service.stream(order(stream=True), failed)
    await asyncio.sleep(20)
    assert not failed.begun


@virtual_time
async def test_what_cannot_be_said_is_refused_before_anything_is_sent() -> None:
    """As for whole answers."""
    viewer = MemoryViewer()
    with pytest.raises(InvalidRequest) as caught:
        await kitchen({"anthropic": []}).service.stream(order(stream=True, n=2), viewer)
    assert caught.value.param == "n" and not viewer.begun


@virtual_time
async def test_the_clocks_of_a_stream() -> None:
    """The first token's, not a whole answer's."""
    made = kitchen(
        {"a": [STREAM]}, timeouts=TimeoutOverrides(first_token_seconds=7, idle_seconds=8, answer_seconds=9)
    )
    await watched(made, order(stream=True))
    clocks = made.upstreams["a"].calls[0].clocks
    assert (clocks.first_byte_seconds, clocks.idle_seconds) == (7, 8)


@virtual_time
async def test_an_anthropic_stream_for_openais_client() -> None:
    """Translated event by event, with our end mark."""
    wire = MESSAGE_START + BLOCK + MESSAGE_DELTA + MESSAGE_STOP
    made = kitchen({"anthropic": [[OK, wire]]})
    call = order(stream=True)
    viewer = await watched(made, call)
    events = [event.data for event in sse.Decoder().feed(viewer.received)]
    assert events[-1] == b"[DONE]"
    chunks = [msgspec.json.decode(data) for data in events[:-1]]
    assert "".join(found["choices"][0]["delta"].get("content") or "" for found in chunks) == "z\u00fc"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert call.facts.usage == Usage(3, 0, 0, 2, 0)


@virtual_time
async def test_the_simple_surface_ends_with_usage_and_cost() -> None:
    """Its last stage reads OpenAI's chunks, usage among them, whoever the provider is."""
    openai = kitchen({"a": [STREAM]})
    anthropic = kitchen({"anthropic": [[OK, MESSAGE_START + BLOCK + MESSAGE_DELTA + MESSAGE_STOP]]})
    for made, text in ((openai, "Hi"), (anthropic, "z\u00fc")):
        call = order(stream=True, last_stage=lambda cost_usd: ChunksToTokens(cost_usd, lambda: 12))
        viewer = await watched(made, call)
        *tokens, last, mark = [event.data for event in sse.Decoder().feed(viewer.received)]
        assert [msgspec.json.decode(token) for token in tokens] == [{"token": text}]
        done = msgspec.json.decode(last)
        assert (done["done"], done["usage"]["total_tokens"], done["cost_usd"]) == (True, 5, 7e-6)
        assert mark == b"[DONE]"
