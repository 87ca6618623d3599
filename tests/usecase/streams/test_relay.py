"""Every way in which a provider's stream can end, and what the client sees of it."""

import asyncio
from collections.abc import Sequence

import pytest

from service.errors import ServerShutdown
from service.providers.base import Fault, FaultKind, StaleConnection
from service.wire import sse
from service.wire.sse import DONE
from tests.fakes.loops import virtual_time
from tests.fakes.relay import ERROR, STOP, USAGE, chunk, last_error, rig
from tests.fakes.upstream import JSON, End, Head, Step

CUT = Fault(FaultKind.CUT, "The provider broke off its answer.", reason="cut")
STALLED = Fault(FaultKind.STALLED, "The provider stopped in the middle of its answer.", reason="timeout_idle")

WHOLE = [
    pytest.param([chunk("Hi") + STOP + DONE], chunk("Hi") + STOP + DONE, id="in-one-read"),
    pytest.param([chunk("Hi"), STOP, DONE], chunk("Hi") + STOP + DONE, id="event-by-event"),
    pytest.param([chunk("Hi"), STOP, End()], chunk("Hi") + STOP + DONE, id="a-missing-mark-is-added"),
    pytest.param([STOP, DONE], STOP + DONE, id="a-reason-alone"),
    pytest.param([chunk("Hi"), STOP, USAGE, DONE], chunk("Hi") + STOP + DONE, id="usage-nobody-asked-for-is-left-out"),
    pytest.param([USAGE, chunk("Hi"), STOP, DONE], chunk("Hi") + STOP + DONE, id="usage-first"),
    pytest.param([chunk("Hi"), STOP, DONE + chunk("more")], chunk("Hi") + STOP + DONE, id="nothing-after-the-mark"),
    pytest.param([chunk("Hi"), STOP, DONE, chunk("more"), End()], chunk("Hi") + STOP + DONE, id="nor-in-another-read"),
    pytest.param([b": ping\n\n", chunk("Hi"), b": ping\n\n", STOP, DONE], chunk("Hi") + STOP + DONE, id="its-comments-are-not-ours"),
    pytest.param([sse.BOM + chunk("Hi").replace(b"\n", b"\r\n"), STOP, DONE], chunk("Hi") + STOP + DONE, id="one-form-of-line-ends"),
    pytest.param([b"event: e\ndata: {\ndata: }\n\n", STOP, DONE], b"event: e\ndata: {\ndata: }\n\n" + STOP + DONE, id="names-and-lines-stay"),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "expected"), WHOLE)
@virtual_time
async def test_a_complete_stream_ends_with_its_mark(steps: Sequence[Step], expected: bytes) -> None:
    made = rig(*steps)
    assert await made.watch() == expected
    assert made.viewer.ended and made.viewer.head == [
        (b"x-stream-id", made.stream.id.encode()),
        (b"x-penstock-model", b"fast"),
    ]
    assert made.relay.error is None and made.relay.fault is None
    assert made.exchange.began and made.exchange.closes == 0


@virtual_time
async def test_usage_is_passed_on_where_it_is_wanted_and_metered_anyhow() -> None:
    """OpenAI's `include_usage`."""
    asked, not_asked = (rig(chunk("Hi"), STOP, USAGE, DONE, pass_usage=wanted) for wanted in (True, False))
    assert await asked.watch() == chunk("Hi") + STOP + USAGE + DONE
    assert await not_asked.watch() == chunk("Hi") + STOP + DONE
    for made in (asked, not_asked):
        assert made.relay.reader.usage is not None
        assert made.relay.reader.usage.output_tokens == 2


@virtual_time
async def test_an_end_mark_lets_the_connection_be_kept() -> None:
    """Its exchange is finished, not closed: what is left of its body is nobody's."""
    made = rig(chunk("Hi"), STOP, DONE)
    await made.watch()
    assert made.exchange.finished and made.exchange.closes == 0


@virtual_time
async def test_one_read_is_one_write() -> None:
    """Nothing is held back, and nothing is sent piece by piece."""
    made = rig(chunk("a"), chunk("b") + chunk("c"), chunk("d")[:9], chunk("d")[9:] + STOP, DONE)
    await made.first_event()
    await (await made.go_live())
    assert made.viewer.writes == [chunk("a") + chunk("b") + chunk("c") + chunk("d") + STOP + DONE]
    live = rig(chunk("a"))
    await live.first_event()
    await live.go_live()
    live.exchange.then(chunk("b") + chunk("c"), chunk("d")[:9], chunk("d")[9:] + STOP, DONE)
    assert live.viewer.writes == [chunk("a"), chunk("b") + chunk("c"), chunk("d") + STOP, DONE]


BROKEN = [
    pytest.param([End()], "provider_error", "server_error", "no_finish", id="no-reason"),
    pytest.param([DONE], "provider_error", "server_error", "no_finish", id="a-mark-without-a-reason"),
    pytest.param([CUT], "provider_error", "server_error", "cut", id="reset"),
    pytest.param([STALLED], "provider_timeout", "server_error", "timeout_idle", id="silence"),
    pytest.param([ERROR], "provider_rate_limited", "rate_limit_error", "http_429", id="an-error-event"),
    pytest.param([b"data: {broken\n\n"], "provider_error", "server_error", "bad_event", id="no-json"),
    pytest.param([b'data: {"choices":[],"x":"\xff"}\n\n'], "provider_error", "server_error", "bad_event", id="no-utf-8"),
    pytest.param([b"data: " + b"x" * (1 << 19)] * 3, "provider_error", "server_error", "event_too_long", id="an-event-without-end"),
    pytest.param([chunk("torn")[:12], End()], "provider_error", "server_error", "no_finish", id="torn-in-an-event"),
]  # fmt: skip


