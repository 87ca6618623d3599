"""Anthropic's requests at the edge: what passes, and what is refused with its place."""

import msgspec
import pytest
from anthropic.types import Message as SdkMessage
from anthropic.types.message_count_tokens_params import MessageCountTokensParams

from service.wire.anthropic import (
    ContentBlock,
    CountTokensRequest,
    Message,
    MessagesRequest,
    StreamEvent,
    Usage,
)

LEAST: dict[str, object] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


def decoded(**fields: object) -> MessagesRequest:
    """The least request with these fields, as the edge decodes it."""
    return msgspec.json.decode(msgspec.json.encode(LEAST | fields), type=MessagesRequest)


def said(*blocks: object) -> dict[str, object]:
    """A conversation of one message."""
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def test_optional_fields_may_be_null() -> None:
    optional = [field.name for field in msgspec.structs.fields(MessagesRequest) if not field.required]
    assert decoded(**dict.fromkeys(optional)) == decoded()


@pytest.mark.parametrize("field", [pytest.param(field, id=field) for field in LEAST])
def test_what_must_be_there_is_missed_by_name(field: str) -> None:
    body = msgspec.json.encode({name: value for name, value in LEAST.items() if name != field})
    with pytest.raises(msgspec.ValidationError, match=f"missing required field `{field}`"):
        msgspec.json.decode(body, type=MessagesRequest)


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        pytest.param({"max_tokens": 0}, "$.max_tokens", id="no-tokens"),
        pytest.param({"temperature": 1.1}, "$.temperature", id="too-warm"),
        pytest.param({"top_p": -0.1}, "$.top_p", id="less-than-nothing"),
        pytest.param({"top_k": -1}, "$.top_k", id="less-than-no-tokens"),
        pytest.param({"messages": []}, "$.messages", id="no-messages"),
        pytest.param({"messages": [{"role": "user", "content": None}]}, "$.messages[0].content", id="no-content"),
        pytest.param(said({"text": "Hi"}), "$.messages[0].content[0]", id="a-block-without-type"),
        pytest.param(said({"type": "image", "source": {"type": "base64", "data": 5}}), "$.messages[0].content[0].source.data", id="data-that-is-a-number"),
        pytest.param({"stop_sequences": "x"}, "$.stop_sequences", id="a-stop-that-is-no-list"),
        pytest.param({"system": 5}, "$.system", id="a-system-prompt-that-is-a-number"),
        pytest.param({"metadata": {"user_id": 5}}, "$.metadata.user_id", id="a-user-that-is-a-number"),
        pytest.param({"thinking": {"type": "enabled", "budget_tokens": 1023}}, "$.thinking.budget_tokens", id="too-small-a-budget"),
        pytest.param({"tools": [{"name": "f", "input_schema": []}]}, "$.tools[0].input_schema", id="a-schema-that-is-a-list"),
        pytest.param({"tool_choice": "auto"}, "$.tool_choice", id="a-choice-that-is-a-word"),
    ],
)  # fmt: skip
def test_mistakes_are_refused_at_their_place(fields: dict[str, object], place: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        decoded(**fields)
    assert str(refused.value).endswith(f"at `{place}`")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"foo": {"bar": [1]}, "context_management": {"edits": []}}, id="unknown-fields"),
        pytest.param({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 5}]}, id="a-tool-of-anthropics-own"),
        pytest.param(said({"type": "search_result", "source": "https://x.example", "title": "t", "content": [{"type": "text", "text": "a"}]}), id="a-search-result-whose-source-is-a-string"),
        pytest.param(said({"type": "web_search_tool_result", "tool_use_id": "s", "content": {"type": "web_search_tool_result_error", "error_code": "unavailable"}}), id="a-result-that-is-an-object"),
        pytest.param(said({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "a"}]}), id="a-result-of-blocks"),
        pytest.param({"thinking": {"type": "adaptive"}, "output_config": {"effort": "wild"}}, id="unknown-words"),
        pytest.param({"container": {"id": "c", "skills": []}}, id="a-container-with-skills"),
    ],
)  # fmt: skip
def test_what_the_provider_may_know_passes(fields: dict[str, object]) -> None:
    assert isinstance(decoded(**fields), MessagesRequest)


def test_counting_needs_no_maximum() -> None:
    body = msgspec.json.encode({name: value for name, value in LEAST.items() if name != "max_tokens"})
    assert msgspec.json.decode(body, type=CountTokensRequest).model == "m"
    known = {field.name for field in msgspec.structs.fields(CountTokensRequest)}
    assert known - {"cache_control"} <= set(MessageCountTokensParams.__annotations__)


def test_a_message_is_encoded_as_anthropic_does() -> None:
    """Nulls that belong to every message are said, the members of other blocks are not."""
    text = ContentBlock(type="text", text="Hi")
    body = msgspec.json.encode(
        Message(id="msg_1", model="m", content=[text], usage=Usage(input_tokens=1, output_tokens=2))
    )
    assert b'"content":[{"type":"text","text":"Hi"}],"stop_reason":null,"stop_sequence":null' in body
    assert SdkMessage.model_validate_json(body).usage.output_tokens == 2


def test_an_event_says_only_its_own_members() -> None:
    event = msgspec.json.encode(StreamEvent(type="content_block_stop", index=0))
    assert event == b'{"type":"content_block_stop","index":0}'
