"""When CSV is sent."""

import pytest

from service.usage.negotiation import wants_csv


@pytest.mark.parametrize(
    ("accept", "csv"),
    [
        pytest.param("text/csv", True, id="asked-for"),
        pytest.param("TEXT/CSV; charset=utf-8", True, id="in-any-case-with-parameters"),
        pytest.param("text/html, text/csv;q=0.9, */*;q=0.1", True, id="among-others"),
        pytest.param("text/csv, application/json", True, id="as-welcome-as-json"),
        pytest.param("text/csv;q=0.5, application/json", False, id="less-than-json"),
        pytest.param("text/csv;q=0", False, id="not-wanted"),
        pytest.param("text/csv;q=x", False, id="a-quality-that-is-none"),
        pytest.param("application/json", False, id="json"),
        pytest.param("*/*", False, id="anything"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_csv_is_sent_to_whoever_names_it(accept: str, *, csv: bool) -> None:
    assert wants_csv(accept) is csv
