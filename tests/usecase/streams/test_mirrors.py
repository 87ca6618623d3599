"""A stream of another worker, read here: what goes wrong on the way, and slow viewers."""

import asyncio
import itertools
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.errors import GatewayError, StoreUnavailable
from service.siblings.bus import ANSWER
from service.streams import handover
from service.streams.mirror import LOST_SECONDS
from service.streams.service import Claim
from service.streams.stream import SHUTDOWN
from tests.fakes.bus import Hub
from tests.fakes.loops import JumpingLoop, virtual_time
from tests.fakes.streams import numbers_of
from tests.fakes.viewer import MemoryViewer
from tests.fakes.workers import MOMENT, OWNER, Worker, event, leave, publish, whole_of


def farewell_of(viewer: MemoryViewer) -> bytes:
    """The last event that a viewer got, which has no number."""
    last = viewer.sent.rstrip(b"\n").rpartition(b"\n\n")[2]
    assert not last.startswith(b"id:")
    return last


@virtual_time
async def test_an_owners_death_is_told() -> None:
    """By an error event, the last that this stream has."""
    hub = Hub()
    owner, other = Worker(hub, "owner0"), Worker(hub, "other0")
    stream, _ = owner.begin()
    publish(stream, 0, 1)
    viewers = [await other.read(stream.id), await other.read(stream.id, 1)]
    await asyncio.sleep(MOMENT)
    hub.die(owner.tag)
    await asyncio.sleep(5.0)
    for viewer in viewers:
        assert viewer.ended
        assert b'"code":"server_shutdown"' in viewer.sent.split(b"\n\n")[-2]
        assert numbers_of(viewer.sent)[-1] == 2
    assert other.mirrors.open == 0
    assert other.registry.held_bytes == 0
    with pytest.raises(GatewayError):
        await other.streams.find(stream.id, Claim(OWNER))
    await owner.close()
    await other.close()


@pytest.mark.parametrize(
    "kind", [handover.WANT, handover.MORE, ANSWER], ids=["a-question", "there-is-more", "an-answer"]
)
@virtual_time
async def test_a_letter_that_gets_lost_costs_time_alone(kind: str) -> None:
    """Every other letter of one kind."""
    hub = Hub()
    owner, other = Worker(hub, "owner0"), Worker(hub, "other0")
    fates = itertools.cycle([True, False])
    hub.loses = lambda letter: letter.kind == kind and next(fates)
    stream, _ = owner.begin()
    publish(stream, 0)
    viewer = await other.read(stream.id)
    for number in range(1, 10):
        publish(stream, number)
        await asyncio.sleep(1.0)
    stream.finish([event(10)])
    await asyncio.sleep(5.0)
    assert viewer.ended
    assert viewer.sent == whole_of(stream)
    await owner.close()
    await other.close()


@virtual_time
async def test_a_redis_that_stays_away_ends_the_viewers_here() -> None:
    """Not at once, and not never; the owner's stream is untouched."""
    hub = Hub()
    owner, other = Worker(hub, "owner0"), Worker(hub, "other0")
    stream, provider = owner.begin()
    publish(stream, 0)
    viewer = await other.read(stream.id)
    await asyncio.sleep(MOMENT)
    hub.away = True
    await asyncio.sleep(LOST_SECONDS - 4.0)
    ended_early = viewer.ended
    with pytest.raises(StoreUnavailable):
        await other.streams.find(stream.id, Claim(OWNER))
    await asyncio.sleep(8.0)
    assert (ended_early, viewer.ended) == (False, True)
    assert b'"code":"store_unavailable"' in farewell_of(viewer)
    assert other.mirrors.open == 0
    assert provider.stopped_at is None
    await owner.close()
    await other.close()


@virtual_time
async def test_a_stream_that_can_not_be_had_is_no_finished_one() -> None:
    """Redis goes away between the owner's answer and the events: an error, never `nothing more comes`."""
    hub = Hub()
    owner, other = Worker(hub, "owner0"), Worker(hub, "other0")
    stream, _ = owner.begin()
    publish(stream, 0)
    finding = hub.loop.create_task(other.streams.find(stream.id, Claim(OWNER)))
    await asyncio.sleep(0.0015)
    hub.die(owner.tag)
    hub.restart()
    with pytest.raises(GatewayError):
        await finding
    await other.close()
    await owner.close()