@pytest.mark.parametrize(
    "together", [pytest.param(True, id="in-the-same-read"), pytest.param(False, id="later")]
)
@pytest.mark.parametrize(("steps", "code", "kind", "reason"), BROKEN)
@virtual_time
async def test_a_broken_stream_ends_with_an_error_event(
    steps: list[Step], code: str, kind: str, reason: str, together: bool
) -> None:
    first, *rest = steps
    joined = [chunk("Hi") + first, *rest] if isinstance(first, bytes) and together else [chunk("Hi"), *steps]
    made = rig(*joined)
    received = await made.watch()
    assert received.startswith(chunk("Hi")) and DONE not in received
    error = last_error(received)
    assert (error["code"], error["type"]) == (code, kind)
    assert made.relay.fault is not None and made.relay.fault.reason == reason
    assert made.viewer.ended and not made.exchange.open
    assert not made.exchange.finished


@virtual_time
async def test_a_broken_stream_closes_the_provider_once() -> None:
    """However often the rest asks for it."""
    made = rig(chunk("Hi"), ERROR)
    await made.watch()
    made.relay.abort()
    made.relay.stop(ServerShutdown("Bye."))
    assert made.exchange.closes == 1
    assert made.viewer.received.count(b'"error"') == 1


NO_STREAM = [
    pytest.param(Head(), [End()], FaultKind.EMPTY, id="an-empty-body"),
    pytest.param(Head(), [b": ping\n\n", End()], FaultKind.EMPTY, id="only-comments"),
    pytest.param(Head(), [DONE], FaultKind.EMPTY, id="only-the-mark"),
    pytest.param(Head(), [USAGE, DONE], FaultKind.EMPTY, id="only-usage"),
    pytest.param(Head(), [ERROR], FaultKind.OVERLOADED, id="an-error-first"),
    pytest.param(Head(), [b"data: {broken\n\n"], FaultKind.CUT, id="no-json-first"),
    pytest.param(Head(), [CUT], FaultKind.CUT, id="cut"),
    pytest.param(Head(503), [b"", End()], FaultKind.FAILED, id="a-status"),
    pytest.param(Head(429, {"retry-after": "7"}), [b"{}", End()], FaultKind.OVERLOADED, id="a-limit"),
    pytest.param(Head(400, JSON), [b'{"error":', b'{"message":"No."}}', End()], FaultKind.REJECTED, id="a-refusal"),
    pytest.param(Head(200, {"content-type": "text/html"}), [b"<html>", End()], FaultKind.EMPTY, id="html"),
    pytest.param(Head(200, {}), [End()], FaultKind.EMPTY, id="nothing-at-all"),
    pytest.param(Head(200, JSON), [b'{"error":{"message":"No.","code":503}}', End()], FaultKind.FAILED, id="an-error-as-json"),
    pytest.param(Head(200, JSON), [b'{"choices":[{}]}', End()], FaultKind.CUT, id="a-whole-answer"),
    pytest.param(Head(200, JSON), [b'{"choi', CUT], FaultKind.CUT, id="half-a-whole-answer"),
]  # fmt: skip


@pytest.mark.parametrize(("head", "steps", "kind"), NO_STREAM)
@virtual_time
async def test_nothing_is_promised_before_the_first_event(
    head: Head, steps: list[Step], kind: FaultKind
) -> None:
    made = rig(*steps, head=head)
    with pytest.raises(Fault) as caught:
        await made.first_event()
    assert caught.value.kind is kind
    assert not made.viewer.begun and made.viewer.writes == []
    assert made.relay.first_event_at is None


@virtual_time
async def test_the_refusals_own_words_reach_the_attempt() -> None:
    """Status, message and pause."""
    made = rig(b'{"error":{"message":"Slow down."}}', End(), head=Head(429, {"retry-after": "7"}))
    with pytest.raises(Fault) as caught:
        await made.first_event()
    fault = caught.value
    assert (fault.status, fault.detail, fault.retry_after_seconds) == (429, "Slow down.", 7.0)


@virtual_time
async def test_a_stale_connection_is_told_as_it_is() -> None:
    """It costs no attempt, so it must not be made a fault."""
    made = rig(StaleConnection(), head=None)
    with pytest.raises(StaleConnection):
        await made.first_event()


@virtual_time
async def test_an_events_content_type_may_have_parameters() -> None:
    """And any case."""
    made = rig(chunk("Hi"), STOP, DONE, head=Head(200, {"content-type": "Text/Event-Stream; charset=utf-8"}))
    assert await made.watch() == chunk("Hi") + STOP + DONE


@virtual_time
async def test_the_provider_hears_of_the_first_event_only_once_it_came() -> None:
    """Comments and usage leave its first-token clock running."""
    made = rig(b": ping\n\n", USAGE)
    await asyncio.sleep(1)
    assert (made.exchange.began, made.relay.ready.done()) == (False, False)
    made.exchange.then(chunk("Hi"))
    assert (made.exchange.began, made.relay.ready.done()) == (True, True)
