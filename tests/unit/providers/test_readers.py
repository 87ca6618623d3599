"""What the events of OpenAI's and Anthropic's streams mean."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pricing.arithmetic import Usage
from service.providers.anthropic import AnthropicCodec, AnthropicReader
from service.providers.base import Fault, FaultKind
from service.providers.openai import OpenAICodec, OpenAIReader
from service.wire.sse import Event

OPENAI = OpenAICodec(lambda: 1_700_000_000.0)
ANTHROPIC = AnthropicCodec(lambda: 1_700_000_000.0)
DONE = Event(b"[DONE]")

Json = dict[str, object]


def event(body: Json) -> Event:
    """An event with this body; Anthropic's are named by their type."""
    return Event(msgspec.json.encode(body), str(body.get("type", "")).encode())


def chunk(text: str | None = None, finish: str | None = None, index: int = 0, **more: object) -> Event:
    """A chat completion chunk of one choice."""
    delta: Json = {} if text is None else {"content": text}
    return event(
        {"model": "gpt", "choices": [{"index": index, "delta": delta, "finish_reason": finish}], **more}
    )


def openai_usage(prompt: int | None = 10, output: int | None = 5, **more: object) -> Json:
    """OpenAI's usage member."""
    return {"prompt_tokens": prompt, "completion_tokens": output, **more}


def read(reader: OpenAIReader | AnthropicReader, *events: Event) -> list[bool]:
    """Whether each event is for the client."""
    return [reader.take(found) for found in events]


def fault_of(act: Callable[[], object]) -> Fault:
    """The fault that it raises."""
    with pytest.raises(Fault) as caught:
        act()
    return caught.value


@pytest.mark.parametrize(
    ("events", "finished", "done"),
    [
        pytest.param([chunk("Hi")], False, False, id="only-begun"),
        pytest.param([chunk("Hi"), chunk(finish="stop")], True, False, id="a-reason-is-the-end"),
        pytest.param([chunk("Hi"), chunk(finish="stop"), DONE], True, True, id="with-the-mark"),
        pytest.param([chunk("Hi"), DONE], False, True, id="a-mark-without-a-reason-is-not"),
        pytest.param([DONE], False, True, id="a-mark-alone-is-not"),
        pytest.param([], False, False, id="nothing-is-not"),
        pytest.param([chunk("a"), chunk("b", index=1), chunk(finish="stop")], False, False, id="one-choice-of-two"),
        pytest.param(
            [chunk("a"), chunk("b", index=1), chunk(finish="stop"), chunk(finish="length", index=1)],
            True, False, id="both-choices",
        ),
        pytest.param([chunk("Hi", finish="tool_calls")], True, False, id="text-and-reason-at-once"),
        pytest.param([chunk("Hi"), chunk(finish="")], False, False, id="an-empty-reason-is-none"),
    ],
)  # fmt: skip
def test_an_openai_stream_is_finished_when_every_choice_said_why(
    events: list[Event], finished: bool, done: bool
) -> None:
    reader = OPENAI.reader(pass_usage=False)
    read(reader, *events)
    assert (reader.finished, reader.done) == (finished, done)


