"""The ledger on both databases: once each, exact sums, pages without gaps."""

import asyncio
import itertools
from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from sqlalchemy import delete

from service.database import Database
from service.limits.base import Subject
from service.limits.policy import user_subject
from service.tables import LEDGER
from service.usage.queries import MAX_INTEGER, to_values
from service.usage.report import Group, GroupBy, NewCost, Position, Selection, Sums
from service.usage.row import LedgerRow, Outcome
from service.usage.store import LedgerStore
from tests.fakes.ledger_rows import DAY, NOON, a_row

EVERYTHING = Selection()


@pytest.fixture
async def store(database: Database) -> LedgerStore:
    """An empty ledger."""
    async with database.begin() as connection:
        await connection.execute(delete(LEDGER))
    return LedgerStore(database)


async def all_rows(store: LedgerStore) -> list[LedgerRow]:
    return await store.rows(EVERYTHING, after=None, limit=10_000)


def test_the_columns_are_the_rows_fields_in_their_order() -> None:
    """`insert` relies on it."""
    fields = ["user_name" if name == "user" else name for name in LedgerRow.__struct_fields__]
    assert [column.name for column in LEDGER.columns] == fields
    assert len(to_values(a_row())) == len(fields)


async def test_a_row_comes_back_as_it_went_in(store: LedgerStore) -> None:
    rows = [
        a_row("use_1", first_token_ms=12.345, started_at=1_700_000_000.123456),
        a_row(
            "use_2", cost_nano_usd=None, first_token_ms=None, estimated=True, outcome=Outcome.GATEWAY_CRASH
        ),
        a_row("use_3", user="ünï 日本", cost_nano_usd=MAX_INTEGER, input_tokens=MAX_INTEGER),
    ]
    await store.insert(rows)
    assert {row.id: row for row in await all_rows(store)} == {row.id: row for row in rows}


async def test_a_row_counts_once_however_often_it_is_inserted(store: LedgerStore) -> None:
    await store.insert([a_row("use_1", output_tokens=5)])
    await store.insert([a_row("use_1", output_tokens=7), a_row("use_2")])
    await store.insert([])
    assert {row.id: row.output_tokens for row in await all_rows(store)} == {"use_1": 5, "use_2": 20}


async def test_the_same_row_twice_in_one_batch_counts_once(store: LedgerStore) -> None:
    await store.insert([a_row("use_1"), a_row("use_1")])
    assert len(await all_rows(store)) == 1


async def test_batches_that_overlap_are_inserted_at_once_without_loss(
    store: LedgerStore, database_url: str
) -> None:
    """As when a worker replays what another one was about to insert."""
    database = Database(database_url)
    rows = [a_row(f"use_{number:04}") for number in range(600)]
    async with asyncio.TaskGroup() as group:
        group.create_task(store.insert(rows[:400]))
        group.create_task(LedgerStore(database).insert(rows[200:][::-1]))
    await database.close()
    assert sorted(row.id for row in await all_rows(store)) == [row.id for row in rows]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        pytest.param({"user": "a\0b"}, {"user": "a\ufffdb"}, id="no-database-keeps-a-nul"),
        pytest.param({"model": "x\ud800"}, {"model": "x?"}, id="half-a-character-can-not-be-encoded"),
        pytest.param(
            {"output_tokens": 2**64}, {"output_tokens": MAX_INTEGER}, id="a-count-beyond-the-column"
        ),
        pytest.param({"cost_nano_usd": 2**70}, {"cost_nano_usd": MAX_INTEGER}, id="a-cost-beyond-the-column"),
    ],
)
async def test_no_row_holds_up_the_others(
    store: LedgerStore, given: dict[str, object], kept: dict[str, object]
) -> None:
    await store.insert([a_row("use_1", **given), a_row("use_2")])
    found = {row.id: row for row in await all_rows(store)}
    assert found == {"use_1": a_row("use_1", **kept), "use_2": a_row("use_2")}


