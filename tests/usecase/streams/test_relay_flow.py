"""A stream on its way: torn anywhere, a client that is slow, one that was told early, and an end from this side."""

import asyncio
from collections.abc import Callable

import pytest

from service.chat.call import CHAT, MESSAGES, Surface
from service.chat.translate import ChunksToMessages, MessagesToChunks
from service.errors import ServerShutdown
from service.streams.ports import Translator
from service.wire.sse import DONE
from tests.fakes.loops import virtual_time
from tests.fakes.relay import (
    BLOCK,
    ERROR,
    MESSAGE_DELTA,
    MESSAGE_START,
    MESSAGE_STOP,
    STOP,
    USAGE,
    chunk,
    last_error,
    rig,
)
from tests.fakes.upstream import End

TO_CHUNKS: Callable[[], tuple[Translator, ...]] = lambda: (MessagesToChunks(created=1, include_usage=True),)  # noqa: E731
TO_MESSAGES: Callable[[], tuple[Translator, ...]] = lambda: (ChunksToMessages(),)  # noqa: E731
MESSAGE = MESSAGE_START + BLOCK + MESSAGE_DELTA + MESSAGE_STOP
COMPLETION = chunk("z\u00fc") + b": ping\r\n\r\n" + STOP + USAGE + DONE

TORN = [
    pytest.param("openai", CHAT, tuple, COMPLETION, id="openai"),
    pytest.param("anthropic", MESSAGES, tuple, MESSAGE, id="anthropic"),
    pytest.param("anthropic", CHAT, TO_CHUNKS, MESSAGE, id="anthropic-to-openai"),
    pytest.param("openai", MESSAGES, TO_MESSAGES, COMPLETION, id="openai-to-anthropic"),
    pytest.param("openai", CHAT, tuple, chunk("a") + chunk("b") + ERROR, id="ending-in-an-error"),
    pytest.param("openai", CHAT, tuple, chunk("a") + b'data: {"x":"\xff"}\n\n', id="ending-in-nonsense"),
    pytest.param("openai", CHAT, tuple, chunk("a") + DONE, id="ending-without-a-reason"),
]


@pytest.mark.parametrize(("codec", "surface", "translators", "wire"), TORN)
@virtual_time
async def test_the_client_gets_the_same_bytes_however_the_providers_are_torn(
    codec: str, surface: Surface, translators: Callable[[], tuple[Translator, ...]], wire: bytes
) -> None:
    """Whole, byte by byte, and cut at every place."""

    async def seen(*pieces: bytes) -> bytes:
        return await rig(*pieces, End(), codec=codec, surface=surface, translators=translators).watch()

    whole = await seen(wire)
    assert len(whole) > 50
    assert await seen(*(wire[at : at + 1] for at in range(len(wire)))) == whole
    for cut in range(1, len(wire)):
        assert await seen(wire[:cut], wire[cut:]) == whole, f"cut at {cut}"


@virtual_time
async def test_a_stream_of_the_same_dialect_passes_byte_for_byte() -> None:
    """Unknown members and events too."""
    wire = (
        MESSAGE_START
        + b'event: new\ndata: {"type":"new","x":[1,{"y":null}]}\n\n'
        + BLOCK
        + MESSAGE_DELTA
        + MESSAGE_STOP
    )
    assert await rig(wire, End(), codec="anthropic", surface=MESSAGES).watch() == wire


@pytest.mark.parametrize(
    ("wire", "added"),
    [
        pytest.param(MESSAGE, b"", id="it-came"),
        pytest.param(MESSAGE.removesuffix(MESSAGE_STOP), MESSAGE_STOP, id="it-is-added"),
    ],
)
@virtual_time
async def test_an_anthropic_stream_ends_with_message_stop(wire: bytes, added: bytes) -> None:
    made = rig(wire, End(), codec="anthropic", surface=MESSAGES)
    assert await made.watch() == wire + added
    assert made.relay.error is None


@virtual_time
async def test_an_anthropic_stream_without_a_stop_reason_never_looks_whole() -> None:
    """Neither its own `message_stop` nor ours goes out; the last event is `event: error`."""
    made = rig(MESSAGE_START + BLOCK + MESSAGE_STOP, End(), codec="anthropic", surface=MESSAGES)
    received = await made.watch()
    assert b"message_stop" not in received
    assert received.rpartition(b"\n\nevent: ")[2].startswith(b'error\ndata: {"error":{')
    assert last_error(received)["type"] == "api_error"


