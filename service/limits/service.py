"""The use case of limits: which meters a request has, and what a store's answer means to its caller."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from service.config import Limits, LimitSettings
from service.errors import BudgetExceeded, LimitExceeded
from service.limits.base import BUDGETS, Kind, LimitStore, Meter, Need, Refusal, Reservation, Subject, Used
from service.limits.headers import limit_headers, refusal_detail, refusal_headers, retry_after
from service.limits.policy import meters_for, places_of, user_subject
from service.principal import Principal

MAX_REMEMBERED = 10_000
"""Callers, models and routes together whose meters are remembered; more, and they are made anew."""

Headers = list[tuple[bytes, bytes]]


class Overrides(Protocol):
    """The limits that were given to single tenants and users by the admin API."""

    @property
    def version(self) -> int:
        """Another one after every change."""

    def of(self, subject: Subject, subject_id: str) -> Limits | None:
        """The subject's own limits; None where it has none."""


class NoOverrides:
    """Nobody has limits of its own."""

    version = 0

    def of(self, subject: Subject, subject_id: str) -> Limits | None:
        """None."""
        return None


class Plan(msgspec.Struct, frozen=True, gc=False):
    """The meters of one caller's requests for one model by one route, and what they ask to be known.

    places: whose requests they are, whether limited or not; see `LimitStore.spend`.
    """

    meters: tuple[Meter, ...]
    has_budget: bool
    has_usd: bool
    has_tokens: bool
    places: tuple[str, ...] = ()


UNMETERED = Plan((), False, False, False)


class LimitService:
    """Reserves and settles. One per worker."""

    def __init__(
        self,
        settings: LimitSettings,
        store: LimitStore,
        overrides: Overrides,
        on_refused: Callable[[str], None] = lambda kind: None,
    ) -> None:
        """on_refused: told the kind of every limit that refused, for the metrics."""
        self._settings = settings
        self._store = store
        self._overrides = overrides
        self._on_refused = on_refused
        self._plans: dict[tuple[str, str, str, str], tuple[Principal, Plan]] = {}
        self._version = overrides.version

    def use(self, settings: LimitSettings) -> None:
        """Go by these from the next request on; what was taken stays taken."""
        self._settings = settings
        self._plans.clear()

    def plan(self, principal: Principal, model: str, route: str) -> Plan:
        """The caller's meters, remembered until somebody's limits change."""
        if self._version != self._overrides.version or len(self._plans) >= MAX_REMEMBERED:
            self._version = self._overrides.version
            self._plans.clear()
        place = (principal.key_id, principal.address, model, route)
        known = self._plans.get(place)
        if known is None or (known[0] is not principal and known[0] != principal):
            known = self._plans[place] = (principal, self._make(principal, model, route))
        return known[1]

    async def reserve(
        self, plan: Plan, need: Need, *, id: str, started_at: float, lasts_seconds: float
    ) -> tuple[Reservation, Headers]:
        """Take what the request may use from all its meters, and say what is left.

        Raises LimitExceeded, BudgetExceeded (nothing was taken then), StoreUnavailable.
        """
        answer = await self._store.reserve(
            plan.meters, need, id=id, started_at=started_at, lasts_seconds=lasts_seconds
        )
        if isinstance(answer, Refusal):
            self._on_refused(answer.meter.kind.value)
            raise _refused(answer)
        return answer, limit_headers(answer.levels)

    def extend(self, reservation: Reservation, *, nano_usd: int, tokens: int) -> bool:
        """Reserve more for a running stream; False: its budget is used up."""
        return self._store.extend(reservation, nano_usd=nano_usd, tokens=tokens)

    def settle(self, plan: Plan, reservation: Reservation | None, used: Used, *, started_at: float) -> None:
        """A request has ended: replace what was reserved by the truth. plan: the one that it began with.

        started_at: Unix seconds, the same value as in the ledger row.
        """
        if reservation is not None:
            self._store.settle(reservation, used)
        self._store.spend(plan.places, used, started_at=started_at, reservation=reservation)

    def meters(self, principal: Principal, model: str, route: str) -> tuple[Meter, ...]:
        """What the caller's requests for `model` by `route` are counted by."""
        return self.plan(principal, model, route).meters

    def _make(self, principal: Principal, model: str, route: str) -> Plan:
        tenant = self._overrides.of(Subject.TENANT, principal.tenant) if principal.tenant else None
        user = None
        if principal.user:
            user = self._overrides.of(Subject.USER, user_subject(principal.tenant, principal.user))
        meters = meters_for(principal, model, route, self._settings, tenant=tenant, user=user)
        kinds = {meter.kind for meter in meters}
        places = places_of(principal, model, route)
        return Plan(meters, bool(kinds & BUDGETS), Kind.USD in kinds, Kind.TOKENS in kinds, places)


def _refused(refusal: Refusal) -> LimitExceeded:
    kind = BudgetExceeded if refusal.meter.kind in BUDGETS else LimitExceeded
    return kind(
        refusal_detail(refusal),
        retry_after_seconds=retry_after(refusal),
        headers=tuple(refusal_headers(refusal)),
    )
