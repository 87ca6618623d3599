"""Absolute addresses of this server, as its callers see it. Pure."""

from collections.abc import Iterable

from service.config.settings import Server
from service.http.address import is_trusted, networks

RawHeaders = Iterable[tuple[bytes, bytes]]


class Links:
    """Makes addresses from what a request says, and from what proxies that are trusted say of it."""

    def __init__(self, server: Server) -> None:
        self._trusted = networks(server.trusted_proxies)
        self._root_path = server.root_path
        self._fallback = f"{server.host}:{server.port}"

    def to(self, path: str, *, scheme: str, peer: str, headers: RawHeaders) -> str:
        """The address of `path`, which begins with a slash.

        scheme, peer, headers: the request's. `X-Forwarded-Proto` and `-Host` count where the peer is a
        trusted proxy; of a list the first entry is the client's.
        """
        found = {name: value.decode("latin-1") for name, value in headers}
        host = found.get(b"host") or self._fallback
        if is_trusted(peer, self._trusted):
            scheme = _first(found.get(b"x-forwarded-proto")) or scheme
            host = _first(found.get(b"x-forwarded-host")) or host
        return f"{'https' if scheme.lower() == 'https' else 'http'}://{host}{self._root_path}{path}"


def _first(value: str | None) -> str:
    return (value or "").partition(",")[0].strip()
