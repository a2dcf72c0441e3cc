"""What projects have used, as a table."""

from datetime import datetime, timedelta
from typing import Any

from chassis.database import Database, Transaction, insert
from sqlalchemy import select, update
from sqlmodel import col

from scheduling.adapters.tables import UsageRow
from scheduling.domain.usage import Usage

BEGIN = insert(UsageRow).on_conflict_do_nothing()


async def charge(tx: Transaction, project_id: str, seconds: float, now: datetime, half_life: timedelta) -> None:
    """Part of what made the charge known, so that it is made once; keeps the project's row locked until then."""
    row = await _locked(tx, project_id)
    if row is None:
        # Only a row that is there can be locked.
        await tx.execute(BEGIN, {"project_id": project_id, "seconds": 0.0, "at": now})
        row = await _locked(tx, project_id)
    charged = Usage(row.seconds, row.at).plus(seconds, now, half_life)
    of_project = update(UsageRow).where(col(UsageRow.project_id) == project_id)
    await tx.execute(of_project.values(seconds=charged.seconds, at=charged.at))


async def _locked(tx: Transaction, project_id: str) -> Any:
    of_project = select(UsageRow).where(col(UsageRow.project_id) == project_id)
    return (await tx.execute(of_project.with_for_update())).first()


class SqlLedger:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> dict[str, Usage]:
        async with self._database.statement() as tx:
            return {row.project_id: Usage(row.seconds, row.at) for row in (await tx.execute(select(UsageRow))).all()}
