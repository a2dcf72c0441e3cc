"""The first tables."""

import sqlalchemy as sa
from alembic import op
from chassis.database import UtcDateTime

revision, down_revision = "0001", None


def upgrade() -> None:
    op.create_table(
        "ingests",
        sa.Column("task_id", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("due", UtcDateTime(timezone=True), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "attempt"),
    )
    op.create_index(op.f("ix_ingests_due"), "ingests", ["due"], unique=False)
