"""Event loops whose time a test owns, for code that asks its loop for the time and sets timers on it."""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

import uvloop

P = ParamSpec("P")


class Deadlock(Exception):
    """Every task waits, and no timer is set: nothing would ever happen again."""


class _Jumping(selectors.DefaultSelector):
    """Where a loop would sleep until its next timer, that moment is now."""

    def __init__(self) -> None:
        super().__init__()
        self.jumped_seconds = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready; if nothing is, time moves on instead of passing."""
        ready = super().select(0)
        if not ready and timeout is None:
            raise Deadlock
        if not ready and timeout is not None:
            self.jumped_seconds += max(timeout, 0.0)
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """Virtual time: only timers move it, and they cost none. For code that does no I/O."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Seconds that timers took so far."""
        return 1000.0 + self._jumping.jumped_seconds


class AheadLoop(asyncio.SelectorEventLoop):
    """Real time, and what the test adds to it. For code with real sockets."""

    def __init__(self) -> None:
        self.added_seconds = 0.0
        super().__init__()

    def time(self) -> float:
        """The machine's clock and what was added."""
        return super().time() + self.added_seconds

    def advance(self, seconds: float) -> None:
        """Let that much time have passed; timers due by then go off next."""
        self.added_seconds += seconds


def _run_on(
    factory: Callable[[], asyncio.AbstractEventLoop], test: Callable[P, Coroutine[Any, Any, None]]
) -> Callable[P, None]:
    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        unheard: list[dict[str, Any]] = []
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.get_loop().set_exception_handler(lambda _, context: unheard.append(context))
            runner.run(test(*args, **kwargs))
        # What a callback raises, the loop would only log.
        assert not unheard

    return run


def virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test on a JumpingLoop."""
    return _run_on(JumpingLoop, test)


def added_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test on an AheadLoop."""
    return _run_on(AheadLoop, test)


def on_uvloop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test on uvloop, whose transports write later and pause earlier than asyncio's."""
    return _run_on(uvloop.new_event_loop, test)


async def until(claim: Callable[[], bool]) -> None:
    """Let the loop run until `claim` holds; whoever waits here bounds it with a timeout."""
    while not claim():  # noqa: ASYNC110 - what is awaited tells nobody
        await asyncio.sleep(0)
