"""Reading what is asked, from bodies as clients and gateways write them."""

import msgspec
import pytest

from benchmarks.upstream.questions import Question, Questions
from benchmarks.upstream.script import NotAScript, Script, prompt

SCRIPT = Script(tokens=9)
SAID = prompt(SCRIPT, "Hello")
UNDERSTOOD = msgspec.structs.replace(SCRIPT, chars=5)


def body(**members: object) -> bytes:
    return msgspec.json.encode(members)


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    ("asked", "question"),
    [
        pytest.param(body(messages=[user(SAID)]), Question(False, False, UNDERSTOOD), id="whole"),
        pytest.param(
            body(messages=[user(SAID)], stream=True), Question(True, False, UNDERSTOOD), id="streamed"
        ),
        pytest.param(
            body(messages=[user(SAID)], stream=True, stream_options={"include_usage": True}),
            Question(True, True, UNDERSTOOD),
            id="with-usage",
        ),
        pytest.param(
            body(messages=[{"role": "system", "content": "Be brief."}, user(SAID)]),
            Question(False, False, UNDERSTOOD),
            id="the-last-message-counts",
        ),
        pytest.param(
            body(messages=[user([{"type": "text", "text": SAID[:20]}, {"type": "text", "text": SAID[20:]}])]),
            Question(False, False, UNDERSTOOD),
            id="text-in-parts",
        ),
        pytest.param(
            body(messages=[user([{"type": "image"}, {"type": "text", "text": SAID}])]),
            Question(False, False, UNDERSTOOD),
            id="parts-without-text",
        ),
        pytest.param(
            body(messages=[user("Hi")], temperature=1, unknown={"a": []}),
            Question(False, False, Script()),
            id="no-script-and-other-members",
        ),
    ],
)
def test_what_is_asked(asked: bytes, question: Question) -> None:
    """The first time and from memory."""
    questions = Questions(Script())
    assert [questions.understand(asked) for _ in range(2)] == [question, question]


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="no-json"),
        pytest.param(b"[]", id="no-object"),
        pytest.param(b"{}", id="no-messages"),
        pytest.param(body(messages=[]), id="an-empty-list"),
        pytest.param(body(messages=[{"role": "user"}]), id="no-content"),
        pytest.param(body(messages=[user(SAID[:-1])]), id="a-torn-prompt"),
        pytest.param(body(messages=[user(SAID)])[:-2], id="a-torn-body"),
        pytest.param(b'{"messages": [{"role": "user", "content": "\xff"}]}', id="no-utf-8"),
    ],
)
def test_what_can_not_be_understood_is_refused_each_time(asked: bytes) -> None:
    questions = Questions(Script())
    for _ in range(2):
        with pytest.raises(NotAScript):
            questions.understand(asked)


def test_memory_is_bounded_and_forgets_nothing_that_matters() -> None:
    """More different bodies than are kept: each is still understood as what it is."""
    questions = Questions(Script())
    for _ in range(2):
        for tokens in range(1, 600):
            asked = body(messages=[user(prompt(Script(tokens=tokens), "Hello"))])
            assert questions.understand(asked).script.tokens == tokens
            assert len(questions._known) <= 256
