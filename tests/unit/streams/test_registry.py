"""All streams of a worker: who finds them, for how long, and what goes when there is no room."""

import asyncio

import pytest

from service.errors import GatewayError, ObjectNotFound, StoreUnavailable, StreamExpired
from service.streams import registry as rooms
from service.streams.registry import StreamRegistry
from service.streams.stream import Stream
from tests.fakes.loops import virtual_time
from tests.fakes.source import FakeSource, frame
from tests.fakes.streams import LINGERING, TAG, stream_registry


def made(registry: StreamRegistry, *, owner: str = "me", text: str = "x", over: bool = False) -> Stream:
    """A live stream with one event; over: and no more."""
    stream = registry.make(owner, LINGERING, lambda: None, dialect="openai")
    stream.go_live([], FakeSource(stream))
    if over:
        stream.finish([frame(text)])
    else:
        stream.publish([frame(text)])
    return stream


def state(registry: StreamRegistry, stream_id: str, owner: str = "me") -> type[GatewayError] | None:
    """Why the stream isn't found; None: it is."""
    try:
        registry.find(stream_id, owner)
    except GatewayError as error:
        return type(error)
    return None


@virtual_time
async def test_an_id_begins_with_the_workers_tag() -> None:
    """And is as long as the contract says."""
    stream = made(stream_registry())
    assert stream.id.startswith(TAG)
    assert len(stream.id) == 24


@virtual_time
async def test_a_stream_is_found_by_its_owner_alone() -> None:
    """Whoever else asks learns nothing, not even that it was there."""
    registry = stream_registry(keep_seconds=10)
    stream = made(registry, over=True)
    assert registry.find(stream.id, "me") is stream
    assert state(registry, stream.id, "you") is ObjectNotFound
    assert state(registry, stream.id, "") is ObjectNotFound
    assert state(registry, "worker-that-never-was-000", "me") is ObjectNotFound
    await asyncio.sleep(11)
    assert state(registry, stream.id, "me") is StreamExpired
    assert state(registry, stream.id, "you") is ObjectNotFound
    assert state(registry, stream.id, "") is ObjectNotFound


@virtual_time
async def test_everybodys_streams_are_found_by_everybody() -> None:
    """Where no key is needed all callers are one owner, and an unknown id is still unknown."""
    registry = stream_registry()
    stream = made(registry, owner="")
    assert registry.find(stream.id, "") is stream
    assert state(registry, "worker-that-never-was-000", "") is ObjectNotFound
    assert registry.owner_of_gone("worker-that-never-was-000") == ""


@virtual_time
async def test_nobody_finds_a_stream_before_it_is_live() -> None:
    registry = stream_registry()
    stream = registry.make("me", LINGERING, lambda: None, dialect="openai")
    stream.publish([frame("early")])
    assert registry.get(stream.id) is None
    assert registry.all == ()
    stream.announce()
    assert registry.find(stream.id, "me") is stream


@virtual_time
async def test_a_stream_that_never_went_live_leaves_nothing() -> None:
    """Neither its bytes nor its name."""
    registry = stream_registry()
    stream = registry.make("me", LINGERING, lambda: None, dialect="openai")
    stream.publish([frame("for nobody")])
    assert registry.held_bytes > 0
    registry.forget(stream)
    assert registry.held_bytes == 0
    assert state(registry, stream.id) is ObjectNotFound


@virtual_time
async def test_a_finished_stream_is_kept_for_its_time_and_no_longer() -> None:
    """Each for its own, counted from its end."""
    registry = stream_registry(keep_seconds=10)
    first, running = made(registry, over=True), made(registry)
    await asyncio.sleep(4)
    second = made(registry, over=True)
    await asyncio.sleep(5.9)
    assert state(registry, first.id) is None
    await asyncio.sleep(0.2)
    assert state(registry, first.id) is StreamExpired
    assert state(registry, second.id) is None
    await asyncio.sleep(4)
    assert state(registry, second.id) is StreamExpired
    await asyncio.sleep(1_000)
    assert registry.all == (running,)
    running.finish([frame("end")])
    await asyncio.sleep(11)
    assert registry.held_bytes == 0
    assert state(registry, running.id) is StreamExpired


