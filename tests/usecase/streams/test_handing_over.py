"""A worker's streams elsewhere: who may have them, a Redis that goes away, an owner that stops, what stays behind."""

import asyncio

import pytest

from service.errors import GatewayError, InvalidApiKey, ObjectNotFound, StreamExpired
from service.streams.ports import Absence, OnDisconnect
from service.streams.service import Claim
from service.streams.stream import SHUTDOWN
from tests.fakes.bus import Hub
from tests.fakes.loops import virtual_time
from tests.fakes.streams import numbers_of
from tests.fakes.workers import FINISH, MOMENT, OWNER, Worker, event, leave, publish, whole_of

CANCEL = Absence(OnDisconnect.CANCEL, 5.0, 35.0)
LINGER = Absence(OnDisconnect.LINGER, 5.0, 35.0)


def tasks() -> int:
    """How many there are, beside the test's own."""
    return len(asyncio.all_tasks()) - 1


@pytest.mark.parametrize(
    "empty", [pytest.param(False, id="it-kept-all"), pytest.param(True, id="it-lost-all")]
)
@pytest.mark.parametrize("absence", [CANCEL, LINGER, FINISH], ids=lambda absence: absence.policy)
@virtual_time
async def test_a_redis_that_was_away_loses_and_doubles_nothing(absence: Absence, empty: bool) -> None:
    """For three seconds, while events come; nobody counts as having left."""
    hub = Hub()
    owner, others = Worker(hub, "owner0"), [Worker(hub, "other1"), Worker(hub, "other2")]
    stream, provider = owner.begin(absence)
    publish(stream, 0, 1, 2)
    viewers = [await other.read(stream.id) for other in others]
    await asyncio.sleep(MOMENT)
    hub.away = True
    for number in range(3, 9):
        publish(stream, number)
        await asyncio.sleep(0.5)
    if empty:
        hub.restart()
    hub.away = False
    late = await others[0].read(stream.id, 4)
    publish(stream, 9)
    await asyncio.sleep(6.0)
    assert provider.stopped_at is None
    for viewer in viewers:
        assert numbers_of(viewer.sent) == list(range(10))
    assert numbers_of(late.sent) == list(range(4, 10))
    stream.finish([event(10)])
    await asyncio.sleep(MOMENT)
    for viewer in viewers:
        assert viewer.ended
        assert viewer.sent == whole_of(stream)
    for worker in (owner, *others):
        await worker.close()


@virtual_time
async def test_a_redis_that_lost_a_finished_stream_gets_it_again() -> None:
    """Whoever asks next makes it be written anew."""
    hub = Hub()
    owner, other = Worker(hub, "owner0"), Worker(hub, "other0")
    stream, _ = owner.begin()
    publish(stream, 0, 1)
    stream.finish([event(2)])
    await other.read(stream.id)
    await asyncio.sleep(MOMENT)
    hub.restart()
    viewer = await other.read(stream.id)
    await asyncio.sleep(MOMENT)
    assert viewer.sent == whole_of(stream)
    await owner.close()
    await other.close()


@pytest.mark.parametrize(
    ("stream_id", "owner", "ticket", "error"),
    [
        pytest.param("owner0" + "1".zfill(18), OWNER, None, None, id="its-owner"),
        pytest.param("owner0" + "1".zfill(18), "key-2", None, ObjectNotFound, id="somebody-else"),
        pytest.param("owner0" + "1".zfill(18), "", None, ObjectNotFound, id="nobody"),
        pytest.param("owner0" + "1".zfill(18), None, "ff.x", InvalidApiKey, id="a-wrong-ticket"),
        pytest.param("owner0" + "9".zfill(18), OWNER, None, ObjectNotFound, id="an-unknown-stream"),
        pytest.param("owner0" + "2".zfill(18), OWNER, None, StreamExpired, id="one-that-is-gone"),
        pytest.param(
            "owner0" + "2".zfill(18), "key-2", None, ObjectNotFound, id="one-of-somebody-else-that-is-gone"
        ),
        pytest.param("nobody" + "1".zfill(18), OWNER, None, ObjectNotFound, id="an-unknown-worker"),
        pytest.param("short", OWNER, None, ObjectNotFound, id="no-id"),
        pytest.param("nobody" + "1".zfill(18) + ":1", OWNER, None, ObjectNotFound, id="a-place-and-no-id"),
    ],
)
@virtual_time
async def test_who_may_read_elsewhere(
    stream_id: str, owner: str | None, ticket: str | None, error: type[GatewayError] | None
) -> None:
    hub = Hub()
    worker, other = Worker(hub, "owner0", keep_seconds=50.0), Worker(hub, "other0")
    running, _ = worker.begin()
    publish(running, 0)
    worker.begin()[0].finish([event(0)])
    await asyncio.sleep(60.0)
    if error is None:
        await other.streams.find(stream_id, Claim(owner, ticket))
    else:
        with pytest.raises(error):
            await other.streams.find(stream_id, Claim(owner, ticket))
        if ticket is None:
            with pytest.raises(error):
                await other.streams.cancel(stream_id, owner or "")
        assert other.mirrors.open == 0
    await worker.close()
    await other.close()


