"""How SQLite finds what the ledger is asked for."""

import pytest
from sqlalchemy import Select, create_engine, text
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite

from service.limits.base import Subject
from service.tables import METADATA
from service.usage import queries
from service.usage.report import GroupBy, Position, Selection
from service.usage.row import Outcome

MONTH = Selection(since=1.0, until=2.0)
HERE = Position(1.5, "use_1")


def plan(statement: Select[*tuple[object, ...]]) -> str:
    """What SQLite says that it would do."""
    written = statement.compile(dialect=SQLiteDialect_aiosqlite(), compile_kwargs={"literal_binds": True})
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        METADATA.create_all(connection)
        steps = connection.execute(text(f"EXPLAIN QUERY PLAN {written}")).scalars(3).all()
    engine.dispose()
    return "; ".join(str(step) for step in steps)


@pytest.mark.parametrize(
    ("subject", "found_by"),
    [
        (Subject.KEY, "ledger_key_id (key_id=? AND started_at>? AND started_at<?)"),
        (Subject.USER, "ledger_user_name (user_name=? AND started_at>? AND started_at<?)"),
        (Subject.TENANT, "ledger_tenant (tenant=? AND started_at>? AND started_at<?)"),
        (Subject.ADDRESS, "ledger_address (address=? AND started_at>? AND started_at<?)"),
        (Subject.MODEL, "ledger_model (model=? AND started_at>? AND started_at<?)"),
        (Subject.ROUTE, "ledger_started_at (started_at>? AND started_at<?)"),
    ],
)
def test_a_budgets_window_is_found_by_an_index(subject: Subject, found_by: str) -> None:
    assert found_by in plan(queries.spent(subject, "a/b", MONTH, 9.0))


@pytest.mark.parametrize(
    ("selection", "found_by"),
    [
        pytest.param(Selection(), "ledger_started_at ((started_at,id)<(?,?))", id="all"),
        pytest.param(Selection(key_id="k"), "ledger_key_id (key_id=? AND started_at<?)", id="of-a-key"),
        pytest.param(Selection(request_id="r"), "ledger_request_id (request_id=?)", id="of-a-request"),
        pytest.param(
            Selection(outcome=Outcome.TIMEOUT, since=1.0), "ledger_outcome (outcome=?", id="of-an-outcome"
        ),
    ],
)
def test_a_page_of_rows_is_found_by_an_index(selection: Selection, found_by: str) -> None:
    assert found_by in plan(queries.rows(selection, HERE, 100))


def test_the_newest_rows_are_read_without_sorting() -> None:
    assert plan(queries.rows(Selection(), HERE, 100)).count(";") == 0


@pytest.mark.parametrize("group_by", list(GroupBy))
def test_a_summary_of_a_time_reads_only_that_time(group_by: GroupBy) -> None:
    found = plan(queries.groups(MONTH, group_by, None, 100, "sqlite"))
    assert "ledger_started_at (started_at>? AND started_at<?)" in found


def test_a_callers_own_summary_reads_only_its_rows() -> None:
    own = Selection(key_id="k", since=1.0)
    found = plan(queries.groups(own, GroupBy.DAY, "1970-01-01", 100, "sqlite"))
    assert "ledger_key_id (key_id=? AND started_at>?)" in found
