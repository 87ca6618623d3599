"""Callers with limits, and what their calls have cost once they are over."""

from typing import Any

from service.chat.call import Call
from service.config.limits import Budget, Limits
from service.errors import GatewayError
from service.limits.base import Kind
from service.principal import USER_SCOPES, Principal
from service.usage.row import LedgerRow
from tests.fakes.chat import Kitchen, order
from tests.fakes.relay import chunk
from tests.fakes.viewer import MemoryViewer

INPUT_BOUND = 5 + 8
"""Of `Hello`, and the marks of its message."""

INPUT_ESTIMATE = 2 + 4

LONG = chunk("x" * 400)
"""One event that is a hundred tokens by the ledger's rule, and fifty at least."""


def tokens(amount: int) -> Budget:
    """A budget that never renews."""
    return Budget(tokens=amount, per="total")


def holder(*budgets: Budget, **limits: int) -> Principal:
    """Whoever holds a key with these limits."""
    return Principal(key_id="k", scopes=USER_SCOPES, limits=Limits(budgets=budgets, **limits))


RICH = holder(tokens(10**9), Budget(usd=1000, per="day"), tokens_per_minute=10**9, concurrent_requests=5)
"""Has limits of all kinds, and reaches none."""


def asked(principal: Principal, members: dict[str, Any], *, stream: bool = False) -> Call:
    """`Hello`, with these members of its body."""
    return order(principal=principal, stream=stream, **members)


async def answered(made: Kitchen, call: Call) -> GatewayError | None:
    """The call to its end, and what it ended with."""
    try:
        if call.stream:
            await made.service.stream(call, MemoryViewer())
        else:
            await made.service.answer(call)
    except GatewayError as error:
        return error
    return None


async def spent(made: Kitchen, principal: Principal) -> int:
    """What the key's budget of tokens has lost, now that nothing is held any more."""
    assert made.limits.running == 0
    meters = made.service._accounts._limits.meters(principal, "fast", "/v1/chat/completions")
    levels = await made.limits.levels(meters, now=made.clock.now())
    [level] = [each for each in levels if each.meter.kind is Kind.BUDGET_TOKENS]
    return level.meter.capacity - level.remaining


def only(made: Kitchen) -> LedgerRow:
    """The one row, begun once and ended once."""
    [row] = made.ledger.rows
    assert [started.id for started in made.ledger.begun] == [row.id]
    return row
