"""What a verified token's claims must be, and the caller that they describe. Pure.

A caller gets the scope `admin` only from a token whose scopes claim says `admin`: then it may do
all that the admin key may. Whoever can make the provider issue such a token is an administrator.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from service.config.limits import UNLIMITED, Limits
from service.config.settings import Jwt
from service.errors import InvalidApiKey
from service.principal import USER_SCOPES, Principal, Scope

MAX_NAME_CHARACTERS: Final = 255
"""OpenID Connect Core, 2, bounds `sub` so; the others go where it goes: rows, logs and keys of stores."""

_LATEST_SECONDS: Final = 1 << 53
_SCOPES: Final = {scope.value: scope for scope in Scope}

Claims = Mapping[str, object]


class Caller(msgspec.Struct, frozen=True):
    """Who a token speaks for. until: Unix seconds at which it stops, leeway included."""

    principal: Principal
    until: float


def read(payload: bytes, jwt: Jwt, *, now: float, limits: Limits = UNLIMITED) -> Caller:
    """The caller of a token whose signature is right.

    now: Unix seconds. limits: those of any key. Raises InvalidApiKey for a token of another issuer
    or for another audience, one that is over or not valid yet, and for claims of a wrong type.
    """
    claims = _claims(payload)
    _check_issuer(claims, jwt.issuer)
    _check_audience(claims, jwt.audience)
    until = _check_times(claims, jwt.leeway_seconds, now)
    return Caller(_principal(claims, jwt, limits), until)


def _claims(payload: bytes) -> Claims:
    try:
        return msgspec.json.decode(payload, type=dict[str, object])
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, and so is that for bad UTF-8
        raise InvalidApiKey("The token's claims are not a JSON object.") from None


def _check_issuer(claims: Claims, issuer: str) -> None:
    if claims.get("iss") != issuer:
        raise InvalidApiKey("The token is from another issuer (iss).")


def _check_audience(claims: Claims, audience: str) -> None:
    found = claims.get("aud")
    audiences = [found] if isinstance(found, str) else found
    if not isinstance(audiences, list) or not all(isinstance(each, str) for each in audiences):
        raise InvalidApiKey("The token's claim aud must be text or a list of texts.")
    if audience not in audiences:
        raise InvalidApiKey("The token is for another audience (aud).")


def _check_times(claims: Claims, leeway_seconds: float, now: float) -> float:
    """When the token stops. A token of this very second is valid, one whose end is now is not."""
    if "exp" not in claims:
        raise InvalidApiKey("The token has no end: the claim exp is missing.")
    until = _instant(claims, "exp") + leeway_seconds
    if now >= until:
        raise InvalidApiKey("The token has expired.")
    for name in ("nbf", "iat"):
        if name in claims and _instant(claims, name) > now + leeway_seconds:
            raise InvalidApiKey(f"The token is not valid yet ({name}).")
    return until


def _instant(claims: Claims, name: str) -> float:
    found = claims[name]
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= _LATEST_SECONDS:
        raise InvalidApiKey(f"The token's claim {name} must be a number of seconds.")
    return float(found)


def _principal(claims: Claims, jwt: Jwt, limits: Limits) -> Principal:
    subject = _text(claims, "sub")
    if not subject:
        raise InvalidApiKey("The token has no subject: the claim sub is missing or empty.")
    return Principal(
        key_id=f"jwt:{subject}",
        tenant=_text(claims, jwt.claims.tenant),
        user=_text(claims, jwt.claims.user),
        scopes=_scopes(claims, jwt),
        models=_models(claims, jwt.claims.models),
        limits=limits,
    )


def _scopes(claims: Claims, jwt: Jwt) -> frozenset[Scope]:
    named = _names(claims, jwt.claims.scopes)
    if named is None:
        return _known(jwt.default_scopes) & USER_SCOPES
    return _known(named)


def _known(names: Iterable[str]) -> frozenset[Scope]:
    return frozenset(_SCOPES[name] for name in names if name in _SCOPES)


def _models(claims: Claims, path: str) -> frozenset[str]:
    """The names; empty: all. A claim that lists none can't mean all, and a caller without any can do nothing."""
    named = _names(claims, path)
    if named is not None and not named:
        raise InvalidApiKey(f"The token's claim {path} names no model.")
    return frozenset(named or ())


def _text(claims: Claims, path: str) -> str:
    """The claim at `path`, "" where there is none."""
    found = _at(claims, path)
    if found is msgspec.UNSET:
        return ""
    if not isinstance(found, str) or len(found) > MAX_NAME_CHARACTERS or not found.isprintable():
        raise InvalidApiKey(
            f"The token's claim {path} must be printable text of at most {MAX_NAME_CHARACTERS} characters."
        )
    return found


def _names(claims: Claims, path: str) -> list[str] | None:
    """The claim at `path` as a list, None where there is none."""
    found = _at(claims, path)
    if found is msgspec.UNSET:
        return None
    if isinstance(found, str):
        return found.split()
    if isinstance(found, list) and all(isinstance(each, str) and each for each in found):
        return found
    raise InvalidApiKey(f"The token's claim {path} must be text or a list of texts.")


def _at(claims: Claims, path: str) -> object:
    """What stands at `path`; UNSET where nothing does.

    A claim of exactly that name comes first: names that are addresses have dots of their own
    (`https://example.com/tenant`). null is a value, of a wrong type wherever it stands.
    """
    if path in claims:
        return claims[path]
    here: object = claims
    for name in path.split("."):
        if not isinstance(here, dict):
            raise InvalidApiKey(f"The token's claim {path} leads through something that is no object.")
        if name not in here:
            return msgspec.UNSET
        here = here[name]
    return here