SPENT = {
    Subject.KEY: ("key_id", "k1", "k1"),
    Subject.TENANT: ("tenant", "t/1", "t/1"),
    Subject.USER: ("user", "u", user_subject("t/1", "u")),
    Subject.MODEL: ("model", "gpt", "gpt"),
    Subject.ROUTE: ("route", "/v1/embeddings", "/v1/embeddings"),
    Subject.ADDRESS: ("address", "10.0.0.1", "10.0.0.1"),
}


async def test_the_latest_end_is_that_of_rows_that_started_since(store: LedgerStore) -> None:
    assert await store.latest_end(0) == 0
    ends = ((100.0, 900.0), (200.0, 300.5), (300.0, 300.25))
    await store.insert([a_row(f"use_{start}", started_at=start, finished_at=end) for start, end in ends])
    assert [await store.latest_end(since) for since in (100, 101, 300, 301)] == [900, 300.5, 300.25, 0]


@pytest.mark.parametrize("subject", list(Subject))
async def test_what_a_subject_spent_is_its_rows_alone(store: LedgerStore, subject: Subject) -> None:
    field, value, subject_id = SPENT[subject]
    own = {"tenant": "t/1", field: value}
    await store.insert(
        [
            a_row("mine", input_tokens=10, output_tokens=3, cost_nano_usd=7, **own),
            a_row("mine, price not known", input_tokens=1, output_tokens=1, cost_nano_usd=None, **own),
            a_row("someone's", **{"tenant": "t/1", field: "other"}),
        ]
    )
    spent = await store.spent(subject, subject_id, since=0, until=None, finished_before=NOON + DAY)
    assert spent == (7, 15)


async def test_two_tenants_users_of_one_name_are_two(store: LedgerStore) -> None:
    await store.insert([a_row("1", tenant="a", user="u"), a_row("2", tenant="b", user="u", cost_nano_usd=5)])
    spent = await store.spent(
        Subject.USER, user_subject("b", "u"), since=0, until=None, finished_before=NOON + DAY
    )
    assert spent == (5, 120)


@pytest.mark.parametrize(
    ("started_at", "finished_at", "counts"),
    [
        pytest.param(100.0, 150.0, True, id="at-the-first-instant"),
        pytest.param(99.9, 150.0, False, id="before"),
        pytest.param(199.9, 250.0, True, id="begun-before-the-end"),
        pytest.param(200.0, 250.0, False, id="at-the-end"),
        pytest.param(150.0, 299.9, True, id="finished-before-the-store-began-to-count"),
        pytest.param(150.0, 300.0, False, id="finished-when-the-store-began-to-count"),
    ],
)
async def test_a_window_has_its_first_instant_and_not_its_end(
    store: LedgerStore, started_at: float, finished_at: float, *, counts: bool
) -> None:
    await store.insert([a_row(started_at=started_at, finished_at=finished_at, cost_nano_usd=7)])
    spent = await store.spent(Subject.KEY, "k1", since=100, until=200, finished_before=300)
    assert spent == ((7, 120) if counts else (0, 0))


