"""What finished requests cost by today's prices."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from service.config import Settings
from service.config.settings import Model, Price, Provider, Store, TargetRef
from service.database_cli import database_commands
from service.pricing.prices import SettingsPrices
from service.usage.cli import usage_commands
from service.usage.report import NewCost, Selection
from service.usage.reprice import PAGE_ROWS, Repriced, Repricer, reprice
from service.usage.row import LedgerRow
from service.usage.store import LedgerStore
from tests.fakes.ledger_rows import NOON, a_row

ONE_USD = Price(input=1, output=1)
SETTINGS = Settings(
    providers=(
        Provider(name="p", kind="openai", base_url="http://127.0.0.1:1/v1"),
        Provider(name="openai", kind="openai", base_url="https://api.openai.com/v1"),
        Provider(name="sim", kind="sim"),
    ),
    models=(
        Model(
            name="asked",
            targets=(TargetRef(provider="p", model="x"),),
            fallbacks=("other", "gone"),
            price=ONE_USD,
        ),
        Model(name="other", targets=(TargetRef(provider="p", model="y/z"),), price=Price(input=2, output=2)),
        Model(name="plain", targets=(TargetRef(provider="p", model="x"),)),
    ),
)


@pytest.mark.parametrize(
    ("row", "cost"),
    [
        pytest.param(a_row(model="asked", target="p/x"), (120_000, "config"), id="the-aliass-price"),
        pytest.param(a_row(model="asked", target="p/y/z"), (240_000, "config"), id="its-fallback-answered"),
        pytest.param(a_row(model="sim", target="sim/sim"), (0, "sim"), id="simulated"),
        pytest.param(a_row(model="asked", target="p/x", cost_nano_usd=120_000), None, id="it-costs-the-same"),
        pytest.param(
            a_row(model="asked", target="p/x", cost_nano_usd=120_000, price_version="old"),
            (120_000, "config"),
            id="the-same-from-elsewhere",
        ),
        pytest.param(
            a_row(model="asked", target="p/x", cost_nano_usd=None, price_version=""),
            (120_000, "config"),
            id="a-price-that-was-not-known",
        ),
        pytest.param(a_row(model="plain", target="p/x"), None, id="a-price-that-nobody-knows"),
        pytest.param(a_row(model="asked", target="elsewhere/x"), None, id="a-provider-that-is-gone"),
        pytest.param(a_row(model="never", target="p/x"), None, id="an-alias-that-is-gone"),
    ],
)
def test_a_rows_new_cost(row: LedgerRow, cost: tuple[int, str] | None) -> None:
    expected = None if cost is None else NewCost(row.id, *cost)
    assert Repricer(SETTINGS, SettingsPrices()).new_cost(row) == expected


def test_the_price_table_knows_cached_tokens_by_their_own_price() -> None:
    prices = SettingsPrices()
    row = a_row(model="openai/gpt-4o", target="openai/gpt-4o", cache_write_tokens=0)
    rates = prices.rates(SETTINGS.providers[1], "gpt-4o", None)
    assert rates is not None
    found = Repricer(SETTINGS, prices).new_cost(row)
    cost = (70 * rates.input + 30 * rates.cached_input + 20 * rates.output) // 1000
    assert found == NewCost("use_0", cost, prices.version(SETTINGS.providers[1], None))


def test_a_row_that_the_same_table_priced_keeps_what_its_cache_writes_cost() -> None:
    """For an hour, perhaps: the row doesn't say. Another table's row is priced anew."""
    prices = SettingsPrices()
    version = prices.version(SETTINGS.providers[1], None)
    row = a_row(model="openai/gpt-4o", target="openai/gpt-4o", cost_nano_usd=999, price_version=version)
    reprice_row = Repricer(SETTINGS, prices).new_cost
    assert reprice_row(row) is None
    assert reprice_row(a_row(model=row.model, target=row.target, price_version="older")) is not None
    assert reprice_row(a_row(model=row.model, target=row.target, cost_nano_usd=None)) is not None


async def all_rows(ledger: LedgerStore) -> list[LedgerRow]:
    return await ledger.rows(Selection(), after=None, limit=10_000)


async def test_a_dry_run_says_what_would_change_and_changes_nothing(ledger: LedgerStore) -> None:
    await ledger.insert([a_row("use_1", model="asked", target="p/x"), a_row("use_2", target="gone/x")])
    before = await all_rows(ledger)
    repricer = Repricer(SETTINGS, SettingsPrices())
    done = await reprice(ledger, repricer, Selection(), dry_run=True)
    assert done == Repriced(
        rows=2, changed=1, cache_writes=1, before_nano_usd=123_456_789, after_nano_usd=120_000
    )
    assert await all_rows(ledger) == before
    assert await reprice(ledger, repricer, Selection(), dry_run=False) == done
    assert [row.cost_nano_usd for row in await all_rows(ledger)] == [123_456_789, 120_000]
    assert (await reprice(ledger, repricer, Selection(), dry_run=False)).changed == 0


async def test_every_row_of_many_pages_is_looked_at(ledger: LedgerStore) -> None:
    """All of one instant, so that pages end in the middle of it."""
    count = 2 * PAGE_ROWS + 1
    await ledger.insert([a_row(f"use_{n}", model="asked", target="p/x") for n in range(count)])
    done = await reprice(ledger, Repricer(SETTINGS, SettingsPrices()), Selection(), dry_run=False)
    assert (done.rows, done.changed) == (count, count)
    assert {row.cost_nano_usd for row in await all_rows(ledger)} == {120_000}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The configuration, with a database that is not there yet."""
    store = Store(database=f"sqlite:///{tmp_path / 'penstock.db'}")
    return Settings(providers=SETTINGS.providers, models=SETTINGS.models, store=store)


def test_the_commands_make_the_tables_and_reprice(settings: Settings) -> None:
    run = CliRunner().invoke
    early = run(usage_commands(lambda path: settings), ["reprice"])
    assert (early.exit_code, early.stderr) == (
        1,
        "penstock: The database's schema is not current; run: penstock db upgrade\n",
    )
    made = run(database_commands(lambda path: settings), ["upgrade"])
    assert (made.exit_code, made.stdout) == (0, f"{settings.store.database} is at revision 0002.\n")
    done = run(usage_commands(lambda path: settings), ["reprice", "--from", "2026-01-01", "--dry-run"])
    assert (done.exit_code, done.stdout) == (
        0,
        "0 of 0 rows would change: from 0.000000000 to 0.000000000 USD.\n",
    )
    wrong = run(usage_commands(lambda path: settings), ["reprice", "--to", "someday"])
    assert (wrong.exit_code, "'to' must be a date" in wrong.stderr) == (1, True)


def test_a_database_that_can_not_be_upgraded_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database" * 1000)
    store = Store(database=f"sqlite:///{tmp_path / 'text.db'}")
    done = CliRunner().invoke(database_commands(lambda path: Settings(store=store)), ["upgrade"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"penstock: {store.database}: ")


async def test_a_selection_bounds_what_is_repriced(ledger: LedgerStore) -> None:
    await ledger.insert(
        [
            a_row("use_1", model="asked", target="p/x"),
            a_row("use_2", model="asked", target="p/x", started_at=NOON + 10),
            a_row("use_3", model="other", target="p/y/z"),
        ]
    )
    wanted = Selection(model="asked", until=NOON + 1)
    done = await reprice(ledger, Repricer(SETTINGS, SettingsPrices()), wanted, dry_run=False)
    assert (done.rows, done.changed) == (1, 1)