@virtual_time
async def test_a_slow_viewer_holds_up_its_mirror_but_nobody_else() -> None:
    """While it alone reads here, no more is taken than fits; whoever comes then gets all of it."""
    hub = Hub()
    owner = Worker(hub, "owner0")
    other = Worker(hub, "other0", max_bytes_per_stream=100_000)
    stream, provider = owner.begin()
    publish(stream, 0)
    slow = await other.read(stream.id)
    slow.stick()
    await asyncio.sleep(MOMENT)
    for number in range(1, 200):
        stream.publish([event(number, "x" * 1000)])
        await asyncio.sleep(0.01)
    assert not provider.paused
    before_bytes = other.registry.held_bytes
    assert before_bytes < 20_000
    for _ in range(200, 220):
        publish(stream, stream.log.next)
        await asyncio.sleep(1.0)
    assert other.registry.held_bytes == before_bytes
    slow.unstick()
    await asyncio.sleep(MOMENT)
    assert numbers_of(slow.sent) == list(range(220))
    await owner.close()
    await other.close()


@virtual_time
async def test_a_viewer_that_comes_while_all_others_are_slow_is_served() -> None:
    """A slow one never slows the others."""
    hub = Hub()
    owner, other = Worker(hub, "owner0"), Worker(hub, "other0")
    stream, _ = owner.begin()
    publish(stream, 0)
    slow = await other.read(stream.id)
    slow.stick()
    await asyncio.sleep(MOMENT)
    for number in range(1, 20):
        publish(stream, number)
        await asyncio.sleep(MOMENT)
    began_at = hub.loop.time()
    quick = await other.read(stream.id, 5)
    assert hub.loop.time() - began_at < 0.5
    publish(stream, 20)
    stream.finish([event(21)])
    await asyncio.sleep(MOMENT)
    assert quick.ended
    assert numbers_of(quick.sent) == list(range(5, 22))
    slow.unstick()
    await asyncio.sleep(MOMENT)
    assert numbers_of(slow.sent) == list(range(22))
    await owner.close()
    await other.close()


@virtual_time
async def test_a_viewer_too_far_behind_is_cut_where_it_can_come_back() -> None:
    """The owner has dropped what it wants next, and so has Redis: an error event tells so."""
    hub = Hub()
    owner = Worker(hub, "owner0", max_bytes_per_stream=10_000)
    other = Worker(hub, "other0", max_bytes_per_stream=10_000)
    stream, _ = owner.begin()
    publish(stream, 0)
    slow = await other.read(stream.id)
    slow.stick()
    await asyncio.sleep(MOMENT)
    for number in range(1, 200):
        stream.publish([event(number, "x" * 1000)])
        await asyncio.sleep(0.01)
    slow.unstick()
    await asyncio.sleep(10.0)
    assert slow.ended
    assert b'"code":"stream_expired"' in farewell_of(slow)
    sent = numbers_of(slow.sent.removesuffix(farewell_of(slow) + b"\n\n"))
    assert sent == list(range(len(sent)))
    again = await other.read(stream.id, stream.log.first)
    await asyncio.sleep(MOMENT)
    assert numbers_of(again.sent) == list(range(stream.log.first, 200))
    await owner.close()
    await other.close()


@virtual_time
async def test_a_worker_that_stops_tells_its_readers_to_come_back() -> None:
    """The stream goes on at its owner, which has another reader within its time."""
    hub = Hub()
    owner, others = Worker(hub, "owner0"), [Worker(hub, "other1"), Worker(hub, "other2")]
    stream, provider = owner.begin()
    publish(stream, 0)
    viewer = await others[0].read(stream.id)
    await asyncio.sleep(MOMENT)
    await others[0].close()
    await asyncio.sleep(MOMENT)
    assert viewer.ended
    assert b'"error"' in farewell_of(viewer)
    again = await others[1].read(stream.id, 1)
    await asyncio.sleep(10.0)
    assert provider.stopped_at is None
    stream.finish([event(1)])
    await asyncio.sleep(MOMENT)
    assert numbers_of(again.sent) == [1]
    await others[1].close()
    await owner.close()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 5)),
        st.tuples(st.just("read"), st.integers(0, 1)),
        st.tuples(st.just("leave"), st.integers(0, 9)),
        st.tuples(st.just("stick"), st.integers(0, 9)),
        st.tuples(st.just("unstick"), st.integers(0, 9)),
        st.tuples(st.just("away"), st.just(0)),
        st.tuples(st.just("back"), st.integers(0, 1)),
        st.tuples(st.just("lose"), st.integers(0, 5)),
        st.tuples(st.just("wait"), st.sampled_from([0, 1, 30, 2500])),
    ),
    max_size=40,
)


