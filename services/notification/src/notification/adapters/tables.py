"""The private tables."""

from datetime import datetime

from chassis.database import UtcDateTime
from pydantic import JsonValue
from sqlalchemy import JSON, BigInteger, LargeBinary, Text, UniqueConstraint
from sqlalchemy.orm import registry
from sqlmodel import Field, Index, SQLModel


class Table(SQLModel, registry=registry()):
    """Base of this service's tables: services that share a process do not share metadata."""


class EndpointRow(Table, table=True):
    __tablename__ = "webhook_endpoints"
    __table_args__ = (UniqueConstraint("project_id", "place"),)

    id: str = Field(primary_key=True)
    project_id: str
    place: int
    """One of the places that a project has, so that it cannot have more endpoints."""
    url: str
    events: list[str] = Field(sa_type=JSON)
    secret: bytes = Field(sa_type=LargeBinary)
    enabled: bool
    disabled_because: str | None
    created_at: datetime = Field(sa_type=UtcDateTime)


class DeliveryRow(Table, table=True):
    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        Index("deliveries_due", "state", "due"),
        Index("deliveries_by_endpoint", "endpoint_id", "created_at"),
    )

    webhook_id: str = Field(primary_key=True)
    endpoint_id: str = Field(primary_key=True)
    project_id: str
    type: str
    body: str = Field(sa_type=Text)
    state: str
    tries: int
    due: datetime = Field(sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)
    correlation_id: str | None
    last_status: int | None
    last_detail: str | None


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
