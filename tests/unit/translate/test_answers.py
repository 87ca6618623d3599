"""Whole answers, both ways."""

import msgspec
import pytest
from anthropic.types import Message
from hypothesis import given, settings
from openai.types.chat import ChatCompletion

from service.chat.translate import completion_to_message, message_to_completion
from service.chat.translate.stop_reasons import finish_reason, stop_reason
from tests.unit.translate.dialogue import Json, decode, encode, messages_answers


def message(content: list[Json], stop: str = "end_turn", **more: object) -> bytes:
    """Anthropic's answer."""
    usage = {
        "input_tokens": 10,
        "cache_read_input_tokens": 4,
        "cache_creation_input_tokens": 2,
        "output_tokens": 7,
    }
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_sequence": None}
    return encode({**head, "content": content, "stop_reason": stop, "usage": usage, **more})


def completion(said: Json, finish: str | None = "stop", **more: object) -> bytes:
    """OpenAI's answer."""
    choice = {"index": 0, "message": {"role": "assistant"} | said, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 9, "model": "gpt"}
    return encode({**head, "choices": [choice], **more})


TEXT = {"type": "text", "text": "Hi"}
USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": [1, 2.50]}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}


@settings(max_examples=80)
@given(messages_answers())
def test_a_message_survives_the_way_to_openai_and_back(answer: Json) -> None:
    there = message_to_completion(encode(answer), created=7)
    ChatCompletion.model_validate_json(there)
    assert decode(completion_to_message(there)) == answer


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        pytest.param("end_turn", "stop", id="end-of-turn"),
        pytest.param("stop_sequence", "stop", id="stop-sequence"),
        pytest.param("max_tokens", "length", id="maximum-of-tokens"),
        pytest.param("tool_use", "tool_calls", id="tool-use"),
        pytest.param("refusal", "content_filter", id="refusal"),
        pytest.param("pause_turn", "stop", id="pause"),
        pytest.param("model_context_window_exceeded", "length", id="context-window-full"),
        pytest.param("something_new", "stop", id="a-reason-of-tomorrow"),
        pytest.param(None, None, id="no-reason-is-not-invented"),
    ],
)
def test_stop_reasons_in_openais_words(theirs: str | None, ours: str | None) -> None:
    assert finish_reason(theirs) == ours


@pytest.mark.parametrize(
    ("finish", "called", "refused", "theirs"),
    [
        pytest.param("stop", False, False, "end_turn", id="a-plain-end"),
        pytest.param("stop", True, False, "tool_use", id="a-forced-tool-ends-with-stop"),
        pytest.param("stop", False, True, "refusal", id="a-refusal-ends-with-stop"),
        pytest.param("length", True, False, "max_tokens", id="a-call-cut-by-the-maximum"),
        pytest.param("tool_calls", True, False, "tool_use", id="calls"),
        pytest.param("function_call", True, False, "tool_use", id="a-legacy-call"),
        pytest.param("content_filter", False, False, "refusal", id="the-content-filter"),
        pytest.param("eos", False, False, "end_turn", id="a-word-of-another-server"),
        pytest.param(None, True, True, None, id="no-reason-is-not-invented"),
    ],
)
def test_finish_reasons_in_anthropics_words(
    finish: str | None, called: bool, refused: bool, theirs: str | None
) -> None:
    assert stop_reason(finish, called_tools=called, refused=refused) == theirs