class Course:
    """One random course: two readers' workers, viewers who come and go, and a Redis that does as well."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.owner = Worker(hub, "owner0")
        self.others = [Worker(hub, "other1"), Worker(hub, "other2")]
        self.stream, self.provider = self.owner.begin()
        self.viewers: list[tuple[int, MemoryViewer]] = []
        self.to_lose: Iterator[bool] = iter(())
        self.troubled = False
        hub.loses = lambda letter: next(self.to_lose, False)

    async def step(self, what: str, number: int) -> None:
        """Do one thing."""
        self.troubled |= what in {"away", "lose"}
        if what == "publish":
            publish(self.stream, *range(self.stream.log.next, self.stream.log.next + number))
        elif what == "read":
            await self._read(self.others[number])
        elif what in {"leave", "stick", "unstick"} and self.viewers:
            await self._viewer(what, number % len(self.viewers))
        elif what == "away":
            self.hub.away = True
        elif what == "back":
            if self.hub.away and number:
                self.hub.restart()
            self.hub.away = False
        elif what == "lose":
            self.to_lose = iter([True] * number)
        elif what == "wait":
            await asyncio.sleep(number / 1000)

    async def end(self, how: str) -> None:
        """The stream's last event comes, or its worker goes."""
        if how == "finishes":
            self.stream.finish([event(0)])
        elif how == "stops":
            self.stream.stop(SHUTDOWN)
            await self.owner.close()
        else:
            self.hub.die(self.owner.tag)

    async def _read(self, worker: Worker) -> None:
        position = self.stream.log.next // 2
        try:
            self.viewers.append((position, await worker.read(self.stream.id, position)))
        except StoreUnavailable:
            assert self.troubled

    async def _viewer(self, what: str, index: int) -> None:
        viewer = self.viewers[index][1]
        if what == "leave":
            await leave(viewer)
            del self.viewers[index]
        else:
            getattr(viewer, what)()


@settings(max_examples=150, derandomize=True, suppress_health_check=list(HealthCheck))
@given(STEPS, st.sampled_from(["finishes", "stops", "dies"]))
def test_whatever_happens_nothing_is_lost_or_doubled(steps: list[tuple[str, int]], owner: str) -> None:
    """Each viewer that stays has all from its position on, or an error event after the first part of it."""

    async def run() -> None:
        course = Course(Hub())
        publish(course.stream, 0, 1)
        for what, number in steps:
            await course.step(what, number)
        course.hub.away = False
        course.to_lose = iter(())
        for _, viewer in course.viewers:
            viewer.unstick()
        await course.end(owner)
        await asyncio.sleep(30.0)
        whole = whole_of(course.stream)
        for position, viewer in course.viewers:
            assert viewer.ended
            wanted = whole[whole.index(b"-%d\n" % position) - len(f"id: {course.stream.id}") :]
            if viewer.sent != wanted:
                assert course.troubled or owner == "dies"
                *before, farewell = viewer.sent.removesuffix(b"\n\n").split(b"\n\n")
                assert b'"error"' in farewell
                assert farewell.startswith(b"id:") is (b"is gone; send" in farewell)
                assert wanted.startswith(b"\n\n".join(before))
        if owner == "stops":
            late = await course.others[0].read(course.stream.id)
            await asyncio.sleep(MOMENT)
            assert late.sent == whole
        assert (course.provider.stopped_at is None) is (owner != "stops")
        assert [other.mirrors.open for other in course.others] == [0, 0]
        assert all(other.registry.held_bytes == 0 for other in course.others)
        for worker in (course.owner, *course.others):
            await worker.close()
        assert len(asyncio.all_tasks()) == 1

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(run())
