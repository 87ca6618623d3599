"""Who may read a stream: its owner, and whoever has a ticket, for as long as that is worth something."""

import asyncio

import pytest

from service.errors import GatewayError, InvalidApiKey, ObjectNotFound, StreamCancelled, StreamExpired
from service.streams.registry import StreamRegistry
from service.streams.service import Claim, Nowhere, StreamService
from service.streams.stream import Stream
from tests.fakes.clock import FakeClock
from tests.fakes.loops import virtual_time
from tests.fakes.source import FakeSource, frame
from tests.fakes.streams import LINGERING, TAG, stream_registry

SECRET = b"s" * 32


def opened(registry: StreamRegistry, clock: FakeClock) -> StreamService:
    """The use case of a worker that is alone."""
    return StreamService(
        registry=registry,
        elsewhere=Nowhere(),
        tag=TAG,
        secret=SECRET,
        now=clock.now,
        heartbeat_seconds=15.0,
    )


def live(registry: StreamRegistry, owner: str = "me") -> Stream:
    """A stream that others may read."""
    stream = registry.make(owner, LINGERING, lambda: None, dialect="openai")
    stream.go_live([], FakeSource(stream))
    return stream


async def refusal(service: StreamService, stream_id: str, claim: Claim) -> type[GatewayError] | None:
    """Why the stream can't be read; None: it can."""
    try:
        await service.find(stream_id, claim)
    except GatewayError as error:
        return type(error)
    return None


@pytest.mark.parametrize(
    ("first_used_after", "again_after", "expected"),
    [
        pytest.param(0, 1_000, None, id="used-at-once-it-serves-on"),
        pytest.param(60, 1_000, None, id="used-at-the-last-moment-it-serves-on"),
        pytest.param(61, 0, InvalidApiKey, id="used-too-late-it-never-serves"),
    ],
)
@virtual_time
async def test_a_ticket_must_first_be_used_in_time(
    first_used_after: float, again_after: float, expected: type[GatewayError] | None
) -> None:
    clock, registry = FakeClock(), stream_registry()
    service, stream = opened(registry, clock), live(registry)
    ticket, _ = service.issue_ticket(stream)
    clock.advance(first_used_after)
    assert await refusal(service, stream.id, Claim(ticket=ticket)) is expected
    clock.advance(again_after)
    assert await refusal(service, stream.id, Claim(ticket=ticket)) is expected


@virtual_time
async def test_the_first_use_of_one_ticket_is_none_of_another_stream() -> None:
    """Each stream remembers for itself."""
    clock, registry = FakeClock(), stream_registry()
    service, used, unused = opened(registry, clock), live(registry), live(registry)
    tickets = {stream.id: service.issue_ticket(stream)[0] for stream in (used, unused)}
    assert await refusal(service, used.id, Claim(ticket=tickets[used.id])) is None
    clock.advance(61)
    assert await refusal(service, used.id, Claim(ticket=tickets[used.id])) is None
    assert await refusal(service, unused.id, Claim(ticket=tickets[unused.id])) is InvalidApiKey
    assert await refusal(service, unused.id, Claim(ticket=tickets[used.id])) is InvalidApiKey


@virtual_time
async def test_a_ticket_tells_of_a_stream_that_is_gone() -> None:
    """To nobody else."""
    clock, registry = FakeClock(), stream_registry(keep_seconds=10)
    service, stream = opened(registry, clock), live(registry)
    ticket, _ = service.issue_ticket(stream)
    stream.finish([frame("end")])
    await asyncio.sleep(11)
    assert await refusal(service, stream.id, Claim(ticket=ticket)) is StreamExpired
    assert await refusal(service, stream.id, Claim(ticket=ticket[:-1])) is InvalidApiKey
    assert await refusal(service, stream.id, Claim(owner="you")) is ObjectNotFound


@pytest.mark.parametrize(
    ("owner", "claim", "expected"),
    [
        pytest.param("me", Claim(owner="me"), None, id="the-owner"),
        pytest.param("me", Claim(owner="you"), ObjectNotFound, id="another-key"),
        pytest.param("me", Claim(owner=""), ObjectNotFound, id="everybody"),
        pytest.param("", Claim(owner=""), None, id="everybody-where-no-key-is-needed"),
        pytest.param("me", Claim(owner="me", ticket="nonsense"), None, id="the-owner-with-a-bad-ticket"),
        pytest.param(
            "me", Claim(owner="you", ticket="1.x"), InvalidApiKey, id="another-key-and-a-bad-ticket"
        ),
        pytest.param("", Claim(ticket="1.x"), InvalidApiKey, id="a-bad-ticket-where-no-key-is-needed"),
    ],
)
@virtual_time
async def test_who_may_read_a_stream(owner: str, claim: Claim, expected: type[GatewayError] | None) -> None:
    registry = stream_registry()
    service, stream = opened(registry, FakeClock()), live(registry, owner)
    assert await refusal(service, stream.id, claim) is expected


@virtual_time
async def test_only_the_owner_may_cancel() -> None:
    """And what is over stays as it is."""
    registry = stream_registry()
    service, stream = opened(registry, FakeClock()), live(registry)
    for owner in ("you", ""):
        with pytest.raises(ObjectNotFound):
            await service.cancel(stream.id, owner)
    assert not stream.over
    await service.cancel(stream.id, "me")
    assert isinstance(stream.error, StreamCancelled)
    await service.cancel(stream.id, "me")
    assert stream.log.next == 1


@virtual_time
async def test_another_workers_stream_is_nowhere_where_there_is_none() -> None:
    service = opened(stream_registry(), FakeClock())
    assert await refusal(service, "others-123456789012345678", Claim(owner="me")) is ObjectNotFound
    with pytest.raises(ObjectNotFound):
        await service.cancel("others-123456789012345678", "me")