@virtual_time
async def test_what_is_not_to_be_kept_is_gone_at_once() -> None:
    registry = stream_registry(keep_seconds=0)
    stream = made(registry, over=True)
    await asyncio.sleep(0.001)
    assert state(registry, stream.id) is StreamExpired


@virtual_time
async def test_a_stream_that_was_over_before_it_went_live_is_kept_too() -> None:
    """One read may bring all of it."""
    registry = stream_registry(keep_seconds=10)
    stream = registry.make("me", LINGERING, lambda: None, dialect="openai")
    stream.finish([frame("all")])
    stream.go_live([], FakeSource(stream))
    assert registry.all == (stream,)
    await asyncio.sleep(11)
    assert state(registry, stream.id) is StreamExpired
    assert registry.held_bytes == 0


@virtual_time
async def test_the_oldest_finished_streams_make_room_first() -> None:
    """Running ones keep all they have as long as that is enough."""
    registry = stream_registry(max_bytes_total=1_000)
    running = made(registry, text="r" * 200)
    finished = [made(registry, text="f" * 200, over=True) for _ in range(3)]
    assert registry.held_bytes <= 1_000
    growing = made(registry, text="g" * 300)
    assert registry.held_bytes <= 1_000
    assert [state(registry, each.id) for each in finished] == [StreamExpired, StreamExpired, None]
    assert (running.log.first, growing.log.first) == (0, 0)


@virtual_time
async def test_a_running_stream_that_needs_too_much_drops_its_own_oldest_events() -> None:
    """Never those of others, and what is held stays within its bound."""
    registry = stream_registry(max_bytes_total=2_000)
    other = made(registry, text="o" * 500)
    growing = made(registry)
    for number in range(50):
        growing.publish([frame(f"{number} {'g' * 100}")])
        assert registry.held_bytes <= 2_000
    assert other.log.first == 0
    assert growing.log.first > 30
    assert registry.held_bytes == other.log.size_bytes + growing.log.size_bytes


@virtual_time
async def test_the_first_events_of_a_stream_are_not_dropped_before_its_client_could_read_them() -> None:
    """Even where there is no room at all: else every new stream would break."""
    registry = stream_registry(max_bytes_total=300)
    made(registry, text="o" * 300)
    stream = registry.make("me", LINGERING, lambda: None, dialect="openai")
    stream.publish([frame("first")])
    assert stream.log.first == 0


@virtual_time
async def test_finished_streams_give_way_to_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """In number; and running ones never do."""
    monkeypatch.setattr(rooms, "MAX_STREAMS", 3)
    registry = stream_registry()
    finished, running = made(registry, over=True), [made(registry) for _ in range(2)]
    running.append(made(registry))
    assert state(registry, finished.id) is StreamExpired
    with pytest.raises(StoreUnavailable, match="3 streams running"):
        registry.make("me", LINGERING, lambda: None, dialect="openai")
    running[0].finish([frame("end")])
    made(registry)
    assert state(registry, running[0].id) is StreamExpired


@virtual_time
async def test_the_memory_of_those_that_are_gone_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest gone is forgotten first."""
    monkeypatch.setattr(rooms, "MAX_REMEMBERED", 2)
    registry = stream_registry(keep_seconds=1)
    streams = [made(registry, over=True) for _ in range(3)]
    await asyncio.sleep(2)
    assert [state(registry, each.id) for each in streams] == [ObjectNotFound, StreamExpired, StreamExpired]


@virtual_time
async def test_a_closed_registry_leaves_no_timer() -> None:
    """What it would have dropped stays."""
    registry = stream_registry(keep_seconds=10)
    made(registry, over=True)
    registry.close()
    registry.close()
    await asyncio.sleep(100)
    assert len(registry.all) == 1
