"""Opens an account for each call: what it may cost is reserved, or it is refused, before a provider is reached.

Knows no I/O: limits and ledger are ports, and both answer at once but for `reserve`.
"""

import asyncio
from collections.abc import Callable, Mapping

from service import ids
from service.chat import routing
from service.chat.account import Account, Ledger, Reach
from service.chat.call import Call
from service.chat.routing import Alias
from service.clock import Clock
from service.errors import PermissionDenied, StoreUnavailable
from service.limits import bound
from service.limits.service import LimitService, Plan
from service.principal import Principal, Scope
from service.providers.base import Dialect

SETTLE_MARGIN_SECONDS = 60.0
"""Beyond a request's own total time, until a reservation that nobody settled is given back."""

PROGRESS_SECONDS = 1.0
"""How old a stream's last note in the journal may be when the process is killed."""


class Accounts:
    """Opens an account for each call. One per worker, made inside its loop."""

    def __init__(
        self,
        *,
        limits: LimitService,
        ledger: Ledger,
        clock: Clock,
        aliases: Mapping[str, Alias],
        dialect_of: Callable[[str], Dialect],
    ) -> None:
        """dialect_of: by a provider's name."""
        self._limits = limits
        self._ledger = ledger
        self._clock = clock
        self._aliases = aliases
        self._dialect_of = dialect_of
        self._reaches: dict[str, tuple[Alias, Reach]] = {}
        self._streams: set[Account] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def open(self, call: Call, alias: Alias) -> Account:
        """Reserve what `call` may use at most.

        Raises PermissionDenied, LimitExceeded, BudgetExceeded, StoreUnavailable; nothing is held then.
        """
        permit(call.principal, call.surface.scope, call.model)
        if self._ledger.full:
            raise StoreUnavailable(
                "What requests cost can't be written down at the moment, so none is begun; ask again shortly.",
                retry_after_seconds=5,
            )
        started_at = self._clock.now()
        account = Account(self._limits, self._ledger, self._clock, call, started_at, ids.new_id("use"))
        plan = account.plan = self._limits.plan(call.principal, alias.name, call.route)
        if plan.meters:
            await self._reserve(account, plan, alias)
        if call.stream:
            self._watch(account)
        return account

    def close(self, account: Account) -> None:
        """The call is over, in whatever way. Never raises; a second time does nothing."""
        self._streams.discard(account)
        account.close()

    async def _reserve(self, account: Account, plan: Plan, alias: Alias) -> None:
        reach = self._reach(alias)
        if plan.has_usd and reach.rates is None:
            raise PermissionDenied(
                f"The price of {account.call.model!r} is not known, so a budget of money can't hold for it;"
                " set models.price in the configuration, or use another model.",
                param="model",
            )
        need = account.need(plan, reach)
        account.reservation, headers = await self._limits.reserve(
            plan,
            need,
            id=account.id,
            started_at=account.started_at,
            lasts_seconds=reach.lasts_seconds + SETTLE_MARGIN_SECONDS,
        )
        account.call.extra_headers.extend(headers)

    def _reach(self, alias: Alias) -> Reach:
        known = self._reaches.get(alias.name)
        if known is None or known[0] is not alias:
            if len(self._reaches) > 1000:
                self._reaches.clear()
            known = self._reaches[alias.name] = (alias, self._make_reach(alias))
        return known[1]

    def _make_reach(self, alias: Alias) -> Reach:
        targets = routing.plan(alias, self._aliases, 0.0)
        rates = tuple(target.rates for target in targets if target.rates is not None)
        dialects = {self._dialect_of(target.provider) for target in targets}
        return Reach(
            rates=rates if len(rates) == len(targets) else None,
            output_rate=max((each.output for each in rates), default=0) if len(rates) == len(targets) else 0,
            image_tokens=max(bound.IMAGE_TOKENS[dialect] for dialect in dialects),
            file_tokens=max(bound.FILE_TOKENS[dialect] for dialect in dialects),
            max_output_tokens=max(target.max_output_tokens for target in targets),
            lasts_seconds=max(target.timeouts.total_seconds for target in targets),
            keeps_for_an_hour=Dialect.ANTHROPIC in dialects,
        )

    def _watch(self, account: Account) -> None:
        self._streams.add(account)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PROGRESS_SECONDS, self._note_progress)

    def _note_progress(self) -> None:
        self._timer = None
        for account in self._streams:
            account.note_progress()
        if self._streams:
            self._timer = asyncio.get_running_loop().call_later(PROGRESS_SECONDS, self._note_progress)

    def stop(self) -> None:
        """No more notes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def permit(principal: Principal, scope: Scope, model: str) -> None:
    """Let a caller ask for a model that exists, or raise PermissionDenied."""
    if scope not in principal.scopes:
        raise PermissionDenied(f"This needs the scope {scope.value!r}, which this key does not have.")
    if not principal.may_use_model(model):
        detail = f"This key may not use the model {model[:200]!r}; GET /v1/models lists those it may."
        raise PermissionDenied(detail, param="model")
