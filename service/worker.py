"""What a worker process owes the one that started it: to stop in order, and never to outlive it.

The main process says "stop" with SIGUSR1, a supervisor that signals a whole group with SIGTERM. From
then on all is decided here: when the listener closes, what requests on kept connections get, how long
running ones may take; last the server is told to drop its idle connections and end.
"""

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import structlog

from service.app import create_app
from service.config import Settings
from service.config.source import Source
from service.ending import what_waits
from service.http.edge import Edge
from service.lifespan import Services, open_services
from service.telemetry import logs

_log = structlog.get_logger()

ORPHAN_CHECK_SECONDS = 0.5
"""How soon a killed main process is noticed. Asking the kernel who the parent is costs 0.1 us."""

IDLE_CHECK_SECONDS = 0.05
"""How soon a draining worker notices that nothing runs any more."""


THREADS_SECONDS = 0.1
"""The server makes its threads at once when the application is open."""

LEAVE_SECONDS = 4.0
"""How long the end may take once nothing runs; a little less than the main process waits before it kills."""


def load_app(
    settings: Settings,
    source: Source,
    readable_logs: bool,
    metrics_directory: Path | None,
    stop_listening: Callable[[], None],
    leave: Callable[[], None],
    hear_signals: Callable[[], None],
) -> Edge:
    """The application of one worker, as the server wants it.

    source: where `settings` were read. metrics_directory: where several workers leave their numbers; None for a single one.
    stop_listening: refuses new connections from then on, and leaves the others alone. leave: ends the server.
    hear_signals: lets those come that were held back since the worker's settings were chosen.
    """
    logs.configure(readable=readable_logs)
    app = create_app(
        settings, partial(_open_worker, source, metrics_directory, stop_listening, leave, hear_signals)
    )
    _spare_the_collector()
    return app


def _spare_the_collector() -> None:
    """What is loaded by now stays: never look at it again, and look at the rest less often.

    Requests leave hardly any cycles. With the defaults the collector took 25 % of a JSON request's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)


@asynccontextmanager
async def _open_worker(
    source: Source,
    metrics_directory: Path | None,
    stop_listening: Callable[[], None],
    leave: Callable[[], None],
    hear_signals: Callable[[], None],
    settings: Settings,
    edge: Edge,
    routes: frozenset[str],
) -> AsyncIterator[Services]:
    parent = os.getppid()

    def read_again(may_have_keys: Callable[[], bool]) -> Settings:
        return source.read(lambda store: may_have_keys())

    def tell_others() -> None:
        if os.getppid() == parent:
            os.kill(parent, signal.SIGHUP)

    async with open_services(settings, edge, routes, metrics_directory, read_again, tell_others) as services:
        _be_considerate()
        duties = _Duties(settings, edge, services.reload.follow, stop_listening, leave, hear_signals)
        try:
            yield services
        finally:
            duties.end()


def _be_considerate() -> None:
    """Have the server's threads, which begin once the application is open, never interrupt the loop's to begin work.

    On a busy core each wake-up of theirs did, twice a request, and was back to waiting at once. The kernel
    hands them the core when the loop has to wait, so they find more to do at one go. They inherit this.
    """
    if sys.platform == "linux":
        _schedule(os.SCHED_BATCH)
        asyncio.get_running_loop().call_later(THREADS_SECONDS, _schedule, os.SCHED_OTHER)


def _schedule(policy: int) -> None:
    """This thread, and those that it makes. Some sandboxes know one policy only; then all is as it was."""
    with suppress(OSError):
        os.sched_setscheduler(0, policy, os.sched_param(0))


class _Duties:
    """Signal handlers and the watch on the parent, for one worker's life."""

    def __init__(
        self,
        settings: Settings,
        edge: Edge,
        reload: Callable[[], Coroutine[None, None, None]],
        stop_listening: Callable[[], None],
        leave: Callable[[], None],
        hear_signals: Callable[[], None],
    ) -> None:
        self._reload = reload
        self._reloading = set[asyncio.Task[None]]()
        self._loop = asyncio.get_running_loop()
        self._server = settings.server
        self._edge = edge
        self._stop_listening = stop_listening
        self._leave = leave
        self._stopping = False
        self._parent = os.getppid()
        for number in (signal.SIGUSR1, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._stop)
        self._loop.add_signal_handler(signal.SIGHUP, self._read_again)
        # A terminal's Ctrl-C reaches every process; the main one decides what it means.
        self._loop.add_signal_handler(signal.SIGINT, _ignore)
        # Held back so far: the server stops the loop for a moment to make its threads, and uvloop drops what comes then.
        self._timers = [
            self._loop.call_later(ORPHAN_CHECK_SECONDS, self._check_parent),
            self._loop.call_later(THREADS_SECONDS, hear_signals),
        ]

    def end(self) -> None:
        """The worker is done."""
        for timer in self._timers:
            timer.cancel()

    def _read_again(self) -> None:
        task = self._loop.create_task(self._reload(), name="reload")
        self._reloading.add(task)
        task.add_done_callback(self._reloading.discard)

    def _stop(self) -> None:
        if self._stopping:
            return
        self._stopping = True
        self._edge.ready = False
        delay = self._server.drain_delay_seconds
        self._timers += [
            self._loop.call_later(delay, self._drain),
            self._loop.call_later(delay + self._server.drain_seconds, self._edge.cut_all),
        ]

    def _drain(self) -> None:
        self._edge.drain()
        self._stop_listening()
        self._leave_when_idle()

    def _leave_when_idle(self) -> None:
        if self._edge.busy:
            self._timers.append(self._loop.call_later(IDLE_CHECK_SECONDS, self._leave_when_idle))
        else:
            # A client library may hold the close up for good; what must last is on disk by now.
            watchdog = threading.Timer(LEAVE_SECONDS, _end_late, (self._loop,))
            watchdog.daemon = True
            watchdog.start()
            self._leave()

    def _check_parent(self) -> None:
        if os.getppid() == self._parent:
            self._timers[0] = self._loop.call_later(ORPHAN_CHECK_SECONDS, self._check_parent)
            return
        self._edge.drain()
        self._stop()
        self._leave()


def _ignore() -> None:
    return


def _end_late(loop: asyncio.AbstractEventLoop) -> None:
    """End the process in the place of a loop that doesn't come to its end."""
    _log.error("worker.close_held_up", after_seconds=LEAVE_SECONDS, waiting=what_waits(loop))
    os._exit(0)
