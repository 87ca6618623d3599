"""`service.usage.entries`: what was appended whole comes back, and nothing else ever does."""

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.usage.entries import (
    ALL_KINDS,
    BEGIN,
    END,
    ENDS_ONLY,
    MAX_BODY_BYTES,
    PROGRESS,
    Entry,
    Progress,
    Scan,
    Tail,
    encode,
    frame,
    framed_bytes,
    scan,
)
from service.usage.row import LedgerRow, Outcome, Started
from tests.fakes.ledger_writer import ended, started

ENTRIES: list[tuple[int, Entry]] = [
    (BEGIN, started("a")),
    (PROGRESS, Progress("a", 7, 1_700_000_001.0)),
    (END, ended("a")),
]
FRAMES = [frame(kind, encode(entry)) for kind, entry in ENTRIES]
WHOLE = b"".join(FRAMES)
ZEROS = bytes(64)

whole_numbers = st.integers(0, 2**63 - 1)
instants = st.floats(0, 4e9)
texts = st.text(max_size=20)
SHAPES: dict[str, st.SearchStrategy[Any]] = {
    "rates": st.none() | st.tuples(*[whole_numbers] * 4),
    "outcome": st.sampled_from(Outcome),
    "estimated": st.booleans(),
    "cost_nano_usd": st.none() | whole_numbers,
    "started_at": instants,
    "finished_at": instants,
    "first_token_ms": st.none() | instants,
    "duration_ms": instants,
    "attempts": whole_numbers,
}


def made(kind: type[Entry]) -> st.SearchStrategy[Entry]:
    """Any value of that type."""
    shapes = {
        name: SHAPES.get(name, whole_numbers if name.endswith("_tokens") else texts)
        for name in kind.__struct_fields__
    }
    return st.builds(kind, **shapes)


entries = st.one_of(
    st.tuples(st.just(BEGIN), made(Started)),
    st.tuples(st.just(PROGRESS), st.builds(Progress, id=texts, output_tokens=whole_numbers, at=instants)),
    st.tuples(st.just(END), made(LedgerRow)),
)


@given(st.lists(entries, max_size=5))
def test_what_was_framed_is_read(written: list[tuple[int, Entry]]) -> None:
    """In its order, whatever it holds, up to the zeros behind it."""
    data = b"".join(frame(kind, encode(entry)) for kind, entry in written)
    assert len(data) == sum(framed_bytes(len(encode(entry))) for _, entry in written)
    assert scan(data + ZEROS) == Scan([entry for _, entry in written], len(data), Tail.END)


def test_a_cut_at_any_byte_leaves_the_entries_before_it() -> None:
    """And says that more is to come, with the place to go on from."""
    ends = list(itertools.accumulate(map(len, FRAMES), initial=0))
    for cut in range(len(WHOLE) + 1):
        found = scan(WHOLE[:cut])
        # A body without its padding is whole: what pads it says nothing.
        count = len(found.entries)
        assert found.entries == [entry for _, entry in ENTRIES[:count]]
        assert ends[count] - 4 < found.next_offset <= ends[count]
        assert cut < ends[count] + len(FRAMES[count]) if count < len(FRAMES) else cut > ends[count] - 4
        assert found.tail is Tail.CUT


def test_an_entry_that_was_not_finished_is_none() -> None:
    """A process that dies at any store: checksum and body may be there, the length is not."""
    torn = bytearray(FRAMES[2])
    torn[4:8] = bytes(4)
    for written in range(len(torn) + 1):
        rest = bytes(torn[:written]).ljust(len(torn), b"\0")
        assert scan(FRAMES[0] + rest + ZEROS) == Scan([ENTRIES[0][1]], len(FRAMES[0]), Tail.END)


def test_every_flipped_bit_is_noticed() -> None:
    """None of them yields another entry; those before it are still read."""
    first = len(FRAMES[0])
    body_end = first + 8 + len(encode(ENTRIES[1][1]))
    for place in range(first, body_end):
        for bit in range(8):
            data = bytearray(WHOLE + ZEROS)
            data[place] ^= 1 << bit
            found = scan(bytes(data))
            assert found.entries == [ENTRIES[0][1]]
            assert found.next_offset == first
            assert found.tail is not Tail.END


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame(9, encode(ended("a"))), id="a-kind-of-a-later-version"),
        pytest.param(frame(END, encode(started("a"))), id="a-body-of-another-kind"),
        pytest.param(frame(END, b"\xc1"), id="a-body-that-is-no-msgpack"),
        pytest.param(frame(END, bytes(MAX_BODY_BYTES + 1)), id="a-body-too-large-to-have-been-appended"),
        pytest.param(
            frame(END, msgspec.msgpack.encode(["an", "older", "row"])), id="a-row-of-an-older-version"
        ),
    ],
)
def test_what_was_never_appended_is_damage(data: bytes) -> None:
    found = scan(FRAMES[0] + data + FRAMES[1])
    assert found == Scan([ENTRIES[0][1]], len(FRAMES[0]), Tail.DAMAGED)


@pytest.mark.parametrize(
    ("kinds", "count"), [pytest.param(ENDS_ONLY, 1, id="ends"), pytest.param(ALL_KINDS, 3, id="all")]
)
def test_only_the_kinds_that_are_wanted_are_read(kinds: frozenset[int], count: int) -> None:
    found = scan(WHOLE + ZEROS, 0, kinds)
    assert len(found.entries) == count
    assert found.next_offset == len(WHOLE)


def test_a_scan_goes_on_where_the_last_one_ended() -> None:
    """Offsets are the data's own."""
    first = scan(WHOLE[: len(FRAMES[0]) + 5])
    assert scan(WHOLE + ZEROS, first.next_offset).entries == [entry for _, entry in ENTRIES[1:]]
