"""Actions have an operator, and letters are redriven."""

import sqlalchemy as sa
from alembic import op
from chassis.database import UtcDateTime

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    op.add_column("admin_actions", sa.Column("operator", sa.String(), nullable=True))
    op.add_column("dead_letters", sa.Column("redriven_at", UtcDateTime(timezone=True), nullable=True))
    op.add_column("dead_letters", sa.Column("redriven_by", sa.String(), nullable=True))
    op.create_index("tasks_by_age", "tasks", ["created_at", "id"], unique=False)
