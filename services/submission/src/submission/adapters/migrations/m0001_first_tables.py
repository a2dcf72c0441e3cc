"""The first tables."""

import sqlalchemy as sa
from alembic import op
from chassis.database import UtcDateTime

revision, down_revision = "0001", None


def upgrade() -> None:
    op.create_table(
        "admin_actions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("correlation_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_api_keys_project_id"), "api_keys", ["project_id"], unique=False)
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("app", sa.String(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_dead_letters_at"), "dead_letters", ["at"], unique=False)
    op.create_table(
        "finished",
        sa.Column("task_id", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("shape", sa.String(), nullable=False),
        sa.Column("work", sa.Float(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("run_seconds", sa.Float(), nullable=True),
        sa.Column("error", sa.Float(), nullable=True),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("task_id"),
    )
    op.create_index("finished_by_model", "finished", ["model", "at"], unique=False)
    op.create_table(
        "graphs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("due", UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("graphs_by_project", "graphs", ["project_id", "created_at", "id"], unique=False)
    op.create_index(op.f("ix_graphs_due"), "graphs", ["due"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("task_id", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("due", UtcDateTime(timezone=True), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("task_id"),
    )
    op.create_index(op.f("ix_outbox_due"), "outbox", ["due"], unique=False)
    op.create_table("projects", sa.Column("id", sa.String(), nullable=False), sa.PrimaryKeyConstraint("id"))
    op.create_table(
        "series",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("due", UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_series_due"), "series", ["due"], unique=False)
    op.create_index("series_by_project", "series", ["project_id", "created_at", "id"], unique=False)
    op.create_table(
        "task_history",
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("task_id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("worker_id", sa.String(), nullable=True),
        sa.Column("detail", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("event_id"),
    )
    op.create_index("history_by_task", "task_history", ["task_id", "seq"], unique=False)
    op.create_table(
        "task_tags",
        sa.Column("task_id", sa.String(), nullable=False),
        sa.Column("tag", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "tag"),
    )
    op.create_index("tags_by_project", "task_tags", ["project_id", "tag", "task_id"], unique=False)
    op.create_table(
        "task_words",
        sa.Column("task_id", sa.String(), nullable=False),
        sa.Column("word", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "word"),
    )
    op.create_index("words_by_project", "task_words", ["project_id", "word", "task_id"], unique=False)
    op.create_table(
        "tasks",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("medium", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("updated_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("gpu_seconds", sa.Float(), nullable=False),
        sa.Column("cold_start_seconds", sa.Float(), nullable=False),
        sa.Column("lost_seconds", sa.Float(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("tasks_by_change", "tasks", ["project_id", "updated_at", "id"], unique=False)
    op.create_index("tasks_by_creation", "tasks", ["project_id", "created_at", "id"], unique=False)
    op.create_index("tasks_by_phase", "tasks", ["project_id", "phase", "priority", "created_at"], unique=False)
    op.create_index("tasks_by_priority", "tasks", ["project_id", "priority", "id"], unique=False)
    op.create_index("tasks_by_quiet", "tasks", ["phase", "updated_at"], unique=False)
    op.create_table(
        "turns",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("due", UtcDateTime(timezone=True), nullable=False),
        sa.Column("behind", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