@pytest.mark.parametrize(
    ("sent", "with_usage", "without"),
    [
        pytest.param(chunk("Hi"), True, True, id="text"),
        pytest.param(chunk(), True, True, id="an-empty-delta"),
        pytest.param(event({"choices": [], "usage": openai_usage()}), True, False, id="the-usage-chunk"),
        pytest.param(
            event({"choices": None, "usage": openai_usage()}), True, False, id="one-with-null-choices"
        ),
        pytest.param(chunk("Hi", usage=openai_usage()), True, True, id="usage-beside-text"),
        pytest.param(chunk(finish="stop", usage=openai_usage()), True, True, id="usage-beside-the-reason"),
        pytest.param(
            event({"choices": [], "prompt_filter_results": []}), True, True, id="azures-first-chunk"
        ),
        pytest.param(event({"choices": [], "usage": None}), True, True, id="null-usage"),
        pytest.param(DONE, False, False, id="the-end-mark-is-ours-to-send"),
    ],
)
def test_which_chunks_are_for_the_client(sent: Event, with_usage: bool, without: bool) -> None:
    assert OPENAI.reader(pass_usage=True).take(sent) is with_usage
    assert OPENAI.reader(pass_usage=False).take(sent) is without


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        pytest.param(openai_usage(), Usage(10, 0, 0, 5, 0), id="plain"),
        pytest.param(
            openai_usage(prompt_tokens_details={"cached_tokens": 4}, completion_tokens_details={"reasoning_tokens": 3}),
            Usage(10, 4, 0, 5, 3), id="with-details",
        ),
        pytest.param(openai_usage(prompt_tokens_details=None), Usage(10, 0, 0, 5, 0), id="null-details"),
        pytest.param(openai_usage(prompt_tokens_details={"cached_tokens": None}), Usage(10, 0, 0, 5, 0), id="null-count"),
        pytest.param(openai_usage(output=None), Usage(10, 0, 0, 0, 0), id="an-embeddings"),
        pytest.param(openai_usage(prompt=-3), Usage(0, 0, 0, 5, 0), id="nonsense-is-nothing"),
        pytest.param(openai_usage(None, None), None, id="no-counts"),
        pytest.param(None, None, id="null"),
    ],
)  # fmt: skip
def test_openai_usage(usage: Json | None, expected: Usage | None) -> None:
    """In a stream, and in a whole answer alike."""
    reader = OPENAI.reader(pass_usage=False)
    read(reader, chunk("Hi"), event({"choices": [], "usage": usage}))
    whole = OPENAI.read_answer(msgspec.json.encode({"choices": [{}], "model": "gpt", "usage": usage}))
    assert (reader.usage, whole.usage, whole.model) == (expected, expected, "gpt")


def test_the_last_usage_counts() -> None:
    """Some servers report it with each chunk, running; nothing takes it back."""
    reader = OPENAI.reader(pass_usage=False)
    read(
        reader,
        chunk("a", usage=openai_usage(10, 1)),
        chunk("b", usage=openai_usage(10, 2)),
        chunk("c", usage=None),
    )
    assert reader.usage == Usage(10, 0, 0, 2, 0)


def test_content_is_metered_in_events_and_bytes() -> None:
    """For the estimate where no usage comes; a legacy completion's `text` is content too."""
    reader = OPENAI.reader(pass_usage=False)
    legacy = event({"choices": [{"index": 0, "text": "xyz", "finish_reason": None}]})
    read(reader, chunk("Hi"), chunk("ü€"), chunk(""), chunk(), legacy)
    assert (reader.content_events, reader.content_bytes, reader.model) == (3, 10, "gpt")


@pytest.mark.parametrize(
    ("body", "kind", "detail"),
    [
        pytest.param({"error": {"message": "Slow down.", "code": "rate_limit_exceeded"}}, FaultKind.OVERLOADED, "Slow down.", id="a-limit"),
        pytest.param({"error": {"message": "Oops.", "code": 500}}, FaultKind.FAILED, "Oops.", id="a-number-as-code"),
        pytest.param({"error": "Oops."}, FaultKind.FAILED, "Oops.", id="a-bare-text"),
        pytest.param({"choices": [], "error": {"message": "Filtered.", "code": "content_filter"}}, FaultKind.REJECTED, "Filtered.", id="beside-choices"),
    ],
)  # fmt: skip
def test_an_error_in_a_chunks_place_is_a_fault(body: Json, kind: FaultKind, detail: str) -> None:
    """In a stream, and as a whole 200 alike."""
    for fault in (
        fault_of(lambda: OPENAI.reader(pass_usage=False).take(event(body))),
        fault_of(lambda: OPENAI.read_answer(msgspec.json.encode(body))),
    ):
        assert (fault.kind, fault.detail) == (kind, detail)


