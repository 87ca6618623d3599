"""Answers about what was used. Data only, but for CSV, which is made from the same values."""

import msgspec

from service.docs.failures import REQUEST_ID
from service.docs.schemas import Json
from service.usage.answers import LedgerLine, UsageLine, ledger_csv, usage_csv
from service.usage.report import GroupBy

_DAYS: list[Json] = [
    {
        "requests": 2,
        "input_tokens": 2048,
        "cached_input_tokens": 1024,
        "output_tokens": 310,
        "cost_usd": 0.004660001,
        "outcomes": {"complete": 1, "client_abort": 1},
        "day": "2026-11-20",
    },
    {
        "requests": 1,
        "input_tokens": 19,
        "cached_input_tokens": 0,
        "output_tokens": 28,
        "cost_usd": 0.000132125,
        "outcomes": {"complete": 1},
        "day": "2026-11-21",
    },
]

_ROWS: list[Json] = [
    {
        "id": "use_0f5c9a1be24d4f7e8a6b3c2d",
        "request_id": REQUEST_ID,
        "key_id": "7Hq2mZx0LwT9cBvE",
        "tenant": "acme",
        "user": "ada",
        "route": "/v1/chat/completions",
        "model": "fast",
        "target": "openai/gpt-4.1-mini",
        "attempts": 1,
        "outcome": "complete",
        "estimated": False,
        "input_tokens": 19,
        "cached_input_tokens": 0,
        "cache_write_tokens": 0,
        "output_tokens": 28,
        "reasoning_tokens": 0,
        "cost_usd": 0.000132125,
        "price_version": "2026-11-01",
        "started_at": 1795251851.25,
        "finished_at": 1795251851.75,
        "first_token_ms": 181.25,
        "duration_ms": 412.5,
    }
]

_TOTAL: Json = {
    "requests": 3,
    "input_tokens": 2067,
    "cached_input_tokens": 1024,
    "output_tokens": 338,
    "cost_usd": 0.004792126,
    "outcomes": {"complete": 2, "client_abort": 1},
}

USAGE_ANSWERS: Json = {
    "days": {
        "summary": "By day",
        "value": {"object": "usage", "data": _DAYS, "total": _TOTAL, "has_more": False, "next_cursor": None},
    }
}

USAGE_CSV: Json = {
    "days": {
        "summary": "By day",
        "value": usage_csv(GroupBy.DAY, msgspec.convert(_DAYS, list[UsageLine])).decode(),
    }
}

LEDGER_ANSWERS: Json = {
    "rows": {
        "summary": "One row",
        "value": {"object": "list", "data": _ROWS, "has_more": False, "next_cursor": None},
    }
}

LEDGER_CSV: Json = {
    "rows": {"summary": "One row", "value": ledger_csv(msgspec.convert(_ROWS, list[LedgerLine])).decode()}
}
