"""What service.http leans on in Granian, tried on Granian itself with an application of three routes.

A failure here means: Granian changed; read docs/adr/0003-push-over-pull.md before anything is adapted.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.http.viewer import TAKEN
from tests.e2e.gateway import REPOSITORY, clean_environment, eventually, free_port
from tests.e2e.raw import Peer, get, request

PIECE = b"x" * 65_536
PIECES = 400
"""26 MB: several times what the kernel holds for a client that does not read."""

EVENTS = [(b"content-type", b"text/event-stream")]

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]

seen: dict[str, object] = {}
"""What the application found out, in the server's process; `/seen` tells."""


def start(headers: list[tuple[bytes, bytes]]) -> Message:
    """The head of an answer."""
    return {"type": "http.response.start", "status": 200, "headers": headers}


def piece(data: bytes, *, more: bool = True) -> Message:
    """A part of its body."""
    return {"type": "http.response.body", "body": data, "more_body": more}


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """ASGI, called by Granian."""
    if scope["type"] == "lifespan":
        for answer in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{answer}.complete"})
        return
    await {"/seen": tell, "/push": push, "/flood": flood, "/watch": watch}[scope["path"]](receive, send)


async def tell(receive: Receive, send: Send) -> None:
    """What was seen so far."""
    body = msgspec.json.encode(seen)
    await send(start([(b"content-length", str(len(body)).encode())]))
    await send(piece(body, more=False))


async def push(receive: Receive, send: Send) -> None:
    """Send without awaiting, and then wait for the client to leave."""
    seen["kinds"] = [type(send(message)).__name__ for message in (start(EVENTS), piece(b"pushed"))]
    await receive()
    await receive()


async def flood(receive: Receive, send: Send) -> None:
    """Send without awaiting, but for where the client's channel is full."""
    send(start(EVENTS))
    for count in range(1, PIECES + 1):
        taken = send(piece(PIECE))
        seen["pushed"] = count
        if type(taken).__name__ != TAKEN:
            seen.setdefault("full", {"pieces": count, "kind": type(taken).__name__})
            await taken
    await send(piece(b"end", more=False))


async def watch(receive: Receive, send: Send) -> None:
    """Hold a receive() as a future, and see what the client's leaving makes of it."""
    tasks_before = len(asyncio.all_tasks())
    first = asyncio.ensure_future(receive())
    seen["tasks_made"] = len(asyncio.all_tasks()) - tasks_before
    message = await first
    while message["type"] == "http.request":
        message = await asyncio.ensure_future(receive())
    seen["left"] = message["type"]


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Granian with this module's application."""
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--loop", "uvloop", "--http", "1"]
    errors = tmp_path_factory.mktemp("granian") / "errors"
    with errors.open("wb") as log:
        process = subprocess.Popen(
            [*command, "--no-ws", "--port", str(port), "tests.e2e.test_granian_send:app"],
            cwd=REPOSITORY,
            env=clean_environment({"PYTHONDONTWRITEBYTECODE": "1"}),
            stdout=log,
            stderr=log,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            eventually(lambda: is_up(url, process, errors), 20.0)
            yield url
        finally:
            process.terminate()
            process.wait(15)


def is_up(url: str, process: "subprocess.Popen[bytes]", errors: Path) -> bool | None:
    """True once it answers."""
    assert process.poll() is None, errors.read_text()
    try:
        return get(url, "/seen").status == 200
    except ConnectionRefusedError:
        return None


def told(url: str, name: str) -> object:
    """One of the things that the application saw, waiting for it."""
    return eventually(lambda: get(url, "/seen").json.get(name))


def test_send_acts_when_it_is_called(base_url: str) -> None:
    """Head and body are at the client though nobody awaited what send() returned, which says that they were taken."""
    with Peer(base_url) as peer:
        peer.send(request(b"GET", b"/push"))
        assert peer.head()[0] == 200
        assert next(peer.chunks()) == b"pushed"
        kinds = told(base_url, "kinds")
    assert isinstance(kinds, list)
    assert kinds[1] == TAKEN
    assert kinds[0] == TAKEN


def test_a_full_channel_is_another_kind_of_awaitable(base_url: str) -> None:
    """So it is noticed; awaiting it waits for the client, and not a byte is lost."""
    with Peer(base_url, receive_buffer_bytes=65_536) as peer:
        peer.send(request(b"GET", b"/flood"))
        assert peer.head()[0] == 200
        full = told(base_url, "full")
        assert isinstance(full, dict)
        assert full["kind"] != TAKEN
        # Nobody reads, so the rest is not taken, however often one looks.
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            assert get(base_url, "/seen").json["pushed"] != PIECES
        body = b"".join(peer.chunks())
    assert told(base_url, "pushed") == PIECES
    assert body == PIECE * PIECES + b"end"


def test_receive_is_a_future_that_tells_of_the_clients_leaving(base_url: str) -> None:
    """It costs no task, and ends with http.disconnect."""
    with Peer(base_url) as peer:
        peer.send(request(b"GET", b"/watch"))
        assert told(base_url, "tasks_made") is not None
    assert told(base_url, "left") == "http.disconnect"
    assert told(base_url, "tasks_made") == 0
