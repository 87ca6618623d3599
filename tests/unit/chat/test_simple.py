"""The simple surface in OpenAI's terms, there and back."""

import msgspec
import pytest

from service.chat.simple import ChunksToTokens, to_answer, to_chat
from service.wire.simple import SimpleAnswer, SimpleRequest, SimpleUsage
from service.wire.sse import Event


def as_json(request: SimpleRequest, *, stream: bool = False) -> dict[str, object]:
    """The chat completion's members, decoded."""
    _, members = to_chat(request, "fast", stream=stream)
    return {name: msgspec.json.decode(value) for name, value in members.items()}


@pytest.mark.parametrize(
    ("request_", "stream", "expected"),
    [
        pytest.param(SimpleRequest(message="Hi"), False, {}, id="a-message"),
        pytest.param(SimpleRequest(message="Hi"), True, {"stream": True}, id="streamed"),
        pytest.param(
            SimpleRequest(message="Hi", temperature=0.0, max_tokens=5),
            False,
            {"temperature": 0.0, "max_tokens": 5},
            id="with-settings",
        ),
    ],
)
def test_a_request_is_a_chat_completion(
    request_: SimpleRequest, stream: bool, expected: dict[str, object]
) -> None:
    messages = [{"role": "user", "content": "Hi"}]
    assert as_json(request_, stream=stream) == {"model": "fast", "messages": messages, **expected}


def test_the_system_text_comes_first() -> None:
    """Also an empty one: the caller said so."""
    for system in ("Be brief.", ""):
        roles = as_json(SimpleRequest(message="Hi", system=system))["messages"]
        assert roles == [{"role": "system", "content": system}, {"role": "user", "content": "Hi"}]


def test_the_struct_and_the_members_say_the_same() -> None:
    """Both go on: one is read, the other forwarded."""
    body, members = to_chat(SimpleRequest(message="Hi", max_tokens=5), "fast", stream=True)
    assert (body.model, body.stream, body.max_tokens, len(body.messages)) == ("fast", True, 5, 1)
    assert set(members) == {"model", "messages", "stream", "max_tokens"}


USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(
            {"id": "c", "model": "gpt", "choices": [{"message": {"content": "Hello"}}], "usage": USAGE},
            SimpleAnswer("c", "Hello", "gpt", SimpleUsage(1, 2, 3), 0.5, 12),
            id="whole",
        ),
        pytest.param(
            {"choices": [{"message": {"content": None, "tool_calls": []}}], "extra": 1},
            SimpleAnswer("", "", "", SimpleUsage(), 0.5, 12),
            id="without-text-or-usage",
        ),
        pytest.param(
            {
                "id": "c",
                "choices": [{"message": {"content": "a"}}, {"message": {"content": "b"}}],
                "usage": None,
            },
            SimpleAnswer("c", "ab", "", SimpleUsage(), 0.5, 12),
            id="two-choices",
        ),
        pytest.param(
            {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
            SimpleAnswer("", "", "", SimpleUsage(3, 2, 5), 0.5, 12),
            id="a-total-that-the-provider-left-out",
        ),
    ],
)
def test_an_answer_is_its_text(found: dict[str, object], expected: SimpleAnswer) -> None:
    assert to_answer(msgspec.json.encode(found), cost_usd=0.5, latency_ms=12) == expected


def test_what_is_no_completion_is_no_answer() -> None:
    """The caller of this turns it into the provider's fault."""
    with pytest.raises(msgspec.MsgspecError):
        to_answer(b'{"choices":"none"}', cost_usd=None, latency_ms=0)


def decoded(events: list[Event]) -> list[object]:
    """What the events say; none has a name."""
    assert not any(event.name for event in events)
    return [msgspec.json.decode(event.data) for event in events]


def test_chunks_become_tokens_and_a_last_word() -> None:
    """Cost and time are asked for at the end; usage may come in the last chunk, without choices."""
    asked: list[str] = []

    def cost_usd() -> float:
        asked.append("cost")
        return 0.25

    translator = ChunksToTokens(cost_usd, lambda: 99)
    chunks: list[dict[str, object]] = [
        {"id": "c", "model": "gpt", "choices": [{"delta": {"role": "assistant", "content": ""}}]},
        {"id": "x", "model": "y", "choices": [{"delta": {"content": "Hel"}}]},
        {"choices": [{"delta": {"content": "lo"}, "finish_reason": None}]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": USAGE},
    ]
    made = [decoded(translator.feed(Event(msgspec.json.encode(chunk)))) for chunk in chunks]
    assert made == [[], [{"token": "Hel"}], [{"token": "lo"}], [], []]
    assert asked == []
    assert decoded(translator.close()) == [
        {"id": "c", "model": "gpt", "usage": USAGE, "cost_usd": 0.25, "latency_ms": 99, "done": True}
    ]
