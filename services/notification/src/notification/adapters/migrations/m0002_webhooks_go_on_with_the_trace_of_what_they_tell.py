"""Webhooks go on with the trace of what they tell."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    op.add_column("webhook_deliveries", sa.Column("traceparent", sa.String(), nullable=True))
