"""Deliveries as a table.

What is due is looked for endpoint by endpoint, so that it costs no more when one of them has a hundred
thousand deliveries waiting: the first few of each are all that may be taken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

from chassis.database import Database, insert
from chassis.taking import take_due
from contracts.webhooks import DeliveryState
from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    Select,
    and_,
    bindparam,
    delete,
    func,
    inspect,
    literal_column,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.orm import aliased
from sqlmodel import col

from notification.adapters.tables import DeliveryRow, EndpointRow
from notification.domain.places import Place
from notification.ports import Delivery, Full, Share, Tried, Wanted

ADD = insert(DeliveryRow).on_conflict_do_nothing()
COLUMNS = inspect(DeliveryRow).local_table.c
REPLAYED_AT_ONCE = 500
AGAIN = {"state": DeliveryState.WAITING.value, "tries": 0}


def _waits(row: Any = DeliveryRow) -> ColumnElement[bool]:
    """A literal, because an index over what waits is used for nothing less."""
    return col(row.state) == literal_column("'waiting'")


def _listening() -> CTE:
    """Endpoints for which something waits and that are neither off nor paused.

    Each is found from the one before it by a look into the index.
    """
    one, other = aliased(DeliveryRow), aliased(DeliveryRow)
    waiting = select(func.min(col(one.endpoint_id)).label("id")).where(_waits(one)).cte("waiting", recursive=True)
    following = select(func.min(col(other.endpoint_id))).where(_waits(other), col(other.endpoint_id) > waiting.c.id)
    waiting = waiting.union_all(select(following.scalar_subquery()).where(waiting.c.id.is_not(None)))
    return (
        select(col(EndpointRow.id))
        .join(waiting, waiting.c.id == col(EndpointRow.id))
        .where(col(EndpointRow.off).is_(None), col(EndpointRow.due).is_(None))
        .cte("listening")
    )


@cache
def _due(per_endpoint: int) -> Select[Any]:
    listening = _listening()

    def taken(number: int) -> Select[Any]:
        one = aliased(DeliveryRow)
        nth = (
            select(col(one.webhook_id))
            .where(col(one.endpoint_id) == listening.c.id, _waits(one), col(one.due) <= bindparam("now"))
            .order_by(col(one.in_bulk), col(one.due))
            .limit(1)
            .offset(number)
        )
        return select(listening.c.id.label("endpoint_id"), nth.scalar_subquery().label("webhook_id")).where(
            listening.c.id.not_in(bindparam("full_endpoints", expanding=True))
        )

    first = union_all(*(taken(number) for number in range(per_endpoint))).subquery()
    in_project = func.row_number().over(partition_by=COLUMNS.project_id, order_by=(COLUMNS.in_bulk, COLUMNS.due))
    found = (
        select(*COLUMNS, in_project.label("in_project"))
        .join(first, and_(COLUMNS.endpoint_id == first.c.endpoint_id, COLUMNS.webhook_id == first.c.webhook_id))
        .where(COLUMNS.project_id.not_in(bindparam("full_projects", expanding=True)))
        .subquery()
    )
    return (
        select(*(found.c[column.name] for column in COLUMNS))
        .where(found.c.in_project <= bindparam("per_project"))
        .order_by(found.c.in_bulk, found.c.due)
        .limit(bindparam("limit", type_=Integer))
    )


def _next_due() -> Select[Any]:
    listening = _listening()

    def soonest(in_bulk: bool) -> Select[Any]:
        one = aliased(DeliveryRow)
        due = select(func.min(col(one.due))).where(
            col(one.endpoint_id) == listening.c.id, _waits(one), col(one.in_bulk).is_(in_bulk)
        )
        return select(due.scalar_subquery().label("due"))  # of each

    found = union_all(*(soonest(in_bulk).select_from(listening) for in_bulk in (False, True))).subquery()
    return select(func.min(found.c.due))


NEXT_DUE = _next_due()
ONE_OF_ENDPOINT = (
    select(*COLUMNS).where(COLUMNS.endpoint_id == bindparam("wanted"), _waits()).order_by(COLUMNS.due).limit(1)
)
SETTLE = (
    update(DeliveryRow)
    .where(
        COLUMNS.webhook_id == bindparam("held_webhook_id"),
        COLUMNS.endpoint_id == bindparam("held_endpoint_id"),
        COLUMNS.due == bindparam("held_until"),
    )
    .values({name: bindparam(name) for name in ("state", "tries", "due", "answers")})
)


class SqlDeliveries:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, deliveries: Sequence[Delivery]) -> None:
        async with self._database.statement() as tx:
            await tx.execute(ADD, [_row(delivery) for delivery in deliveries])

    async def take(self, now: datetime, until: datetime, share: Share, full: Full, limit: int) -> Sequence[Delivery]:
        values = {
            "now": now,
            "full_endpoints": full.endpoints,
            "full_projects": full.projects,
            "per_project": share.per_project,
            "limit": limit,
        }
        taken = await take_due(self._database, _due(share.per_endpoint), values, DeliveryRow, until)
        return [replace(_delivery(row._mapping), due=until) for row in taken]

    async def take_one(self, endpoint_id: str, until: datetime) -> Delivery | None:
        taken = await take_due(self._database, ONE_OF_ENDPOINT, {"wanted": endpoint_id}, DeliveryRow, until)
        return replace(_delivery(taken[0]._mapping), due=until) if taken else None

    async def settle(self, held: Delivery, settled: Delivery) -> bool:
        row = _row(settled)
        values = {
            "held_webhook_id": held.webhook_id,
            "held_endpoint_id": held.endpoint_id,
            "held_until": held.due,
            **{name: row[name] for name in ("state", "tries", "due", "answers")},
        }
        async with self._database.statement() as tx:
            return bool((await tx.execute(SETTLE, values)).rowcount)

    async def release(self, endpoint_id: str, now: datetime, later_than: datetime) -> None:
        put_off = update(DeliveryRow).where(COLUMNS.endpoint_id == endpoint_id, _waits(), COLUMNS.due > later_than)
        async with self._database.statement() as tx:
            await tx.execute(put_off.values(due=now))

    async def get(self, endpoint_id: str, webhook_id: str) -> Delivery | None:
        query = select(*COLUMNS).where(COLUMNS.endpoint_id == endpoint_id, COLUMNS.webhook_id == webhook_id)
        async with self._database.statement() as tx:
            row = (await tx.execute(query)).mappings().first()
        return _delivery(row) if row else None

    async def page(
        self, endpoint_id: str, state: DeliveryState | None, before: Place | None, limit: int
    ) -> Sequence[Delivery]:
        query = select(*COLUMNS).where(COLUMNS.endpoint_id == endpoint_id)
        if state is not None:
            query = query.where(COLUMNS.state == state.value)
        if before is not None:
            at, webhook_id = before.created_at, before.webhook_id
            query = query.where(COLUMNS.created_at <= at, or_(COLUMNS.created_at < at, COLUMNS.webhook_id < webhook_id))
        newest = query.order_by(COLUMNS.created_at.desc(), COLUMNS.webhook_id.desc()).limit(limit)
        async with self._database.statement() as tx:
            return [_delivery(row) for row in (await tx.execute(newest)).mappings().all()]

    async def replay(self, endpoint_id: str, webhook_id: str, now: datetime) -> None:
        one = update(DeliveryRow).where(COLUMNS.endpoint_id == endpoint_id, COLUMNS.webhook_id == webhook_id)
        async with self._database.statement() as tx:
            await tx.execute(one.values(**AGAIN, in_bulk=False, due=now))

    async def replay_next(self, endpoint_id: str, wanted: Wanted, after: Place | None) -> tuple[int, Place | None]:
        query = select(COLUMNS.created_at, COLUMNS.webhook_id).where(*_are(wanted, endpoint_id))
        if after is not None:
            at, webhook_id = after.created_at, after.webhook_id
            query = query.where(COLUMNS.created_at >= at, or_(COLUMNS.created_at > at, COLUMNS.webhook_id > webhook_id))
        oldest = query.order_by(COLUMNS.created_at, COLUMNS.webhook_id).limit(REPLAYED_AT_ONCE)
        async with self._database.transaction() as tx:
            found = [Place(row.created_at, row.webhook_id) for row in await tx.execute(oldest)]
            ids = [place.webhook_id for place in found]
            some = update(DeliveryRow).where(COLUMNS.endpoint_id == endpoint_id, COLUMNS.webhook_id.in_(ids))
            # Their age puts them in order, all of them behind what is fresh.
            await tx.execute(some.values(**AGAIN, in_bulk=True, due=COLUMNS.created_at))
        return len(found), found[-1] if len(found) == REPLAYED_AT_ONCE else None

    async def count(self, endpoint_id: str, wanted: Wanted) -> Mapping[DeliveryState, int]:
        are = select(COLUMNS.state, func.count().label("many")).where(*_are(wanted, endpoint_id))
        async with self._database.statement() as tx:
            return {DeliveryState(row.state): row.many for row in await tx.execute(are.group_by(COLUMNS.state))}

    async def prune(self, before: datetime) -> None:
        off = select(col(EndpointRow.id)).where(col(EndpointRow.off).is_not(None))
        ended = COLUMNS.state != literal_column("'waiting'")
        old = delete(DeliveryRow).where(COLUMNS.due < before)
        async with self._database.transaction() as tx:
            await tx.execute(old.where(ended))
            await tx.execute(old.where(_waits(), COLUMNS.endpoint_id.in_(off)))

    async def next_due(self) -> datetime | None:
        async with self._database.statement() as tx:
            return (await tx.execute(NEXT_DUE)).scalar()


def _are(wanted: Wanted, endpoint_id: str) -> list[ColumnElement[bool]]:
    return [
        COLUMNS.endpoint_id == endpoint_id,
        COLUMNS.created_at >= wanted.since,
        COLUMNS.created_at < wanted.until,
        COLUMNS.state.in_([state.value for state in wanted.states]),
    ]


def _row(delivery: Delivery) -> dict[str, Any]:
    answers = [{**vars(tried), "at": tried.at.isoformat()} for tried in delivery.answers]
    return {**vars(delivery), "state": delivery.state.value, "answers": answers}


def _delivery(row: Any) -> Delivery:
    answers = tuple(Tried(**{**tried, "at": datetime.fromisoformat(tried["at"])}) for tried in row["answers"])
    return Delivery(**{**row, "state": DeliveryState(row["state"]), "answers": answers})
