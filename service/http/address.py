"""Whose address a request came from: the peer's, or what trusted proxies say of it. Pure.

Each proxy appends the address that it was called from to `X-Forwarded-For`, so the list is read from
its end, past all that are trusted; whatever stands before is the client's own claim, and ignored.
"""

import ipaddress
from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

IPV6_SUBSCRIBER_BITS = 64
"""One subscriber has at least a /64 (RFC 6177) and may change within it at will."""


def networks(written: Iterable[str]) -> tuple[Network, ...]:
    """The networks of `server.trusted_proxies`; an address is a network of one."""
    return tuple(ipaddress.ip_network(each) for each in written)


def client_address(peer: str, forwarded_for: str, trusted: tuple[Network, ...]) -> str:
    """The address that a caller is told apart by: an IPv4 address, or an IPv6 address's /64.

    peer: who holds the connection; "" where that is not known. forwarded_for: all lines of
    `X-Forwarded-For` as one list. An entry that is no address ends the walk: what is left of it
    can't be believed.
    """
    found = _parse(peer)
    if found is None:
        return ""
    for entry in reversed(forwarded_for.split(",") if forwarded_for else []):
        if not _is_trusted(found, trusted) or (before := _parse(entry.strip())) is None:
            break
        found = before
    return _told_apart(found)


def is_trusted(peer: str, trusted: tuple[Network, ...]) -> bool:
    """Whether what `peer` says of a request's origin may be believed."""
    found = _parse(peer)
    return found is not None and _is_trusted(found, trusted)


def _parse(text: str) -> Address | None:
    """An address, with or without a port; an IPv4 one that is written as IPv6 is IPv4."""
    bare = text[1:].partition("]")[0] if text.startswith("[") else text
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        found = ipaddress.ip_address(bare)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _is_trusted(address: Address, trusted: tuple[Network, ...]) -> bool:
    return any(address in network for network in trusted)


def _told_apart(address: Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((int(address) >> 64 << 64, IPV6_SUBSCRIBER_BITS)))
