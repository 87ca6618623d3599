"""OpenAI's requests at the edge: what passes, and what is refused with its place."""

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion as SdkCompletion
from openai.types.chat import ChatCompletionChunk as SdkChunk
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming as ChatParams
from openai.types.completion_create_params import CompletionCreateParamsStreaming as CompletionParams
from openai.types.embedding_create_params import EmbeddingCreateParams as EmbeddingParams

from service.wire.openai import (
    AssistantMessage,
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionRequest,
    ChatMessage,
    Choice,
    ChoiceDelta,
    ChunkChoice,
    CompletionRequest,
    EmbeddingRequest,
    ModelCard,
    Usage,
)

Request = type[ChatCompletionRequest | CompletionRequest | EmbeddingRequest]

LEAST: dict[Request, dict[str, object]] = {
    ChatCompletionRequest: {"model": "m", "messages": [{"role": "user", "content": "Hi"}]},
    CompletionRequest: {"model": "m", "prompt": "Once"},
    EmbeddingRequest: {"model": "m", "input": "A text"},
}


def decoded(kind: Request, **fields: object) -> object:
    """The least request of its kind, with these fields, as the edge decodes it."""
    return msgspec.json.decode(msgspec.json.encode(LEAST[kind] | fields), type=kind)


@pytest.mark.parametrize(
    ("kind", "documented"),
    [
        pytest.param(ChatCompletionRequest, ChatParams.__annotations__, id="chat-completions"),
        pytest.param(CompletionRequest, CompletionParams.__annotations__, id="completions"),
        pytest.param(EmbeddingRequest, EmbeddingParams.__annotations__, id="embeddings"),
    ],
)
def test_every_field_that_the_sdk_documents_is_checked(kind: Request, documented: Iterable[str]) -> None:
    known = {field.encode_name for field in msgspec.structs.fields(kind)}
    assert set(documented) <= known


@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.__name__) for kind in LEAST])
def test_optional_fields_may_be_null(kind: Request) -> None:
    optional = [field.name for field in msgspec.structs.fields(kind) if not field.required]
    assert decoded(kind, **dict.fromkeys(optional)) == decoded(kind)


CHAT_BOUNDS = [
    ("temperature", 0, 2), ("top_p", 0, 1), ("presence_penalty", -2, 2), ("frequency_penalty", -2, 2),
    ("n", 1, 128), ("top_logprobs", 0, 20),
]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "low", "high"), [pytest.param(*bounds, id=bounds[0]) for bounds in CHAT_BOUNDS]
)
def test_numbers_have_their_documented_range(field: str, low: int, high: int) -> None:
    for inside in (low, high):
        assert getattr(decoded(ChatCompletionRequest, **{field: inside}), field) == inside
    for outside in (low - 1, high + 1):
        with pytest.raises(msgspec.ValidationError, match=rf"\$\.{field}"):
            decoded(ChatCompletionRequest, **{field: outside})


