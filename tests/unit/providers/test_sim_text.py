"""The simulated model: the same text for the same messages, exact counts, both forms equal."""

import struct
from base64 import b64decode
from collections.abc import Sequence

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.providers import sim_text
from service.providers.sim_text import DEFAULT_PLAN, SimPlan, SimRefused
from service.wire.openai import (
    ChatCompletion,
    ChatCompletionRequest,
    Completion,
    CompletionRequest,
    EmbeddingRequest,
    EmbeddingResponse,
    ToolCallDelta,
    Usage,
)

HELLO = [{"role": "user", "content": "Hello there"}]
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 3}},
    "required": ["city", "days"],
}
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "get_time"}},
]


class Delta(msgspec.Struct):
    """What a chunk must have, stricter than the gateway reads providers."""

    content: str | None = None
    tool_calls: list[ToolCallDelta] = []


class EventChoice(msgspec.Struct):
    """One choice's share of a chunk."""

    index: int
    delta: Delta
    finish_reason: str | None


class Event(msgspec.Struct):
    """A chat completion chunk."""

    id: str
    created: int
    model: str
    system_fingerprint: str
    choices: list[EventChoice]
    usage: Usage | msgspec.UnsetType | None = msgspec.UNSET


def whole(model: str = "sim", messages: Sequence[object] = HELLO, **fields: object) -> ChatCompletion:
    return msgspec.json.decode(answer(model, messages, **fields).body, type=ChatCompletion)


def answer(model: str = "sim", messages: Sequence[object] = HELLO, **fields: object) -> sim_text.SimAnswer:
    body = msgspec.json.encode({"model": model, "messages": messages, **fields})
    request = msgspec.json.decode(body, type=ChatCompletionRequest)
    return sim_text.chat_completion(request, created=7, id="chatcmpl_1")


def chunks(model: str = "sim", messages: Sequence[object] = HELLO, **fields: object) -> list[Event]:
    made = answer(model, messages, stream=True, **fields).chunks
    return [msgspec.json.decode(chunk, type=Event) for chunk in made]


def content(found: ChatCompletion, index: int = 0) -> str:
    text = found.choices[index].message.content
    assert text is not None
    return text


def streamed(found: list[Event], index: int = 0) -> str:
    choices = [choice for chunk in found for choice in chunk.choices if choice.index == index]
    return "".join(choice.delta.content or "" for choice in choices)


def called(found: ChatCompletion) -> list[tuple[str, str]]:
    calls = found.choices[0].message.tool_calls or []
    return [(call.function.name, call.function.arguments) for call in calls if call.function]


def completion_tokens(usage: Usage | msgspec.UnsetType | None) -> int:
    assert isinstance(usage, Usage)
    return usage.completion_tokens


