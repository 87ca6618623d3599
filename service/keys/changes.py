"""What a client's words make of a key. Pure."""

from typing import Final, TypeVar

from msgspec import UNSET, UnsetType, structs

from service.config.limit_bodies import BudgetBody, distinct, limits_of, sound
from service.config.limits import Limits
from service.errors import InvalidRequest
from service.keys.bodies import ChangeKey, CreateKey, LimitsChange, unix_seconds
from service.keys.key import Key
from service.principal import USER_SCOPES

T = TypeVar("T")

MAX_METADATA: Final = 16
"""Pairs; a change could add to those that are there."""


def created(body: CreateKey, id: str, secret_hash: bytes) -> Key:
    """The key that `body` asks for. Raises InvalidRequest."""
    return Key(
        id=id,
        name=body.name,
        tenant=body.tenant or "",
        user=body.user or "",
        models=unique(body.models or ()),
        scopes=USER_SCOPES if body.scopes is None else frozenset(body.scopes),
        limits=limits_of(body.limits, body.budgets),
        metadata=body.metadata or {},
        secret_hash=secret_hash,
        expires_at=unix_seconds(body.expires_at),
    )


def changed(key: Key, body: ChangeKey) -> Key:
    """`key` with what `body` names. Raises InvalidRequest."""
    return structs.replace(
        key,
        name=_named(body.name, key.name),
        tenant=_named(body.tenant, key.tenant) or "",
        user=_named(body.user, key.user) or "",
        models=key.models if body.models is UNSET else unique(body.models or ()),
        scopes=key.scopes if body.scopes is UNSET else frozenset(body.scopes or USER_SCOPES),
        limits=changed_limits(key.limits, body.limits, body.budgets),
        metadata=_changed_metadata(key.metadata, body.metadata),
        expires_at=key.expires_at if body.expires_at is UNSET else unix_seconds(body.expires_at),
    )


def changed_limits(
    limits: Limits, change: LimitsChange | UnsetType | None, budgets: list[BudgetBody] | UnsetType | None
) -> Limits:
    """`limits` with what a change names; budgets are replaced as a whole. Raises InvalidRequest."""
    if change is None:
        limits = Limits(budgets=limits.budgets)
    elif change is not UNSET:
        named = {name: value for name, value in structs.asdict(change).items() if value is not UNSET}
        limits = structs.replace(limits, **named)
    if not isinstance(budgets, UnsetType):
        limits = structs.replace(limits, budgets=distinct(budgets or []))
    return sound(limits)


def unique(names: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Each name once, in the order in which they were written."""
    return tuple(dict.fromkeys(names))


def _named(value: T | UnsetType, before: T) -> T:
    return before if isinstance(value, UnsetType) else value


def _changed_metadata(
    metadata: dict[str, str], change: dict[str, str | None] | UnsetType | None
) -> dict[str, str]:
    if isinstance(change, UnsetType):
        return metadata
    if change is None:
        return {}
    merged = {name: value for name, value in {**metadata, **change}.items() if value is not None}
    if len(merged) > MAX_METADATA:
        raise InvalidRequest(f"metadata: at most {MAX_METADATA} members are kept.", param="metadata")
    return merged
