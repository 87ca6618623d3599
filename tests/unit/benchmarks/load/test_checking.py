"""The client's verdict on an answer: a wrong one is never taken for a right one."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load.checking import CHECKERS, Dialect, order_fault, whole_fault
from benchmarks.upstream import dialects
from benchmarks.upstream.script import FAULTS, SAID, WHOLE_TOKENS, order

LANGUAGES: dict[Dialect, dialects.Dialect] = {"openai": dialects.OPENAI, "anthropic": dialects.ANTHROPIC}
STREAM_FAULTS = [fault for fault in FAULTS if fault not in ("refused", "wrong", "unfinished")]


def verdict(dialect: Dialect, *pieces: bytes, tokens: int = 4) -> str | None:
    checker = CHECKERS[dialect](tokens)
    for piece in pieces:
        checker.feed(piece)
    return checker.close()


def chunks(*numbers: int) -> bytes:
    return b"".join(dialects.OPENAI.token(number) for number in numbers)


def end(tokens: int = 4, usage: bool = True) -> bytes:
    return dialects.OPENAI.end(tokens, usage)


RIGHT = chunks(0, 1, 2, 3) + end()
FINISH, USAGE, DONE = (event + b"\n\n" for event in end().removesuffix(b"\n\n").split(b"\n\n"))


@pytest.mark.parametrize(
    ("wire", "fault"),
    [
        pytest.param(RIGHT, None, id="a-whole-stream-is-right"),
        pytest.param(RIGHT.replace(b"\n", b"\r\n"), None, id="crlf-is-right-too"),
        pytest.param(RIGHT.replace(b"data: ", b"data:"), None, id="a-space-after-the-colon-is-optional"),
        pytest.param(RIGHT.replace(b"data: ", b"id: st-1\ndata: "), None, id="ids-are-passed-over"),
        pytest.param(b": heartbeat\n\n" + RIGHT, None, id="comments-are-passed-over"),
        pytest.param(RIGHT + b": bye\n\n", None, id="a-comment-after-the-end-is-no-event"),
        pytest.param(chunks(0, 1, 3) + end(), "lost event", id="one-lost"),
        pytest.param(chunks(1, 2, 3) + end(), "lost event", id="the-first-lost"),
        pytest.param(chunks(0, 1, 2) + end(), "lost event", id="the-last-lost"),
        pytest.param(end(), "lost event", id="every-one-lost"),
        pytest.param(chunks(0, 1, 1, 2, 3) + end(), "extra event", id="one-twice"),
        pytest.param(chunks(0, 1, 1, 3) + end(), "extra event", id="one-in-the-place-of-another"),
        pytest.param(chunks(0, 1, 2, 3, 4) + end(), "extra event", id="one-too-many"),
        pytest.param(chunks(0, 2, 1, 3) + end(), "swapped order", id="two-swapped"),
        pytest.param(chunks(0, 1, 2, 3), "no [DONE]", id="the-end-missing"),
        pytest.param(chunks(0, 1), "no [DONE]", id="cut-in-the-middle"),
        pytest.param(b"", "no [DONE]", id="nothing-at-all"),
        pytest.param(chunks(0, 1, 2, 3) + USAGE + DONE, "no finish_reason", id="finish-reason-lost"),
        pytest.param(chunks(0, 1, 2, 3) + DONE, "no finish_reason", id="only-done"),
        pytest.param(chunks(0, 1, 2, 3) + end(usage=False), "wrong usage", id="no-usage"),
        pytest.param(chunks(0, 1, 2, 3) + end(5), "wrong usage", id="usage-of-another"),
        pytest.param(chunks(0, 1, 2, 3) + FINISH + end(), "extra event", id="finish-reason-twice"),
        pytest.param(chunks(0, 1, 2, 3) + FINISH + USAGE * 2 + DONE, "extra event", id="usage-twice"),
        pytest.param(RIGHT + DONE, "event after the end", id="done-twice"),
        pytest.param(
            chunks(0, 1, 2) + FINISH + chunks(3) + USAGE + DONE, "swapped order", id="the-last-late"
        ),
        pytest.param(chunks(0, 1, 2, 3) + USAGE + FINISH + DONE, "swapped order", id="usage-too-early"),
        pytest.param(chunks(0, 1, 2, 3) + FINISH + DONE + USAGE, "event after the end", id="usage-too-late"),
        pytest.param(
            RIGHT.replace(b'"stop"', b'"length"'), "no finish_reason", id="finished-for-another-reason"
        ),
        pytest.param(RIGHT + chunks(3), "event after the end", id="an-event-after-the-end"),
        pytest.param(RIGHT + b"data: {", "bytes after the end", id="half-an-event-after-the-end"),
        pytest.param(b"data: <html>\n\n" + RIGHT, "not an event", id="not-json"),
        pytest.param(RIGHT.replace(b"000002 ", b"000002"), "not an event", id="a-token-without-its-space"),
        pytest.param(RIGHT.replace(b"000002 ", b"00000\xff "), "not an event", id="a-byte-that-is-no-utf-8"),
        pytest.param(RIGHT.replace(b"000002 ", b"2 "), "not an event", id="a-token-in-other-words"),
        pytest.param(
            RIGHT.replace(b"000002 ", b"000001 000002 "), "not an event", id="two-tokens-in-one-event"
        ),
        pytest.param(chunks(0) + b'data: {"error": {"code": "x"}}\n\n', "error event", id="an-error-event"),
        pytest.param(RIGHT.replace(b"\n\n", b"\n"), "no blank line between two events", id="no-blank-lines"),
        pytest.param(
            RIGHT.removesuffix(b"\n"), "last event without its blank line", id="the-last-one-missing"
        ),
    ],
)
def test_a_chat_completion(wire: bytes, fault: str | None) -> None:
    found = verdict("openai", wire)
    assert (found and found.partition(":")[0]) == fault


def events(*numbers: int, tokens: int = 4) -> list[bytes]:
    """A message's events one by one: start, block start, deltas, block stop, message delta, stop."""
    wire = b"".join(dialects.ANTHROPIC.token(number) for number in numbers)
    wire += dialects.ANTHROPIC.end(tokens, True)
    return [event + b"\n\n" for event in wire.removesuffix(b"\n\n").split(b"\n\n")]


