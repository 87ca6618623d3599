"""What a stream costs its caller: its ends, where a budget cuts it, and what is read on for the bill."""

import asyncio
from typing import Any

import pytest

from service.chat import call as surfaces
from service.chat.service import Drains
from service.config import Retries, Streams, UsageSettings
from service.principal import Principal
from service.providers.base import Fault, FaultKind
from service.usage.row import Outcome
from service.wire.sse import DONE
from tests.fakes.accounts import INPUT_BOUND, LONG, RICH, answered, asked, holder, only, spent, tokens
from tests.fakes.chat import kitchen, order
from tests.fakes.loops import virtual_time
from tests.fakes.relay import (
    ERROR,
    MESSAGE_DELTA,
    MESSAGE_START,
    MESSAGE_STOP,
    STOP,
    USAGE,
    chunk,
    last_error,
)
from tests.fakes.upstream import Head, Pause, Script
from tests.fakes.viewer import MemoryViewer

OK = Head()
STALL = Fault(FaultKind.STALLED, "Idle.", reason="timeout_idle")
RESET = Fault(FaultKind.CUT, "Broken off.", reason="cut")

STREAM_ENDS = [
    pytest.param([OK, chunk("Hi"), STOP, USAGE, DONE], "complete", (3, 2), False, id="complete"),
    pytest.param([OK, chunk("Hi"), STOP, DONE], "complete", (6, 1), True, id="complete-without-usage"),
    pytest.param([OK, LONG, RESET], "upstream_truncated", (6, 100), True, id="reset"),
    pytest.param([OK, LONG, DONE], "upstream_truncated", (6, 100), True, id="no-finish-reason"),
    pytest.param([OK, LONG, ERROR], "upstream_error", (6, 100), True, id="error-event"),
    pytest.param([OK, LONG, STALL], "timeout", (6, 100), True, id="idle"),
    pytest.param([OK, ERROR], "upstream_error", (0, 0), False, id="error-event-first"),
    pytest.param([OK, USAGE, LONG, RESET], "upstream_truncated", (3, 100), True, id="usage-came-early"),
]


@pytest.mark.parametrize(("script", "outcome", "used", "estimated"), STREAM_ENDS)
@virtual_time
async def test_streams_ends(script: Script, outcome: str, used: tuple[int, int], estimated: bool) -> None:
    """The same of streams."""
    made = kitchen({"a": [script]}, retries=Retries(max_attempts=1))
    await answered(made, order(stream=True, principal=RICH))
    row = only(made)
    assert (row.outcome, row.estimated) == (outcome, estimated)
    assert (row.input_tokens, row.output_tokens) == used
    assert await spent(made, RICH) == sum(used)


@virtual_time
async def test_a_stream_is_extended_as_far_as_its_budget_goes_and_cut_there() -> None:
    """The provider ignores the maximum: 256, 32 and 1 tokens more at a time, to the last one."""
    principal = holder(tokens(INPUT_BOUND + 10 + 300))
    made = kitchen({"a": [[OK, *[chunk("w")] * 500, STOP, DONE]]})
    call, viewer = order(stream=True, max_tokens=10, principal=principal), MemoryViewer()
    await made.service.stream(call, viewer)
    assert last_error(viewer.received)["code"] == "budget_exceeded" and DONE not in viewer.received
    assert viewer.received.count(b'"content":"w"') == 311
    assert made.upstreams["a"].calls[0].closes == 1
    row = only(made)
    assert (row.outcome, row.estimated, row.output_tokens) == (Outcome.BUDGET_CUT, True, 10)
    assert await spent(made, principal) == row.input_tokens + row.output_tokens


@pytest.mark.parametrize(("words", "outcome", "output"), [(10, "complete", 13), (400, "budget_cut", 40)])
@virtual_time
async def test_a_prompt_that_comes_back_uses_up_no_output(words: int, outcome: str, output: int) -> None:
    """A budget for the prompt and forty tokens; an answer that goes far beyond them is cut all the same."""

    def piece(text: str, reason: str = "null") -> bytes:
        return b'data: {"choices":[{"index":0,"text":"%b","finish_reason":%b}]}\n\n' % (
            text.encode(),
            reason.encode(),
        )

    prompt = "word " * 60
    principal = holder(tokens(len(prompt) + 8 + len(b"{}") + 40))
    script: Script = [OK, *[piece("word ")] * 60, *[piece("more ")] * words, piece("", '"stop"'), DONE]
    made = kitchen({"a": [script]}, max_output_tokens={"a": 40})
    call = order(
        surface=surfaces.COMPLETIONS, stream=True, principal=principal, prompt=prompt, echo=True, messages=""
    )
    await answered(made, call)
    row = only(made)
    assert (row.outcome, row.output_tokens) == (outcome, output)


@pytest.mark.parametrize("cut", [pytest.param(True, id="cut"), pytest.param(False, id="left")])
@virtual_time
async def test_an_estimate_never_passes_what_was_reserved(cut: bool) -> None:
    """The provider was told the maximum, so dense text (CJK, base64) is no more tokens than that."""
    principal = holder(tokens(INPUT_BOUND + 100))
    made = kitchen({"a": [[OK, *[LONG] * (8 if cut else 2), Pause(100)]]}, max_output_tokens={"a": 100})
    viewer = MemoryViewer(leaves=not cut)
    task = asyncio.ensure_future(made.service.stream(order(stream=True, principal=principal), viewer))
    await asyncio.sleep(1)
    if not cut:
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert only(made).outcome == ("budget_cut" if cut else "client_abort")
    assert only(made).output_tokens == 100
    assert await spent(made, principal) <= INPUT_BOUND + 100


