"""What a dead worker's journal says: rows of requests that ended, and of those that its death ended. Pure."""

from collections.abc import Iterable

from service.pricing.arithmetic import Rates, Usage, cost_nano_usd
from service.usage.entries import Entry, Progress
from service.usage.row import LedgerRow, Outcome, Started


class Recovery:
    """Reads entries in their order, any number at a time; holds only the requests that are open."""

    def __init__(self) -> None:
        self._open: dict[str, Started] = {}
        self._output_tokens: dict[str, int] = {}
        self._last_at = 0.0

    def read(self, entries: Iterable[Entry]) -> list[LedgerRow]:
        """The rows of those that ended, as they were written. A begin that was carried over counts once."""
        rows: list[LedgerRow] = []
        for entry in entries:
            if isinstance(entry, Started):
                self._open[entry.id] = entry
                at = entry.started_at
            elif isinstance(entry, Progress):
                self._output_tokens[entry.id] = entry.output_tokens
                at = entry.at
            else:
                self._open.pop(entry.id, None)
                self._output_tokens.pop(entry.id, None)
                rows.append(entry)
                at = entry.finished_at
            self._last_at = max(self._last_at, at)
        return rows

    def crashed(self, alive_at: float) -> list[LedgerRow]:
        """A row for each request that has no end.

        alive_at: Unix seconds of the worker's last sign of life; the last entry counts where it is later.
        """
        finished_at = max(self._last_at, alive_at)
        return [
            crash_row(started, self._output_tokens.get(started.id, 0), finished_at)
            for started in self._open.values()
        ]


def crash_row(started: Started, output_tokens: int, finished_at: float) -> LedgerRow:
    """The row of a request that ended with its worker: estimated, at the rates of the target first asked."""
    finished_at = max(finished_at, started.started_at)
    usage = Usage(started.estimated_input_tokens, 0, 0, output_tokens)
    cost = None if started.rates is None else cost_nano_usd(Rates(*started.rates), usage)
    return LedgerRow(
        id=started.id,
        request_id=started.request_id,
        key_id=started.key_id,
        tenant=started.tenant,
        user=started.user,
        address=started.address,
        route=started.route,
        model=started.model,
        target=started.target,
        attempts=1,
        outcome=Outcome.GATEWAY_CRASH,
        estimated=True,
        input_tokens=usage.input_tokens,
        cached_input_tokens=0,
        cache_write_tokens=0,
        output_tokens=output_tokens,
        reasoning_tokens=0,
        cost_nano_usd=cost,
        price_version=started.price_version,
        started_at=started.started_at,
        finished_at=finished_at,
        first_token_ms=None,
        duration_ms=(finished_at - started.started_at) * 1000,
    )
