"""Requests to a provider over real sockets: what is sent, which connections are kept, and the clocks."""

import pytest

from service.providers.base import Fault
from service.providers.transport import HttpUpstream
from tests.fakes.loops import added_time, until
from tests.fakes.peer import Peer
from tests.fakes.site import OK, Site, advance, site


@added_time
async def test_a_request_as_it_stands_on_the_wire() -> None:
    """One write: path below the base URL's, our own headers, the provider's credentials, the call's."""
    async with site("/some/path/") as here:
        await here.ask()
        peer = await here.server.peer()
        head, body = await peer.request()
    first, *lines = head.split(b"\r\n")
    assert first == b"POST /some/path/chat/completions HTTP/1.1"
    headers = dict(line.split(b": ", 1) for line in lines)
    assert len(headers) == len(lines)
    assert headers.pop(b"User-Agent").startswith(b"penstock/")
    assert headers == {
        b"Host": b"127.0.0.1:%d" % here.server.port,
        b"Content-Type": b"application/json",
        b"Accept": b"application/json, text/event-stream",
        b"Accept-Encoding": b"identity",
        b"Authorization": b"Bearer k",
        b"X-Request-ID": b"req_1",
        b"Content-Length": b"7",
    }
    assert body == b'{"a":1}'


@added_time
async def test_a_connection_is_kept_and_used_again() -> None:
    """One after another, on one socket."""
    async with site() as here:
        for _ in range(3):
            await here.ask_and_answer(1)
        assert len(here.server.peers) == 1


@added_time
async def test_two_at_once_have_a_connection_each_and_the_freshest_is_taken_next() -> None:
    """So that the rest can age."""
    async with site() as here:
        first, second = await here.ask(), await here.ask()
        for number, sink in ((2, second), (1, first)):
            peer = await here.server.peer(number)
            await peer.request()
            peer.send(OK)
            await sink.over()
        await here.ask_and_answer(1)
        assert len(here.server.peers) == 2


@added_time
async def test_a_fresh_connection_is_a_new_one() -> None:
    """Even if another is idle."""
    async with site() as here:
        await here.ask_and_answer(1)
        sink = await here.ask(fresh=True)
        peer = await here.server.peer(2)
        await peer.request()
        peer.send(OK)
        assert await sink.over() == "end"


@pytest.mark.parametrize("how", [pytest.param(Peer.close, id="closed"), pytest.param(Peer.reset, id="reset")])
@added_time
async def test_a_connection_that_died_while_idle_is_not_used(how: object) -> None:
    """We saw it close; the next request has a new one."""
    async with site() as here:
        peer = await here.ask_and_answer(1)
        how(peer)  # type: ignore[operator]
        await until(lambda: not here.upstream._idle)
        await here.ask_and_answer(2)


@added_time
async def test_a_connection_that_dies_as_it_is_asked_is_stale() -> None:
    """It had been idle for a while: the request is to go out again on a fresh one."""
    async with site() as here:
        peer = await here.ask_and_answer(1)
        advance(10)
        sink = await here.ask()
        await peer.request()
        peer.reset()
        assert await sink.over() == "StaleConnection"


@added_time
async def test_a_connection_that_was_idle_for_long_is_closed_unused() -> None:
    """Balancers drop them without a word after a minute."""
    async with site() as here:
        peer = await here.ask_and_answer(1)
        advance(55)
        await here.ask_and_answer(2)
        await peer.gone()


@added_time
async def test_an_answer_that_forbids_it_is_not_kept() -> None:
    """`Connection: close`."""
    async with site() as here:
        sink = await here.ask()
        peer = await here.server.peer(1)
        await peer.request()
        peer.send(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert await sink.over() == "end"
        await peer.gone()
        await here.ask_and_answer(2)


@added_time
async def test_an_answer_until_the_end_of_the_connection() -> None:
    """Neither a length nor chunks."""
    async with site() as here:
        sink = await here.ask()
        peer = await here.server.peer()
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        peer.close()
        assert await sink.over() == "end" and sink.body == b"hello"


@pytest.mark.parametrize(
    ("sent", "outcome"),
    [
        pytest.param(b"", "unreachable: reset", id="before-anything"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "cut: cut", id="in-the-body"),
    ],
)
@added_time
async def test_a_reset(sent: bytes, outcome: str) -> None:
    async with site() as here:
        sink = await here.ask()
        peer = await here.server.peer()
        await peer.request()
        peer.send(sent)
        await until(lambda: not sent or bool(sink.reads))
        peer.reset()
        assert await sink.over() == outcome


@added_time
async def test_an_abort_closes_the_providers_connection_at_once() -> None:
    """It stops working for us; the place in the pool is free again."""
    async with site() as here:
        sink = await here.ask()
        peer = await here.server.peer()
        await peer.request()
        assert sink.exchange is not None
        sink.exchange.abort()
        await peer.gone()
        assert sink.outcome is None
        await until(lambda: here.upstream._count == 0)


@added_time
async def test_a_paused_exchange_holds_the_provider_back() -> None:
    """The kernel's buffers fill, and then it can't write; resumed, everything comes."""
    async with site() as here:
        sink = await here.ask()
        peer = await here.server.peer()
        await peer.request()
        assert sink.exchange is not None
        sink.exchange.pause()
        block = b"x" * 65_536
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n")
        sent = await peer.send_until_full(block, 67_108_864)
        assert sent < 67_108_864 and sink.reads == []
        sink.exchange.resume()
        await peer.drained()
        await until(lambda: len(sink.body) == sent)
        assert sink.outcome is None


@pytest.mark.parametrize(
    ("sent", "started", "after", "outcome"),
    [
        pytest.param(b"", False, 31, "timed_out: timeout_first_token", id="the-first-byte"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", True, 31, "stalled: timeout_idle", id="silence"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", True, 601, "stalled: timeout_total", id="the-total"),
    ],
)  # fmt: skip
@added_time
async def test_the_clocks(sent: bytes, started: bool, after: float, outcome: str) -> None:
    """The connection is closed with them."""
    async with site() as here:
        sink = await here.ask()
        peer = await here.server.peer()
        await peer.request()
        peer.send(sent)
        await until(lambda: not sent or bool(sink.reads))
        assert sink.exchange is not None
        if started:
            sink.exchange.started()
        advance(after)
        assert await sink.over() == outcome
        await peer.gone()


@added_time
async def test_nobody_listens() -> None:
    """The fault's text is for the log; it may hold the address."""
    async with site() as here:
        port = here.server.port
    async with site() as other:
        upstream = HttpUpstream(f"http://127.0.0.1:{port}/v1", (), None)
        lost = Site(other.server, upstream)
        with pytest.raises(Fault) as caught:
            await lost.ask()
        assert (caught.value.kind, caught.value.reason) == ("unreachable", "connect")
        assert upstream._count == 0