@pytest.mark.parametrize(
    ("name", "plan"),
    [
        pytest.param("sim", DEFAULT_PLAN, id="the-default"),
        pytest.param("sim-embed", DEFAULT_PLAN, id="the-name-for-embeddings"),
        pytest.param("sim-200-20ms", SimPlan(200, 0.02), id="tokens-and-pace"),
        pytest.param("sim-5-0ms", SimPlan(5, 0.0), id="no-pace"),
        pytest.param("sim-100000-60000ms", SimPlan(100_000, 60.0), id="both-bounds"),
        pytest.param("sim-0-0ms", None, id="no-tokens"),
        pytest.param("sim-100001-0ms", None, id="too-many-tokens"),
        pytest.param("sim-1-60001ms", None, id="too-slow"),
        pytest.param("sim-9999999999999999-0ms", None, id="far-too-many-tokens"),
        pytest.param("sim-5-0", None, id="no-unit"),
        pytest.param("sim-5", None, id="no-pace-given"),
        pytest.param("simple", None, id="another-name-that-begins-so"),
        pytest.param("sim-5-0ms\n", None, id="a-line-feed-behind-it"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_parse_model(name: str, plan: SimPlan | None) -> None:
    assert sim_text.parse_model(name) == plan


@given(
    tokens=st.integers(1, 300),
    text=st.text(max_size=200),
    limit=st.none() | st.integers(1, 320),
    stop=st.lists(st.sampled_from([" ", "the", "answer.", "zzz", "", ". "]), max_size=3),
)
def test_both_forms_say_the_same_and_count_it_exactly(
    tokens: int, text: str, limit: int | None, stop: list[str]
) -> None:
    """Whatever is cut: joined chunks are the whole text, a chunk a token, and usage counts them."""
    messages = [{"role": "user", "content": text}]
    fields: dict[str, object] = {"max_tokens": limit, "stop": stop, "stream_options": {"include_usage": True}}
    model = f"sim-{tokens}-0ms"
    body, events = whole(model, messages, **fields), chunks(model, messages, **fields)
    pieces = [chunk.choices[0].delta.content for chunk in events[1:-2]]
    assert streamed(events) == content(body)
    assert completion_tokens(body.usage) == len(pieces) <= min(tokens, limit or tokens)
    assert all(pieces)
    assert events[-1].usage == body.usage
    assert events[-2].choices[0].finish_reason == body.choices[0].finish_reason
    assert isinstance(body.usage, Usage)
    assert body.usage.prompt_tokens == len(text.split())
    assert body.usage.total_tokens == body.usage.prompt_tokens + len(pieces)


@given(tokens=st.integers(1, 300), text=st.text(max_size=100))
def test_a_model_says_exactly_as_many_words_as_its_name_asks_for(tokens: int, text: str) -> None:
    """A token is a word with the space before it, and the text ends in a full stop."""
    said = content(whole(f"sim-{tokens}-0ms", [{"role": "user", "content": text}]))
    assert len(said.split(" ")) == tokens
    assert said.endswith(".")


def test_the_same_messages_bring_the_same_text_at_any_pace() -> None:
    """Pace and length don't change what is said, other messages do."""
    assert content(whole()) == content(whole())
    assert content(whole("sim-200-20ms")).startswith(content(whole("sim-40-0ms")).rstrip("."))
    others = {
        content(whole("sim-60-0ms", [{"role": "user", "content": f"Hello {n}"}]))[40:] for n in range(20)
    }
    assert len(others) > 15


@pytest.mark.parametrize(
    ("fields", "text", "reason"),
    [
        pytest.param({}, "This is a simulated answer.", "stop", id="as-planned"),
        pytest.param({"max_tokens": 2}, "This is", "length", id="max-tokens-cuts"),
        pytest.param({"max_completion_tokens": 2}, "This is", "length", id="so-does-max-completion-tokens"),
        pytest.param({"max_tokens": 5}, "This is a simulated answer.", "stop", id="just-enough-is-no-cut"),
        pytest.param({"stop": "sim"}, "This is a ", "stop", id="stop-within-a-word"),
        pytest.param({"stop": ["zzz", " a"]}, "This is", "stop", id="the-first-stop-that-occurs"),
        pytest.param({"stop": ["T"]}, "", "stop", id="stop-at-once"),
        pytest.param({"stop": "answer", "max_tokens": 2}, "This is", "length", id="a-stop-behind-the-cut"),
        pytest.param({"stop": ""}, "This is a simulated answer.", "stop", id="an-empty-stop-stops-nothing"),
    ],
)
def test_ends(fields: dict[str, object], text: str, reason: str) -> None:
    found = whole("sim-5-0ms", HELLO, **fields)
    assert (content(found), found.choices[0].finish_reason) == (text, reason)


def test_every_form_says_that_it_is_simulated() -> None:
    """The fingerprint is in the whole answer and in each chunk, the usage chunk too."""
    events = chunks(stream_options={"include_usage": True})
    assert {whole().system_fingerprint, *(chunk.system_fingerprint for chunk in events)} == {"penstock-sim"}
    assert {(chunk.id, chunk.created, chunk.model) for chunk in events} == {("chatcmpl_1", 7, "sim")}
    assert "simulated" in content(whole())


def test_usage_only_when_asked_for() -> None:
    """Without stream_options no chunk has usage; with it the last one has, and the others null."""
    assert all(chunk.usage is msgspec.UNSET for chunk in chunks())
    events = chunks(stream_options={"include_usage": True})
    assert [chunk.usage for chunk in events[:-1]] == [None] * (len(events) - 1)
    assert events[-1].choices == []


def test_prompt_tokens_are_the_words_of_all_texts() -> None:
    """System, parts and tool results count; images don't."""
    messages = [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is  this?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            ],
        },
    ]
    found = whole("sim-12-0ms", messages)
    assert found.usage
    assert found.usage.prompt_tokens == 5
    assert '"What is this?"' in content(found)


def test_choices() -> None:
    """Each of n choices is whole in both forms, and each is counted."""
    found, events = whole("sim-5-0ms", n=3), chunks("sim-5-0ms", n=3)
    assert [choice.index for choice in found.choices] == [0, 1, 2]
    assert completion_tokens(found.usage) == 15
    assert [streamed(events, index) for index in range(3)] == [content(found)] * 3
    assert [chunk.choices[0].finish_reason for chunk in events[-3:]] == ["stop"] * 3


@pytest.mark.parametrize(
    ("said", "fields", "names"),
    [
        pytest.param("call get_weather", {}, ["get_weather"], id="the-message-says-so"),
        pytest.param(
            "call get_time, call get_weather.",
            {},
            ["get_time", "get_weather"],
            id="two-in-the-message's-order",
        ),
        pytest.param(
            "call get_time call get_time",
            {"parallel_tool_calls": False},
            ["get_time"],
            id="one-where-not-parallel",
        ),
        pytest.param("Hi", {"tool_choice": "required"}, ["get_weather"], id="required-calls-the-first"),
        pytest.param(
            "call get_time", {"tool_choice": "required"}, ["get_time"], id="required-calls-the-one-asked-for"
        ),
        pytest.param(
            "Hi",
            {"tool_choice": {"type": "function", "function": {"name": "get_time"}}},
            ["get_time"],
            id="a-named-function",
        ),
        pytest.param("Hi", {}, [], id="nobody-asked"),
        pytest.param("call get_weather", {"tool_choice": "none"}, [], id="forbidden"),
        pytest.param("call the_police", {}, [], id="no-such-tool"),
    ],
)
def test_tool_calls(said: str, fields: dict[str, object], names: list[str]) -> None:
    messages = [{"role": "user", "content": said}]
    found = whole("sim", messages, tools=TOOLS, **fields)
    assert [name for name, _ in called(found)] == names
    assert found.choices[0].finish_reason == ("tool_calls" if names else "stop")
    assert (found.choices[0].message.content is None) is bool(names)


def test_streamed_calls_are_the_whole_ones_in_several_pieces() -> None:
    """Id, type and name come with a call's first piece; the arguments' pieces join to valid JSON."""
    messages = [{"role": "user", "content": "call get_weather call get_time"}]
    found, events = whole("sim", messages, tools=TOOLS), chunks("sim", messages, tools=TOOLS)
    calls: dict[int, list[str]] = {}
    ids: list[str] = []
    for chunk in events[:-1]:
        for delta in chunk.choices[0].delta.tool_calls:
            assert delta.function
            calls.setdefault(delta.index, []).append(delta.function.arguments or "")
            ids += [delta.id] if delta.id else []
    assert ["".join(pieces) for pieces in calls.values()] == [arguments for _, arguments in called(found)]
    assert len(calls[0]) > 2
    assert ids == [call.id for call in found.choices[0].message.tool_calls or []]
    assert len(set(ids)) == 2
    assert msgspec.json.decode(called(found)[0][1]) == {"city": "example", "days": 3}
    assert completion_tokens(found.usage) == len(events) - 1


def test_calls_are_cut_by_the_maximum_like_text() -> None:
    """The arguments break off, and the finish reason says so."""
    found = whole("sim", [{"role": "user", "content": "call get_weather"}], tools=TOOLS, max_tokens=2)
    assert called(found) == [("get_weather", '{"city":')]
    assert found.choices[0].finish_reason == "length"
    assert completion_tokens(found.usage) == 2


def test_a_tools_result_is_answered_in_words() -> None:
    """An agent's loop ends: the result counts, not the user's wish before it."""
    messages = [
        {"role": "user", "content": "call get_time"},
        {
            "role": "assistant",
            "tool_calls": [{"id": "1", "function": {"name": "get_time", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "noon"},
    ]
    assert 'You fetched "noon".' in content(whole("sim", messages, tools=TOOLS))


SCHEMAS = [
    pytest.param(WEATHER, id="an-object"),
    pytest.param({"type": "object", "properties": {"a": {"enum": [3, 4]}}, "required": ["a"]}, id="an-enum"),
    pytest.param({"type": "object", "properties": {"a": {"const": "x"}}, "required": ["a"]}, id="a-constant"),
    pytest.param(
        {
            "type": "object",
            "properties": {"a": {"type": "array", "minItems": 2, "items": {"type": "boolean"}}},
            "required": ["a"],
        },
        id="an-array",
    ),
    pytest.param(
        {
            "$defs": {
                "Place": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}
            },
            "type": "object",
            "properties": {"place": {"$ref": "#/$defs/Place"}, "or": {"anyOf": [{"type": "null"}, {}]}},
            "required": ["place", "or"],
        },
        id="references-and-choices",
    ),
    pytest.param(
        {
            "allOf": [
                {
                    "type": "object",
                    "properties": {"a": {"type": "string", "minLength": 9}},
                    "required": ["a"],
                },
                {"type": "object", "properties": {"b": {"type": ["integer", "null"]}}, "required": ["b"]},
            ]
        },
        id="all-of-several",
    ),
    pytest.param({"type": "object"}, id="nothing-required"),
]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_arguments_and_formatted_answers_fit_their_schema(schema: dict[str, object]) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    arguments = called(whole(tools=[tool], tool_choice="required"))[0][1]
    jsonschema_rs.validate(schema, msgspec.json.decode(arguments))
    wanted = {"type": "json_schema", "json_schema": {"name": "f", "schema": schema}}
    assert content(whole(response_format=wanted)) == arguments


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"type": 5}, id="no-schema-at-all"),
        pytest.param(
            {
                "$defs": {
                    "T": {"type": "object", "properties": {"t": {"$ref": "#/$defs/T"}}, "required": ["t"]}
                },
                "$ref": "#/$defs/T",
            },
            id="an-endless-one",
        ),
        pytest.param(
            {
                "$defs": {"T": {"type": "array", "minItems": 100, "items": {"$ref": "#/$defs/T"}}},
                "type": "object",
                "properties": {"t": {"$ref": "#/$defs/T"}},
                "required": ["t"],
            },
            id="one-that-explodes",
        ),
        pytest.param(
            {
                "$defs": {"T": {"type": "array", "minItems": 100, "items": {"default": "x" * 50_000}}},
                "type": "object",
                "properties": {"t": {"$ref": "#/$defs/T"}},
                "required": ["t"],
            },
            id="a-long-default-many-times",
        ),
    ],
)
def test_impossible_schemas_get_some_bounded_json(schema: dict[str, object]) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    arguments = called(whole(tools=[tool], tool_choice="required"))[0][1]
    assert len(arguments) < 1_000_000
    assert isinstance(msgspec.json.decode(arguments), dict)


