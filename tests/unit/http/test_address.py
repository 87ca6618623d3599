"""Whose address a request came from."""

import pytest

from service.http.address import client_address, networks

PROXIES = networks(("10.0.0.0/8", "127.0.0.1", "fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "found"),
    [
        pytest.param("203.0.113.7", "", "203.0.113.7", id="nobody-in-between"),
        pytest.param("203.0.113.7", "198.51.100.1", "203.0.113.7", id="a-stranger-claims-something"),
        pytest.param("10.0.0.1", "198.51.100.1", "198.51.100.1", id="a-trusted-proxy-says-so"),
        pytest.param("10.0.0.1", "", "10.0.0.1", id="a-trusted-proxy-says-nothing"),
        pytest.param("10.0.0.1", "1.2.3.4, 198.51.100.1", "198.51.100.1", id="the-clients-own-claim-first"),
        pytest.param("10.0.0.1", "198.51.100.1, 10.9.9.9", "198.51.100.1", id="two-proxies"),
        pytest.param("10.0.0.1", "10.1.1.1, 10.2.2.2", "10.1.1.1", id="all-of-them-trusted"),
        pytest.param("10.0.0.1", "198.51.100.1, unknown", "10.0.0.1", id="an-entry-that-is-no-address"),
        pytest.param("10.0.0.1", "198.51.100.1:4711", "198.51.100.1", id="with-a-port"),
        pytest.param("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::/64", id="ipv6-with-a-port"),
        pytest.param("2001:db8:0:1:2:3:4:5", "", "2001:db8:0:1::/64", id="ipv6-by-its-64-network"),
        pytest.param("::ffff:203.0.113.7", "", "203.0.113.7", id="ipv4-written-as-ipv6"),
        pytest.param("fd00::1", "198.51.100.1", "198.51.100.1", id="a-proxy-of-ipv6"),
        pytest.param("", "198.51.100.1", "", id="no-peer-is-known"),
        pytest.param("10.0.0.1", " , ,", "10.0.0.1", id="only-commas"),
    ],
)
def test_the_address_that_a_caller_is_told_apart_by(peer: str, forwarded_for: str, found: str) -> None:
    assert client_address(peer, forwarded_for, PROXIES) == found


def test_without_proxies_nothing_is_believed() -> None:
    """The default: a bare X-Forwarded-For means nothing, not even from loopback."""
    assert client_address("127.0.0.1", "198.51.100.1", ()) == "127.0.0.1"
