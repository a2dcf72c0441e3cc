"""What projects have used, as tables: forgotten by halves for fair shares, and to the second for budgets."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from chassis.database import Database, Transaction, insert
from contracts.budgets import Spending, month_of
from sqlalchemy import case, func, select, update
from sqlmodel import col

from scheduling.adapters.tables import ChargeRow, SpendingRow, UsageRow
from scheduling.domain.usage import Usage

BEGIN = insert(UsageRow).on_conflict_do_nothing()
_CHARGE = insert(ChargeRow)
CHARGE = _CHARGE.on_conflict_do_update(
    index_elements=["task_id"],
    set_={"seconds": _CHARGE.excluded.seconds, "before": col(ChargeRow.seconds)},
    where=col(ChargeRow.seconds) < _CHARGE.excluded.seconds,
).returning(col(ChargeRow.seconds), col(ChargeRow.before))
_SPEND = insert(SpendingRow)
SPEND = _SPEND.on_conflict_do_update(
    index_elements=["project_id", "month"], set_={"seconds": col(SpendingRow.seconds) + _SPEND.excluded.seconds}
)


async def charge(
    tx: Transaction, task_id: str, project_id: str, seconds: float, now: datetime, half_life: timedelta
) -> float:
    """Charges the project with what of the task's `seconds` nobody has been charged yet; says how much that was.

    Part of what made the charge known. The rows stay locked until then, so that each second is charged once.
    """
    charged = (await tx.execute(CHARGE, {"task_id": task_id, "seconds": seconds, "before": 0.0})).first()
    if charged is None:
        return 0.0
    more: float = charged.seconds - charged.before
    row = await _locked(tx, project_id)
    if row is None:
        # Only a row that is there can be locked.
        await tx.execute(BEGIN, {"project_id": project_id, "seconds": 0.0, "at": now})
        row = await _locked(tx, project_id)
    used = Usage(row.seconds, row.at).plus(more, now, half_life)
    of_project = update(UsageRow).where(col(UsageRow.project_id) == project_id)
    await tx.execute(of_project.values(seconds=used.seconds, at=used.at))
    await tx.execute(SPEND, {"project_id": project_id, "month": month_of(now), "seconds": more})
    return more


async def _locked(tx: Transaction, project_id: str) -> Any:
    of_project = select(UsageRow).where(col(UsageRow.project_id) == project_id)
    return (await tx.execute(of_project.with_for_update())).first()


class SqlLedger:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> dict[str, Usage]:
        async with self._database.statement() as tx:
            return {row.project_id: Usage(row.seconds, row.at) for row in (await tx.execute(select(UsageRow))).all()}

    async def spent(self, project_ids: Collection[str], month: datetime) -> dict[str, Spending]:
        in_month = case((col(SpendingRow.month) == month, col(SpendingRow.seconds)), else_=0.0)
        query = (
            select(
                col(SpendingRow.project_id),
                func.sum(in_month).label("in_month"),
                func.sum(col(SpendingRow.seconds)).label("in_all"),
            )
            .where(col(SpendingRow.project_id).in_([*project_ids]))
            .group_by(col(SpendingRow.project_id))
        )
        async with self._database.statement() as tx:
            rows = (await tx.execute(query)).all()
        nothing = {project_id: Spending(month=month) for project_id in project_ids}
        return nothing | {
            row.project_id: Spending(month=month, in_month=row.in_month, in_all=row.in_all) for row in rows
        }

    async def charged(self) -> Sequence[str]:
        async with self._database.statement() as tx:
            return (await tx.execute(select(col(SpendingRow.project_id)).distinct())).scalars().all()

    async def most_charged(self, limit: int) -> Mapping[str, float]:
        in_all = func.sum(col(SpendingRow.seconds)).label("in_all")
        query = select(col(SpendingRow.project_id), in_all).group_by(col(SpendingRow.project_id))
        async with self._database.statement() as tx:
            rows = (await tx.execute(query.order_by(in_all.desc(), col(SpendingRow.project_id)).limit(limit))).all()
        return {row.project_id: row.in_all for row in rows}
