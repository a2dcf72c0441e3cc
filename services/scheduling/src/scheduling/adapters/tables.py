"""The private tables."""

from datetime import datetime

from chassis.database import UtcDateTime
from sqlalchemy.orm import registry
from sqlmodel import Field, Index, SQLModel


class Table(SQLModel, registry=registry()):
    """Base of this service's tables: services that share a process do not share metadata."""


class EntryRow(Table, table=True):
    __tablename__ = "queue"
    __table_args__ = (
        Index("queue_by_phase", "medium", "phase", "project_id", "rank", "since"),
        Index("queue_by_worker", "worker_id"),
    )

    task_id: str = Field(primary_key=True)
    project_id: str
    medium: str
    model: str
    rank: int
    phase: str
    phase_heard_at: datetime = Field(sa_type=UtcDateTime)
    attempt: int
    seq: int
    worker_id: str | None
    since: datetime = Field(sa_type=UtcDateTime)
    not_before: datetime | None = Field(sa_type=UtcDateTime)
    hard_deadline: datetime | None = Field(sa_type=UtcDateTime)
    look_at: datetime | None = Field(sa_type=UtcDateTime, index=True)
    """None once everybody has heard of the task's end."""
    forget_at: datetime | None = Field(sa_type=UtcDateTime, index=True)
    alike: str | None
    most_together: int
    outgrown_mb: int
    gpu_seconds: float
    charged_before: float
    """`gpu_seconds` as they were before the row was last written: what lies between is to be charged."""


class UsageRow(Table, table=True):
    __tablename__ = "project_usage"

    project_id: str = Field(primary_key=True)
    seconds: float
    at: datetime = Field(sa_type=UtcDateTime)


class LeadershipRow(Table, table=True):
    __tablename__ = "leadership"

    id: int = Field(primary_key=True)
    holder: str
    beat: int
    at: datetime = Field(sa_type=UtcDateTime)
