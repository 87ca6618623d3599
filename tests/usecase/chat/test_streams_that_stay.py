"""A call's stream and its client, where the two part ways."""

import asyncio

import msgspec
import pytest

from service.config import Streams, UsageSettings
from service.errors import StoreUnavailable
from service.streams import registry as rooms
from service.streams.ports import OnDisconnect
from service.streams.stream import Stream
from service.wire.sse import DONE
from tests.fakes.accounts import RICH
from tests.fakes.chat import Kitchen, kitchen, order
from tests.fakes.loops import virtual_time
from tests.fakes.relay import STOP, chunk, last_error
from tests.fakes.upstream import Head, Pause, Script
from tests.fakes.viewer import MemoryViewer

OK = Head()
EARLY = Streams(commit_after_seconds=2)


class Holder:
    """An audience that reads nothing itself, as one that asks for a ticket."""

    begun = False
    commits_early = False

    def begin(self, headers: object) -> None:
        """It waits."""

    async def attend(self, stream: Stream) -> None:
        """Stay until it is over."""
        await stream.host()

    def outlives_cut(self) -> bool:
        """Nobody to tell."""
        return False

    def close(self) -> None:
        """Nothing is sent."""


def asked(made: Kitchen, viewer: MemoryViewer, policy: OnDisconnect | None = None) -> asyncio.Task[None]:
    """A call whose client is `viewer`."""
    call = order(stream=True, principal=RICH)
    if policy is not None:
        call = msgspec.structs.replace(call, on_disconnect=policy)
    viewer.task = asyncio.ensure_future(made.service.stream(call, viewer))
    return viewer.task


def joined(stream: Stream, position: int = 0, *, survives: bool = False) -> MemoryViewer:
    """One more viewer."""
    viewer = MemoryViewer(survives=survives)
    viewer.begin(stream.headers)
    viewer.task = asyncio.ensure_future(stream.serve(viewer, position))
    return viewer


@virtual_time
async def test_a_stream_that_there_is_no_room_for_leaves_nothing_of_its_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else each refusal would hold one of its caller's requests for ever."""
    monkeypatch.setattr(rooms, "MAX_STREAMS", 0)
    made = kitchen({"a": [[OK, chunk("Hi"), STOP, DONE]]})
    call = order(stream=True, principal=RICH)
    with pytest.raises(StoreUnavailable):
        await made.service.stream(call, MemoryViewer())
    assert made.limits.running == 0
    assert call.facts.problem == "store_unavailable"
    assert made.calls == []


@virtual_time
async def test_a_ticket_that_nobody_uses_ends_its_stream() -> None:
    """After 30 s where nothing lingers."""
    made = kitchen({"a": [[OK, chunk("Hi")]]}, streams=Streams(linger_seconds=0))
    call = order(stream=True, principal=RICH)
    task = asyncio.ensure_future(made.service.stream(call, Holder()))
    await asyncio.sleep(29.9)
    assert not task.done()
    await asyncio.sleep(0.2)
    assert task.done()
    assert call.facts.outcome == "client_abort"
    assert made.upstreams["a"].calls[0].closes == 1
    assert made.limits.running == 0
    [stream] = made.registry.all
    assert stream.over


@virtual_time
async def test_a_stream_that_was_told_early_can_be_cancelled_before_its_first_event() -> None:
    """Whoever reads along is told as well, and the provider is closed."""
    made = kitchen({"a": [[OK]]}, streams=EARLY)
    viewer = MemoryViewer()
    task = asked(made, viewer)
    await asyncio.sleep(3)
    [stream] = made.registry.all
    other = joined(stream)
    await asyncio.sleep(1)
    stream.cancel()
    async with asyncio.timeout(1):
        await task
        assert other.task is not None
        await other.task
    assert viewer.sent == other.sent
    assert last_error(viewer.received)["code"] == "cancelled"
    assert made.upstreams["a"].calls[0].closes == 1
    assert made.limits.running == 0
    [row] = made.ledger.rows
    assert row.outcome == "cancelled"


@virtual_time
async def test_whoever_reads_along_is_told_that_the_client_left_before_the_first_event() -> None:
    """It is cancelled at once then, and was no failure of ours."""
    made = kitchen({"a": [[OK]]}, streams=EARLY)
    viewer = MemoryViewer(leaves=True)
    task = asked(made, viewer)
    await asyncio.sleep(3)
    [stream] = made.registry.all
    other = joined(stream)
    await asyncio.sleep(1)
    viewer.cut()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert other.task is not None
    await other.task
    assert last_error(other.received)["code"] == "cancelled"
    assert made.upstreams["a"].calls[0].closes == 1


@pytest.mark.parametrize("policy", [pytest.param(each, id=each.value) for each in OnDisconnect])
@virtual_time
async def test_who_reads_along_before_the_first_event_and_goes_ends_nothing(policy: OnDisconnect) -> None:
    """The client that asked still waits, though it has no place in the stream yet."""
    script: Script = [OK, Pause(20), chunk("Hi"), STOP, DONE]
    made = kitchen({"a": [script]}, streams=Streams(commit_after_seconds=2, linger_seconds=5))
    viewer = MemoryViewer()
    task = asked(made, viewer, policy)
    await asyncio.sleep(3)
    [stream] = made.registry.all
    other = joined(stream)
    await asyncio.sleep(1)
    assert other.task is not None
    other.task.cancel()
    await task
    assert viewer.received == chunk("Hi") + STOP + DONE


@virtual_time
async def test_a_stream_that_is_read_on_for_its_bill_takes_one_place_however_often_it_is_left() -> None:
    """A viewer that comes meanwhile may read, too."""
    usage = UsageSettings(on_abort="drain", drain_seconds=10, drain_tokens=1_000, drain_streams=1)
    made = kitchen({"a": [[OK, chunk("Hi"), Pause(3), chunk("there"), Pause(100)]]}, usage=usage)
    viewer = MemoryViewer(leaves=True)
    task = asked(made, viewer, OnDisconnect.CANCEL)
    await asyncio.sleep(1)
    viewer.cut()
    await asyncio.sleep(1)
    [stream] = made.registry.all
    other = joined(stream)
    await asyncio.sleep(2)
    assert other.received == chunk("Hi") + chunk("there")
    assert other.task is not None
    other.task.cancel()
    await asyncio.sleep(20)
    assert task.done()
    assert stream.over
    assert made.service._drains.running == 0
    assert made.limits.running == 0


@virtual_time
async def test_the_account_of_a_stream_that_lingers_stays_open_and_then_closes() -> None:
    """It is one of its caller's running requests for as long as the provider is at work."""
    made = kitchen({"a": [[OK, chunk("Hi")]]}, streams=Streams(linger_seconds=5))
    viewer = MemoryViewer(leaves=True)
    task = asked(made, viewer)
    await asyncio.sleep(1)
    viewer.cut()
    await asyncio.sleep(4.9)
    assert made.limits.running == 1
    await asyncio.sleep(0.2)
    await task
    assert made.limits.running == 0
    [row] = made.ledger.rows
    assert row.outcome == "client_abort"
