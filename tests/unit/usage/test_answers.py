"""Money to the nano-dollar, and CSV that is safe to open."""

import csv
import io
from decimal import Decimal

import msgspec
import pytest

from service.usage import answers
from service.usage.report import Group, GroupBy, Sums
from service.usage.row import LedgerRow, Outcome
from tests.fakes.ledger_rows import a_row

SUMS = Sums(
    requests=3,
    input_tokens=100,
    cached_input_tokens=30,
    output_tokens=20,
    cost_nano_usd=1,
    outcomes={Outcome.COMPLETE: 2, Outcome.TIMEOUT: 1},
)


@pytest.mark.parametrize(
    ("nano", "shown"),
    [
        (0, "0"),
        (1, "0.000000001"),
        (123_456_789, "0.123456789"),
        (10**9, "1"),
        (12_345_678_901_234_567_891, "12345678901.234567891"),
    ],
)
def test_dollars_are_exact_as_json_and_as_text(nano: int, shown: str) -> None:
    row = a_row(cost_nano_usd=nano)
    encoded = msgspec.json.decode(answers.JSON.encode(answers.ledger_line(row)), type=dict[str, msgspec.Raw])
    assert Decimal(bytes(encoded["cost_usd"]).decode()) == Decimal(shown)
    assert Decimal(table(answers.ledger_csv([answers.ledger_line(row)]))[0]["cost_usd"]) == Decimal(shown)
    assert "E" not in table(answers.ledger_csv([answers.ledger_line(row)]))[0]["cost_usd"]


def table(text: bytes) -> list[dict[str, str]]:
    """CSV as a spreadsheet reads it."""
    return list(csv.DictReader(io.StringIO(text.decode(), newline="")))


def test_a_ledger_line_has_the_contracts_fields_and_no_address() -> None:
    line = msgspec.json.decode(answers.JSON.encode(answers.ledger_line(a_row(address="10.0.0.1"))))
    assert list(line) == [
        *("id", "request_id", "key_id", "tenant", "user", "route", "model", "target", "attempts", "outcome"),
        *("estimated", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens"),
        *("reasoning_tokens", "cost_usd", "price_version", "started_at", "finished_at", "first_token_ms"),
        "duration_ms",
    ]


@pytest.mark.parametrize("group_by", list(GroupBy))
def test_a_usage_line_names_its_group_by_what_was_asked_for(group_by: GroupBy) -> None:
    line = answers.usage_line(group_by, Group(name="x", sums=SUMS))
    found = msgspec.json.decode(answers.JSON.encode(line))
    assert found == {
        group_by.value: "x",
        "requests": 3,
        "input_tokens": 100,
        "cached_input_tokens": 30,
        "output_tokens": 20,
        "cost_usd": 1e-9,
        "outcomes": {"complete": 2, "timeout": 1},
    }
    assert table(answers.usage_csv(group_by, [line]))[0] | {"outcomes": ""} == {
        group_by.value: "x",
        **{name: str(value) for name, value in found.items() if isinstance(value, int)},
        "cost_usd": "0.000000001",
        "outcomes": "",
        **{outcome.value: str(SUMS.outcomes.get(outcome, 0)) for outcome in Outcome},
    }


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula(sign: str) -> None:
    row = a_row(user=f'{sign}HYPERLINK("http://x";"y")')
    line = table(answers.ledger_csv([answers.ledger_line(row)]))[0]
    assert line["user"] == "'" + row.user


@pytest.mark.parametrize("text", ['a"b', "a,b", "a\nb", "ü=1", " =1"])
def test_any_other_text_is_the_same_after_csv(text: str) -> None:
    assert table(answers.ledger_csv([answers.ledger_line(a_row(user=text))]))[0]["user"] == text


@pytest.mark.parametrize(
    ("row", "column", "cell"),
    [
        pytest.param(a_row(cost_nano_usd=None), "cost_usd", "", id="a-price-not-known"),
        pytest.param(a_row(first_token_ms=None), "first_token_ms", "", id="no-first-token"),
        pytest.param(a_row(estimated=True), "estimated", "true", id="yes"),
        pytest.param(a_row(), "estimated", "false", id="no"),
        pytest.param(a_row(), "outcome", "complete", id="an-outcome"),
        pytest.param(a_row(), "started_at", "1772366400.0", id="an-instant"),
    ],
)
def test_each_kind_of_cell(row: LedgerRow, column: str, cell: str) -> None:
    assert table(answers.ledger_csv([answers.ledger_line(row)]))[0][column] == cell


def test_no_rows_are_a_head_alone() -> None:
    assert answers.usage_csv(GroupBy.DAY, []).startswith(b"day,requests,input_tokens,")
    assert answers.usage_csv(GroupBy.DAY, []).count(b"\r\n") == 1
