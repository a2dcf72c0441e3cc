"""Endpoints as a table."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from cachetools import TTLCache
from chassis.database import Database, insert
from chassis.remembering import REMEMBER_SECONDS
from chassis.taking import take_due
from sqlalchemy import ColumnElement, Integer, bindparam, delete, func, inspect, select, update
from sqlmodel import col

from notification.adapters.tables import DeliveryRow, EndpointRow
from notification.domain.health import Health, Off
from notification.domain.secrets import Secret
from notification.ports import Endpoint

COLUMNS = inspect(EndpointRow).local_table.c
HEALTH = ("failures", "failing_since", "off", "off_since", "disabled_because")
ADD = insert(EndpointRow).on_conflict_do_nothing(index_elements=["project_id", "place"])
ONE = select(*COLUMNS).where(COLUMNS.id == bindparam("wanted"))
SAVE = (
    update(EndpointRow)
    .where(COLUMNS.id == bindparam("wanted"), COLUMNS.version == bindparam("seen"))
    .values({name: bindparam(f"new_{name}") for name in COLUMNS.keys() if name not in ("id", "project_id", "place")})  # noqa: SIM118
)
PROBES = (
    select(*COLUMNS)
    .where(COLUMNS.due <= bindparam("now"))
    .order_by(COLUMNS.due)
    .limit(bindparam("limit", type_=Integer))
)


class SqlEndpoints:
    """Every event asks for its project's endpoints, so those are remembered for a few seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_project: TTLCache[str, Sequence[Endpoint]] = TTLCache(10_000, REMEMBER_SECONDS)

    async def add(self, endpoint: Endpoint, most: int) -> bool:
        row = {**_row(endpoint), "version": 0}
        of_project = select(col(EndpointRow.place)).where(col(EndpointRow.project_id) == endpoint.project_id)
        while True:
            async with self._database.transaction() as tx:
                taken = set((await tx.execute(of_project)).scalars())
                place = next((place for place in range(most) if place not in taken), None)
                if place is None:
                    return False
                added = (await tx.execute(ADD, {**row, "place": place})).rowcount
            if added:
                self._by_project.clear()
                return True

    async def get(self, endpoint_id: str) -> Endpoint | None:
        async with self._database.statement() as tx:
            row = (await tx.execute(ONE, {"wanted": endpoint_id})).mappings().first()
        return _endpoint(row) if row else None

    async def of_project(self, project_id: str) -> Sequence[Endpoint]:
        return await self._select(col(EndpointRow.project_id) == project_id)

    async def remembered(self, project_id: str) -> Sequence[Endpoint]:
        found = self._by_project.get(project_id)
        if found is None:
            found = self._by_project[project_id] = await self.of_project(project_id)
        return found

    async def change(self, endpoint_id: str, decide: Callable[[Endpoint], Endpoint]) -> Endpoint | None:
        while True:
            async with self._database.transaction() as tx:
                row = (await tx.execute(ONE, {"wanted": endpoint_id})).mappings().first()
                if row is None:
                    return None
                seen = _endpoint(row)
                changed = decide(seen)
                if changed == seen:
                    return seen
                values = {f"new_{name}": value for name, value in _row(changed).items()}
                seen_version = {"wanted": endpoint_id, "seen": row["version"], "new_version": row["version"] + 1}
                saved = (await tx.execute(SAVE, {**values, **seen_version})).rowcount
            if saved:
                self._by_project.clear()
                return changed

    async def remove(self, endpoint_id: str) -> None:
        async with self._database.transaction() as tx:
            await tx.execute(delete(DeliveryRow).where(col(DeliveryRow.endpoint_id) == endpoint_id))
            await tx.execute(delete(EndpointRow).where(col(EndpointRow.id) == endpoint_id))
        self._by_project.clear()

    async def take_probes(self, now: datetime, until: datetime, limit: int) -> Sequence[Endpoint]:
        taken = await take_due(self._database, PROBES, {"now": now, "limit": limit}, EndpointRow, until)
        return [_endpoint(row._mapping) for row in taken]

    async def next_probe(self) -> datetime | None:
        async with self._database.statement() as tx:
            return (await tx.execute(select(func.min(COLUMNS.due)))).scalar()

    async def page(self, after: str, limit: int) -> Sequence[Endpoint]:
        query = select(*COLUMNS).where(COLUMNS.id > after).order_by(COLUMNS.id).limit(limit)
        async with self._database.statement() as tx:
            return [_endpoint(row) for row in (await tx.execute(query)).mappings().all()]

    async def _select(self, condition: ColumnElement[bool]) -> Sequence[Endpoint]:
        query = select(*COLUMNS).where(condition).order_by(COLUMNS.created_at)
        async with self._database.statement() as tx:
            return [_endpoint(row) for row in (await tx.execute(query)).mappings().all()]


def _row(endpoint: Endpoint) -> dict[str, Any]:
    row = asdict(endpoint)
    health = row.pop("health")
    return {
        **row,
        **{name: health[name] for name in HEALTH},
        "due": health["probe_due"],
        "events": list(endpoint.events),
        "secrets": [_written(secret) for secret in endpoint.secrets],
    }


def _endpoint(row: Any) -> Endpoint:
    off = Off(row["off"]) if row["off"] is not None else None
    health = Health(**{**{name: row[name] for name in HEALTH}, "off": off, "probe_due": row["due"]})
    return Endpoint(
        id=row["id"],
        project_id=row["project_id"],
        url=row["url"],
        events=tuple(row["events"]),
        secrets=tuple(_secret(written) for written in row["secrets"]),
        created_at=row["created_at"],
        health=health,
        pinged_at=row["pinged_at"],
    )


def _written(secret: Secret) -> dict[str, str | None]:
    return {
        "id": secret.id,
        "locked": secret.locked.decode("ascii"),
        "created_at": secret.created_at.isoformat(),
        "expires_at": secret.expires_at.isoformat() if secret.expires_at else None,
    }


def _secret(written: dict[str, str]) -> Secret:
    expires = written["expires_at"]
    return Secret(
        written["id"],
        written["locked"].encode("ascii"),
        datetime.fromisoformat(written["created_at"]),
        datetime.fromisoformat(expires) if expires else None,
    )
