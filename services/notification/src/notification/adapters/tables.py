"""The private tables."""

from datetime import datetime
from typing import Any

from chassis.database import UtcDateTime
from pydantic import JsonValue
from sqlalchemy import JSON, BigInteger, Text, UniqueConstraint, text
from sqlalchemy.orm import registry
from sqlmodel import Field, Index, SQLModel

WAITING = "state = 'waiting'"
ENDED = "state <> 'waiting'"


class Table(SQLModel, registry=registry()):
    """Base of this service's tables: services that share a process do not share metadata."""


class EndpointRow(Table, table=True):
    __tablename__ = "webhook_endpoints"
    __table_args__ = (UniqueConstraint("project_id", "place"),)

    id: str = Field(primary_key=True)
    project_id: str
    place: int
    """One of the places that a project has, so that it cannot have more endpoints."""
    version: int
    """Rises with every change, so that none is made of what somebody else has changed meanwhile."""
    url: str
    events: list[str] = Field(sa_type=JSON)
    secrets: list[dict[str, str | None]] = Field(sa_type=JSON)
    created_at: datetime = Field(sa_type=UtcDateTime)
    pinged_at: datetime | None = Field(sa_type=UtcDateTime)
    failures: int
    failing_since: datetime | None = Field(sa_type=UtcDateTime)
    due: datetime | None = Field(sa_type=UtcDateTime, index=True)
    """When it is probed next, if it is."""
    off: str | None
    off_since: datetime | None = Field(sa_type=UtcDateTime)
    disabled_because: str | None


class DeliveryRow(Table, table=True):
    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        Index("deliveries_by_endpoint", "endpoint_id", "created_at", "webhook_id"),
        Index("deliveries_ended", "due", sqlite_where=text(ENDED), postgresql_where=text(ENDED)),
        Index(
            "deliveries_waiting",
            "endpoint_id",
            "in_bulk",
            "due",
            sqlite_where=text(WAITING),
            postgresql_where=text(WAITING),
        ),
    )

    webhook_id: str = Field(primary_key=True)
    endpoint_id: str = Field(primary_key=True)
    project_id: str
    type: str
    body: str = Field(sa_type=Text)
    state: str
    in_bulk: bool
    tries: int
    due: datetime = Field(sa_type=UtcDateTime)
    """When it is tried next, or when it ended."""
    created_at: datetime = Field(sa_type=UtcDateTime)
    correlation_id: str | None
    traceparent: str | None
    answers: list[dict[str, Any]] = Field(sa_type=JSON)


class FeedRow(Table, table=True):
    __tablename__ = "feed"
    __table_args__ = (
        Index("feed_by_project", "project_id", "position"),
        Index("feed_by_task", "task_id", "position"),
    )

    position: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    event_id: str = Field(unique=True)
    type: str
    at: datetime = Field(sa_type=UtcDateTime, index=True)
    project_id: str
    task_id: str | None
    data: dict[str, JsonValue] = Field(sa_type=JSON)


class FeedTagRow(Table, table=True):
    """Which of a project's happenings are about a task with a tag."""

    __tablename__ = "feed_tags"

    project_id: str = Field(primary_key=True)
    tag: str = Field(primary_key=True)
    position: int = Field(primary_key=True, index=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})


class FeedEndRow(Table, table=True):
    """The last position that was given out. One row."""

    __tablename__ = "feed_end"

    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    position: int = Field(sa_type=BigInteger)
