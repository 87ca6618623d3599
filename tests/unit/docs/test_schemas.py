"""The document's schemas say what the decoders do."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types
from msgspec import Meta

from service.docs.schemas import PREFIX, component_schemas
from service.problems import Problem
from service.wire import anthropic, openai
from service.wire.simple import BatchRequest, SimpleAnswer, SimpleRequest

REQUESTS = (
    openai.ChatCompletionRequest,
    openai.CompletionRequest,
    openai.EmbeddingRequest,
    anthropic.MessagesRequest,
    anthropic.CountTokensRequest,
    SimpleRequest,
    BatchRequest,
)


class Leaf(msgspec.Struct):
    """A leaf."""

    size: Annotated[int, Meta(ge=1, description="How large.")] | None = None


def references(schema: object) -> Iterator[str]:
    """Every `$ref` in `schema`."""
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for part in schema.values():
            yield from references(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from references(part)


def accepts(struct: type[msgspec.Struct], value: object) -> tuple[bool, bool]:
    """Whether the schema takes `value`, and whether the decoder does."""
    schemas = component_schemas([struct, SimpleRequest])
    schema = {"$ref": f"#/components/schemas/{struct.__name__}", "components": {"schemas": schemas}}
    try:
        msgspec.json.decode(msgspec.json.encode(value), type=struct)
    except msgspec.ValidationError:
        return Draft202012Validator(schema).is_valid(value), False
    return Draft202012Validator(schema).is_valid(value), True


def test_null_is_one_more_type() -> None:
    """A nullable field stays flat, with its bounds and its description."""
    field = component_schemas([Leaf])["Leaf"]["properties"]["size"]
    assert field == {"type": ["integer", "null"], "minimum": 1, "description": "How large."}


def test_equal_names_of_both_dialects_are_told_apart() -> None:
    """Both dialects call their tokens `Usage`; the document has one name for each."""
    schemas = component_schemas([openai.ChatCompletion, anthropic.Message])
    assert {"OpenAIUsage", "AnthropicUsage"} <= schemas.keys()
    assert "Usage" not in schemas
    assert all(name.isidentifier() for name in schemas)


def test_every_reference_leads_somewhere() -> None:
    """No schema refers to one that is not there."""
    schemas = component_schemas(
        [*REQUESTS, SimpleAnswer, Problem, anthropic.StreamEvent, openai.ChatCompletion]
    )
    assert {found.removeprefix(PREFIX) for found in references(schemas)} <= schemas.keys()


def test_anthropics_problem_is_marked_as_an_error() -> None:
    """Its `type` is what the SDK looks for, and the rest is the same."""
    schemas = component_schemas([Problem])
    own, other = schemas["AnthropicProblem"], schemas["Problem"]
    assert own["properties"]["type"]["const"] == "error"
    assert own["properties"].keys() == other["properties"].keys()
    assert own["required"] == other["required"]


CHAT: dict[str, Any] = {"model": "sim", "messages": [{"role": "user", "content": "Hi."}]}
MESSAGES: dict[str, Any] = CHAT | {"max_tokens": 10}


@pytest.mark.parametrize(
    ("struct", "value", "valid"),
    [
        pytest.param(openai.ChatCompletionRequest, CHAT, True, id="the-least-that-a-chat-needs"),
        pytest.param(openai.ChatCompletionRequest, CHAT | {"other": [1]}, True, id="unknown-fields-pass"),
        pytest.param(
            openai.ChatCompletionRequest, CHAT | {"seed": None}, True, id="null-is-as-good-as-nothing"
        ),
        pytest.param(openai.ChatCompletionRequest, CHAT | {"model": ""}, False, id="an-empty-model-is-none"),
        pytest.param(openai.ChatCompletionRequest, CHAT | {"messages": []}, False, id="no-messages"),
        pytest.param(openai.ChatCompletionRequest, CHAT | {"temperature": 2.1}, False, id="too-hot"),
        pytest.param(
            openai.ChatCompletionRequest, CHAT | {"temperature": 0}, True, id="an-integer-is-a-number"
        ),
        pytest.param(openai.ChatCompletionRequest, CHAT | {"n": 0}, False, id="no-choices"),
        pytest.param(openai.ChatCompletionRequest, CHAT | {"n": 129}, False, id="too-many-choices"),
        pytest.param(
            openai.ChatCompletionRequest, CHAT | {"logit_bias": {"1": 101}}, False, id="bias-too-large"
        ),
        pytest.param(
            openai.ChatCompletionRequest, CHAT | {"stream": "yes"}, False, id="a-word-is-no-boolean"
        ),
        pytest.param(openai.ChatCompletionRequest, CHAT | {"stop": ["a"] * 17}, False, id="too-many-stops"),
        pytest.param(
            openai.CompletionRequest, {"model": "sim", "prompt": None}, True, id="prompt-may-be-null"
        ),
        pytest.param(openai.CompletionRequest, {"model": "sim"}, False, id="prompt-may-not-be-left-out"),
        pytest.param(openai.EmbeddingRequest, {"model": "sim", "input": ""}, False, id="no-text-to-embed"),
        pytest.param(openai.EmbeddingRequest, {"model": "sim", "input": []}, False, id="no-texts-to-embed"),
        pytest.param(
            openai.EmbeddingRequest, {"model": "sim", "input": [[1, 2]]}, True, id="tokens-to-embed"
        ),
        pytest.param(anthropic.MessagesRequest, MESSAGES, True, id="the-least-that-a-message-needs"),
        pytest.param(anthropic.MessagesRequest, CHAT, False, id="anthropic-demands-max-tokens"),
        pytest.param(
            anthropic.MessagesRequest, MESSAGES | {"temperature": 1.5}, False, id="too-hot-for-anthropic"
        ),
        pytest.param(BatchRequest, {"items": [{"message": "Hi."}, 7]}, True, id="a-bad-item-spoils-no-batch"),
        pytest.param(BatchRequest, {"items": [1] * 101}, False, id="too-many-items"),
    ],
)
def test_schema_and_decoder_agree(struct: type[msgspec.Struct], value: object, valid: bool) -> None:
    assert accepts(struct, value) == (valid, valid)


SCALARS = st.none() | st.booleans() | st.integers(-300, 3000) | st.text(max_size=3)
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(max_size=2), SCALARS, max_size=2)


@given(
    field=st.sampled_from(openai.ChatCompletionRequest.__struct_encode_fields__),
    value=VALUES | st.floats(-3, 3).filter(lambda number: number != int(number)),
)
def test_schema_and_decoder_agree_on_any_value_of_any_field(field: str, value: object) -> None:
    """JSON Schema takes 1.0 for an integer and the decoder doesn't: the one difference, so left out."""
    documented, taken = accepts(openai.ChatCompletionRequest, CHAT | {field: value})
    assert documented == taken


class Priced(msgspec.Struct):
    """Money, exactly, and a name."""

    name: Annotated[str, Meta(pattern=r"\A[a-z]+\Z")]
    cost_usd: Decimal | None


def test_exact_money_is_a_number() -> None:
    """As our encoder sends it."""
    assert component_schemas([Priced])["Priced"]["properties"]["cost_usd"]["type"] == ["number", "null"]


def test_patterns_are_those_of_json_schema() -> None:
    """ECMA-262 has other anchors than Python."""
    assert component_schemas([Priced])["Priced"]["properties"]["name"]["pattern"] == "^[a-z]+$"
