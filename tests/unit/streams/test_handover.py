"""What workers tell each other of streams."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.streams.handover import Kept, digest, first_number, may_read, new_frames
from service.streams.log import StreamLog

ID = "abcdef000000000000000001"


def frames(*numbers: int) -> bytes:
    """Events with these numbers."""
    return b"".join(b"id: %b-%d\ndata: %d\n\n" % (ID.encode(), number, number) for number in numbers)


@pytest.mark.parametrize(
    ("data", "number"),
    [
        pytest.param(frames(0), 0, id="the-first-of-all"),
        pytest.param(frames(7, 8), 7, id="the-first-of-several"),
        pytest.param(frames(123456), 123456, id="many-digits"),
    ],
)
def test_first_number(data: bytes, number: int) -> None:
    assert first_number(ID, data) == number


@pytest.mark.parametrize(
    ("data", "next_number", "found"),
    [
        pytest.param(b"", 3, [], id="nothing-brings-nothing"),
        pytest.param(frames(3), 3, [frames(3)], id="the-next-is-new"),
        pytest.param(frames(3, 4), 3, [frames(3), frames(4)], id="all-are-new"),
        pytest.param(frames(2, 3, 4), 4, [frames(4)], id="what-is-known-is-left-out"),
        pytest.param(frames(1, 2), 3, [], id="all-are-known"),
        pytest.param(frames(1, 2), 9, [], id="all-are-long-known"),
        pytest.param(frames(4), 3, None, id="one-is-missing"),
        pytest.param(frames(0), 0, [frames(0)], id="the-first-of-all-is-new"),
    ],
)
def test_new_frames(data: bytes, next_number: int, found: list[bytes] | None) -> None:
    assert new_frames(ID, data, next_number) == found


PAYLOADS = st.lists(
    st.lists(st.text(alphabet="ab: é\t", min_size=1, max_size=8), min_size=1, max_size=3), max_size=12
)


@given(PAYLOADS, st.data())
def test_any_portions_in_any_overlap_make_the_same_stream(
    payloads: list[list[str]], data: st.DataObject
) -> None:
    """However a stream is cut into portions, and whichever come twice: each event is taken once."""
    log = StreamLog(ID)
    for lines in payloads:
        event = "".join(f"data: {line}\n" for line in lines) + "\n"
        log.append(log.number([event.encode()]))
    whole, _ = log.read(0, 1_000_000)
    taken: list[bytes] = []
    while len(taken) < log.next:
        begin = data.draw(st.integers(0, len(taken)))
        portion, _ = log.read(begin, data.draw(st.integers(1, 100)))
        found = new_frames(ID, portion, len(taken))
        assert found is not None
        taken += found or (new_frames(ID, log.read(len(taken), 1)[0], len(taken)) or [])
    assert b"".join(taken) == whole


KEPT = Kept(owner="k1", headers=[], dialect="openai", first=0, next=1, data=frames(0))
TICKETED = Kept(
    owner="k1",
    headers=[],
    dialect="openai",
    first=0,
    next=1,
    data=frames(0),
    ticket_digest=digest("ff.good"),
)
EVERYBODYS = Kept(owner="", headers=[], dialect="openai", first=0, next=1, data=frames(0))


@pytest.mark.parametrize(
    ("kept", "owner", "ticket", "may"),
    [
        pytest.param(KEPT, "k1", None, True, id="its-owner"),
        pytest.param(KEPT, "k2", None, False, id="somebody-else"),
        pytest.param(KEPT, "", None, False, id="nobody"),
        pytest.param(KEPT, None, None, False, id="who-shows-nothing"),
        pytest.param(KEPT, None, "", False, id="an-empty-ticket-where-there-is-none"),
        pytest.param(KEPT, None, "ff.good", False, id="a-ticket-where-there-is-none"),
        pytest.param(EVERYBODYS, "", None, True, id="everybody-where-all-are-one-owner"),
        pytest.param(EVERYBODYS, None, "x", False, id="a-wrong-ticket-where-all-are-one-owner"),
        pytest.param(TICKETED, None, "ff.good", True, id="its-ticket"),
        pytest.param(TICKETED, None, "ff.bad", False, id="another-ticket"),
        pytest.param(TICKETED, "k2", "ff.good", True, id="its-ticket-with-another-key"),
        pytest.param(TICKETED, "k1", "ff.bad", True, id="its-owner-with-another-ticket"),
        pytest.param(TICKETED, None, "\udcff", False, id="a-ticket-that-is-no-text"),
    ],
)
def test_may_read(kept: Kept, owner: str | None, ticket: str | None, may: bool) -> None:
    assert may_read(kept, owner, ticket) is may
