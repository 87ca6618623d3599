"""A worker's streams read at other workers: from any position, and what their readers' leaving means."""

import asyncio

import pytest

from service.streams.feeds import READER_SECONDS
from service.streams.ports import Absence, OnDisconnect
from service.streams.service import Claim
from tests.fakes.bus import Hub
from tests.fakes.loops import virtual_time
from tests.fakes.streams import numbers_of
from tests.fakes.viewer import MemoryViewer
from tests.fakes.workers import FINISH, MOMENT, OWNER, Worker, event, leave, publish, whole_of

CANCEL = Absence(OnDisconnect.CANCEL, 5.0, 35.0)
LINGER = Absence(OnDisconnect.LINGER, 5.0, 35.0)


@pytest.mark.parametrize("position", [0, 1, 3, 5])
@virtual_time
async def test_a_running_stream_is_read_elsewhere_from_any_position(position: int) -> None:
    """The same bytes, the same head, live to its end."""
    hub = Hub()
    owner, other = Worker(hub, "owner0"), Worker(hub, "other0")
    stream, _ = owner.begin()
    publish(stream, 0, 1, 2, 3, 4)
    viewer = await other.read(stream.id, position)
    await asyncio.sleep(MOMENT)
    assert numbers_of(viewer.sent) == list(range(position, 5))
    publish(stream, 5, 6)
    await asyncio.sleep(MOMENT)
    assert numbers_of(viewer.sent) == list(range(position, 7))
    stream.finish([event(7), b"data: [DONE]\n\n"])
    await asyncio.sleep(MOMENT)
    assert viewer.ended
    assert numbers_of(viewer.sent) == list(range(position, 9))
    assert whole_of(stream).endswith(viewer.sent)
    assert viewer.head == stream.headers
    await owner.close()
    await other.close()


@pytest.mark.parametrize("position", [0, 2, 3])
@virtual_time
async def test_a_finished_stream_is_read_elsewhere_from_any_position(position: int) -> None:
    """Twice as well, and at several workers."""
    hub = Hub()
    owner, others = Worker(hub, "owner0"), [Worker(hub, "other1"), Worker(hub, "other2")]
    stream, _ = owner.begin()
    publish(stream, 0, 1, 2)
    stream.finish([event(3)])
    for other in (*others, *others):
        viewer = await other.read(stream.id, position)
        await asyncio.sleep(MOMENT)
        assert viewer.ended
        assert numbers_of(viewer.sent) == list(range(position, 4))
        assert whole_of(stream).endswith(viewer.sent)
        assert other.mirrors.open == 0
    for worker in (owner, *others):
        await worker.close()


@virtual_time
async def test_several_viewers_at_several_workers_cost_one_feed() -> None:
    """One mirror a worker, one list in Redis; each viewer has its own position."""
    hub = Hub()
    owner, others = Worker(hub, "owner0"), [Worker(hub, f"other{n}") for n in range(3)]
    stream, _ = owner.begin()
    viewers: list[tuple[int, MemoryViewer]] = []
    for number in range(9):
        publish(stream, number)
        viewers.append((number, await others[number % 3].read(stream.id, number)))
    await asyncio.sleep(MOMENT)
    assert [other.mirrors.open for other in others] == [1, 1, 1]
    assert len(hub.places) == 1
    assert stream.viewers == 1
    stream.finish([event(9)])
    await asyncio.sleep(MOMENT)
    for position, viewer in viewers:
        assert viewer.ended
        assert numbers_of(viewer.sent) == list(range(position, 10))
    for worker in (owner, *others):
        await worker.close()


@pytest.mark.parametrize(
    ("absence", "after_seconds"),
    [
        pytest.param(CANCEL, 0.0, id="cancel-within-half-a-second"),
        pytest.param(LINGER, 5.0, id="linger-after-its-time"),
        pytest.param(FINISH, None, id="finish-never"),
    ],
)
@virtual_time
async def test_the_last_remote_viewers_leaving_is_a_viewers_leaving(
    absence: Absence, after_seconds: float | None
) -> None:
    """A first one's leaving, at another worker or this one, means nothing."""
    hub = Hub()
    owner, others = Worker(hub, "owner0"), [Worker(hub, "other1"), Worker(hub, "other2")]
    stream, provider = owner.begin(absence)
    publish(stream, 0)
    viewers = [await other.read(stream.id) for other in (*others, others[1])]
    await asyncio.sleep(MOMENT)
    for viewer in viewers[:-1]:
        await leave(viewer)
        await asyncio.sleep(8.0)
        assert provider.stopped_at is None
    left_at = hub.loop.time()
    await leave(viewers[-1])
    await asyncio.sleep(20.0)
    if after_seconds is None:
        assert provider.stopped_at is None
    else:
        assert provider.stopped_at is not None
        assert 0.0 <= provider.stopped_at - left_at - after_seconds <= 0.5
    assert [other.mirrors.open for other in others] == [0, 0]
    for worker in (owner, *others):
        await worker.close()


@virtual_time
async def test_a_reader_that_comes_as_another_leaves_goes_on() -> None:
    """A page's reload: the new request has found the stream, and reads it only a moment later."""
    hub = Hub()
    owner, other = Worker(hub, "owner0"), Worker(hub, "other0")
    stream, provider = owner.begin(CANCEL)
    publish(stream, 0)
    first = await other.read(stream.id)
    await asyncio.sleep(MOMENT)
    found = await other.streams.find(stream.id, Claim(OWNER))
    await leave(first)
    await asyncio.sleep(0.1)
    viewer = MemoryViewer()
    viewer.begin(found.headers)
    viewer.task = hub.loop.create_task(found.serve(viewer, 1))
    await asyncio.sleep(8.0)
    assert provider.stopped_at is None
    stream.finish([event(1)])
    await asyncio.sleep(MOMENT)
    assert numbers_of(viewer.sent) == [1]
    await owner.close()
    await other.close()


@virtual_time
async def test_a_reading_worker_that_dies_is_a_viewer_that_leaves() -> None:
    """Noticed as it asks no more."""
    hub = Hub()
    owner, other = Worker(hub, "owner0"), Worker(hub, "other0")
    stream, provider = owner.begin(CANCEL)
    publish(stream, 0)
    await other.read(stream.id)
    await asyncio.sleep(MOMENT)
    hub.die(other.tag)
    await asyncio.sleep(READER_SECONDS + 3.0)
    assert provider.stopped_at is not None
    await owner.close()
    assert not hub.places[1:]


@virtual_time
async def test_a_stream_is_cancelled_from_elsewhere() -> None:
    """Viewers at every worker get its error event, which has its number; a second time does nothing."""
    hub = Hub()
    owner, other = Worker(hub, "owner0"), Worker(hub, "other0")
    stream, provider = owner.begin()
    publish(stream, 0)
    viewer = await other.read(stream.id)
    await other.streams.cancel(stream.id, OWNER)
    assert provider.stopped_at is not None
    await other.streams.cancel(stream.id, OWNER)
    await asyncio.sleep(MOMENT)
    assert viewer.ended
    assert numbers_of(viewer.sent) == [0, 1]
    assert b'"cancelled"' in viewer.sent
    await owner.close()
    await other.close()
