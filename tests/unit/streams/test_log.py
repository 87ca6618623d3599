"""A stream's log against a plain list of its events."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.streams.log import StreamLog

STREAM_ID = "stream-with-9-dashes-0"

FRAMES = st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6).map(
    lambda each: [b"data: " + text.replace(b"\n", b"").replace(b"\r", b"") + b"\n\n" for text in each]
)

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), FRAMES),
        st.tuples(st.just("trim"), st.integers(0, 400), st.none() | st.integers(0, 40)),
    ),
    max_size=30,
)


def line(number: int) -> bytes:
    """An event's id as it goes out."""
    return f"id: {STREAM_ID}-{number}\n".encode()


@dataclass
class Oracle:
    """Every event that ever was, and the number of the oldest that is still kept."""

    events: list[bytes] = field(default_factory=list)
    first: int = 0

    def append(self, frames: list[bytes]) -> None:
        """Number them and keep them."""
        for frame in frames:
            self.events.append(line(len(self.events)) + frame)

    def trim(self, max_bytes: int, floor: int | None) -> None:
        """Drop the oldest, one by one."""
        while self.kept and sum(map(len, self.kept)) > max_bytes and (floor is None or self.first < floor):
            self.first += 1

    @property
    def kept(self) -> list[bytes]:
        """What can still be read."""
        return self.events[self.first :]


def filled(log: StreamLog, steps: list[tuple[object, ...]]) -> Oracle:
    """The oracle of a log to which `steps` were done."""
    oracle = Oracle()
    for name, *arguments in steps:
        if name == "append":
            (frames,) = arguments
            assert isinstance(frames, list)
            before = len(oracle.events)
            oracle.append(frames)
            assert log.append(log.number(frames)) == b"".join(oracle.events[before:])
        else:
            max_bytes, floor = arguments
            assert isinstance(max_bytes, int)
            assert floor is None or isinstance(floor, int)
            oracle.trim(max_bytes, floor)
            log.trim(max_bytes, floor)
        assert (log.first, log.next) == (oracle.first, len(oracle.events))
        assert log.size_bytes == sum(map(len, oracle.kept))
        assert log.total_bytes == sum(map(len, oracle.events))
    return oracle


@given(steps=STEPS, sealed=st.booleans(), piece_bytes=st.integers(1, 300))
def test_from_every_position_exactly_the_events_after_it_can_be_read(
    steps: list[tuple[object, ...]], sealed: bool, piece_bytes: int
) -> None:
    """In pieces of whole events, each as large as it may be, whether or not more is to come."""
    log = StreamLog(STREAM_ID)
    oracle = filled(log, steps)
    if sealed:
        log.seal()
    for start in range(log.first, log.next + 1):
        position, read = start, b""
        while True:
            data, after = log.read(position, piece_bytes)
            if not data:
                assert after == position == log.next
                break
            piece = oracle.events[position:after]
            assert data == b"".join(piece)
            assert len(data) <= piece_bytes or len(piece) == 1
            assert after == log.next or len(data) + len(oracle.events[after]) > piece_bytes
            position, read = after, read + data
        assert read == b"".join(oracle.events[start:])


@given(steps=STEPS, sealed=st.booleans())
def test_it_is_known_how_much_lies_before_an_event(steps: list[tuple[object, ...]], sealed: bool) -> None:
    log = StreamLog(STREAM_ID)
    oracle = filled(log, steps)
    if sealed:
        log.seal()
    for start in range(log.first, log.next + 1):
        assert log.bytes_before(start) == sum(map(len, oracle.events[:start]))


@given(before=STEPS, after=STEPS)
def test_a_log_that_was_sealed_can_still_be_trimmed(
    before: list[tuple[object, ...]], after: list[tuple[object, ...]]
) -> None:
    """Sealing changes how it is kept, and nothing else."""
    log = StreamLog(STREAM_ID)
    oracle = filled(log, before)
    log.seal()
    log.seal()
    for _, *arguments in [step for step in after if step[0] == "trim"]:
        max_bytes, floor = arguments
        assert isinstance(max_bytes, int)
        assert floor is None or isinstance(floor, int)
        oracle.trim(max_bytes, floor)
        log.trim(max_bytes, floor)
        log.seal()
        assert log.size_bytes == sum(map(len, oracle.kept))
        assert log.first == oracle.first
        if log.first < log.next:
            assert log.read(log.first, 1_000_000)[0] == b"".join(oracle.kept)


@pytest.mark.parametrize(
    ("max_bytes", "floor", "first"),
    [
        pytest.param(0, None, 3, id="nothing-may-stay"),
        pytest.param(1_000, None, 0, id="all-fits"),
        pytest.param(0, 2, 2, id="nothing-is-dropped-that-a-viewer-waits-for"),
        pytest.param(0, 0, 0, id="a-viewer-waits-for-the-first"),
    ],
)
def test_what_is_dropped(max_bytes: int, floor: int | None, first: int) -> None:
    log = StreamLog(STREAM_ID)
    log.append(log.number([b"data: a\n\n", b"data: b\n\n", b"data: c\n\n"]))
    log.trim(max_bytes, floor)
    assert (log.first, log.next) == (first, 3)


def test_text_that_looks_like_an_id_is_not_taken_for_one() -> None:
    """An event's data may hold anything but an empty line."""
    log = StreamLog(STREAM_ID)
    sly = b"data: " + line(2) + b"data: " + line(1).strip() + b"\n\n"
    log.append(log.number([sly, sly, sly]))
    log.seal()
    assert log.read(1, 1)[0] == line(1) + sly
    assert log.read(2, 1) == (line(2) + sly, 3)