@pytest.mark.parametrize(
    ("kind", "fields", "place"),
    [
        pytest.param(ChatCompletionRequest, {"model": ""}, "$.model", id="an-empty-model"),
        pytest.param(ChatCompletionRequest, {"model": None}, "$.model", id="a-null-model"),
        pytest.param(ChatCompletionRequest, {"messages": []}, "$.messages", id="no-messages"),
        pytest.param(ChatCompletionRequest, {"messages": [{"content": "Hi"}]}, "$.messages[0]", id="a-message-without-role"),
        pytest.param(ChatCompletionRequest, {"messages": [{"role": "user", "content": 5}]}, "$.messages[0].content", id="content-that-is-a-number"),
        pytest.param(ChatCompletionRequest, {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}, "$.messages[0].content[0]", id="a-part-without-type"),
        pytest.param(ChatCompletionRequest, {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]}, "$.messages[0].content[0].image_url", id="an-image-that-is-a-string"),
        pytest.param(ChatCompletionRequest, {"temperature": "warm"}, "$.temperature", id="a-word-for-a-number"),
        pytest.param(ChatCompletionRequest, {"stream": 1}, "$.stream", id="a-number-for-a-truth"),
        pytest.param(ChatCompletionRequest, {"n": 1.5}, "$.n", id="half-an-answer"),
        pytest.param(ChatCompletionRequest, {"max_tokens": 0}, "$.max_tokens", id="no-tokens"),
        pytest.param(ChatCompletionRequest, {"max_completion_tokens": 0}, "$.max_completion_tokens", id="no-completion-tokens"),
        pytest.param(ChatCompletionRequest, {"logit_bias": {"1": 101}}, "$.logit_bias[...]", id="too-much-bias"),
        pytest.param(ChatCompletionRequest, {"stop": [1]}, "$.stop[0]", id="a-stop-that-is-a-number"),
        pytest.param(ChatCompletionRequest, {"stop": ["x"] * 17}, "$.stop", id="too-many-stops"),
        pytest.param(ChatCompletionRequest, {"tools": [{"type": "function", "function": {}}]}, "$.tools[0].function", id="a-nameless-function"),
        pytest.param(ChatCompletionRequest, {"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]}, "$.tools[0].function.parameters", id="parameters-that-are-a-list"),
        pytest.param(ChatCompletionRequest, {"stream_options": {"include_usage": "yes"}}, "$.stream_options.include_usage", id="a-word-for-a-truth"),
        pytest.param(ChatCompletionRequest, {"metadata": {"a": 1}}, "$.metadata[...]", id="metadata-that-is-no-text"),
        pytest.param(CompletionRequest, {"logprobs": 6}, "$.logprobs", id="too-many-log-probabilities"),
        pytest.param(CompletionRequest, {"prompt": 5}, "$.prompt", id="a-prompt-that-is-a-number"),
        pytest.param(EmbeddingRequest, {"input": ""}, "$.input", id="nothing-to-embed"),
        pytest.param(EmbeddingRequest, {"input": []}, "$.input", id="no-texts-to-embed"),
        pytest.param(EmbeddingRequest, {"dimensions": 0}, "$.dimensions", id="no-dimensions"),
    ],
)  # fmt: skip
def test_mistakes_are_refused_at_their_place(kind: Request, fields: dict[str, object], place: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        decoded(kind, **fields)
    assert str(refused.value).endswith(f"at `{place}`")


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        pytest.param(ChatCompletionRequest, {"foo": {"bar": [1]}}, id="an-unknown-field"),
        pytest.param(ChatCompletionRequest, {"service_tier": "tomorrow's", "reasoning_effort": "wild"}, id="unknown-words"),
        pytest.param(ChatCompletionRequest, {"messages": [{"role": "narrator", "content": [{"type": "smell", "scent": 1}]}]}, id="an-unknown-role-and-part"),
        pytest.param(ChatCompletionRequest, {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "function", "function": {"name": "f"}}}, id="a-named-tool"),
        pytest.param(ChatCompletionRequest, {"audio": {"format": "mp3", "voice": {"id": "v"}}}, id="a-voice-by-id"),
        pytest.param(CompletionRequest, {"prompt": None}, id="a-prompt-of-nothing"),
        pytest.param(CompletionRequest, {"prompt": [[1, 2], [3]]}, id="prompts-of-tokens"),
        pytest.param(EmbeddingRequest, {"input": [1, 2, 3]}, id="tokens-to-embed"),
    ],
)  # fmt: skip
def test_what_a_provider_may_know_passes(kind: Request, fields: dict[str, object]) -> None:
    assert isinstance(decoded(kind, **fields), kind)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))  # fmt: skip
def test_any_json_is_decoded_or_refused(value: object) -> None:
    body = msgspec.json.encode({"model": "m", "messages": value, "tools": value, "tool_choice": value})
    try:
        found = msgspec.json.decode(body, type=ChatCompletionRequest)
    except msgspec.ValidationError:
        return
    assert found.messages


def test_a_request_is_encoded_without_what_it_does_not_say() -> None:
    request = ChatCompletionRequest(model="m", messages=[ChatMessage("user", "Hi")], temperature=0.0)
    expected = b'{"model":"m","messages":[{"role":"user","content":"Hi"}],"temperature":0.0}'
    assert msgspec.json.encode(request) == expected


def test_answers_are_encoded_as_openai_does() -> None:
    """Constants and nulls are said, and the SDK takes them."""
    choice = Choice(message=AssistantMessage(content="Hi"), finish_reason="stop")
    whole = msgspec.json.encode(
        ChatCompletion(id="c", created=1, model="m", choices=[choice], usage=Usage(1, 2, 3))
    )
    assert b'"object":"chat.completion"' in whole
    assert b'"refusal":null' in whole
    sdk = SdkCompletion.model_validate_json(whole)
    assert sdk.usage is not None and sdk.usage.total_tokens == 3
    piece = ChatCompletionChunk(
        id="c", created=1, model="m", choices=[ChunkChoice(delta=ChoiceDelta(content="Hi"))]
    )
    assert SdkChunk.model_validate_json(msgspec.json.encode(piece)).choices[0].delta.content == "Hi"
    assert b'"object":"model"' in msgspec.json.encode(ModelCard(id="m", owned_by="me"))
