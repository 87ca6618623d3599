"""A database for ledger rows, in memory, that can be away and that can refuse rows."""

from collections.abc import Sequence

from service.errors import StoreUnavailable
from service.usage.row import LedgerRow, Outcome, Started


class MemoryLedgerWriter:
    """A `service.usage.delivery.LedgerWriter`.

    away: whether it can't be reached. refuses: ids of rows that it never takes. vague: it says of
    these, too, that it is away. attempts: how many rows each call brought.
    """

    def __init__(self) -> None:
        self.rows: dict[str, LedgerRow] = {}
        self.away = False
        self.refuses: set[str] = set()
        self.vague = False
        self.attempts: list[int] = []

    async def insert(self, rows: Sequence[LedgerRow]) -> None:
        """All or none; those that are there already are passed over."""
        self.attempts.append(len(rows))
        if self.away:
            raise StoreUnavailable("The database is away.")
        if any(row.id in self.refuses for row in rows):
            if self.vague:
                raise StoreUnavailable("The database is away, or so.")
            raise ValueError("This row is no good.")
        for row in rows:
            self.rows.setdefault(row.id, row)


def started(name: str, *, at: float = 1_700_000_000.0, **changed: object) -> Started:
    """A request that began; its id is `name`."""
    fields: dict[str, object] = {
        "id": name,
        "request_id": f"req_{name}",
        "key_id": "k1",
        "tenant": "acme",
        "user": "ann",
        "address": "",
        "route": "/v1/chat/completions",
        "model": "fast",
        "target": "openai/gpt-4o-mini",
        "started_at": at,
        "estimated_input_tokens": 100,
        "rates": (150_000, 75_000, 150_000, 600_000),
        "price_version": "2026-11-01",
    }
    return Started(**{**fields, **changed})  # type: ignore[arg-type] # a test says what it changes


def ended(name: str, *, at: float = 1_700_000_002.0, **changed: object) -> LedgerRow:
    """The row of `started(name)`, complete."""
    fields: dict[str, object] = {
        "id": name,
        "request_id": f"req_{name}",
        "key_id": "k1",
        "tenant": "acme",
        "user": "ann",
        "address": "",
        "route": "/v1/chat/completions",
        "model": "fast",
        "target": "openai/gpt-4o-mini",
        "attempts": 1,
        "outcome": Outcome.COMPLETE,
        "estimated": False,
        "input_tokens": 90,
        "cached_input_tokens": 0,
        "cache_write_tokens": 0,
        "output_tokens": 50,
        "reasoning_tokens": 0,
        "cost_nano_usd": 43_500,
        "price_version": "2026-11-01",
        "started_at": 1_700_000_000.0,
        "finished_at": at,
        "first_token_ms": 120.5,
        "duration_ms": 2000.0,
    }
    return LedgerRow(**{**fields, **changed})  # type: ignore[arg-type] # a test says what it changes
