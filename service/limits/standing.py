"""Where the meters of one subject stand, for administrators, in the units of the API: money in US dollars.

Knows nothing of HTTP, and of stores only their ports.
"""

from collections.abc import Callable, Coroutine, Mapping
from decimal import Decimal
from typing import Annotated, Final, Literal, Protocol

from msgspec import Meta, Struct

from service.config.limits import Per
from service.errors import InvalidRequest, ObjectNotFound
from service.limits.base import Kind, Level, LimitStore, Subject
from service.limits.headers import policy_name
from service.limits.names import checked
from service.limits.policy import split_user_subject
from service.limits.service import Plan
from service.principal import Principal

SUBJECTS: Final = tuple(subject.value for subject in Subject)
"""The parameters that name one."""

MAX_ID_CHARACTERS: Final = 1024
"""Of keys, models, routes and addresses."""

PrincipalOf = Callable[[str], Coroutine[None, None, Principal | None]]
"""Whom a key stands for, by its id, with its limits merged with the defaults; None: there is no such key."""


class MeterView(Struct, kw_only=True):
    """One meter: a limit, and what is left of it."""

    name: Annotated[str, Meta(description="As `RateLimit-Policy` has it: `key-usd-day`.")]
    subject: Literal["key", "user", "tenant", "model", "route", "address"]
    subject_id: str
    tenant: Annotated[str | None, Meta(description="A user's own; null where it has none.")]
    kind: Literal["requests", "tokens", "concurrency", "usd", "budget_tokens"]
    per: Annotated[Per | None, Meta(description="A budget's window; null for all else.")]
    per_minute: Annotated[int | None, Meta(description="How fast a rate comes back; null for all else.")]
    capacity: Annotated[int | float, Meta(description="The limit; for a rate, what it admits at once.")]
    used: Annotated[int | float, Meta(description="What is gone, and what running requests hold.")]
    remaining: int | float
    reset_seconds: Annotated[
        float | None,
        Meta(description="Until all of it is back; null where that isn't known, or it never renews."),
    ]


class MeterList(Struct, kw_only=True):
    """All meters of one subject; none where nothing limits it."""

    object: str = "list"
    data: list[MeterView]


class Plans(Protocol):
    """Who has which meters (`service.limits.service`)."""

    def plan(self, principal: Principal, model: str, route: str) -> Plan:
        """The meters of the caller's requests for one model by one route. Raises StoreUnavailable."""


class Standing:
    """Looks meters up. One per worker. now: Unix seconds."""

    def __init__(
        self, *, plans: Plans, store: LimitStore, principal_of: PrincipalOf, now: Callable[[], float]
    ) -> None:
        self._plans = plans
        self._store = store
        self._principal_of = principal_of
        self._now = now

    async def of(self, asked: Mapping[str, str]) -> MeterList:
        """The meters of the one subject that `asked` names, such as `{"user": "ann", "tenant": "acme"}`.

        Raises InvalidRequest, ObjectNotFound for an unknown key, StoreUnavailable.
        """
        subject = _subject(asked)
        given = {name: _checked(asked[name], name) for name in SUBJECTS if name in asked}
        principal = await self._principal(subject, given)
        plan = self._plans.plan(principal, given.get("model", ""), given.get("route", ""))
        meters = tuple(meter for meter in plan.meters if meter.subject is subject)
        levels = await self._store.levels(meters, now=self._now()) if meters else ()
        return MeterList(data=[view(level) for level in levels])

    async def _principal(self, subject: Subject, given: Mapping[str, str]) -> Principal:
        """Somebody whose requests have the meters of `subject`, among others."""
        if subject is not Subject.KEY:
            tenant, user, address = (given.get(name, "") for name in ("tenant", "user", "address"))
            return Principal(tenant=tenant, user=user, address=address)
        found = await self._principal_of(given["key"])
        if found is None:
            raise ObjectNotFound("There is no key of this id; GET /admin/keys lists them.")
        return found


def view(level: Level) -> MeterView:
    """A level in the units of the API."""
    meter = level.meter
    tenant, name = "", meter.subject_id
    if meter.subject is Subject.USER:
        tenant, name = split_user_subject(meter.subject_id)
    remaining = min(level.remaining, meter.capacity)
    return MeterView(
        name=policy_name(meter.subject, meter.kind, meter.per),
        subject=meter.subject.value,
        subject_id=name,
        tenant=tenant or None,
        kind=meter.kind.value,
        per=meter.per,
        per_minute=meter.per_minute or None,
        capacity=_amount(meter.kind, meter.capacity),
        used=_amount(meter.kind, meter.capacity - remaining),
        remaining=_amount(meter.kind, remaining),
        reset_seconds=None if level.reset_seconds is None else round(level.reset_seconds, 3),
    )


def _amount(kind: Kind, amount: int) -> int | float:
    return float(Decimal(amount).scaleb(-9)) if kind is Kind.USD else amount


def _subject(asked: Mapping[str, str]) -> Subject:
    """The one that is named; a tenant beside a user is the user's."""
    named = {name for name in SUBJECTS if name in asked}
    if named == {"user", "tenant"}:
        return Subject.USER
    if len(named) != 1:
        raise InvalidRequest(
            f"Name one of {', '.join(SUBJECTS)}, whose limits are meant; `tenant` may stand beside `user`.",
            param=min(named, default=None),
        )
    return Subject(named.pop())


def _checked(name: str, param: str) -> str:
    names = param in (Subject.TENANT.value, Subject.USER.value)
    return checked(name, param) if names else checked(name, param, MAX_ID_CHARACTERS)
