"""`service.usage.journal` on real files: what was appended outlives its process, whatever ends that.

Run as a program, this file is a worker that appends until it is killed.
"""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.usage import owner
from service.usage.delivery import Delivery
from service.usage.journal import Journal
from service.usage.replay import Replay
from service.usage.row import LedgerRow, Outcome
from service.usage.segment import HEADER_BYTES, SegmentReader
from tests.fakes.ledger_writer import MemoryLedgerWriter, ended, started

MIB = 1 << 20
T = 1_700_000_000.0


def opened(root: Path, *, max_bytes: int = 16 * MIB) -> Journal:
    return Journal(root, now=lambda: T, max_bytes=max_bytes, segment_bytes=MIB)


def names_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


async def replayed(root: Path) -> tuple[MemoryLedgerWriter, list[LedgerRow]]:
    """What a worker that starts now finds: the database after it, and the rows it was told of."""
    writer, told = MemoryLedgerWriter(), list[LedgerRow]()
    delivery = Delivery(writer, root / "rejected.jsonl", lambda: None)
    await Replay(root / "0-000000000000", delivery, lambda row, owner: told.append(row)).sweep()
    return writer, told


def append_for_ever(root: Path) -> None:
    """Request after request, always three of them running; each step is told once it is written."""
    journal = opened(root, max_bytes=1 << 40)
    number = 0
    while True:
        journal.begin(started(str(number), request_id="r" * (number % 90)))
        os.write(1, b"b%d\n" % number)
        journal.progress(str(number), number)
        if number >= 3:
            journal.end(ended(str(number - 3)))
            os.write(1, b"e%d\n" % (number - 3))
        number += 1


