"""`service.usage.ledger`: every request is a row once, soon, whatever the database and the siblings do."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from service.usage.journal import Batch, Journal
from service.usage.ledger import FLUSH_COUNT, Ledger
from service.usage.row import LedgerRow, Outcome
from service.usage.segment import SEGMENT_BYTES, SegmentWriter
from tests.fakes.clock import FakeClock
from tests.fakes.ledger_writer import MemoryLedgerWriter, ended, started
from tests.fakes.loops import virtual_time

MIB = 1 << 20
READABLE_SECONDS = 2.0
"""What the contract promises."""


def journal_in(root: Path, *, segment_bytes: int = SEGMENT_BYTES) -> Journal:
    return Journal(root, now=FakeClock().now, max_bytes=16 * MIB, segment_bytes=segment_bytes)


def names_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


class Worker:
    """A ledger, its database, and the rows that limits were told of."""

    def __init__(self, root: Path, writer: MemoryLedgerWriter | None = None) -> None:
        self.writer = writer or MemoryLedgerWriter()
        self.told: list[LedgerRow] = []
        self.journal = journal_in(root)
        self.ledger = Ledger(self.journal, self.writer, on_recovered=self.recovered)

    def recovered(self, row: LedgerRow, owner: str) -> None:
        """A row counts only when it can be read."""
        assert row.id in self.writer.rows
        self.told.append(row)

    def serve(self, *names: str) -> None:
        """Requests from their begin to their end."""
        for name in names:
            self.ledger.begin(started(name))
            self.ledger.end(ended(name))


@asynccontextmanager
async def working(root: Path, writer: MemoryLedgerWriter | None = None) -> AsyncIterator[Worker]:
    """A worker from its start to its orderly end."""
    worker = Worker(root, writer)
    await worker.ledger.start()
    yield worker
    await worker.ledger.close()


def leave_dead(root: Path, *, ended_ones: Sequence[str] = (), open_ones: Sequence[str] = ()) -> None:
    """The journal of a worker that died: its lock is free, nothing of it was delivered."""
    journal = journal_in(root)
    for name in (*ended_ones, *open_ones):
        journal.begin(started(name))
    for name in ended_ones:
        journal.end(ended(name))
    journal.close()


def events(logs: Sequence[Any]) -> list[str]:
    return [line["event"] for line in logs]


async def until(claim: Callable[[], bool], seconds: float = 60) -> float:
    """Let time pass until `claim` holds; how long that took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(seconds):
        while not claim():  # noqa: ASYNC110 - what is awaited tells nobody
            await asyncio.sleep(0.01)
    return loop.time() - began


