"""Connections to one provider are counted, and waited for in turn."""

import asyncio

import pytest

from service.providers.base import Fault
from tests.fakes.loops import added_time, until
from tests.fakes.site import OK, Site, advance, site


def waiters(here: Site) -> int:
    """How many requests wait for their turn."""
    return sum(not turn.done() for turn in here.upstream._waiting)


@added_time
async def test_a_pool_gives_turns_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one connection at most, the second and third wait, and have it one after another."""
    monkeypatch.setattr("service.providers.transport.MAX_CONNECTIONS", 1)
    async with site() as here:
        first = await here.ask()
        peer = await here.server.peer()
        waiting = [asyncio.ensure_future(here.ask()) for _ in range(2)]
        await until(lambda: waiters(here) == 2)
        for sink_of in (None, *waiting):
            sink = first if sink_of is None else await sink_of
            await peer.request()
            assert sum(task.done() for task in waiting) == (
                0 if sink_of is None else waiting.index(sink_of) + 1
            )
            peer.send(OK)
            assert await sink.over() == "end"
        assert len(here.server.peers) == 1


@added_time
async def test_who_stops_waiting_gives_its_turn_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the turn had just come: else nobody would ever be woken again."""
    monkeypatch.setattr("service.providers.transport.MAX_CONNECTIONS", 1)
    async with site() as here:
        first = await here.ask()
        peer = await here.server.peer()
        gone, woken, last = (asyncio.ensure_future(here.ask()) for _ in range(3))
        await until(lambda: waiters(here) == 3)
        gone.cancel()
        # The turn comes, and its holder leaves before it could run.
        first.then = lambda: (woken.cancel(), None)[1]
        await peer.request()
        peer.send(OK)
        await first.over()
        sink = await last
        await peer.request()
        peer.send(OK)
        assert await sink.over() == "end"
        assert woken.cancelled() and gone.cancelled()
        await until(lambda: here.upstream._count == 1)


@added_time
async def test_a_turn_that_does_not_come_in_time_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connect clock counts the waiting too, and never runs past the whole request's."""
    monkeypatch.setattr("service.providers.transport.MAX_CONNECTIONS", 1)
    async with site() as here:
        await here.ask()
        for connect, total, step in ((5.0, 600.0, 6.0), (50.0, 3.0, 4.0)):
            waiting = asyncio.ensure_future(here.ask(connect=connect, total=total))
            await until(lambda: waiters(here) == 1)
            advance(step)
            with pytest.raises(Fault) as caught:
                await waiting
            assert (caught.value.kind, caught.value.reason) == ("timed_out", "timeout_connect")
        await until(lambda: here.upstream._count == 1)


@added_time
async def test_a_lost_connection_makes_room_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits then has a new one."""
    monkeypatch.setattr("service.providers.transport.MAX_CONNECTIONS", 1)
    async with site() as here:
        first = await here.ask()
        waiting = asyncio.ensure_future(here.ask())
        await until(lambda: waiters(here) == 1)
        assert first.exchange is not None
        first.exchange.abort()
        sink = await waiting
        peer = await here.server.peer(2)
        await peer.request()
        peer.send(OK)
        assert await sink.over() == "end"


@added_time
async def test_a_closed_upstream_drops_idle_connections_and_lets_the_others_finish() -> None:
    """Each is dropped as it falls idle."""
    async with site() as here:
        idle, busy = await here.ask(), await here.ask()
        first, second = await here.server.peer(1), await here.server.peer(2)
        await first.request()
        first.send(OK)
        await idle.over()
        here.upstream.close()
        await first.gone()
        await second.request()
        second.send(OK)
        assert await busy.over() == "end"
        await second.gone()
