"""Messages requests in OpenAI's words."""

import msgspec
import pytest

from service.chat.translate import Translated, Untranslatable, messages_to_chat
from service.wire.anthropic import MessagesRequest
from service.wire.openai import ChatCompletionRequest
from tests.unit.translate.dialogue import Json, decode, encode, members

HELLO = [{"role": "user", "content": "Hello"}]
TOOL = {"name": "f", "description": "d", "input_schema": {"type": "object"}}
CACHED = {"cache_control": {"type": "ephemeral"}}
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
PNG_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def text(words: str) -> Json:
    """A text block, and a text part just as well."""
    return {"type": "text", "text": words}


def translated(model: str = "gpt-4o", **fields: object) -> Translated:
    """A request of at most 9 tokens, "Hello" where it names no messages."""
    body = encode({"model": "alias", "max_tokens": 9, "messages": HELLO, **fields})
    request = msgspec.json.decode(body, type=MessagesRequest)
    return messages_to_chat(request, members(body), model=model)


def sent(**fields: object) -> Json:
    """The body that goes to OpenAI: one that our own edge would take."""
    body = translated("gpt-4o", **fields).body
    msgspec.json.decode(body, type=ChatCompletionRequest)
    return decode(body)


def test_the_least_request() -> None:
    assert translated() == Translated(encode({"model": "gpt-4o", "messages": HELLO, "max_tokens": 9}), ())


@pytest.mark.parametrize(
    ("model", "field"),
    [
        pytest.param("gpt-4o-mini", "max_tokens", id="a-model-that-knows-both"),
        pytest.param("llama-3.1-8b", "max_tokens", id="a-compatible-server"),
        pytest.param("gpt-5-mini", "max_completion_tokens", id="a-reasoning-model"),
        pytest.param("openai/o3", "max_completion_tokens", id="a-reasoning-model-behind-a-router"),
    ],
)
def test_the_maximum_goes_by_the_name_that_the_model_takes(model: str, field: str) -> None:
    """OpenAI's reasoning models refuse `max_tokens`; many compatible servers know nothing else."""
    body = decode(translated(model).body)
    assert {name: value for name, value in body.items() if name.startswith("max_")} == {field: 9}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"temperature": 0.5, "top_p": 0.1}, {"temperature": 0.5, "top_p": 0.1}, id="sampling"),
        pytest.param({"stop_sequences": ["a"]}, {"stop": ["a"]}, id="stop"),
        pytest.param({"stop_sequences": []}, {}, id="no-stop"),
        pytest.param({"metadata": {"user_id": "u"}}, {"user": "u"}, id="user"),
        pytest.param({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}, id="a-stream-asks-for-usage"),
        pytest.param({"stream": False}, {"stream": False}, id="no-stream"),
        pytest.param({"tools": [TOOL]}, {"tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}]}, id="tool"),
        pytest.param({"tools": [{"type": "custom", "name": "f", "input_schema": {}, "strict": True}]}, {"tools": [{"type": "function", "function": {"name": "f", "strict": True}}]}, id="tool-by-its-full-type"),
        pytest.param({"tool_choice": {"type": "auto"}}, {"tool_choice": "auto"}, id="auto"),
        pytest.param({"tool_choice": {"type": "none"}}, {"tool_choice": "none"}, id="none"),
        pytest.param({"tool_choice": {"type": "any", "disable_parallel_tool_use": True}}, {"tool_choice": "required", "parallel_tool_calls": False}, id="any-one-at-a-time"),
        pytest.param({"tool_choice": {"type": "tool", "name": "f"}}, {"tool_choice": {"type": "function", "function": {"name": "f"}}}, id="a-named-tool"),
        pytest.param({"thinking": {"type": "enabled", "budget_tokens": 1024}}, {"reasoning_effort": "low"}, id="a-small-budget"),
        pytest.param({"thinking": {"type": "enabled", "budget_tokens": 10_000}}, {"reasoning_effort": "medium"}, id="a-medium-budget"),
        pytest.param({"thinking": {"type": "enabled", "budget_tokens": 50_000}}, {"reasoning_effort": "high"}, id="a-large-budget"),
        pytest.param({"thinking": {"type": "disabled"}}, {}, id="no-thinking"),
        pytest.param({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, {"reasoning_effort": "max"}, id="effort-in-words"),
        pytest.param({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}, {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True}}}, id="a-schema-for-the-answer"),
    ],
)  # fmt: skip
def test_parameters(fields: Json, expected: Json) -> None:
    assert sent(**fields) == {"model": "gpt-4o", "messages": HELLO, "max_tokens": 9} | expected


USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}
CALL = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
SIGNED = {"type": "thinking", "thinking": "hm", "signature": "S"}


def result(content: object = None, **more: object) -> Json:
    """A tool_result block."""
    return {"type": "tool_result", "tool_use_id": "t1", "content": content, **more}


def answered(content: object) -> Json:
    """A tool message."""
    return {"role": "tool", "content": content, "tool_call_id": "t1"}


@pytest.mark.parametrize(
    ("role", "blocks", "expected"),
    [
        pytest.param("user", [text("a")], [{"role": "user", "content": "a"}], id="one-text-is-a-string"),
        pytest.param("user", [text("a") | CACHED, PNG], [{"role": "user", "content": [text("a"), PNG_PART]}], id="parts-without-cache-marks"),
        pytest.param("user", [{"type": "image", "source": {"type": "url", "url": "https://x.example/a"}}], [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.example/a"}}]}], id="image-by-url"),
        pytest.param("user", [{"type": "document", "title": "a.pdf", "source": {"type": "base64", "media_type": "application/pdf", "data": "AA"}}], [{"role": "user", "content": [{"type": "file", "file": {"file_data": "data:application/pdf;base64,AA", "filename": "a.pdf"}}]}], id="a-document-is-a-file"),
        pytest.param("user", [{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Hi"}}], [{"role": "user", "content": "Hi"}], id="a-document-of-text-is-text"),
        pytest.param("user", [result("7"), text("Go.")], [answered("7"), {"role": "user", "content": "Go."}], id="a-result-is-a-message-before-the-users"),
        pytest.param("user", [text("Go."), result([text("7")])], [answered("7"), {"role": "user", "content": "Go."}], id="a-result-goes-first"),
        pytest.param("user", [result([text("7"), text("8")], is_error=True)], [answered([text("7"), text("8")])], id="a-result-of-several-texts"),
        pytest.param("user", [result()], [answered("")], id="a-result-of-nothing"),
        pytest.param("user", [result([text("see"), PNG])], [answered("see"), {"role": "user", "content": [PNG_PART]}], id="a-results-image-comes-with-the-user"),
        pytest.param("assistant", [text("a"), text("b")], [{"role": "assistant", "content": [text("a"), text("b")]}], id="several-texts"),
        pytest.param("assistant", [USE], [{"role": "assistant", "tool_calls": [CALL]}], id="a-call"),
        pytest.param("assistant", [SIGNED, {"type": "redacted_thinking", "data": "X"}, text("a")], [{"role": "assistant", "content": "a", "reasoning_content": "hm", "thinking_blocks": [SIGNED, {"type": "redacted_thinking", "data": "X"}]}], id="signed-thinking-travels"),
        pytest.param("assistant", [SIGNED | {"signature": ""}, text("a")], [{"role": "assistant", "content": "a", "reasoning_content": "hm"}], id="unsigned-thinking-is-reasoning-only"),
        pytest.param("system", [text("a")], [{"role": "system", "content": "a"}], id="a-system-message-in-the-middle"),
    ],
)  # fmt: skip
def test_turns(role: str, blocks: list[Json], expected: list[Json]) -> None:
    assert sent(messages=[{"role": role, "content": blocks}])["messages"] == expected


@pytest.mark.parametrize(
    ("system", "content"),
    [
        pytest.param("Be brief.", "Be brief.", id="a-string"),
        pytest.param([text("Be brief.") | CACHED], "Be brief.", id="one-block"),
        pytest.param([text("A"), text("B")], [text("A"), text("B")], id="several-blocks"),
    ],
)
def test_the_system_prompt_comes_first(system: object, content: object) -> None:
    assert sent(system=system)["messages"] == [{"role": "system", "content": content}, *HELLO]


@pytest.mark.parametrize(
    ("fields", "dropped"),
    [
        pytest.param({"top_k": 5, "service_tier": "auto", "inference_geo": "eu"}, ("inference_geo", "service_tier", "top_k"), id="hints"),
        pytest.param({"cache_control": {"type": "ephemeral"}, "system": [text("a") | CACHED]}, ("cache_control",), id="cache-marks-once"),
        pytest.param({"tools": [TOOL | CACHED]}, ("cache_control",), id="a-cache-mark-on-a-tool"),
        pytest.param({"messages": [{"role": "user", "content": [result("7", is_error=True)]}]}, ("messages.content.is_error",), id="an-error-is-in-its-text"),
        pytest.param({"context_management": {}, "tomorrows": 1, "container": None}, ("context_management", "tomorrows"), id="unknown-fields"),
    ],
)  # fmt: skip
def test_hints_are_dropped_and_listed(fields: Json, dropped: tuple[str, ...]) -> None:
    assert translated(**fields).dropped == dropped


def said(*blocks: Json, role: str = "user") -> Json:
    """A conversation of one message."""
    return {"messages": [{"role": role, "content": list(blocks)}]}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        pytest.param({"container": "c"}, "container", id="a-container"),
        pytest.param({"mcp_servers": [{}]}, "mcp_servers", id="mcp-servers"),
        pytest.param({"tools": [TOOL, {"type": "web_search_20250305", "name": "web_search"}]}, "tools[1].type", id="a-tool-of-anthropics-own"),
        pytest.param({"tools": [{"input_schema": {}}]}, "tools[0].name", id="a-nameless-tool"),
        pytest.param({"tool_choice": {"type": "tool"}}, "tool_choice.type", id="a-forced-tool-without-name"),
        pytest.param({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type", id="another-format"),
        pytest.param({"system": [PNG]}, "system[0].type", id="an-image-in-the-system-prompt"),
        pytest.param({"messages": [{"role": "narrator", "content": "x"}]}, "messages[0].role", id="an-unknown-role"),
        pytest.param(said(text("a"), {"type": "search_result", "source": "s", "title": "t", "content": []}), "messages[0].content[1].type", id="a-search-result"),
        pytest.param(said({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, role="assistant"), "messages[0].content[0].type", id="a-call-of-anthropics-own-tool"),
        pytest.param(said({"type": "image", "source": {"type": "file", "file_id": "f"}}), "messages[0].content[0].source.type", id="an-uploaded-image"),
        pytest.param(said({"type": "document", "source": {"type": "url", "url": "https://x.example"}}), "messages[0].content[0].source.type", id="a-document-by-url"),
        pytest.param(said({"type": "tool_result"}), "messages[0].content[0].tool_use_id", id="a-result-of-no-call"),
        pytest.param(said(result({"type": "x"})), "messages[0].content[0].content", id="a-result-of-a-strange-shape"),
        pytest.param(said(result([{"type": "tool_reference"}])), "messages[0].content[0].content[0].type", id="a-strange-block-in-a-result"),
    ],
)  # fmt: skip
def test_what_changes_the_answer_is_refused_by_name(fields: Json, param: str) -> None:
    with pytest.raises(Untranslatable) as refused:
        translated(**fields)
    assert refused.value.param == param
