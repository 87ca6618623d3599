"""The client's verdict on an answer: a wrong one is never taken for a right one."""

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load.checking import CHECKERS, Dialect, id_fault, order_fault
from benchmarks.load.whole import whole_fault
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


def with_ids(dialect: Dialect, stream: str = "a-b_c") -> list[bytes]:
    """The same as the gateway sends them."""
    return [f"id: {stream}-{number}\n".encode() + event for number, event in enumerate(split(dialect))]


@pytest.mark.parametrize(
    ("got", "fault"),
    [
        pytest.param(b"st-3", None, id="the-next-number"),
        pytest.param(b"st-4", "lost event", id="the-one-after-it"),
        pytest.param(b"st-2", "extra event", id="the-last-one-again"),
        pytest.param(b"", "event without its id", id="none"),
        pytest.param(b"other-3", "event under another id", id="of-another-stream"),
        pytest.param(b"st-x", "event under another id", id="no-number"),
        pytest.param(b"st", "event under another id", id="no-dash"),
        pytest.param(b"st--3", "event under another id", id="below-zero"),
        pytest.param(b"st-03", "extra event", id="in-other-digits"),
    ],
)
def test_the_id_of_an_event(got: bytes, fault: str | None) -> None:
    found = id_fault(got, b"st", 3)
    assert (found and found.partition(":")[0]) == fault


def test_a_stream_without_ids_has_none() -> None:
    """A relay adds nothing."""
    assert id_fault(b"", b"", 3) is None
    assert id_fault(b"st-3", b"", 3) is not None


@pytest.mark.parametrize("dialect", CHECKERS)
def test_ids_are_counted(dialect: Dialect) -> None:
    """From 0, one after another, all of one stream and none left out, whatever the events themselves say."""
    right = with_ids(dialect)
    assert verdict(dialect, *right) is None
    assert verdict(dialect, b"".join(right).replace(b"\n", b"\r\n")) is None
    assert verdict(dialect, *(event.replace(b"id: ", b"id:") for event in right)) is None
    plain, others = split(dialect), with_ids(dialect, "other")
    for place in range(len(right)):
        renumbered = right[place].replace(b"-%d\n" % place, b"-99\n", 1)
        for wrong in (plain[place], others[place], renumbered):
            assert verdict(dialect, *right[:place], wrong, *right[place + 1 :]) is not None
        only = [*plain[:place], right[place], *plain[place + 1 :]]
        assert verdict(dialect, *only) is not None
    assert verdict(dialect, *right[:1], b"id: a-b_c-1\n\n", *right[1:]) == "id without an event: b'a-b_c-1'"


@pytest.mark.parametrize("dialect", CHECKERS)
def test_a_stream_cut_at_any_byte_goes_on_after_its_last_whole_event(dialect: Dialect) -> None:
    """On another connection, and is right as a whole; one event too few or too many is not."""
    events_ = with_ids(dialect)
    wire = b"".join(events_)
    for length in range(len(wire)):
        whole_events = wire[:length].count(b"\n\n")
        for skipped, right in ((0, True), (1, False), (-1, False)):
            resumed = whole_events + skipped
            if not 0 <= resumed < len(events_):
                continue
            checker = CHECKERS[dialect](4)
            checker.feed(wire[:length])
            assert checker.so_far() is None
            checker.cut()
            assert checker.last_event_id == (b"a-b_c-%d" % (whole_events - 1) if whole_events else b"")
            for event in events_[resumed:]:
                checker.feed(event)
            assert (checker.close() is None) == right, (length, skipped)


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
@pytest.mark.parametrize("make", [split, with_ids], ids=["without-ids", "with-ids"])
def test_byte_by_byte_and_torn_anywhere_it_is_the_same_stream(
    make: Callable[[Dialect], list[bytes]], dialect: Dialect, newline: bytes
) -> None:
    """However the bytes are torn, the stream is right and each token is counted once."""
    wire = b"".join(make(dialect)).replace(b"\n", newline)
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