def test_json_mode() -> None:
    """Without a schema the answer is some JSON object."""
    assert msgspec.json.decode(content(whole(response_format={"type": "json_object"}))) == {"simulated": True}


def test_too_many_choices_are_refused() -> None:
    """A hundred thousand tokens, a hundred and twenty-eight times, would hold up everyone else."""
    with pytest.raises(SimRefused) as refused:
        answer("sim-100000-0ms", n=128)
    assert refused.value.param == "n"


def text_completion(prompt: object, **fields: object) -> tuple[Completion, list[Completion]]:
    body = msgspec.json.encode({"model": "sim-5-0ms", "prompt": prompt, **fields})
    made = sim_text.completion(msgspec.json.decode(body, type=CompletionRequest), created=7, id="cmpl_1")
    events = [msgspec.json.decode(chunk, type=Completion) for chunk in made.chunks]
    return msgspec.json.decode(made.body, type=Completion), events


@pytest.mark.parametrize(
    ("prompt", "fields", "texts", "prompt_tokens"),
    [
        pytest.param("One two", {}, ["This is a simulated answer."], 2, id="one-prompt"),
        pytest.param(["One", "two"], {}, ["This is a simulated answer."] * 2, 2, id="several-prompts"),
        pytest.param("One", {"n": 2, "max_tokens": 1}, ["This"] * 2, 1, id="several-choices-cut"),
        pytest.param("One", {"echo": True, "max_tokens": 2}, ["One This is"], 1, id="echo"),
        pytest.param("One", {"max_tokens": 0}, [""], 1, id="no-tokens"),
        pytest.param([5, 6, 7], {"max_tokens": 1}, ["This"], 3, id="token-numbers"),
        pytest.param([[5, 6], [7]], {"max_tokens": 1}, ["This", "This"], 3, id="lists-of-token-numbers"),
        pytest.param(None, {"max_tokens": 1}, ["This"], 0, id="no-prompt"),
    ],
)
def test_text_completions(
    prompt: object, fields: dict[str, object], texts: list[str], prompt_tokens: int
) -> None:
    found, events = text_completion(prompt, stream_options={"include_usage": True}, **fields)
    assert [choice.text for choice in found.choices] == texts
    for index, text in enumerate(texts):
        pieces = [choice.text for event in events for choice in event.choices if choice.index == index]
        assert "".join(pieces) == text
    assert found.usage
    assert found.usage.prompt_tokens == prompt_tokens
    assert events[-1].usage == found.usage
    assert {event.system_fingerprint for event in (found, *events)} == {"penstock-sim"}


