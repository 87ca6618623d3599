"""The store of limits of tenants and users: one behaviour, in memory, in SQLite and in PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from service import migrations
from service.config.limits import UNLIMITED, Budget, Limits
from service.database import Database
from service.errors import StoreUnavailable
from service.limits import subjects
from service.limits.base import Subject
from service.limits.overrides import Changes, SubjectLimits
from service.limits.subjects import KEPT_SECONDS, SubjectLimitStore
from tests.fakes.subject_limits import MemorySubjectLimits

Store = MemorySubjectLimits | SubjectLimitStore

TENANT, USER = Subject.TENANT, Subject.USER
LIMITS = Limits(
    requests_per_minute=5,
    burst=7,
    budgets=(Budget(usd=0.1, per="day"), Budget(tokens=10**15, per="total", alert_at=0.5)),
)
OTHERS = Limits(concurrent_requests=1)
NAME = "o'hara; -- %2F/\N{KEY} Ünï"


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str | None:
    """The address of a database with our tables; None: in memory."""
    if request.param == "memory":
        return None
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    migrations.upgrade(url)
    return url


@pytest.fixture
async def opened(url: str | None) -> AsyncIterator[Database | None]:
    """That database without a row of ours, opened for one test."""
    if url is None:
        yield None
        return
    database = Database(url)
    try:
        await _empty(database)
        yield database
    finally:
        await database.close()


@pytest.fixture
def store(opened: Database | None) -> Store:
    """A store in which nothing was set."""
    return MemorySubjectLimits() if opened is None else SubjectLimitStore(opened)


async def test_limits_are_found_as_they_were_set(store: Store) -> None:
    """Of that very subject, and of nobody else."""
    made = await store.put(TENANT, NAME, LIMITS)
    assert made is not None and made[:3] == (TENANT, NAME, LIMITS) and made.changed_at > 0
    assert await store.find(TENANT, NAME) == made
    assert await store.find(USER, NAME) is None
    assert await store.find(TENANT, NAME.upper()) is None


async def test_they_are_replaced_as_a_whole(store: Store) -> None:
    """To set nothing is not to delete."""
    first = await store.put(TENANT, "acme", LIMITS)
    second = await store.put(TENANT, "acme", UNLIMITED)
    assert first is not None and second is not None
    assert second.limits == UNLIMITED and second.changed_at > first.changed_at
    assert await store.find(TENANT, "acme") == second
    assert await store.page(TENANT, after=None, limit=5) == [second]


async def test_what_is_deleted_is_told_and_not_found(store: Store) -> None:
    """A second time there is nothing to delete; it may be set again."""
    made = await store.put(TENANT, "acme", LIMITS)
    gone = await store.delete(TENANT, "acme")
    assert made is not None and gone is not None
    assert gone[:3] == (TENANT, "acme", None) and gone.changed_at > made.changed_at
    assert await store.find(TENANT, "acme") is None
    assert await store.page(TENANT, after=None, limit=5) == []
    assert await store.delete(TENANT, "acme") is None
    assert await store.delete(USER, "acme") is None
    again = await store.put(TENANT, "acme", OTHERS)
    assert again is not None and again.changed_at > gone.changed_at
    assert await store.find(TENANT, "acme") == again


async def test_pages_hold_every_one_once_by_id(store: Store) -> None:
    """In the order of code points, whatever the database's own is; another kind is not among them."""
    names = ["A", "B", "a", "a b", "a/", "a/b", "ab", "b", "Ä", "é", "\N{KEY}"]
    for name in reversed(names):
        await store.put(USER, name, OTHERS)
    await store.put(TENANT, "a c", OTHERS)
    seen: list[SubjectLimits] = []
    while page := await store.page(USER, after=seen[-1].subject_id if seen else None, limit=2):
        assert len(page) <= 2
        seen += page
    assert [row.subject_id for row in seen] == names


