"""How many tokens a call took where its provider didn't say."""

from typing import Any

import msgspec
import pytest

from service.chat import call as surfaces
from service.chat.metering import NOTHING, estimated_usage, may_have_worked, measured_output
from service.pricing.arithmetic import Usage
from service.providers.base import Fault, FaultKind, Reader
from service.wire import sse
from tests.fakes.accounts import LONG, RICH, asked
from tests.fakes.chat import order
from tests.fakes.relay import BLOCK, CODECS, MESSAGE_DELTA, MESSAGE_START, MESSAGE_STOP, STOP, USAGE, chunk


def reader(dialect: str, *events: bytes) -> Reader:
    """One that has read these."""
    made = CODECS[dialect].reader(pass_usage=False)
    decoder = sse.Decoder()
    for event in events:
        for found in decoder.feed(event):
            made.take(found)
    return made


FULL = Usage(9, 4, 0, 5)
REPORTS_NOTHING = Usage(9, 0, 0, 0)
ESTIMATES = [
    pytest.param(FULL, None, 400, {}, True, None, (FULL, False), id="a-whole-answers-report"),
    pytest.param(None, None, 41, {}, True, None, (Usage(6, 0, 0, 11), True), id="whole-without-one"),
    pytest.param(None, None, 41, {"max_tokens": 3}, True, None, (Usage(6, 0, 0, 3), True), id="maximum"),
    pytest.param(
        None, None, 41, {"max_tokens": 3, "n": 2}, True, None, (Usage(6, 0, 0, 6), True), id="maximum-of-n"
    ),
    pytest.param(None, None, 41, {}, True, 7, (Usage(6, 0, 0, 7), True), id="what-was-reserved"),
    pytest.param(
        REPORTS_NOTHING, None, 41, {}, True, None, (Usage(9, 0, 0, 11), True), id="no-output-reported"
    ),
    pytest.param(REPORTS_NOTHING, None, 0, {}, True, None, (REPORTS_NOTHING, False), id="nothing-was-said"),
    pytest.param(None, None, 0, {}, True, None, (Usage(6, 0, 0, 0), True), id="may-have-read-the-prompt"),
    pytest.param(None, None, 0, {}, False, None, (Usage(0, 0, 0, 0), False), id="refused"),
    pytest.param(
        FULL, (LONG,), 0, {}, True, None, (Usage(9, 4, 0, 100), True), id="a-stream-beyond-its-report"
    ),
    pytest.param(FULL, (LONG, STOP), 0, {}, True, None, (FULL, False), id="a-finished-streams-report"),
    pytest.param(
        None, (*[chunk("a")] * 9, STOP), 0, {}, True, None, (Usage(6, 0, 0, 9), True), id="one-an-event"
    ),
    pytest.param(None, (LONG,), 0, {}, False, None, (Usage(6, 0, 0, 100), True), id="what-came-was-used"),
]


@pytest.mark.parametrize(
    ("reported", "events", "size", "members", "worked", "at_most", "expected"), ESTIMATES
)
def test_estimated_usage(
    reported: Usage | None,
    events: tuple[bytes, ...] | None,
    size: int,
    members: dict[str, Any],
    worked: bool,
    at_most: int | None,
    expected: tuple[Usage, bool],
) -> None:
    """The provider's word where it is its last, else what came, within what may have come."""
    found = estimated_usage(
        reported,
        call=asked(RICH, members),
        reader=None if events is None else reader("openai", *events),
        answer_bytes=size,
        worked=worked,
        at_most=at_most,
    )
    assert found == expected


@pytest.mark.parametrize(
    ("prompt", "n", "size", "output"),
    [
        pytest.param("x" * 40, None, 51, 3, id="a-text"),
        pytest.param(["x" * 20, "é" * 10], None, 51, 3, id="texts-by-their-bytes"),
        pytest.param("x" * 20, 2, 51, 3, id="in-each-answer"),
        pytest.param([1] * 10, None, 51, 3, id="tokens"),
        pytest.param([[1, 2], [3] * 8], None, 51, 3, id="texts-of-tokens"),
        pytest.param(None, None, 51, 13, id="no-prompt"),
        pytest.param("x" * 40, None, 30, 0, id="broken-off-within-it"),
    ],
)
def test_a_prompt_that_comes_back_is_no_output(prompt: Any, n: int | None, size: int, output: int) -> None:
    call = order(surface=surfaces.COMPLETIONS, prompt=prompt, echo=True, n=n)
    found, estimated = estimated_usage(None, call=call, reader=None, answer_bytes=size, worked=True)
    assert (found.output_tokens, estimated) == (output, True)


def test_the_events_of_a_prompt_that_comes_back_are_none_of_output() -> None:
    text = b'data: {"choices": [{"index": 0, "text": "word "}]}\n\n'
    call = order(surface=surfaces.COMPLETIONS, prompt="word " * 20, echo=True)
    found, _ = estimated_usage(
        None, call=call, reader=reader("openai", *[text] * 24), answer_bytes=0, worked=True
    )
    assert found.output_tokens == 5


def test_a_count_of_tokens_costs_nothing() -> None:
    """Whatever its answer looks like."""
    call = order(surface=surfaces.MESSAGES, max_tokens=1)
    call = msgspec.structs.replace(call, surface=surfaces.COUNT_TOKENS)
    found = estimated_usage(FULL, call=call, reader=None, answer_bytes=400, worked=True)
    assert found == (NOTHING, False)


UNTOLD = MESSAGE_DELTA.replace(b',"usage":{"output_tokens":2}', b"")