async def test_rows_come_newest_first_and_each_once_over_pages(store: LedgerStore) -> None:
    """Rows of one instant among them, across the pages' edges."""
    rows = [a_row(f"use_{number:02}", started_at=NOON + number // 4) for number in range(23)]
    await store.insert(rows)
    found: list[LedgerRow] = []
    after: Position | None = None
    while page := await store.rows(EVERYTHING, after=after, limit=5):
        found += page
        after = Position.of(page[-1])
    assert found == rows[::-1]


@pytest.mark.parametrize(
    ("selection", "ids"),
    [
        pytest.param(Selection(key_id="k2"), ["b"], id="key"),
        pytest.param(Selection(key_id=""), ["c"], id="anonymous-callers"),
        pytest.param(Selection(tenant="t2"), ["b"], id="tenant"),
        pytest.param(Selection(tenant=""), ["c"], id="no-tenant"),
        pytest.param(Selection(user="u2"), ["b"], id="user"),
        pytest.param(Selection(model="m2"), ["b"], id="model"),
        pytest.param(Selection(request_id="r2"), ["b"], id="request-id"),
        pytest.param(Selection(outcome=Outcome.TIMEOUT), ["b"], id="outcome"),
        pytest.param(Selection(outcome=Outcome.COMPLETE), ["a", "c"], id="the-most-frequent-outcome"),
        pytest.param(Selection(since=NOON, until=NOON + 2), ["a", "b"], id="from-included-to-not"),
        pytest.param(Selection(key_id="k2", outcome=Outcome.COMPLETE), [], id="all-conditions-hold"),
    ],
)
async def test_a_selection_has_the_rows_that_fit(
    store: LedgerStore, selection: Selection, ids: list[str]
) -> None:
    await store.insert(
        [
            a_row("a", started_at=NOON),
            a_row(
                "b",
                started_at=NOON + 1,
                key_id="k2",
                tenant="t2",
                user="u2",
                model="m2",
                request_id="r2",
                outcome=Outcome.TIMEOUT,
            ),
            a_row("c", started_at=NOON + 2, key_id="", tenant=""),
        ]
    )
    assert [row.id for row in await store.rows(selection, after=None, limit=10)] == ids[::-1]
    _, sums = await store.summary(selection, GroupBy.DAY, after=None, limit=10)
    assert sums.requests == len(ids)


def spread() -> Iterator[LedgerRow]:
    """A hundred rows over days, models, keys and outcomes."""
    outcomes = itertools.cycle(Outcome)
    for number in range(100):
        yield a_row(
            f"use_{number}",
            started_at=NOON + number * DAY / 7,
            model=f"m{number % 3}",
            key_id=f"k{number % 4}",
            outcome=next(outcomes),
            cost_nano_usd=None if number % 10 == 0 else 10**15 + number,
            input_tokens=number,
        )


def oracle(rows: list[LedgerRow]) -> Sums:
    """The sums, by Python."""
    outcomes = [row.outcome for row in rows]
    return Sums(
        requests=len(rows),
        input_tokens=sum(row.input_tokens for row in rows),
        cached_input_tokens=sum(row.cached_input_tokens for row in rows),
        output_tokens=sum(row.output_tokens for row in rows),
        cost_nano_usd=sum(row.cost_nano_usd or 0 for row in rows),
        outcomes={outcome: outcomes.count(outcome) for outcome in Outcome if outcome in outcomes},
    )


def name_of(row: LedgerRow, group_by: GroupBy) -> str:
    """The group that `row` is in."""
    if group_by is GroupBy.DAY:
        return f"2026-03-{1 + int((row.started_at - NOON + DAY / 2) // DAY):02}"
    return row.model if group_by is GroupBy.MODEL else row.key_id


@pytest.mark.parametrize("since", [None, NOON + DAY])
@pytest.mark.parametrize("group_by", list(GroupBy))
async def test_a_summary_is_what_its_rows_add_up_to(
    store: LedgerStore, group_by: GroupBy, since: float | None
) -> None:
    """Group by group over pages of two, and the total on each page is of all groups."""
    rows = list(spread())
    await store.insert(rows)
    rows = [row for row in rows if since is None or row.started_at >= since]
    names = sorted({name_of(row, group_by) for row in rows})
    expected = [
        Group(name=name, sums=oracle([row for row in rows if name_of(row, group_by) == name]))
        for name in names
    ]
    found: list[Group] = []
    after: str | None = None
    while True:
        page, total = await store.summary(Selection(since=since), group_by, after=after, limit=2)
        assert total == oracle(rows)
        if not page:
            break
        found += page
        after = page[-1].name
    assert found == expected


async def test_no_rows_add_up_to_nothing(store: LedgerStore) -> None:
    assert await store.summary(EVERYTHING, GroupBy.MODEL, after=None, limit=1) == ([], Sums())
    assert await store.spent(Subject.KEY, "k1", since=0, until=None, finished_before=NOON) == (0, 0)


async def test_repricing_changes_cost_and_version_of_the_rows_named(store: LedgerStore) -> None:
    await store.insert([a_row("use_1"), a_row("use_2")])
    await store.reprice([NewCost("use_2", 42, "new"), NewCost("not there", 1, "new")])
    await store.reprice([])
    assert await all_rows(store) == [
        replace(a_row("use_2"), cost_nano_usd=42, price_version="new"),
        a_row("use_1"),
    ]