def embed(given: object, **fields: object) -> EmbeddingResponse:
    body = msgspec.json.encode({"model": "sim-embed", "input": given, **fields})
    answered = sim_text.embeddings(msgspec.json.decode(body, type=EmbeddingRequest))
    return msgspec.json.decode(answered, type=EmbeddingResponse)


def vectors(found: EmbeddingResponse) -> list[list[float]]:
    return [item.embedding for item in found.data if isinstance(item.embedding, list)]


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@given(texts=st.lists(st.text(), min_size=1, max_size=5), dimensions=st.integers(1, 300))
def test_vectors_are_of_unit_length_in_both_encodings(texts: list[str], dimensions: int) -> None:
    """As many numbers as asked for, the same as text and as base64, with every word counted."""
    plain = embed(texts, dimensions=dimensions)
    coded = embed(texts, dimensions=dimensions, encoding_format="base64")
    for numbers, item in zip(vectors(plain), coded.data, strict=True):
        assert isinstance(item.embedding, str)
        assert list(struct.unpack(f"<{dimensions}f", b64decode(item.embedding))) == numbers
        assert cosine(numbers, numbers) == pytest.approx(1, abs=1e-5)
    assert plain.usage.prompt_tokens == plain.usage.total_tokens == sum(len(text.split()) for text in texts)
    assert [item.index for item in plain.data] == list(range(len(texts)))