async def test_what_changed_since(store: Store) -> None:
    """By the store's own time, that moment included; what was deleted is among it. Without one only the time."""
    first = await store.put(TENANT, "acme", LIMITS)
    second = await store.put(USER, "acme/ann", OTHERS)
    assert first is not None and second is not None
    assert (await store.changed_since(None)).rows == ()
    now, _ = await store.changed_since(None)
    assert abs(now - second.changed_at) < 60
    assert _rows(await store.changed_since(0)) == {first, second}
    gone = await store.delete(TENANT, "acme")
    assert gone is not None
    assert _rows(await store.changed_since(gone.changed_at)) - {second} == {gone}
    assert _rows(await store.changed_since(gone.changed_at + 0.001)) == set()


async def test_changes_of_one_moment_are_in_order(store: Store) -> None:
    """A clock of milliseconds gives several changes one time; the later change has the later one."""
    times: list[float] = []
    for _ in range(4):
        made, gone = await store.put(TENANT, "acme", LIMITS), await store.delete(TENANT, "acme")
        assert made is not None and gone is not None
        times += [made.changed_at, gone.changed_at]
    assert sorted(set(times)) == times


async def test_all_set_the_same_at_once(store: Store) -> None:
    """None fails, though there was no row to wait for, and the last one is what is found."""
    made = await asyncio.gather(
        *(store.put(TENANT, "acme", Limits(concurrent_requests=n)) for n in range(1, 9))
    )
    rows = [row for row in made if row is not None]
    assert len({row.changed_at for row in rows}) == 8
    assert await store.find(TENANT, "acme") == max(rows, key=lambda row: row.changed_at)


async def test_there_is_room_for_so_many(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each kind; those that are there can be changed, and who is deleted leaves room."""
    monkeypatch.setattr(subjects, "MAX_SUBJECTS", 2)
    if isinstance(store, MemorySubjectLimits):
        store.at_most = 2
    assert await store.put(TENANT, "a", LIMITS)
    assert await store.put(TENANT, "b", LIMITS)
    assert await store.put(TENANT, "c", LIMITS) is None
    assert await store.find(TENANT, "c") is None
    assert await store.put(TENANT, "b", OTHERS)
    assert await store.put(USER, "c", LIMITS)
    assert await store.delete(TENANT, "a")
    assert await store.put(TENANT, "c", LIMITS)


async def test_what_was_deleted_long_ago_is_forgotten(database: Database) -> None:
    """At the next deletion; what is a day old or less is kept for those who did not hear of it."""
    store = SubjectLimitStore(database)
    await _empty(database)
    for name in ("old", "new", "live", "next"):
        await store.put(TENANT, name, LIMITS)
    await store.delete(TENANT, "old")
    await store.delete(TENANT, "new")
    async with database.begin() as connection:
        for name, age in (("old", KEPT_SECONDS + 60), ("new", KEPT_SECONDS - 60), ("live", 1e6)):
            await connection.exec_driver_sql(
                f"UPDATE subject_limits SET changed_at = changed_at - {age} WHERE subject_id = '{name}'"
            )
    await store.delete(TENANT, "next")
    assert {row.subject_id for row in _rows(await store.changed_since(0))} == {"new", "live", "next"}


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda store: store.put(TENANT, "acme", LIMITS), id="put"),
        pytest.param(lambda store: store.find(TENANT, "acme"), id="find"),
        pytest.param(lambda store: store.page(TENANT, after=None, limit=1), id="page"),
        pytest.param(lambda store: store.delete(TENANT, "acme"), id="delete"),
        pytest.param(lambda store: store.changed_since(None), id="changed-since"),
    ],
)
async def test_a_database_that_is_away_is_said_to_be(
    use: Callable[[SubjectLimitStore], Awaitable[object]],
) -> None:
    """Nothing listens there."""
    database = Database("postgresql://nobody:x@127.0.0.1:1/none")
    try:
        with pytest.raises(StoreUnavailable):
            await use(SubjectLimitStore(database))
    finally:
        await database.close()


def _rows(changes: Changes) -> set[SubjectLimits]:
    return set(changes.rows)


async def _empty(database: Database) -> None:
    async with database.begin() as connection:
        await connection.exec_driver_sql("DELETE FROM subject_limits")
