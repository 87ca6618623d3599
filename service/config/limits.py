"""What a caller may use: the values of a limit, as the file, the admin API and a key all write them."""

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta, Struct

Per = Literal["day", "week", "month", "total"]
"""A budget's window: UTC calendar days, weeks (from Monday) and months; `total` never renews."""

MAX_PER_MINUTE = 1_000_000_000_000
"""Far beyond any traffic; keeps the arithmetic of rates within exact integers."""

RequestsPerMinute = Annotated[int, Meta(ge=1, le=MAX_PER_MINUTE, description="Requests admitted a minute.")]
Burst = Annotated[
    int,
    Meta(ge=1, le=MAX_PER_MINUTE, description="Requests at once; not written: `requests_per_minute`."),
]
TokensPerMinute = Annotated[
    int, Meta(ge=1, le=MAX_PER_MINUTE, description="Tokens a minute, prompts and answers together.")
]
ConcurrentRequests = Annotated[int, Meta(ge=1, le=10_000_000, description="Requests running at one time.")]


class Budget(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Money or tokens for a window; exactly one of `usd` and `tokens`."""

    usd: Annotated[float, Meta(gt=0, le=1_000_000_000_000, description="US dollars.")] | None = None
    tokens: Annotated[int, Meta(ge=1, le=10**15, description="Tokens, in and out.")] | None = None
    per: Annotated[Per, Meta(description="UTC calendar day, week (from Monday), month; or never renewed.")]
    alert_at: Annotated[
        float, Meta(gt=0, le=1, description="The share of it at which an alert is raised, once a window.")
    ] = 0.8


class Limits(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Bounds of one subject; what is not written is not limited."""

    requests_per_minute: RequestsPerMinute | None = None
    burst: Burst | None = None
    tokens_per_minute: TokensPerMinute | None = None
    concurrent_requests: ConcurrentRequests | None = None
    budgets: Annotated[tuple[Budget, ...], Meta(max_length=16, description="Hard bounds.")] = ()


UNLIMITED = Limits()


def limit_mistakes(limits: Limits) -> Iterator[tuple[str, str, str]]:
    """What a type can't say of a limit's values: the key, what was found, what was expected."""
    if limits.burst is not None and limits.requests_per_minute is None:
        yield "burst", str(limits.burst), "requests_per_minute beside it"
    for position, budget in enumerate(limits.budgets):
        if (budget.usd is None) == (budget.tokens is None):
            found = "both usd and tokens" if budget.usd is not None else "neither usd nor tokens"
            yield f"budgets[{position}]", found, "exactly one of usd and tokens"