def test_texts_that_share_words_are_nearer() -> None:
    """Case and punctuation don't count, and the order of the inputs is kept."""
    near, other, same = vectors(
        embed(["the old mill wheel", "a quarterly tax return", "Old mill: the wheel!"])
    )
    base = vectors(embed("the old mill pond"))[0]
    assert cosine(base, near) > 0.5 > cosine(base, other)
    assert cosine(near, same) == pytest.approx(1, abs=1e-5)


def test_token_numbers_are_embedded_as_one_text() -> None:
    """A list of numbers is one input; a list of lists is several."""
    assert embed([1, 2, 3]).usage.prompt_tokens == 3
    assert len(embed([1, 2, 3]).data) == 1
    assert len(embed([[1, 2], [3]]).data) == 2
    assert len(vectors(embed("hello"))[0]) == 256


@pytest.mark.parametrize(
    ("given", "fields", "param"),
    [
        pytest.param("hello", {"dimensions": 10**12}, "dimensions", id="more-dimensions-than-memory"),
        pytest.param("a " * 300_001, {}, "input", id="more-words-than-time"),
    ],
)
def test_too_much_is_refused(given: str, fields: dict[str, object], param: str) -> None:
    with pytest.raises(SimRefused) as refused:
        embed(given, **fields)
    assert refused.value.param == param
