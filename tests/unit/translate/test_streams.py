"""Streams, both ways: what they add up to is the whole answer's translation."""

import pytest
from anthropic.types import RawMessageStreamEvent
from hypothesis import given, settings
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk
from pydantic import TypeAdapter

from service.chat.translate import (
    ChunksToMessages,
    MessagesToChunks,
    completion_to_message,
    message_to_completion,
)
from service.wire.sse import Event
from tests.unit.translate.dialogue import (
    Json,
    assembled_completion,
    assembled_message,
    completion_streams,
    decode,
    encode,
    messages_streams,
)

ANTHROPIC_EVENT: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)


def to_chunks(events: list[Event], *, include_usage: bool = True) -> list[Event]:
    """Everything that a stream of Anthropic's becomes."""
    translator = MessagesToChunks(created=7, include_usage=include_usage)
    return [made for event in events for made in translator.feed(event)] + translator.close()


def to_messages(events: list[Event]) -> list[Event]:
    """Everything that a stream of OpenAI's becomes."""
    translator = ChunksToMessages()
    return [made for event in events for made in translator.feed(event)] + translator.close()


def chunk(delta: Json, finish: str | None = None, **more: object) -> Event:
    """One chunk with one choice."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return Event(encode({"id": "c", "created": 1, "model": "m", "choices": [choice], **more}))


def call(index: int, arguments: str, **head: str) -> Json:
    """A delta with a piece of a call."""
    named = {"name": head["name"]} if "name" in head else {}
    call_id = {"id": head["id"]} if "id" in head else {}
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments} | named} | call_id]}


def anthropic_event(kind: str, **members: object) -> Event:
    """One event of Anthropic's."""
    return Event(encode({"type": kind, **members}), kind.encode())


@settings(max_examples=80)
@given(messages_streams())
def test_anthropics_stream_adds_up_to_its_whole_answer(stream: tuple[Json, list[Event]]) -> None:
    message, events = stream
    chunks = to_chunks(events)
    for made in chunks:
        ChatCompletionChunk.model_validate_json(made.data)
    whole = decode(message_to_completion(encode(message), created=7))
    assert assembled_completion(chunks) == whole


@settings(max_examples=80)
@given(completion_streams())
def test_openais_stream_adds_up_to_its_whole_answer(stream: tuple[Json, list[Event]]) -> None:
    """However the pieces of parallel calls are mixed, no byte of one is lost or out of order."""
    completion, chunks = stream
    events = to_messages(chunks)
    for made in events:
        ANTHROPIC_EVENT.validate_json(made.data)
    assert assembled_message(events) == decode(completion_to_message(encode(completion)))


@settings(max_examples=80)
@given(messages_streams())
def test_a_stream_survives_the_way_to_openai_and_back(stream: tuple[Json, list[Event]]) -> None:
    message, events = stream
    assert assembled_message(to_messages(to_chunks(events))) == message


@settings(max_examples=30)
@given(messages_streams())
def test_openais_sdk_assembles_what_we_stream(stream: tuple[Json, list[Event]]) -> None:
    """The SDK joins lists by `index`, and fails on entries without."""
    message, events = stream
    state = ChatCompletionStreamState()
    for made in to_chunks(events):
        state.handle_chunk(ChatCompletionChunk.model_validate_json(made.data))
    text = "".join(block["text"] for block in message["content"] if block["type"] == "text")
    assert state.current_completion_snapshot.choices[0].message.content == text


def test_the_usage_chunk_comes_only_when_asked_for() -> None:
    usage = {"input_tokens": 3, "output_tokens": 1}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "c", "content": [], "usage": usage}
    events = [
        anthropic_event("message_start", message=message),
        anthropic_event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9}),
        anthropic_event("message_stop"),
    ]
    asked, unasked = to_chunks(events), to_chunks(events, include_usage=False)
    assert all("usage" not in decode(made.data) for made in unasked)
    assert [decode(made.data)["usage"] for made in asked[:-1]] == [None, None]
    last = decode(asked[-1].data)
    assert (last["choices"], last["usage"]["prompt_tokens"], last["usage"]["completion_tokens"]) == ([], 3, 9)


