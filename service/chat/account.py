"""One call's account: what was reserved for it, and at its end, whatever that is, one row and one settling.

`begin` writes down that a provider is about to be asked; `close` makes the row of the ledger and gives
back what was reserved and not used.
"""

from time import monotonic
from typing import Protocol

import msgspec

from service.chat.call import Call
from service.chat.metering import (
    echoed_bytes,
    estimated_usage,
    ledger_outcome,
    may_have_worked,
    measured_output,
    rough_input_tokens,
    surely_within,
)
from service.chat.routing import Target
from service.clock import Clock
from service.errors import BudgetExceeded
from service.limits import bound
from service.limits.base import Need, Reservation, Used
from service.limits.service import UNMETERED, LimitService, Plan
from service.pricing.arithmetic import Rates, cost_nano_usd
from service.providers.base import Fault, Operation, Reader
from service.providers.whole import WholeSink
from service.usage.row import LedgerRow, Outcome, Started

EXTENSIONS = (256, 32, 1)
"""By how many output tokens a stream that passed its bound is extended, as far as its budget has them."""

# Names of the module's own: reading a member of an enumeration's class takes 130 ns with Python 3.11.
_COUNT_TOKENS, _UPSTREAM_ERROR = Operation.COUNT_TOKENS, Outcome.UPSTREAM_ERROR


class Ledger(Protocol):
    """Where rows go (`service.usage.ledger`); no method waits or fails."""

    @property
    def full(self) -> bool:
        """Whether nothing more can be written down, so that nothing more may be begun."""

    def begin(self, started: Started) -> None:
        """A provider is about to be asked."""

    def progress(self, id: str, output_tokens: int) -> None:
        """What a running stream has brought so far."""

    def end(self, row: LedgerRow) -> None:
        """It is over."""


class Reach(msgspec.Struct, frozen=True, gc=False):
    """All targets that may answer for an alias, as far as a bound needs them.

    rates: None, one has no price. output_rate: the dearest, in pico-dollars a token. keeps_for_an_hour: one
    has a cache that does where it is asked to, for a price of its own.
    """

    rates: tuple[Rates, ...] | None
    output_rate: int
    image_tokens: int
    file_tokens: int
    max_output_tokens: int
    lasts_seconds: float
    keeps_for_an_hour: bool