@virtual_time
async def test_a_slow_client_pauses_the_provider_and_loses_nothing() -> None:
    """While it is behind nothing is read, so nothing piles up; then everything comes, in order."""
    made = rig(chunk("first"))
    await made.first_event()
    made.viewer.stick()
    run = await made.go_live()
    pieces = [chunk(str(number)) for number in range(50)]
    made.exchange.then(*pieces, STOP, DONE)
    await asyncio.sleep(1)
    assert made.exchange.paused and made.viewer.received == chunk("first")
    for _ in range(20):
        made.viewer.take()
        await asyncio.sleep(0.01)
    assert (made.exchange.paused, run.done()) == (True, False)
    assert made.viewer.most_held_bytes <= len(chunk("00"))
    made.viewer.unstick()
    await run
    assert made.viewer.received == chunk("first") + b"".join(pieces) + STOP + DONE
    assert made.viewer.ended and made.exchange.pauses > 10


@pytest.mark.parametrize(
    "ending", [pytest.param([STOP, DONE], id="whole"), pytest.param([ERROR], id="broken")]
)
@virtual_time
async def test_a_client_that_is_behind_at_the_end_still_gets_the_end(ending: list[bytes]) -> None:
    """`run` returns only when it has."""
    made = rig(chunk("Hi"))
    await made.first_event()
    run = await made.go_live()
    made.viewer.stick()
    made.exchange.then(chunk("last that fits") + b"".join(ending))
    await asyncio.sleep(1)
    assert not run.done()
    made.viewer.unstick()
    await run
    assert made.viewer.ended
    assert made.viewer.received.startswith(chunk("Hi") + chunk("last that fits"))


@virtual_time
async def test_a_head_that_went_early_is_not_sent_again() -> None:
    """The stream goes on below it."""
    made = rig(chunk("Hi"), STOP, DONE)
    made.viewer.begin([(b"x-early", b"1")])
    assert await made.watch() == chunk("Hi") + STOP + DONE
    assert made.viewer.head == [(b"x-early", b"1")]


@virtual_time
async def test_nothing_is_written_before_the_attempt_is_chosen() -> None:
    """What came by then is kept, to its end, and sent then."""
    made = rig(chunk("Hi"), ERROR)
    await made.first_event()
    assert not made.viewer.begun and made.viewer.writes == []
    await made.go_live()
    assert len(made.viewer.writes) == 1
    assert last_error(made.viewer.received)["code"] == "provider_rate_limited"


@virtual_time
async def test_a_live_stream_is_stopped_with_an_error_event() -> None:
    """The provider's connection closes once, and nothing comes after it."""
    made = rig(chunk("Hi"))
    await made.first_event()
    run = await made.go_live()
    made.relay.stop(ServerShutdown("Shutting down."))
    made.relay.data(chunk("late"))
    made.relay.end()
    await run
    assert last_error(made.viewer.received)["code"] == "server_shutdown"
    assert b"late" not in made.viewer.received and DONE not in made.viewer.received
    assert made.viewer.ended and made.exchange.closes == 1


@virtual_time
async def test_a_stream_that_is_over_cannot_be_stopped() -> None:
    """Its end stands."""
    made = rig(chunk("Hi"), STOP, DONE)
    received = await made.watch()
    made.relay.stop(ServerShutdown("Shutting down."))
    assert made.viewer.received == received


@pytest.mark.parametrize(
    "steps", [pytest.param((), id="before-the-first-event"), pytest.param((chunk("Hi"),), id="after-it")]
)
@virtual_time
async def test_an_aborted_stream_closes_the_provider_once_and_writes_no_more(
    steps: tuple[bytes, ...],
) -> None:
    made = rig(*steps)
    await asyncio.sleep(1)
    if steps:
        await made.go_live()
    before = list(made.viewer.writes)
    made.relay.abort()
    made.relay.abort()
    made.relay.data(chunk("late"))
    assert made.viewer.writes == before
    assert made.exchange.closes == 1
