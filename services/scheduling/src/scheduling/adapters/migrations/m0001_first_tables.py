"""The first tables."""

import sqlalchemy as sa
from alembic import op
from chassis.database import UtcDateTime

revision, down_revision = "0001", None


def upgrade() -> None:
    op.create_table(
        "charges",
        sa.Column("task_id", sa.String(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("before", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("task_id"),
    )
    op.create_table(
        "leadership",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("beat", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "needs",
        sa.Column("task_id", sa.String(), nullable=False),
        sa.Column("needed_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "needed_id"),
    )
    op.create_index(op.f("ix_needs_needed_id"), "needs", ["needed_id"], unique=False)
    op.create_table(
        "project_spending",
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("month", UtcDateTime(timezone=True), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "month"),
    )
    op.create_table(
        "project_usage",
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("project_id"),
    )
    op.create_table(
        "queue",
        sa.Column("task_id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("medium", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("phase_heard_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("worker_id", sa.String(), nullable=True),
        sa.Column("since", UtcDateTime(timezone=True), nullable=False),
        sa.Column("not_before", UtcDateTime(timezone=True), nullable=True),
        sa.Column("hard_deadline", UtcDateTime(timezone=True), nullable=True),
        sa.Column("look_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("forget_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("alike", sa.String(), nullable=True),
        sa.Column("most_together", sa.Integer(), nullable=False),
        sa.Column("outgrown_mb", sa.Integer(), nullable=False),
        sa.Column("series_id", sa.String(), nullable=True),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("task_id"),
    )
    op.create_index(op.f("ix_queue_forget_at"), "queue", ["forget_at"], unique=False)
    op.create_index(op.f("ix_queue_look_at"), "queue", ["look_at"], unique=False)
    op.create_index("queue_by_phase", "queue", ["medium", "phase", "project_id", "rank", "since"], unique=False)
    op.create_index("queue_by_series", "queue", ["series_id"], unique=False)
    op.create_index("queue_by_worker", "queue", ["worker_id"], unique=False)
    op.create_table(
        "reminders",
        sa.Column("task_id", sa.String(), nullable=False),
        sa.Column("moment", UtcDateTime(timezone=True), nullable=False),
        sa.Column("due", UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("task_id", "moment"),
    )
    op.create_index(op.f("ix_reminders_due"), "reminders", ["due"], unique=False)
