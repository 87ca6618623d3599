"""Viewers who are cut off and come back: nothing lost or doubled between two connections goes unseen."""

import socket

import pytest

from benchmarks.lab.subjects import Subject
from benchmarks.load.client import Client
from benchmarks.load.requests import request, rest, streamed
from benchmarks.load.resuming import NO_IDS, Cut, resuming
from benchmarks.load.tally import Tally
from tests.fakes.loops import on_uvloop
from tests.unit.benchmarks.resumable import Fault, Resumable, resumable

TOKENS = 8


async def watched(
    server: Resumable, cuts: list[Cut], interval_ms: float = 2, limit_seconds: float = 30
) -> Tally:
    place = Subject(name="here", port=server.port)
    asked = request(streamed(TOKENS, interval_ms), place)
    async with Client(server.port, 3) as client:
        return await resuming(client, asked, place, lambda: cuts, limit_seconds=limit_seconds)


@pytest.mark.parametrize(
    ("cuts", "returns"),
    [
        pytest.param([], 0, id="never-cut"),
        pytest.param([Cut(1)], 1, id="after-the-first-token"),
        pytest.param([Cut(TOKENS - 1, 0.01)], 1, id="before-the-last-one-and-back-after-the-end"),
        pytest.param([Cut(1)] * (TOKENS - 1), TOKENS - 1, id="after-each-token"),
        pytest.param([Cut(3), Cut(2, 0.005), Cut(1)], 3, id="here-and-there"),
    ],
)
@on_uvloop
async def test_a_stream_in_pieces_is_one_answer(cuts: list[Cut], returns: int) -> None:
    """Each token counts once, and each return has a time of its own and is in no other."""
    async with resumable() as server:
        tally = await watched(server, cuts)
        assert server.asked == 3
        # On a busy machine the rest may have come in one read, and then there is nothing to come back for.
        assert server.returned == tally.first_byte.count <= 3 * returns
        assert server.returned >= (3 if returns else 0)
    assert (tally.errors, tally.answers, tally.events) == ({}, 3, 3 * TOKENS)
    assert tally.first_event.count == 3
    assert tally.latency.count == (0 if returns else 3)
    assert tally.left == tally.first_byte.count


@pytest.mark.parametrize(
    ("fault", "told"),
    [pytest.param(None, 1, id="once"), pytest.param("no ids", 0, id="not-where-some-never-come-back")],
)
@on_uvloop
async def test_it_is_told_when_all_are_back(fault: Fault | None, told: int) -> None:
    """Before the last of them has all of its stream."""
    seen: list[int] = []
    async with resumable(fault) as server, Client(server.port, 3) as client:
        place = Subject(name="here", port=server.port)
        asked = request(streamed(TOKENS, 2), place)
        await resuming(
            client, asked, place, lambda: [Cut(1)], on_all_back=lambda: seen.append(client.tally.answers)
        )
    assert len(seen) == told
    assert all(answers < 3 for answers in seen)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        pytest.param("gap", "lost event", id="one-event-is-lost"),
        pytest.param("doubled", "extra event", id="one-event-comes-again"),
        pytest.param("restarted", "extra event", id="it-starts-from-the-beginning"),
        pytest.param("another stream", "event under another id", id="another-stream-comes"),
        pytest.param("unknown", "status 404", id="nobody-knows-the-stream"),
        pytest.param("no ids", NO_IDS, id="there-is-nothing-to-come-back-with"),
    ],
)
@on_uvloop
async def test_what_goes_wrong_at_a_return_is_one_error_of_each_viewer(fault: Fault, kind: str) -> None:
    """It is no answer, and no return of it has a time."""
    async with resumable(fault) as server:
        tally = await watched(server, [Cut(3)])
    assert dict(tally.errors) == {kind: 3}
    assert (tally.answers, tally.first_byte.count) == (0, 0)


@on_uvloop
async def test_who_has_everything_when_it_is_cut_does_not_come_back() -> None:
    """All of a burst in one read: the last event of a stream that is over has nothing after it."""
    async with resumable() as server:
        tally = await watched(server, [Cut(TOKENS)], interval_ms=0)
    assert (tally.errors, tally.answers, tally.events) == ({}, 3, 3 * TOKENS)


@on_uvloop
async def test_who_still_reads_at_the_limit_is_an_error() -> None:
    """Each viewer once, wherever it is: reading, or away."""
    async with resumable() as server:
        for cuts in ([], [Cut(1)], [Cut(1, 60.0)]):
            tally = await watched(server, cuts, interval_ms=60_000, limit_seconds=0.2)
            assert dict(tally.errors) == {"unfinished": 3}


@on_uvloop
async def test_a_server_that_is_gone_when_they_come_back_is_a_plain_error() -> None:
    """As it is for every other load."""
    async with resumable() as server, Client(server.port, 2) as client:
        place = Subject(name="here", port=server.port)
        asked = request(streamed(TOKENS, 1), place)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            client._port = taken.getsockname()[1]
            with pytest.raises(ConnectionRefusedError):
                await resuming(client, asked, place, lambda: [Cut(1)])


def test_the_rest_is_asked_for_as_an_event_source_does() -> None:
    """By the stream's id in the path and the last event's in the header, with the headers of the endpoint."""
    place = Subject(name="x", port=9, base_path="/base/v1", headers="authorization: Bearer k\r\n")
    asked = request(streamed(TOKENS, 1), place)
    back = rest(asked, "a-b_c-12", place)
    head, _, body = back.wire.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "GET /base/v1/streams/a-b_c HTTP/1.1"
    assert {"last-event-id: a-b_c-12", "authorization: Bearer k", "host: 127.0.0.1:9"} <= set(lines)
    assert body == b""
    assert (back.dialect, back.tokens) == (asked.dialect, asked.tokens)