MESSAGE = events(0, 1, 2, 3)


def test_the_message_of_the_tests_has_nine_events() -> None:
    """So that the tables below cover each place."""
    assert [event.split(b"\n")[0].removeprefix(b"event: ").decode() for event in MESSAGE] == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * 4,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


@pytest.mark.parametrize(
    ("wire", "fault"),
    [
        pytest.param(b"".join(MESSAGE), None, id="a-whole-message-is-right"),
        pytest.param(
            b"".join([*MESSAGE[:3], b'event: ping\ndata: {"type": "ping"}\n\n', *MESSAGE[3:]]),
            None,
            id="pings-are-passed-over",
        ),
        pytest.param(b"".join(events(0, 1, 3)), "lost event", id="one-lost"),
        pytest.param(b"".join(events(0, 1, 1, 2, 3)), "extra event", id="one-twice"),
        pytest.param(b"".join(events(0, 2, 1, 3)), "swapped order", id="two-swapped"),
        pytest.param(b"".join(events(0, 1, 2, 3, tokens=5)), "wrong usage", id="usage-of-another"),
        pytest.param(b"".join(MESSAGE[:-1]), "no message_stop", id="the-end-missing"),
        pytest.param(
            b"".join(MESSAGE).replace(b"end_turn", b"max_tokens"),
            "no finish_reason",
            id="finished-for-another-reason",
        ),
        pytest.param(
            b"".join(MESSAGE[:3]) + MESSAGE[3].partition(b"\n")[2] + b"".join(MESSAGE[4:]),
            "event under another name",
            id="an-event-without-its-name-hasn't-the-last-one's",
        ),
        pytest.param(
            b"".join(MESSAGE).replace(b"event: message_delta", b"event: content_block_delta"),
            "event under another name",
            id="an-event-under-another-name",
        ),
        pytest.param(
            b"".join(MESSAGE[:4]) + b'event: error\ndata: {"type":"error","error":{"type":"x"}}\n\n',
            "error event",
            id="an-error-event",
        ),
    ],
)
def test_a_message(wire: bytes, fault: str | None) -> None:
    found = verdict("anthropic", wire)
    assert (found and found.partition(":")[0]) == fault


def split(dialect: Dialect) -> list[bytes]:
    """The events of a right stream of four tokens."""
    if dialect == "anthropic":
        return MESSAGE
    return [event + b"\n\n" for event in RIGHT.removesuffix(b"\n\n").split(b"\n\n")]


@pytest.mark.parametrize("dialect", CHECKERS)
def test_no_event_can_be_lost_doubled_or_swapped_with_the_next_unseen(dialect: Dialect) -> None:
    """At every place of a stream, what opens and closes it included."""
    right = split(dialect)
    for place in range(len(right)):
        lost = [*right[:place], *right[place + 1 :]]
        doubled = [*right[:place], right[place], *right[place:]]
        assert verdict(dialect, *lost) is not None, f"lost: {right[place]!r}"
        assert verdict(dialect, *doubled) is not None, f"doubled: {right[place]!r}"
    for place in range(len(right) - 1):
        swapped = [*right[:place], right[place + 1], right[place], *right[place + 2 :]]
        assert verdict(dialect, *swapped) is not None, f"swapped: {right[place]!r}"


