"""What must hold within `[auth.jwt]` beyond the types. Pure."""

from collections.abc import Iterator
from typing import Final

from service.config import urls
from service.config.mistakes import shown
from service.config.settings import Jwt, JwtClaims

DEFAULT_SCOPES: Final = ("chat", "embeddings", "ask", "batch")
"""What a token may do that says nothing; administering is never among it."""


def jwt_mistakes(jwt: Jwt) -> Iterator[tuple[str, str, str]]:
    """All that is wrong: the key below `[auth.jwt]`, what stands there, what should."""
    yield from _source_mistakes(jwt)
    for scope in jwt.default_scopes:
        if scope not in DEFAULT_SCOPES:
            yield "default_scopes", shown(scope), f"some of {', '.join(DEFAULT_SCOPES)}"
    for name in JwtClaims.__struct_fields__:
        if not getattr(jwt.claims, name):
            yield f"claims.{name}", '""', "the name of a claim"


def _source_mistakes(jwt: Jwt) -> Iterator[tuple[str, str, str]]:
    if jwt.jwks_url is not None and jwt.jwks_file is not None:
        yield "jwks_file", shown(jwt.jwks_file), "nothing: jwks_url says already where the keys are"
    if jwt.jwks_url is None and jwt.jwks_file is None:
        yield "jwks_url", "nothing", "jwks_url or jwks_file: where the provider's keys are"
    if jwt.jwks_url is not None and not is_key_address(jwt.jwks_url):
        wanted = 'an address such as "https://id.example.com/jwks.json"; http only on loopback'
        yield "jwks_url", shown(jwt.jwks_url), wanted
    if jwt.jwks_file == "":
        yield "jwks_file", '""', "a file's path"


def is_key_address(url: str) -> bool:
    """https, or http where only this machine can answer: whoever answers decides who may call.

    A query is fine (some providers name the policy there); credentials and fragments are not.
    """
    parts = urls.split(url, ("http", "https"))
    if parts is None or not urls.is_host(parts.hostname or "") or "@" in parts.netloc or "#" in url:
        return False
    return parts.scheme == "https" or urls.is_loopback(parts.hostname or "")