@virtual_time
async def test_anthropics_stream_is_cut_in_its_dialect() -> None:
    """`event: error`, by the provider's cumulative report."""
    principal = holder(tokens(INPUT_BOUND + 20))
    report = MESSAGE_DELTA.replace(b'"stop_reason":"end_turn"', b"").replace(
        b'"output_tokens":2', b'"output_tokens":99'
    )
    made = kitchen({"anthropic": [[OK, MESSAGE_START, report, MESSAGE_DELTA, MESSAGE_STOP]]})
    viewer = MemoryViewer()
    call = order(surface=surfaces.MESSAGES, stream=True, max_tokens=20, principal=principal)
    await made.service.stream(call, viewer)
    assert b"event: error\n" in viewer.received and b"message_stop" not in viewer.received
    assert last_error(viewer.received)["code"] == "budget_exceeded"
    assert only(made).outcome is Outcome.BUDGET_CUT


def tool_calls(count: int) -> list[bytes]:
    """A call's arguments, a token an event, in the JSON that each event has around it."""
    delta = b'{"tool_calls":[{"index":0,"type":"function","function":{"arguments":"\\"a"}}]}'
    return [b'data: {"choices":[{"index":0,"delta":%s}]}\n\n' % delta] * count


@virtual_time
async def test_the_json_around_a_tools_arguments_is_no_token() -> None:
    """A call that keeps its maximum is never cut."""
    principal = holder(tokens(INPUT_BOUND + 50))
    made = kitchen({"a": [[OK, *tool_calls(50), STOP, DONE]]})
    await answered(made, order(stream=True, max_tokens=50, principal=principal))
    assert (only(made).outcome, only(made).output_tokens) == (Outcome.COMPLETE, 50)


CANCEL = Streams(on_disconnect="cancel")
DRAIN = UsageSettings(on_abort="drain", drain_seconds=10, drain_tokens=20, drain_streams=1)

DRAINS = [
    pytest.param([OK, chunk("Hi"), Pause(2), STOP, USAGE, DONE], RICH, 2, 2, 0, id="to-its-end"),
    pytest.param([OK, chunk("Hi"), Pause(100)], RICH, 11, 1, 1, id="for-so-long"),
    pytest.param([OK, chunk("Hi"), Pause(2), *[chunk("Hi")] * 40], RICH, 2, 22, 1, id="for-so-many-tokens"),
    pytest.param([OK, chunk("Hi"), Pause(2), LONG], RICH, 2, 101, 1, id="by-their-bytes"),
    pytest.param(
        [OK, chunk("Hi"), Pause(2), *[chunk("Hi")] * 9],
        holder(tokens(INPUT_BOUND + 5)),
        2,
        5,
        1,
        id="as-far-as-its-budget-goes",
    ),
]


@pytest.mark.parametrize(("script", "principal", "ends_at", "output", "closes"), DRAINS)
@virtual_time
async def test_a_stream_that_is_read_on_for_its_bill(
    script: Script, principal: Principal, ends_at: float, output: int, closes: int
) -> None:
    """Within bounds, and its provider's connection is closed at their end."""
    drains = Drains()
    made = kitchen({"a": [script]}, usage=DRAIN, streams=CANCEL, drains=drains)
    members: dict[str, Any] = {} if principal is RICH else {"max_tokens": 5}
    viewer, loop = MemoryViewer(leaves=True), asyncio.get_running_loop()
    began_at = loop.time()
    task = asyncio.ensure_future(made.service.stream(asked(principal, members, stream=True), viewer))
    await asyncio.sleep(1)
    task.cancel()
    await task
    assert loop.time() - began_at == pytest.approx(ends_at)
    assert made.upstreams["a"].calls[0].closes == closes and not made.upstreams["a"].calls[0].open
    row = only(made)
    assert (row.outcome, row.output_tokens) == (Outcome.CLIENT_ABORT, output)
    assert drains.running == 0 and made.limits.running == 0


@pytest.mark.parametrize(
    "reloaded", [pytest.param(False, id="at-any-time"), pytest.param(True, id="over-a-reload")]
)
@virtual_time
async def test_no_more_streams_are_read_on_than_may_be(reloaded: bool) -> None:
    """The second one is cancelled at once; the first one when its time is cut short."""
    script: Script = [OK, chunk("Hi"), Pause(100)]
    drains = Drains()
    made = [
        kitchen({"a": [script] * 2}, usage=DRAIN, streams=CANCEL, drains=drains)
        for _ in range(2 if reloaded else 1)
    ]
    tasks = [
        asyncio.ensure_future(
            each.service.stream(order(stream=True, principal=RICH), MemoryViewer(leaves=True))
        )
        for each in (made[0], made[-1])
    ]
    await asyncio.sleep(1)
    for task in tasks:
        task.cancel()
    await asyncio.sleep(1)
    assert [task.done() for task in tasks] == [False, True]
    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [exchange.closes for each in made for exchange in each.upstreams["a"].calls] == [1, 1]
    assert [row.outcome for each in made for row in each.ledger.rows] == [Outcome.CLIENT_ABORT] * 2
    assert drains.running == 0


@virtual_time
async def test_a_stream_leaves_notes_of_how_far_it_came() -> None:
    """For the row that a killed process leaves: once a second, while it grows."""
    made = kitchen({"a": [[OK, chunk("Hi"), Pause(2.5), chunk("Hi"), Pause(2.5), STOP, DONE]]})
    await answered(made, order(stream=True))
    assert [output for _, output in made.ledger.noted] == [1, 2]
    noted = len(made.ledger.noted)
    await asyncio.sleep(10)
    assert len(made.ledger.noted) == noted
