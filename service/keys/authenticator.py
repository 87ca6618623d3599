"""Who is asking: the admin key, a key of ours, a token, or nobody in particular.

Most requests are recognised without waiting (`recognise`). The rest ask the database (`authenticate`),
many callers of one key once. News of changed keys comes by polling, so that a revoked key ends in
every process within a second; while the database is away, what it last confirmed holds for at most
300 s, and what it would have to say is answered by StoreUnavailable: never by a refusal that may be
wrong, and never by letting in.
"""

from collections.abc import Callable
from typing import Final

import structlog

from service.config.limits import Limits
from service.config.secret import Secret
from service.config.settings import Auth
from service.errors import InvalidApiKey, StoreUnavailable
from service.keys.cache import KeyCache, Strangers
from service.keys.credential import PREFIX, Credential, parse, same
from service.keys.key import Key, State
from service.keys.lookups import Lookups
from service.keys.ports import Changes, KeySource, Tokens
from service.polling import Poller
from service.principal import ADMIN_KEY_ID, USER_SCOPES, Principal, Scope

POLL_SECONDS: Final = 0.5
OVERLAP_SECONDS: Final = 10.0
"""Each poll looks that far behind the one before: a change is seen only at its commit, which is later than
its time by at most the limit on a statement, 5 s."""

MAX_ADDRESSES: Final = 10_000

ADMIN: Final = Principal(key_id=ADMIN_KEY_ID, scopes=frozenset(Scope))

_NO_KEY: Final = "Send a key: Authorization: Bearer psk_… or x-api-key: psk_…"
_MALFORMED: Final = "This key is malformed; was it copied whole? It has the form psk_…_… and 67 characters."
_UNKNOWN: Final = "This key is not known here; check it, or ask whoever runs this server for one."
_REASONS: Final = {
    State.REVOKED: "This key was revoked; ask whoever runs this server for another one.",
    State.EXPIRED: "This key has expired; ask whoever runs this server to extend it, or for another one.",
}

_log = structlog.get_logger()


def requirement(auth: Auth, *, loopback: bool, insecure_no_auth: bool) -> bool | None:
    """Whether callers need a key; None: once the first one was made. loopback: only this machine can call."""
    if auth.required is not None:
        return auth.required
    if insecure_no_auth:
        return False
    return True if auth.jwt is not None or not loopback else None


def _bytes_of(secret: Secret | None) -> bytes | None:
    return None if secret is None else secret.reveal().encode()


