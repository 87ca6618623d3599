"""One request's row in the ledger, from its start to its end. Pure."""

from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    """How a request that reached a provider ended."""

    COMPLETE = "complete"
    CLIENT_ABORT = "client_abort"
    UPSTREAM_ERROR = "upstream_error"
    UPSTREAM_TRUNCATED = "upstream_truncated"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    BUDGET_CUT = "budget_cut"
    GATEWAY_CRASH = "gateway_crash"


class Started(msgspec.Struct, frozen=True, gc=False, kw_only=True, array_like=True):
    """What is known when a request goes to a provider: enough for its row should the gateway die.

    id: ours, unique; what exactly-once goes by. address: an anonymous caller's, else "".
    estimated_input_tokens: for the row of a crash. rates: pico-dollars per token (input, cached
    input, cache write, output) of the target first asked; None: the price is not known.
    """

    id: str
    request_id: str
    key_id: str
    tenant: str
    user: str
    address: str
    route: str
    model: str
    target: str
    started_at: float
    estimated_input_tokens: int
    rates: tuple[int, int, int, int] | None
    price_version: str


class LedgerRow(msgspec.Struct, frozen=True, gc=False, kw_only=True, array_like=True):
    """A finished request.

    Instants are Unix seconds. input_tokens includes the cached and the cache-written ones,
    output_tokens the reasoning ones. cost_nano_usd: None where the price is not known.
    """

    id: str
    request_id: str
    key_id: str
    tenant: str
    user: str
    address: str
    route: str
    model: str
    target: str
    attempts: int
    outcome: Outcome
    estimated: bool
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_nano_usd: int | None
    price_version: str
    started_at: float
    finished_at: float
    first_token_ms: float | None
    duration_ms: float