def test_usage_counts_the_cached_tokens_as_part_of_the_prompt() -> None:
    usage = decode(message_to_completion(message([TEXT]), created=1))["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (16, 7, 23)
    assert usage["prompt_tokens_details"] == {"cached_tokens": 4, "cache_write_tokens": 2}


def test_reasoning_tokens_travel_both_ways() -> None:
    """OpenAI's reasoning tokens are Anthropic's thinking tokens."""
    usage = {
        "prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14,
        "prompt_tokens_details": {"cached_tokens": 3}, "completion_tokens_details": {"reasoning_tokens": 2},
    }  # fmt: skip
    there = completion_to_message(completion({"content": "Hi"}, usage=usage))
    assert decode(there)["usage"] == {
        "input_tokens": 6, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 3,
        "output_tokens": 5, "output_tokens_details": {"thinking_tokens": 2},
    }  # fmt: skip
    assert decode(message_to_completion(there, created=1))["usage"] == usage


def test_a_call_without_text_has_null_content() -> None:
    """What OpenAI itself answers, and its SDK expects."""
    said = decode(message_to_completion(message([USE], "tool_use"), created=1))["choices"][0]["message"]
    assert said["content"] is None
    assert said["tool_calls"] == [
        {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": '{"a":[1,2.5]}'}}
    ]


def test_texts_around_a_call_are_joined() -> None:
    """OpenAI's message has one text."""
    body = message([TEXT, USE, {"type": "text", "text": " there"}], "tool_use")
    assert decode(message_to_completion(body, created=1))["choices"][0]["message"]["content"] == "Hi there"


def test_blocks_that_openai_has_no_word_for_are_left_out() -> None:
    search = {
        "type": "web_search_tool_result",
        "tool_use_id": "s",
        "content": [{"type": "web_search_result"}],
    }
    body = message([{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, search, TEXT])
    said = decode(message_to_completion(body, created=1))["choices"][0]["message"]
    assert said == {"role": "assistant", "content": "Hi", "refusal": None}


def test_a_refusal_says_why() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "Not this."}
    choice = decode(message_to_completion(message([], "refusal", stop_details=details), created=1))[
        "choices"
    ][0]
    assert (choice["finish_reason"], choice["message"]["refusal"]) == ("content_filter", "Not this.")


@pytest.mark.parametrize(
    ("said", "finish", "content", "stop"),
    [
        pytest.param({"content": "Hi"}, "stop", [TEXT], "end_turn", id="text"),
        pytest.param({"content": None, "refusal": "No."}, "stop", [{"type": "text", "text": "No."}], "refusal", id="a-refusal-is-text-and-a-reason"),
        pytest.param({"content": "Hi", "reasoning": "hm"}, "stop", [{"type": "thinking", "thinking": "hm", "signature": ""}, TEXT], "end_turn", id="reasoning-by-its-other-name"),
        pytest.param({"content": "", "tool_calls": [CALL]}, "stop", [{"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}}], "tool_use", id="a-call-that-ends-with-stop"),
        pytest.param({"function_call": {"name": "f", "arguments": "{}"}}, "function_call", [{"type": "tool_use", "id": "call_0", "name": "f", "input": {}}], "tool_use", id="a-legacy-function-call"),
        pytest.param({"tool_calls": [{"function": {"name": "f", "arguments": " "}}]}, "tool_calls", [{"type": "tool_use", "id": "call_0", "name": "f", "input": {}}], "tool_use", id="no-arguments-and-no-id"),
        pytest.param({"content": "Hi", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": '{"a'}}]}, "length", [TEXT], "max_tokens", id="a-call-cut-by-the-maximum-is-left-out"),
        pytest.param({"content": None, "tool_calls": None}, None, [], None, id="nothing"),
    ],
)  # fmt: skip
def test_completions_as_messages(
    said: Json, finish: str | None, content: list[Json], stop: str | None
) -> None:
    there = decode(completion_to_message(completion(said, finish)))
    Message.model_validate(there)
    assert (there["content"], there["stop_reason"]) == (content, stop)
    assert (there["id"], there["model"], there["role"]) == ("chatcmpl-1", "gpt", "assistant")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>", id="no-json"),
        pytest.param(b"[]", id="no-object"),
        pytest.param(b'{"id":"x","choices":[]}', id="no-choices"),
        pytest.param(b'{"id":"x"}', id="nothing-of-an-answer"),
        pytest.param(completion({"tool_calls": [{"id": "c", "type": "custom"}]}), id="a-call-of-no-function"),
        pytest.param(completion({"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{"}}]}, "tool_calls"), id="broken-arguments"),
        pytest.param(completion({"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "[]"}}]}, "tool_calls"), id="arguments-that-are-no-object"),
        pytest.param(completion({"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": '{"a":' + "[" * 100_000}}]}, "tool_calls"), id="arguments-nested-too-deeply"),
    ],
)  # fmt: skip
def test_malformed_completions_are_the_providers_fault(body: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        completion_to_message(body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b'{"type":"message","content":"Hi","usage":{}}', id="content-that-is-no-list"),
        pytest.param(b'{"type":"message","content":[]}', id="no-usage"),
    ],
)
def test_malformed_messages_are_the_providers_fault(body: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        message_to_completion(body, created=1)