@virtual_time
async def test_a_ticket_opens_its_stream_elsewhere() -> None:
    """Also after the time for its first use, where it was used."""
    hub = Hub()
    owner, other = Worker(hub, "owner0"), Worker(hub, "other0")
    stream, _ = owner.begin()
    publish(stream, 0)
    ticket, _ = owner.streams.issue_ticket(stream)
    viewer = await other.read(stream.id, owner=None, ticket=ticket)
    await asyncio.sleep(MOMENT)
    await leave(viewer)
    owner.clock.advance(100.0)
    viewer = await other.read(stream.id, owner=None, ticket=ticket)
    await asyncio.sleep(3.0)
    stream.finish([event(1)])
    await asyncio.sleep(MOMENT)
    assert viewer.sent == whole_of(stream)
    unused, _ = owner.begin()
    late, _ = owner.streams.issue_ticket(unused)
    owner.clock.advance(100.0)
    with pytest.raises(InvalidApiKey):
        await other.read(unused.id, owner=None, ticket=late)
    await owner.close()
    await other.close()


@virtual_time
async def test_a_worker_that_stops_leaves_its_streams_to_the_others() -> None:
    """What ran, too: its viewers elsewhere see the server_shutdown event, and can still read it."""
    hub = Hub()
    owner, other = Worker(hub, "owner0"), Worker(hub, "other0")
    done, _ = owner.begin()
    publish(done, 0, 1)
    done.finish([event(2)])
    ticket, _ = owner.streams.issue_ticket(done)
    running, _ = owner.begin()
    publish(running, 0, 1)
    viewer = await other.read(running.id)
    await asyncio.sleep(MOMENT)
    running.stop(SHUTDOWN)
    await owner.close()
    await asyncio.sleep(MOMENT)
    assert viewer.ended
    assert viewer.sent == whole_of(running)
    assert b'"server_shutdown"' in viewer.sent
    for stream, position in ((done, 0), (done, 2), (running, 1)):
        late = await other.read(stream.id, position)
        await asyncio.sleep(MOMENT)
        assert late.ended
        assert numbers_of(late.sent) == list(range(position, 3))
        assert whole_of(stream).endswith(late.sent)
        assert late.head == stream.headers
    ticketed = await other.read(done.id, owner=None, ticket=ticket)
    await asyncio.sleep(MOMENT)
    assert ticketed.sent == whole_of(done)
    for owner_string, shown in (("key-2", None), (None, "ff.x")):
        with pytest.raises(ObjectNotFound):
            await other.read(done.id, owner=owner_string, ticket=shown)
    await other.streams.cancel(done.id, OWNER)
    await asyncio.sleep(400.0)
    with pytest.raises(ObjectNotFound):
        await other.read(done.id)
    assert other.registry.held_bytes == 0
    await other.close()


@virtual_time
async def test_a_worker_that_stops_while_redis_is_away_still_ends() -> None:
    """In its time, and with nothing left of it."""
    hub = Hub()
    owner, other = Worker(hub, "owner0"), Worker(hub, "other0")
    stream, _ = owner.begin()
    publish(stream, 0)
    viewer = await other.read(stream.id)
    await asyncio.sleep(MOMENT)
    hub.away, hub.slow_seconds = True, 1.0
    stream.stop(SHUTDOWN)
    began_at = hub.loop.time()
    await owner.close()
    assert hub.loop.time() - began_at < 5.0
    await asyncio.sleep(30.0)
    assert viewer.ended
    await other.close()
    assert tasks() == 0


@virtual_time
async def test_a_feed_takes_no_more_of_redis_than_of_the_worker() -> None:
    """An endless stream with a reader elsewhere."""
    hub = Hub()
    owner, other = Worker(hub, "owner0", max_bytes_per_stream=10_000), Worker(hub, "other0")
    stream, _ = owner.begin()
    publish(stream, 0)
    viewer = await other.read(stream.id)
    for number in range(1, 400):
        stream.publish([event(number, "x" * 100)])
        await asyncio.sleep(0.01)
    await asyncio.sleep(MOMENT)
    assert numbers_of(viewer.sent) == list(range(400))
    (place,) = hub.places
    assert sum(len(data) for _, data in hub.read(place, "0", 1000)) < 12_000
    late = await other.read(stream.id, stream.log.first)
    await asyncio.sleep(MOMENT)
    assert numbers_of(late.sent) == list(range(stream.log.first, 400))
    await owner.close()
    await other.close()


@virtual_time
async def test_nothing_stays_behind() -> None:
    """Of a hundred streams that were read elsewhere for a while: no task, place, mirror or byte."""
    hub = Hub()
    owner, other = Worker(hub, "owner0"), Worker(hub, "other0")
    streams = [owner.begin(LINGER)[0] for _ in range(100)]
    viewers = []
    for stream in streams:
        publish(stream, 0, 1)
        viewers.append(await other.read(stream.id))
    await asyncio.sleep(MOMENT)
    assert other.registry.held_bytes > 0
    for number, viewer in enumerate(viewers):
        await leave(viewer)
        if number % 2:
            await other.read(streams[number].id, 1)
    await asyncio.sleep(1.0)
    for stream in streams[1::2]:
        stream.finish([event(2)])
    await asyncio.sleep(20.0)
    assert other.mirrors.open == 0
    assert other.registry.held_bytes == 0
    assert all(stream.over for stream in streams)
    await asyncio.sleep(400.0)
    assert owner.registry.held_bytes == 0
    assert hub.places == []
    assert tasks() == 0
    await owner.close()
    await other.close()
    assert tasks() == 0
