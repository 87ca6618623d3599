"""Chat completion requests in Anthropic's words."""

from typing import Any

import msgspec
import pytest

from service.chat.translate import Translated, Untranslatable, chat_to_messages
from service.wire.anthropic import MessagesRequest
from service.wire.openai import ChatCompletionRequest
from tests.unit.translate.dialogue import Json, decode, encode, members

HELLO = [{"role": "user", "content": "Hello"}]
FUNCTION = {"name": "f", "parameters": {"type": "object", "properties": {}}}
TOOLS = [{"type": "function", "function": FUNCTION}]
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
PNG = "data:image/png;base64,AAAA"


def translated(**fields: object) -> Translated:
    """A request for a model of 4,096 output tokens, "Hello" where it names no messages."""
    body = encode({"model": "alias", "messages": HELLO, **fields})
    request = msgspec.json.decode(body, type=ChatCompletionRequest)
    return chat_to_messages(request, members(body), model="claude", max_output_tokens=4096)


def sent(**fields: object) -> Json:
    """The body that goes to Anthropic: one that our own edge would take."""
    body = translated(**fields).body
    msgspec.json.decode(body, type=MessagesRequest)
    return decode(body)


def user(*parts: Json) -> list[Json]:
    """One user message of these parts."""
    return [{"role": "user", "content": list(parts)}]


def test_the_least_request() -> None:
    expected = {"model": "claude", "messages": HELLO, "max_tokens": 4096}
    assert translated() == Translated(encode(expected), ())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"max_tokens": 5}, {"max_tokens": 5}, id="maximum"),
        pytest.param({"max_completion_tokens": 6, "max_tokens": 5}, {"max_tokens": 6}, id="the-newer-maximum-wins"),
        pytest.param({"temperature": 1.7}, {"temperature": 1.0}, id="temperature-above-one-is-one"),
        pytest.param({"temperature": 0}, {"temperature": 0}, id="temperature-zero-stays"),
        pytest.param({"top_p": 0.5}, {"top_p": 0.5}, id="top-p"),
        pytest.param({"stop": "END"}, {"stop_sequences": ["END"]}, id="one-stop"),
        pytest.param({"stop": ["a", "b"]}, {"stop_sequences": ["a", "b"]}, id="several-stops"),
        pytest.param({"user": "u"}, {"metadata": {"user_id": "u"}}, id="user"),
        pytest.param({"safety_identifier": "s"}, {"metadata": {"user_id": "s"}}, id="safety-identifier-names-the-user-too"),
        pytest.param({"stream": True, "stream_options": {"include_usage": True}}, {"stream": True}, id="stream"),
        pytest.param({"stream": False}, {"stream": False}, id="no-stream"),
        pytest.param({"response_format": {"type": "text"}, "n": 1, "logprobs": False, "modalities": ["text"]}, {}, id="defaults-said-aloud"),
        pytest.param({"tools": TOOLS}, {"tools": [{"name": "f", "input_schema": FUNCTION["parameters"]}]}, id="tool"),
        pytest.param({"tools": [{"type": "function", "function": {"name": "f", "description": "d", "strict": True}, "cache_control": {"type": "ephemeral"}}]}, {"tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": True, "cache_control": {"type": "ephemeral"}}]}, id="tool-without-parameters"),
        pytest.param({"top_k": 5, "thinking": {"type": "adaptive"}}, {"top_k": 5, "thinking": {"type": "adaptive"}}, id="what-only-anthropic-knows-passes"),
    ],
)  # fmt: skip
def test_parameters(fields: Json, expected: Json) -> None:
    assert sent(**fields) | expected == sent(**fields)
    assert set(sent(**fields)) == {"model", "messages", "max_tokens"} | set(expected)


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        pytest.param("auto", None, {"type": "auto"}, id="auto"),
        pytest.param("none", None, {"type": "none"}, id="none"),
        pytest.param("none", False, {"type": "none"}, id="none-takes-no-more"),
        pytest.param("required", None, {"type": "any"}, id="required"),
        pytest.param(
            {"type": "function", "function": {"name": "f"}}, None, {"type": "tool", "name": "f"}, id="named"
        ),
        pytest.param(
            "required", False, {"type": "any", "disable_parallel_tool_use": True}, id="one-at-a-time"
        ),
        pytest.param(
            None, False, {"type": "auto", "disable_parallel_tool_use": True}, id="one-at-a-time-alone"
        ),
        pytest.param(None, True, None, id="parallel-is-the-default"),
        pytest.param(None, None, None, id="nothing"),
    ],
)
def test_tool_choice(choice: object, parallel: bool | None, expected: Json | None) -> None:
    body = sent(tools=TOOLS, tool_choice=choice, parallel_tool_calls=parallel)
    assert body.get("tool_choice") == expected


