"""What becomes of a stream when nobody reads it, or when it is ended from our side."""

import asyncio

import pytest

from service.errors import GatewayError, StreamAbandoned, StreamCancelled
from service.streams.ports import Absence, OnDisconnect
from tests.fakes.hall import hall, over, settle
from tests.fakes.loops import virtual_time
from tests.fakes.source import frame
from tests.fakes.streams import LINGERING, stream_registry


@pytest.mark.parametrize(
    ("policy", "ends_after_seconds"),
    [
        pytest.param(OnDisconnect.CANCEL, 0.0, id="cancel"),
        pytest.param(OnDisconnect.LINGER, 5.0, id="linger"),
        pytest.param(OnDisconnect.FINISH, None, id="finish"),
    ],
)
@virtual_time
async def test_what_the_last_viewers_leaving_means(
    policy: OnDisconnect, ends_after_seconds: float | None
) -> None:
    """The driver's leaving alone means nothing while somebody else reads."""
    made = hall(Absence(policy, 5.0, 35.0))
    driver, other = made.drive(), made.join(0)
    await settle()
    driver.leave()
    await asyncio.sleep(100)
    assert made.ended_by() is None
    other.leave()
    await settle()
    if ends_after_seconds is None:
        await asyncio.sleep(10_000)
        made.publish("still")
        made.finish()
    elif ends_after_seconds:
        await asyncio.sleep(ends_after_seconds - 0.1)
        assert made.ended_by() is None
        await asyncio.sleep(0.2)
    assert made.stream.over
    assert (made.ended_by() is StreamAbandoned) == (ends_after_seconds is not None)
    await over(made)


@virtual_time
async def test_who_comes_back_in_time_finds_it_running() -> None:
    """And its time begins anew with the next leaving."""
    made = hall()
    driver = made.drive()
    await settle()
    made.publish("a")
    driver.leave()
    await settle()
    made.publish("b")
    for _ in range(3):
        await asyncio.sleep(4.9)
        again = made.join(1)
        await asyncio.sleep(100)
        again.leave()
        await settle()
    assert made.ended_by() is None
    await asyncio.sleep(5.1)
    assert made.ended_by() is StreamAbandoned
    await over(made)
    late = made.join(1)
    await over(made)
    assert late.sent == made.from_position(1)


@virtual_time
async def test_nothing_pauses_the_source_once_a_slow_viewer_left() -> None:
    """Else a stream that lingers would linger for nothing."""
    made = hall()
    driver = made.drive()
    await settle()
    driver.stick()
    made.publish("a")
    await settle()
    assert made.waits()
    driver.leave()
    await settle()
    assert not made.waits()
    made.finish()
    await over(made)


@virtual_time
async def test_a_hosted_stream_waits_for_its_first_viewer() -> None:
    """So long, and no longer."""
    made = hall()
    host = asyncio.ensure_future(made.stream.host())
    await asyncio.sleep(34.9)
    assert not host.done()
    await asyncio.sleep(0.2)
    assert host.done()
    assert made.ended_by() is StreamAbandoned


@virtual_time
async def test_a_hosted_stream_with_a_viewer_is_as_any_other() -> None:
    """Once it leaves, the usual time counts."""
    made = hall()
    host = asyncio.ensure_future(made.stream.host())
    await asyncio.sleep(30)
    made.publish("a")
    viewer = made.join(0)
    await asyncio.sleep(1_000)
    assert not host.done()
    viewer.leave()
    await asyncio.sleep(4.9)
    assert not host.done()
    await asyncio.sleep(0.2)
    assert host.done()


@virtual_time
async def test_a_hosted_stream_that_was_visited_before_has_one_timer() -> None:
    """The one that counts for a first viewer; the other would end it under a later one."""
    made = hall()
    early = made.join(0)
    await settle()
    early.leave()
    await settle()
    host = asyncio.ensure_future(made.stream.host())
    await asyncio.sleep(4)
    viewer = made.join(0)
    await asyncio.sleep(1_000)
    assert made.ended_by() is None
    made.finish()
    await host
    assert viewer.sent == made.from_position(0)


@virtual_time
async def test_a_hosted_stream_that_is_over_needs_nobody() -> None:
    made = hall()
    made.finish()
    await made.stream.host()
    assert made.ended_by() is None


@pytest.mark.parametrize("behind", [pytest.param(False, id="keeping-up"), pytest.param(True, id="behind")])
@virtual_time
async def test_a_stream_that_is_cancelled_tells_everybody(behind: bool) -> None:
    """Those who are behind too, once they take it; a second time nothing happens."""
    made = hall()
    made.drive()
    made.join(0)
    await settle()
    if behind:
        for each in made.watchers:
            each.stick()
    made.publish("a")
    made.stream.cancel()
    made.stream.cancel()
    assert made.ended_by() is StreamCancelled
    for each in made.watchers:
        each.unstick()
    await over(made)
    assert [each.sent for each in made.watchers] == [made.from_position(0)] * 2
    assert made.watchers[0].sent.endswith(b'{"error":"cancelled"}\n\n')


@virtual_time
async def test_a_stream_that_is_over_can_be_neither_cancelled_nor_ended_again() -> None:
    made = hall()
    made.finish()
    made.stream.cancel()
    made.stream.finish([frame("more")], GatewayError("no"))
    assert made.ended_by() is None
    assert made.stream.error is None
    assert made.stream.log.next == 1


@virtual_time
async def test_a_stream_before_its_source_is_cancelled_by_way_of_its_task() -> None:
    """The attempts are ended, and say what for."""
    calls: list[str] = []
    stream = stream_registry().make("me", LINGERING, lambda: calls.append("cancelled"), dialect="openai")
    stream.cancel()
    assert calls == ["cancelled"]
    assert isinstance(stream.error, StreamCancelled)


@virtual_time
async def test_a_shutdown_tells_all_viewers() -> None:
    """The server cuts every request at once, in any order."""
    for order in ((0, 1, 2), (2, 1, 0)):
        made = hall()
        made.publish("a", "b")
        watchers = [made.drive(survives=True), made.join(0, survives=True), made.join(1, survives=True)]
        await settle()
        for index in order:
            task = watchers[index].task
            assert task is not None
            task.cancel()
        await over(made)
        for each in watchers:
            assert each.sent == made.from_position(each.position)
            assert each.sent.endswith(b'{"error":"server_shutdown"}\n\n')


@virtual_time
async def test_a_shutdown_ends_a_stream_that_lingers() -> None:
    """It is kept with its error event, and its task ends in order."""
    made = hall()
    driver = made.drive()
    await settle()
    driver.leave()
    await settle()
    assert driver.task is not None
    driver.task.cancel()
    await driver.task
    assert made.from_position(0).endswith(b'{"error":"server_shutdown"}\n\n')
    await asyncio.sleep(100)
    assert made.stream.log.next == 1


@pytest.mark.parametrize("visited", [pytest.param(True, id="with-a-viewer"), pytest.param(False, id="alone")])
@virtual_time
async def test_a_shutdown_ends_a_stream_that_is_hosted(visited: bool) -> None:
    made = hall()
    host = asyncio.ensure_future(made.stream.host())
    await settle()
    viewer = made.join(0, survives=True) if visited else None
    await settle()
    host.cancel()
    if viewer is not None and viewer.task is not None:
        viewer.task.cancel()
    await host
    await over(made)
    assert made.from_position(0).endswith(b'{"error":"server_shutdown"}\n\n')
    if viewer is not None:
        assert viewer.sent == made.from_position(0)
