"""Server-sent events: the standard's rules, whole and torn, against a decoder that reads like them."""

import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.wire import sse
from service.wire.sse import Decoder, Event, EventTooLong

NEWLINES = [
    b"".join(ends) for length in range(1, 5) for ends in itertools.product((b"\r", b"\n"), repeat=length)
]

PIECES = [
    b"data:",
    b"data: ",
    b"data",
    b"event: e",
    b"event:",
    b":",
    b": c",
    b"id: 1",
    b"retry: 9",
    b"x",
    b" ",
]
WORDS = [
    *PIECES,
    b"\r",
    b"\n",
    b"\r\n",
    b"\n\n",
    sse.BOM,
    sse.BOM[:2],
    b"\xff",
    "ü".encode(),
    b"\x00",
    b"\x0b",
    b"\x0c",
]


def reference(wire: bytes) -> list[Event]:
    """The standard's paragraphs as they stand, over a stream that is there as a whole."""
    *lines, _unfinished = re.split(rb"\r\n|\r|\n", wire.removeprefix(sse.BOM))
    events, data, name = list[Event](), list[bytes](), b""
    for line in lines:
        field, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if not line:
            events += [Event(b"\n".join(data), name)] if data else []
            data, name = [], b""
        elif field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return events


def in_pieces(pieces: list[bytes]) -> list[Event]:
    """What one decoder makes of `pieces`, one after another."""
    decoder = Decoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


def bytewise(wire: bytes) -> list[Event]:
    """What a decoder makes of `wire`, byte by byte."""
    return in_pieces([wire[at : at + 1] for at in range(len(wire))])


def check_everywhere(wire: bytes, expected: list[Event]) -> None:
    """`wire` makes `expected` whole, byte by byte, and cut at any place."""
    assert in_pieces([wire]) == expected
    assert bytewise(wire) == expected
    for cut in range(len(wire) + 1):
        assert in_pieces([wire[:cut], wire[cut:]]) == expected, f"cut at {cut}"


