"""The mock provider's connections, spoken to in bytes."""

import asyncio

import msgspec
import pytest

from benchmarks.load.checking import CHECKERS, Dialect
from benchmarks.load.requests import Ask
from benchmarks.load.whole import whole_fault
from benchmarks.upstream.script import SAID, WHOLE_TOKENS, Fault, Script
from benchmarks.upstream.server import COUNTS_PATH, GO_ON_PATH, Counts, Provider
from tests.fakes.loops import on_uvloop, until
from tests.unit.benchmarks.serving import Serving, serving

COUNTS = f"GET {COUNTS_PATH} HTTP/1.1\r\nhost: x\r\n\r\n".encode()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """One answer: its status, and its body without framing."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(None, 2)[1])
    if b"chunked" not in head:
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        return status, await reader.readexactly(int(length.partition(b":")[2]))
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return status, body


async def talk(mock: Serving, *pieces: bytes, answers: int = 1) -> list[tuple[int, bytes]]:
    """What the provider answers to these writes on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", mock.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            # Its own read for each piece, as far as the loop is asked.
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            return [await answer(reader) for _ in range(answers)]
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize("interval_ms", [0.0, 1.0], ids=["burst", "paced"])
@on_uvloop
async def test_a_stream_is_right(dialect: Dialect, interval_ms: float) -> None:
    async with serving() as mock:
        ask = Ask(stream=True, dialect=dialect, script=Script(tokens=20, interval_ms=interval_ms))
        ((status, body),) = await talk(mock, mock.asked(ask).wire)
    checker = CHECKERS[dialect](20)
    assert (status, checker.feed(body), checker.close()) == (200, 20, None)


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@on_uvloop
async def test_an_answer_is_right(dialect: Dialect) -> None:
    """To a request that comes byte by byte as well."""
    async with serving() as mock:
        wire = mock.asked(Ask(dialect=dialect)).wire
        for pieces in ([wire], [wire[at : at + 1] for at in range(len(wire))]):
            ((status, body),) = await talk(mock, *pieces)
            assert (status, whole_fault(body, SAID, WHOLE_TOKENS, dialect)) == (200, None)


@on_uvloop
async def test_requests_that_come_together_are_answered_in_order() -> None:
    """Whole answers, pipelined."""
    async with serving() as mock:
        first, second = (mock.asked(Ask(dialect=dialect)).wire for dialect in ("openai", "anthropic"))
        told = await talk(mock, first + second + COUNTS + first, answers=4)
        assert mock.counts.requests == 3
    assert [status for status, _ in told] == [200] * 4
    assert whole_fault(told[0][1], SAID, WHOLE_TOKENS, "openai") is None
    assert whole_fault(told[1][1], SAID, WHOLE_TOKENS, "anthropic") is None
    assert msgspec.json.decode(told[2][1], type=Counts) == Counts(requests=2)


@on_uvloop
async def test_who_asks_again_in_the_middle_of_a_stream_is_cut_off() -> None:
    """Rather than given two answers in one; the stream is over for the counts too."""
    async with serving() as mock:
        wire = mock.asked(Ask(stream=True, script=Script(tokens=100, interval_ms=1000))).wire
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await talk(mock, wire + wire)
        assert (mock.counts.malformed, mock.counts.left, mock.counts.open_streams) == (1, 1, 0)


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(b"nonsense\r\n\r\n", id="no-http"),
        pytest.param(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}", id="no-question"),
        pytest.param(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 0\r\n\r\n", id="no-body"),
        pytest.param(b"GET /v1/models HTTP/1.1\r\n\r\n", id="another-path"),
    ],
)
@on_uvloop
async def test_what_it_does_not_understand_is_400_and_counted(wire: bytes) -> None:
    """And is no answer."""
    async with serving() as mock:
        ((status, _),) = await talk(mock, wire)
        assert (status, mock.counts.malformed, mock.counts.refused) == (400, 1, 0)


@on_uvloop
async def test_counts_know_who_left() -> None:
    """One stream that was read to its end, one whose reader went in the middle, one that is open."""
    async with serving() as mock:
        await talk(mock, mock.asked(Ask(stream=True, script=Script(tokens=3))).wire)
        endless = mock.asked(Ask(stream=True, script=Script(tokens=9, interval_ms=60_000))).wire
        _, leaving = await asyncio.open_connection("127.0.0.1", mock.port)
        _, staying = await asyncio.open_connection("127.0.0.1", mock.port)
        leaving.write(endless)
        staying.write(endless)
        async with asyncio.timeout(10):
            await until(lambda: mock.counts.open_streams == 2)
            leaving.transport.abort()
            await until(lambda: mock.counts.open_streams == 1)
        ((_, told),) = await talk(mock, COUNTS)
        staying.transport.abort()
    assert msgspec.json.decode(told, type=Counts) == Counts(requests=3, open_streams=1, finished=1, left=1)


@pytest.mark.parametrize("interval_ms", [0.0, 1.0], ids=["burst", "paced"])
@on_uvloop
async def test_silent_streams_go_on_when_the_provider_is_told(interval_ms: float) -> None:
    """Each is right in the end, and those whose readers left are forgotten."""
    async with serving() as mock:
        script = Script(tokens=4, interval_ms=interval_ms, silent_after=1)
        wire = mock.asked(Ask(stream=True, script=script)).wire
        _, leaving = await asyncio.open_connection("127.0.0.1", mock.port)
        leaving.write(wire)
        reading = asyncio.gather(*(talk(mock, wire) for _ in range(3)))
        async with asyncio.timeout(10):
            await until(lambda: sum(each.silent for each in mock.provider.open) == 4)
            leaving.transport.abort()
            await until(lambda: mock.counts.left == 1)
            ((_, told),) = await talk(mock, f"GET {GO_ON_PATH} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            bodies = [body for ((_, body),) in await reading]
        assert mock.provider.open == set()
    assert msgspec.json.decode(told, type=Counts) == Counts(requests=4, open_streams=3, left=1)
    for body in bodies:
        checker = CHECKERS["openai"](4)
        assert (checker.feed(body), checker.close()) == (4, None)


@pytest.mark.parametrize("percent", [0.1, 1, 3, 7, 10, 12.5, 33, 50, 99, 100])
def test_a_share_of_errors_is_exact_and_spread(percent: float) -> None:
    """In every stretch of requests as many as there should be, give or take one."""
    provider = Provider(asyncio.new_event_loop(), Script())
    script = Script(error_percent=percent)
    refused = [provider.refuses(script) for _ in range(10_000)]
    provider.wheel._loop.close()
    assert sum(refused) == round(100 * percent)
    for start in range(0, 10_000, 1000):
        assert abs(sum(refused[start : start + 1000]) - 10 * percent) <= 1


@pytest.mark.parametrize(
    ("fault", "refuses"),
    [
        pytest.param(None, False, id="nobody"),
        pytest.param("refused", True, id="everybody"),
        pytest.param("lost", False, id="not-for-another-fault"),
    ],
)
def test_without_a_share(fault: Fault | None, refuses: bool) -> None:
    loop = asyncio.new_event_loop()
    provider = Provider(loop, Script())
    assert {provider.refuses(Script(fault=fault)) for _ in range(300)} == {refuses}
    loop.close()
