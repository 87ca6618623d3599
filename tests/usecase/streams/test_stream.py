"""A stream that belongs to the gateway: whoever reads it, at whatever pace, from wherever."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.streams.ports import Absence, OnDisconnect
from tests.fakes.hall import MAX_BYTES, WIDEST, Hall, hall, over, settle
from tests.fakes.loops import virtual_time
from tests.fakes.source import FakeSource
from tests.fakes.streams import LINGERING, stream_registry

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 5), st.integers(0, WIDEST)),
        st.tuples(st.just("join"), st.integers(0, 30), st.just(0)),
        st.tuples(st.sampled_from(["stick", "unstick", "take", "leave"]), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("settle"), st.just(0), st.just(0)),
    ),
    max_size=60,
)


async def play(made: Hall, steps: list[tuple[str, int, int]]) -> None:
    """Do `steps`; what can always be said is looked at whenever all have done what they could."""
    for name, number, size in steps:
        if name == "publish":
            if not made.waits():
                made.publish(*(f"{index} {'x' * size}" for index in range(number)))
        elif name == "join":
            made.join(max(made.stream.log.first, made.stream.log.next - number))
            # Whoever asks is given its seat before anything else happens.
            await asyncio.sleep(0)
        elif name == "settle":
            await settle()
            assert made.waits() == (bool(made.present) and all(each.behind for each in made.present))
        elif present := made.present:
            getattr(present[number % len(present)], name)()
        assert made.stream.log.size_bytes <= MAX_BYTES or made.waits()


@given(steps=STEPS, stopped=st.booleans())
@settings(max_examples=300)
@virtual_time
async def test_whoever_stays_gets_exactly_the_events_after_its_position(
    steps: list[tuple[str, int, int]], stopped: bool
) -> None:
    """Whatever happens meanwhile; and whoever goes, or is cut, has seen no other ones, and can come back."""
    made = hall(Absence(OnDisconnect.FINISH, 5, 35))
    made.drive()
    await asyncio.sleep(0)
    await play(made, steps)
    await settle()
    if stopped:
        made.stream.cancel()
    else:
        made.finish()
    for watcher in made.watchers:
        watcher.unstick()
    await over(made)
    for watcher in made.watchers:
        wanted = made.from_position(watcher.position)
        if watcher in made.present:
            assert watcher.sent == wanted
            assert watcher.ended
        else:
            assert wanted.startswith(watcher.sent)
        if watcher.cut_at is not None:
            position, first = watcher.cut_at
            assert position >= first
    assert made.registry.held_bytes == made.stream.log.size_bytes


@virtual_time
async def test_a_slow_viewer_never_slows_the_others_and_can_come_back() -> None:
    """It is cut while its place is still there, with room to spare for the way back."""
    made = hall()
    fast = made.drive()
    slow = made.join(0)
    await settle()
    slow.stick()
    for _ in range(MAX_BYTES // 100):
        if slow.cut_at is not None:
            break
        made.publish("x" * 100)
        await settle()
        assert not made.waits()
        assert fast.sent == made.from_position(0)
    assert slow.cut_at is not None
    position, first = slow.cut_at
    assert made.stream.viewers == 1
    for _ in range(5):
        made.publish("x" * 100)
    assert position >= made.stream.log.first >= first
    again = made.join(position)
    await settle()
    made.finish()
    await over(made)
    assert slow.sent + again.sent == fast.sent == made.from_position(0)


@virtual_time
async def test_a_driver_that_is_too_slow_goes_and_the_stream_stays() -> None:
    """Its task stays behind, for the others."""
    made = hall()
    slow, fast = made.drive(), made.join(0)
    await settle()
    slow.stick()
    for _ in range(MAX_BYTES // 100):
        if slow.cut_at is not None:
            break
        made.publish("x" * 100)
        await settle()
    assert slow.cut_at is not None
    assert slow.task is not None
    assert not slow.task.done()
    made.finish()
    await over(made)
    assert fast.sent == made.from_position(0)


@pytest.mark.parametrize("driver", [pytest.param(True, id="the-driver"), pytest.param(False, id="another")])
@virtual_time
async def test_a_viewer_whose_place_was_dropped_is_cut_and_not_left_waiting(driver: bool) -> None:
    """All streams together had no room left: what a viewer that is behind wants next is gone."""
    made = hall()
    slow = made.drive() if driver else made.join(0)
    fast = made.join(0) if driver else made.drive()
    await settle()
    slow.stick()
    made.publish("x")
    made.publish("y")
    await settle()
    made.stream.shrink(0)
    slow.unstick()
    await settle()
    assert slow.cut_at is not None
    assert made.stream.viewers == 1
    made.finish()
    await over(made)
    assert fast.sent == made.from_position(0)


@virtual_time
async def test_what_all_viewers_still_wait_for_is_not_dropped() -> None:
    """The source is paused meanwhile, so it can't grow without bounds."""
    made = hall()
    watchers = [made.drive(), made.join(0)]
    await settle()
    for watcher in watchers:
        watcher.stick()
    made.publish("fits")
    for _ in range(100):
        # Already on their way when it was paused.
        made.publish("x" * 100)
    await settle()
    assert made.waits()
    assert made.stream.log.size_bytes > MAX_BYTES
    for watcher in watchers:
        watcher.unstick()
    await settle()
    assert not made.waits()
    made.finish()
    await over(made)
    assert [watcher.sent for watcher in watchers] == [made.from_position(0)] * 2


@virtual_time
async def test_more_than_the_room_for_a_stream_may_come_before_its_client_reads() -> None:
    """In the read that brought its first event; later ones may be dropped again."""
    registry = stream_registry(max_bytes_per_stream=100)
    stream = registry.make("me", LINGERING, lambda: None, dialect="openai")
    made = Hall(stream, FakeSource(stream), registry)
    made.publish(*("x" * 50 for _ in range(10)))
    stream.go_live([], made.source)
    driver = made.drive()
    await settle()
    made.publish("y" * 50)
    made.finish()
    await over(made)
    assert driver.sent == made.from_position(0)
    assert stream.log.first > 5


@virtual_time
async def test_a_heartbeat_that_did_not_fit_loses_nothing() -> None:
    """The client is behind though the last event reached it."""
    made = hall()
    driver = made.drive()
    await settle()
    made.publish("first")
    driver.stick()
    driver.write(b": heartbeat\n\n")
    assert driver.behind
    made.publish("second")
    made.publish("third")
    await settle()
    assert made.waits()
    driver.unstick()
    await settle()
    assert not made.waits()
    made.finish()
    await over(made)
    assert driver.sent.replace(b": heartbeat\n\n", b"") == made.from_position(0)
