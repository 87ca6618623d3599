"""Addresses as an operator writes them: what is wrong with one, and how to show it safely. Pure."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_-]+)*\.?")


def without_password(url: str) -> str:
    """`url` fit for a message: no user, no password, no query, nothing that isn't printable.

    All up to the last `@` goes, since a password may hold an unquoted slash or `@` itself.
    """
    scheme, mark, rest = url.partition("://") if "://" in url else ("", "", url)
    if "@" in rest:
        rest = "***@" + rest.rpartition("@")[2]
    shown = scheme + mark + re.split("[?#]", rest, maxsplit=1)[0]
    return "".join(char if char.isprintable() else "?" for char in shown)


def split(url: str, schemes: tuple[str, ...]) -> SplitResult | None:
    """The parts of an absolute URL of one of `schemes`; None where it is not one.

    Blanks, control characters and anything beyond ASCII are refused, because the standard
    library drops some of them in silence.
    """
    if not all("!" <= char <= "~" for char in url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    return parts if parts.scheme in schemes and port != 0 else None


def is_provider_address(url: str) -> bool:
    """An http(s) address without credentials, query or fragment."""
    parts = split(url, ("http", "https"))
    return (
        parts is not None
        and bool(parts.hostname)
        and is_host(parts.hostname or "")
        and "@" not in parts.netloc
        and "?" not in url
        and "#" not in url
    )


def is_origin(text: str) -> bool:
    """`*`, or scheme, host and port as a browser sends them in `Origin`: no path, no slash at the end."""
    if text == "*":
        return True
    parts = split(text, ("http", "https"))
    return parts is not None and is_provider_address(text) and text == f"{parts.scheme}://{parts.netloc}"


def is_host(text: str) -> bool:
    """An IP address (IPv6 without brackets) or a host's name."""
    return address(text) is not None or _HOST_NAME.fullmatch(text) is not None


def is_loopback(host: str) -> bool:
    """Only this machine can reach it. A name other than localhost may resolve to anything."""
    found = address(host)
    return host.lower() == "localhost" or (found is not None and found.is_loopback)


def is_network(text: str) -> bool:
    """An address, or a network without bits set behind its prefix."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """`text` as an IP address; None where it is a name."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def normalised_base_url(kind: str, url: str) -> str:
    """No slash at the end, and for Anthropic no `/v1`: its paths carry it. Empty: the kind's own."""
    bare = url.rstrip("/") or DEFAULT_BASE_URLS[kind]
    return bare.removesuffix("/v1").rstrip("/") if kind == "anthropic" else bare


DEFAULT_BASE_URLS = {
    "sim": "",
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
}
