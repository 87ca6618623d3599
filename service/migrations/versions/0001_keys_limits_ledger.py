"""Keys, limits of users and tenants, and the ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the three tables."""
    _make_keys()
    _make_subject_limits()
    _make_ledger()


def _make_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.Column("models", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("limits", sa.Text(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary()),
        sa.Column("previous_until", sa.Double()),
        sa.Column("expires_at", sa.Double()),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("changed_at", sa.Double(), nullable=False),
        sa.Column("revoked_at", sa.Double()),
    )
    op.create_index("api_keys_changed_at", "api_keys", ["changed_at"])
    op.create_index("api_keys_created_at", "api_keys", ["created_at", "id"])


def _make_subject_limits() -> None:
    op.create_table(
        "subject_limits",
        sa.Column("subject", sa.Text(), primary_key=True),
        sa.Column("subject_id", sa.Text(), primary_key=True),
        sa.Column("limits", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.Double(), nullable=False),
    )
    op.create_index("subject_limits_changed_at", "subject_limits", ["changed_at"])


def _make_ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cached_input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_nano_usd", sa.BigInteger()),
        sa.Column("price_version", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=False),
        sa.Column("first_token_ms", sa.Double()),
        sa.Column("duration_ms", sa.Double(), nullable=False),
    )
    op.create_index("ledger_started_at", "ledger", ["started_at", "id"])
    op.create_index("ledger_request_id", "ledger", ["request_id"])
    op.create_index("ledger_key_id", "ledger", ["key_id", "started_at"])
    op.create_index("ledger_model", "ledger", ["model", "started_at"])
    for column, value in (("tenant", ""), ("user_name", ""), ("address", ""), ("outcome", "complete")):
        rest = sa.text(f"{column} <> '{value}'")
        name = f"ledger_{column}"
        op.create_index(name, "ledger", [column, "started_at"], sqlite_where=rest, postgresql_where=rest)
