"""Tokens of an identity provider to callers: verified once, then recognised until they end."""

from collections import OrderedDict
from hashlib import sha256
from pathlib import Path
from typing import Final

from service.clock import Clock
from service.config.limits import UNLIMITED, Limits
from service.config.settings import Jwt
from service.errors import InvalidApiKey
from service.keys import claims, jwks, jwt
from service.keys.claims import Caller
from service.keys.jwks import KeySet
from service.keys.jwks_http import FileJwksSource, HttpJwksSource
from service.keys.key_set import CachedKeySet, JwksSource
from service.principal import Principal

MAX_CALLERS: Final = 10_000
"""Callers known without verifying: some 10 MB."""


class TokenVerifier:
    """What [auth.jwt] asks for. limits: those of any key.

    What was verified is kept under the token's hash, so that no token stays in memory, and is
    dropped when the keys change: one of them may have been withdrawn.
    """

    def __init__(
        self,
        settings: Jwt,
        keys: CachedKeySet,
        clock: Clock,
        limits: Limits = UNLIMITED,
        *,
        max_callers: int = MAX_CALLERS,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._clock = clock
        self._limits = limits
        self._max_callers = max_callers
        self._verified_with: KeySet | None = None
        self._callers: OrderedDict[bytes, Caller] = OrderedDict()

    def use(self, limits: Limits) -> None:
        """Limits of any key. Where they are others, who was verified before is verified once more."""
        if limits == self._limits:
            return
        self._limits = limits
        self._callers.clear()

    async def start(self) -> None:
        """Begin to fetch the keys."""
        await self._keys.start()

    async def close(self) -> None:
        """Stop fetching."""
        await self._keys.close()

    def state(self) -> str:
        """How the keys are: `fresh`, `stale` or `away`."""
        return self._keys.state()

    def recognise(self, token: bytes) -> Principal | None:
        """The caller of a token that was verified before and is still good; None: it must be verified."""
        if len(token) > jwt.MAX_TOKEN_BYTES or self._keys.usable() is not self._verified_with:
            return None
        digest = sha256(token).digest()
        caller = self._callers.get(digest)
        if caller is None:
            return None
        if self._clock.now() >= caller.until:
            del self._callers[digest]
            return None
        self._callers.move_to_end(digest)
        return caller.principal

    async def verify(self, token: bytes) -> Principal:
        """The token's caller.

        Raises InvalidApiKey for a token that is malformed, not signed by the provider, over or not
        for us, and StoreUnavailable where the provider's keys can't be had.
        """
        signed = jwt.split(token)
        keys = await self._keys.keys()
        try:
            jwt.check_signature(signed, keys, self._settings.algorithms)
        except jwt.UnknownKey:
            keys = await self._keys.newer()
            self._check_again(signed, keys)
        caller = claims.read(signed.payload, self._settings, now=self._clock.now(), limits=self._limits)
        self._remember(token, caller, keys)
        return caller.principal

    def _check_again(self, signed: jwt.SignedToken, keys: KeySet) -> None:
        try:
            jwt.check_signature(signed, keys, self._settings.algorithms)
        except jwt.UnknownKey:
            raise InvalidApiKey("The token is not signed with a key of the identity provider.") from None

    def _remember(self, token: bytes, caller: Caller, keys: KeySet) -> None:
        if keys is not self._verified_with:
            self._callers.clear()
            self._verified_with = keys
        self._callers[sha256(token).digest()] = caller
        if len(self._callers) > self._max_callers:
            self._callers.popitem(last=False)


def token_verifier(settings: Jwt, clock: Clock, limits: Limits = UNLIMITED) -> TokenVerifier:
    """The verifier for these settings, which name one source of keys (see `service.config.jwt_rules`)."""
    keys = CachedKeySet(
        _source(settings),
        lambda document: jwks.read(document, settings.algorithms),
        refresh_seconds=settings.refresh_seconds,
        stale_seconds=settings.stale_seconds,
    )
    return TokenVerifier(settings, keys, clock, limits)


def _source(settings: Jwt) -> JwksSource:
    if settings.jwks_url is not None:
        return HttpJwksSource(settings.jwks_url)
    assert settings.jwks_file is not None
    return FileJwksSource(Path(settings.jwks_file))
