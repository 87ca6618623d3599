"""Limits that processes share: exact whatever they do at once, and when one of them is killed."""

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from service.limits.base import Need, Refusal, Used
from service.limits.leases import TICKS_AHEAD
from service.limits.shared import SharedLimitStore
from tests.contract.shared_worker import AMPLE, CROWDED, DEAREST, shared_store
from tests.fakes.ledger_sums import LedgerSums
from tests.fakes.loops import until
from tests.fakes.redis_server import RedisAt, shared_server

WORKERS = 4
OWNER_SECONDS = 1.5
PATIENCE_SECONDS = 60
ROWS = 200
"""Of each worker, before one is killed; the others write as many again."""

Start = Callable[[str], Coroutine[Any, Any, list["Child"]]]


class Child:
    """A `tests.contract.shared_worker`."""

    def __init__(self, process: Process, owner: str, journal: Path) -> None:
        self.process = process
        self.owner = owner
        self._journal = journal

    async def hears(self) -> str:
        """Its next line."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            return (await self.process.stdout.readline()).decode().strip()

    def go_on(self) -> None:
        """Past the line that it waits for."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")

    def rows(self) -> list[tuple[float, int]]:
        """(finished_at, nano-dollars) of what it was about to settle."""
        # The last line may be half written: what crosses a page is seen in two steps.
        whole, _, _ = self._journal.read_text().rpartition("\n")
        lines = [line.split() for line in whole.splitlines()]
        return [(float(finished_at), int(nano_usd)) for finished_at, nano_usd in lines]


@pytest.fixture
def server() -> RedisAt:
    """Empty."""
    found = shared_server()
    found.empty()
    return found


@asynccontextmanager
async def children(
    server: RedisAt, folder: Path, what: str, ticks_ahead: int = TICKS_AHEAD
) -> AsyncIterator[list[Child]]:
    """Ready to begin; none is left behind."""
    found: list[Child] = []
    try:
        for number in range(WORKERS):
            owner, journal = f"worker-{number}", folder / f"{number}.journal"
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.contract.shared_worker",
                server.url, owner, str(journal), str(OWNER_SECONDS), str(ticks_ahead), what,
                stdin=PIPE, stdout=PIPE,
            )  # fmt: skip
            found.append(Child(process, owner, journal))
        for child in found:
            assert await child.hears() == "ready"
        yield found
    finally:
        for child in found:
            if child.process.returncode is None:
                child.process.kill()
            await child.process.wait()
            child.process._transport.close()  # type: ignore[attr-defined]  # asyncio leaves its pipes open


async def _left(store: SharedLimitStore) -> int:
    (level,) = await store.levels((AMPLE,), now=time.time())
    return level.remaining


async def _remaining(server: RedisAt, name: str) -> int:
    store = shared_store(server.url, name, LedgerSums(), OWNER_SECONDS)
    await store.start()
    (level,) = await store.levels((CROWDED,), now=time.time())
    await store.close()
    return level.remaining


async def test_a_thousand_in_four_processes_never_overspend_ten_times_the_dearest_call(
    server: RedisAt, tmp_path: Path
) -> None:
    async with children(server, tmp_path, "crowd") as workers:
        for worker in workers:
            worker.go_on()
        admitted = [int((await worker.hears()).split()[1]) for worker in workers]
        assert sum(admitted) == 10
        for worker in workers:
            worker.go_on()
        for worker in workers:
            assert await worker.hears() == "done"
        spent = sum(nano_usd for worker in workers for _, nano_usd in worker.rows())
        assert 0 < spent <= CROWDED.capacity
        assert await _remaining(server, "witness") == CROWDED.capacity - spent


@pytest.mark.parametrize("ticks_ahead", [pytest.param(TICKS_AHEAD, id="leases"), pytest.param(0, id="none")])
async def test_of_a_process_that_is_killed_nothing_stays_held_and_nothing_spent_is_lost_or_counted_twice(
    server: RedisAt, tmp_path: Path, ticks_ahead: int
) -> None:
    witness = shared_store(server.url, "witness", LedgerSums(), OWNER_SECONDS)
    await witness.start()
    async with (
        children(server, tmp_path, "traffic", ticks_ahead) as workers,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        for worker in workers:
            worker.go_on()
        *survivors, victim = workers
        await until(lambda: all(len(worker.rows()) > ROWS for worker in workers))
        # All have been seen, so that one fewer is the one that is killed and not the one that came last.
        await until(lambda: witness.state()["workers"] == "5")
        victim.process.kill()
        await victim.process.wait()
        await until(lambda: all(len(worker.rows()) > 2 * ROWS for worker in survivors))
        for worker in survivors:
            worker.go_on()
        for worker in survivors:
            assert await worker.hears() == "done"
        await until(lambda: witness.state()["workers"] == "4")

        # What its journal has is booked; the store knows which of it was told before.
        for finished_at, nano_usd in victim.rows():
            used = Used(nano_usd=nano_usd, finished_at=finished_at)
            witness.book((AMPLE,), used, started_at=finished_at, owner=victim.owner)
        await witness.flush()

        spent = sum(nano_usd for worker in workers for _, nano_usd in worker.rows())
        # A worker whose exchange took too long on a busy machine is away for a moment, and tells the rest then.
        while await _left(witness) != AMPLE.capacity - spent:  # noqa: ASYNC110 - another process tells nobody
            await asyncio.sleep(0.01)
        rest = await witness.reserve(
            (AMPLE,), Need(nano_usd=AMPLE.capacity - spent), id="r", started_at=time.time(), lasts_seconds=60
        )
        assert not isinstance(rest, Refusal), "something is still held"
    await witness.close()
    assert spent > WORKERS * ROWS * (DEAREST - 100)
