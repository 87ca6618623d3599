"""What is wrong with a request whatever route it is for: its Host, its method, its query. Pure."""

from urllib.parse import unquote_to_bytes

from service.errors import GatewayError, InvalidRequest, MethodNotAllowed, MethodNotKnown

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
REFUSED_METHODS = frozenset({"TRACE", "CONNECT", "QUERY"})
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})

TWO_HOSTS = b","
"""Instead of a Host, where there were two of them: neither is believed."""


def host_error(http_version: str, host: bytes | None) -> InvalidRequest | None:
    """What RFC 9112, 3.2 asks to be refused: more than one Host, and none (the server says "") in HTTP/1.1.

    Clients of HTTP/1.0 may know no Host. None: this server says nothing of it.
    """
    if host == TWO_HOSTS or (host == b"" and http_version == "1.1"):
        return InvalidRequest("Send one Host header with the server's name.", param="Host")
    return None


def method_error(method: str) -> GatewayError | None:
    """A method that no route has."""
    if method in METHODS:
        return None
    if method in REFUSED_METHODS:
        return MethodNotAllowed(f"{method} is not served here.", allow=tuple(sorted(METHODS)))
    return MethodNotKnown("This method is not known here; use GET or POST.")


def query_error(query: bytes) -> InvalidRequest | None:
    """A parameter whose bytes are no text; nobody shall be answered for another text than was sent."""
    if b"%" not in query:
        return None
    for pair in query.split(b"&"):
        try:
            unquote_to_bytes(pair).decode()
        except UnicodeDecodeError:
            name = unquote_to_bytes(pair.partition(b"=")[0]).decode(errors="replace")[:100]
            return InvalidRequest(f"{name}: write it as UTF-8, percent-encoded.", param=name)
    return None


def is_loopback(host: bytes) -> bool:
    """Whether that Host, with or without a port, is a name of this machine alone."""
    name = host.decode("latin-1").lower()
    if not name.endswith("]"):
        before, colon, port = name.rpartition(":")
        name = before if colon and port.isdigit() else name
    return name in LOOPBACK_HOSTS
