"""Which meters a request has: the caller's limits and the operator's, as the values that stores count by. Pure.

A meter's name says whose it is and what it counts, but not how large it is, so that a changed limit
keeps what was used. Names are unambiguous whatever characters an id holds: the subject is all before
the first colon, and none of the endings (`requests`, `usd:day`, …) is another one's last part.

Making the five meters of a key takes some 6 µs (budgets of money most, by their decimal arithmetic), so
whoever asks for every request remembers the answer per caller, model and route.
"""

from decimal import Decimal

from service.config import LimitSettings
from service.config.limits import UNLIMITED, Budget, Limits
from service.limits.base import Kind, Meter, Subject, place_of
from service.pricing.arithmetic import NANO_PER_USD
from service.principal import Principal


def meters_for(
    principal: Principal,
    model: str,
    route: str,
    settings: LimitSettings,
    *,
    tenant: Limits | None,
    user: Limits | None,
) -> tuple[Meter, ...]:
    """All meters of one request; empty where nothing is limited.

    model: the name that the client asked for. route: its path. tenant, user: what was said of exactly
    these two, laid over the settings' defaults; None: nothing. The principal's own limits are merged already.
    """
    meters: list[Meter] = []
    if principal.key_id:
        meters += _meters(Subject.KEY, principal.key_id, principal.limits)
    elif principal.address:
        meters += _meters(Subject.ADDRESS, principal.address, settings.anonymous)
    if principal.user:
        subject_id = user_subject(principal.tenant, principal.user)
        meters += _meters(Subject.USER, subject_id, merge(user or UNLIMITED, settings.user))
    if principal.tenant:
        meters += _meters(Subject.TENANT, principal.tenant, merge(tenant or UNLIMITED, settings.tenant))
    meters += _meters(Subject.MODEL, model, settings.models.get(model, UNLIMITED))
    meters += _meters(Subject.ROUTE, route, settings.routes.get(route, UNLIMITED))
    return tuple(meters)


def places_of(principal: Principal, model: str, route: str) -> tuple[str, ...]:
    """Everybody whose budgets one request may count against, whether they have any now or not."""
    places = [place_of(Subject.MODEL, model), place_of(Subject.ROUTE, route)]
    if principal.key_id:
        places.append(place_of(Subject.KEY, principal.key_id))
    elif principal.address:
        places.append(place_of(Subject.ADDRESS, principal.address))
    if principal.user:
        places.append(place_of(Subject.USER, user_subject(principal.tenant, principal.user)))
    if principal.tenant:
        places.append(place_of(Subject.TENANT, principal.tenant))
    return tuple(places)


def merge(own: Limits, default: Limits) -> Limits:
    """`own`, and `default`'s fields where it says nothing; budgets are one field, taken or left together.

    `burst` belongs to the rate that it is written with: a rate of its own never gets the default's burst.
    """
    if own == UNLIMITED:
        return default
    burst = default.burst if own.burst is None and own.requests_per_minute is None else own.burst
    return Limits(
        requests_per_minute=_first(own.requests_per_minute, default.requests_per_minute),
        burst=burst,
        tokens_per_minute=_first(own.tokens_per_minute, default.tokens_per_minute),
        concurrent_requests=_first(own.concurrent_requests, default.concurrent_requests),
        budgets=own.budgets or default.budgets,
    )


def user_subject(tenant: str, user: str) -> str:
    """The `subject_id` of a user: two tenants may each have one of the same name.

    `tenant/user`, where a `/` or `%` of the tenant's is percent-encoded, so that the first slash is
    the one between them. A user without a tenant begins with it.
    """
    return f"{tenant.replace('%', '%25').replace('/', '%2F')}/{user}"


def split_user_subject(subject_id: str) -> tuple[str, str]:
    """(tenant, user) of what `user_subject` made, as the ledger's two columns have them."""
    tenant, _, user = subject_id.partition("/")
    return tenant.replace("%2F", "/").replace("%25", "%"), user


def _first(own: int | None, default: int | None) -> int | None:
    return default if own is None else own


def _meters(subject: Subject, subject_id: str, limits: Limits) -> list[Meter]:
    if limits is UNLIMITED:
        return []
    name, meters = place_of(subject, subject_id), list[Meter]()
    if rate := limits.requests_per_minute:
        meters.append(_rate(name, Kind.REQUESTS, subject, subject_id, limits.burst or rate, rate))
    if rate := limits.tokens_per_minute:
        meters.append(_rate(name, Kind.TOKENS, subject, subject_id, rate, rate))
    if slots := limits.concurrent_requests:
        kind = Kind.CONCURRENCY
        meters.append(
            Meter(
                name=f"{name}concurrency", kind=kind, subject=subject, subject_id=subject_id, capacity=slots
            )
        )
    return meters + _budgets(name, subject, subject_id, limits.budgets) if limits.budgets else meters


def _rate(name: str, kind: Kind, subject: Subject, subject_id: str, capacity: int, per_minute: int) -> Meter:
    return Meter(
        name=name + kind.value,
        kind=kind,
        subject=subject,
        subject_id=subject_id,
        capacity=capacity,
        per_minute=per_minute,
    )


def _budgets(name: str, subject: Subject, subject_id: str, budgets: tuple[Budget, ...]) -> list[Meter]:
    """One meter for each kind and window: of two alike the smaller one holds, with its own alert."""
    found: dict[str, Meter] = {}
    for budget in budgets:
        for kind, capacity in _amounts(budget):
            key = f"{name}{kind.value}:{budget.per}"
            if key not in found or capacity < found[key].capacity:
                found[key] = Meter(
                    name=key,
                    kind=kind,
                    subject=subject,
                    subject_id=subject_id,
                    capacity=capacity,
                    per=budget.per,
                    alert_at=budget.alert_at,
                )
    return list(found.values())


def _amounts(budget: Budget) -> list[tuple[Kind, int]]:
    amounts: list[tuple[Kind, int]] = []
    if budget.usd is not None:
        amounts.append((Kind.USD, nano_usd(budget.usd)))
    if budget.tokens is not None:
        amounts.append((Kind.BUDGET_TOKENS, budget.tokens))
    return amounts


def nano_usd(usd: float) -> int:
    """Whole nano-dollars, rounded down. A float means the decimal number that it prints as."""
    return int(Decimal(str(usd)) * NANO_PER_USD)
