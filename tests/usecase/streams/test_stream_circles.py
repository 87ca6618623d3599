"""A stream that is over holds nobody, and nobody holds it once it is no longer kept; reference counts alone see to it."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from service.config import Streams
from service.streams.stream import Stream
from service.wire.sse import DONE
from tests.fakes.accounts import RICH
from tests.fakes.chat import Kitchen, kitchen, order
from tests.fakes.loops import virtual_time
from tests.fakes.relay import ERROR, STOP, chunk
from tests.fakes.upstream import Head, Pause, Script
from tests.fakes.viewer import MemoryViewer

OK = Head()
WHOLE: Script = [OK, chunk("Hi"), Pause(5), STOP, DONE]
BROKEN: Script = [OK, chunk("Hi"), Pause(5), ERROR]
ENDLESS: Script = [OK, chunk("Hi")]


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """Only reference counts free anything."""
    gc.disable()
    yield
    gc.enable()


async def lived(
    made: Kitchen, *, leaves: bool, cancels: bool
) -> tuple["weakref.ref[Stream]", list["weakref.ref[object]"]]:
    """A stream that is over, and references to all who read it."""
    viewer = MemoryViewer(leaves=leaves)
    viewer.task = asyncio.ensure_future(made.service.stream(order(stream=True, principal=RICH), viewer))
    await asyncio.sleep(1)
    [stream] = made.registry.all
    along = MemoryViewer()
    along.begin(stream.headers)
    reading = asyncio.ensure_future(stream.serve(along, 0))
    await asyncio.sleep(1)
    if leaves:
        viewer.cut()
        reading.cancel()
    if cancels:
        stream.cancel()
    await asyncio.sleep(20)
    assert viewer.task.done()
    assert reading.done()
    assert stream.over
    return weakref.ref(stream), [weakref.ref(each) for each in (viewer, along, viewer.task, reading)]


@pytest.mark.parametrize(
    ("script", "leaves", "cancels"),
    [
        pytest.param(WHOLE, False, False, id="complete"),
        pytest.param(BROKEN, False, False, id="broken"),
        pytest.param(ENDLESS, True, False, id="left-by-all"),
        pytest.param(WHOLE, True, False, id="left-by-all-and-cut-short"),
        pytest.param(ENDLESS, False, True, id="cancelled"),
    ],
)
@virtual_time
async def test_a_stream_and_its_viewers_let_go_of_each_other(
    script: Script, leaves: bool, cancels: bool
) -> None:
    made = kitchen({"a": [script]}, streams=Streams(linger_seconds=2, keep_seconds=60))
    stream, readers = await lived(made, leaves=leaves, cancels=cancels)
    await asyncio.sleep(0)
    for upstream in made.upstreams.values():
        for exchange in upstream.calls:
            # As a real one does at its end.
            del exchange._sink
    assert [each() for each in readers] == [None] * 4
    assert stream() is not None
    await asyncio.sleep(60)
    assert stream() is None
    assert made.registry.held_bytes == 0
