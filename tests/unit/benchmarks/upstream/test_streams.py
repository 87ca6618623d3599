"""Streams on their way out, in virtual time and without sockets: pace, turns, and readers that are behind."""

import asyncio

import pytest

from benchmarks.upstream.dialects import OPENAI
from benchmarks.upstream.questions import Question
from benchmarks.upstream.script import Fault, Script
from benchmarks.upstream.streams import Bursts, Stream, Wheel
from tests.fakes.loops import virtual_time


class Clocked(asyncio.Transport):
    """A transport that notes when each piece was written."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.get_running_loop()
        self.written: list[tuple[float, bytes]] = []
        self.closed = False

    @property
    def times(self) -> list[float]:
        """Seconds of the loop's clock at each write."""
        return [at for at, _ in self.written]

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Note it."""
        self.written.append((self.loop.time(), bytes(data)))

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self.closed

    def close(self) -> None:
        """End it."""
        self.closed = True


class Made:
    """A stream, its transport, and whether it was told to have ended."""

    def __init__(
        self, tokens: int, interval_ms: float, fault: Fault | None = None, silent_after: int = 0
    ) -> None:
        self.wire = Clocked()
        self.ends = 0
        script = Script(tokens=tokens, interval_ms=interval_ms, fault=fault, silent_after=silent_after)
        self.stream = Stream(Question(True, True, script), OPENAI, self.wire, self._end)

    def _end(self) -> None:
        self.ends += 1


@pytest.mark.parametrize(
    ("fault", "last", "closed"),
    [
        pytest.param(None, b"0\r\n\r\n", False, id="right"),
        pytest.param(
            "unfinished", b"0\r\n\r\n", False, id="unfinished-ends-the-body-without-the-stream's-end"
        ),
        pytest.param("cut", b"\r\n", True, id="cut-closes-after-the-last-event"),
    ],
)
@virtual_time
async def test_the_end(fault: Fault | None, last: bytes, closed: bool) -> None:
    """One event for each step, and one call at the end, however often it is asked to go on."""
    made = Made(4, 0, fault)
    steps = [made.stream.step() for _ in range(7)]
    assert steps == [True] * (2 if fault else 4) + [False] * (5 if fault else 3)
    assert (made.ends, made.stream.over, made.wire.closed) == (1, True, closed)
    assert made.wire.written[-1][1].endswith(last)
    assert any(b"[DONE]" in piece for _, piece in made.wire.written) == (fault is None)


@virtual_time
async def test_a_pace_starts_at_once_and_never_drifts() -> None:
    """Every event within a slot of its time, the thousandth too, though the pace is no whole number of slots."""
    made = Made(1000, 20.3)
    started_at = asyncio.get_running_loop().time()
    Wheel(asyncio.get_running_loop()).add(made.stream)
    assert made.wire.times == [started_at]
    await asyncio.sleep(21)
    assert (made.ends, len(made.wire.times)) == (1, 1001)
    assert all(abs(at - started_at - number * 0.0203) <= 0.0021 for number, at in enumerate(made.wire.times))


@virtual_time
async def test_streams_of_several_paces_share_the_wheel() -> None:
    """It stops when the last has ended, and turns again for the next one."""
    wheel = Wheel(asyncio.get_running_loop())
    made = [Made(5, 2), Made(5, 7), Made(5, 1000), Made(1, 0.1)]
    for each in made:
        wheel.add(each.stream)
    await asyncio.sleep(6)
    assert [each.ends for each in made] == [1, 1, 1, 1]
    assert not wheel._turning
    assert not wheel._slots
    late = Made(3, 5)
    wheel.add(late.stream)
    await asyncio.sleep(1)
    assert late.ends == 1
    assert late.wire.times[-1] - late.wire.times[0] == pytest.approx(0.015, abs=0.0021)


@virtual_time
async def test_a_paced_stream_whose_reader_is_behind_skips_its_slots() -> None:
    """Nothing piles up, and it goes on at its pace from where it was."""
    made = Made(100, 10)
    Wheel(asyncio.get_running_loop()).add(made.stream)
    await asyncio.sleep(0.095)
    before = len(made.wire.times)
    made.stream.blocked = True
    await asyncio.sleep(10)
    assert len(made.wire.times) == before
    made.stream.blocked = False
    await asyncio.sleep(0.1)
    assert before + 9 <= len(made.wire.times) <= before + 11


@pytest.mark.parametrize("blocked", [True, False], ids=["while-behind", "while-reading"])
@virtual_time
async def test_a_paced_stream_whose_reader_left_is_carried_no_further(blocked: bool) -> None:
    """Or the wheel would turn for ever."""
    wheel, made = Wheel(asyncio.get_running_loop()), Made(100, 10)
    wheel.add(made.stream)
    await asyncio.sleep(0.05)
    made.stream.blocked = blocked
    made.stream.over = made.wire.closed = True
    before = len(made.wire.times)
    await asyncio.sleep(1)
    assert len(made.wire.times) == before
    assert not wheel._turning


@virtual_time
async def test_bursts_take_turns_one_event_each() -> None:
    """No stream is served twice before the others; each event is a write of its own."""
    bursts, made = Bursts(asyncio.get_running_loop()), [Made(3, 0) for _ in range(3)]
    for each in made:
        bursts.add(each.stream)
    counts = []
    for _ in range(4):
        counts.append([len(each.wire.written) for each in made])
        await asyncio.sleep(0)
    assert counts == [[1, 1, 1], [2, 2, 2], [3, 3, 3], [4, 4, 4]]
    assert [each.ends for each in made] == [1, 1, 1]


@virtual_time
async def test_a_burst_waits_for_its_reader_and_goes_on_once() -> None:
    """Behind again and again, resumed more than once: every event goes out once, in order."""
    bursts, made = Bursts(asyncio.get_running_loop()), Made(50, 0)
    bursts.add(made.stream)
    for _ in range(20):
        made.stream.blocked = True
        await asyncio.sleep(0.1)
        before = len(made.wire.written)
        await asyncio.sleep(1)
        assert len(made.wire.written) == before
        made.stream.blocked = False
        bursts.resume(made.stream)
        bursts.resume(made.stream)
        await asyncio.sleep(0)
    await asyncio.sleep(1)
    assert made.ends == 1
    right = Made(50, 0)
    while right.stream.step():
        pass
    assert [piece for _, piece in made.wire.written] == [piece for _, piece in right.wire.written]


@pytest.mark.parametrize("interval_ms", [0.0, 10.0], ids=["burst", "paced"])
@virtual_time
async def test_a_silent_stream_goes_on_when_it_is_told_and_its_reader_is_there(interval_ms: float) -> None:
    """After three tokens nothing more, however long that takes; then the rest, once."""
    loop = asyncio.get_running_loop()
    bursts, made = Bursts(loop), Made(5, interval_ms, silent_after=3)
    if interval_ms:
        Wheel(loop).add(made.stream)
    else:
        bursts.add(made.stream)
    written = []
    for silent, blocked in ((True, False), (True, True), (False, True), (False, False)):
        await asyncio.sleep(1)
        written.append(len(made.wire.written))
        made.stream.silent, made.stream.blocked = silent, blocked
        bursts.resume(made.stream)
    await asyncio.sleep(1)
    assert written == [3, 3, 3, 3]
    assert (len(made.wire.written), made.ends) == (6, 1)