BROKEN = [
    pytest.param(data, id=repr(data[:24]))
    for data in (
        b"", b"{", b"null", b"[]", b"<html>", b'{"choices":"x"}', b'{"choices":[],"id":"\xff"}',
        b'{"x":"\xed\xa0\x80"}', b"[" * 100_000, b'{"choices":[]}x', b"[done]",
    )
]  # fmt: skip


@pytest.mark.parametrize("data", BROKEN)
def test_an_event_that_is_no_utf_8_json_cuts_an_openai_stream(data: bytes) -> None:
    fault = fault_of(lambda: OPENAI.reader(pass_usage=False).take(Event(data)))
    assert (fault.kind, fault.reason) == (FaultKind.CUT, "bad_event")


def started(**usage: int | None) -> Event:
    """`message_start`."""
    return event({"type": "message_start", "message": {"model": "claude", "usage": usage}})


def text(piece: str) -> Event:
    """A piece of text."""
    return event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}})


def stopped(reason: str | None = "end_turn", **usage: int | None) -> Event:
    """`message_delta`, which says why and how much."""
    return event({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage})


END = event({"type": "message_stop"})


@pytest.mark.parametrize(
    ("events", "taken", "finished", "done"),
    [
        pytest.param([started(), text("Hi")], [True, True], False, False, id="only-begun"),
        pytest.param([started(), stopped(), END], [True, True, True], True, True, id="whole"),
        pytest.param([started(), stopped()], [True, True], True, False, id="without-the-mark"),
        pytest.param([started(), END], [True, False], False, True, id="a-mark-without-a-reason-is-kept-back"),
        pytest.param([started(), stopped(None), END], [True, True, False], False, True, id="a-null-reason-is-none"),
        pytest.param([stopped(), stopped(None), END], [True, True, True], True, True, id="a-reason-stays"),
        pytest.param([event({"type": "ping"}), event({"type": "new_kind"})], [True, True], False, False, id="unknown-events-pass"),
    ],
)  # fmt: skip
def test_an_anthropic_stream_is_finished_with_its_stop_reason(
    events: list[Event], taken: list[bool], finished: bool, done: bool
) -> None:
    reader = ANTHROPIC.reader(pass_usage=False)
    assert read(reader, *events) == taken
    assert (reader.finished, reader.done) == (finished, done)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([started(input_tokens=10, output_tokens=1)], Usage(10, 0, 0, 1), id="as-far-as-reported"),
        pytest.param([started(input_tokens=10, output_tokens=1), stopped(output_tokens=7)], Usage(10, 0, 0, 7), id="nothing-is-added-up"),
        pytest.param([started(input_tokens=10, output_tokens=1), stopped(None, output_tokens=3), stopped(output_tokens=7)], Usage(10, 0, 0, 7), id="the-last-word-counts"),
        pytest.param([started(input_tokens=10, cache_read_input_tokens=4, cache_creation_input_tokens=2, output_tokens=1)], Usage(16, 4, 2, 1), id="cached-tokens-are-input"),
        pytest.param([started(input_tokens=10), stopped(input_tokens=12, output_tokens=3)], Usage(12, 0, 0, 3), id="input-may-be-corrected"),
        pytest.param([started(input_tokens=10), stopped(input_tokens=None, output_tokens=3)], Usage(10, 0, 0, 3), id="null-corrects-nothing"),
        pytest.param([started(), text("Hi")], None, id="none-reported"),
    ],
)  # fmt: skip
def test_anthropic_usage_is_cumulative(events: list[Event], expected: Usage | None) -> None:
    reader = ANTHROPIC.reader(pass_usage=False)
    read(reader, *events)
    assert reader.usage == expected


