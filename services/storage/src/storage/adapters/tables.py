"""The private tables."""

from datetime import datetime

from chassis.database import UtcDateTime
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel


class Table(SQLModel, registry=registry()):
    """Base of this service's tables: services that share a process do not share metadata."""


class IngestRow(Table, table=True):
    __tablename__ = "ingests"

    task_id: str = Field(primary_key=True)
    attempt: int = Field(primary_key=True)
    due: datetime = Field(sa_type=UtcDateTime, index=True)
    tries: int = 0
