"""Where state lives: the database, the journal, and the home of limits, opened and closed together.

One worker alone keeps its limits in memory; with `store.redis` they are shared. What a process doesn't
use is never imported: Redis' client alone is 20 MB.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import structlog

from service.clock import Clock
from service.config import Auth, Limits, Settings
from service.config.urls import is_loopback
from service.database import Database
from service.errors import StoreUnavailable
from service.idempotency.store import DatabaseIdempotencyStore
from service.keys.authenticator import Authenticator, requirement
from service.keys.credential import is_id
from service.keys.ports import Tokens
from service.keys.service import KeyService
from service.keys.store import DatabaseKeyStore
from service.limits.admin import LimitAdmin
from service.limits.home import open_home
from service.limits.link import LAG_SECONDS
from service.limits.memory import MemoryLimitStore
from service.limits.overrides import POLL_SECONDS, SubjectOverrides
from service.limits.service import LimitService
from service.limits.standing import PrincipalOf, Standing
from service.limits.subjects import SubjectLimitStore
from service.migrations import is_current
from service.polling import Poller
from service.principal import Principal
from service.recovered import Bookings
from service.telemetry.metrics import Metrics
from service.usage.journal import Journal
from service.usage.ledger import Ledger
from service.usage.row import LedgerRow
from service.usage.service import UsageService
from service.usage.spent import CaughtUp
from service.usage.store import LedgerStore

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Stores:
    """All that outlives a request.

    state: by a store's name, `ok` or what is the matter with it. use: go by other settings from now on.
    """

    gatekeeper: Authenticator
    idempotency: DatabaseIdempotencyStore
    keys: KeyService
    ledger: Ledger
    limits: LimitService
    standing: Standing
    subjects: LimitAdmin
    usage: UsageService
    state: Callable[[], dict[str, str]]
    use: Callable[[Settings], None]


@asynccontextmanager
async def open_stores(settings: Settings, clock: Clock, metrics: Metrics) -> AsyncIterator[Stores]:
    """Open everything; a database or a Redis that is away is waited for behind the scenes."""
    async with AsyncExitStack() as stack:
        database, reports, keys_database, answers = (Database(settings.store.database) for _ in range(4))
        for each in (database, reports, keys_database, answers):
            stack.push_async_callback(each.close)
        await _tell_if_outdated(database)
        journal = Journal(
            Path(settings.store.journal), now=clock.now, max_bytes=settings.store.journal_max_bytes
        )
        rows = LedgerStore(database)
        lag_seconds = 0.0 if settings.store.redis is None else LAG_SECONDS
        sums = CaughtUp(rows, clock.now, lag_seconds=lag_seconds)
        store, limits_state = await stack.enter_async_context(
            open_home(settings, clock, sums, metrics, owner=journal.path.name)
        )
        # A long report must not hold the connections that polls need.
        key_store, subject_store = DatabaseKeyStore(keys_database), SubjectLimitStore(keys_database)
        overrides = SubjectOverrides(subject_store)
        listening = Poller(overrides.poll_once, POLL_SECONDS)
        stack.push_async_callback(listening.close)
        await listening.start()
        defaults = KeyDefaults(settings.limits.key)
        principal_of = _principal_of(key_store, defaults, has_tokens=settings.auth.jwt is not None)
        limits = LimitService(settings.limits, store, overrides, metrics.count_refusal)
        recovered = _forgotten
        if not isinstance(store, MemoryLimitStore):
            bookings = Bookings(store, _principal_of_row(principal_of), limits.meters)
            stack.push_async_callback(bookings.close)
            recovered = bookings.note
        ledger = sums.writer = Ledger(journal, rows, on_recovered=recovered)
        stack.push_async_callback(ledger.close)
        await ledger.start()
        tokens = await stack.enter_async_context(_open_tokens(settings, clock))
        gatekeeper = Authenticator(
            key_store,
            required=_requirement(settings),
            admin_key=settings.auth.admin_key,
            defaults=settings.limits.key,
            tokens=tokens,
            now=clock.now,
            moment=asyncio.get_running_loop().time,
        )
        stack.push_async_callback(gatekeeper.close)
        await gatekeeper.start()
        yield Stores(
            gatekeeper=gatekeeper,
            idempotency=DatabaseIdempotencyStore(answers),
            keys=KeyService(key_store, now=clock.now, draw=secrets.token_bytes, noted=gatekeeper.forget),
            ledger=ledger,
            limits=limits,
            standing=Standing(plans=limits, store=store, principal_of=principal_of, now=clock.now),
            subjects=LimitAdmin(subject_store, overrides),
            usage=UsageService(LedgerStore(reports)),
            state=lambda: {
                **ledger.state(),
                **limits_state(),
                "keys": gatekeeper.state,
                "overrides": overrides.state,
            },
            use=partial(_use, limits, gatekeeper, defaults),
        )


async def _tell_if_outdated(database: Database) -> None:
    """A schema of another version looks like a database that is away; its operator can do something about it."""
    try:
        if not await is_current(database):
            _log.error("database.not_current", remedy="penstock db upgrade, with this version's command")
    except StoreUnavailable:
        _log.error("database.away")


class KeyDefaults(msgspec.Struct):
    """Limits of each key that says nothing itself, as they are now."""

    limits: Limits


def _use(limits: LimitService, gatekeeper: Authenticator, defaults: KeyDefaults, settings: Settings) -> None:
    defaults.limits = settings.limits.key
    limits.use(settings.limits)
    gatekeeper.use(
        required=_requirement(settings), admin_key=settings.auth.admin_key, defaults=settings.limits.key
    )


def _principal_of(keys: DatabaseKeyStore, defaults: KeyDefaults, *, has_tokens: bool) -> PrincipalOf:
    """A caller's limits by its key's id. What tokens say of models and scopes is in nobody's store."""

    async def find(key_id: str) -> Principal | None:
        if has_tokens and key_id.startswith("jwt:"):
            return Principal(key_id=key_id, limits=defaults.limits)
        key = await keys.find(key_id) if is_id(key_id) else None
        return None if key is None else key.to_principal(defaults.limits)

    return find


def _requirement(settings: Settings) -> bool | None:
    return requirement(
        settings.auth,
        loopback=is_loopback(settings.server.host),
        insecure_no_auth=settings.insecure_no_auth,
    )


def _forgotten(row: LedgerRow, owner: str) -> None:
    """Limits in memory died with the worker; the ledger's sum has the row."""


def _principal_of_row(principal_of: PrincipalOf) -> Callable[[LedgerRow], Awaitable[Principal | None]]:
    """Whose row it is: a key by its id, with the tenant and user that the row names, or an address."""

    async def find(row: LedgerRow) -> Principal | None:
        if not row.key_id:
            return Principal(address=row.address)
        found = await principal_of(row.key_id) or Principal(key_id=row.key_id)
        return msgspec.structs.replace(found, tenant=row.tenant, user=row.user)

    return find


@asynccontextmanager
async def _open_tokens(settings: Settings, clock: Clock) -> AsyncIterator[Tokens | None]:
    auth: Auth = settings.auth
    if auth.jwt is None:
        yield None
        return
    from service.keys.token_verifier import token_verifier

    verifier = token_verifier(auth.jwt, clock, settings.limits.key)
    await verifier.start()
    try:
        yield verifier
    finally:
        await verifier.close()
