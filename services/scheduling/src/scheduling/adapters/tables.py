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
        Index("queue_by_series", "series_id"),
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
    series_id: str | None
    held: bool


class NeedRow(Table, table=True):
    """Which task of the queue needs which other one's result."""

    __tablename__ = "needs"

    task_id: str = Field(primary_key=True)
    needed_id: str = Field(primary_key=True, index=True)


class ReminderRow(Table, table=True):
    __tablename__ = "reminders"

    task_id: str = Field(primary_key=True)
    moment: datetime = Field(sa_type=UtcDateTime, primary_key=True)
    due: datetime | None = Field(sa_type=UtcDateTime, index=True)
    """When to say it, or to say it again; None once it was said and heard."""


class UsageRow(Table, table=True):
    __tablename__ = "project_usage"

    project_id: str = Field(primary_key=True)
    seconds: float
    at: datetime = Field(sa_type=UtcDateTime)


class ChargeRow(Table, table=True):
    """What a task has been charged, for good: its row in the queue goes, and it may come back to life years later."""

    __tablename__ = "charges"

    task_id: str = Field(primary_key=True)
    seconds: float
    before: float
    """`seconds` as they were before the row was last written."""


class SpendingRow(Table, table=True):
    """What a project was charged in a calendar month, in UTC."""

    __tablename__ = "project_spending"

    project_id: str = Field(primary_key=True)
    month: datetime = Field(sa_type=UtcDateTime, primary_key=True)
    seconds: float


class LeadershipRow(Table, table=True):
    __tablename__ = "leadership"

    id: int = Field(primary_key=True)
    holder: str
    beat: int
    at: datetime = Field(sa_type=UtcDateTime)
