"""Actions that other services tell are kept once."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0003", "0002"


def upgrade() -> None:
    op.add_column("admin_actions", sa.Column("event_id", sa.String(), nullable=True))
    op.create_index("actions_by_event", "admin_actions", ["event_id"], unique=True)