def test_without_tools_there_is_nothing_to_choose() -> None:
    assert "tool_choice" not in sent(tool_choice="auto", parallel_tool_calls=False)


def test_a_schema_passes_byte_for_byte() -> None:
    """Numbers keep their digits, and unknown keywords stay."""
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"minimum": 1.50, "x-new": null}}}}}]}'
    request = msgspec.json.decode(body, type=ChatCompletionRequest)
    made = chat_to_messages(request, members(body), model="claude", max_output_tokens=1)
    assert b'{"a":{"minimum": 1.50, "x-new": null}}' in made.body


@pytest.mark.parametrize(
    ("messages", "system", "expected"),
    [
        pytest.param([{"role": "system", "content": "Be brief."}, *HELLO], "Be brief.", HELLO, id="system"),
        pytest.param([{"role": "system", "content": "A"}, *HELLO, {"role": "developer", "content": "B"}], [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}], HELLO, id="system-and-developer-are-joined-in-order"),
        pytest.param([{"role": "system", "content": ""}, *HELLO], None, HELLO, id="an-empty-system-prompt-goes"),
        pytest.param([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], None, user({"type": "text", "text": "a"}, {"type": "text", "text": "b"}), id="neighbours-of-one-side-are-one-turn"),
        pytest.param(user({"type": "text", "text": ""}, {"type": "text", "text": "a"}), None, [{"role": "user", "content": "a"}], id="empty-texts-go"),
        pytest.param(user({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}), None, user({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}), id="a-parts-cache-mark-stays"),
        pytest.param([HELLO[0] | {"cache_control": {"type": "ephemeral"}}], None, user({"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}}), id="a-messages-cache-mark-is-its-last-blocks"),
        pytest.param(user({"type": "image_url", "image_url": {"url": PNG}}), None, user({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}), id="image-inline"),
        pytest.param(user({"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}), None, user({"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}}), id="image-by-url-is-not-fetched"),
        pytest.param(user({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}}), None, user({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}, "title": "a.pdf"}), id="a-file-is-a-document"),
        pytest.param(user({"type": "file", "file": {"file_data": "data:text/plain;base64,SGk="}}), None, user({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Hi"}}), id="a-text-file-is-a-document-of-text"),
        pytest.param([*HELLO, {"role": "assistant", "content": None, "refusal": "No."}], None, [*HELLO, {"role": "assistant", "content": "No."}], id="a-refusal-is-what-was-said"),
        pytest.param([*HELLO, {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}], None, [*HELLO, {"role": "assistant", "content": "No."}], id="a-refusal-part-too"),
    ],
)  # fmt: skip
def test_messages(messages: list[Json], system: object, expected: list[Json]) -> None:
    body = sent(messages=messages)
    assert (body.get("system"), body["messages"]) == (system, expected)


def test_a_tool_loop() -> None:
    """Results stand first in the turn that follows the calls, even where the user spoke before them."""
    messages = [
        *HELLO,
        {"role": "assistant", "content": "Let me look.", "tool_calls": [CALL, CALL | {"id": "c2", "function": {"name": "f", "arguments": ""}}]},
        {"role": "user", "content": "Hurry."},
        {"role": "tool", "tool_call_id": "c1", "content": "7"},
        {"role": "tool", "tool_call_id": "c2", "is_error": True, "content": [{"type": "image_url", "image_url": {"url": PNG}}]},
    ]  # fmt: skip
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    assert sent(messages=messages)["messages"][1:] == [
        {"role": "assistant", "content": [
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
            {"type": "tool_use", "id": "c2", "name": "f", "input": {}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c1", "content": "7"},
            {"type": "tool_result", "tool_use_id": "c2", "content": [image], "is_error": True},
            {"type": "text", "text": "Hurry."},
        ]},
    ]  # fmt: skip


def test_legacy_function_calls_get_ids() -> None:
    messages = [
        *HELLO,
        {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "7"},
    ]
    assert sent(messages=messages)["messages"][1:] == [
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "call_messages_1", "name": "f", "input": {}}],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "call_messages_1", "content": "7"}],
        },
    ]


def test_thinking_travels_with_its_signature() -> None:
    """Only what Anthropic takes back: a thought without a signature stays here."""
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "S", "index": 0},
        {"type": "redacted_thinking", "data": "XX"},
        {"type": "thinking", "thinking": "unsigned", "signature": ""},
    ]
    messages = [
        *HELLO,
        {"role": "assistant", "content": "Hi", "reasoning_content": "hm", "thinking_blocks": blocks},
    ]
    made = translated(messages=messages)
    assert decode(made.body)["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "S"},
        {"type": "redacted_thinking", "data": "XX"},
        {"type": "text", "text": "Hi"},
    ]
    assert made.dropped == ()