class Authenticator:
    """Recognises callers. One per worker.

    required: as `requirement` says. tokens: None where no identity provider is configured.
    now: Unix seconds. moment: seconds of a clock that is never set.
    """

    def __init__(
        self,
        source: KeySource,
        *,
        required: bool | None,
        admin_key: Secret | None,
        defaults: Limits,
        tokens: Tokens | None,
        now: Callable[[], float],
        moment: Callable[[], float],
    ) -> None:
        self._source = source
        self._required = required
        self._admin_key = _bytes_of(admin_key)
        self._tokens = tokens
        self._now = now
        self._moment = moment
        self._cache = KeyCache(defaults)
        self._strangers = Strangers()
        self._anonymous: dict[str, Principal] = {}
        self._lookups = Lookups(source.find, self._found)
        self._since: float | None = None
        self._any_ever: bool | None = None
        self._away = False
        self._poller = Poller(self.poll_once, POLL_SECONDS)

    def use(self, *, required: bool | None, admin_key: Secret | None, defaults: Limits) -> None:
        """Go by these from the next request on."""
        self._required = required
        self._admin_key = _bytes_of(admin_key)
        self._cache.use(defaults)
        if self._tokens is not None:
            self._tokens.use(defaults)

    def may_have_keys(self) -> bool:
        """Whether a key was ever made, or nobody can tell."""
        return self._any_ever is not False

    async def start(self) -> None:
        """Ask the database once, and go on asking it for news."""
        await self._poller.start()

    async def close(self) -> None:
        """Stop asking, and wait until nothing runs any more."""
        await self._poller.close()
        await self._lookups.close()

    @property
    def required(self) -> bool:
        """Whether callers without a key are turned away now; while nobody can tell, they are."""
        if self._required is None:
            return self._any_ever is not False or not self._cache.trusts(self._moment())
        return self._required

    @property
    def state(self) -> str:
        """How the store of keys is: `ok`, or `away`."""
        return "away" if self._away else "ok"

    def recognise(self, credential: bytes | None, address: str) -> Principal | None:
        """Who is asking; None: `authenticate` must find out. Never waits, never raises.

        credential: the Bearer one or `x-api-key`; None: none was sent. address: what anonymous
        callers are told apart by.
        """
        if credential is not None:
            if self._admin_key is not None and same(credential, self._admin_key):
                return ADMIN
            if credential.startswith(PREFIX):
                return self._cache.recognise(credential, self._now(), self._moment())
            if self._tokens is not None and _like_a_token(credential):
                return self._tokens.recognise(credential)
        return None if self.required else self._nobody(address)

    async def authenticate(self, credential: bytes | None, address: str) -> Principal:
        """Who is asking. Raises InvalidApiKey; StoreUnavailable where that can't be known now."""
        known = self.recognise(credential, address)
        if known is not None:
            return known
        try:
            return await self._identify(credential)
        except InvalidApiKey:
            if not self.required:
                return self._nobody(address)
            if self._required is None and not self._any_ever:
                raise _not_known() from None
            raise
        except StoreUnavailable:
            # The operator lets in whoever comes without a key: with one that can't be checked, no less.
            if self._required is False:
                return self._nobody(address)
            raise

    def forget(self, id: str) -> None:
        """A key was made or changed here: ask the database the next time, also where it is being asked now."""
        self._cache.forget(id)
        self._lookups.forget(id)
        self._any_ever = True

    async def poll_once(self) -> None:
        """Hear what changed. Where the database is away, or something else is wrong, the log has it, once."""
        moment = self._moment()
        try:
            changes = await self._source.changed_since(self._since)
            if not self._any_ever:
                self._note_any(found=await self._source.any_ever())
        except StoreUnavailable:
            self._note_away(None)
        except Exception as error:  # noqa: BLE001 - without polls no key would ever end; trust runs out instead
            self._note_away(error)
        else:
            self._apply(changes, moment)

    def _note_any(self, *, found: bool) -> None:
        # A key may have been made here since the question was asked.
        self._any_ever = self._any_ever or found

    def _apply(self, changes: Changes, moment: float) -> None:
        # 1. The first answer: what was looked up before it may have changed since.
        # 2. The database's clock was set back: changes may bear times that were asked for before.
        if self._since is None or changes.now < self._since:
            self._cache.clear()
        for key in changes.keys:
            self._cache.refresh(key, moment)
        self._since = changes.now - OVERLAP_SECONDS
        self._cache.confirmed_at = moment
        if self._away:
            self._away = False
            _log.info("keys.store_back")

    def _note_away(self, error: Exception | None) -> None:
        if not self._away:
            self._away = True
            _log.error("keys.store_away", exc_info=error)

    async def _identify(self, credential: bytes | None) -> Principal:
        if credential is None:
            raise InvalidApiKey(_NO_KEY)
        parsed = parse(credential)
        if parsed is not None:
            return await self._owner(parsed)
        if credential.startswith(PREFIX):
            raise InvalidApiKey(_MALFORMED)
        if self._tokens is not None and _like_a_token(credential):
            return await self._tokens.verify(credential)
        raise InvalidApiKey(_UNKNOWN)

    async def _owner(self, credential: Credential) -> Principal:
        moment = self._moment()
        key = self._cache.find(credential.id, moment)
        if key is None or not key.opens(credential.digest, self._now()):
            # While the database is away, it may have learned of the key elsewhere.
            if not self._away and self._strangers.has(credential, moment):
                raise InvalidApiKey(_UNKNOWN)
            # A secret that doesn't fit may be a new one, of a rotation in another process.
            key = await self._lookups.find(credential.id)
        if key is None or not key.opens(credential.digest, self._now()):
            self._strangers.add(credential, moment)
            raise InvalidApiKey(_UNKNOWN)
        reason = _REASONS.get(key.state(self._now()))
        if reason is not None:
            raise InvalidApiKey(reason)
        return self._cache.principal(key)

    def _found(self, key: Key) -> None:
        self._any_ever = True
        self._cache.remember(key, self._moment())

    def _nobody(self, address: str) -> Principal:
        known = self._anonymous.get(address)
        if known is None:
            if len(self._anonymous) >= MAX_ADDRESSES:
                self._anonymous.clear()
            known = self._anonymous[address] = Principal(scopes=USER_SCOPES, address=address)
        return known


def _like_a_token(credential: bytes) -> bool:
    return credential.count(b".") == 2


def _not_known() -> StoreUnavailable:
    return StoreUnavailable(
        "The database is away, so it is not known whether callers need a key; ask again shortly.",
        retry_after_seconds=1,
    )
