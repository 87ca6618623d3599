"""Open loops: requests go out at fixed instants, whatever comes back."""

import asyncio
import time
from collections import deque

from benchmarks.load.client import Client
from benchmarks.load.connection import Connection
from benchmarks.load.pacing import Metronome
from benchmarks.load.requests import Request
from benchmarks.load.tally import Tally

_PATIENCE_SECONDS = 5.0


class Lane:
    """One subject's part of an open loop: its connections, its requests, its tally.

    A request that finds no idle connection waits for one, and its clock runs meanwhile.
    """

    def __init__(self, client: Client, request: Request) -> None:
        self._client = client
        self._request = request
        self._idle = deque(client.connections)
        self._waiting: deque[int] = deque()
        for connection in client.connections:
            connection.on_idle = self._free

    @property
    def tally(self) -> Tally:
        """What this lane saw."""
        return self._client.tally

    def send(self, due_ns: int) -> None:
        """Send one request that is due at `due_ns`, now or as soon as a connection is idle."""
        self.tally.late.record_ns(time.monotonic_ns() - due_ns)
        if self._idle:
            self._idle.popleft().send(self._request, due_ns)
        else:
            self._waiting.append(due_ns)

    def finish(self) -> None:
        """Count what has not been answered."""
        for connection in self._client.connections:
            connection.give_up()
        if self._waiting:
            self.tally.fail("never sent", len(self._waiting))

    @property
    def open(self) -> bool:
        """Whether an answer may still come. Requests wait only while no connection is idle."""
        return any(connection.busy for connection in self._client.connections)

    def _free(self, connection: Connection) -> None:
        if self._waiting:
            connection.send(self._request, self._waiting.popleft())
        else:
            self._idle.append(connection)


async def open_loop(lanes: list[Lane], rate_per_second: float, seconds: float) -> None:
    """Send to the lanes in turn, each at `rate_per_second`, at fixed instants, whatever comes back.

    The turns go to and fro: were one lane always behind the same other one, it would always find
    the caches as that one leaves them. Latency counts from the instant at which a request was due, so a stall delays and is seen.
    Answers still open 5 s after the last request are errors.
    """
    count = max(1, int(rate_per_second * seconds)) * len(lanes)
    turns = [*lanes, *reversed(lanes)]
    metronome = Metronome(
        rate_per_second * len(lanes), count, lambda number, due_ns: turns[number % len(turns)].send(due_ns)
    )
    try:
        await metronome.finished
        for _ in range(int(_PATIENCE_SECONDS * 100)):
            if not any(lane.open for lane in lanes):
                break
            await asyncio.sleep(0.01)
    finally:
        metronome.close()
        for lane in lanes:
            lane.finish()