@pytest.mark.parametrize(
    ("events", "output", "estimated"),
    [
        pytest.param((MESSAGE_START, *[BLOCK] * 9, MESSAGE_DELTA, MESSAGE_STOP), 2, False, id="reported"),
        pytest.param((MESSAGE_START, *[BLOCK] * 9, UNTOLD, MESSAGE_STOP), 9, True, id="only-its-beginning"),
        pytest.param((MESSAGE_START, *[BLOCK] * 9), 9, True, id="broken-off"),
    ],
)
def test_what_anthropics_streams_report(events: tuple[bytes, ...], output: int, estimated: bool) -> None:
    """The output that `message_start` names is none."""
    found = reader("anthropic", *events)
    usage = estimated_usage(found.usage, call=asked(RICH, {}), reader=found, answer_bytes=0, worked=True)
    assert usage == (Usage(3, 0, 0, output), estimated)


def delta(json: bytes) -> bytes:
    """An event whose choice brings this."""
    return b'data: {"choices":[{"index":0,"delta":%s}]}\n\n' % json


CALL = (
    b'{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"get","arguments":""}}]}'
)
ARGUMENTS = b'{"tool_calls":[{"index":0,"function":{"arguments":"{\\"city\\": \\"X"}}]}'

PIECES = [
    pytest.param(b'{"content":"z\xc3\xbc"}', 3, id="text"),
    pytest.param(b'{"content":""}', 0, id="nothing"),
    pytest.param(b'{"role":"assistant","content":null,"refusal":null,"tool_calls":null}', 0, id="nulls"),
    pytest.param(b'{"reasoning_content":"\\u4f60"}', 3, id="thoughts-as-escapes"),
    pytest.param(b'{"reasoning":"think"}', 5, id="thoughts-by-another-name"),
    pytest.param(b'{"reasoning":"think","reasoning_content":"think"}', 5, id="thoughts-twice"),
    pytest.param(b'{"reasoning":""}', 0, id="no-thoughts"),
    pytest.param(b'{"refusal":"No"}', 2, id="a-refusal"),
    pytest.param(CALL, 3, id="a-tools-name"),
    pytest.param(ARGUMENTS, 11, id="a-tools-arguments"),
    pytest.param(b'{"function_call":{"name":"get","arguments":"{}"}}', 5, id="a-function"),
    pytest.param(b'{"tool_calls":"what"}', 6, id="what-nobody-knows"),
]


@pytest.mark.parametrize(("json", "size"), PIECES)
def test_the_bytes_of_a_piece(json: bytes, size: int) -> None:
    """Those of what was generated, not of the JSON around it."""
    found = reader("openai", delta(json))
    assert (found.content_bytes, found.content_events) == (size, int(size > 0))


WHOLE = [
    pytest.param(
        "openai", b'{"choices":[{"message":{"content":"z\xc3\xbc"}},{"text":"ab"}]}', 5, id="openai"
    ),
    pytest.param("openai", b'{"choices":[{"message":%s}]}' % CALL, 3, id="openais-tools"),
    pytest.param("openai", b'{"choices":[{"message":{"content":[1]}}]}', 27, id="what-nobody-knows"),
    pytest.param("openai", b'{"data":[{"embedding":[0.5]}]}', 0, id="vectors"),
    pytest.param("openai", b'{"choices":[{"text":"ab"}],"usage":{"completion_tokens":7}}', 0, id="reported"),
    pytest.param(
        "openai", b'{"choices":[{"text":"ab"}],"usage":{"completion_tokens":%d}}' % 10**19, 2, id="absurd"
    ),
    pytest.param(
        "anthropic", b'{"content":[{"text":"ab"},{"thinking":"c"},{"input":{}}]}', 5, id="anthropic"
    ),
]


@pytest.mark.parametrize(("dialect", "body", "size"), WHOLE)
def test_the_bytes_of_a_whole_answer(dialect: str, body: bytes, size: int) -> None:
    """Where its provider says nothing of tokens, or nothing that can be."""
    assert CODECS[dialect].read_answer(body).content_bytes == size


ABSURD = [
    pytest.param(
        "openai", USAGE.replace(b'"completion_tokens":2', b'"completion_tokens":%d' % 10**30), id="openai"
    ),
    pytest.param(
        "anthropic",
        MESSAGE_DELTA.replace(b'"output_tokens":2', b'"output_tokens":%d' % 10**10),
        id="anthropic",
    ),
]


@pytest.mark.parametrize(("dialect", "event"), ABSURD)
def test_a_report_that_can_t_be_is_none(dialect: str, event: bytes) -> None:
    """It would use up a budget for good, and no database holds it."""
    assert reader(dialect, event).usage is None


def test_what_a_stream_has_brought_at_least() -> None:
    """By its events, its bytes, or its provider's own word."""
    assert measured_output(reader("openai", *[chunk("a")] * 9)) == 9
    assert measured_output(reader("openai", LONG)) == 50
    assert measured_output(reader("openai", chunk("a"), USAGE)) == 2


@pytest.mark.parametrize(
    ("kind", "reason", "worked"),
    [
        pytest.param(FaultKind.TIMED_OUT, "timeout_first_token", True, id="silence"),
        pytest.param(FaultKind.TIMED_OUT, "timeout_connect", False, id="no-connection-in-time"),
        pytest.param(FaultKind.UNREACHABLE, "connect", False, id="no-connection"),
        pytest.param(FaultKind.CUT, "cut", True, id="broken-off"),
        pytest.param(FaultKind.STALLED, "timeout_idle", True, id="stalled"),
        pytest.param(FaultKind.OVERLOADED, "http_429", False, id="refused"),
        pytest.param(FaultKind.EMPTY, "no_json", False, id="a-proxies'-page"),
    ],
)
def test_may_have_worked(kind: FaultKind, reason: str, worked: bool) -> None:
    """Whoever refused has not."""
    assert may_have_worked(Fault(kind, "", reason=reason)) is worked
