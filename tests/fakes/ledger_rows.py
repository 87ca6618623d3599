"""Rows of a ledger, for tests that say only what matters to them."""

from msgspec.structs import replace

from service.usage.row import LedgerRow, Outcome

DAY = 86_400.0

NOON = 1_772_366_400.0
"""2026-03-01T12:00:00Z, as Unix seconds."""


def a_row(id: str = "use_0", **changes: object) -> LedgerRow:
    """A complete request of the key k1 at noon, that took a second; `changes` by field."""
    row = LedgerRow(
        id=id,
        request_id="req_0",
        key_id="k1",
        tenant="t1",
        user="u1",
        address="",
        route="/v1/chat/completions",
        model="m1",
        target="provider/model",
        attempts=1,
        outcome=Outcome.COMPLETE,
        estimated=False,
        input_tokens=100,
        cached_input_tokens=30,
        cache_write_tokens=10,
        output_tokens=20,
        reasoning_tokens=5,
        cost_nano_usd=123_456_789,
        price_version="config",
        started_at=NOON,
        finished_at=NOON + 1,
        first_token_ms=250.5,
        duration_ms=1000.0,
    )
    return replace(row, **changes)
