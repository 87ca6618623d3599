"""The client's verdict on an answer: a wrong one is never taken for a right one."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import answers
from benchmarks.checking import StreamChecker, order_fault, whole_fault

END = answers.end_events(4, include_usage=True)


def tokens(*numbers: int) -> bytes:
    return b"".join(answers.token_event(number) for number in numbers)


def verdict(*pieces: bytes, expected: int = 4) -> str | None:
    checker = StreamChecker(expected)
    for piece in pieces:
        checker.feed(piece)
    return checker.close()


RIGHT = tokens(0, 1, 2, 3) + END


@pytest.mark.parametrize(
    ("wire", "fault"),
    [
        pytest.param(RIGHT, None, id="a-whole-stream-is-right"),
        pytest.param(RIGHT.replace(b"\n", b"\r\n"), None, id="crlf-is-right-too"),
        pytest.param(RIGHT.replace(b"data: ", b"id: st-1\ndata: "), None, id="ids-are-passed-over"),
        pytest.param(b": heartbeat\n\n" + RIGHT, None, id="comments-are-passed-over"),
        pytest.param(tokens(0, 1, 3) + END, "lost event", id="one-lost"),
        pytest.param(tokens(0, 1, 2) + END, "lost event", id="the-last-lost"),
        pytest.param(tokens(0, 1, 1, 2, 3) + END, "extra event", id="one-twice"),
        pytest.param(tokens(0, 1, 1, 3) + END, "extra event", id="one-in-the-place-of-another"),
        pytest.param(tokens(0, 1, 2, 3, 4) + END, "extra event", id="one-too-many"),
        pytest.param(tokens(0, 2, 1, 3) + END, "swapped order", id="two-swapped"),
        pytest.param(tokens(0, 1, 2, 3), "no [DONE]", id="the-end-missing"),
        pytest.param(tokens(0, 1), "no [DONE]", id="cut-in-the-middle"),
        pytest.param(b"", "no [DONE]", id="nothing-at-all"),
        pytest.param(tokens(0, 1, 2, 3) + b"data: [DONE]\n\n", "no finish_reason", id="no-finish-reason"),
        pytest.param(
            tokens(0, 1, 2, 3) + answers.end_events(4, include_usage=False), "wrong usage", id="no-usage"
        ),
        pytest.param(
            tokens(0, 1, 2, 3) + answers.end_events(5, include_usage=True),
            "wrong usage",
            id="usage-of-another",
        ),
        pytest.param(RIGHT + tokens(3), "event after [DONE]", id="an-event-after-the-end"),
        pytest.param(RIGHT + b"data: {", "bytes after the end: b'data: {'", id="half-an-event-after-the-end"),
        pytest.param(b"data: <html>\n\n" + RIGHT, "not a chunk: b'<html>'", id="not-json"),
        pytest.param(
            tokens(0) + b'data: {"error": {"code": "x"}}\n\n',
            "error event: {'code': 'x'}",
            id="an-error-event",
        ),
    ],
)
def test_verdict(wire: bytes, fault: str | None) -> None:
    assert verdict(wire) == fault


@given(st.lists(st.integers(0, len(RIGHT))))
def test_cuts_between_reads_change_nothing(cuts: list[int]) -> None:
    """However the bytes are torn, the stream is right and each token is counted once."""
    edges = [0, *sorted(cuts), len(RIGHT)]
    checker = StreamChecker(4)
    counted = sum(checker.feed(RIGHT[a:b]) for a, b in itertools.pairwise(edges))
    assert counted == 4
    assert checker.close() is None


@given(st.lists(st.integers(0, 6), max_size=8))
def test_only_the_exact_order_is_right(seen: list[int]) -> None:
    """Any other list of numbers, of whatever length, is a fault."""
    assert (order_fault(seen, 5) is None) == (seen == [0, 1, 2, 3, 4])


@pytest.mark.parametrize("fault", ["lost", "extra", "swapped", "cut"])
@pytest.mark.parametrize("count", [2, 3, 100])
def test_every_planted_fault_changes_the_order(fault: str, count: int) -> None:
    """What the mock provider is told to do wrong is wrong for the checker too, in short streams as well."""
    assert order_fault(answers.order(count, fault), count) is not None


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        pytest.param(answers.WHOLE_ANSWER, None, id="the-answer-is-right"),
        pytest.param(b"{}", "not an answer: b'{}'", id="an-empty-object"),
        pytest.param(answers.WHOLE_ANSWER[:-1], f"not an answer: {answers.WHOLE_ANSWER[:40]!r}", id="cut"),
        pytest.param(answers.WHOLE_ANSWER.replace(b"sluice", b"slvice"), "wrong answer", id="other-text"),
    ],
)
def test_whole_answers(body: bytes, fault: str | None) -> None:
    assert whole_fault(body, answers.SAID) == fault
