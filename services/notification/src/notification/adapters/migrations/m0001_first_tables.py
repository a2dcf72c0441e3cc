"""The first tables."""

import sqlalchemy as sa
from alembic import op
from chassis.database import UtcDateTime

revision, down_revision = "0001", None


def upgrade() -> None:
    op.create_table(
        "feed",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("task_id", sa.String(), nullable=True),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
        sa.UniqueConstraint("event_id"),
    )
    op.create_index("feed_by_project", "feed", ["project_id", "position"], unique=False)
    op.create_index("feed_by_task", "feed", ["task_id", "position"], unique=False)
    op.create_index(op.f("ix_feed_at"), "feed", ["at"], unique=False)
    op.create_table(
        "feed_end",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "feed_tags",
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("tag", sa.String(), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("project_id", "tag", "position"),
    )
    op.create_index(op.f("ix_feed_tags_position"), "feed_tags", ["position"], unique=False)
    op.create_table(
        "webhook_deliveries",
        sa.Column("webhook_id", sa.String(), nullable=False),
        sa.Column("endpoint_id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("in_bulk", sa.Boolean(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due", UtcDateTime(timezone=True), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("correlation_id", sa.String(), nullable=True),
        sa.Column("answers", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("webhook_id", "endpoint_id"),
    )
    op.create_index(
        "deliveries_by_endpoint", "webhook_deliveries", ["endpoint_id", "created_at", "webhook_id"], unique=False
    )
    op.create_index(
        "deliveries_ended",
        "webhook_deliveries",
        ["due"],
        unique=False,
        sqlite_where=sa.text("state <> 'waiting'"),
        postgresql_where=sa.text("state <> 'waiting'"),
    )
    op.create_index(
        "deliveries_waiting",
        "webhook_deliveries",
        ["endpoint_id", "in_bulk", "due"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("secrets", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("pinged_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", UtcDateTime(timezone=True), nullable=True),
        sa.Column("due", UtcDateTime(timezone=True), nullable=True),
        sa.Column("off", sa.String(), nullable=True),
        sa.Column("off_since", UtcDateTime(timezone=True), nullable=True),
        sa.Column("disabled_because", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("project_id", "place"),
    )
    op.create_index(op.f("ix_webhook_endpoints_due"), "webhook_endpoints", ["due"], unique=False)