def test_anthropic_content_is_metered_too() -> None:
    """Text and a tool call's arguments; the model is the one that answered."""
    reader = ANTHROPIC.reader(pass_usage=False)
    tool = event({"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": "{}"}})
    read(reader, started(), text("Hi"), text("ü"), tool)
    assert (reader.content_events, reader.content_bytes, reader.model) == (3, 6, "claude")


@pytest.mark.parametrize(
    ("body", "kind", "detail"),
    [
        pytest.param({"type": "error", "error": {"type": "overloaded_error", "message": "Busy."}}, FaultKind.FAILED, "Busy.", id="overloaded"),
        pytest.param({"type": "error", "error": {"type": "rate_limit_error", "message": "Slow."}}, FaultKind.OVERLOADED, "Slow.", id="limited"),
        pytest.param({"type": "error"}, FaultKind.FAILED, "The provider answered 500.", id="wordless"),
    ],
)  # fmt: skip
def test_an_anthropic_error_event_is_a_fault(body: Json, kind: FaultKind, detail: str) -> None:
    """In a stream, and as a whole 200 alike."""
    for fault in (
        fault_of(lambda: ANTHROPIC.reader(pass_usage=False).take(event(body))),
        fault_of(lambda: ANTHROPIC.read_answer(msgspec.json.encode(body))),
    ):
        assert (fault.kind, fault.detail) == (kind, detail)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(data, id=repr(data[:24]))
        for data in (
            b"",
            b"{",
            b"null",
            b"[DONE]",
            b'{"type":1}',
            b'{"type":"ping","x":"\xff"}',
            b"[" * 100_000,
        )
    ],
)
def test_an_event_that_is_no_utf_8_json_cuts_an_anthropic_stream(data: bytes) -> None:
    fault = fault_of(lambda: ANTHROPIC.reader(pass_usage=False).take(Event(data)))
    assert (fault.kind, fault.reason) == (FaultKind.CUT, "bad_event")


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([None, "", "stop", "length"])), max_size=8))
def test_choices_may_come_in_any_order(parts: list[tuple[int, str | None]]) -> None:
    """Finished is: there is a choice, and each that came has given a reason at some time."""
    reader = OPENAI.reader(pass_usage=False)
    read(reader, *(chunk("x", finish=reason, index=index) for index, reason in parts))
    reasons = {index: [reason for at, reason in parts if at == index and reason] for index, _ in parts}
    assert reader.finished is (bool(parts) and all(reasons.values()))


STRAYING = [
    pytest.param(b'{"choices":[{"index":null,"delta":{"content":"a"},"finish_reason":"stop"}]}', id="an-index-of-null"),
    pytest.param(
        b'{"choices":[{"index":0,"delta":{"content":[{"type":"text"}]},"finish_reason":"stop"}]}', id="content-in-parts"
    ),
    pytest.param(
        b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":"3"}}', id="usage-in-text"
    ),
]  # fmt: skip


@pytest.mark.parametrize("data", STRAYING)
def test_a_stray_type_in_what_is_only_metered_does_not_cut_the_stream(data: bytes) -> None:
    """The event passes and the end is understood; only the count is missing."""
    reader = OPENAI.reader(pass_usage=False)
    assert reader.take(Event(data))
    assert reader.finished
    assert reader.usage is None


def test_an_anthropic_event_with_stray_usage_passes() -> None:
    """What ends the answer is understood all the same."""
    reader = ANTHROPIC.reader(pass_usage=True)
    data = b'{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":"7"}}'
    assert reader.take(Event(data, b"message_delta"))
    assert reader.finished


def test_a_whole_answer_with_stray_usage_stands() -> None:
    """It is passed on unmetered, not refused after it was billed."""
    assert OPENAI.read_answer(b'{"choices":[{}],"usage":{"prompt_tokens":1.5}}').usage is None
    assert (
        ANTHROPIC.read_answer(b'{"type":"message","content":[],"usage":{"input_tokens":"x"}}').usage is None
    )
