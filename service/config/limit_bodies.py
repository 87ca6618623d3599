"""Limits as the admin API takes and shows them: of keys, tenants and users alike. Pure.

Stricter than `service.config.limits`, whose values are also read from rows that a later version wrote:
a member that is not known is a mistake here.
"""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from service.config.limits import (
    Budget,
    Burst,
    ConcurrentRequests,
    Limits,
    Per,
    RequestsPerMinute,
    TokensPerMinute,
    limit_mistakes,
)
from service.errors import InvalidRequest

USUAL_ALERT = Budget(usd=1, per="total").alert_at


class BudgetBody(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A budget as a client writes it: exactly one of `usd` and `tokens`."""

    usd: Annotated[float, Meta(gt=0, le=1_000_000_000_000, description="US dollars.")] | None = None
    tokens: Annotated[int, Meta(ge=1, le=10**15, description="Tokens, in and out.")] | None = None
    per: Annotated[Per, Meta(description="UTC calendar day, week (from Monday), month; or never renewed.")]
    alert_at: Annotated[
        float, Meta(gt=0, le=1, description="The share of it at which an alert is raised.")
    ] = USUAL_ALERT

    def __post_init__(self) -> None:
        if (self.usd is None) == (self.tokens is None):
            raise ValueError("A budget has either `usd` or `tokens`")

    def to_budget(self) -> Budget:
        """The same, as limits hold it."""
        return Budget(usd=self.usd, tokens=self.tokens, per=self.per, alert_at=self.alert_at)


BudgetBodies = Annotated[list[BudgetBody], Meta(max_length=16, description="Hard bounds; all of them hold.")]


class LimitsBody(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Limits, budgets aside."""

    requests_per_minute: RequestsPerMinute | None = None
    burst: Burst | None = None
    tokens_per_minute: TokensPerMinute | None = None
    concurrent_requests: ConcurrentRequests | None = None


class BudgetView(Struct, kw_only=True, omit_defaults=True):
    """A budget as it was written: `alert_at` where it is not the usual one."""

    usd: float | None = None
    tokens: int | None = None
    per: Per
    alert_at: float | UnsetType = UNSET


def limits_of(limits: LimitsBody | None, budgets: list[BudgetBody] | None) -> Limits:
    """Both as one value; None is the same as nothing. Raises InvalidRequest."""
    plain = limits or LimitsBody()
    return sound(
        Limits(
            requests_per_minute=plain.requests_per_minute,
            burst=plain.burst,
            tokens_per_minute=plain.tokens_per_minute,
            concurrent_requests=plain.concurrent_requests,
            budgets=distinct(budgets or []),
        )
    )


def distinct(budgets: list[BudgetBody]) -> tuple[Budget, ...]:
    """Budgets that can be told apart. Raises InvalidRequest for two of one window and unit."""
    seen: set[tuple[str, bool]] = set()
    for index, budget in enumerate(budgets):
        kind = (budget.per, budget.usd is None)
        if kind in seen:
            place = f"budgets[{index}]"
            raise InvalidRequest(
                f"{place}: there is one for this unit and window already; set each once.", param=place
            )
        seen.add(kind)
    return tuple(budget.to_budget() for budget in budgets)


def sound(limits: Limits) -> Limits:
    """`limits`, whose values fit together. Raises InvalidRequest."""
    for name, found, wanted in limit_mistakes(limits):
        place = f"limits.{name}"
        raise InvalidRequest(f"{place}: found {found}, expected {wanted}.", param=place)
    return limits


def limits_view(limits: Limits) -> LimitsBody:
    """Limits as they are shown, without their budgets."""
    return LimitsBody(
        requests_per_minute=limits.requests_per_minute,
        burst=limits.burst,
        tokens_per_minute=limits.tokens_per_minute,
        concurrent_requests=limits.concurrent_requests,
    )


def budget_view(budget: Budget) -> BudgetView:
    """A budget as it is shown."""
    usual = budget.alert_at == USUAL_ALERT
    return BudgetView(
        usd=budget.usd, tokens=budget.tokens, per=budget.per, alert_at=UNSET if usual else budget.alert_at
    )
