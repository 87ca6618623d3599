"""What is asked of the ledger, and what it answers: values only. Pure."""

from enum import StrEnum

import msgspec

from service.usage.row import LedgerRow, Outcome


class GroupBy(StrEnum):
    """What a summary has a line for each of."""

    DAY = "day"
    MODEL = "model"
    KEY = "key"


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows: those that fit all that is not None. since <= started_at < until, in Unix seconds."""

    since: float | None = None
    until: float | None = None
    key_id: str | None = None
    tenant: str | None = None
    user: str | None = None
    model: str | None = None
    request_id: str | None = None
    outcome: Outcome | None = None


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """What rows add up to. cost_nano_usd: of those whose price is known. outcomes: none that is zero."""

    requests: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    cost_nano_usd: int = 0
    outcomes: dict[Outcome, int] = {}


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a summary. name: a day (`2026-01-31`, UTC), a model or a key's id."""

    name: str
    sums: Sums


class Position(msgspec.Struct, frozen=True, array_like=True):
    """A row's place in the ledger, which is sorted by these."""

    started_at: float
    id: str

    @classmethod
    def of(cls, row: LedgerRow) -> "Position":
        """The place of `row`."""
        return cls(row.started_at, row.id)


class NewCost(msgspec.Struct, frozen=True):
    """What a row costs by other prices."""

    id: str
    cost_nano_usd: int | None
    price_version: str