def test_a_refused_stream_says_why() -> None:
    details = {"type": "refusal", "category": None, "explanation": "Not this."}
    delta = {"stop_reason": "refusal", "stop_sequence": None, "stop_details": details}
    chunks = to_chunks([anthropic_event("message_delta", delta=delta, usage={"output_tokens": 0})])
    choice = assembled_completion(chunks)["choices"][0]
    assert (choice["finish_reason"], choice["message"]["refusal"]) == ("content_filter", "Not this.")


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(anthropic_event("ping"), id="a-ping"),
        pytest.param(anthropic_event("message_stop"), id="the-end"),
        pytest.param(anthropic_event("tomorrows_event", index=3), id="an-event-of-tomorrow"),
        pytest.param(anthropic_event("content_block_start", index=0, content_block={"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}), id="a-tool-of-anthropics-own"),
        pytest.param(anthropic_event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": "{}"}), id="input-of-no-call"),
        pytest.param(anthropic_event("content_block_delta", index=0, delta={"type": "citations_delta", "citation": {"type": "char_location"}}), id="a-citation"),
    ],
)  # fmt: skip
def test_events_that_openai_has_no_word_for_make_no_chunk(event: Event) -> None:
    assert MessagesToChunks(created=1, include_usage=False).feed(event) == []


def test_a_stream_without_a_finish_reason_gets_no_end() -> None:
    """An answer that was cut must not look complete."""
    names = [event.name for event in to_messages([chunk({"content": "Hi"})])]
    assert names == [b"message_start", b"content_block_start", b"content_block_delta"]


def test_the_end_waits_for_the_usage_and_comes_once() -> None:
    translator = ChunksToMessages()
    translator.feed(chunk({"content": "Hi"}))
    assert translator.feed(chunk({}, "stop")) == []
    assert translator.feed(Event(b"[DONE]")) == []
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    ending = translator.feed(Event(encode({"id": "c", "choices": [], "usage": usage})))
    assert [event.name for event in ending] == [b"content_block_stop", b"message_delta", b"message_stop"]
    assert decode(ending[1].data)["usage"]["input_tokens"] == 5
    assert translator.close() == []


def test_usage_on_the_last_choice_is_enough() -> None:
    """Some servers send no usage chunk of its own."""
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    message = assembled_message(to_messages([chunk({"content": "Hi"}), chunk({}, "stop", usage=usage)]))
    assert (message["usage"]["input_tokens"], message["usage"]["output_tokens"]) == (5, 2)


def test_a_call_is_sent_as_it_comes_and_the_next_one_waits() -> None:
    """Blocks of Anthropic's are sequential: the second opens as soon as the first one's JSON is whole."""
    translator = ChunksToMessages()
    translator.feed(chunk(call(0, '{"a"', id="x", name="f")))
    assert translator.feed(chunk(call(1, "{}", id="y", name="g"))) == []
    released = translator.feed(chunk(call(0, ":1}")))
    assert [event.name.removeprefix(b"content_block_") for event in released] == [
        b"delta",
        b"stop",
        b"start",
        b"delta",
    ]


def test_arguments_nested_too_deeply_still_pass() -> None:
    """They are only looked at to see whether the next block may begin."""
    deep = '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"
    chunks = [
        chunk(call(0, deep, id="x", name="f")),
        chunk(call(1, "{}", id="y", name="g")),
        chunk({}, "tool_calls"),
    ]
    names = [event.name for event in to_messages(chunks)]
    assert names.count(b"content_block_start") == names.count(b"content_block_stop") == 2


def test_two_calls_of_the_same_index_stay_two() -> None:
    """Some servers number every call 0, each whole in its chunk."""
    chunks = [
        chunk(call(0, '{"a":1}', id="x", name="f")),
        chunk(call(0, '{"b":2}', id="y", name="f")),
        chunk({}, "tool_calls"),
    ]
    content = assembled_message(to_messages(chunks))["content"]
    assert [(block["id"], block["input"]) for block in content] == [("x", {"a": 1}), ("y", {"b": 2})]


def test_thinking_in_pieces_with_its_signature_last_is_one_block() -> None:
    """How other gateways stream `thinking_blocks`: the same pieces as `reasoning_content`, then the signature."""
    pieces = [
        {
            "reasoning_content": word,
            "thinking_blocks": [{"type": "thinking", "thinking": word, "signature": None}],
        }
        for word in ("I ", "see")
    ]
    signed = {"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "S"}]}
    chunks = [*map(chunk, pieces), chunk(signed), chunk({"content": "Hi"}), chunk({}, "stop")]
    assert assembled_message(to_messages(chunks))["content"] == [
        {"type": "thinking", "thinking": "I see", "signature": "S"},
        {"type": "text", "text": "Hi"},
    ]


@pytest.mark.parametrize(
    ("deltas", "finish", "content", "stop"),
    [
        pytest.param([{"refusal": "N"}, {"refusal": "o."}], "stop", [{"type": "text", "text": "No."}], "refusal", id="a-refusal"),
        pytest.param([{"function_call": {"name": "f", "arguments": "{"}}, {"function_call": {"arguments": "}"}}], "function_call", [{"type": "tool_use", "id": "call_0", "name": "f", "input": {}}], "tool_use", id="a-legacy-function-call"),
        pytest.param([{"reasoning": "hm"}, {"content": "Hi"}], "length", [{"type": "thinking", "thinking": "hm", "signature": ""}, {"type": "text", "text": "Hi"}], "max_tokens", id="reasoning-by-its-other-name"),
        pytest.param([call(0, "{}", name="f", id="x"), {"content": "done"}], "stop", [{"type": "tool_use", "id": "x", "name": "f", "input": {}}, {"type": "text", "text": "done"}], "tool_use", id="text-after-a-call"),
        pytest.param([call(0, "", name="f", id="x"), {"content": "do"}, {"content": "ne"}], "stop", [{"type": "tool_use", "id": "x", "name": "f", "input": {}}, {"type": "text", "text": "done"}], "tool_use", id="text-after-a-call-without-arguments-waits-for-the-end"),
    ],
)  # fmt: skip
def test_deltas_of_every_kind(deltas: list[Json], finish: str, content: list[Json], stop: str) -> None:
    message = assembled_message(to_messages([*map(chunk, deltas), chunk({}, finish)]))
    assert (message["content"], message["stop_reason"]) == (content, stop)


def test_log_probabilities_and_other_choices_are_left_out() -> None:
    second = {"index": 1, "delta": {"content": "other"}, "finish_reason": "length"}
    first = {"index": 0, "delta": {"content": "Hi"}, "logprobs": {"content": []}, "finish_reason": "stop"}
    message = assembled_message(to_messages([Event(encode({"id": "c", "choices": [second, first]}))]))
    assert (message["content"], message["stop_reason"]) == ([{"type": "text", "text": "Hi"}], "end_turn")
