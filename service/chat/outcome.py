"""How a call ended, noted for the log line, the metrics and the ledger to come."""

from service import problems
from service.chat.routing import Target
from service.errors import (
    BudgetExceeded,
    GatewayError,
    ProviderTimedOut,
    ServerShutdown,
    StreamAbandoned,
    StreamCancelled,
)
from service.pricing.arithmetic import Usage, cost_nano_usd, usd
from service.providers.base import Fault, FaultKind
from service.telemetry.facts import Facts


def note_end(facts: Facts, error: GatewayError | None = None, fault: Fault | None = None) -> None:
    """The answer is over: complete, or broken off by `error`, which `fault` made."""
    if error is None:
        facts.outcome = "complete"
        return
    note_error(facts, error)
    if fault is not None:
        note_fault(facts, fault)
        if fault.kind is FaultKind.CUT:
            facts.outcome = "upstream_truncated"


def note_fault(facts: Facts, fault: Fault) -> None:
    """An attempt failed. A provider's own words may quote the prompt, so they stay out of the log."""
    facts.faults += (fault.reason,)
    facts.detail = fault.detail if fault.status is None else ""


def note_error(facts: Facts, error: GatewayError) -> None:
    """The call failed with `error`; its cause may be the fault that made it."""
    facts.problem = problems.code_of(error)
    if isinstance(error.__cause__, Fault) and error.__cause__.kind is FaultKind.CUT:
        facts.outcome = "upstream_truncated"
    elif isinstance(error, ProviderTimedOut):
        facts.outcome = "timeout"
    elif isinstance(error, ServerShutdown):
        facts.outcome = "server_shutdown"
    elif isinstance(error, StreamAbandoned):
        facts.outcome = "client_abort"
    elif isinstance(error, StreamCancelled):
        facts.outcome = "cancelled"
    elif isinstance(error, BudgetExceeded) and facts.attempts:
        facts.outcome = "budget_cut"
    else:
        facts.outcome = "upstream_error" if facts.attempts else "refused"


def note_usage(facts: Facts, usage: Usage | None, target: Target) -> None:
    """Tokens as the provider reported them, and what they cost where the price is known."""
    facts.usage = usage
    if usage is not None and target.rates is not None:
        facts.cost_nano_usd = cost_nano_usd(target.rates, usage)


def cost_usd(usage: Usage | None, target: Target) -> float | None:
    """What `usage` costs at `target`, for display; None where tokens or price are not known."""
    if usage is None or target.rates is None:
        return None
    return usd(cost_nano_usd(target.rates, usage))
