"""A worker in a process of its own, for the tests of limits that several share.

    python -m tests.contract.shared_worker URL OWNER JOURNAL OWNER_SECONDS TICKS_AHEAD crowd|traffic

It says `ready` when it has joined, begins when it reads a line, and appends each request that it is about
to settle to JOURNAL: `finished_at nano_usd`, as the gateway's journal would have it.
`crowd`: 250 requests at once; says `admitted N`, and settles when it reads another line. `traffic`:
requests one after the other in eight lanes, until it reads another line.
"""

import asyncio
import os
import sys
import time

from service.config.settings import LimitSettings
from service.limits.base import Kind, Meter, Need, Refusal, Reservation, Subject, Used
from service.limits.leases import TICKS_AHEAD
from service.limits.redis import RedisLink
from service.limits.shared import SharedLimitStore
from tests.fakes.ledger_sums import LedgerSums

DEAREST = 1_000_003
CROWD = 250
_DEFAULTS = LimitSettings()
LANES = 8


def budget(times: int) -> Meter:
    """So many of the dearest requests, never renewed."""
    return Meter(
        name="key:k1:usd:total",
        kind=Kind.USD,
        subject=Subject.KEY,
        subject_id="k1",
        capacity=times * DEAREST,
        per="total",
    )


CROWDED = budget(10)
AMPLE = budget(1_000_000)


def shared_store(
    url: str,
    owner: str,
    ledger: LedgerSums,
    owner_seconds: float = 10.0,
    settings: LimitSettings = _DEFAULTS,
    ticks_ahead: int = TICKS_AHEAD,
) -> SharedLimitStore:
    """On the machine's own clocks; a new generation's budgets are open within a quarter of a second."""
    return SharedLimitStore(
        port=RedisLink(url),
        owner=owner,
        clock_us=lambda: time.monotonic_ns() // 1000,
        now=time.time,
        spent=ledger,
        settings=settings,
        on_alert=lambda meter, start, spent: None,
        owner_seconds=owner_seconds,
        lag_seconds=0,
        flush_seconds=0,
        ticks_ahead=ticks_ahead,
    )


class Worker:
    """What the process does."""

    def __init__(self, store: SharedLimitStore, journal: str) -> None:
        self._store = store
        self._journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._finished_at = 0.0
        self._stopping = False

    async def _ask(self, meter: Meter) -> Reservation | Refusal:
        return await self._store.reserve(
            (meter,), Need(nano_usd=DEAREST), id="r", started_at=time.time(), lasts_seconds=60
        )

    def _settle(self, reservation: Reservation, nano_usd: int) -> None:
        # Instants of one worker differ.
        self._finished_at = max(time.time(), self._finished_at + 1e-6)
        os.write(self._journal, f"{self._finished_at!r} {nano_usd}\n".encode())
        self._store.settle(reservation, Used(nano_usd=nano_usd, finished_at=self._finished_at))

    async def crowd(self) -> None:
        """All at once."""
        answers = await asyncio.gather(*(self._ask(CROWDED) for _ in range(CROWD)))
        admitted = [answer for answer in answers if not isinstance(answer, Refusal)]
        say(f"admitted {len(admitted)}")
        await line()
        for number, reservation in enumerate(admitted):
            self._settle(reservation, DEAREST - number * 7)

    async def traffic(self) -> None:
        """Until it is told to stop."""
        lanes = [asyncio.ensure_future(self._lane(number)) for number in range(LANES)]
        await line()
        self._stopping = True
        await asyncio.gather(*lanes)

    async def _lane(self, number: int) -> None:
        while not self._stopping:
            answer = await self._ask(AMPLE)
            assert not isinstance(answer, Refusal)
            await asyncio.sleep(0.001 * number)
            self._settle(answer, DEAREST - number * 11)


def say(word: str) -> None:
    """To the test."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def line() -> None:
    """Wait for the test to go on."""
    await asyncio.to_thread(sys.stdin.readline)


async def main(url: str, owner: str, journal: str, owner_seconds: str, ticks_ahead: str, what: str) -> None:
    """All of it."""
    store = shared_store(url, owner, LedgerSums(), float(owner_seconds), ticks_ahead=int(ticks_ahead))
    await store.start()
    worker = Worker(store, journal)
    say("ready")
    await line()
    await (worker.crowd() if what == "crowd" else worker.traffic())
    await store.flush()
    say("done")
    await line()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
