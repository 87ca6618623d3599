"""A JSON Web Key Set (RFC 7517) as the keys that may verify tokens. Pure.

What isn't known, isn't for signatures, is too weak, or isn't public is left out, as RFC 7517, 5
asks: a provider may publish other keys beside those for tokens. A key's algorithm comes from the
key itself and the configuration, so that no token can choose how it is verified (RFC 8725, 3.1).
"""

from collections.abc import Collection
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK, PyJWTError

from service.config.settings import JwtAlgorithm

LEAST_RSA_BITS: Final = 2048
"""RFC 7518, 3.3."""
MOST_RSA_BITS: Final = 8192
"""A check takes longer with the square of it, and nobody issues larger ones."""

_ALGORITHMS: Final[dict[tuple[str, str | None], JwtAlgorithm]] = {
    ("RSA", None): "RS256",
    ("EC", "P-256"): "ES256",
    ("OKP", "Ed25519"): "EdDSA",
}


class JwksInvalid(Exception):
    """The document is no JWK Set at all."""


class VerificationKey(msgspec.Struct, frozen=True, kw_only=True):
    """One public key. kid: what tokens call it by; None where the provider gave it no name."""

    kid: str | None
    algorithm: JwtAlgorithm
    jwk: PyJWK

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's of `message`."""
        return self.jwk.Algorithm.verify(message, self.jwk.key, signature)


class KeySet(msgspec.Struct, frozen=True):
    """The usable keys of a document, in its order."""

    keys: tuple[VerificationKey, ...] = ()

    def candidates(self, algorithm: str, kid: str | None) -> tuple[VerificationKey, ...]:
        """The keys for that algorithm: those of that name, or all where the token names none."""
        return tuple(
            key for key in self.keys if key.algorithm == algorithm and (kid is None or key.kid == kid)
        )


class _Document(msgspec.Struct):
    keys: list[msgspec.Raw]


class _Jwk(msgspec.Struct, omit_defaults=True):
    """The members of a JWK that matter here. d, k: private parts, whatever they hold."""

    kty: str
    crv: str | None = None
    n: str | None = None
    e: str | None = None
    x: str | None = None
    y: str | None = None
    alg: str | None = None
    kid: str | None = None
    use: str | None = None
    key_ops: list[str] | None = None
    d: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    k: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def read(document: bytes, algorithms: Collection[JwtAlgorithm]) -> KeySet:
    """The usable keys of `document`, for these algorithms only; perhaps none. Raises JwksInvalid."""
    try:
        found = msgspec.json.decode(document, type=_Document).keys
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, and so is that for bad UTF-8
        raise JwksInvalid("not a JSON object with a list of keys") from None
    keys = (_key(raw, algorithms) for raw in found)
    return KeySet(tuple(key for key in keys if key is not None))


def _key(raw: msgspec.Raw, algorithms: Collection[JwtAlgorithm]) -> VerificationKey | None:
    try:
        jwk = msgspec.json.decode(raw, type=_Jwk)
    except (ValueError, RecursionError):
        return None
    algorithm = _ALGORITHMS.get((jwk.kty, jwk.crv))
    if algorithm is None or algorithm not in algorithms or not _is_for_verifying(jwk, algorithm):
        return None
    made = _made(jwk, algorithm)
    return None if made is None else VerificationKey(kid=jwk.kid, algorithm=algorithm, jwk=made)


def _is_for_verifying(jwk: _Jwk, algorithm: JwtAlgorithm) -> bool:
    """A key whose private part was published is anyone's."""
    return (
        jwk.alg in {None, algorithm}
        and jwk.use in {None, "sig"}
        and (jwk.key_ops is None or "verify" in jwk.key_ops)
        and jwk.d is msgspec.UNSET
        and jwk.k is msgspec.UNSET
    )


def _made(jwk: _Jwk, algorithm: JwtAlgorithm) -> PyJWK | None:
    """The library's key; None where the numbers are wrong or weak."""
    try:
        made = PyJWK(msgspec.to_builtins(jwk), algorithm)
    except (PyJWTError, ValueError):
        return None
    if isinstance(made.key, RSAPublicKey) and not LEAST_RSA_BITS <= made.key.key_size <= MOST_RSA_BITS:
        return None
    return made