CASES = [
    pytest.param(b"data: a\n\n", [Event(b"a")], id="one-line"),
    pytest.param(b"data:a\n\n", [Event(b"a")], id="the-space-may-lack"),
    pytest.param(b"data:  a \n\n", [Event(b" a ")], id="only-one-space-goes"),
    pytest.param(b"data: a\ndata: b\n\n", [Event(b"a\nb")], id="lines-of-one-event-are-joined"),
    pytest.param(b"data\n\n", [Event(b"")], id="a-field-without-a-colon-is-an-empty-line-of-data"),
    pytest.param(b"data\ndata\n\n", [Event(b"\n")], id="two-empty-lines-of-data"),
    pytest.param(b"data:\ndata: a\n\n", [Event(b"\na")], id="an-empty-line-of-data-first"),
    pytest.param(b"event: e\ndata: a\n\n", [Event(b"a", b"e")], id="a-named-event"),
    pytest.param(b"data: a\nevent: e\nevent: f\n\n", [Event(b"a", b"f")], id="the-last-name-counts"),
    pytest.param(b"event: e\n\ndata: a\n\n", [Event(b"a")], id="a-name-without-data-is-forgotten"),
    pytest.param(b"event: e\ndata: a\n\ndata: b\n\n", [Event(b"a", b"e"), Event(b"b")], id="a-name-lasts-one-event"),
    pytest.param(b": ping\n\n", [], id="a-comment-is-no-event"),
    pytest.param(b"data: a\n: ping\ndata: b\n\n", [Event(b"a\nb")], id="a-comment-inside-an-event"),
    pytest.param(b":\n\n: c\n\ndata: a\n\n", [Event(b"a")], id="comments-before-an-event"),
    pytest.param(b"id: 1\nretry: 9\nfoo: x\nDATA: no\ndata: a\n\n", [Event(b"a")], id="other-fields-are-passed-over"),
    pytest.param(b" data: a\n\n", [], id="a-leading-space-makes-another-field"),
    pytest.param(b"data : a\n\n", [], id="a-space-before-the-colon-makes-another-field"),
    pytest.param(b"data: a: b\n\n", [Event(b"a: b")], id="only-the-first-colon-divides"),
    pytest.param(b"\n\n\ndata: a\n\n\n\n", [Event(b"a")], id="empty-lines-dispatch-nothing"),
    pytest.param(b"data: a\n\ndata: b\n\ndata: c\n\n", [Event(b"a"), Event(b"b"), Event(b"c")], id="several-in-a-read"),
    pytest.param(b"data: a\r\rdata: b\r\n\r\ndata: c\n\n", [Event(b"a"), Event(b"b"), Event(b"c")], id="all-line-ends"),
    pytest.param(b"data: a\r\n\n\rdata: b\n\r\n", [Event(b"a"), Event(b"b")], id="mixed-line-ends"),
    pytest.param(sse.BOM + b"data: a\n\n", [Event(b"a")], id="a-bom-at-the-start-goes"),
    pytest.param(sse.BOM + sse.BOM + b"data: a\n\ndata: b\n\n", [Event(b"b")], id="only-one-bom-goes"),
    pytest.param(b"data: a\n\n" + sse.BOM + b"data: b\n\n", [Event(b"a")], id="no-bom-later"),
    pytest.param(b"\xef\xbbdata: a\n\ndata: b\n\n", [Event(b"b")], id="half-a-bom-is-none"),
    pytest.param(b"data: a\n\ndata: b\n", [Event(b"a")], id="an-event-cut-by-the-end-is-dropped"),
    pytest.param(b"data: a\n\ndata: b", [Event(b"a")], id="a-line-cut-by-the-end-is-dropped"),
    pytest.param("data: zwölf €😀\n\n".encode(), [Event("zwölf €😀".encode())], id="characters-of-several-bytes"),
    pytest.param(b"data: \xff\xfe\n\n", [Event(b"\xff\xfe")], id="bytes-that-are-no-utf-8-are-the-readers-to-judge"),
    pytest.param("data: a\x0bb\x0cc\x85d\u2028e\x1c\n\n".encode(), [Event("a\x0bb\x0cc\x85d\u2028e\x1c".encode())], id="no-other-line-ends"),
    pytest.param(b"data: a\x00b\n\n", [Event(b"a\x00b")], id="nul-is-data"),
    pytest.param(b"", [], id="nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("wire", "expected"), CASES)
def test_the_standards_rules_hold_whole_bytewise_and_cut_anywhere(wire: bytes, expected: list[Event]) -> None:
    assert reference(wire) == expected
    check_everywhere(wire, expected)


@pytest.mark.parametrize("tail", [pytest.param(tail, id=repr(tail)) for tail in NEWLINES])
def test_every_newline_sequence_survives_any_cut(tail: bytes) -> None:
    for wire in (
        b"data: a" + tail + b"data: b\n\n",
        tail + b"data: a\n\n",
        b"data: a\n\n" + tail + b"data: b\r\r",
    ):
        check_everywhere(wire, reference(wire))


@given(st.lists(st.sampled_from(WORDS), max_size=30).map(b"".join), st.data())
@example(b"data: a\r\n\r\n", None)
def test_a_stream_reads_the_same_however_it_is_torn(wire: bytes, data: st.DataObject | None) -> None:
    """Soup of the words that matter: whole, bytewise and in drawn pieces it is what the standard says."""
    cuts = sorted(data.draw(st.sets(st.integers(0, len(wire)), max_size=6))) if data else [8]
    pieces = [wire[start:end] for start, end in itertools.pairwise((0, *cuts, len(wire)))]
    expected = reference(wire)
    assert in_pieces([wire]) == expected
    assert in_pieces(pieces) == expected
    assert bytewise(wire) == expected


@given(
    st.lists(
        st.lists(st.sampled_from([b"data: a", b"data:", b"event: e", b": c", b"x", b"data"]), max_size=4),
        min_size=1,
        max_size=6,
    )
)
def test_the_fast_path_is_the_slow_path(blocks: list[list[bytes]]) -> None:
    """Reads that hold only whole events with LF ends, after one another, against the same byte by byte."""
    reads = [b"\n".join(block) + b"\n\n" for block in blocks]
    assert (
        in_pieces(reads)
        == in_pieces([b"".join(reads)])
        == bytewise(b"".join(reads))
        == reference(b"".join(reads))
    )


@given(st.lists(st.tuples(st.binary(max_size=20), st.sampled_from([b"", b"message_stop"])), max_size=5))
def test_what_is_encoded_decodes_to_itself(events: list[tuple[bytes, bytes]]) -> None:
    """Data of any bytes; its line ends become LF, as the standard has it."""
    wire = b"".join(sse.encode(data, name) for data, name in events)
    expected = [Event(re.sub(rb"\r\n|\r", b"\n", data), name) for data, name in events]
    assert in_pieces([wire]) == bytewise(wire) == expected


@pytest.mark.parametrize(
    ("data", "name", "wire"),
    [
        pytest.param(b"{}", b"", b"data: {}\n\n", id="unnamed"),
        pytest.param(b"{}", b"ping", b"event: ping\ndata: {}\n\n", id="named"),
        pytest.param(b"a\nb\r\nc\rd", b"", b"data: a\ndata: b\ndata: c\ndata: d\n\n", id="several-lines"),
        pytest.param(b"", b"", b"data: \n\n", id="empty"),
    ],
)
def test_events_are_written_as_clients_expect_them(data: bytes, name: bytes, wire: bytes) -> None:
    assert sse.encode(data, name) == wire


@pytest.mark.parametrize(
    "wire", [pytest.param(sse.HEARTBEAT, id="heartbeat"), pytest.param(b": a\n\n:\n\n", id="comments")]
)
def test_no_client_sees_an_event_in(wire: bytes) -> None:
    assert in_pieces([wire]) == []


LIMIT_BYTES = 64
FITS = b"data: " + b"x" * (LIMIT_BYTES - 8) + b"\n\n"
TOO_LONG = [
    pytest.param(b"data: " + b"x" * (LIMIT_BYTES - 7) + b"\n\n", id="one-byte-more"),
    pytest.param(b"data: " + b"x" * LIMIT_BYTES, id="a-line-without-an-end"),
    pytest.param(b"data: x\n" * 10 + b"\n", id="many-lines"),
    pytest.param(b": x\n" * 17, id="comments-that-never-end"),
    pytest.param(b"data: a\n\n" + b"event: " + b"x" * LIMIT_BYTES, id="after-a-short-event"),
]


@pytest.mark.parametrize(
    "pieces", [pytest.param([FITS] * 3, id="whole"), pytest.param([FITS[:9], FITS[9:], FITS], id="torn")]
)
def test_an_event_of_just_the_limit_passes(pieces: list[bytes]) -> None:
    decoder = Decoder(LIMIT_BYTES)
    events = [event for piece in pieces for event in decoder.feed(piece)]
    assert [len(event.data) for event in events] == [LIMIT_BYTES - 8] * (len(b"".join(pieces)) // LIMIT_BYTES)


@pytest.mark.parametrize("wire", TOO_LONG)
def test_an_event_beyond_the_limit_is_refused_whole_and_bytewise(wire: bytes) -> None:
    for pieces in ([wire], [wire[at : at + 1] for at in range(len(wire))]):
        decoder = Decoder(LIMIT_BYTES)
        with pytest.raises(EventTooLong) as caught:
            [decoder.feed(piece) for piece in pieces]
        assert caught.value.limit_bytes == LIMIT_BYTES
        assert "64 bytes" in str(caught.value)


def test_the_limit_is_one_events_not_the_streams() -> None:
    """A long stream of short events holds nothing back."""
    decoder = Decoder(LIMIT_BYTES)
    assert sum(len(decoder.feed(b"data: a\r\n\r\n")) for _ in range(1000)) == 1000
