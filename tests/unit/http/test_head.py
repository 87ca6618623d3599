"""What the edge reads from a request's header lines."""

import pytest

from service.http.head import read_head


@pytest.mark.parametrize(
    ("lines", "passed_on"),
    [
        pytest.param([(b"openai-beta", b"x=v1")], {"openai-beta": "x=v1"}, id="one-line-goes-on-as-it-is"),
        pytest.param(
            [(b"anthropic-beta", b"one"), (b"host", b"localhost"), (b"anthropic-beta", b"two, three")],
            {"anthropic-beta": "one, two, three"},
            id="several-lines-of-a-name-are-one-list",
        ),
        pytest.param([(b"authorization", b"Bearer x"), (b"cookie", b"a=b")], {}, id="nothing-else-does"),
    ],
)
def test_headers_for_the_provider(lines: list[tuple[bytes, bytes]], passed_on: dict[str, str]) -> None:
    found: dict[str, str] = {}
    read_head(lines, found)
    assert found == passed_on
