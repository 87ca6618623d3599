"""What a worker knows of limits of single tenants and users, and how it hears of them."""

import asyncio

import pytest

from service.config.limits import UNLIMITED, Limits
from service.errors import StoreUnavailable
from service.limits import overrides
from service.limits.base import Subject
from service.limits.overrides import (
    OVERLAP_SECONDS,
    RELOAD_AFTER_SECONDS,
    Changes,
    SubjectLimits,
    SubjectOverrides,
)
from tests.fakes.subject_limits import MemorySubjectLimits

TENANT, USER = Subject.TENANT, Subject.USER
ONE = Limits(concurrent_requests=1)
TWO = Limits(concurrent_requests=2)


@pytest.fixture
def store() -> MemorySubjectLimits:
    """What all workers share."""
    return MemorySubjectLimits()


@pytest.fixture
def worker(store: MemorySubjectLimits) -> SubjectOverrides:
    """One that was not started yet."""
    return SubjectOverrides(store)


async def test_all_are_read_at_the_start(
    store: MemorySubjectLimits, worker: SubjectOverrides, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many pages they are."""
    monkeypatch.setattr(overrides, "PAGE_ROWS", 2)
    for number in range(5):
        await store.put(TENANT, f"t{number}", Limits(concurrent_requests=number + 1))
    await store.put(USER, "t1/ann", ONE)
    await worker.poll_once()
    assert [worker.of(TENANT, f"t{number}") for number in range(5)] == [
        Limits(concurrent_requests=number + 1) for number in range(5)
    ]
    assert worker.of(USER, "t1/ann") == ONE
    assert worker.of(USER, "t1") is None
    assert worker.of(TENANT, "nobody") is None


async def test_nobody_passes_before_they_were_read(
    store: MemorySubjectLimits, worker: SubjectOverrides
) -> None:
    """Nobody can tell whether there is a budget; what is noted meanwhile doesn't change that."""
    store.away = True
    await worker.poll_once()
    with pytest.raises(StoreUnavailable):
        worker.of(TENANT, "acme")
    assert worker.state == "away"
    store.away = False
    made = await store.put(TENANT, "acme", ONE)
    assert made is not None
    worker.note(made)
    with pytest.raises(StoreUnavailable):
        worker.of(TENANT, "other")
    await worker.poll_once()
    assert worker.of(TENANT, "acme") == ONE and worker.of(TENANT, "other") is None
    assert worker.state == "ok"


async def test_the_last_known_hold_while_the_database_is_away(
    store: MemorySubjectLimits, worker: SubjectOverrides
) -> None:
    await store.put(TENANT, "acme", ONE)
    await worker.poll_once()
    store.away = True
    for _ in range(3):
        await worker.poll_once()
    assert worker.of(TENANT, "acme") == ONE
    assert worker.state == "away"


async def test_what_another_worker_set_or_deleted_is_heard(
    store: MemorySubjectLimits, worker: SubjectOverrides
) -> None:
    """At the next poll, each time with another version; with nothing new it stays."""
    await worker.poll_once()
    versions = [worker.version]
    for limits in (ONE, TWO, UNLIMITED, None):
        await (store.delete(TENANT, "acme") if limits is None else store.put(TENANT, "acme", limits))
        await worker.poll_once()
        assert worker.of(TENANT, "acme") == limits
        versions.append(worker.version)
        await worker.poll_once()
        assert worker.version == versions[-1]
    assert len(set(versions)) == 5


async def test_the_same_limits_again_are_no_change(
    store: MemorySubjectLimits, worker: SubjectOverrides
) -> None:
    await store.put(TENANT, "acme", ONE)
    await worker.poll_once()
    version = worker.version
    await store.put(TENANT, "acme", ONE)
    await worker.poll_once()
    assert worker.version == version


async def test_a_change_is_seen_although_it_was_committed_late(
    store: MemorySubjectLimits, worker: SubjectOverrides
) -> None:
    """Its time is that of its statement, and others may have been heard of before."""
    await worker.poll_once()
    made = await store.put(TENANT, "late", ONE)
    assert made is not None
    late = store._rows.pop((TENANT, "late"))
    store.time += OVERLAP_SECONDS / 2
    await worker.poll_once()
    assert worker.of(TENANT, "late") is None
    store._rows[TENANT, "late"] = late
    await worker.poll_once()
    assert worker.of(TENANT, "late") == ONE


async def test_what_is_noted_holds_at_once(store: MemorySubjectLimits, worker: SubjectOverrides) -> None:
    """And no poll undoes it."""
    await worker.poll_once()
    version = worker.version
    made = await store.put(TENANT, "acme", ONE)
    assert made is not None
    worker.note(made)
    assert worker.of(TENANT, "acme") == ONE and worker.version != version
    await worker.poll_once()
    assert worker.of(TENANT, "acme") == ONE
    gone = await store.delete(TENANT, "acme")
    assert gone is not None
    worker.note(gone)
    assert worker.of(TENANT, "acme") is None
    for _ in range(3):
        await worker.poll_once()
        store.time += OVERLAP_SECONDS
        assert worker.of(TENANT, "acme") is None


class SlowSubjectLimits(MemorySubjectLimits):
    """Answers of one method were right when they were asked for, and come when `held` is set."""

    def __init__(self, slow: str) -> None:
        super().__init__()
        self.slow = slow
        self.held = asyncio.Event()
        self.asked = asyncio.Event()

    async def page(self, subject: Subject, *, after: str | None, limit: int) -> list[SubjectLimits]:
        """Those that have limits, as they were when they were asked for."""
        found = await super().page(subject, after=after, limit=limit)
        if self.slow == "page":
            await self._wait()
        return found

    async def changed_since(self, since: float | None) -> Changes:
        """What was set or deleted, as it was when it was asked for."""
        found = await super().changed_since(since)
        if self.slow == "changed_since" and since is not None:
            await self._wait()
        return found

    async def _wait(self) -> None:
        self.asked.set()
        await self.held.wait()


@pytest.mark.parametrize("slow", ["page", "changed_since"])
async def test_an_answer_that_is_old_undoes_nothing(slow: str) -> None:
    """A poll was on its way while limits were set, replaced and deleted in this process."""
    store = SlowSubjectLimits(slow)
    worker = SubjectOverrides(store)
    for name in ("changed", "deleted"):
        await store.put(TENANT, name, ONE)
    if slow == "changed_since":
        await worker.poll_once()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.poll_once())
        await store.asked.wait()
        for row in (
            await store.put(TENANT, "new", TWO),
            await store.put(TENANT, "changed", TWO),
            await store.delete(TENANT, "deleted"),
        ):
            assert row is not None
            worker.note(row)
        store.held.set()
    assert [worker.of(TENANT, name) for name in ("new", "changed", "deleted")] == [TWO, TWO, None]