LOOP: list[Json] = [
    *HELLO,
    {"role": "assistant", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "7"},
]
SIGNED = [{"type": "thinking", "thinking": "hm", "signature": "S"}]
THOUGHTFUL_LOOP = [LOOP[0], LOOP[1] | {"thinking_blocks": SIGNED}, LOOP[2]]


@pytest.mark.parametrize(
    ("fields", "thinking", "dropped"),
    [
        pytest.param({"reasoning_effort": "low", "max_tokens": 9000}, {"type": "enabled", "budget_tokens": 2048}, (), id="low"),
        pytest.param({"reasoning_effort": "high", "max_tokens": 9000}, {"type": "enabled", "budget_tokens": 4500}, (), id="half-of-the-answer-at-most"),
        pytest.param({"reasoning_effort": "none"}, {"type": "disabled"}, (), id="none"),
        pytest.param({"reasoning_effort": "high", "max_tokens": 2000}, None, ("reasoning_effort",), id="no-room-to-think"),
        pytest.param({"reasoning_effort": "low", "tools": TOOLS, "tool_choice": "required"}, None, ("reasoning_effort",), id="a-forced-tool-allows-no-thinking"),
        pytest.param({"reasoning_effort": "low", "messages": LOOP}, None, ("reasoning_effort",), id="a-tool-loop-begun-without-thinking"),
        pytest.param({"reasoning_effort": "low", "messages": THOUGHTFUL_LOOP}, {"type": "enabled", "budget_tokens": 2048}, (), id="a-tool-loop-with-thinking"),
        pytest.param({"reasoning_effort": "low", "temperature": 0.2, "top_p": 0.5}, {"type": "enabled", "budget_tokens": 2048}, ("temperature", "top_p"), id="sampling-gives-way"),
        pytest.param({"reasoning_effort": "low", "thinking": {"type": "adaptive"}}, {"type": "adaptive"}, ("reasoning_effort",), id="the-callers-own-wins"),
    ],
)  # fmt: skip
def test_reasoning_effort(fields: Json, thinking: Json | None, dropped: tuple[str, ...]) -> None:
    made = translated(**fields)
    assert (decode(made.body).get("thinking"), made.dropped) == (thinking, dropped)


@pytest.mark.parametrize(
    ("fields", "dropped"),
    [
        pytest.param({"seed": 1, "logit_bias": {"1": 2}, "presence_penalty": 1, "frequency_penalty": 0}, ("frequency_penalty", "logit_bias", "presence_penalty", "seed"), id="sampling-hints"),
        pytest.param({"store": False, "metadata": {"a": "b"}, "service_tier": "auto", "verbosity": "low", "prompt_cache_key": "k"}, ("metadata", "prompt_cache_key", "service_tier", "store", "verbosity"), id="service-hints"),
        pytest.param({"prediction": {"type": "content", "content": "x"}, "prompt_cache_retention": "24h", "prompt_cache_options": {"ttl": "30m"}}, ("prediction", "prompt_cache_options", "prompt_cache_retention"), id="speed-hints"),
        pytest.param({"user": "u", "safety_identifier": "s"}, ("safety_identifier",), id="one-name-of-the-user-is-enough"),
        pytest.param({"messages": [HELLO[0] | {"name": "bob"}, HELLO[0] | {"name": "eve"}]}, ("messages.name",), id="names-once"),
        pytest.param({"messages": user({"type": "image_url", "image_url": {"url": PNG, "detail": "low"}})}, ("messages.content.image_url.detail",), id="detail-of-an-image"),
        pytest.param({"messages": [*HELLO, {"role": "assistant", "content": "Hi", "reasoning_content": "hm"}]}, ("messages.reasoning_content",), id="reasoning-without-a-signature"),
        pytest.param({"min_p": 0.1, "repetition_penalty": 1, "empty": None}, ("min_p", "repetition_penalty"), id="unknown-fields"),
        pytest.param({"a\r\nSet-Cookie: x": 1}, ("unknown",), id="a-name-unfit-for-a-header"),
        pytest.param({f"f{number}": 1 for number in range(99)}, tuple(f"f{number}" for number in range(16)), id="very-many-unknown-fields"),
        pytest.param({"seed": None, "thinking": None}, (), id="nulls"),
    ],
)  # fmt: skip
def test_hints_are_dropped_and_listed(fields: Json, dropped: tuple[str, ...]) -> None:
    assert translated(**fields).dropped == dropped


def said_by(role: str, **more: object) -> dict[str, Any]:
    """A conversation that ends with one message of this role."""
    return {"messages": [*HELLO, {"role": role, **more}]}


