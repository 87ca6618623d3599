"""The tables of the database, as SQLAlchemy Core describes them; `service.migrations` makes them.

Instants are Unix seconds (UTC), money integer nano-dollars, structured values JSON text.
"""

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, LargeBinary, MetaData, Table, Text, text

METADATA = MetaData()

API_KEYS = Table(
    "api_keys",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("user_name", Text, nullable=False),
    Column("models", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("limits", Text, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("previous_hash", LargeBinary),
    Column("previous_until", Double),
    Column("expires_at", Double),
    Column("created_at", Double, nullable=False),
    Column("changed_at", Double, nullable=False),
    Column("revoked_at", Double),
    Index("api_keys_changed_at", "changed_at"),
    Index("api_keys_created_at", "created_at", "id"),
)
"""Callers' keys. secret_hash, previous_hash: SHA-256, 32 bytes. changed_at: the database's own clock."""

SUBJECT_LIMITS = Table(
    "subject_limits",
    METADATA,
    Column("subject", Text, primary_key=True),
    Column("subject_id", Text, primary_key=True),
    Column("limits", Text, nullable=False),
    Column("changed_at", Double, nullable=False),
    Index("subject_limits_changed_at", "changed_at"),
)
"""Limits of users and tenants, set by the admin API."""

LEFT_OUT = {"tenant": "", "user_name": "", "address": "", "outcome": "complete"}
"""Columns of the ledger whose index leaves out the rows with this value: most have it, and nobody asks for them.

Each index costs an insert some 2 us. Routes have none: they are so few that the time's is as good.
"""


def _without(column: str, value: str) -> Index:
    rest = text(f"{column} <> '{value}'")
    return Index(f"ledger_{column}", column, "started_at", sqlite_where=rest, postgresql_where=rest)


LEDGER = Table(
    "ledger",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("request_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("user_name", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cached_input_tokens", BigInteger, nullable=False),
    Column("cache_write_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("cost_nano_usd", BigInteger),
    Column("price_version", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("finished_at", Double, nullable=False),
    Column("first_token_ms", Double),
    Column("duration_ms", Double, nullable=False),
    Index("ledger_started_at", "started_at", "id"),
    Index("ledger_request_id", "request_id"),
    Index("ledger_key_id", "key_id", "started_at"),
    Index("ledger_model", "model", "started_at"),
    *(_without(column, value) for column, value in LEFT_OUT.items()),
)
"""A row for every request that reached a provider: `service.usage.row.LedgerRow`, field for field."""

IDEMPOTENCY = Table(
    "idempotency",
    METADATA,
    Column("scope", LargeBinary, primary_key=True),
    Column("body_hash", LargeBinary, nullable=False),
    Column("claim_id", Text, nullable=False),
    Column("worker", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("stream_id", Text, nullable=False),
    Column("status", BigInteger, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("expires_at", Double, nullable=False),
    Index("idempotency_expires_at", "expires_at"),
)
"""What stands behind each `Idempotency-Key`. scope, body_hash: SHA-256, 32 bytes; of whom, route and key, and of the
body. expires_at: the database's own clock; of a running call it is moved on while its worker lives.
"""