@pytest.mark.parametrize(
    "jump",
    [
        pytest.param(-86_400.0, id="set-back"),
        pytest.param(RELOAD_AFTER_SECONDS + OVERLAP_SECONDS + 1, id="long-away"),
    ],
)
async def test_after_a_jump_of_the_stores_clock_all_are_read_anew(
    store: MemorySubjectLimits, worker: SubjectOverrides, jump: float
) -> None:
    """What was deleted may be forgotten by then, and what was set have a time that was asked for before."""
    await store.put(TENANT, "gone", ONE)
    await worker.poll_once()
    store.time += jump
    await store.put(TENANT, "new", TWO)
    del store._rows[TENANT, "gone"]
    pages, version = store.pages, worker.version
    await worker.poll_once()
    assert store.pages > pages and worker.version != version
    assert worker.of(TENANT, "new") == TWO
    assert worker.of(TENANT, "gone") is None
    pages = store.pages
    await worker.poll_once()
    assert store.pages == pages


async def test_whatever_goes_wrong_polling_goes_on(worker: SubjectOverrides) -> None:
    """A row that can't be read must not end the news of all others."""

    class Broken(MemorySubjectLimits):
        broken = True

        async def changed_since(self, since: float | None) -> Changes:
            if self.broken:
                raise ValueError("what is this?")
            return await super().changed_since(since)

    store = Broken()
    worker = SubjectOverrides(store)
    await worker.poll_once()
    assert worker.state == "away"
    store.broken = False
    await worker.poll_once()
    assert worker.state == "ok" and worker.of(TENANT, "acme") is None
