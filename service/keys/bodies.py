"""What the admin API takes and shows for keys; the command line speaks the same. Pure.

Times are Unix seconds; ISO 8601 with a zone is understood too. In a change (RFC 7396, JSON Merge
Patch) what is not named stays, and null clears.
"""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from service.config.limit_bodies import BudgetBodies, BudgetView, LimitsBody, budget_view, limits_view
from service.config.limits import Burst, ConcurrentRequests, RequestsPerMinute, TokensPerMinute
from service.errors import InvalidRequest
from service.keys.key import Key, State
from service.principal import Scope

_PLAIN = r"\A[^\x00-\x1f\x7f-\x9f]*\Z"
"""No control character, those beyond ASCII included: a terminal that shows the name would obey them."""
YEAR_9999 = 253_402_300_799
"""The end of what dates can say; milliseconds, sent by mistake, lie beyond it."""

Name = Annotated[
    str, Meta(min_length=1, max_length=256, pattern=_PLAIN, description="For people; need not be unique.")
]
SubjectId = Annotated[str, Meta(min_length=1, max_length=256, pattern=_PLAIN)]
Models = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=256)]],
    Meta(min_length=1, max_length=1000, description="The models that it may ask for; left out or null: all."),
]
Scopes = Annotated[
    list[Scope],
    Meta(min_length=1, max_length=20, description="What it may use; left out or null: all but `admin`."),
]
# Two members, for msgspec takes no number and text in one `Annotated`.
UnixSeconds = Annotated[float, Meta(ge=0, le=YEAR_9999, description="Unix seconds; or ISO 8601 with a zone.")]
ZonedTime = Annotated[datetime, Meta(tz=True)]
MetadataName = Annotated[str, Meta(min_length=1, max_length=64)]
MetadataValue = Annotated[str, Meta(max_length=512)]
OverlapSeconds = Annotated[
    float, Meta(ge=0, le=2_592_000, description="How long the old secret opens too, at most 30 days.")
]


class LimitsChange(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A change of limits: what is not named stays, null clears."""

    requests_per_minute: RequestsPerMinute | UnsetType | None = UNSET
    burst: Burst | UnsetType | None = UNSET
    tokens_per_minute: TokensPerMinute | UnsetType | None = UNSET
    concurrent_requests: ConcurrentRequests | UnsetType | None = UNSET


class CreateKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to be made. null is the same as leaving out."""

    name: Name
    tenant: SubjectId | None = None
    user: SubjectId | None = None
    models: Models | None = None
    scopes: Scopes | None = None
    limits: LimitsBody | None = None
    budgets: BudgetBodies | None = None
    expires_at: UnixSeconds | ZonedTime | None = None
    metadata: Annotated[dict[MetadataName, MetadataValue], Meta(max_length=16)] | None = None


class ChangeKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of a key: what is not named stays, null clears."""

    name: Name | UnsetType = UNSET
    tenant: SubjectId | UnsetType | None = UNSET
    user: SubjectId | UnsetType | None = UNSET
    models: Models | UnsetType | None = UNSET
    scopes: Scopes | UnsetType | None = UNSET
    limits: LimitsChange | UnsetType | None = UNSET
    budgets: BudgetBodies | UnsetType | None = UNSET
    expires_at: UnixSeconds | ZonedTime | UnsetType | None = UNSET
    metadata: Annotated[dict[MetadataName, MetadataValue | None], Meta(max_length=32)] | UnsetType | None = (
        UNSET
    )


class RotateKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a key gets its new secret."""

    overlap_seconds: OverlapSeconds = 0.0


class KeyView(Struct, kw_only=True):
    """A key as the API shows it, without its secret.

    models: null: all. previous_expires_at: until when the secret before the last rotation opens too.
    """

    id: str
    object: str = "key"
    name: str
    state: State
    tenant: str | None
    user: str | None
    models: list[str] | None
    scopes: list[Scope]
    limits: LimitsBody
    budgets: list[BudgetView]
    expires_at: int | float | None
    metadata: dict[str, str]
    created_at: int
    revoked_at: int | None
    previous_expires_at: int | float | None


class NewKeyView(KeyView, kw_only=True):
    """The same with `key`, the only time that it is shown."""

    key: str


class KeyPage(Struct, kw_only=True):
    """Keys, the newest first. next_cursor: the `after` of the next page; null at the end."""

    object: str = "list"
    data: list[KeyView]
    has_more: bool
    next_cursor: str | None


def view(key: Key, now: float) -> KeyView:
    """`key` as it is shown at `now`."""
    limits = key.limits
    overlaps = key.previous_until is not None and now < key.previous_until
    return KeyView(
        id=key.id,
        name=key.name,
        state=key.state(now),
        tenant=key.tenant or None,
        user=key.user or None,
        models=list(key.models) or None,
        scopes=[scope for scope in Scope if scope in key.scopes],
        limits=limits_view(limits),
        budgets=[budget_view(budget) for budget in limits.budgets],
        expires_at=_seconds(key.expires_at),
        metadata=key.metadata,
        created_at=int(key.created_at),
        revoked_at=None if key.revoked_at is None else int(key.revoked_at),
        previous_expires_at=_seconds(key.previous_until) if overlaps else None,
    )


def new_view(key: Key, now: float, text: str) -> NewKeyView:
    """`key` with its secret."""
    shown = view(key, now)
    return NewKeyView(**msgspec.structs.asdict(shown), key=text)


def unix_seconds(moment: float | datetime | None) -> float | None:
    """A moment as a client wrote it. Raises InvalidRequest for a date that UnixSeconds can't say."""
    if not isinstance(moment, datetime):
        return moment
    seconds = moment.timestamp()
    if not 0 <= seconds <= YEAR_9999:
        raise InvalidRequest("expires_at: from 1970 to the end of the year 9999.", param="expires_at")
    return seconds


def _seconds(moment: float | None) -> int | float | None:
    """Whole seconds as the integer that they are."""
    return int(moment) if moment is not None and moment.is_integer() else moment
