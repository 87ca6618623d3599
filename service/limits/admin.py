"""The limits of single tenants and users, for administrators. Knows nothing of HTTP, and of the store only what it needs.

What is set here lies over the defaults of the configuration (`limits.tenant`, `limits.user`), which still
say whatever it leaves out.
"""

from typing import Annotated, Final, Literal, Protocol

from msgspec import UNSET, Meta, Struct, UnsetType

from service.config.limit_bodies import (
    BudgetBodies,
    BudgetView,
    LimitsBody,
    budget_view,
    limits_of,
    limits_view,
)
from service.config.limits import UNLIMITED, Limits
from service.errors import InvalidRequest, ObjectNotFound
from service.limits.base import Subject
from service.limits.names import MAX_NAME_CHARACTERS, Place
from service.limits.overrides import SubjectLimits
from service.limits.policy import split_user_subject
from service.paging import DEFAULT_PAGE, within_page

_MAX_CURSOR_CHARACTERS: Final = len("%2F") * MAX_NAME_CHARACTERS + 1 + MAX_NAME_CHARACTERS


class PutLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All limits of a tenant or user, in place of those before; null is the same as leaving out."""

    limits: LimitsBody | None = None
    budgets: BudgetBodies | None = None


class SubjectView(Struct, kw_only=True):
    """A tenant or a user as the API shows it. tenant: a user's own; null where it has none."""

    object: Annotated[Literal["tenant", "user"], Meta(description="Which of both it is.")]
    user: str | UnsetType = UNSET
    tenant: str | None
    limits: LimitsBody
    budgets: list[BudgetView]
    updated_at: int


class SubjectPage(Struct, kw_only=True):
    """Tenants or users that have limits, by name. next_cursor: the `after` of the next page; null at the end."""

    object: str = "list"
    data: list[SubjectView]
    has_more: bool
    next_cursor: str | None


class SubjectStore(Protocol):
    """Where they are kept for good. Every method raises StoreUnavailable."""

    async def put(self, subject: Subject, subject_id: str, limits: Limits) -> SubjectLimits | None:
        """Set in place of what was there; None, and nothing is set, where it has too many."""

    async def find(self, subject: Subject, subject_id: str) -> SubjectLimits | None:
        """What is set; None where nothing is."""

    async def page(self, subject: Subject, *, after: str | None, limit: int) -> list[SubjectLimits]:
        """Those that have limits, ordered by id, at most `limit`; those behind `after`, if it is given."""

    async def delete(self, subject: Subject, subject_id: str) -> SubjectLimits | None:
        """Take away what is set, and tell of it; None where nothing is."""


class Noted(Protocol):
    """What this process knows of them (`service.limits.overrides`)."""

    def note(self, row: SubjectLimits) -> None:
        """Limits were set or deleted in this process: they hold from now on."""


class LimitAdmin:
    """The rules. One per worker."""

    def __init__(self, store: SubjectStore, overrides: Noted) -> None:
        self._store = store
        self._overrides = overrides

    async def put(self, place: Place, body: PutLimits) -> SubjectView:
        """Set limits in place of those before. Raises InvalidRequest, StoreUnavailable."""
        row = await self._store.put(*place, limits_of(body.limits, body.budgets))
        if row is None:
            raise InvalidRequest(
                f"Too many {place.subject.value}s have limits of their own; delete some, or set defaults in the"
                f" configuration (limits.{place.subject.value})."
            )
        self._overrides.note(row)
        return view(row)

    async def get(self, place: Place) -> SubjectView:
        """What is set. Raises ObjectNotFound where nothing is, StoreUnavailable."""
        row = await self._store.find(*place)
        if row is None:
            kind = place.subject.value
            raise ObjectNotFound(f"This {kind} has no limits of its own; GET /admin/{kind}s lists who has.")
        return view(row)

    async def list(
        self, subject: Subject, *, after: str | None = None, limit: int = DEFAULT_PAGE
    ) -> SubjectPage:
        """Those that have limits, by name. after: the cursor of the page before; more than MAX_PAGE are not given.

        Raises InvalidRequest, StoreUnavailable.
        """
        limit = within_page(limit)
        if after is not None and (len(after) > _MAX_CURSOR_CHARACTERS or "\x00" in after):
            raise InvalidRequest("after: send the next_cursor of the page before.", param="after")
        found = await self._store.page(subject, after=after, limit=limit + 1)
        shown, more = found[:limit], len(found) > limit
        cursor = shown[-1].subject_id if more else None
        return SubjectPage(data=[view(row) for row in shown], has_more=more, next_cursor=cursor)

    async def delete(self, place: Place) -> None:
        """Take away what is set, if anything is. Raises StoreUnavailable."""
        row = await self._store.delete(*place)
        if row is not None:
            self._overrides.note(row)


def view(row: SubjectLimits) -> SubjectView:
    """`row` as it is shown."""
    user: str | UnsetType = UNSET
    tenant = row.subject_id
    if row.subject is Subject.USER:
        tenant, user = split_user_subject(row.subject_id)
    limits = row.limits or UNLIMITED
    return SubjectView(
        object="tenant" if user is UNSET else "user",
        user=user,
        tenant=tenant or None,
        limits=limits_view(limits),
        budgets=[budget_view(budget) for budget in limits.budgets],
        updated_at=int(row.changed_at),
    )