def calling(function: Json, **more: object) -> dict[str, Any]:
    """A conversation with one call."""
    return said_by("assistant", tool_calls=[{"id": "c", "function": function, **more}])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        pytest.param({"n": 2}, "n", id="several-answers"),
        pytest.param({"logprobs": True}, "logprobs", id="log-probabilities"),
        pytest.param({"top_logprobs": 3}, "top_logprobs", id="top-log-probabilities"),
        pytest.param({"response_format": {"type": "json_object"}}, "response_format", id="json-mode"),
        pytest.param({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "response_format", id="a-schema-for-the-answer"),
        pytest.param({"modalities": ["text", "audio"]}, "modalities", id="spoken-answers"),
        pytest.param({"audio": {"format": "mp3", "voice": "ash"}}, "audio", id="audio-options"),
        pytest.param({"moderation": {"model": "m"}}, "moderation", id="moderation"),
        pytest.param({"web_search_options": {}}, "web_search_options", id="web-search"),
        pytest.param({"functions": [FUNCTION]}, "functions", id="legacy-functions"),
        pytest.param({"function_call": {"name": "f"}}, "function_call", id="a-forced-legacy-function"),
        pytest.param({"reasoning_effort": "wild"}, "reasoning_effort", id="an-unknown-effort"),
        pytest.param({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools[0].type", id="a-custom-tool"),
        pytest.param({"tools": [*TOOLS, {"type": "function"}]}, "tools[1].function", id="a-tool-without-function"),
        pytest.param({"tools": TOOLS, "tool_choice": "perhaps"}, "tool_choice", id="an-unknown-choice"),
        pytest.param({"tools": TOOLS, "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}, "tool_choice.type", id="a-choice-among-some"),
        pytest.param({"messages": [{"role": "system", "content": "x"}]}, "messages", id="nobody-speaks"),
        pytest.param({"messages": [{"role": "narrator", "content": "x"}]}, "messages[0].role", id="an-unknown-role"),
        pytest.param({"messages": user({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}})}, "messages[0].content[0].type", id="audio"),
        pytest.param({"messages": user({"type": "video_url"})}, "messages[0].content[0].type", id="an-unknown-part"),
        pytest.param({"messages": user({"type": "image_url"})}, "messages[0].content[0].image_url", id="an-image-without-url"),
        pytest.param({"messages": user({"type": "image_url", "image_url": {"url": "ftp://x"}})}, "messages[0].content[0].image_url.url", id="an-image-by-another-scheme"),
        pytest.param({"messages": user({"type": "image_url", "image_url": {"url": "data:image/png,AAAA"}})}, "messages[0].content[0].image_url.url", id="an-image-not-in-base64"),
        pytest.param({"messages": user({"type": "file", "file": {"file_id": "f"}})}, "messages[0].content[0].file", id="an-upload"),
        pytest.param({"messages": user({"type": "file", "file": {"file_data": "data:text/plain;base64,@"}})}, "messages[0].content[0].file.file_data", id="a-broken-text-file"),
        pytest.param(said_by("assistant", audio={"id": "a"}), "messages[1].audio", id="spoken-history"),
        pytest.param(said_by("assistant", content=[{"type": "image_url", "image_url": {"url": PNG}}]), "messages[1].content[0].type", id="an-image-of-the-assistant"),
        pytest.param(said_by("tool", content="7"), "messages[1].tool_call_id", id="a-result-of-no-call"),
        pytest.param(said_by("function", name="g", content="7"), "messages[1].name", id="a-legacy-result-of-no-call"),
        pytest.param(calling({"name": "f", "arguments": "{"}), "messages[1].tool_calls[0].function.arguments", id="broken-arguments"),
        pytest.param(calling({"name": "f", "arguments": "[1]"}), "messages[1].tool_calls[0].function.arguments", id="arguments-that-are-no-object"),
        pytest.param(calling({"name": "f", "arguments": "[" * 100_000}), "messages[1].tool_calls[0].function.arguments", id="arguments-nested-too-deeply"),
        pytest.param(calling({"name": "f"}, id=None), "messages[1].tool_calls[0].id", id="a-call-without-id"),
        pytest.param(said_by("assistant", tool_calls=[{"id": "c", "type": "custom", "custom": {"name": "x"}}]), "messages[1].tool_calls[0].type", id="a-custom-call"),
        pytest.param(said_by("assistant", function_call={"name": "f", "arguments": "x"}), "messages[1].function_call.arguments", id="broken-legacy-arguments"),
    ],
)  # fmt: skip
def test_what_changes_the_answer_is_refused_by_name(fields: Json, param: str) -> None:
    with pytest.raises(Untranslatable) as refused:
        translated(**fields)
    assert refused.value.param == param
    assert len(refused.value.detail) < 200