@pytest.mark.parametrize("dialect", CHECKERS)
def test_a_stream_cut_at_any_byte_is_wrong(dialect: Dialect) -> None:
    """Up to its very last line feed."""
    wire = b"".join(split(dialect))
    assert all(verdict(dialect, wire[:length]) is not None for length in range(len(wire)))


@pytest.mark.parametrize("dialect", CHECKERS)
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_byte_by_byte_and_torn_anywhere_it_is_the_same_stream(dialect: Dialect, newline: bytes) -> None:
    """However the bytes are torn, the stream is right and each token is counted once."""
    wire = b"".join(split(dialect)).replace(b"\n", newline)
    cuts = [[wire[at : at + 1] for at in range(len(wire))]]
    cuts += [[wire[:at], wire[at:]] for at in range(len(wire))]
    for pieces in cuts:
        checker = CHECKERS[dialect](4)
        assert sum(map(checker.feed, pieces)) == 4
        assert checker.tokens_seen == 4
        assert checker.close() is None


@given(st.lists(st.integers(0, len(RIGHT))))
def test_many_cuts_change_nothing(cuts: list[int]) -> None:
    """Several at once, some in the same place."""
    edges = [0, *sorted(cuts), len(RIGHT)]
    assert verdict("openai", *(RIGHT[a:b] for a, b in itertools.pairwise(edges))) is None


@given(st.lists(st.integers(-1, 6), max_size=8))
def test_only_the_exact_order_is_right(seen: list[int]) -> None:
    """Any other list of numbers, of whatever length, is a fault."""
    assert (order_fault(seen, 5) is None) == (seen == [0, 1, 2, 3, 4])


@pytest.mark.parametrize("dialect", CHECKERS)
@pytest.mark.parametrize("fault", STREAM_FAULTS)
@pytest.mark.parametrize("count", [1, 2, 3, 100])
def test_every_planted_fault_is_a_fault_here(dialect: Dialect, fault: str, count: int) -> None:
    """What the mock provider is told to do wrong is wrong for the checker too, in short streams as well."""
    language = LANGUAGES[dialect]
    tokens = [language.token(number) for number in order(count, fault)]  # type: ignore[arg-type] # a Fault
    assert verdict(dialect, *tokens, language.end(count, True), tokens=count) is not None


@pytest.mark.parametrize(
    ("numbers", "fault"),
    [
        pytest.param((), None, id="nothing-yet"),
        pytest.param((0, 1, 2), None, id="right-so-far"),
        pytest.param((0, 2), "lost event", id="one-lost-so-far"),
        pytest.param((0, 2, 1), "swapped order", id="two-swapped-so-far"),
        pytest.param((0, 1, 1), "extra event", id="one-twice-so-far"),
        pytest.param((0, 1, 2, 3, 4), "extra event", id="more-than-asked-for"),
    ],
)
def test_a_stream_that_is_left_is_judged_by_what_came(numbers: tuple[int, ...], fault: str | None) -> None:
    checker = CHECKERS["openai"](4)
    checker.feed(chunks(*numbers))
    assert checker.so_far() == fault


@pytest.mark.parametrize("dialect", CHECKERS)
def test_whole_answers(dialect: Dialect) -> None:
    """The text, the end and the count must be those that were sent; a cut answer is none."""
    body = LANGUAGES[dialect].whole
    count = str(WHOLE_TOKENS).encode()
    stop = b'"stop"' if dialect == "openai" else b'"end_turn"'
    for answer, fault in (
        (body, None),
        (body.replace(b"sluice", b"slvice"), "wrong answer"),
        (body.replace(b'by itself. "', b'by itself."'), "wrong answer"),
        (body.replace(stop, b"null"), "no finish_reason"),
        (body.replace(b'tokens":' + count, b'tokens":9'), "wrong usage"),
        (body[:-1], "not an answer"),
        (body + body, "not an answer"),
        (b"{}", "not an answer"),
        (b"\xff" + body, "not an answer"),
        (body.replace(b"sluice", b"slu\xffce"), "not an answer"),
        (b"", "not an answer"),
    ):
        found = whole_fault(answer, SAID, WHOLE_TOKENS, dialect)
        assert (found and found.partition(":")[0]) == fault, answer