@pytest.fixture(name="root")
def journal_root(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def test_a_request_is_a_row_soon_after_its_end(root: Path) -> None:
    """And none before; nothing is left on the disk when the worker has ended."""

    @virtual_time
    async def run() -> None:
        async with working(root) as worker:
            worker.ledger.begin(started("a"))
            await asyncio.sleep(5)
            assert worker.writer.rows == {}
            worker.ledger.end(ended("a"))
            assert await until(lambda: "a" in worker.writer.rows) <= 0.3
            assert worker.writer.rows == {"a": ended("a")}
        assert names_in(root) == set()

    run()


def test_many_requests_wait_no_quarter_of_a_second(root: Path) -> None:
    """And they go in together."""

    @virtual_time
    async def run() -> None:
        async with working(root) as worker:
            names = [str(number) for number in range(FLUSH_COUNT)]
            worker.serve(*names)
            assert await until(lambda: len(worker.writer.rows) == FLUSH_COUNT) <= 0.05
            assert list(worker.writer.rows) == names
            assert len(worker.writer.attempts) <= 3

    run()


def test_an_end_that_is_told_twice_is_one_row(root: Path) -> None:
    """The first counts."""

    @virtual_time
    async def run() -> None:
        async with working(root) as worker:
            worker.serve("a")
            worker.ledger.end(ended("a", output_tokens=99))
            await worker.ledger.flush_now()
            assert worker.writer.rows == {"a": ended("a")}

    run()


def test_a_database_away_for_an_hour_loses_nothing(root: Path) -> None:
    """It is asked now and then, its going and its coming back are logged once, and then all is there soon."""

    @virtual_time
    async def run() -> None:
        async with working(root) as worker:
            worker.writer.away = True
            with capture_logs() as logs:
                for number in range(3600):
                    worker.serve(str(number))
                    await asyncio.sleep(1)
            assert events(logs) == ["ledger.database_away"]
            assert worker.ledger.state()["database"] == "away"
            assert len(worker.writer.attempts) < 2.1 * 3600
            worker.writer.away = False
            with capture_logs() as logs:
                assert await until(lambda: len(worker.writer.rows) == 3600) <= READABLE_SECONDS
                await worker.ledger.flush_now()
            assert events(logs) == ["ledger.database_back"]
            assert worker.ledger.state()["database"] == "ok"

    run()


@pytest.mark.parametrize(
    ("vague", "first"),
    [
        pytest.param(False, True, id="it-says-so-and-nothing-was-accepted-before"),
        pytest.param(False, False, id="it-says-so"),
        pytest.param(True, False, id="it-says-that-it-is-away"),
    ],
)
@pytest.mark.parametrize("refused", [["bad"], ["bad", "worse"]], ids=["one-row", "two-rows"])
@pytest.mark.parametrize("good", [[], ["a", "b", "c"]], ids=["alone", "among-good-ones"])
def test_a_row_that_is_refused_holds_up_no_other(
    root: Path, vague: bool, first: bool, refused: list[str], good: list[str]
) -> None:
    """It is kept in a file that a person can read, and that is said."""

    @virtual_time
    async def run() -> None:
        async with working(root) as worker:
            if not first:
                worker.serve("z")
                await worker.ledger.flush_now()
            worker.writer.vague = vague
            worker.writer.refuses = set(refused)
            with capture_logs() as logs:
                worker.serve(refused[0], *good, *refused[1:])
                await until(lambda: worker.ledger.state()["rejected_rows"] == str(len(refused)))
            worker.serve("later")
            assert await until(lambda: "later" in worker.writer.rows) <= 0.3
            assert set(worker.writer.rows) == {*good, "later", *([] if first else ["z"])}
            assert events(logs).count("ledger.rows_rejected") == 1
            file = root / f"rejected-{worker.journal.path.name}.jsonl"
            lines = [msgspec.json.decode(line) for line in file.read_bytes().splitlines()]
            assert [line["id"] for line in lines] == refused
            assert lines[0]["cost_nano_usd"] == 43_500

    run()


def test_no_good_row_is_rejected_while_the_database_comes_and_goes(root: Path) -> None:
    """A bad row is being looked for when it goes."""

    class Wavering(MemoryLedgerWriter):
        async def insert(self, rows: Sequence[LedgerRow]) -> None:
            self.away = len(self.attempts) % 7 in {2, 3, 4}
            await super().insert(rows)

    @virtual_time
    async def run() -> None:
        async with working(root, Wavering()) as worker:
            worker.serve("z")
            await worker.ledger.flush_now()
            worker.writer.refuses = {"13"}
            names = [str(number) for number in range(40)]
            worker.serve(*names)
            await worker.ledger.flush_now()
            assert set(worker.writer.rows) == {"z", *names} - {"13"}
            assert worker.ledger.state()["rejected_rows"] == "1"

    run()


def test_a_rejected_row_that_no_file_takes_is_in_the_log(root: Path) -> None:
    """Nothing is dropped silently."""

    @virtual_time
    async def run() -> None:
        async with working(root) as worker:
            worker.serve("z")
            await worker.ledger.flush_now()
            (root / f"rejected-{worker.journal.path.name}.jsonl").mkdir()
            worker.writer.refuses = {"bad"}
            with capture_logs() as logs:
                worker.serve("bad")
                await worker.ledger.flush_now()
            (lost,) = [line for line in logs if line["event"] == "ledger.rows_lost"]
            assert lost["log_level"] == "critical"
            assert lost["content"][0]["id"] == "bad"

    run()


def test_a_start_delivers_what_dead_workers_left(root: Path) -> None:
    """Before it is over; limits are told of each row once, after it is readable."""
    leave_dead(root, ended_ones=["a", "b"], open_ones=["c"])
    leave_dead(root, open_ones=["d"])

    @virtual_time
    async def run() -> None:
        async with working(root) as worker:
            assert worker.ledger.replayed
            assert worker.ledger.state()["replay"] == "done"
            outcomes = {name: row.outcome for name, row in worker.writer.rows.items()}
            assert outcomes == {
                "a": Outcome.COMPLETE,
                "b": Outcome.COMPLETE,
                "c": Outcome.GATEWAY_CRASH,
                "d": Outcome.GATEWAY_CRASH,
            }
            await asyncio.sleep(30)
            assert sorted(row.id for row in worker.told) == ["a", "b", "c", "d"]
        assert names_in(root) == set()

    run()


def test_a_start_without_a_database_does_not_wait_for_it(root: Path) -> None:
    """The replay is not over then; it is once the database is there."""
    leave_dead(root, ended_ones=["a"], open_ones=["b"])

    @virtual_time
    async def run() -> None:
        writer = MemoryLedgerWriter()
        writer.away = True
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with working(root, writer) as worker:
            assert loop.time() - began < 1
            assert not worker.ledger.replayed
            worker.serve("new")
            await asyncio.sleep(100)
            assert (worker.ledger.replayed, worker.told) == (False, [])
            writer.away = False
            await until(lambda: worker.ledger.replayed)
            assert [row.id for row in worker.told] == ["a", "b"]
            await worker.ledger.flush_now()
            assert set(writer.rows) == {"a", "b", "new"}

    run()


def test_each_row_is_told_of_once_when_the_database_goes_in_the_middle_of_a_replay(root: Path) -> None:
    """The replay goes on where it was."""
    names = [str(number) for number in range(1000)]
    leave_dead(root, ended_ones=names, open_ones=["x"])

    class GoesAfterTheFirst(MemoryLedgerWriter):
        async def insert(self, rows: Sequence[LedgerRow]) -> None:
            self.away = 1 <= len(self.attempts) <= 9
            await super().insert(rows)

    @virtual_time
    async def run() -> None:
        async with working(root, GoesAfterTheFirst()) as worker:
            assert 0 < len(worker.told) < 1000
            await until(lambda: worker.ledger.replayed)
            assert [row.id for row in worker.told] == [*names, "x"]

    run()


def test_a_worker_that_ends_in_the_middle_of_a_replay_leaves_the_rest(root: Path) -> None:
    """The next one goes on where it was."""
    names = [str(number) for number in range(1000)]
    leave_dead(root, ended_ones=names, open_ones=["x"])

    @virtual_time
    async def run() -> None:
        told: list[LedgerRow] = []

        class GoesAfterTheFirst(MemoryLedgerWriter):
            async def insert(self, rows: Sequence[LedgerRow]) -> None:
                self.away = len(self.attempts) >= 1
                await super().insert(rows)

        async with working(root, GoesAfterTheFirst()) as worker:
            told += worker.told
        assert told
        async with working(root) as worker:
            told += worker.told
        assert [row.id for row in told] == [*names, "x"]

    run()


def test_a_sibling_that_dies_is_recovered_within_seconds(root: Path) -> None:
    """While this worker serves on."""

    @virtual_time
    async def run() -> None:
        async with working(root) as worker:
            sibling = journal_in(root)
            sibling.begin(started("a"))
            sibling.progress("a", 7)
            await asyncio.sleep(30)
            assert worker.told == []
            sibling.close()
            assert await until(lambda: "a" in worker.writer.rows) <= 3.1
            assert [row.output_tokens for row in worker.told] == [7]

    run()


def test_a_row_that_can_not_be_booked_holds_up_no_other(root: Path) -> None:
    """It is logged."""
    leave_dead(root, open_ones=["a", "b"])

    @virtual_time
    async def run() -> None:
        told: list[str] = []

        def book(row: LedgerRow, owner: str) -> None:
            told.append(row.id)
            raise LookupError(row.id)

        ledger = Ledger(journal_in(root), MemoryLedgerWriter(), on_recovered=book)
        with capture_logs() as logs:
            await ledger.start()
        assert ledger.replayed
        assert told == ["a", "b"]
        assert events(logs).count("ledger.not_booked") == 2
        await ledger.close()

    run()


def test_an_end_without_a_database_takes_its_time_and_no_more(root: Path) -> None:
    """What was not delivered, the next worker delivers; requests that were open then, crashed."""

    @virtual_time
    async def run() -> None:
        loop = asyncio.get_running_loop()
        first = Worker(root)
        await first.ledger.start()
        first.writer.away = True
        first.serve("a")
        first.ledger.begin(started("b"))
        began = loop.time()
        await first.ledger.close(within_seconds=2)
        assert loop.time() - began == pytest.approx(2, abs=0.1)
        async with working(root) as second:
            assert {name: row.outcome.value for name, row in second.writer.rows.items()} == {
                "a": "complete",
                "b": "gateway_crash",
            }

    run()


@pytest.mark.parametrize("step", range(1, 12))
def test_a_flush_that_is_cancelled_anywhere_loses_nothing(root: Path, step: int) -> None:
    """And doubles nothing."""

    class Slow(MemoryLedgerWriter):
        async def insert(self, rows: Sequence[LedgerRow]) -> None:
            await asyncio.sleep(0)
            await super().insert(rows)
            await asyncio.sleep(0)

    @virtual_time
    async def run() -> None:
        async with working(root, Slow()) as worker:
            names = [str(number) for number in range(700)]
            worker.serve(*names)
            flush = asyncio.ensure_future(worker.ledger.flush_now())
            for _ in range(step):
                await asyncio.sleep(0)
            flush.cancel()
            await asyncio.wait([flush])
            await until(lambda: len(worker.writer.rows) == 700)
            assert list(worker.writer.rows) == names

    run()


def test_a_start_that_is_cancelled_can_be_closed(root: Path) -> None:
    """Nothing runs on, and nothing is lost."""
    leave_dead(root, ended_ones=["a"])

    class Never(MemoryLedgerWriter):
        async def insert(self, rows: Sequence[LedgerRow]) -> None:
            await asyncio.Event().wait()

    @virtual_time
    async def run() -> None:
        worker = Worker(root, Never())
        start = asyncio.ensure_future(worker.ledger.start())
        await asyncio.sleep(1)
        start.cancel()
        await asyncio.wait([start])
        await worker.ledger.close(within_seconds=1)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        async with working(root) as second:
            assert set(second.writer.rows) == {"a"}

    run()


async def test_a_full_journal_refuses_new_requests_until_rows_are_delivered(root: Path) -> None:
    """Those that run are ended and kept. In real time, as segments are made and deleted in threads."""
    writer = MemoryLedgerWriter()
    writer.away = True
    journal = journal_in(root, segment_bytes=MIB)
    ledger = Ledger(journal, writer, on_recovered=lambda row, owner: None)
    with capture_logs() as logs:
        await ledger.start()
        names: list[str] = []
        while not ledger.full:
            names.append(str(len(names)))
            ledger.begin(started(names[-1]))
            if len(names) % 1000 == 0:
                await asyncio.sleep(0)
        assert journal.used_bytes == 16 * MIB
        for name in names:
            ledger.end(ended(name))
        await until(lambda: len(logs) == 2)
        assert set(events(logs)) == {"journal.filling", "ledger.database_away"}
    writer.away = False
    await until(lambda: not ledger.full)
    await ledger.flush_now()
    assert list(writer.rows) == names
    await until(lambda: journal.used_bytes <= 2 * MIB)
    assert ledger.state()["lost_rows"] == "0"
    await ledger.close()
    assert names_in(root) == set()


async def test_a_disk_without_space_is_tried_again_until_it_has_some(root: Path) -> None:
    """Making segments ahead fails then; it is logged once. In real time, as they are made in threads."""

    class Cramped(Journal):
        tries = 0

        def wants_segment(self) -> bool:
            return self.tries < 3

        def make_segment(self) -> SegmentWriter:
            self.tries += 1
            if self.tries < 3:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().make_segment()

    journal = Cramped(root, now=FakeClock().now, max_bytes=16 * MIB)
    ledger = Ledger(journal, MemoryLedgerWriter(), on_recovered=lambda row, owner: None)
    with capture_logs() as logs:
        await ledger.start()
        await until(lambda: journal.used_bytes > SEGMENT_BYTES)
    assert events(logs) == ["journal.disk_full", "journal.disk_has_room"]
    await ledger.close()
    assert names_in(root) == set()


def test_a_disk_that_can_not_be_read_for_a_while_stops_nothing_for_good(root: Path) -> None:
    """It is logged once, and then rows go in."""

    class Unreadable(Journal):
        failures = 3

        def read(self) -> Batch:
            if self.failures:
                self.failures -= 1
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().read()

    @virtual_time
    async def run() -> None:
        writer = MemoryLedgerWriter()
        journal = Unreadable(root, now=FakeClock().now, max_bytes=16 * MIB)
        ledger = Ledger(journal, writer, on_recovered=lambda row, owner: None)
        await ledger.start()
        ledger.end(ended("a"))
        with capture_logs() as logs:
            await until(lambda: "a" in writer.rows)
        assert events(logs) == ["ledger.task_failed"]
        await ledger.close()

    run()


def test_what_can_not_be_written_is_never_lost_silently(root: Path) -> None:
    """Whoever begins in spite of `full` is told so, and the row is in the log."""

    @virtual_time
    async def run() -> None:
        worker = Worker(root)
        await worker.ledger.close()
        with capture_logs() as logs:
            worker.serve("a")
        assert events(logs) == ["ledger.begin_lost", "ledger.rows_lost"]
        assert logs[1]["content"][0]["id"] == "a"
        assert worker.ledger.state()["lost_rows"] == "2"

    run()
