"""What both dialects can say survives the way there and back."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from service.chat.translate import chat_to_messages, messages_to_chat
from service.wire.anthropic import MessagesRequest
from service.wire.openai import ChatCompletionRequest
from tests.unit.translate.dialogue import ARGUMENTS, IDS, NAMES, WORDS, Json, decode, encode, members

IMAGES = st.sampled_from(["https://x.example/a.png", "data:image/png;base64,AAAA"])
TEXTS = st.builds(lambda text: {"type": "text", "text": text}, WORDS)
PICTURES = st.builds(lambda url: {"type": "image_url", "image_url": {"url": url}}, IMAGES)
# A single text is a string in both dialects' simplest form.
PARTS = st.lists(TEXTS | PICTURES, min_size=2, max_size=3)
TOOLS = st.lists(
    st.fixed_dictionaries(
        {"name": NAMES, "parameters": st.just({"type": "object", "properties": {"a": {"minimum": 1.5}}})},
        optional={"description": WORDS, "strict": st.booleans()},
    ),
    min_size=1,
    max_size=2,
)
CHOICES = st.sampled_from(["auto", "required", {"type": "function", "function": {"name": "search"}}])


@st.composite
def turns(draw: st.DrawFn) -> list[Json]:
    """One side's question, and what the other said and called, with the results."""
    found: list[Json] = [{"role": "user", "content": draw(WORDS | PARTS)}]
    said: Json = {"role": "assistant", "content": draw(WORDS)}
    if thoughts := draw(st.lists(WORDS, max_size=2)):
        said["thinking_blocks"] = [
            {"type": "thinking", "thinking": text, "signature": "S"} for text in thoughts
        ]
        said["reasoning_content"] = "".join(thoughts)
    calls = draw(st.lists(st.tuples(NAMES, ARGUMENTS), max_size=2))
    if not calls:
        return [*found, said]
    functions = [{"name": name, "arguments": encode(arguments).decode()} for name, arguments in calls]
    said["tool_calls"] = [
        {"id": f"c{number}", "type": "function", "function": function}
        for number, function in enumerate(functions)
    ]
    results = [
        {"role": "tool", "tool_call_id": f"c{number}", "content": draw(WORDS)} for number in range(len(calls))
    ]
    return [*found, said, *results, {"role": "assistant", "content": draw(WORDS)}]


@st.composite
def requests(draw: st.DrawFn) -> Json:
    """A chat completion request whose every member Anthropic can say."""
    system = [{"role": "system", "content": draw(WORDS)}] if draw(st.booleans()) else []
    conversation = [message for turn in draw(st.lists(turns(), min_size=1, max_size=2)) for message in turn]
    request: Json = draw(
        st.fixed_dictionaries(
            {
                "model": st.just("m"),
                "messages": st.just(system + conversation),
                "max_tokens": st.integers(1, 9999),
            },
            optional={
                "temperature": st.floats(0, 1),
                "top_p": st.floats(0, 1),
                "stop": st.lists(WORDS, min_size=1, max_size=4),
                "user": IDS,
                "stream": st.just(value=False),
            },
        )
    )
    if draw(st.booleans()):
        request["tools"] = [{"type": "function", "function": tool} for tool in draw(TOOLS)]
        request["tool_choice"] = draw(CHOICES)
        request |= {"parallel_tool_calls": False} if draw(st.booleans()) else {}
    return request


@settings(max_examples=100)
@given(requests())
def test_a_request_survives_the_way_to_anthropic_and_back(request: Json) -> None:
    body = encode(request)
    decoded = msgspec.json.decode(body, type=ChatCompletionRequest)
    there = chat_to_messages(decoded, members(body), model="m", max_output_tokens=1)
    assert there.dropped == ()
    arrived = msgspec.json.decode(there.body, type=MessagesRequest)
    back = messages_to_chat(arrived, members(there.body), model="m")
    assert back.dropped == ()
    assert decode(back.body) == request
