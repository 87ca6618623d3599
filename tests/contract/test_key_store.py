"""The store of keys: one behaviour, in memory, in SQLite and in PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from msgspec.structs import replace

from service import migrations
from service.config.limits import Budget, Limits
from service.database import Database
from service.errors import InvalidRequest, StoreUnavailable
from service.keys.key import Key, State, revoked
from service.keys.ports import Changes
from service.keys.store import DatabaseKeyStore
from service.principal import Scope
from tests.fakes.key_store import MemoryKeyStore

Store = MemoryKeyStore | DatabaseKeyStore

KEY = Key(
    id="0123456789abcdef",
    name="Schlüssel \N{KEY}",
    tenant="acme",
    user="o'hara; --",
    models=("openai/gpt-5", "b"),
    scopes=frozenset({Scope.CHAT, Scope.ADMIN}),
    limits=Limits(
        requests_per_minute=5,
        burst=7,
        budgets=(Budget(usd=0.1, per="day"), Budget(tokens=10**15, per="total", alert_at=0.5)),
    ),
    metadata={"team": "blue", "note": "line\nline \u0000"},
    secret_hash=bytes(range(32)),
    expires_at=4_000_000_000.25,
)
BARE = Key(id="B" * 16, name="b", secret_hash=b"\xff" * 32)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str | None:
    """The address of a database with our tables; None: in memory."""
    if request.param == "memory":
        return None
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    migrations.upgrade(url)
    return url


@pytest.fixture
async def store(url: str | None) -> AsyncIterator[Store]:
    """A store without keys."""
    if url is None:
        yield MemoryKeyStore()
        return
    database = Database(url)
    try:
        async with database.begin() as connection:
            await connection.exec_driver_sql("DELETE FROM api_keys")
        yield DatabaseKeyStore(database)
    finally:
        await database.close()


async def test_a_key_is_found_as_it_was_made(store: Store) -> None:
    """Every field, text of any kind, and none of what was left out."""
    made = await store.create(KEY)
    assert made.created_at == made.changed_at > 0
    assert replace(made, created_at=0.0, changed_at=0.0) == KEY
    assert await store.find(KEY.id) == made
    assert await store.find(BARE.id) is None
    bare = await store.create(BARE)
    assert await store.find(BARE.id) == bare


async def test_whether_there_ever_was_one(store: Store) -> None:
    """A revoked key counts: the door that it closed stays closed."""
    assert not await store.any_ever()
    await store.create(KEY)
    await store.change(KEY.id, revoked)
    assert await store.any_ever()


async def test_a_change_is_made_of_what_is_there(store: Store) -> None:
    """The step sees the key and the store's time; its result is kept, with a later time of change."""
    made = await store.create(KEY)
    changed = await store.change(KEY.id, lambda key, now: replace(key, name=key.name + "!", revoked_at=now))
    assert changed is not None
    assert changed == await store.find(KEY.id)
    assert changed.name == KEY.name + "!"
    assert changed.revoked_at is not None and abs(changed.revoked_at - made.created_at) < 60
    assert changed.state(0.0) is State.REVOKED
    assert changed.changed_at > made.changed_at
    assert changed.created_at == made.created_at


async def test_changes_of_one_moment_are_in_order(store: Store) -> None:
    """A clock of milliseconds gives several changes one time; the later change has the later one."""
    times = [(await store.create(KEY)).changed_at]
    for _ in range(5):
        changed = await store.change(KEY.id, lambda key, _: key)
        assert changed is not None
        times.append(changed.changed_at)
    assert sorted(set(times)) == times


async def test_a_step_that_raises_changes_nothing(store: Store) -> None:
    """Its error is the caller's to see."""

    def refuse(key: Key, now: float) -> Key:
        raise InvalidRequest("no")

    made = await store.create(KEY)
    with pytest.raises(InvalidRequest, match="no"):
        await store.change(KEY.id, refuse)
    assert await store.find(KEY.id) == made


async def test_an_unknown_key_is_not_changed(store: Store) -> None:
    """Nor made."""
    assert await store.change(KEY.id, revoked) is None
    assert await store.find(KEY.id) is None


async def test_changes_at_once_lose_none(store: Store) -> None:
    """Each sees what the one before it left."""
    await store.create(replace(KEY, name=""))

    def longer(key: Key, now: float) -> Key:
        return replace(key, name=key.name + "x")

    await asyncio.gather(*(store.change(KEY.id, longer) for _ in range(8)))
    found = await store.find(KEY.id)
    assert found is not None and found.name == "x" * 8


async def test_pages_hold_every_key_once_the_newest_first(store: Store) -> None:
    """Also keys of one moment, and with a new one that comes between two pages."""
    made = [await store.create(replace(BARE, id=f"{n:016}")) for n in range(5)]
    expected = [key.id for key in sorted(made, key=lambda key: (key.created_at, key.id), reverse=True)]
    seen: list[Key] = []
    while page := await store.page(after=seen[-1] if seen else None, limit=2):
        assert len(page) <= 2
        seen += page
        if len(seen) == 2:
            await store.create(replace(BARE, id="z" * 16))
    assert [key.id for key in seen] == expected


async def test_what_changed_since(store: Store) -> None:
    """By the store's own time, that moment included; without one only the time."""
    first = await store.create(KEY)
    second = await store.create(replace(BARE, id="C" * 16))
    assert (await store.changed_since(None)).keys == ()
    now, _ = await store.changed_since(None)
    assert abs(now - second.changed_at) < 60
    assert _ids(await store.changed_since(0)) == {first.id, second.id}
    ended = await store.change(KEY.id, revoked)
    assert ended is not None
    assert _ids(await store.changed_since(ended.changed_at)) == {first.id}
    assert _ids(await store.changed_since(ended.changed_at + 0.001)) == set()


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda store: store.find(KEY.id), id="find"),
        pytest.param(lambda store: store.create(KEY), id="create"),
        pytest.param(lambda store: store.change(KEY.id, revoked), id="change"),
        pytest.param(lambda store: store.page(after=None, limit=1), id="page"),
        pytest.param(lambda store: store.changed_since(None), id="changed_since"),
        pytest.param(lambda store: store.any_ever(), id="any_ever"),
    ],
)
async def test_a_database_that_is_away_is_said_to_be(
    use: Callable[[DatabaseKeyStore], Awaitable[object]],
) -> None:
    """Nothing listens there."""
    database = Database("postgresql://nobody:x@127.0.0.1:1/none")
    try:
        with pytest.raises(StoreUnavailable):
            await use(DatabaseKeyStore(database))
    finally:
        await database.close()


def _ids(changes: Changes) -> set[str]:
    return {key.id for key in changes.keys}
