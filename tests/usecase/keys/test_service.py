"""Making, listing, changing and revoking keys."""

import msgspec
import pytest

from service.errors import InvalidRequest, ObjectNotFound, StoreUnavailable
from service.keys import credential
from service.keys.bodies import ChangeKey, CreateKey, KeyView, RotateKey
from service.keys.key import State
from service.paging import MAX_PAGE
from tests.fakes.authentication import Bench, text_of

UNKNOWN_IDS = [
    pytest.param("0" * 16, id="unknown"),
    pytest.param("", id="empty"),
    pytest.param("../keys", id="no-id-at-all"),
    pytest.param("x" * 10_000, id="far-too-long"),
    pytest.param("é" * 16, id="beyond-ascii"),
]


async def test_a_new_key_is_shown_once(bench: Bench) -> None:
    """Every other answer is the same without it, and the store has only a hash."""
    made = await bench.a_key(tenant="acme", metadata={"a": "b"})
    parsed = credential.parse(text_of(made))
    assert parsed is not None and parsed.id == made.id
    shown = await bench.service.get(made.id)
    assert made == type(made)(**msgspec.structs.asdict(shown), key=made.key)
    secret = made.key.partition(made.id)[2].strip("_")
    kept = await bench.store.find(made.id)
    assert secret not in str(msgspec.to_builtins(kept, builtin_types=(bytes,)))
    listed = (await bench.service.list()).data
    assert listed == [shown]
    assert made.created_at == int(bench.store.time)


async def test_keys_are_all_different(bench: Bench) -> None:
    made = [await bench.a_key() for _ in range(20)]
    assert len({key.id for key in made}) == len({key.key for key in made}) == 20


async def test_pages_lead_to_each_other(bench: Bench) -> None:
    """The newest first, until there are no more."""
    made = [(await bench.a_key()).id for _ in range(5)]
    pages: list[list[str]] = []
    after = None
    while True:
        page = await bench.service.list(after=after, limit=2)
        pages.append([key.id for key in page.data])
        after = page.next_cursor
        assert page.has_more == (after is not None)
        if after is None:
            break
    assert pages == [made[4:2:-1], made[2:0:-1], made[:1]]


async def test_a_page_that_is_just_full_is_the_last(bench: Bench) -> None:
    for _ in range(2):
        await bench.a_key()
    page = await bench.service.list(limit=2)
    assert len(page.data) == 2 and not page.has_more and page.next_cursor is None


async def test_an_empty_list(bench: Bench) -> None:
    page = await bench.service.list()
    assert page.data == [] and not page.has_more and page.next_cursor is None


async def test_more_than_a_page_is_not_given(bench: Bench) -> None:
    for _ in range(MAX_PAGE + 1):
        await bench.a_key()
    assert len((await bench.service.list(limit=10_000)).data) == MAX_PAGE
    assert len((await bench.service.list()).data) == 20


@pytest.mark.parametrize("limit", [0, -1])
async def test_less_than_one_key_is_no_page(bench: Bench, limit: int) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await bench.service.list(limit=limit)
    assert refused.value.param == "limit"


@pytest.mark.parametrize("after", UNKNOWN_IDS)
async def test_a_cursor_of_no_page_is_refused(bench: Bench, after: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await bench.service.list(after=after)
    assert refused.value.param == "after"


async def test_a_change_is_shown_and_kept(bench: Bench) -> None:
    made = await bench.a_key(tenant="acme")
    changed = await bench.service.update(made.id, ChangeKey(name="new"))
    assert (changed.name, changed.tenant) == ("new", "acme")
    assert await bench.service.get(made.id) == changed


async def test_a_revoked_key_stays_to_be_seen(bench: Bench) -> None:
    """Revoking it again is the same."""
    made = await bench.a_key()
    first = await bench.service.revoke(made.id)
    bench.pass_time(10)
    assert first.state is State.REVOKED
    assert first == await bench.service.revoke(made.id) == await bench.service.get(made.id)
    with pytest.raises(InvalidRequest, match="create a new one"):
        await bench.service.rotate(made.id, RotateKey())


async def test_a_key_expires_where_it_is_shown_too(bench: Bench) -> None:
    made = await bench.a_key(expires_at=bench.clock.now() + 10)
    assert made.state is State.ACTIVE
    bench.pass_time(10)
    assert (await bench.service.get(made.id)).state is State.EXPIRED


@pytest.mark.parametrize("id", UNKNOWN_IDS)
async def test_an_unknown_key_is_not_found(bench: Bench, id: str) -> None:
    """Whatever is asked of it; and the answer is short."""
    service = bench.service
    await bench.a_key()
    for use in (
        service.get(id),
        service.update(id, ChangeKey(name="x")),
        service.rotate(id, RotateKey()),
        service.revoke(id),
    ):
        with pytest.raises(ObjectNotFound) as missing:
            await use
        assert len(missing.value.detail) < 200


async def test_a_database_that_is_away_is_told(bench: Bench) -> None:
    made = await bench.a_key()
    bench.store.away = True
    with pytest.raises(StoreUnavailable):
        await bench.service.create(CreateKey(name="x"))
    with pytest.raises(StoreUnavailable):
        await bench.service.revoke(made.id)


async def test_each_change_is_noted_and_nothing_else(bench: Bench) -> None:
    """So that it takes effect here at once."""
    noted: list[str] = []
    service = bench.serve(noted.append)
    made: KeyView = await service.create(CreateKey(name="x"))
    await service.update(made.id, ChangeKey(name="y"))
    await service.rotate(made.id, RotateKey())
    await service.revoke(made.id)
    await service.get(made.id)
    await service.list()
    with pytest.raises(ObjectNotFound):
        await service.revoke("0" * 16)
    assert noted == [made.id] * 4


async def test_a_whole_key_in_the_place_of_its_id_is_not_repeated(bench: Bench) -> None:
    """Whoever wants to revoke one may paste all of it; the answer goes to logs and screens."""
    made = await bench.a_key()
    for end in (bench.service.get(made.key), bench.service.revoke(made.key)):
        with pytest.raises(ObjectNotFound) as missing:
            await end
        assert made.key.rpartition("_")[2][:10] not in missing.value.detail
        assert "16 characters" in missing.value.detail
