"""Absolute addresses as the caller sees this server."""

import pytest

from service.config.settings import Server
from service.http.links import Links

PROXIES = ("10.0.0.0/8",)
STRANGER, PROXY = "203.0.113.7", "10.0.0.1"


@pytest.mark.parametrize(
    ("peer", "scheme", "headers", "address"),
    [
        pytest.param(
            STRANGER, "http", {"host": "api.example:8080"}, "http://api.example:8080/p", id="the-host"
        ),
        pytest.param(STRANGER, "https", {"host": "api.example"}, "https://api.example/p", id="over-tls"),
        pytest.param(STRANGER, "http", {"host": "[::1]:8080"}, "http://[::1]:8080/p", id="an-ipv6-host"),
        pytest.param(STRANGER, "http", {}, "http://127.0.0.1:8000/p", id="without-a-host"),
        pytest.param(
            STRANGER,
            "http",
            {"host": "api.example", "x-forwarded-host": "evil.example", "x-forwarded-proto": "https"},
            "http://api.example/p",
            id="a-stranger-claims-something",
        ),
        pytest.param(
            PROXY,
            "http",
            {"host": "inside:8080", "x-forwarded-host": "api.example", "x-forwarded-proto": "https"},
            "https://api.example/p",
            id="a-trusted-proxy-says-so",
        ),
        pytest.param(
            PROXY,
            "http",
            {"host": "inside:8080", "x-forwarded-proto": "HTTPS"},
            "https://inside:8080/p",
            id="a-proxy-that-says-the-scheme-alone",
        ),
        pytest.param(
            PROXY,
            "http",
            {"host": "inside", "x-forwarded-host": "api.example, middle", "x-forwarded-proto": "https, http"},
            "https://api.example/p",
            id="two-proxies-the-first-met-the-client",
        ),
        pytest.param(
            PROXY,
            "http",
            {"host": "inside", "x-forwarded-host": "", "x-forwarded-proto": ""},
            "http://inside/p",
            id="a-proxy-that-says-nothing",
        ),
        pytest.param(
            PROXY,
            "http",
            {"host": "inside", "x-forwarded-proto": "javascript"},
            "http://inside/p",
            id="a-scheme-that-is-none-of-ours",
        ),
        pytest.param("", "http", {"host": "a", "x-forwarded-host": "b"}, "http://a/p", id="no-peer-is-known"),
    ],
)
def test_the_address_of_a_path(peer: str, scheme: str, headers: dict[str, str], address: str) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    links = Links(Server(trusted_proxies=PROXIES))
    assert links.to("/p", scheme=scheme, peer=peer, headers=raw) == address


def test_a_root_path_stands_before_it() -> None:
    """What a proxy takes off, or leaves on."""
    links = Links(Server(root_path="/ai"))
    found = links.to(
        "/v1/streams/x?ticket=t", scheme="http", peer=STRANGER, headers=[(b"host", b"a.example")]
    )
    assert found == "http://a.example/ai/v1/streams/x?ticket=t"
