"""Signed tokens (JWT, RFC 7519, in JWS compact form, RFC 7515): grammar and signature. Pure.

Verification follows RFC 8725: the algorithm must be one that is configured and the key's own, no
extension is understood, so none is accepted, and nothing in a token is read before its size and
alphabet are known to be right. `service.keys.claims` says what the claims must be.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection
from typing import Final

import msgspec

from service.errors import InvalidApiKey
from service.keys.jwks import KeySet

MAX_TOKEN_BYTES: Final = 16_384
"""Real tokens have 1 to 4 KB; proxies stop header lines at 8 to 16."""

_COMPACT: Final = re.compile(rb"[A-Za-z0-9_-]++\.[A-Za-z0-9_-]++\.[A-Za-z0-9_-]++")
_TYPES: Final = frozenset(("jwt", "at+jwt"))
"""Other kinds, such as logout tokens, come from the same provider and mean something else (RFC 8725, 3.11)."""


class UnknownKey(Exception):
    """No key of the set verifies the token, but a newer set may hold one that does."""


class SignedToken(msgspec.Struct, frozen=True, gc=False):
    """A well-formed token of which nothing is believed yet.

    kid: the key's name, None where it names none. message: what the signature is of.
    """

    algorithm: str
    kid: str | None
    message: bytes
    signature: bytes
    payload: bytes


class _Header(msgspec.Struct):
    """The JOSE header; without `alg` it is none. crit, b64: extensions that change what is signed."""

    alg: str
    kid: str | None = None
    typ: str = "JWT"
    crit: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    b64: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def split(token: bytes) -> SignedToken:
    """The parts of a token. Raises InvalidApiKey for anything that isn't one, or is longer than MAX_TOKEN_BYTES."""
    if len(token) > MAX_TOKEN_BYTES:
        raise InvalidApiKey(f"The token is larger than {MAX_TOKEN_BYTES} bytes.")
    if _COMPACT.fullmatch(token) is None:
        raise InvalidApiKey("The token is malformed.")
    message, _, signature = token.rpartition(b".")
    head, _, payload = message.partition(b".")
    header = _header(_decoded(head))
    return SignedToken(header.alg, header.kid, message, _decoded(signature), _decoded(payload))


def check_signature(token: SignedToken, keys: KeySet, algorithms: Collection[str]) -> None:
    """Return if a key of `keys` made the signature.

    Raises UnknownKey where a newer set may help: the key's name is not in this one, or the token
    names none and the only key doesn't fit. Raises InvalidApiKey where it can't.
    """
    if token.algorithm not in algorithms:
        raise InvalidApiKey("The token's signature algorithm is not accepted.")
    candidates = keys.candidates(token.algorithm, token.kid)
    if token.kid is None and len(candidates) > 1:
        raise InvalidApiKey("The token must name its key (kid): the provider has several.")
    if any(key.verifies(token.message, token.signature) for key in candidates):
        return
    if token.kid is None or not candidates:
        raise UnknownKey
    raise InvalidApiKey("The token's signature is wrong.")


def _header(text: bytes) -> _Header:
    try:
        header = msgspec.json.decode(text, type=_Header)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, and so is that for bad UTF-8
        raise InvalidApiKey("The token's header is malformed.") from None
    if header.crit is not msgspec.UNSET or header.b64 is not msgspec.UNSET:
        raise InvalidApiKey("The token uses an extension that is not supported.")
    if header.typ.lower().removeprefix("application/") not in _TYPES:
        raise InvalidApiKey("The token is not an access token: its typ must be JWT or at+jwt.")
    return header


def _decoded(part: bytes) -> bytes:
    """base64url without padding, in the one spelling that encoding yields (RFC 4648, 3.5)."""
    if len(part) % 4 != 1:
        decoded = urlsafe_b64decode(part + b"=" * (-len(part) % 4))
        if urlsafe_b64encode(decoded).rstrip(b"=") == part:
            return decoded
    raise InvalidApiKey("The token is malformed.")