@contextmanager
def appending(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that appends, killed at the end at the latest."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, __file__, str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as child:
        try:
            yield child
        finally:
            child.kill()


def killed_after(root: Path, steps: int) -> dict[bytes, int]:
    """Kill a worker in the middle of its work; how many begins (b) and ends (e) it had told of."""
    with appending(root) as child:
        assert child.stdout is not None
        told = [child.stdout.readline() for _ in range(steps)]
        child.kill()
        # The last line may be torn, too.
        told += [line for line in child.stdout if line.endswith(b"\n")]
    return {kind: sum(line.startswith(kind) for line in told) for kind in (b"b", b"e")}


@pytest.mark.parametrize(
    "steps", [pytest.param(steps, id=f"after-{steps}-steps") for steps in (1, 2, 50, 1777, 12_000, 30_001)]
)
async def test_kill_9_loses_nothing_that_was_appended_and_doubles_nothing(tmp_path: Path, steps: int) -> None:
    appended = killed_after(tmp_path, steps)
    writer, told = await replayed(tmp_path)
    ends = [int(row.id) for row in told if row.outcome is not Outcome.GATEWAY_CRASH]
    crashed = sorted(int(row.id) for row in told if row.outcome is Outcome.GATEWAY_CRASH)
    # The worker may have died between writing a step and telling of it.
    assert ends == list(range(len(ends)))
    assert appended[b"e"] <= len(ends) <= appended[b"e"] + 1
    assert crashed == list(range(len(ends), len(ends) + len(crashed)))
    assert appended[b"b"] <= len(told) <= appended[b"b"] + 1
    assert len(writer.rows) == len(told)
    assert names_in(tmp_path) == set()
    assert (await replayed(tmp_path))[1] == []


async def test_a_journal_of_a_living_worker_is_left_alone(tmp_path: Path) -> None:
    """Its lock is held by the kernel until it is dead; then it is anyone's, but only one's at a time."""
    with appending(tmp_path) as child:
        assert child.stdout is not None
        child.stdout.readline()
        path = tmp_path / names_in(tmp_path).pop()
        assert owner.claim(path) is None
        assert (await replayed(tmp_path))[1] == []
        child.kill()
        child.wait()
        first = owner.claim(path)
        assert first is not None
        assert owner.claim(path) is None
        assert (await replayed(tmp_path))[1] == []
        first.release()
    assert (await replayed(tmp_path))[1] != []


async def test_what_was_delivered_before_the_crash_is_not_told_of_again(tmp_path: Path) -> None:
    """The segments say how far their worker got."""
    journal = opened(tmp_path)
    for name in ("a", "b"):
        journal.begin(started(name))
        journal.end(ended(name))
        if name == "a":
            journal.confirm(journal.read())
    journal.begin(started("c"))
    journal.close()
    _, told = await replayed(tmp_path)
    assert [(row.id, row.outcome.value) for row in told] == [("b", "complete"), ("c", "gateway_crash")]


async def test_requests_that_run_on_outlive_their_segments(tmp_path: Path) -> None:
    """Segments behind them are deleted all the same; should the worker die then, they are crashes."""
    journal = opened(tmp_path)
    journal.begin(started("long"))
    journal.progress("long", 42)
    for number in range(9000):
        journal.begin(started(str(number)))
        journal.end(ended(str(number)))
    count, last = 0, False
    while not last:
        batch = journal.read()
        assert journal.read() == batch
        journal.confirm(batch)
        count, last = count + len(batch.rows), batch.last
    assert count == 9000
    assert journal.done_with() == []
    assert journal.carry()
    files_before = len(list(journal.path.glob("*.segment")))
    for path in journal.done_with():
        path.unlink()
    assert files_before == 3
    assert len(list(journal.path.glob("*.segment"))) == 1
    assert journal.used_bytes == MIB
    journal.close()
    _, told = await replayed(tmp_path)
    assert [(row.id, row.output_tokens) for row in told] == [("long", 42)]


def fill(journal: Journal) -> list[str]:
    """Begin requests until no more may; their ids."""
    names: list[str] = []
    while not journal.full:
        names.append(str(len(names)))
        assert journal.begin(started(names[-1], model="m" * (len(names) % 300)))
    return names


def test_a_full_journal_has_room_for_every_end(tmp_path: Path) -> None:
    """Also for larger ones than their begins; and it has room again once rows were delivered."""
    journal = opened(tmp_path, max_bytes=4 * MIB)
    names = fill(journal)
    assert journal.used_bytes == 4 * MIB
    assert len(names) > 2000
    with capture_logs() as logs:
        journal.check()
        journal.check()
    assert [line["event"] for line in logs] == ["journal.filling"]
    assert journal.level() == "full"
    for number, name in enumerate(names):
        journal.progress(name, 1)
        assert journal.end(ended(name, model="m" * ((number + 1) % 300), target="t" * 200))
    assert journal.used_bytes == 4 * MIB
    while (batch := journal.read()).rows:
        journal.confirm(batch)
    assert len(journal.done_with()) == 2
    with capture_logs() as logs:
        journal.check()
        assert fill(journal)
    assert [line["event"] for line in logs] == ["journal.emptying"]
    journal.close()


@contextmanager
def no_large_files() -> Iterator[None]:
    """The kernel allocates no segment: an OSError like that of a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB // 2, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_stops_new_requests_and_no_others(tmp_path: Path) -> None:
    """It is logged once, no half-made file is left, and it is over when there is space again."""
    journal = opened(tmp_path)
    with capture_logs() as logs, no_large_files():
        names = fill(journal)
        assert journal.wants_segment()
        with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
            journal.make_segment()
        for name in names:
            assert journal.end(ended(name))
        assert len(list(journal.path.glob("*.segment"))) == 1
    assert [line["event"] for line in logs] == ["journal.disk_full"]
    with capture_logs() as logs:
        journal.adopt(journal.make_segment())
    assert [line["event"] for line in logs] == ["journal.disk_has_room"]
    assert not journal.full
    journal.close()


def test_no_journal_is_opened_on_a_full_disk(tmp_path: Path) -> None:
    """A worker that can't keep its books doesn't start."""
    with no_large_files(), pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
        opened(tmp_path)
    assert names_in(tmp_path) == set()


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        pytest.param("model", "x" * 512, id="a-model's-name-without-end"),
        pytest.param("user", "?", id="half-a-surrogate-pair"),
        pytest.param("estimated_input_tokens", 2**63 - 1, id="more-than-64-bits"),
    ],
)
async def test_what_no_database_holds_is_mended_and_never_lost(
    tmp_path: Path, name: str, kept: object
) -> None:
    values: dict[str, Any] = {"model": "x" * 1_000_000, "user": "\ud800", "estimated_input_tokens": 2**70}
    journal = opened(tmp_path)
    assert journal.begin(started("a", **{name: values[name]}))
    journal.close()
    _, told = await replayed(tmp_path)
    assert getattr(told[0], name.removeprefix("estimated_")) == kept


def test_a_journal_that_is_all_delivered_leaves_nothing(tmp_path: Path) -> None:
    """Nor does it write after its end, or raise."""
    journal = opened(tmp_path)
    journal.adopt(journal.make_segment())
    journal.begin(started("a"))
    journal.end(ended("a"))
    journal.confirm(journal.read())
    journal.close()
    assert names_in(tmp_path) == set()
    assert not journal.begin(started("b"))
    assert not journal.end(ended("a"))


def dead(root: Path, *names: str) -> Path:
    """The directory of a worker that died over requests of these names."""
    journal = opened(root)
    for name in names:
        journal.begin(started(name))
    journal.close()
    return journal.path


@pytest.mark.parametrize(
    ("place", "content"),
    [
        pytest.param("00000001.segment", b"penstock\2\0\0\0\20\0\0\0", id="a-segment-of-another-version"),
        pytest.param("00000002.segment", b"#!/bin/sh\nexit", id="a-segment-that-is-none"),
        pytest.param("notes.txt", b"mine", id="another-file"),
    ],
)
async def test_what_is_not_understood_is_not_deleted(tmp_path: Path, place: str, content: bytes) -> None:
    path = dead(tmp_path, "a")
    (path / "00000001.segment").rename(path / "00000003.segment")
    (path / place).write_bytes(content)
    with capture_logs() as logs:
        _, told = await replayed(tmp_path)
    assert [row.id for row in told] == ["a"]
    assert (path / place).read_bytes() == content
    assert names_in(path) == {place, "lock"}
    assert [line["event"] for line in logs] == ["ledger.recovered", "journal.not_understood"]


async def test_directories_of_others_are_left_alone(tmp_path: Path) -> None:
    """Told of once, and no obstacle."""
    (tmp_path / "photographs").mkdir()
    (tmp_path / "123-0123456789ab").mkdir()
    (tmp_path / "124-0123456789ab").mkdir()
    (tmp_path / "124-0123456789ab" / "00000001.segment").touch()
    dead(tmp_path, "a")
    delivery = Delivery(MemoryLedgerWriter(), tmp_path / "rejected.jsonl", lambda: None)
    replay = Replay(tmp_path / "0-000000000000", delivery, lambda row, owner: None)
    with capture_logs() as logs:
        await replay.sweep()
        await replay.sweep()
    events = [line["event"] for line in logs]
    assert sorted(events) == ["journal.not_understood", "ledger.recovered"]
    # The empty one is what a worker leaves that dies over making it.
    assert names_in(tmp_path) == {"photographs", "124-0123456789ab"}


@pytest.mark.parametrize("size", [pytest.param(0, id="empty"), pytest.param(MIB, id="zeros")])
async def test_a_segment_that_its_worker_died_over_is_none(tmp_path: Path, size: int) -> None:
    path = dead(tmp_path, "a")
    (path / "00000002.segment").write_bytes(bytes(size))
    _, told = await replayed(tmp_path)
    assert [row.id for row in told] == ["a"]
    assert names_in(tmp_path) == set()


async def test_damage_costs_what_lies_behind_it_in_its_segment_alone(tmp_path: Path) -> None:
    """The file is kept for a person under a name that no worker reads again."""
    path = dead(tmp_path, "a", "b", "c")
    data = bytearray((path / "00000001.segment").read_bytes())
    data[data.index(b"req_b")] ^= 1
    (path / "00000001.segment").write_bytes(data)
    (dead(tmp_path, "d") / "00000001.segment").rename(path / "00000002.segment")
    with capture_logs() as logs:
        _, told = await replayed(tmp_path)
        assert (await replayed(tmp_path))[1] == []
    assert [row.id for row in told] == ["a", "d"]
    assert (path / "00000001.damaged").read_bytes()[HEADER_BYTES:] == data[HEADER_BYTES:]
    assert "journal.damaged" in [line["event"] for line in logs]


def test_damage_in_the_own_journal_does_not_stop_it(tmp_path: Path) -> None:
    """Whatever was done to the file: the requests after it are read."""
    journal = opened(tmp_path)
    journal.begin(started("a"))
    journal.end(ended("a"))
    with (journal.path / "00000001.segment").open("r+b") as file:
        file.seek(HEADER_BYTES + 8)
        file.write(b"\xff")
    with capture_logs() as logs:
        assert journal.read().rows == []
        journal.end(ended("b"))
        assert [row.id for row in journal.read().rows] == ["b"]
    assert [line["event"] for line in logs] == ["journal.damaged"]
    journal.close()


def test_a_reader_knows_a_file_that_was_cut_off(tmp_path: Path) -> None:
    """Where an entry goes on behind the file's end, it is damage, not the end."""
    path = dead(tmp_path, "a")
    file = path / "00000001.segment"
    reader = SegmentReader(file, 1)
    end = reader.read(HEADER_BYTES).next_offset
    tails = []
    for size in (MIB, end, end - 8, HEADER_BYTES + 4):
        os.truncate(file, size)
        tails.append(reader.read(HEADER_BYTES).tail.name)
    reader.close()
    assert tails == ["END", "END", "DAMAGED", "END"]


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        append_for_ever(Path(sys.argv[1]))
