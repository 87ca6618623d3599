"""`service.usage.recovery`: the rows of a dead worker's journal."""

import pytest

from service.usage.entries import Entry, Progress
from service.usage.recovery import Recovery, crash_row
from service.usage.row import LedgerRow, Outcome
from tests.fakes.ledger_writer import ended, started

T = 1_700_000_000.0


def recovered(entries: list[Entry], alive_at: float = 0.0) -> tuple[list[LedgerRow], list[LedgerRow]]:
    recovery = Recovery()
    rows = [row for entry in entries for row in recovery.read([entry])]
    return rows, recovery.crashed(alive_at)


@pytest.mark.parametrize(
    ("entries", "rows", "crashed"),
    [
        pytest.param([], [], [], id="nothing"),
        pytest.param([started("a"), ended("a")], ["a"], [], id="what-ended-is-a-row"),
        pytest.param([ended("a")], ["a"], [], id="its-begin-lay-in-a-segment-that-is-deleted"),
        pytest.param([started("a")], [], ["a"], id="what-has-no-end-crashed"),
        pytest.param([started("a"), started("b"), ended("a")], ["a"], ["b"], id="each-by-its-id"),
        pytest.param([started("a"), started("a"), ended("a")], ["a"], [], id="carried-over-and-ended"),
        pytest.param([started("a"), started("a")], [], ["a"], id="carried-over-and-crashed-once"),
        pytest.param([Progress("a", 5, T)], [], [], id="progress-alone-is-nothing"),
    ],
)
def test_ends_are_rows_and_the_other_begins_crashed(
    entries: list[Entry], rows: list[str], crashed: list[str]
) -> None:
    found = recovered(entries)
    assert [row.id for row in found[0]] == rows
    assert [row.id for row in found[1]] == crashed
    assert all(row.outcome is Outcome.GATEWAY_CRASH and row.estimated for row in found[1])


def test_an_end_is_passed_on_as_it_was_written() -> None:
    """Nothing is worked out anew."""
    row = ended("a", outcome=Outcome.CLIENT_ABORT, cost_nano_usd=None)
    assert recovered([started("a"), row])[0] == [row]


@pytest.mark.parametrize(
    ("entries", "alive_at", "output_tokens", "finished_at"),
    [
        pytest.param([started("a")], 0.0, 0, T, id="begun-and-dead-at-once"),
        pytest.param([started("a")], T + 9, 0, T + 9, id="the-last-sign-of-life"),
        pytest.param([started("a"), Progress("a", 5, T + 1)], 0.0, 5, T + 1, id="the-last-progress"),
        pytest.param(
            [started("a"), Progress("a", 5, T + 1), Progress("a", 9, T + 2)],
            0.0,
            9,
            T + 2,
            id="not-the-first",
        ),
        pytest.param(
            [started("a"), ended("b", at=T + 4)], T + 3, 0, T + 4, id="another-request's-end-came-later"
        ),
        pytest.param(
            [started("a"), started("b", at=T + 6)], 0.0, 0, T + 6, id="another-request's-begin-came-later"
        ),
        pytest.param([started("a"), Progress("b", 7, T)], 0.0, 0, T, id="another-request's-progress"),
        pytest.param([started("a", at=T + 5), ended("b", at=T)], 0.0, 0, T + 5, id="never-before-it-began"),
    ],
)
def test_a_crash_is_dated_by_the_last_sign_of_life(
    entries: list[Entry], alive_at: float, output_tokens: int, finished_at: float
) -> None:
    row = recovered(entries, alive_at)[1][0]
    assert (row.output_tokens, row.finished_at) == (output_tokens, finished_at)
    assert row.duration_ms == (finished_at - row.started_at) * 1000


@pytest.mark.parametrize(
    ("rates", "cost"),
    [
        pytest.param((150_000, 75_000, 150_000, 600_000), 21_000, id="input-and-output"),
        pytest.param((1, 0, 0, 57), 1, id="rounded-half-up"),
        pytest.param((0, 0, 0, 0), 0, id="free"),
        pytest.param(None, None, id="the-price-is-not-known"),
    ],
)
def test_a_crash_costs_what_was_estimated(rates: tuple[int, int, int, int] | None, cost: int | None) -> None:
    row = crash_row(started("a", rates=rates), 10, T + 1)
    assert (row.input_tokens, row.output_tokens, row.cost_nano_usd) == (100, 10, cost)


def test_a_crash_row_says_whose_it_is() -> None:
    """All that the begin knows."""
    begin = started("a", address="192.0.2.1", user="", tenant="")
    row = crash_row(begin, 0, T)
    shared = set(begin.__struct_fields__) & set(row.__struct_fields__)
    assert len(shared) == 11
    assert {name: getattr(row, name) for name in shared} == {name: getattr(begin, name) for name in shared}