class Account(msgspec.Struct, eq=False, weakref=True):
    """One call's. call: with the maximum that a budget asks for, if one does.

    reader: meters the running stream, once there is one. answer_bytes: how large what a whole answer
    says was, once that is known; until then, all that came counts.
    """

    _limits: LimitService
    _ledger: Ledger
    _clock: Clock
    call: Call
    started_at: float
    id: str
    answer_bytes: int | None = None
    has_budget: bool = False
    plan: Plan = UNMETERED
    reader: Reader | None = None
    reservation: Reservation | None = None
    _begun: bool = False
    _closed: bool = False
    _echoed: int = 0
    _noted: int = 0
    _output_bound: int = 0
    _output_rate: int = 0
    _sink: WholeSink | None = None
    _target: Target | None = None
    _worked: bool | None = None

    def need(self, plan: Plan, reach: Reach) -> Need:
        """What the call may use; where a budget counts, the maximum it names is made sure of."""
        request = self.call.request
        if self.call.surface.operation is _COUNT_TOKENS:
            # Providers count for nothing.
            return Need()
        size = bound.prompt_size(request, self.call.members)
        output = bound.max_output(request, reach.max_output_tokens)
        if not plan.has_budget:
            return Need(tokens=bound.estimated_input_tokens(size) + output)
        input_tokens = bound.input_bound(size, reach.image_tokens, reach.file_tokens)
        if not bound.names_maximum(request):
            self.call = msgspec.structs.replace(self.call, maximum=reach.max_output_tokens)
        for_an_hour = reach.keeps_for_an_hour and bound.writes_for_an_hour(self.call.members)
        self.has_budget = True
        # At least as many events come of it as it has tokens, which are no more than its bytes.
        self._echoed = echoed_bytes(request)
        self._output_bound = output + self._echoed
        self._output_rate = reach.output_rate
        return Need(
            tokens=bound.estimated_input_tokens(size) + output,
            nano_usd=bound.cost_bound_nano_usd(
                reach.rates or (), input_tokens, output, for_an_hour=for_an_hour
            ),
            budget_tokens=input_tokens + output,
        )

    def begin(self, target: Target) -> None:
        """`target` is about to be asked; the first one makes the journal's entry."""
        self._target = target
        self._sink = self.answer_bytes = self.reader = self._worked = None
        if self._begun:
            return
        self._begun = True
        call, principal, rates = self.call, self.call.principal, target.rates
        self._ledger.begin(
            Started(
                id=self.id,
                request_id=call.facts.request_id,
                key_id=principal.key_id,
                tenant=principal.tenant,
                user=principal.user,
                address=principal.address,
                route=call.route,
                model=call.facts.model,
                target=target.name,
                started_at=self.started_at,
                estimated_input_tokens=rough_input_tokens(call.members),
                rates=None
                if rates is None
                else (rates.input, rates.cached_input, rates.cache_write, rates.output),
                price_version=target.price_version,
            )
        )

    def gather(self, sink: WholeSink) -> WholeSink:
        """`sink`, remembered: what came of an answer that broke off was used, too."""
        self._sink = sink
        return sink

    def failed(self, fault: Fault) -> None:
        """The attempt is over."""
        self._worked = may_have_worked(fault)

    def keeps_within(self, reader: Reader) -> BudgetExceeded | None:
        """None while the stream's output has been reserved, or more could be; else why it must end."""
        # Asked after every read of a stream: nearly always its events and bytes alone tell.
        if surely_within(reader, self._output_bound):
            return None
        output = measured_output(reader)
        while output > self._output_bound:
            if not self._extend():
                return BudgetExceeded("The budget was used up in the middle of this answer.")
        return None

    def note_progress(self) -> None:
        """Leave in the journal how far a stream has come."""
        if self._begun and self.reader is not None and (output := measured_output(self.reader)) > self._noted:
            self._noted = output
            self._ledger.progress(self.id, output)

    def close(self) -> None:
        """Write the row down and settle."""
        if self._closed:
            return
        self._closed = True
        finished_at = self._clock.now()
        tokens = nano_usd = 0
        try:
            if self._begun:
                row = self._row(finished_at)
                tokens, nano_usd = row.input_tokens + row.output_tokens, row.cost_nano_usd or 0
                self._ledger.end(row)
        finally:
            used = Used(tokens=tokens, nano_usd=nano_usd, finished_at=finished_at)
            self._limits.settle(self.plan, self.reservation, used, started_at=self.started_at)

    def _extend(self) -> bool:
        if self.reservation is None:
            return False
        for tokens in EXTENSIONS:
            nano_usd = -(-tokens * self._output_rate // 1000)
            if self._limits.extend(self.reservation, nano_usd=nano_usd, tokens=tokens):
                self._output_bound += tokens
                return True
        return False

    def _answer_bytes(self) -> int:
        if self.answer_bytes is not None:
            return self.answer_bytes
        sink = self._sink
        return sink.size if sink is not None and 200 <= sink.status < 300 else 0

    def _row(self, finished_at: float) -> LedgerRow:
        call, target = self.call, self._target
        assert target is not None
        facts, principal = call.facts, call.principal
        outcome = ledger_outcome(facts)
        usage, estimated = estimated_usage(
            facts.usage,
            call=call,
            reader=self.reader,
            answer_bytes=self._answer_bytes(),
            worked=outcome is not _UPSTREAM_ERROR if self._worked is None else self._worked,
            at_most=self._output_bound - self._echoed if self.has_budget else None,
        )
        cost = None if target.rates is None else cost_nano_usd(target.rates, usage)
        if estimated:
            facts.usage, facts.cost_nano_usd = usage, cost
        first_at = facts.first_event_at
        return LedgerRow(
            id=self.id,
            request_id=facts.request_id,
            key_id=principal.key_id,
            tenant=principal.tenant,
            user=principal.user,
            address=principal.address,
            route=call.route,
            model=facts.model,
            target=target.name,
            attempts=facts.attempts,
            outcome=outcome,
            estimated=estimated,
            input_tokens=usage.input_tokens,
            cached_input_tokens=usage.cached_input_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            output_tokens=usage.output_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            cost_nano_usd=cost,
            price_version=target.price_version,
            started_at=self.started_at,
            finished_at=finished_at,
            first_token_ms=None if first_at is None else round((first_at - facts.started_at) * 1000, 2),
            duration_ms=round((monotonic() - facts.started_at) * 1000, 2),
        )
