"""Endpoints and deliveries as tables."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from cachetools import TTLCache
from chassis.database import Database, insert
from chassis.taking import take_due
from sqlalchemy import ColumnElement, Integer, Select, and_, bindparam, delete, func, inspect, select, update
from sqlmodel import col

from notification.adapters.tables import DeliveryRow, EndpointRow
from notification.domain import DeliveryState
from notification.ports import Delivery, Endpoint, Full, Share

ADD_ENDPOINT = insert(EndpointRow).on_conflict_do_nothing(index_elements=["project_id", "place"])
ADD_DELIVERY = insert(DeliveryRow).on_conflict_do_nothing()
WAITING = col(DeliveryRow.state) == DeliveryState.WAITING.value


def _place(partition: Any, name: str) -> Any:
    return func.row_number().over(partition_by=col(partition), order_by=col(DeliveryRow.due)).label(name)


def _due() -> Select[Any]:
    """What is due to endpoints and of projects that are not full, no more of each than its share."""
    due = (
        select(
            DeliveryRow, _place(DeliveryRow.endpoint_id, "at_endpoint"), _place(DeliveryRow.project_id, "in_project")
        )
        .join(EndpointRow, col(EndpointRow.id) == col(DeliveryRow.endpoint_id))
        .where(WAITING, col(DeliveryRow.due) <= bindparam("now"), col(EndpointRow.enabled))
        .where(col(EndpointRow.id).not_in(bindparam("full_endpoints", expanding=True)))
        .where(col(DeliveryRow.project_id).not_in(bindparam("full_projects", expanding=True)))
        .subquery()
    )
    return (
        select(*(due.c[column.name] for column in inspect(DeliveryRow).local_table.c))
        .where(due.c.at_endpoint <= bindparam("per_endpoint"), due.c.in_project <= bindparam("per_project"))
        .order_by(due.c.due)
        .limit(bindparam("limit", type_=Integer))
    )


DUE = _due()
NEXT_DUE = select(func.min(col(DeliveryRow.due))).where(
    WAITING, col(DeliveryRow.endpoint_id).in_(select(col(EndpointRow.id)).where(col(EndpointRow.enabled)))
)

REMEMBER_SECONDS = 5.0
"""How soon a replica notices what another has changed."""


class SqlEndpoints:
    """Every event asks for its project's endpoints, so those are remembered for a few seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_project: TTLCache[str, Sequence[Endpoint]] = TTLCache(10_000, REMEMBER_SECONDS)

    async def add(self, endpoint: Endpoint, most: int) -> bool:
        row = {**asdict(endpoint), "events": list(endpoint.events)}
        of_project = select(col(EndpointRow.place)).where(col(EndpointRow.project_id) == endpoint.project_id)
        while True:
            async with self._database.transaction() as tx:
                taken = set((await tx.execute(of_project)).scalars())
                place = next((place for place in range(most) if place not in taken), None)
                if place is None:
                    return False
                added = (await tx.execute(ADD_ENDPOINT, {**row, "place": place})).rowcount
            if added:
                self._by_project.clear()
                return True

    async def get(self, endpoint_id: str) -> Endpoint | None:
        found = await self._select(col(EndpointRow.id) == endpoint_id)
        return found[0] if found else None

    async def of_project(self, project_id: str) -> Sequence[Endpoint]:
        return await self._select(col(EndpointRow.project_id) == project_id)

    async def remembered(self, project_id: str) -> Sequence[Endpoint]:
        found = self._by_project.get(project_id)
        if found is None:
            found = self._by_project[project_id] = await self.of_project(project_id)
        return found

    async def set_enabled(self, endpoint_id: str, enabled: bool, because: str | None) -> None:
        changed = update(EndpointRow).where(col(EndpointRow.id) == endpoint_id)
        async with self._database.statement() as tx:
            await tx.execute(changed.values(enabled=enabled, disabled_because=because))
        self._by_project.clear()

    async def remove(self, endpoint_id: str) -> None:
        async with self._database.transaction() as tx:
            await tx.execute(delete(DeliveryRow).where(col(DeliveryRow.endpoint_id) == endpoint_id))
            await tx.execute(delete(EndpointRow).where(col(EndpointRow.id) == endpoint_id))
        self._by_project.clear()

    async def _select(self, condition: ColumnElement[bool]) -> Sequence[Endpoint]:
        columns = [column for column in inspect(EndpointRow).local_table.c if column.name != "place"]
        query = select(*columns).where(condition).order_by(col(EndpointRow.created_at))
        async with self._database.statement() as tx:
            rows = (await tx.execute(query)).mappings().all()
        return [Endpoint(**{**row, "events": tuple(row["events"])}) for row in rows]


class SqlDeliveries:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, deliveries: Sequence[Delivery]) -> None:
        rows = [{**asdict(delivery), "state": delivery.state.value} for delivery in deliveries]
        async with self._database.statement() as tx:
            await tx.execute(ADD_DELIVERY, rows)

    async def take(self, now: datetime, until: datetime, share: Share, full: Full, limit: int) -> Sequence[Delivery]:
        values = {
            "now": now,
            "full_endpoints": full.endpoints,
            "full_projects": full.projects,
            "per_endpoint": share.per_endpoint,
            "per_project": share.per_project,
            "limit": limit,
        }
        return [_delivery(row._mapping) for row in await take_due(self._database, DUE, values, DeliveryRow, until)]

    async def settle(self, delivery: Delivery) -> None:
        outcome = {
            "state": delivery.state.value,
            "tries": delivery.tries,
            "due": delivery.due,
            "last_status": delivery.last_status,
            "last_detail": delivery.last_detail,
        }
        async with self._database.statement() as tx:
            await tx.execute(update(DeliveryRow).where(_is(delivery)).values(outcome))

    async def of_endpoint(self, endpoint_id: str, limit: int) -> Sequence[Delivery]:
        query = select(DeliveryRow).where(col(DeliveryRow.endpoint_id) == endpoint_id)
        async with self._database.statement() as tx:
            rows = await tx.execute(query.order_by(col(DeliveryRow.created_at).desc()).limit(limit))
        return [_delivery(row) for row in rows.mappings().all()]

    async def next_due(self) -> datetime | None:
        async with self._database.statement() as tx:
            return (await tx.execute(NEXT_DUE)).scalar()


def _is(delivery: Delivery) -> ColumnElement[bool]:
    return and_(
        col(DeliveryRow.webhook_id) == delivery.webhook_id, col(DeliveryRow.endpoint_id) == delivery.endpoint_id
    )


def _delivery(row: Any) -> Delivery:
    return Delivery(**{**row, "state": DeliveryState(row["state"])})
