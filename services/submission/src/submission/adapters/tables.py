"""The private tables. Rows stay inside this package; everybody else sees contracts' own values."""

from datetime import datetime

from chassis.database import UtcDateTime
from pydantic import JsonValue
from sqlalchemy import JSON, BigInteger, String, Text
from sqlalchemy.orm import registry
from sqlmodel import Field, Index, SQLModel

BY_BYTES = String().with_variant(String(collation="C"), "postgresql")
"""Ordered by its characters' numbers in every database, so that a beginning is a range."""


class Table(SQLModel, registry=registry()):
    """Base of this service's tables: services that share a process do not share metadata."""


class TaskRow(Table, table=True):
    __tablename__ = "tasks"
    __table_args__ = (
        Index("tasks_by_creation", "project_id", "created_at", "id"),
        Index("tasks_by_change", "project_id", "updated_at", "id"),
        Index("tasks_by_priority", "project_id", "priority", "id"),
        Index("tasks_by_phase", "project_id", "phase", "priority", "created_at"),
        Index("tasks_by_quiet", "phase", "updated_at"),
        Index("tasks_by_age", "created_at", "id"),
    )

    id: str = Field(primary_key=True)
    project_id: str
    seq: int = Field(sa_type=BigInteger)
    phase: str
    status: str
    medium: str
    model: str
    priority: int
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    gpu_seconds: float
    cold_start_seconds: float
    lost_seconds: float
    """What else came to nothing. Why, the phase says."""
    record: str = Field(sa_type=Text)


class TagRow(Table, table=True):
    __tablename__ = "task_tags"
    __table_args__ = (Index("tags_by_project", "project_id", "tag", "task_id"),)

    task_id: str = Field(primary_key=True)
    tag: str = Field(primary_key=True)
    project_id: str


class WordRow(Table, table=True):
    __tablename__ = "task_words"
    __table_args__ = (Index("words_by_project", "project_id", "word", "task_id"),)

    task_id: str = Field(primary_key=True)
    word: str = Field(primary_key=True, sa_type=BY_BYTES)
    project_id: str


class HistoryRow(Table, table=True):
    __tablename__ = "task_history"
    __table_args__ = (Index("history_by_task", "task_id", "seq"),)

    event_id: str = Field(primary_key=True)
    task_id: str
    type: str
    at: datetime = Field(sa_type=UtcDateTime)
    seq: int = Field(sa_type=BigInteger)
    phase: str
    attempt: int = Field(sa_type=BigInteger)
    worker_id: str | None
    detail: str | None


class TurnRow(Table, table=True):
    """Whose turn it is to announce what is quiet: the one who moves `due` on. One row."""

    __tablename__ = "turns"

    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    due: datetime = Field(sa_type=UtcDateTime)
    behind: str


class OutboxRow(Table, table=True):
    __tablename__ = "outbox"

    task_id: str = Field(primary_key=True)
    seq: int = Field(sa_type=BigInteger)
    due: datetime = Field(sa_type=UtcDateTime, index=True)
    record: str = Field(sa_type=Text)


class FinishedRow(Table, table=True):
    """What estimates learn from."""

    __tablename__ = "finished"
    __table_args__ = (Index("finished_by_model", "model", "at"),)

    task_id: str = Field(primary_key=True)
    model: str
    shape: str
    work: float
    device: str
    run_seconds: float | None
    error: float | None
    at: datetime = Field(sa_type=UtcDateTime)


class SeriesRow(Table, table=True):
    __tablename__ = "series"
    __table_args__ = (Index("series_by_project", "project_id", "created_at", "id"),)

    id: str = Field(primary_key=True)
    project_id: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    due: datetime = Field(sa_type=UtcDateTime, index=True)


class GraphRow(Table, table=True):
    __tablename__ = "graphs"
    __table_args__ = (Index("graphs_by_project", "project_id", "created_at", "id"),)

    id: str = Field(primary_key=True)
    project_id: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    due: datetime | None = Field(sa_type=UtcDateTime, index=True)
    """None while nothing is left to do about it."""


class ProjectRow(Table, table=True):
    __tablename__ = "projects"

    id: str = Field(primary_key=True)


class ApiKeyRow(Table, table=True):
    __tablename__ = "api_keys"

    id: str = Field(primary_key=True)
    project_id: str = Field(index=True)


class ActionRow(Table, table=True):
    __tablename__ = "admin_actions"
    __table_args__ = (Index("actions_by_event", "event_id", unique=True),)

    id: int | None = Field(default=None, primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime)
    action: str
    target: str
    before: JsonValue = Field(sa_type=JSON)
    after: JsonValue = Field(sa_type=JSON)
    operator: str | None
    """None from versions that did not ask."""
    address: str
    correlation_id: str
    event_id: str | None = None


class LetterRow(Table, table=True):
    __tablename__ = "dead_letters"

    id: str = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime, index=True)
    app: str
    topic: str
    reason: str
    event: str = Field(sa_type=Text)
    redriven_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When it was last said again on its topic."""
    redriven_by: str | None = None
