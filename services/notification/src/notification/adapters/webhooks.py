"""Endpoints and deliveries as tables."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from chassis.database import Database
from sqlalchemy import ColumnElement, and_, delete, func, or_, update
from sqlmodel import col, select

from notification.adapters.tables import DeliveryRow, EndpointRow
from notification.domain import DeliveryState
from notification.ports import Delivery, Endpoint


class SqlEndpoints:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, endpoint: Endpoint) -> None:
        async with self._database.transaction() as session:
            session.add(EndpointRow(**{**asdict(endpoint), "events": list(endpoint.events)}))

    async def get(self, endpoint_id: str) -> Endpoint | None:
        async with self._database.transaction() as session:
            row = await session.get(EndpointRow, endpoint_id)
        return _endpoint(row) if row else None

    async def of_project(self, project_id: str) -> Sequence[Endpoint]:
        query = select(EndpointRow).where(EndpointRow.project_id == project_id).order_by(col(EndpointRow.created_at))
        async with self._database.transaction() as session:
            return [_endpoint(row) for row in (await session.exec(query)).all()]

    async def set_enabled(self, endpoint_id: str, enabled: bool, because: str | None) -> None:
        changed = update(EndpointRow).where(col(EndpointRow.id) == endpoint_id)
        async with self._database.transaction() as session:
            await session.exec(changed.values(enabled=enabled, disabled_because=because))

    async def remove(self, endpoint_id: str) -> None:
        async with self._database.transaction() as session:
            await session.exec(delete(DeliveryRow).where(col(DeliveryRow.endpoint_id) == endpoint_id))
            await session.exec(delete(EndpointRow).where(col(EndpointRow.id) == endpoint_id))


class SqlDeliveries:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, delivery: Delivery) -> None:
        statement = self._database.insert(DeliveryRow).values({**asdict(delivery), "state": delivery.state.value})
        async with self._database.transaction() as session:
            await session.exec(statement.on_conflict_do_nothing())

    async def take(
        self, now: datetime, until: datetime, per_endpoint: int, limit: int, except_endpoints: Sequence[str]
    ) -> Sequence[Delivery]:
        place = func.row_number().over(partition_by=col(DeliveryRow.endpoint_id), order_by=col(DeliveryRow.due))
        due = (
            select(DeliveryRow.webhook_id, DeliveryRow.endpoint_id, place.label("place"))
            .join(EndpointRow, col(EndpointRow.id) == col(DeliveryRow.endpoint_id))
            .where(*_due(now), col(EndpointRow.enabled), col(EndpointRow.id).not_in(except_endpoints))
            .subquery()
        )
        first = select(due.c.webhook_id, due.c.endpoint_id).where(due.c.place <= per_endpoint).limit(limit)
        async with self._database.transaction() as session:
            keys = (await session.exec(first)).all()
            if not keys:
                return ()
            named = or_(*(_is(webhook_id, endpoint_id) for webhook_id, endpoint_id in keys))
            # The second look at `due` leaves what another replica has taken in between to that one.
            taken = update(DeliveryRow).where(named, *_due(now)).values(due=until).returning(DeliveryRow)
            return [_delivery(row) for row in (await session.exec(taken)).scalars().all()]

    async def settle(self, delivery: Delivery) -> None:
        outcome = {
            "state": delivery.state.value,
            "tries": delivery.tries,
            "due": delivery.due,
            "last_status": delivery.last_status,
            "last_detail": delivery.last_detail,
        }
        this = _is(delivery.webhook_id, delivery.endpoint_id)
        async with self._database.transaction() as session:
            await session.exec(update(DeliveryRow).where(this).values(outcome))

    async def of_endpoint(self, endpoint_id: str, limit: int) -> Sequence[Delivery]:
        query = select(DeliveryRow).where(DeliveryRow.endpoint_id == endpoint_id)
        async with self._database.transaction() as session:
            rows = await session.exec(query.order_by(col(DeliveryRow.created_at).desc()).limit(limit))
            return [_delivery(row) for row in rows.all()]

    async def next_due(self) -> datetime | None:
        waiting = DeliveryRow.state == DeliveryState.WAITING.value
        enabled = select(EndpointRow.id).where(col(EndpointRow.enabled))
        query = select(func.min(DeliveryRow.due)).where(waiting, col(DeliveryRow.endpoint_id).in_(enabled))
        async with self._database.transaction() as session:
            return (await session.exec(query)).one()


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return col(DeliveryRow.state) == DeliveryState.WAITING.value, col(DeliveryRow.due) <= now


def _is(webhook_id: str, endpoint_id: str) -> ColumnElement[bool]:
    return and_(col(DeliveryRow.webhook_id) == webhook_id, col(DeliveryRow.endpoint_id) == endpoint_id)


def _endpoint(row: EndpointRow) -> Endpoint:
    return Endpoint(**{**row.model_dump(), "events": tuple(row.events)})


def _delivery(row: DeliveryRow) -> Delivery:
    return Delivery(**{**row.model_dump(), "state": DeliveryState(row.state)})
