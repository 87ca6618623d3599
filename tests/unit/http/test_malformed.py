"""What is refused whatever route it is for."""

import pytest

from service.errors import MethodNotAllowed, MethodNotKnown
from service.http.malformed import TWO_HOSTS, host_error, method_error, query_error


@pytest.mark.parametrize(
    ("http_version", "host", "wrong"),
    [
        pytest.param("1.1", b"localhost", False, id="one"),
        pytest.param("1.1", b"", True, id="none-in-1.1"),
        pytest.param("1", b"", False, id="none-in-1.0"),
        pytest.param("2", b"", False, id="none-in-2"),
        pytest.param("1.1", TWO_HOSTS, True, id="two-in-1.1"),
        pytest.param("1", TWO_HOSTS, True, id="two-in-1.0"),
        pytest.param("1.1", None, False, id="a-server-that-says-nothing-of-it"),
    ],
)
def test_hosts(http_version: str, host: bytes | None, *, wrong: bool) -> None:
    assert (host_error(http_version, host) is not None) == wrong


@pytest.mark.parametrize(
    ("query", "param"),
    [
        pytest.param(b"", None, id="none"),
        pytest.param(b"tenant=a&b", None, id="plain"),
        pytest.param(b"tenant=%C3%A9%20%2F&x=100%", None, id="encoded-text-and-a-bare-percent-sign"),
        pytest.param(b"a=1&tenant=%ff&b=%fe", "tenant", id="no-text"),
        pytest.param(b"tenant=%C3", "tenant", id="half-a-character"),
        pytest.param(b"tenant=%C3&b=%A9", "tenant", id="in-two-parameters"),
        pytest.param(b"a%ff=1", "a\N{REPLACEMENT CHARACTER}", id="a-name"),
        pytest.param(b"a=%ED%A0%80", "a", id="half-a-surrogate-pair"),
    ],
)
def test_queries(query: bytes, param: str | None) -> None:
    error = query_error(query)
    assert (error and error.param) == param


def test_methods() -> None:
    assert method_error("PATCH") is None
    assert isinstance(method_error("TRACE"), MethodNotAllowed)
    assert isinstance(method_error("BREW"), MethodNotKnown)
